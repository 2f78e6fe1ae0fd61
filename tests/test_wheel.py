"""The wheel holds all that a server needs: built here, unpacked into a folder of its own, and served from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.store.database import Database
from tests.conftest import ROOT
from tests.process import Dashboard, Running, environment, replay, states, wait_for
from tests.servers.clips import ClipMaker
from tests.web_client import Browser

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def target(wheel: Path) -> Path:
    """The folder into which the wheel was installed."""
    target = wheel.parent / "installed"
    command = [*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return target


@pytest.fixture(scope="module")
def server(target: Path, make_clip: ClipMaker) -> Iterator[Running]:
    """Served with the installed wheel alone; its dependencies are those of the tests."""
    home = Dashboard(target.parent / "home", [replay(make_clip)])
    with home.running(env={"PYTHONPATH": str(target)}) as server:
        yield server
        assert server.stop()[0] == 0
        assert "Traceback" not in server.logged


def _files(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_everything_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    data = {f"dashboard/{name}" for name in _files("templates", "static", "migrations")}
    wanted = data | _files("dashboard", "demo") | {"dashboard/cameras.yaml", "dashboard/cameras.schema.json"}
    assert len(data) > 20
    assert wanted - inside == set()
    rest = {name for name in inside - wanted if ".dist-info/" not in name}
    assert rest == set(), "nothing else is"
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_the_wheel_is_what_runs(target: Path, tmp_path: Path) -> None:
    """Not the checkout, although the environment knows that as well."""
    code = "import dashboard, demo, dashboard.resources as found\n"
    code += "print(dashboard.__file__, demo.__file__, found.resource('static'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment({"PYTHONPATH": str(target)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    files = done.stdout.split()
    assert len(files) == 3, done.stderr
    assert all(Path(file).is_relative_to(target) for file in files)


def test_the_wheel_serves(server: Running, target: Path) -> None:
    browser = Browser(server.port)
    assert browser.get("/login").status == 200
    names = sorted(path.name for path in (ROOT / "static").iterdir() if path.is_file())
    for name in names:
        answer = browser.get(f"/static/{name}")
        assert (answer.status, answer.body) == (200, (ROOT / "static" / name).read_bytes()), name
    signed_in = server.browser()
    wait_for(lambda: states(signed_in) == {"lobby": "live"}, 15, "the camera is live")
    for path in ("/", "/cameras/lobby", "/events", "/account", "/nowhere"):
        assert signed_in.get(path).status == (404 if path == "/nowhere" else 200), path


def test_the_wheel_makes_the_newest_schema(server: Running, tmp_path: Path) -> None:
    fresh, served = Database(tmp_path), Database(server.home.data)
    try:
        fresh.migrate()
        assert served.revision() == fresh.revision() is not None
    finally:
        fresh.close()
        served.close()


def test_the_wheel_brings_a_command_and_a_first_file(server: Running, target: Path) -> None:
    script = target / "bin" / "dashboard"
    assert os.access(script, os.X_OK)
    done = subprocess.run(
        [sys.executable, str(script), "check-config", "--config", str(target / "dashboard" / "cameras.yaml")],
        env=environment({"PYTHONPATH": str(target)}),
        cwd=target.parent,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "cameras.yaml: 3 cameras, no errors\n"), done.stderr

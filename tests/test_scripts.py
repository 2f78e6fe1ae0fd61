"""script/server and script/test on machines that lack something, with stand-ins for Python: nothing is installed here.

That the real set-up works is proven each time the suite is started by script/test on a new machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")

TOOLS = ("sh", "cat", "cksum", "dirname", "rm", "mkdir", "cp", "chmod", "env")

# A Python that writes down what it is asked to do and does nothing. In a .venv it is also what is run.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"{log}"
case "$*" in
    --version) echo "Python {version}" ;;
    "-c import sys; sys.exit"*) exit {too_old} ;;
    "-c import ensurepip, venv") exit {no_venv} ;;
    "-m venv "*) [ {venv_fails} = 0 ] || exit 1; mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
        for tool in ruff mypy; do cp "$0" "$3/bin/$tool"; done ;;
    "-m pip "*) exit {pip_fails} ;;
    "-m dashboard "*) echo "serves with $DASHBOARD_CONFIG and $DASHBOARD_DATA_DIR in $PWD" ;;
esac
"""
GOOD = {"version": "3.12.1", "too_old": 0, "no_venv": 0, "venv_fails": 0, "pip_fails": 0}


@dataclass
class Machine:
    """A copy of the scripts, and a PATH with a handful of tools and whatever Python a test puts there."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def __post_init__(self) -> None:
        self.tree = self.folder / "a tree"
        (self.folder / "bin").mkdir()
        for tool in (*TOOLS, "basename"):
            found = shutil.which(tool)
            assert found, tool
            (self.folder / "bin" / tool).symlink_to(found)
        shutil.copytree(ROOT / "script", self.tree / "script")
        for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.tree)

    def python(self, name: str = "python3", **traits: object) -> Path:
        """Put a stand-in for Python on the PATH, or at a path of its own."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(STAND_IN.format(log=self.log, **{**GOOD, **traits}))
        path.chmod(0o755)
        return path

    def run(
        self, script: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.tree / "script" / script), *arguments],
            env={"PATH": str(self.folder / "bin"), **(env or {})},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def asked(self, words: str) -> list[str]:
        """What Pythons and tools were asked that has `words` in it, since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.rstrip() for line in lines if words in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def fails(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """It ended with one sentence."""
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    for words in said:
        assert words in done.stderr


@pytest.mark.parametrize("script", ["server", "test"])
def test_a_machine_without_python(machine: Machine, script: str) -> None:
    fails(machine.run(script), "needs Python 3.11 or newer (found: no python3)")
    assert not (machine.tree / ".venv").exists()


@pytest.mark.parametrize("script", ["server", "test"])
def test_a_machine_with_an_old_python(machine: Machine, script: str) -> None:
    machine.python(version="3.9.2", too_old=1)
    fails(machine.run(script), "needs Python 3.11 or newer (found: Python 3.9.2)", "PYTHON=")
    assert not (machine.tree / ".venv").exists()


def test_another_python_is_found(machine: Machine) -> None:
    machine.python(version="3.9.2", too_old=1)
    machine.python("python3.12")
    assert machine.run("server").returncode == 0
    assert machine.asked("-m venv")[0].startswith("python3.12 ")


def test_a_python_that_is_named_comes_first(machine: Machine) -> None:
    machine.python()
    named = machine.python("own one/python")
    assert machine.run("server", env={"PYTHON": str(named)}).returncode == 0
    assert machine.asked("-m venv")[0].startswith("python -m venv")


def test_a_machine_without_the_venv_module(machine: Machine) -> None:
    machine.python(no_venv=1)
    fails(machine.run("server"), "Python's venv module is missing", "apt install python3-venv")
    assert not (machine.tree / ".venv").exists()


def test_a_folder_that_cannot_be_written(machine: Machine) -> None:
    machine.python(venv_fails=1)
    fails(machine.run("server"), "could not be made")


def test_an_install_that_fails_is_tried_again(machine: Machine) -> None:
    machine.python(pip_fails=1)
    fails(machine.run("server"), "could not be installed", "run ", "again")
    machine.python()
    done = machine.run("server")
    assert (done.returncode, "serves with" in done.stdout) == (0, True)


def test_the_server_is_set_up_once(machine: Machine) -> None:
    machine.python()
    first = machine.run("server", "--port", "0", "--host", "a b")
    assert first.returncode == 0, first.stderr
    assert "(once)" in first.stdout
    log = machine.log.read_text()
    assert (
        f"-m pip install --quiet --disable-pip-version-check --require-hashes -r {machine.tree}/requirements.lock"
        in log
    )
    assert "python -m dashboard serve --port 0 --host a b\n" in log
    machine.asked("")
    second = machine.run("server")
    assert second.stdout == f"serves with {machine.tree}/cameras.yaml and {machine.tree}/data in {machine.folder}\n"
    assert machine.asked("-m pip") == []


def test_where_the_server_looks(machine: Machine) -> None:
    machine.python()
    own = {"DASHBOARD_CONFIG": "here.yaml", "DASHBOARD_DATA_DIR": "/elsewhere"}
    assert "serves with here.yaml and /elsewhere" in machine.run("server", env=own).stdout


def test_a_new_lock_is_installed(machine: Machine) -> None:
    machine.python()
    machine.run("server")
    machine.asked("")
    for name in ("requirements.lock", "pyproject.toml"):
        with (machine.tree / name).open("a") as file:
            file.write("# changed\n")
        assert machine.run("server").returncode == 0
        assert len(machine.asked("-m pip")) == 2
        assert machine.asked("-m venv") == []


def test_a_tree_that_was_moved_is_set_up_anew(machine: Machine) -> None:
    machine.python()
    machine.run("server")
    machine.tree = machine.tree.rename(machine.folder / "moved")
    machine.asked("")
    assert machine.run("server").stdout.endswith(f"{machine.folder}/moved/data in {machine.folder}\n")
    assert machine.asked("-m venv")


def test_a_python_that_was_replaced_is_set_up_anew(machine: Machine) -> None:
    machine.python()
    machine.run("server")
    (machine.tree / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    machine.asked("")
    assert "serves with" in machine.run("server").stdout
    assert machine.asked("-m venv")


def test_tests_check_style_and_types_unless_some_are_named(machine: Machine) -> None:
    machine.python()
    assert machine.run("test").returncode == 0
    asked = machine.asked("")
    assert asked[-4:] == ["ruff check .", "ruff format --check .", "mypy", "python -m pytest"]
    assert any("requirements-dev.lock" in line for line in asked)
    assert machine.run("test", "tests/test_wall.py", "-k", "a b").returncode == 0
    assert machine.asked("")[1:] == ["python -m pytest tests/test_wall.py -k a b"]
    machine.run("server")
    assert machine.asked("-m pip") == [], "the larger lock contains the smaller one"


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "script").iterdir()), ROOT / ".ci" / "run"], ids=lambda path: path.name
)
def test_scripts_can_be_read(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".in":
        return
    shell = "bash" if text.startswith("#!/usr/bin/env bash") else "sh"
    subprocess.run([shell, "-n", str(path)], check=True, timeout=10)
    assert os.access(path, os.X_OK) == text.startswith("#!")


def test_the_locks_have_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        pins = [line for line in lines if not line.startswith(" ")]
        assert len(pins) > 20
        assert all("==" in pin and pin.endswith("\\") for pin in pins), name
        assert all(line.strip().startswith("--hash=sha256:") for line in lines if line.startswith(" ")), name
        assert "://" not in "\n".join(lines)


def test_both_locks_pin_the_same() -> None:
    def pins(name: str) -> set[str]:
        return {line.split(" ")[0] for line in (ROOT / name).read_text().splitlines() if "==" in line[:60]}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_what_runs_is_what_is_locked() -> None:
    """The packages that these tests run with are those of the lock, so that what is proven here is what is shipped."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    different = []
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        requirement = Requirement(line.rstrip(" \\"))
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            if not requirement.specifier.contains(version(requirement.name)):
                different.append(f"{requirement} but {version(requirement.name)}")
        except PackageNotFoundError:
            different.append(f"{requirement} but none")
    assert different == [], f"in {sys.prefix}: run script/test once more"

"""The real `python -m dashboard` in processes of their own, for tests of what only a process shows.

A `Dashboard` is a folder with cameras.yaml and data; `running` serves it and leaves no process behind, `command` runs
any other command beside it. Who asks over HTTP is `tests.web_client.Browser`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]
from websockets.sync.client import ClientConnection, connect

from dashboard.store.database import Database
from dashboard.store.users import Users
from tests.conftest import ROOT
from tests.servers.clips import ClipMaker
from tests.web_client import Browser, until

STARTS_WITHIN = 30.0
"""Seconds after which a server that does not serve is given up; how fast it should be is said in the tests."""
STOPS_WITHIN = 15.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
LOGIN = re.compile(r"^    user +(\S+)\n    password +(\S+)$", re.MULTILINE)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that knows nothing of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DASHBOARD_")}
    return {**plain, "PYTHONPATH": str(ROOT), **(more or {})}


@dataclass
class Running:
    """A server that serves. `seconds`: how long that took since its start."""

    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    port: int
    seconds: float
    home: Dashboard

    @property
    def printed(self) -> str:
        return self.out.read_text()

    @property
    def logged(self) -> str:
        return self.log.read_text()

    @property
    def first_login(self) -> tuple[str, str] | None:
        found = LOGIN.search(self.printed)
        return (found[1], found[2]) if found else None

    def browser(self, name: str = "admin", password: str | None = None) -> Browser:
        """A browser that is signed in."""
        browser = Browser(self.port)
        answer = browser.sign_in(name, password or self.home.passwords[name])
        assert answer.status == 302, answer.text[:500]
        return browser

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit code and the seconds until the process had ended, with all its children."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(STOPS_WITHIN)
        seconds = time.monotonic() - began
        assert_nothing_left(self.process.pid)
        return code, seconds

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(STOPS_WITHIN)


@dataclass
class Dashboard:
    """`folder` with cameras.yaml and data. `passwords` are those of users that are known here."""

    folder: Path
    cameras: Sequence[Mapping[str, Any]] | str = ()
    rest: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    starts: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.declare(self.cameras, self.rest)

    @property
    def config(self) -> Path:
        return self.folder / "cameras.yaml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def declare(self, cameras: Sequence[Mapping[str, Any]] | str, rest: str = "") -> None:
        """Write cameras.yaml, as an editor does; a text is taken as it is, cameras become one line each."""
        if not isinstance(cameras, str):
            lines = "".join(f"  - {json.dumps(camera)}\n" for camera in cameras)
            cameras = f"cameras:\n{lines}{rest}" if cameras else f"cameras: []\n{rest}"
        draft = self.config.with_suffix(".new")
        draft.write_text(cameras)
        draft.chmod(0o600)
        draft.replace(self.config)

    def command(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in this folder, with its data and its cameras unless it names others."""
        own = {"DASHBOARD_CONFIG": str(self.config), "DASHBOARD_DATA_DIR": str(self.data)}
        return subprocess.run(
            [sys.executable, "-m", "dashboard", *arguments],
            input=stdin,
            env=environment({**own, **(env or {})}),
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
        )

    def add_users(self, *names: str, role: str = "viewer") -> None:
        """Users with passwords of their own, added beside a server that runs or will run."""
        db = Database(self.data)
        try:
            db.migrate()
            for name in names:
                self.passwords[name] = f"quite a long one of {name}"
                Users(db).add(name, self.passwords[name], role)
        finally:
            db.close()

    @contextmanager
    def running(
        self, *arguments: str, port: int = 0, env: Mapping[str, str] | None = None, within: float = STARTS_WITHIN
    ) -> Iterator[Running]:
        """Serve until the end of the block, or until it is stopped or killed there."""
        self.starts += 1
        out, log = self.folder / f"out-{self.starts}.txt", self.folder / f"log-{self.starts}.txt"
        command = [sys.executable, "-m", "dashboard", "serve", "--port", str(port)]
        command += ["--config", str(self.config), "--data-dir", str(self.data), *arguments]
        began = time.monotonic()
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment(env),
                cwd=self.folder,
                start_new_session=True,
                umask=0o022,
            )
        try:
            found: list[str] = []

            def serves() -> bool:
                found[:] = ADDRESS.findall(out.read_text())
                return bool(found) or process.poll() is not None

            until(serves, within)
            seconds = time.monotonic() - began
            assert found, f"the server does not serve (exit code {process.poll()}):\n{log.read_text()}"
            server = Running(process, out, log, int(found[0]), seconds, self)
            if server.first_login:
                self.passwords.update([server.first_login])
            yield server
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(STOPS_WITHIN)
            assert_nothing_left(process.pid)


def assert_nothing_left(session: int) -> None:
    """Every process that the server started carries its session; none may outlive it."""

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter(["pid", "name", "status"]):
            try:
                if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {process.info['name']}")
            except OSError:
                continue
        return found

    assert until(lambda: not left(), 3), f"processes are left: {left()}"


def replay(make_clip: ClipMaker, name: str = "lobby", **keys: Any) -> dict[str, Any]:
    """A camera that replays a small clip in which something moves most of the time: an event every few seconds."""
    return {"id": name, "replay": str(make_clip().path), "motion": {"event_gap": 0.5}, **keys}


def stats(browser: Browser) -> Any:
    """/api/stats."""
    answer = browser.get("/api/stats")
    assert answer.status == 200, answer.body[:200]
    return json.loads(answer.body)


def states(browser: Browser) -> dict[str, str]:
    """The state of each camera."""
    return {name: camera["state"] for name, camera in stats(browser)["cameras"].items()}


def events(browser: Browser, query: str = "") -> list[Any]:
    """The newest events of /api/events."""
    answer = browser.get(f"/api/events?limit=100{query}")
    assert answer.status == 200, answer.body[:200]
    found: list[Any] = json.loads(answer.body)["events"]
    return found


def socket_of(browser: Browser) -> ClientConnection:
    """The wall's connection, with the browser's login."""
    return connect(
        f"ws://127.0.0.1:{browser.port}/live",
        additional_headers=browser.cookie_header,
        open_timeout=10,
        close_timeout=2,
        proxy=None,
    )


def read_picture(feed: socket.socket) -> None:
    """Read from a /video_feed until a picture has begun."""
    data = b""
    while b"image/jpeg" not in data:
        more = feed.recv(65536)
        assert more, f"the feed ended: {data[:300]!r}"
        data = data[-20:] + more


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> float:
    """Wait until `condition`; the seconds that took. Fails after `seconds`, naming `what`."""
    began = time.monotonic()
    assert until(condition, seconds), f"not within {seconds} s: {what}"
    return time.monotonic() - began

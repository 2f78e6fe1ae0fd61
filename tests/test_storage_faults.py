"""A full disk and a database that another program holds, under the real process: pictures go on, nothing lies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dashboard.store.check import check
from dashboard.store.database import Database
from dashboard.store.snapshots import Snapshots
from tests.process import Dashboard, events, read_picture, replay, states, stats, wait_for
from tests.servers.clips import ClipMaker
from tests.web_client import Browser

SMALL = 8
"""MiB of the small disk: room for a database and its log, and for some pictures."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB; skipped, also in CI, where this user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root alone")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SMALL}m", "tmpfs", str(folder)], capture_output=True, text=True, timeout=10
    )
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def _fill(disk: Path, leave: int) -> Path:
    """A file that takes all of `disk` but `leave` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while (room := shutil.disk_usage(disk).free - leave) > 0:
                file.write(b"\1" * min(room, 65536))
                file.flush()
        except OSError:
            pass
    return ballast


def _decoded(browser: Browser) -> int:
    decoded: int = stats(browser)["cameras"]["lobby"]["decoded_frames"]
    return decoded


def _saved(browser: Browser) -> set[str]:
    return {shot["sha256"] for event in events(browser) for shot in event["snapshots"]}


def _pictures_a_second(browser: Browser, seconds: float) -> float:
    before, began = _decoded(browser), time.monotonic()
    time.sleep(seconds)
    return (_decoded(browser) - before) / (time.monotonic() - began)


def test_a_full_disk(tmp_path: Path, small_disk: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", [replay(make_clip)], "storage: {reserve: 1MB}\n")
    (small_disk / "data").mkdir()
    home.data.symlink_to(small_disk / "data")
    with home.running() as server:
        browser = server.browser()
        wait_for(lambda: _saved(browser), 20, "a snapshot")

        ballast = _fill(small_disk, leave=500_000)  # below the reserve: rows still fit
        wait_for(lambda: stats(browser)["disk"]["reserved"], 10, "the reserve is reached")
        wait_for(lambda: stats(browser)["disk"]["unsaved_snapshots"] > 0, 20, "snapshots wait")
        assert _pictures_a_second(browser, 1) > 5
        assert server.browser().get("/").status == 200, "a login still works"

        _fill(small_disk, leave=0)  # full: not even a row fits
        assert _pictures_a_second(browser, 2) > 5
        assert browser.get("/healthz").status == 200
        for path in ("/", "/events", "/api/stats", "/api/events", "/metrics"):
            assert browser.get(path).status in {200, 503}, path
        with closing(browser.stream("/video_feed/lobby")) as feed:
            read_picture(feed)
        assert states(browser) == {"lobby": "live"}
        assert Browser(server.port).sign_in("admin", home.passwords["admin"]).status in {302, 503}

        old = _saved(browser)
        ballast.unlink()
        seconds = wait_for(lambda: _saved(browser) - old, 20, "snapshots are saved again")
        print(f"saved again {seconds:.1f} s after there was room")
        assert not stats(browser)["disk"]["reserved"]
        assert any(word in server.logged for word in ("disk is full", "too little disk"))
        assert server.stop()[0] == 0
        assert "Traceback" not in server.logged
    _assert_consistent(home)


def test_a_database_that_another_program_holds(tmp_path: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", [replay(make_clip)])
    with home.running() as server:
        browser = server.browser()
        wait_for(lambda: events(browser), 20, "an event")
        token, first = browser.csrf(), events(browser)[0]["id"]
        with closing(sqlite3.connect(home.data / "dashboard.db", isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            began, wall_clock = time.monotonic(), time.time()
            before = _decoded(browser)
            slowest = 0.0
            for path in ("/", "/events", "/api/stats", f"/events/{first}"):
                asked = time.monotonic()
                assert browser.get(path).status == 200
                slowest = max(slowest, time.monotonic() - asked)
            asked = time.monotonic()
            body, head = b'{"reviewed": true}', {"X-CSRFToken": token, "Content-Type": "application/json"}
            answer = browser.ask("POST", f"/api/events/{first}/reviewed", body, head)
            assert answer.status == 503, answer.body
            slowest = max(slowest, time.monotonic() - asked)
            assert slowest < 8  # five seconds of patience
            time.sleep(max(0.0, 8 - (time.monotonic() - began)))
            held = time.monotonic() - began
            assert (_decoded(browser) - before) / held > 5
            other.execute("ROLLBACK")
        wait_for(lambda: _meanwhile(browser, wall_clock, held), 20, "events of that time are stored")
        assert stats(browser)["cameras"]["lobby"]["lost_events"] == 0
        assert server.stop()[0] == 0
        assert "Traceback" not in server.logged
    _assert_consistent(home)


def _meanwhile(browser: Browser, began: float, seconds: float) -> list[Any]:
    """Events of the middle of a time, for those at its ends may have been written before or after it."""
    first, last = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (began + 1.5, began + seconds - 1.5))
    return events(browser, f"&after={first}&before={last}")


def _assert_consistent(home: Dashboard) -> None:
    db = Database(home.data)
    try:
        assert [str(finding) for finding in check(db, Snapshots(home.data), young=-1)] == []
    finally:
        db.close()

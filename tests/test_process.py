"""The life of the process: its start, its end by signals and by force, and two that want the same thing."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dashboard.store.check import check
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.snapshots import Snapshots
from tests.process import Dashboard, Running, events, read_picture, replay, socket_of, states, stats, wait_for
from tests.servers.clips import ClipMaker
from tests.servers.rtsp import RtspServer
from tests.web_client import Browser, read_until_closed

QUICK = 6.0
"""Seconds for what takes one or two on an idle machine."""


def test_the_first_login_is_shown_once(tmp_path: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", [replay(make_clip)])
    with home.running() as first:
        assert first.first_login is not None
        name, password = first.first_login
        assert (name, first.printed.count(password)) == ("admin", 1)
        browser = first.browser()
        assert browser.get("/").status == 200
        assert Browser(first.port).sign_in("admin", "not the password").status == 401
        code, seconds = first.stop()
        assert code == 0
        assert seconds < QUICK
        assert "password" not in first.logged
        assert password not in first.logged
    with home.running() as second:
        assert second.first_login is None
        assert "password" not in second.printed
        assert password not in second.printed + second.logged
        assert second.seconds < QUICK
        again = Browser(second.port, dict(browser.cookies))
        assert again.get("/").status == 200, "a login survives the restart"
        assert stats(again)["cameras"].keys() == {"lobby"}


def test_two_want_one_data_folder(tmp_path: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", [replay(make_clip)])
    with home.running() as first:
        browser = first.browser()
        began = time.monotonic()
        second = home.command("serve", "--port", "0")
        assert time.monotonic() - began < QUICK
        assert second.returncode == 1
        assert re.fullmatch(r"dashboard: another dashboard \(process \d+\) already uses .*\n", second.stderr)
        assert second.stdout == ""
        assert browser.get("/").status == 200
        wait_for(lambda: states(browser)["lobby"] == "live", 10, "the first one goes on")
        assert home.command("check").returncode == 0, "commands run beside the server"


def test_a_taken_port_is_told_before_anything_is_made(tmp_path: Path) -> None:
    home = Dashboard(tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        began = time.monotonic()
        done = home.command("serve", "--port", str(port))
    assert time.monotonic() - began < QUICK
    assert done.returncode == 1
    assert done.stderr == f"dashboard: cannot listen on 127.0.0.1 port {port}: another program already uses that port\n"
    assert not home.data.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras:\n  - id: door\n    ulr: rtsp://192.0.2.1/\n", "ulr"),
        ("cameras:\n  - id: ../x\n    device: 0\n", "id"),
        ("", "cameras.yaml"),
    ],
)
def test_a_bad_file_ends_the_start(tmp_path: Path, text: str, said: str) -> None:
    home = Dashboard(tmp_path / "home", text)
    began = time.monotonic()
    done = home.command("serve", "--port", "0")
    assert time.monotonic() - began < QUICK
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not home.data.exists()


def test_an_unusable_data_folder_ends_the_start(tmp_path: Path) -> None:
    home = Dashboard(tmp_path / "home")
    home.data.write_text("not a folder")
    done = home.command("serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("dashboard: ")
    assert done.stderr.count("\n") == 1


def _watched(server: Running, browser: Browser, stack: ExitStack) -> list[socket.socket]:
    """Five feeds and a wall, all of them showing pictures."""
    feeds = [stack.enter_context(browser.stream("/video_feed/lobby")) for _ in range(5)]
    for feed in feeds:
        read_picture(feed)
    wall = stack.enter_context(socket_of(browser))
    wall.send(json.dumps({"type": "watch", "tiles": [{"camera": "lobby", "width": 320, "fps": 5}]}))
    while not isinstance(wall.recv(10), bytes):
        pass
    return feeds


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, make_clip: ClipMaker, number: int) -> None:
    with RtspServer(make_clip()) as silent, RtspServer(make_clip(), quiet=True) as quiet, ExitStack() as stack:
        silent.silence()
        hung = [{"id": f"hung{n}", "url": each.url} for n, each in enumerate([silent, quiet, silent])]
        home = Dashboard(tmp_path / "home", [replay(make_clip), *hung])
        with home.running() as server:
            browser = server.browser()
            wait_for(lambda: states(browser)["lobby"] == "live" and silent.connections >= 2, 15, "all are under way")
            feeds = _watched(server, browser, stack)
            code, seconds = server.stop(number)
            print(f"ended after {seconds:.2f} s")
            assert code == 0
            assert seconds < QUICK
            assert all(read_until_closed(feed, 2) for feed in feeds)
            assert "Traceback" not in server.logged
            assert "ERROR" not in server.logged
        with home.running(port=server.port) as again:
            assert again.port == server.port
            assert Browser(again.port).get("/healthz").status == 200


def test_the_second_signal_does_not_wait(tmp_path: Path, make_clip: ClipMaker) -> None:
    with RtspServer(make_clip()) as silent, ExitStack() as stack:
        silent.silence()
        home = Dashboard(tmp_path / "home", [replay(make_clip), {"id": "hung", "url": silent.url, "timeout": 60}])
        with home.running() as server:
            browser = server.browser()
            wait_for(lambda: states(browser)["lobby"] == "live" and silent.connections, 15, "all are under way")
            _watched(server, browser, stack)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            code, seconds = server.stop(signal.SIGTERM)
            assert code in {0, 1}
            assert seconds < 1 + QUICK / 2


def _stored(home: Dashboard) -> tuple[list[str], list[Any]]:
    """Everything that is wrong with rows and files, however young, and all events."""
    db = Database(home.data)
    try:
        found = [str(finding) for finding in check(db, Snapshots(home.data), young=-1)]
        return found, list(Events(db, Snapshots(home.data)).page(limit=100).events)
    finally:
        db.close()


def test_killed_while_events_are_written(tmp_path: Path, make_clip: ClipMaker) -> None:
    chance = random.Random(4)
    busy = {"event_gap": 0.5, "minimum_motion_frames": 1}
    cameras = [replay(make_clip, f"cam{n}", motion=busy, detect={"fps": 10}) for n in range(3)]
    home = Dashboard(tmp_path / "home", cameras)
    cookies: dict[str, str] = {}
    for _ in range(3):
        with home.running() as server:
            browser = Browser(server.port, cookies) if cookies else server.browser()
            cookies = browser.cookies
            before = len(events(browser))
            wait_for(lambda: len(events(browser)) > before, 20, "an event is written")  # noqa: B023 - called here
            time.sleep(chance.random() * 1.5)
            server.kill()
    with home.running() as server:
        browser = Browser(server.port, cookies)
        assert browser.get("/").status == 200, "a login survives a crash"
        shown = events(browser)
        assert shown
        done = home.command("check")
        assert (done.returncode, done.stdout) == (0, "rows and files agree\n")
        time.sleep(1)  # the reconciler has little to do
        assert server.stop()[0] == 0
    found, kept = _stored(home)
    assert found == []
    assert {event["id"] for event in shown} <= {event.id for event in kept}
    assert [event.id for event in kept if event.ended_at is None] == []


def test_a_copy_made_while_it_runs_can_be_restored(tmp_path: Path, make_clip: ClipMaker) -> None:
    """As design/operations.md says: the database first, then the pictures; what came in between is taken up."""
    home, other = Dashboard(tmp_path / "home", [replay(make_clip)]), Dashboard(tmp_path / "other")
    with home.running() as server:
        browser = server.browser()
        wait_for(lambda: events(browser) and events(browser)[0]["end"], 20, "an event")
        other.data.mkdir(mode=0o700)
        source, copy = (sqlite3.connect(each.data / "dashboard.db") for each in (home, other))
        with closing(source), closing(copy):
            source.backup(copy)
        kept = {event["id"] for event in events(browser)}
        wait_for(lambda: {event["id"] for event in events(browser)} - kept, 20, "another event after the copy")
        shutil.copytree(home.data / "snapshots", other.data / "snapshots")
        shutil.copy(home.data / "secret", other.data / "secret")
        assert server.stop()[0] == 0
    for left in (other.data / "snapshots").rglob(".*.tmp"):
        left.unlink()  # a copy may catch a file at work
    with other.running() as restored:
        again = Browser(restored.port, dict(browser.cookies))
        assert {event["id"] for event in events(again)} >= kept, "and the login is good as well"
        time.sleep(1)  # the reconciler has little to do
        assert restored.stop()[0] == 0
    assert _stored(other)[0] == []


@pytest.mark.slow
def test_blind_is_not_green(tmp_path: Path, make_clip: ClipMaker) -> None:
    with RtspServer(make_clip()) as dead, RtspServer(make_clip()) as silent:
        dead.die()
        silent.silence()
        home = Dashboard(tmp_path / "home", [{"id": "dead", "url": dead.url}, {"id": "silent", "url": silent.url}])
        with home.running() as server:
            anybody = Browser(server.port)
            assert anybody.get("/healthz").status == 200, "they may still come"
            seconds = wait_for(lambda: anybody.get("/healthz").status == 503, 45, "no camera has given a picture")
            assert seconds > 25
            assert anybody.get("/login").status == 200
            assert set(states(server.browser()).values()) <= {"offline", "connecting"}

"""One running server with good and bad cameras, seen from outside: figures, secrets, rights of files, nonsense."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from dashboard.web import create_app
from tests.process import Dashboard, Running, events, read_picture, replay, states, stats, wait_for
from tests.servers.clips import ClipMaker
from tests.servers.mjpeg import MjpegServer
from tests.servers.rtsp import RtspServer
from tests.web_client import Browser, paths_of, read_until_closed
from tests.web_fakes import FakeCamera, fake_parts

PASSWORD = "s3cr3t p@ss/w%rd&é"
URL_PASSWORD = "t0p-secret-in-url"
TOKEN = "q1w2e3r4t5-token"

HOSTILE = [
    *(
        "-1",
        "0",
        "1",
        "99999999999999999999",
        "10e309",
        "1e309",
        "nan",
        "inf",
        "١٢",
        "0x10",
        "1.5",
        " 1",
        "true",
        "null",
    ),
    *(
        "\x00",
        "a\x00b",
        "'",
        '"',
        "' OR 1=1 --",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "%2e%2e%2f",
        "\\",
        "//",
    ),
    *("\r\nX-Evil: 1", "\u202e", "\ud7ff", "é" * 200, "A" * 10_000, "[]", "{}", "door", "2026-13-45", "0000-00-00"),
    *(
        "2026-11-24T25:61:61Z",
        "9999-12-31T23:59:59+99:99",
        "-9999-01-01",
        "2026-11-24T00:00:00+00:00:00.1",
        "9999-12-31",
    ),
]


@pytest.fixture(scope="module")
def cameras(make_clip: ClipMaker) -> Iterator[dict[str, Any]]:
    """A locked camera, one that refuses, and one that hangs, one that sends garbage, one that dies again and again."""
    mjpeg = make_clip("mjpeg")
    with ExitStack() as stack:
        locked = stack.enter_context(RtspServer(make_clip(), user="viewer", password=PASSWORD, auth=("digest",)))
        refuses = stack.enter_context(RtspServer(make_clip(), user="viewer", password="another"))
        hung = stack.enter_context(RtspServer(make_clip()))
        hung.silence()
        garbage = stack.enter_context(MjpegServer(mjpeg))
        dying = stack.enter_context(MjpegServer(mjpeg))
        dying.hang_up(after=3)
        yield {"locked": locked, "refuses": refuses, "hung": hung, "garbage": garbage, "dying": dying}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, make_clip: ClipMaker, cameras: dict[str, Any]) -> Dashboard:
    in_url = cameras["dying"].url.replace("://", f"://viewer:{URL_PASSWORD}@") + f"?token={TOKEN}"
    declared = [
        replay(make_clip),
        {"id": "locked", "url": cameras["locked"].url, "username": "viewer", "password": "${LOCKED_PASSWORD}"},
        {"id": "refuses", "url": cameras["refuses"].url, "username": "viewer", "password": PASSWORD},
        {"id": "hung", "url": cameras["hung"].url, "timeout": 2},
        {"id": "garbage", "url": cameras["garbage"].url},
        {"id": "dying", "url": in_url},
        {"id": "nobody", "url": f"rtsp://viewer:{URL_PASSWORD}@127.0.0.1:9/", "name": "<b>&"},
        {"id": "off", "device": 0, "enabled": False},
    ]
    home = Dashboard(tmp_path_factory.mktemp("running") / "home", declared, "timezone: Europe/Berlin\n")
    (home.folder / "cameras.env").write_text(f"LOCKED_PASSWORD={PASSWORD}\n")
    (home.folder / "cameras.env").chmod(0o600)
    return home


@pytest.fixture(scope="module")
def server(home: Dashboard) -> Iterator[Running]:
    with home.running("--log-level", "debug") as server:
        yield server
        code, seconds = server.stop()
        assert code == 0, server.logged[-2000:]
        assert seconds < 6


@pytest.fixture(scope="module")
def browser(server: Running) -> Browser:
    return server.browser()


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(fake_parts([FakeCamera("lobby")]))


def test_a_bad_camera_does_not_touch_the_others(browser: Browser, cameras: dict[str, Any]) -> None:
    good = ("lobby", "locked")
    wait_for(lambda: all(states(browser)[name] == "live" for name in good), 20, "the good ones are live")
    wait_for(lambda: states(browser)["hung"] == states(browser)["nobody"] == "offline", 20, "the bad ones are not")
    before = stats(browser)["cameras"]
    began, sent = time.monotonic(), cameras["locked"].frames
    for _ in range(6):
        cameras["garbage"].garbage_part()
        cameras["garbage"].garbage()
        time.sleep(0.5)
        now = stats(browser)["cameras"]
        assert all(now[name]["state"] == "live" for name in good)
        assert browser.get("/healthz").status == 200
    seconds = time.monotonic() - began
    now = stats(browser)["cameras"]
    for name in good:
        assert now[name]["reconnects"] == 0
        assert now[name]["decoded_frames"] - before[name]["decoded_frames"] > 5 * seconds  # of 10 a second
    assert (
        abs(now["locked"]["decoded_frames"] - before["locked"]["decoded_frames"] - cameras["locked"].frames + sent) < 8
    )
    assert now["dying"]["reconnects"] > 0
    assert now["refuses"]["reason"] == "wrong user name or password"
    assert now["off"]["state"] == "disabled"
    assert cameras["locked"].seen[-1].password in {PASSWORD, None}


def test_the_shape_of_the_figures(browser: Browser) -> None:
    found = stats(browser)
    assert found.keys() == {"cameras", "process", "disk"}
    assert set(found["cameras"]) == {"lobby", "locked", "refuses", "hung", "garbage", "dying", "nobody", "off"}
    for camera in found["cameras"].values():
        assert camera.keys() >= {"state", "reason", "since", "fps", "frame_age_s", "reconnects", "viewers"}
        assert camera.keys() >= {"decoded_frames", "encoded_jpegs"}
        assert camera["state"] in {"connecting", "live", "stalled", "offline", "disabled"}
        assert isinstance(camera["reason"], str)
        assert camera["frame_age_s"] is None or camera["frame_age_s"] >= 0
        assert all(isinstance(camera[key], int) for key in ("reconnects", "viewers", "decoded_frames", "encoded_jpegs"))
    assert all(found["process"][key] > 0 for key in ("threads", "fds", "rss_bytes"))
    assert found["disk"]["free_bytes"] > 0
    assert isinstance(found["disk"]["reserved"], bool)


def test_viewers_are_counted(browser: Browser) -> None:
    with closing(browser.stream("/video_feed/lobby")) as feed, closing(browser.stream("/video_feed/lobby")):
        read_picture(feed)
        wait_for(lambda: stats(browser)["cameras"]["lobby"]["viewers"] == 2, 5, "two watch")
    wait_for(lambda: stats(browser)["cameras"]["lobby"]["viewers"] == 0, 10, "nobody watches")


def test_metrics_are_those_of_the_statistics(server: Running, browser: Browser) -> None:
    assert Browser(server.port).get("/metrics").status == 401
    before = stats(browser)["cameras"]
    answer = browser.get("/metrics")
    after = stats(browser)["cameras"]
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, sample.labels.get("camera")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    for name, camera in after.items():
        assert samples["dashboard_camera_up", name] in {0.0, 1.0}
        for key in ("decoded_frames", "encoded_jpegs", "reconnects"):
            assert before[name][key] <= samples[f"dashboard_camera_{key}_total", name] <= camera[key]
    assert samples["process_resident_memory_bytes", None] > 0


def _pages(app: Flask, browser: Browser) -> dict[str, bytes]:
    """What a signed-in user gets for each address that takes a GET and ends."""
    event = str(events(browser)[0]["id"])
    gets = [path for path, methods in paths_of(app) if "GET" in methods]
    paths = [path for path in gets if "/video_feed/" not in path and not path.endswith(".mp4")]
    paths += [f"/cameras/{name}" for name in states(browser)] + [f"/api/cameras/{name}" for name in states(browser)]
    paths += ["/nowhere", "/api/nowhere", "/events?limit=x", "/metrics", "/healthz"]
    found = {}
    for path in {re.sub(r"/1(?=/|$)", f"/{event}", path.replace("/door", "/lobby")) for path in paths}:
        answer = browser.get(path)
        assert answer.status < 500 or path.endswith("latest.jpg"), path
        found[path] = answer.body + repr(answer.headers).encode()
    return found


def test_no_password_of_a_camera_comes_out(app: Flask, server: Running, browser: Browser) -> None:
    wait_for(lambda: events(browser), 20, "an event to show")
    with closing(browser.stream("/video_feed/nobody")) as feed:
        read_picture(feed)
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    found = {f"page {path}": body for path, body in _pages(app, browser).items()}
    found |= {"log": server.log.read_bytes(), "output": server.out.read_bytes()}
    found |= {f"command line of {process.pid}": " ".join(process.cmdline()).encode() for process in family}
    found["errors"] = server.home.command("check-config").stderr.encode()
    assert len(found) > 30
    for secret in (PASSWORD, URL_PASSWORD, TOKEN):
        forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
        forms |= {json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.encode().hex()}
        login = f"viewer:{secret}".encode()
        forms |= {base64.b64encode(secret.encode()).decode(), base64.b64encode(login).decode()}
        for where, text in found.items():
            for form in forms:
                assert form.encode() not in text, f"{where} shows a password as {form[:3]}…"
    if Path("/proc/self/environ").exists():
        assert PASSWORD.encode() not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()


def test_files_are_for_the_owner_alone(home: Dashboard, browser: Browser) -> None:
    wait_for(lambda: list((home.data / "snapshots").rglob("*.jpg")), 20, "a snapshot")
    event = events(browser)[0]["id"]
    browser.get(f"/api/events/{event}/thumbnail.jpg")
    assert stat.S_IMODE(home.data.stat().st_mode) == 0o700
    names = {path.name for path in home.data.iterdir()}
    assert {"dashboard.db", "secret", "snapshots"} <= names
    for path in home.data.rglob("*"):
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:  # a temporary file that got its name meanwhile
            continue
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} is {mode:o}"
    assert len((home.data / "secret").read_bytes()) >= 32


SECRET_NAMES = [
    *(".git/config", ".git/HEAD", ".env", "cameras.yaml", "cameras.env", "dashboard.db", "dashboard.db-wal"),
    *("data/dashboard.db", "secret", "data/secret", "data/", "snapshots/", "snapshots/lobby/"),
    *("static/../data/secret", "static/..%2fdata/secret", "static/%2e%2e/cameras.yaml", "requirements.lock"),
    *("pyproject.toml", "dashboard/__main__.py", "migrations/env.py", "templates/base.html", "console"),
    *("debug", "?__debugger__=yes&cmd=resource&f=style.css", "server-status", ".well-known/../data/secret"),
    *("static/../../etc/passwd",),
]


def _raw(port: int, head: bytes, wait: float = 5) -> bytes:
    """Bytes to the server, and what comes back until it closes or falls silent."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=wait)) as connection:
        try:
            connection.sendall(head)
            data = b""
            while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
                data += more
        except (ConnectionError, TimeoutError):
            pass
        return data


@pytest.mark.parametrize("signed_in", [True, False])
def test_no_file_has_an_address(server: Running, browser: Browser, signed_in: bool) -> None:
    assert len(SECRET_NAMES) >= 20
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items()) if signed_in else "x=y"
    for name in SECRET_NAMES:
        head = f"GET /{name} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        status = int(_raw(server.port, head.encode()).split(b" ")[1])
        page = signed_in and name.startswith("?")  # the wall, which knows no such parameter
        assert status in ({200} if page else {404, 302, 400}), f"/{name}: {status}"
        if signed_in and not page:
            assert status in {404, 400}, f"/{name}: {status}"


def test_bodies_and_heads_have_limits(server: Running, browser: Browser) -> None:
    token = browser.csrf("/account")
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": token}
    assert browser.ask("POST", "/api/events/1/reviewed", b"x" * (1024 * 1024 + 1), form).status == 413
    assert Browser(server.port).ask("POST", "/login", b"password=" + b"x" * 1024 * 1024, form).status == 413
    many = urlencode([(f"field{n}", "x") for n in range(1001)]).encode()
    assert 400 <= browser.ask("POST", "/account/password", many, form).status < 500
    big = _raw(server.port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 70_000 + b"\r\n\r\n")
    assert big.startswith(b"HTTP/1.1 4")
    assert b"Traceback" not in big
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ):
        assert not _raw(server.port, nonsense + b"\r\n\r\n", wait=2).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
    assert browser.get("/").status == 200


def _status(browser: Browser, path: str) -> int:
    """Of an answer whose body is not waited for: a feed has no end."""
    with closing(browser.stream(path)) as connection:
        data = b""
        while b"\r\n" not in data and (more := connection.recv(4096)):
            data += more
        return int(data.split(b" ")[1])


PICTURE, FILTER = ("width", "fps", "quality"), ("camera", "day", "hour", "reviewed")
PARAMETERS = {
    "/events": (*FILTER, "cursor"),
    "/events/1": FILTER,
    "/api/events": ("camera", "after", "before", "reviewed", "limit", "cursor"),
    "/api/events/1/snapshot.jpg": ("kind", "download"),
    "/api/cameras/lobby/latest.jpg": PICTURE,
    "/video_feed/lobby": PICTURE,
    "/login": ("next",),
    "/account": ("done",),
}


def test_hostile_queries_never_break_anything(app: Flask, server: Running, browser: Browser) -> None:
    paths = [path.replace("/door", "/lobby") for path, methods in paths_of(app) if "GET" in methods]
    assert set(PARAMETERS) <= set(paths)
    every = sorted({name for names in PARAMETERS.values() for name in names})
    asked = [f"{path}?{urlencode(dict.fromkeys(every, value))}" for path in paths for value in HOSTILE[::5]]
    for path, names in PARAMETERS.items():
        asked += [f"{path}?{urlencode({name: value})}" for name in names for value in HOSTILE]
    asked += [f"{path}?{raw}" for path in PARAMETERS for raw in ("%", "%zz=%ff&&&=", "limit=1&limit=x", "a" * 9000)]
    allowed = {200, 302, 304, 400, 404}
    for path in asked:
        status = _status(browser, path)
        if status == 503 and "latest.jpg" in path:
            continue
        if status == 426 and path.startswith("/live"):
            continue
        assert status in allowed, f"{path[:200]}: {status}"
    assert "Traceback" not in server.logged


def test_hostile_paths_never_break_anything(server: Running, browser: Browser) -> None:
    for value in HOSTILE:
        piece = quote(value[:3000], safe="")
        for path in (f"/cameras/{piece}", f"/api/cameras/{piece}", f"/api/events/{piece}", f"/events/{piece}"):
            assert _status(browser, path) in {200, 400, 404}, path
        for path in (f"/video_feed/{piece}", f"/api/cameras/{piece}/latest.jpg", f"/static/{piece}", f"/{piece}"):
            assert _status(browser, path) in {200, 400, 404}, path
    assert "Traceback" not in server.logged


def test_pages_show_the_time_zone(browser: Browser) -> None:
    wait_for(lambda: events(browser), 20, "an event to show")
    text = browser.get("/events").text
    assert re.search(r"\bCES?T\b", text) or "Europe/Berlin" in text


def test_a_login_that_ends_ends_its_streams(home: Dashboard, server: Running) -> None:
    commands = {
        "passwd": ("user", "passwd", "passwd", "--password-stdin"),
        "disabled": ("user", "disable", "disabled"),
        "removed": ("user", "remove", "removed"),
    }
    with ExitStack() as stack:
        feeds, browsers = {}, {}
        home.add_users("leaves", *commands, "stays")
        for name in ("leaves", *commands, "stays"):
            browsers[name] = server.browser(name)
            feeds[name] = stack.enter_context(closing(browsers[name].stream("/video_feed/lobby")))
            read_picture(feeds[name])
        assert browsers["leaves"].post("/logout", csrf_token=browsers["leaves"].csrf()).status == 302
        for command in commands.values():
            done = home.command(*command, stdin="A new one 5738\n")
            assert done.returncode == 0, done.stderr
        began = time.monotonic()
        for name in ("leaves", *commands):
            assert read_until_closed(feeds[name], 10), f"the stream of {name} goes on"
            assert browsers[name].get("/api/stats").status == 401
        assert time.monotonic() - began < 10
        read_picture(feeds["stays"])
        assert browsers["stays"].get("/api/stats").status == 200

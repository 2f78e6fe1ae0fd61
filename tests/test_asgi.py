"""The whole application on a socket: bounds against slow, frozen, large and many, and how it stops."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dashboard.web import serving as module
from dashboard.web.asgi import Application
from dashboard.web.auth import cookie_name
from dashboard.web.serving import PortTaken, Serving, listen, serve
from tests.web_client import Browser, read_until_closed, serving, until
from tests.web_fakes import FakeCamera, fake_parts

ROOT = Path(__file__).resolve().parent.parent
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with serving(fake_parts()) as browser:
        yield browser


def raw(browser: Browser, request: bytes, seconds: float = 5.0) -> bytes:
    """What comes back for these very bytes, until the server closes."""
    with closing(socket.create_connection(("127.0.0.1", browser.port), seconds)) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except TimeoutError:
            pass
        return answer


def test_pages_and_statics_come_through_the_bridge(browser: Browser) -> None:
    assert browser.get("/login").status == 200
    style = browser.get("/static/style.css")
    assert (style.status, style.headers["content-type"].split(";")[0]) == (200, "text/css")
    assert browser.get("/static/../cameras.yaml").status == 404
    assert browser.get("/static/%2e%2e/cameras.yaml").status == 404
    assert browser.get("/static/..%2fcameras.yaml").status == 404
    assert browser.get("/static//etc/passwd").status == 404


@pytest.mark.parametrize(
    ("size", "signed_in", "status"),
    [(1_000_000, False, 413), (1_000_000, True, 413), (3_000_000, True, 413), (70_000, False, 413)],
)
def test_large_bodies(browser: Browser, size: int, signed_in: bool, status: int) -> None:
    asker = Browser(browser.port)
    if signed_in:
        asker.sign_in()
    answer = asker.ask("POST", "/login", b"password=" + b"x" * size, FORM)
    assert answer.status == status


def test_a_large_body_in_chunks(browser: Browser) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(browser, head + chunk * 20 + b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_small_body_in_chunks_is_a_body(browser: Browser) -> None:
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(browser, head + b"3\r\na=b\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 "), "the token is missing"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /login HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /login HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x00" * 100 + b"\r\n\r\n",
    ],
    ids=range(8),
)
def test_heads_that_are_too_large_or_no_heads(browser: Browser, head: bytes) -> None:
    try:
        answer = raw(browser, head)
    except ConnectionError:
        return  # closed while we were still sending
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert browser.get("/healthz").status == 200


def test_a_thousand_fields(browser: Browser) -> None:
    assert browser.ask("POST", "/login", b"a=&" * 1001, FORM).status == 413


def test_a_proxy_on_this_machine_is_believed_about_https_and_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dashboard.web.auth")
    parts = fake_parts()
    with serving(parts) as browser:
        forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        answer = browser.ask("GET", "/login", headers=forwarded)
        assert "Secure" in answer.cookies[0]
        browser.ask("POST", "/login", b"", {**FORM, **forwarded})
        token = browser.csrf("/login")
        body = f"username=admin&password=no&csrf_token={token}".encode()
        assert browser.ask("POST", "/login", body, {**FORM, **forwarded}).status == 401
        assert "from 192.0.2.7 failed" in caplog.text


def test_many_readers_who_do_not_read_hold_no_page_thread() -> None:
    with serving(fake_parts()) as browser, ExitStack() as open_ones:
        for _ in range(20):
            connection = open_ones.enter_context(closing(browser.stream("/static/style.css", buffer=2048)))
            connection.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        began = time.monotonic()
        assert browser.get("/login").status == 200
        assert time.monotonic() - began < 3


def test_half_sent_requests_are_closed_and_pages_answer_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADERS_WITHIN_S", 1.0)
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 1)
    monkeypatch.setattr("dashboard.web.asgi.BODY_WITHIN_S", 1.0)
    with serving(fake_parts()) as browser, ExitStack() as open_ones:
        halves = [
            b"",
            b"GET /login HTTP/1.1\r\nHost: x\r\n",
            b"GET /login HTTP/1.1\r\nHost: x\r\n\r\nGET /login HTT",
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        ]
        connections = []
        for half in halves * 20:
            connection = open_ones.enter_context(closing(socket.create_connection(("127.0.0.1", browser.port), 5)))
            connection.sendall(half)
            connections.append(connection)
        began = time.monotonic()
        assert browser.get("/login").status == 200
        assert time.monotonic() - began < 3
        for connection, half in zip(connections, halves * 20, strict=True):
            if half.startswith(b"POST / "):
                connection.sendall(b"x")  # refused before its body was read; more of it does not keep it open
        assert all(read_until_closed(connection, 8) for connection in connections)


def test_a_request_that_drips_is_closed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADERS_WITHIN_S", 1.0)
    with (
        serving(fake_parts()) as browser,
        closing(socket.create_connection(("127.0.0.1", browser.port), 5)) as connection,
    ):
        connection.sendall(b"GET /login HTTP/1.1\r\nX: ")

        def drip() -> bool:
            try:
                connection.sendall(b"x")
            except OSError:
                return True
            return False

        assert until(drip, 6)


def test_an_idle_connection_is_kept_for_a_while_and_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 1)
    with (
        serving(fake_parts()) as browser,
        closing(socket.create_connection(("127.0.0.1", browser.port), 5)) as connection,
        closing(connection.makefile("rb")) as answers,
    ):
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            while answers.readline() != b"ok\n":
                pass
        assert read_until_closed(connection, 5)


def test_more_connections_than_there_is_room_for_cost_the_idle_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 30)
    door = FakeCamera("door")
    with serving(fake_parts([door])) as browser, ExitStack() as open_ones:
        browser.sign_in()
        viewer = open_ones.enter_context(closing(browser.stream("/video_feed/door")))
        assert until(lambda: door.frames.followers == 1)
        idle = [
            open_ones.enter_context(closing(socket.create_connection(("127.0.0.1", browser.port), 5)))
            for _ in range(60)
        ]
        assert read_until_closed(idle[0], 5), "the one that was waited for longest"
        assert browser.get("/healthz").status == 200
        assert door.frames.followers == 1
        assert not read_until_closed(viewer, 0.2)


def test_a_taken_port_is_a_clear_error() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}: another program already uses that port"):
            Serving(Application(fake_parts()), "127.0.0.1", port).run()
    with pytest.raises(PortTaken, match=r"cannot listen on 192\.0\.2\.1 port"):
        listen("192.0.2.1", 0)


def test_the_same_port_can_be_used_again_at_once() -> None:
    with listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    for _ in range(5):
        stop = threading.Event()

        def started(host: str, port: int, stop: threading.Event = stop) -> None:
            threading.Thread(target=lambda: (Browser(port).get("/healthz"), stop.set())).start()

        serve(Application(fake_parts()), "127.0.0.1", port, started, stop)


def test_a_stop_that_comes_before_the_start_is_not_forgotten() -> None:
    server = Serving(Application(fake_parts()), "127.0.0.1", 0)
    server.request_stop()
    server.run()


SCRIPT = """
import signal, sys, threading
from dashboard.web.asgi import Application
from dashboard.web.serving import Serving
from tests.web_fakes import FakeCamera, fake_parts, run_camera
door = FakeCamera("door")
run_camera(door, threading.Event())
server = Serving(Application(fake_parts([door])), "127.0.0.1", 0, lambda host, port: print(port, flush=True))
signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
server.run()
"""


def start() -> tuple[subprocess.Popen[str], Browser]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Browser(int(process.stdout.readline()))


def test_sigterm_ends_the_process_though_some_watch_and_some_are_frozen() -> None:
    process, browser = start()
    with process, ExitStack() as open_ones:
        browser.sign_in()
        for _ in range(3):
            open_ones.enter_context(closing(browser.stream("/video_feed/door")))
        frozen = open_ones.enter_context(closing(browser.stream("/video_feed/door", buffer=2048)))
        half = open_ones.enter_context(closing(socket.create_connection(("127.0.0.1", browser.port))))
        half.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert frozen.recv(100)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5


def test_a_second_sigterm_does_not_wait() -> None:
    process, browser = start()
    with process, ExitStack() as open_ones:
        half = open_ones.enter_context(closing(socket.create_connection(("127.0.0.1", browser.port))))
        half.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 3


def test_a_store_that_fails_is_told_as_such() -> None:
    from dashboard.errors import StoreError

    class BrokenSessions:
        def find(self, token: str) -> Any:
            raise StoreError("database is locked")

    parts = fake_parts(sessions=BrokenSessions())
    with serving(parts) as browser:
        browser.cookies[cookie_name(parts.secret)] = "x" * 43
        for path in ("/", "/api/cameras", "/video_feed/door"):
            answer = browser.get(path)
            assert answer.status == 503
            assert b"locked" not in answer.body

"""Streams over real sockets: what comes, when a stream ends, who is let in; and the same without an event loop."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dashboard import notices
from dashboard.live.audience import Audience
from dashboard.live.wall import HEADER
from dashboard.web import create_app
from dashboard.web.streams import same_origin
from tests.web_client import Browser, read_until_closed, serving, token_of, until
from tests.web_fakes import PASSWORDS, FakeCamera, FakeFrame, fake_parts, run_camera


@contextmanager
def running(*cameras: FakeCamera, fps: float = 20, **changes: Any) -> Iterator[tuple[Browser, Any]]:
    """A server over these cameras, which run, and a browser that is signed in."""
    parts = fake_parts(list(cameras), **changes)
    stop = threading.Event()
    threads = [run_camera(camera, stop, fps) for camera in cameras]
    try:
        with serving(parts) as browser:
            assert browser.sign_in().status == 302
            yield browser, parts
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


def wall_of(browser: Browser, **headers: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{browser.port}/live",
        additional_headers={**browser.cookie_header, **headers},
        ping_interval=None,
        compression=None,
    )


def close_code(wall: ClientConnection) -> int | None:
    """The code with which the server closes `wall`; what comes before is thrown away."""
    try:
        while True:
            wall.recv(10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


class Parts:
    """Reads a multipart stream picture by picture."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = self._headers()
        self._left = b""

    def _headers(self) -> dict[str, str]:
        lines = iter(lambda: self.file.readline().strip().decode(), "")
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def _line(self) -> bytes:
        while b"\r\n" not in self._left:
            self._left += self._chunk()
        line, _, self._left = self._left.partition(b"\r\n")
        return line

    def _chunk(self) -> bytes:
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        self.file.readline()
        if not size:
            raise EOFError
        return data

    def next(self) -> tuple[dict[str, str], bytes]:
        assert self._line() == b"--frame"
        head: dict[str, str] = {}
        while line := self._line().decode():
            name, value = line.split(": ", 1)
            head[name.lower()] = value
        size = int(head["content-length"])
        while len(self._left) < size + 2:
            self._left += self._chunk()
        body, self._left = self._left[:size], self._left[size + 2 :]
        return head, body


def test_a_stream_of_pictures_each_with_its_time() -> None:
    with running(FakeCamera("door")) as (browser, parts), closing(browser.stream("/video_feed/door")) as connection:
        stream = Parts(connection)
        assert stream.status == 200
        assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-content-type-options"] == "nosniff"
        times = []
        for _ in range(5):
            head, body = stream.next()
            assert head["content-type"] == "image/jpeg"
            assert body.startswith(b"\xff\xd8\xff")
            assert body.endswith(b"\xff\xd9")
            times.append(float(head["x-timestamp"]))
        assert times == sorted(times)
        assert abs(times[-1] - time.time()) < 3
        assert parts.audience.viewers("door") == 1


def test_a_viewer_who_leaves_frees_the_camera_though_it_is_silent() -> None:
    door = FakeCamera("door")
    with serving(fake_parts([door])) as browser:
        browser.sign_in()
        connection = browser.stream("/video_feed/door")
        assert until(lambda: door.frames.followers == 1)
        connection.close()
        assert until(lambda: door.frames.followers == 0, 2)


def test_no_signal_is_shown_when_a_camera_is_down_and_never_an_old_picture() -> None:
    drawn: list[tuple[str, int]] = []

    def no_signal(camera: FakeCamera, width: int) -> bytes:
        drawn.append((camera.id, width))
        return b"\xff\xd8\xffno signal\xff\xd9"

    attic = FakeCamera("attic", state="offline", reason="host unreachable")
    attic.publish(FakeFrame("attic", 1, at=time.monotonic() - 11))
    with serving(fake_parts([attic], no_signal=no_signal)) as browser:
        browser.sign_in()
        with closing(browser.stream("/video_feed/attic?width=300")) as connection:
            stream = Parts(connection)
            for _ in range(2):
                head, body = stream.next()
                assert "no signal" in body.decode("latin-1")
                assert "x-timestamp" not in head
            attic.state = "live"
            attic.publish()
            head, body = stream.next()
            assert "x-timestamp" in head, "and as soon as it is back, so are its pictures"
        assert drawn[0] == ("attic", 320)
        attic.publish(FakeFrame("attic", 3, at=time.monotonic() - 11))
        answer = browser.get("/api/cameras/attic/latest.jpg")
        assert answer.status == 503


def test_the_last_picture_is_repeated_while_it_is_young() -> None:
    door = FakeCamera("door")
    door.publish()
    with serving(fake_parts([door])) as browser:
        browser.sign_in()
        with closing(browser.stream("/video_feed/door")) as connection:
            stream = Parts(connection)
            first, again = stream.next(), stream.next()
            assert first == again


def test_latest_gives_one_picture_of_now() -> None:
    with running(FakeCamera("door"), FakeCamera("attic", state="offline", reason="wrong password")) as (browser, _):
        answer = browser.get("/api/cameras/door/latest.jpg?width=320")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
        assert abs(float(answer.headers["x-timestamp"]) - time.time()) < 3
        assert answer.body.startswith(b"\xff\xd8\xff")
        assert answer.headers["cache-control"] == "no-store"
        head = browser.ask("HEAD", "/api/cameras/door/latest.jpg")
        assert (head.status, head.body) == (200, b"")
        missing = browser.get("/api/cameras/attic/latest.jpg")
        assert missing.status == 503
        assert json.loads(missing.body) == {"error": "no picture: offline, wrong password"}
        assert int(missing.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/video_feed/{}", "/api/cameras/{}/latest.jpg"])
def test_unknown_cameras_hostile_values_and_other_methods(path: str) -> None:
    with running(FakeCamera("door")) as (browser, _):
        for name in ("nobody", "..", "%2e%2e", "door%00", "door%2f..", "x" * 5000, "%ff", "door'", "DOOR"):
            assert browser.get(path.format(name)).status == 404, name
        for query in ("width=0", "width=99999", "fps=0", "fps=nan", "quality=1", "quality=96", "width=", "fps=1e309"):
            answer = browser.get(path.format("door") + "?" + query)
            assert answer.status == 400, query
            assert "must be" in json.loads(answer.body)["error"]
        assert browser.get(path.format("door") + "?width=x&" + "a=1&" * 3000).status == 400
        token = browser.csrf()
        for method in ("POST", "PUT", "DELETE"):
            answer = browser.ask(method, path.format("door"), b"", {"X-CSRFToken": token})
            assert answer.status == 405
        assert browser.ask("HEAD", path.format("door")).body == b""
        assert browser.ask("HEAD", path.format("door")).status == 200


def test_logout_ends_the_streams_of_that_login_and_no_other() -> None:
    with running(FakeCamera("door")) as (browser, parts):
        other = Browser(browser.port)
        other.sign_in("viewer")
        mine, theirs = browser.stream("/video_feed/door"), other.stream("/video_feed/door")
        with closing(mine), closing(theirs), wall_of(browser) as wall:
            assert until(lambda: parts.audience.viewers("door") == 2)
            browser.post("/logout", csrf_token=browser.csrf())
            assert read_until_closed(mine, 10)
            assert close_code(wall) == 4401
            assert not read_until_closed(theirs, 0.5)


def test_a_login_that_ends_elsewhere_ends_its_streams_too() -> None:
    with running(FakeCamera("door")) as (browser, parts), closing(browser.stream("/video_feed/door")) as connection:
        assert until(lambda: len(parts.audience) == 1)
        parts.sessions.rows.pop(token_of(browser, parts))  # as another process, or time, would: nobody says a word
        assert read_until_closed(connection, 10)


def test_a_store_that_cannot_be_asked_cuts_nobody_off() -> None:
    with running(FakeCamera("door")) as (browser, parts), closing(browser.stream("/video_feed/door")) as connection:

        def alive(ids: Any) -> set[int]:
            raise OSError("database is locked")

        parts.sessions.alive = alive
        assert not read_until_closed(connection, 4)


def test_a_removed_camera_ends_its_streams_and_a_changed_one_goes_on() -> None:
    door, yard = FakeCamera("door"), FakeCamera("yard")
    with running(door, yard) as (browser, parts):
        one, two = browser.stream("/video_feed/door"), browser.stream("/video_feed/yard")
        with closing(one), closing(two):
            assert until(lambda: len(parts.audience) == 2)
            new = FakeCamera("yard")
            parts.cameras.by_id = {"yard": new}
            door.frames.close()
            yard.frames.close()
            assert read_until_closed(one, 5)
            assert until(lambda: new.frames.followers == 1)
            assert not read_until_closed(two, 0.2)


def test_a_camera_that_vanished_without_a_word_ends_its_streams_too() -> None:
    door = FakeCamera("door")
    parts: Any = fake_parts([door])
    with serving(parts) as browser:
        browser.sign_in()
        with closing(browser.stream("/video_feed/door")) as connection:
            assert until(lambda: door.frames.followers == 1)
            parts.cameras.by_id = {}
            assert read_until_closed(connection, 8)


def test_more_viewers_than_seats_are_sent_away() -> None:
    with running(FakeCamera("door"), audience=Audience(limit=3)) as (browser, parts):
        seated = [browser.stream("/video_feed/door") for _ in range(3)]
        assert until(lambda: len(parts.audience) == 3)
        answer = browser.get("/video_feed/door")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        with pytest.raises(InvalidStatus) as refused:
            wall_of(browser)
        assert refused.value.response.status_code == 503
        seated.pop().close()
        assert until(lambda: len(parts.audience) == 2)
        with closing(browser.stream("/video_feed/door")) as connection:
            assert Parts(connection).status == 200
        for connection in seated:
            connection.close()


@pytest.mark.slow
def test_frozen_viewers_are_dropped_and_cost_the_others_nothing() -> None:
    big = b"\xff\xd8\xff" + b"x" * 40_000 + b"\xff\xd9"
    door = FakeCamera("door")
    parts = fake_parts([door])
    with serving(parts) as browser:
        browser.sign_in()
        stop = threading.Event()

        def publish() -> None:
            while not stop.wait(0.05):
                door.published += 1
                door.publish(FakeFrame("door", door.published, body=big))

        publisher = threading.Thread(target=publish, daemon=True)
        publisher.start()
        frozen = [browser.stream("/video_feed/door", buffer=8192) for _ in range(10)]
        with closing(browser.stream("/video_feed/door")) as good:
            stream, began, got = Parts(good), time.monotonic(), 0
            while time.monotonic() - began < 3:
                stream.next()
                got += 1
            assert got > 3 * 20 * 0.6, "the good one gets its pictures"
            reader = threading.Thread(target=lambda: read_until_closed(good, 20), daemon=True)
            reader.start()
            assert until(lambda: parts.audience.viewers("door") == 1, 18), "all frozen ones are gone"
        stop.set()
        publisher.join(5)
        for connection in frozen:
            connection.close()


# --- the wall over the wire -----------------------------------------------------------------------------------------


def test_the_wall_over_the_wire() -> None:
    with running(FakeCamera("door"), FakeCamera("yard")) as (browser, _), wall_of(browser) as wall:
        first = json.loads(wall.recv(5))
        assert [camera["id"] for camera in first["cameras"]] == ["door", "yard"]
        wall.send(json.dumps({"type": "watch", "tiles": [{"camera": "yard", "width": 320, "fps": 30}]}))
        pictures = 0
        while pictures < 5:
            message = wall.recv(5)
            if isinstance(message, bytes):
                version, _, index, frame, _, _ = HEADER.unpack_from(message)
                assert (version, index) == (1, 1)
                assert message[HEADER.size :].startswith(b"\xff\xd8\xff")
                wall.send(json.dumps({"type": "drawn", "camera": "yard", "frame": frame}))
                pictures += 1


@pytest.mark.parametrize(
    ("message", "code"), [('{"type":"shout"}', 4400), (b"\x00\x01", 4400), ("x" * 17000, 1009), ("[" * 9000, 4400)]
)
def test_a_bad_message_closes_that_wall_alone(message: str | bytes, code: int) -> None:
    with running(FakeCamera("door")) as (browser, _), wall_of(browser) as bad, wall_of(browser) as good:
        bad.send(message)
        assert close_code(bad) == code
        assert json.loads(good.recv(5))["type"] == "cameras"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403), ("", 403), ("http://[", 403)],
)
def test_another_site_may_not_open_the_wall(origin: str, status: int) -> None:
    with running(FakeCamera("door")) as (browser, _):
        with pytest.raises(InvalidStatus) as refused:
            wall_of(browser, Origin=origin)
        assert refused.value.response.status_code == status
        with wall_of(browser, Origin=f"http://127.0.0.1:{browser.port}") as wall:
            assert wall.recv(5)


def test_the_wall_is_closed_to_strangers() -> None:
    with serving(fake_parts()) as browser:
        for headers in ({}, {"Cookie": "dashboard_x=1"}):
            with pytest.raises(InvalidStatus) as refused:
                wall_of(browser, **headers)
            assert refused.value.response.status_code == 401
        browser.sign_in()
        assert browser.get("/live").status == 426


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        (None, "cam.example", True),
        ("https://cam.example", "cam.example", True),
        ("http://cam.example", "cam.example:80", True),
        ("https://cam.example", "cam.example:443", True),
        ("http://cam.example:8000", "cam.example:8000", True),
        ("http://CAM.example", "cam.EXAMPLE", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://cam.example:8000", "cam.example", False),
        ("http://evil.example", "cam.example", False),
        ("http://cam.example.evil", "cam.example", False),
        ("http://cam.example@evil", "cam.example", False),
        ("file://cam.example", "cam.example", False),
        ("http://cam.example:99999", "cam.example", False),
        ("null", "", False),
        ("http://", "", False),
    ],
)
def test_origin_and_host(origin: str | None, host: str, same: bool) -> None:
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    assert same_origin({"headers": headers}) is same


# --- the plain Flask app --------------------------------------------------------------------------------------------


def test_the_same_stream_without_an_event_loop() -> None:
    door = FakeCamera("door")
    parts = fake_parts([door, FakeCamera("attic", state="offline")])
    client = create_app(parts).test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)
    assert token
    assert client.get("/video_feed/door").status_code == 401
    client.post("/login", data={"username": "admin", "password": PASSWORDS["admin"], "csrf_token": token[1]})
    stop = threading.Event()
    thread = run_camera(door, stop)
    try:
        response = client.get("/video_feed/door?fps=30&width=160")
        assert response.content_type == "multipart/x-mixed-replace; boundary=frame"
        chunks = [next(response.iter_encoded()) for _ in range(4)]
        assert chunks[0] == b"--frame\r\n"
        assert all(b"\xff\xd8\xff" in chunk and b"X-Timestamp" in chunk for chunk in chunks[1:])
        response.close()
        latest = client.get("/api/cameras/door/latest.jpg")
        assert (latest.status_code, latest.mimetype) == (200, "image/jpeg")
        assert client.get("/video_feed/nobody").status_code == 404
        assert client.get("/video_feed/door?fps=0").status_code == 400
        assert client.get("/api/cameras/attic/latest.jpg").status_code == 503
    finally:
        stop.set()
        thread.join(5)


def test_the_end_of_the_server_ends_every_stream() -> None:
    parts = fake_parts([FakeCamera("door")])
    with ExitStack() as open_ones:
        with serving(parts) as browser:
            browser.sign_in()
            streams = [open_ones.enter_context(closing(browser.stream("/video_feed/door"))) for _ in range(5)]
            wall = open_ones.enter_context(wall_of(browser))
            assert until(lambda: len(parts.audience) == 6)
            began = time.monotonic()
        assert time.monotonic() - began < 3
        assert all(read_until_closed(stream, 1) for stream in streams)
        assert close_code(wall) == 1012


def test_notices_of_other_things_end_nothing() -> None:
    with running(FakeCamera("door")) as (browser, parts), closing(browser.stream("/video_feed/door")) as connection:
        assert until(lambda: len(parts.audience) == 1)
        parts.notices.publish(notices.MotionStarted(1, "door", 0.0))
        parts.notices.publish(notices.SessionsEnded((999,)))
        assert not read_until_closed(connection, 0.5)

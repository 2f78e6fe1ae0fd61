from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from dashboard.capture.network import translate
from dashboard.capture.source import Packet, Source, open_source
from dashboard.errors import SourceError, SourceRefused
from tests.capture_fakes import PICTURE, FakeSpec
from tests.servers.clips import ClipMaker
from tests.servers.listener import LoopbackServer
from tests.servers.mjpeg import MjpegServer
from tests.servers.rtsp import RtspServer

EVERY_SIGN = "".join(chr(code) for code in range(32, 127))
SECRET = "s3cr3t-w0rd"


def with_user(url: str, user: str, password: str) -> str:
    return url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@")


def read(source: Source, count: int, seconds: float = 20) -> list[Packet]:
    """The next packets."""
    found: list[Packet] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline
        item = source.read()
        if item is not None:
            assert isinstance(item, Packet)
            found.append(item)
    return found


def open_and_read(spec: FakeSpec, count: int) -> list[Packet]:
    """The first packets of a camera."""
    with closing(open_source(spec)) as source:
        return read(source, count, 60)


def fails(url: str, timeout: float = 5.0) -> SourceError:
    """How opening or reading fails."""
    with pytest.raises(SourceError) as caught:
        open_and_read(FakeSpec(url=url, timeout=timeout), 10_000)
    assert SECRET not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


@pytest.fixture
def rtsp(make_clip: ClipMaker) -> Iterator[RtspServer]:
    with RtspServer(make_clip("h264")) as server:
        yield server


@pytest.fixture
def mjpeg(make_clip: ClipMaker) -> Iterator[MjpegServer]:
    with MjpegServer(make_clip("mjpeg")) as server:
        yield server


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_rtsp_gives_packets_with_times(make_clip: ClipMaker, codec: str, transport: str) -> None:
    before, at = time.time(), time.monotonic()
    with RtspServer(make_clip(codec)) as server:
        packets = open_and_read(FakeSpec(url=server.url, transport=transport), 15)
    assert {packet.codec for packet in packets} == {codec}
    assert any(packet.key for packet in packets)
    assert all(packet.data for packet in packets)
    assert before <= packets[0].taken_at <= packets[-1].taken_at <= time.time()
    assert at <= packets[0].at <= packets[-1].at <= time.monotonic()


@pytest.mark.parametrize("schemes", [("basic",), ("digest",), ("digest-plain",)])
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_passwords_of_any_signs_arrive(make_clip: ClipMaker, kind: str, schemes: tuple[str, ...]) -> None:
    kinds: dict[str, Callable[..., RtspServer | MjpegServer]] = {"rtsp": RtspServer, "http": MjpegServer}
    clip = make_clip("h264" if kind == "rtsp" else "mjpeg")
    with kinds[kind](clip, user="vie wer", password=EVERY_SIGN, auth=schemes) as server:
        with closing(open_source(FakeSpec(url=with_user(server.url, "vie wer", EVERY_SIGN)))) as source:
            read(source, 2)
        assert server.seen[-1].right
        for url, words in (
            (server.url, "asks for a user name and a password"),
            (with_user(server.url, "vie wer", SECRET), "wrong user name or password"),
        ):
            error = fails(url)
            assert isinstance(error, SourceRefused)
            assert words in str(error)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_what_the_camera_answers_in_words(rtsp: RtspServer, mjpeg: MjpegServer, status: int) -> None:
    for server in (rtsp, mjpeg):
        server.answer(status)
        error = fails(with_user(server.url, "viewer", SECRET))
        assert isinstance(error, SourceRefused) == (status < 500)


def test_nobody_there() -> None:
    assert str(fails("rtsp://127.0.0.1:1/x")) == "connection refused"
    assert str(fails("http://127.0.0.1:1/x")) == "connection refused"
    assert "not known" in str(fails("rtsp://name.invalid/x"))
    assert "not known" in str(fails("http://name.invalid/x"))


def timed(url: str, timeout: float = 1.0) -> tuple[str, float]:
    start = time.monotonic()
    return str(fails(url, timeout)), time.monotonic() - start


def test_silence_and_drips_end(rtsp: RtspServer, mjpeg: MjpegServer) -> None:
    for fault in ("silence", "stall", "drip"):
        for server in (rtsp, mjpeg):
            server.resume()
            getattr(server, fault)()
            reason, seconds = timed(server.url)
            assert reason in ("no answer within 1 s", "no picture within 1 s", "the connection broke"), fault
            assert seconds < 8


@pytest.mark.parametrize("fault", ["hang_up", "drop"])
def test_connections_that_are_closed(rtsp: RtspServer, mjpeg: MjpegServer, fault: str) -> None:
    for server in (rtsp, mjpeg):
        if fault == "hang_up":
            server.hang_up()
            reason, _ = timed(server.url)
        else:
            threading.Timer(0.7, server.drop).start()
            reason, _ = timed(server.url, timeout=5)
        assert reason in (
            "the camera closed the connection",
            "the stream ended",
            "the connection broke",
            "no answer in RTSP",
        )


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "concat:/etc/passwd|/etc/hosts",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "data:video/mp4;base64,AAAA",
        "rtp://127.0.0.1:5004",
        "udp://127.0.0.1:5004",
        "",
    ],
)
def test_only_the_four_schemes_are_opened(url: str) -> None:
    assert "must begin with rtsp, rtsps, http or https" in str(fails(url))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://127.0.0.1:1/", "rtsp://127.0.0.1:1/"])
def test_redirects_are_not_followed(mjpeg: MjpegServer, target: str) -> None:
    mjpeg.redirect(target)
    error = fails(mjpeg.url)
    assert isinstance(error, SourceRefused)
    assert "another address" in str(error)


def test_mjpeg_survives_what_is_between_its_pictures(mjpeg: MjpegServer) -> None:
    with closing(open_source(FakeSpec(url=mjpeg.url))) as source:
        for fault in (mjpeg.garbage, mjpeg.garbage_part, mjpeg.wrong_length, mjpeg.no_length):
            read(source, 3)
            fault()
            read(source, 5, seconds=10)
        mjpeg.huge_part(20 << 20)
        read(source, 5, seconds=20)
    assert mjpeg.plays == 1


def test_a_single_picture_is_asked_for_again_and_again(mjpeg: MjpegServer) -> None:
    with closing(open_source(FakeSpec(url=mjpeg.still_url, fps=10))) as source:
        packets = read(source, 4)
    assert {packet.data[:2] for packet in packets} == {b"\xff\xd8"}
    assert packets[-1].at - packets[0].at > 0.2
    assert len(mjpeg.requests) >= 4


class BodyServer(LoopbackServer):
    """Sends one HTTP answer of a given type and bytes, then waits for the client to leave."""

    def __init__(self, content_type: str, body: bytes, *, close: bool = False) -> None:
        super().__init__("body-server")
        self.content_type, self.body, self.close_after = content_type, body, close

    def serve(self, client) -> None:  # type: ignore[no-untyped-def]
        client.recv(65536)
        with suppress(OSError):
            client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n\r\n".encode() + self.body)
            while not self.close_after and client.recv(4096):
                pass

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream"


def as_mpegts(path: Path) -> bytes:
    """The clip in a transport stream."""
    target = path.with_suffix(".ts")
    with av.open(str(path)) as source, av.open(str(target), "w", format="mpegts") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return target.read_bytes()


def test_video_over_http(make_clip: ClipMaker) -> None:
    body = as_mpegts(make_clip("h264").path)
    with BodyServer("video/mp2t", body, close=True) as server:
        with closing(open_source(FakeSpec(url=server.url))) as source:
            packets = read(source, 30)
        assert {packet.codec for packet in packets} == {"h264"}
        assert packets[0].key
        assert str(fails(server.url)) == "the stream ended"


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [  # playlists, noise, and what is no video
        ("text/html", b"<html>", "not with video"),
        (
            "application/vnd.apple.mpegurl",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n",
            "not with video",
        ),
        (
            "video/mp2t",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n" * 9,
            "no picture within 1 s",
        ),
        ("video/mp4", b"ffconcat version 1.0\nfile /etc/passwd\n" * 9, "no picture within 1 s"),
        ("video/mp4", os.urandom(200_000), "cannot be read|no picture"),
        ("multipart/x-mixed-replace; boundary=b", os.urandom(200_000), "no picture within 1 s"),
    ],
)
def test_bodies_that_are_no_pictures(content_type: str, body: bytes, words: str) -> None:
    with BodyServer(content_type, body) as server:
        assert re.search(words, str(fails(server.url, timeout=1)))
    with BodyServer(content_type, body, close=True) as server:
        assert re.search("cannot be read|not with video|closed", str(fails(server.url, timeout=1)))


def test_bombs_are_refused_in_words() -> None:
    place = PICTURE.index(b"\xff\xc0")
    bomb = PICTURE[: place + 5] + (8192).to_bytes(2, "big") * 2 + PICTURE[place + 9 :]
    with BodyServer("multipart/x-mixed-replace; boundary=b", bomb * 5) as server:
        assert "8192x8192 pixels, too large" in str(fails(server.url, timeout=1))


def test_what_fails_is_closed(rtsp: RtspServer, mjpeg: MjpegServer) -> None:
    """Neither descriptors nor threads stay, however a connection ends."""
    fails(mjpeg.url.replace(str(mjpeg.port), "1"))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    rtsp.answer(404)
    for _ in range(20):
        fails("http://127.0.0.1:1/")
        fails("rtsp://127.0.0.1:1/")
        fails(rtsp.url)
        mjpeg.answer(404)
        fails(mjpeg.url)
        mjpeg.resume()
        with closing(open_source(FakeSpec(url=mjpeg.url))) as source:
            read(source, 1)
    deadline = time.monotonic() + 10
    while rtsp.clients + mjpeg.clients and time.monotonic() < deadline:
        time.sleep(0.05)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_errors_of_the_library_become_words() -> None:
    url = with_user("rtsp://127.0.0.1/x", "viewer", SECRET)
    kinds = [getattr(av.error, name) for name in dir(av.error) if name.endswith("Error") and name != "FFmpegError"]
    for kind in kinds:
        with suppress(TypeError):
            error = translate(kind(5, url, url), url, 5)
            assert isinstance(error, SourceError)
            assert SECRET not in str(error)

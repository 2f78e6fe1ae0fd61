"""The cameras for tests are themselves tested, with plain PyAV, OpenCV and ffmpeg: what they send is what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

import av
import cv2
import numpy as np
import pytest
from av.container import InputContainer

from tests.servers import clips, rtp
from tests.servers.clips import ClipMaker, read_number
from tests.servers.listener import LoopbackServer
from tests.servers.mjpeg import MjpegServer
from tests.servers.rtsp import RtspServer

FAST = {"probesize": "32", "analyzeduration": "0"}


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@contextmanager
def opened(url: str, transport: str = "tcp", timeout: float = 2) -> Iterator[InputContainer]:
    options = {**FAST, "rtsp_transport": transport} if url.startswith("rtsp") else {}
    with av.open(
        url, format=None if url.startswith("rtsp") else "mpjpeg", options=options, timeout=(timeout, timeout)
    ) as container:
        yield container


def frames(container: InputContainer) -> Iterator[av.VideoFrame]:
    yield from (frame for packet in container.demux(video=0) for frame in packet.decode() if packet.size)


def numbers(container: InputContainer, count: int) -> list[int | None]:
    """What is burnt into the next `count` pictures."""
    found = []
    for frame in frames(container):
        found.append(read_number(frame.to_ndarray(format="gray")))
        if len(found) == count:
            break
    return found


def looped(count: int, length: int) -> list[int]:
    return [index % length for index in range(count)]


def with_login(url: str, user: str, password: str) -> str:
    return url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@")


@pytest.mark.parametrize("number", [0, 1, 2, 777, 8191, clips.NUMBERS - 1, clips.NUMBERS + 5])
@pytest.mark.parametrize("size", [(1280, 720), (320, 240), (178, 100), (160, 90)])
def test_a_number_is_read_back(number: int, size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    clips.burn(picture, number)
    assert read_number(picture[..., 0]) == number % clips.NUMBERS


def test_no_number_is_read_where_none_is() -> None:
    random = np.random.default_rng(1)
    assert read_number(np.full((90, 160), 128, np.uint8)) is None
    assert read_number(np.full((90, 160), 255, np.uint8)) is None
    noise = [read_number(random.integers(0, 255, (90, 160), dtype=np.uint8)) for _ in range(100)]
    assert noise == [None] * 100


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0), ("mjpeg", 0)])
def test_the_number_survives_the_codec_and_shrinking(codec: str, b_frames: int, make_clip: ClipMaker) -> None:
    clip = make_clip(codec, b_frames=b_frames, seconds=2)
    with av.open(str(clip.path)) as container:
        lumas = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    small = [cv2.resize(luma, (160, 120), interpolation=cv2.INTER_AREA) for luma in lumas]
    assert [read_number(luma) for luma in lumas] == list(range(clip.frames))
    assert [read_number(luma) for luma in small] == list(range(clip.frames))


@pytest.mark.parametrize(
    ("codec", "b_frames", "transport"),
    [("h264", 0, "tcp"), ("h264", 2, "tcp"), ("hevc", 0, "tcp"), ("mjpeg", 0, "tcp"), ("h264", 0, "udp")],
)
def test_rtsp_plays_every_picture_in_a_loop_with_one_clock(
    codec: str, b_frames: int, transport: str, make_clip: ClipMaker
) -> None:
    clip = make_clip(codec, b_frames=b_frames, fps=20, seconds=1)
    with RtspServer(clip) as server, opened(server.url, transport) as container:
        pictures = []
        for frame in frames(container):
            pictures.append((frame.pts, read_number(frame.to_ndarray(format="gray"))))
            if len(pictures) == 30:
                break
    assert [number for _, number in pictures] == looped(30, clip.frames)
    stamps = [pts for pts, _ in pictures[2:] if pts is not None]  # the first can lack one
    steps = np.diff(stamps)
    assert abs(steps - rtp.CLOCK / clip.fps).max() < rtp.CLOCK / clip.fps / 2
    assert server.plays == 1


def test_rtsp_loses_nothing_with_many_clients(make_clip: ClipMaker) -> None:
    clip = make_clip(fps=20, seconds=1)
    seen: dict[int, list[int | None]] = {}

    def read(url: str, place: int) -> None:
        with opened(url) as container:
            seen[place] = numbers(container, 40)

    with RtspServer(clip) as server:
        readers = [threading.Thread(target=read, args=(server.url, place)) for place in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(20)
        assert server.plays == server.connections == 8
    assert all(seen[place] == looped(40, clip.frames) for place in range(8))


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_ffmpeg_has_nothing_to_complain_about(codec: str, make_clip: ClipMaker) -> None:
    if not shutil.which("ffmpeg"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("ffmpeg is not installed")
    with RtspServer(make_clip(codec, fps=20, seconds=1)) as server:
        command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", server.url]
        run = subprocess.run(
            [*command, "-frames:v", "30", "-f", "null", "-"], capture_output=True, timeout=30, check=False
        )
    said = [line for line in run.stderr.decode().splitlines() if "deprecated" not in line and "overread" not in line]
    assert (run.returncode, said) == (0, [])


def test_opencv_reads_both(make_clip: ClipMaker) -> None:
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
    with RtspServer(make_clip(fps=20, seconds=1)) as rtsp, MjpegServer(make_clip("mjpeg", fps=20, seconds=1)) as http:
        for server in (rtsp, http):
            capture = cv2.VideoCapture(server.url, cv2.CAP_FFMPEG, limits)
            pictures = [capture.read()[1] for _ in range(5)]
            capture.release()
            assert [read_number(picture[..., 0]) for picture in pictures] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("auth", [("basic",), ("digest",), ("digest-plain",), ("digest", "basic")])
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_only_the_right_password_gets_in(kind: str, auth: tuple[str, ...], make_clip: ClipMaker) -> None:
    clip = make_clip("h264" if kind == "rtsp" else "mjpeg", fps=20, seconds=1)
    login = {"user": "guard", "password": "p:w/ö@ #%", "auth": auth}
    with RtspServer(clip, **login) if kind == "rtsp" else MjpegServer(clip, **login) as server:  # type: ignore[arg-type]
        for url in (server.url, with_login(server.url, "guard", "wrong")):
            with pytest.raises(av.HTTPUnauthorizedError), opened(url):
                pass
        assert server.refusals >= 2
        assert not any(shown.right for shown in server.seen)
        with opened(with_login(server.url, login["user"], login["password"])) as container:  # type: ignore[arg-type]
            assert numbers(container, 2) == [0, 1]
        assert server.seen[-1].right
        if auth == ("basic",):
            assert server.seen[-1].password == login["password"]


@pytest.fixture(params=["rtsp", "http"])
def server(request: pytest.FixtureRequest, make_clip: ClipMaker) -> Iterator[RtspServer | MjpegServer]:
    """One of each kind, at 20 fps."""
    made: RtspServer | MjpegServer
    if request.param == "rtsp":
        made = RtspServer(make_clip(fps=20, seconds=1, gop=10))
    else:
        made = MjpegServer(make_clip("mjpeg", fps=20, seconds=1))
    with made:
        yield made


@pytest.mark.parametrize("fault", ["stall", "drip"])
def test_silent_but_open(fault: str, server: RtspServer | MjpegServer) -> None:
    with opened(server.url, timeout=1) as container:
        assert numbers(container, 3) == [0, 1, 2]
        getattr(server, fault)()
        got = []
        with suppress(av.FFmpegError):
            for frame in frames(container):
                got.append(frame)
                if server.clients == 0 or len(got) > 5:
                    break
        assert len(got) <= 3  # what was under way
        server.resume()
    with opened(server.url) as container:
        assert numbers(container, 1) == [0]


def test_it_goes_on_where_it_stalled(server: RtspServer | MjpegServer) -> None:
    with opened(server.url, timeout=3) as container:
        assert numbers(container, 3) == [0, 1, 2]
        server.stall()
        threading.Timer(0.5, server.resume).start()
        assert numbers(container, 5) == [3, 4, 5, 6, 7]


def test_it_goes_on_where_it_dripped(server: RtspServer | MjpegServer) -> None:
    with opened(server.url, timeout=5) as container:
        assert numbers(container, 3) == [0, 1, 2]
        server.drip()
        threading.Timer(1.2, server.resume).start()
        later = [number for number in numbers(container, 8) if number is not None]
    assert later[-1] >= 7


def test_refused_dead_and_back(server: RtspServer | MjpegServer) -> None:
    with opened(server.url) as container:
        server.refuse()
        with pytest.raises((ConnectionRefusedError, av.FFmpegError)), opened(server.url):
            pass
        assert numbers(container, 2) == [0, 1]  # who is in stays in
        server.die()
        with suppress(av.FFmpegError):
            assert len(numbers(container, 100)) < 100
    assert server.connections == 1
    server.accept()
    with opened(server.url) as container:
        assert numbers(container, 2) == [0, 1]


def test_dropped_clients_may_come_again(server: RtspServer | MjpegServer) -> None:
    for reset in (False, True):
        with opened(server.url) as container:
            assert numbers(container, 1) == [0]
            server.drop(reset=reset)
            with suppress(av.FFmpegError):
                assert len(numbers(container, 100)) < 100


def test_silence_and_hanging_up(server: RtspServer | MjpegServer) -> None:
    server.silence()
    began = time.monotonic()
    with pytest.raises(av.FFmpegError), opened(server.url, timeout=0.5):
        pass
    assert time.monotonic() - began > 0.4
    server.hang_up()
    with pytest.raises(av.FFmpegError), opened(server.url):
        pass
    assert server.plays == 0


def test_slow_to_open(server: RtspServer | MjpegServer) -> None:
    server.slow(0.2)
    began = time.monotonic()
    with opened(server.url) as container:
        assert time.monotonic() - began > 0.19
        assert numbers(container, 1) == [0]


def test_flood(server: RtspServer | MjpegServer) -> None:
    server.flood(300)
    began = time.monotonic()
    with opened(server.url) as container:
        numbers(container, 100)
    assert time.monotonic() - began < 4  # 5 s at the clip's rate


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_unfriendly_answer(status: int, server: RtspServer | MjpegServer) -> None:
    server.answer(status)
    with pytest.raises(av.FFmpegError), opened(server.url):
        pass
    assert server.plays == 0


def test_another_size_in_the_same_stream(server: RtspServer | MjpegServer, make_clip: ClipMaker) -> None:
    larger = make_clip("h264" if isinstance(server, RtspServer) else "mjpeg", (640, 480), fps=20, seconds=1)
    sizes: list[tuple[int, int]] = []
    with opened(server.url) as container:
        for frame in frames(container):
            if len(sizes) == 3:
                server.show(larger)
            sizes.append((frame.width, frame.height))
            if len(sizes) == 12:
                break
    assert sizes[0] == (320, 240)
    assert sizes[-1] == (640, 480)


def test_a_camera_that_never_sends(make_clip: ClipMaker) -> None:
    with MjpegServer(make_clip("mjpeg"), quiet=True) as http, RtspServer(make_clip(), quiet=True) as rtsp:
        for server in (http, rtsp):
            with suppress(av.FFmpegError), opened(server.url, timeout=0.5) as container:
                assert numbers(container, 1) == []
            assert (server.plays, server.frames) == (1, 0)


def test_rtsp_garbage_cuts_and_losses_spoil_some_pictures_only(make_clip: ClipMaker) -> None:
    clip = make_clip(size=(640, 480), fps=20, seconds=1, gop=5)
    faults: list[Callable[[RtspServer], None]] = [
        lambda server: server.garbage(500),
        lambda server: server.truncate(),
        lambda server: server.lose(0.05),
    ]
    for fault in faults:
        with RtspServer(clip) as server, opened(server.url) as container:
            assert numbers(container, 3) == [0, 1, 2]
            fault(server)
            time.sleep(0.5)
            server.resume()
            good = 0
            for packet in container.demux(video=0):
                with suppress(av.FFmpegError):
                    good += sum(read_number(frame.to_ndarray(format="gray")) is not None for frame in packet.decode())
                if good >= 20 or not packet.size:
                    break
            assert good >= 20


def test_rtsp_claims_any_rate(make_clip: ClipMaker) -> None:
    for claim in ("0", "nan", "90000"):
        with RtspServer(make_clip(fps=20, seconds=1), framerate=claim) as server, opened(server.url) as container:
            assert numbers(container, 2) == [0, 1]


def raw(url: str, size: int = 200_000) -> bytes:
    """What an HTTP camera sends, as it comes, up to `size` bytes or its end."""
    with urllib.request.urlopen(url, timeout=2) as answer:
        data: bytes = answer.read(size)
        return data


def test_http_odd_parts(make_clip: ClipMaker) -> None:
    clip = make_clip("mjpeg", fps=20, seconds=1)
    jpeg = rtp.load(clip).units[0].pieces[0]
    with MjpegServer(clip) as server:
        server.no_length()
        assert b"Content-Length" not in raw(server.url, 20_000)
        server.wrong_length()
        assert f"Content-Length: {len(jpeg) // 2}\r\n".encode() in raw(server.url, 20_000)
        server.resume()
        server.truncate()
        server.hang_up(after=8)
        body = raw(server.url)
        assert (body.count(b"--frame"), body.count(b"\xff\xd9\r\n"), server.cuts) == (8, 4, 4)
        assert raw(server.still_url) == jpeg


@pytest.mark.parametrize("oddity", ["garbage", "garbage_part", "huge_part"])
def test_http_oddities_come_once(oddity: str, make_clip: ClipMaker) -> None:
    with MjpegServer(make_clip("mjpeg", fps=20, seconds=1), quiet=True) as server:
        server.last = 5
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(raw(server.url, 2_000_000)))
        reader.start()
        while server.plays == 0:
            time.sleep(0.01)
        getattr(server, oddity)(100_000)
        server.mode = "play"
        reader.join(10)
        parts = got[0].split(b"--frame\r\n")
        assert len(parts) == (6 if oddity != "garbage" else 5)
        assert len(got[0]) > 100_000


def test_http_redirects(make_clip: ClipMaker) -> None:
    with MjpegServer(make_clip("mjpeg")) as other, MjpegServer(make_clip("mjpeg")) as server:
        server.redirect(other.still_url)
        assert raw(server.url)[:2] == b"\xff\xd8"
        assert other.requests == ["GET /still.jpg HTTP/1.1"]
        server.redirect("file:///etc/hostname")
        with pytest.raises(urllib.error.HTTPError):
            raw(server.url)


def test_a_server_stops_with_clients_in_every_state(make_clip: ClipMaker) -> None:
    for fault in ("resume", "stall", "drip", "silence"):
        with RtspServer(make_clip()) as server:
            server.slow(30) if fault == "resume" else getattr(server, fault)()
            with suppress(av.FFmpegError), opened(server.url, timeout=0.2) as container:
                numbers(container, 1)
        assert server.clients == 0
        assert isinstance(server, LoopbackServer)

"""What cameras do to us, and what must hold then: real servers on loopback that misbehave, several in each test.

The words of the figures are those of the house: a camera that is gone is offline within 5 s and live within 10 s of
its return, one bad camera costs the others nothing, and nothing old is ever shown as live.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard import notices
from dashboard.capture.camera import Camera
from dashboard.capture.decoder import Decoder
from dashboard.capture.device import DeviceSource
from dashboard.capture.pace import Backoff
from dashboard.capture.registry import CameraRegistry
from dashboard.capture.source import Source, Spec, open_source
from dashboard.channel import ChannelClosed
from dashboard.config import Camera as CameraConfig
from dashboard.errors import SourceError
from dashboard.motion.strip import Peak, Picture
from dashboard.motion.watcher import MotionWatcher
from tests.servers.clips import ClipMaker, read_number
from tests.servers.listener import LoopbackServer
from tests.servers.mjpeg import MjpegServer
from tests.servers.rtsp import RtspServer

Server = RtspServer | MjpegServer
Opener = Callable[[Spec], Source]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(10, lambda: set(threading.enumerate()) <= before)


def until(seconds: float, true: Callable[[], object]) -> float:
    """Wait until it is true; the seconds it took. Fails when it takes longer than `seconds`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


def config(id: str, url: str, **more: Any) -> CameraConfig:
    """A camera of the configuration, impatient unless told otherwise."""
    return CameraConfig.model_validate({"id": id, "url": url, "timeout": 1.5, **more})


@contextmanager
def running(specs: Sequence[Spec], opener: Opener = open_source) -> Iterator[CameraRegistry]:
    registry = CameraRegistry(notices.new_channel(), opener=opener)
    registry.start(specs)
    try:
        yield registry
    finally:
        began = time.monotonic()
        registry.stop()
        assert time.monotonic() - began < 5


def the(registry: CameraRegistry, id: str) -> Camera:
    camera = registry.get(id)
    assert camera
    return camera


def states(registry: CameraRegistry) -> set[str]:
    return {camera.status().state for camera in registry}


@dataclass(frozen=True)
class Shown:
    """A frame as a viewer got it; `age` in seconds, `at` monotonic, `burnt` the number in the picture."""

    at: float
    age: float
    burnt: int | None
    size: tuple[int, int]


class Viewer:
    """Looks at a camera from `with` on, in a thread."""

    def __init__(self, camera: Camera) -> None:
        self.shown: list[Shown] = []
        self._frames = camera.frames.subscribe()
        self._thread = threading.Thread(target=self._look, name=f"viewer-{camera.id}")

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()
        self._thread.join(5)

    def since(self, at: float) -> list[Shown]:
        """What was shown after a moment."""
        return [shown for shown in self.shown.copy() if shown.at > at]

    def shows(self, size: tuple[int, int], at: float) -> bool:
        """Whether a picture of this size was shown after a moment."""
        return any(shown.size == size for shown in self.since(at))

    def longest_gap(self, start: float, end: float) -> float:
        """The most seconds between two pictures with a readable number, in this time."""
        times = [shown.at for shown in self.shown.copy() if shown.burnt is not None and start < shown.at < end]
        return float(max(np.diff([start, *times, end])))

    def _look(self) -> None:
        with suppress(ChannelClosed):
            while True:
                frame = self._frames.next(0.5)
                if frame is None:
                    continue
                now = time.monotonic()
                with suppress(SourceError):
                    burnt = read_number(frame.luma())
                    self.shown.append(Shown(now, now - frame.at, burnt, (frame.width, frame.height)))


@contextmanager
def viewers(registry: CameraRegistry) -> Iterator[dict[str, Viewer]]:
    """One for each camera."""
    with ExitStack() as stack:
        yield {camera.id: stack.enter_context(Viewer(camera)) for camera in registry}


class ForgetfulLog:
    """A log of motion that only counts what was started."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def started(self, camera: str, at: float, pictures: Sequence[Picture], peak: Peak) -> int:
        self.events.append(camera)
        return len(self.events)

    def progressed(self, event: int, peak: Peak, picture: Picture | None) -> None:
        pass

    def ended(self, event: int, at: float, pictures: Sequence[Picture], peak: Peak) -> None:
        pass


@contextmanager
def servers(make_clip: ClipMaker, rtsp: int = 0, http: int = 0, **traits: Any) -> Iterator[list[Server]]:
    """So many of each, 10 pictures a second unless `traits` says otherwise."""
    with ExitStack() as stack:
        clip = {"fps": 10, "seconds": 2, **traits}
        made: list[Server] = [stack.enter_context(RtspServer(make_clip("h264", **clip))) for _ in range(rtsp)]
        yield made + [stack.enter_context(MjpegServer(make_clip("mjpeg", **clip))) for _ in range(http)]


def configs(cameras: Sequence[LoopbackServer], **more: Any) -> list[CameraConfig]:
    return [config(f"cam{index}", server.url, **more) for index, server in enumerate(cameras)]  # type: ignore[attr-defined]


def capture_cpu() -> float:
    """Seconds of processor time that the threads of all cameras have taken."""
    ticks = 0
    for thread in threading.enumerate():
        if thread.name.startswith("capture-"):
            with suppress(OSError):
                stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
                ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident() -> float:
    """MiB of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_every_camera_offline_at_the_start() -> None:
    with ExitStack() as stack:
        dead = RtspServerless()
        stack.callback(dead.close)
        specs = [config(f"cam{index}", dead.url(index)) for index in range(64)]
        began = time.monotonic()
        registry = stack.enter_context(running(specs))
        assert time.monotonic() - began < 3
        until(10, lambda: states(registry) == {"offline"})
        assert {camera.status().reason for camera in registry} <= {"connection refused", "no answer within 1.5 s"}


class RtspServerless:
    """Two ports: one where nobody listens, one where connections are never answered."""

    def __init__(self) -> None:
        import socket

        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        self._silent = socket.socket()
        self._silent.bind(("127.0.0.1", 0))
        self._silent.listen(128)

    def url(self, index: int) -> str:
        port = (self._closed if index % 2 else self._silent).getsockname()[1]
        return f"{'rtsp' if index % 4 < 2 else 'http'}://127.0.0.1:{port}/cam"

    def close(self) -> None:
        self._closed.close()
        self._silent.close()


def test_a_camera_that_closes_and_comes_back(make_clip: ClipMaker) -> None:
    with servers(make_clip, rtsp=5, http=5) as cameras, running(configs(cameras)) as registry, viewers(registry):
        for outage in range(2):
            until(10, lambda: states(registry) == {"live"})
            for index, server in enumerate(cameras):
                server.refuse()
                server.drop(reset=bool((index + outage) % 2))
            until(5, lambda: states(registry) == {"offline"})
            assert all(camera.frames.newest is None for camera in registry)
            for server in cameras:
                server.accept()
        until(10, lambda: states(registry) == {"live"})
        assert [camera.status().reconnects for camera in registry] == [2] * 10
        assert [camera.status().restarts for camera in registry] == [0] * 10


def test_a_camera_that_hangs_or_drips(make_clip: ClipMaker) -> None:
    with (
        servers(make_clip, rtsp=2, http=2) as cameras,
        running(configs(cameras)) as registry,
        viewers(registry) as seen,
    ):
        until(10, lambda: states(registry) == {"live"})
        silent = time.monotonic()
        for index, server in enumerate(cameras):
            server.drip() if index % 2 else server.stall()
        until(5, lambda: states(registry) <= {"stalled", "offline"})
        until(10, lambda: states(registry) == {"offline"})
        assert time.monotonic() - silent < 10
        assert all(camera.frames.newest is None for camera in registry)
        assert all(camera.status().reason for camera in registry)
        for server in cameras:
            server.resume()
        until(15, lambda: states(registry) == {"live"})
        until(5, lambda: all(viewer.since(silent + 1) for viewer in seen.values()))
        assert all(shown.age < 2 for viewer in seen.values() for shown in viewer.shown)  # nothing old, ever


def test_nothing_old_is_live_even_with_much_patience(make_clip: ClipMaker) -> None:
    with servers(make_clip, rtsp=1, http=1) as cameras, running(configs(cameras, timeout=60)) as registry:
        with viewers(registry):
            until(10, lambda: states(registry) == {"live"})
            for server in cameras:
                server.stall()
            until(5, lambda: states(registry) == {"stalled"})
            age = min(camera.status().frame_age_s or 0 for camera in registry)
            time.sleep(1)
            assert min(camera.status().frame_age_s or 0 for camera in registry) > age + 0.5
            for server in cameras:
                server.resume()
            until(5, lambda: states(registry) == {"live"})
        assert [camera.status().reconnects for camera in registry] == [0, 0]


def test_garbage_passes(make_clip: ClipMaker) -> None:
    http: list[Callable[[Any], None]] = [
        MjpegServer.garbage,
        MjpegServer.garbage_part,
        lambda server: server.huge_part(3_000_000),
        MjpegServer.wrong_length,
        MjpegServer.no_length,
        MjpegServer.truncate,
    ]
    rtsp: list[Callable[[Any], None]] = [
        RtspServer.garbage,
        lambda server: server.garbage(40_000),
        lambda server: server.lose(0.02),
        RtspServer.truncate,
    ]
    with servers(make_clip, rtsp=len(rtsp), http=len(http), gop=5) as cameras, running(configs(cameras)) as registry:
        with viewers(registry) as seen:
            until(10, lambda: all(len(viewer.shown) > 5 for viewer in seen.values()))
            began = time.monotonic()
            for _ in range(2):
                for fault, server in zip([*rtsp, *http], cameras, strict=True):
                    fault(server)
                time.sleep(3.5)
            gaps = [viewer.longest_gap(began, time.monotonic()) for viewer in seen.values()]
        assert max(gaps) < 3, gaps
        assert [camera.status().restarts for camera in registry] == [0] * len(cameras)


def test_cut_pictures_and_other_sizes_are_no_motion(make_clip: ClipMaker) -> None:
    still: dict[str, Any] = {"moving": False, "numbered": False}
    small, large = (480, 360), (960, 720)
    sizes = [
        (codec, size, make_clip(codec, size, seconds=2, **still))
        for codec in ("h264", "mjpeg")
        for size in (small, large)
    ]
    log = ForgetfulLog()
    with servers(make_clip, rtsp=1, http=2, size=small, **still) as cameras, running(configs(cameras)) as registry:
        cutting = cameras[2]
        assert isinstance(cutting, MjpegServer)
        cutting.truncate()
        cutting.flood(20)
        watchers = [MotionWatcher(camera.id, camera.frames, config(camera.id, "rtsp://x/"), log) for camera in registry]  # type: ignore[arg-type]
        for watcher in watchers:
            watcher.start()
        with viewers(registry) as seen:
            until(10, lambda: all(len(viewer.shown) > 5 for viewer in seen.values()))
            began = time.monotonic()
            for change in range(5):
                wanted = small if change % 2 else large
                for server, codec in zip(cameras, ("h264", "mjpeg"), strict=False):
                    server.show(next(clip for name, size, clip in sizes if (name, size) == (codec, wanted)))
                changed = time.monotonic()
                for id in ("cam0", "cam1"):
                    until(2, partial(seen[id].shows, wanted, changed))
                status = the(registry, "cam0").status()
                assert (status.width, status.height) == wanted
                time.sleep(1)
            ended = time.monotonic()
            for id in ("cam0", "cam1"):
                times = [shown.at for shown in seen[id].shown if began < shown.at < ended]
                assert max(np.diff(times)) < 2
        assert cutting.cuts >= 40
        assert all(watcher.alive and watcher.failures == 0 for watcher in watchers)
        assert all(watcher.analysed > 10 for watcher in watchers)
        for watcher in watchers:
            assert watcher.stop()
        assert log.events == []
        assert [camera.status().reconnects for camera in registry] == [0, 0, 0]
        assert [camera.status().restarts for camera in registry] == [0, 0, 0]


def test_odd_claims_and_empty_promises(make_clip: ClipMaker) -> None:
    claims = ("0", "nan", "90000")
    clip, jpegs = make_clip(), make_clip("mjpeg")
    with ExitStack() as stack:
        odd = [stack.enter_context(RtspServer(clip, framerate=claim)) for claim in claims]
        quiet = [RtspServer(clip, quiet=True), RtspServer(clip, quiet=True), MjpegServer(jpegs, quiet=True)]
        for server in quiet:
            stack.enter_context(server)
        registry = stack.enter_context(running(configs([*odd, *quiet])))
        seen = stack.enter_context(viewers(registry))
        until(10, lambda: [camera.status().state for camera in registry] == ["live"] * 3 + ["offline"] * 3)
        until(5, lambda: all(len(seen[f"cam{index}"].shown) > 10 for index in range(3)))
        assert all(5 < the(registry, f"cam{index}").status().fps < 15 for index in range(3))
        assert [camera.status().restarts for camera in registry] == [0] * 6
        registry.apply(configs([*odd, *quiet])[3:])
        before = capture_cpu()
        time.sleep(3)
        assert capture_cpu() - before < 3 * 3 * 0.03 + 0.05
        assert all("within 1.5 s" in camera.status().reason for camera in registry)


def test_a_flood_is_thinned_out(make_clip: ClipMaker) -> None:
    with (
        servers(make_clip, rtsp=1, http=1, size=(640, 480)) as cameras,
        running(configs(cameras, fps=10)) as registry,
        viewers(registry) as seen,
    ):
        until(10, lambda: all(len(viewer.shown) > 5 for viewer in seen.values()))
        before = resident()
        for server in cameras:
            server.flood(500)
        time.sleep(1)
        began = time.monotonic()
        time.sleep(4)
        for id, viewer in seen.items():
            shown = viewer.since(began)
            assert 4 * 10 * 0.5 < len(shown) <= 4 * 10 * 1.1 + 2, (id, len(shown))
            assert max(one.age for one in shown) < 1
        assert resident() - before < 30


FAULTS: dict[str, Callable[[Server], None]] = {
    "refused": lambda server: server.refuse(),
    "hangs up at once": lambda server: server.hang_up(),
    "closes after a few": lambda server: None,
    "no such stream": lambda server: server.answer(404),
    "wants a password": lambda server: server.answer(401),
}


@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_reconnecting_leaks_nothing(kind: str, make_clip: ClipMaker) -> None:
    with servers(make_clip, rtsp=int(kind == "rtsp"), http=int(kind == "http"), fps=10) as (server,):
        server.flood(200)
        spec = config("leak", server.url)

        def once() -> None:
            try:
                source = open_source(spec)
            except SourceError:
                return
            try:
                for _ in range(8):
                    source.read()
            finally:
                source.close()

        for name, fault in FAULTS.items():
            server.accept()
            server.resume()
            server.flood(200)
            fault(server)
            for _ in range(10):
                once()
            until(5, lambda: server.clients == 0)
            fds, threads, memory = len(os.listdir("/proc/self/fd")), threading.active_count(), resident()
            for _ in range(60):
                once()
            until(5, lambda: server.clients == 0)
            assert abs(len(os.listdir("/proc/self/fd")) - fds) <= 2, name
            assert abs(threading.active_count() - threads) <= 1, name
            assert resident() - memory < 10, name


def test_pauses_grow_and_stay_bounded_for_a_day() -> None:
    backoff = Backoff(random.Random(1).random)
    now, pauses = 0.0, []
    while now < 86_400:
        pauses.append(backoff.pause(now))
        now += pauses[-1] + 1
    for wanted, pause in zip((1, 2, 4), pauses, strict=False):
        assert 0.8 * wanted <= pause <= 1.2 * wanted
    assert max(pauses) <= 36
    assert max(pauses) > 20
    assert min(backoff.pause(now, refused=True) for _ in range(100)) >= 30  # at most two tries a minute
    assert max(backoff.pause(now, refused=True) for _ in range(100)) <= 60


def test_a_camera_that_says_no_is_asked_rarely_and_said_so(
    make_clip: ClipMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    words = {401: "password", 403: "may not", 404: "no such stream"}
    with servers(make_clip, rtsp=3, http=3) as cameras:
        for server, status in zip(cameras, [*words, *words], strict=True):
            server.answer(status)
        with running(configs(cameras, username="guard", password="secret words")) as registry:
            until(5, lambda: states(registry) == {"offline"})
            time.sleep(4)
            for camera, word in zip(registry, [*words.values()] * 2, strict=True):
                assert word in camera.status().reason
            assert all(server.plays == 0 for server in cameras)
            assert max(server.connections for server in cameras) <= 2  # of one try: without and with the password
    lines = [record for record in caplog.records if record.name.startswith("dashboard")]
    assert len(lines) <= 6 * len(cameras)
    assert "secret" not in caplog.text


class Stopping(Exception):
    """Not an error of a camera: a mistake of ours."""


def test_our_own_mistakes_in_one_camera_cost_the_others_nothing(
    make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    push, broken = Decoder.push, threading.Event()

    def faulty(self: Decoder, packet: Any, wanted: bool) -> Any:
        if self._camera == "cam0" and broken.is_set():
            raise Stopping
        return push(self, packet, wanted)

    monkeypatch.setattr(Decoder, "push", faulty)
    with servers(make_clip, rtsp=3) as cameras, running(configs(cameras)) as registry, viewers(registry) as seen:
        until(10, lambda: all(len(viewer.shown) > 5 for viewer in seen.values()))
        broken.set()
        until(5, lambda: the(registry, "cam0").status().restarts)
        broken.clear()
        mended = time.monotonic()
        until(5, lambda: seen["cam0"].since(mended))
        pause = Backoff.pause
        monkeypatch.setattr(Backoff, "pause", lambda self, now, refused=False: 0.01)
        broken.set()
        until(20, lambda: the(registry, "cam0").status().restarts > 100)
        broken.clear()
        monkeypatch.setattr(Backoff, "pause", pause)
        again = time.monotonic()
        until(5, lambda: seen["cam0"].since(again))
        for id in ("cam1", "cam2"):
            numbers = [shown.burnt for shown in seen[id].shown]
            first = numbers[0]
            assert first is not None
            assert numbers == [(first + index) % 20 for index in range(len(numbers))]
    assert len([record for record in caplog.records if "cam0" in record.getMessage()]) <= 12


class StubbornSource:
    """A library that never comes back from a read, until the test lets it."""

    def __init__(self, release: threading.Event) -> None:
        self._release = release

    def read(self) -> None:
        self._release.wait()
        raise SourceError("released")

    def close(self) -> None:
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_watchdog_replaces_a_thread_that_hangs_or_has_ended(make_clip: ClipMaker) -> None:
    release = threading.Event()
    bad = ["in-open", "in-read", "ended"]
    first = set(bad)

    def opener(spec: Spec) -> Source:
        if spec.id not in first:
            return open_source(spec)
        first.remove(spec.id)
        if spec.id == "in-open":
            release.wait()
        if spec.id == "ended":
            raise SystemExit
        return StubbornSource(release)

    with servers(make_clip, rtsp=1) as (server,):
        specs = [config(id, server.url, timeout=1) for id in (*bad, "good")]
        try:
            with running(specs, opener) as registry, viewers(registry) as seen:
                until(4, lambda: the(registry, "ended").status().state == "live")
                until(20, lambda: states(registry) == {"live"})  # 3 times the timeout and 5 s
                assert [the(registry, id).status().restarts for id in bad] == [1, 1, 1]
                release.set()
                released = time.monotonic()
                until(5, lambda: all(len(viewer.since(released + 0.5)) > 5 for viewer in seen.values()))
                assert states(registry) == {"live"}
                numbers = [shown.burnt for shown in seen["good"].shown]
                assert numbers == [((numbers[0] or 0) + index) % 20 for index in range(len(numbers))]
        finally:
            release.set()


@dataclass(frozen=True)
class DeviceSpec:
    """A camera plugged in, as capture sees it; its node is a file of the test."""

    device: str
    id: str = "desk"
    kind: str = "device"
    enabled: bool = True
    timeout: float = 1.5
    transport: str = "tcp"
    replay: None = None
    width: int | None = 64
    height: int | None = 48
    fps: float | None = 20
    substream: None = None

    def connect_url(self, substream: bool = False) -> str:
        raise AssertionError("a device has no address")


class FakeDevices:
    """Makes what cv2.VideoCapture would be; `plugged` and `busy` are the test's, its node in /dev is a file."""

    def __init__(self, node: Path) -> None:
        self.node = node
        self.plugged = self.busy = False
        self.opens = 0

    def __call__(self, device: str, backend: int) -> FakeDevice:
        self.opens += 1
        return FakeDevice(self)

    def plug(self) -> None:
        self.node.touch()
        self.plugged = True

    def pull(self) -> None:
        self.node.unlink()
        self.plugged = False


class FakeDevice:
    """One open one."""

    def __init__(self, devices: FakeDevices) -> None:
        self._devices = devices

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self._devices.plugged and not self._devices.busy

    def set(self, prop: int, value: float) -> bool:
        return False

    def get(self, prop: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.05)
        return (True, np.zeros((48, 64, 3), np.uint8)) if self._devices.plugged else (False, None)

    def release(self) -> None:
        pass


def test_a_device_that_is_missing_busy_or_pulled_out(tmp_path: Path) -> None:
    devices = {id: FakeDevices(tmp_path / id) for id in ("missing", "busy", "pulled")}
    devices["busy"].busy = True
    devices["busy"].plug()
    devices["pulled"].plug()
    specs = [DeviceSpec(str(each.node), id) for id, each in devices.items()]
    began = time.monotonic()
    with running(specs, lambda spec: DeviceSource(spec, devices[spec.id])) as registry, viewers(registry):
        missing, busy, pulled = registry
        until(5, lambda: pulled.status().state == "live")
        devices["pulled"].pull()
        until(5, lambda: states(registry) == {"offline"})
        assert "no such device" in missing.status().reason
        assert "another program" in busy.status().reason
        assert "no such device" in pulled.status().reason
        cpu = capture_cpu()
        time.sleep(1)
        assert capture_cpu() - cpu < 3 * 0.02 + 0.05
        devices["busy"].busy = False
        devices["missing"].plug()
        devices["pulled"].plug()
        until(10, lambda: states(registry) == {"live"})
        assert {(camera.status().width, camera.status().height) for camera in registry} == {(64, 48)}
    assert max(each.opens for each in devices.values()) <= 2 + time.monotonic() - began


PRINTABLE = "".join(chr(code) for code in range(32, 127))  # 95 characters


@pytest.mark.parametrize("auth", [("basic",), ("digest",), ("digest-plain",), ("basic", "digest")])
def test_a_password_of_every_printable_character_arrives_whole(auth: tuple[str, ...], make_clip: ClipMaker) -> None:
    user = "guard (night)"
    with (
        RtspServer(make_clip(), user=user, password=PRINTABLE, auth=auth) as rtsp,
        MjpegServer(make_clip("mjpeg"), user=user, password=PRINTABLE, auth=auth) as http,
        running(configs([rtsp, http], username=user, password=PRINTABLE)) as registry,
    ):
        until(10, lambda: states(registry) == {"live"})
        for server in (rtsp, http):
            assert all(shown.right and shown.user == user for shown in server.seen)
            assert server.seen
            assert all(shown.password == PRINTABLE for shown in server.seen if shown.scheme == "basic")


def test_a_password_that_does_not_fit_is_not_sent_in_part(make_clip: ClipMaker) -> None:
    with servers(make_clip, rtsp=1, http=1) as cameras:
        for server in cameras:
            server.gate.user, server.gate.password = "guard", "x" * 190
        with running(configs(cameras, username="guard", password="x" * 190)) as registry:
            until(5, lambda: "too long" in the(registry, "cam0").status().reason)
            until(5, lambda: the(registry, "cam1").status().state == "live")
            assert not [shown for shown in cameras[0].seen if not shown.right]


def test_bad_cameras_cost_the_good_ones_nothing(make_clip: ClipMaker) -> None:
    with servers(make_clip, rtsp=5, http=3) as cameras:
        hung, garbled, flooding, dying, *good = cameras
        hung.silence()
        flooding.flood(500)
        over = threading.Event()

        def torment() -> None:
            while not over.wait(0.3):
                garbled.garbage()
                dying.drop(reset=True)

        tormentor = threading.Thread(target=torment)
        with running(configs([hung, garbled, flooding, dying, *good])) as registry, viewers(registry) as seen:
            ids = [f"cam{index}" for index in range(4, 8)]
            until(10, lambda: all(len(seen[id].shown) > 5 for id in ids))
            tormentor.start()
            try:
                began = time.monotonic()
                time.sleep(8)
                span = time.monotonic() - began
                rates = [len(seen[id].since(began)) / span for id in ids]
            finally:
                over.set()
                tormentor.join()
            assert min(rates) >= 0.9 * 10, rates
            assert the(registry, "cam0").status().state == "offline"
            assert [camera.status().restarts for camera in registry] == [0] * 8

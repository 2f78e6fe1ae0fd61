from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from dashboard.capture.camera import Camera
from dashboard.capture.pace import Backoff
from dashboard.capture.reader import hung_after
from dashboard.capture.source import Pixels
from dashboard.channel import ChannelClosed
from dashboard.errors import SourceError, SourceRefused
from dashboard.notices import CameraState, new_channel
from tests.capture_fakes import GONE, FakeSource, FakeSpec, Sources, jpeg_packet, picture, until


class Stage:
    """A camera on fake sources, and the notices it sent."""

    def __init__(self, spec: FakeSpec | None = None) -> None:
        self.sources = Sources()
        self.notices = new_channel()
        self.heard = self.notices.subscribe()
        self.camera = Camera(spec or FakeSpec(), self.notices, opener=self.sources)

    def states(self) -> list[tuple[str, str]]:
        """State and reason of each notice since the last call."""
        found = []
        while (notice := self.heard.poll()) is not None:
            assert isinstance(notice, CameraState)
            found.append((notice.state, notice.reason))
        return found

    def state(self) -> str:
        return self.camera.status().state


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, now, refused=False: 0.02)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.camera.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture-")]


def live(stage: Stage, count: int = 1) -> FakeSource:
    source = stage.sources.wait(count)
    source.put(jpeg_packet())
    until(lambda: stage.state() == "live")
    return source


def test_life_of_a_camera(stage: Stage) -> None:
    assert stage.camera.status().frame_age_s is None
    stage.camera.start()
    source = live(stage)
    assert stage.states() == [("connecting", ""), ("live", "")]
    source.put(SourceError("the camera closed the connection"))
    until(lambda: stage.states() == [("offline", "the camera closed the connection")])
    assert source.closed
    stage.sources.wait(2)
    status = stage.camera.status()
    assert (status.state, status.reason, status.fps) == ("offline", "the camera closed the connection", 0.0)
    assert status.reconnects == 1
    live(stage, 2)
    until(lambda: stage.states() == [("live", "")])
    assert stage.camera.stop()
    assert stage.sources.opened[1].closed


def test_status_tells_what_is_seen(stage: Stage) -> None:
    stage.camera.start()
    source = live(stage)
    with stage.camera.frames.subscribe() as frames:
        for _ in range(10):
            source.put(jpeg_packet(picture(size=(128, 96))))
            frame = frames.next(10)
            assert frame is not None
            frame.jpeg(32)
    status = stage.camera.status()
    assert (status.width, status.height, status.codec) == (128, 96, "mjpeg")
    assert status.frame_age_s is not None
    assert status.frame_age_s < 10
    assert status.decoded_frames == 10
    assert status.encoded_jpegs == 10
    assert status.fps > 0
    assert status.since <= time.time()


def test_frames_are_made_only_for_followers(stage: Stage) -> None:
    stage.camera.start()
    source = live(stage)
    source.put(jpeg_packet(), jpeg_packet())
    until(lambda: source.items.empty())
    assert stage.camera.status().decoded_frames == 0
    assert stage.camera.frames.newest is None
    with stage.camera.frames.subscribe() as frames, stage.camera.packets.subscribe() as packets:
        packet = jpeg_packet()
        source.put(packet)
        frame = frames.next(10)
        assert frame is not None
        assert frame.jpeg() == packet.data
        assert (frame.at, frame.taken_at, frame.camera) == (packet.at, packet.taken_at, "door")
        assert packets.next(10) is packet
    source.put(jpeg_packet())
    until(lambda: source.items.empty())
    assert stage.camera.status().decoded_frames == 1


def test_numbers_go_on_after_a_reconnect(stage: Stage) -> None:
    stage.camera.start()
    with stage.camera.frames.subscribe() as frames:
        numbers = []
        for count in (1, 2):
            source = stage.sources.wait(count)
            for _ in range(3):
                source.put(jpeg_packet())
                frame = frames.next(10)
                assert frame is not None
                numbers.append(frame.number)
            source.put(GONE)
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_nothing_old_is_kept_when_it_goes_down(stage: Stage) -> None:
    stage.camera.start()
    with stage.camera.frames.subscribe() as frames, stage.camera.packets.subscribe():
        source = live(stage)
        assert frames.next(10) is not None
        source.put(GONE)
        until(lambda: stage.state() == "offline")
        assert stage.camera.frames.newest is None
        assert stage.camera.packets.newest is None


def test_devices_without_compression(stage: Stage) -> None:
    stage.camera.start()
    source = stage.sources.wait()
    pixels = np.zeros((48, 64, 3), np.uint8)
    source.put(Pixels(pixels, time.time(), time.monotonic()))
    until(lambda: stage.state() == "live")
    assert stage.camera.status().decoded_frames == 0
    with stage.camera.frames.subscribe() as frames:
        source.put(Pixels(pixels, time.time(), time.monotonic()))
        frame = frames.next(10)
        assert frame is not None
        assert frame.luma(32).shape == (24, 32)


def test_an_unwatched_device_without_compression_stays_live(stage: Stage) -> None:
    stage.camera.start()
    source = stage.sources.wait()
    pixels = np.zeros((48, 64, 3), np.uint8)
    now = time.monotonic()
    for later in (0, 20, 40):
        source.put(Pixels(pixels, time.time(), now + later))
    until(lambda: source.items.empty())
    time.sleep(0.1)
    assert stage.sources.tries == 1
    assert not source.closed


def test_a_stall_is_told_and_ends(stage: Stage) -> None:
    stage.camera.start()
    source = live(stage)
    stage.states()
    stage.camera.look_after(time.monotonic() + 0.5)
    assert stage.states() == []
    stage.camera.look_after(time.monotonic() + 1.5)
    assert stage.states() == [("stalled", "no new picture comes")]
    source.put(jpeg_packet())
    until(lambda: stage.states() == [("live", "")])


def test_a_slow_camera_is_not_stalled_between_its_pictures(stage: Stage) -> None:
    stage.camera.start()
    source = stage.sources.wait()
    now = time.monotonic()
    for age in (6, 4, 2, 0):
        packet = jpeg_packet()
        source.put(type(packet)(packet.data, True, "mjpeg", None, None, packet.time_base, time.time() - age, now - age))
    until(lambda: stage.camera.status().fps > 0)
    until(lambda: source.items.empty())
    stage.camera.look_after(now + 5)
    assert stage.state() == "live"
    stage.camera.look_after(now + 7)
    assert stage.camera._state == "stalled"


def test_pictures_that_cannot_be_read_are_no_sign_of_life(stage: Stage) -> None:
    stage.camera.start()
    source = live(stage)
    with stage.camera.frames.subscribe():
        for _ in range(3):
            source.put(jpeg_packet(picture()[:300]))
        until(lambda: stage.camera.status().damaged == 3)
        broken = jpeg_packet(picture()[:300])
        source.put(type(broken)(broken.data, True, "mjpeg", None, None, broken.time_base, 0.0, time.monotonic() + 30))
        until(lambda: ("offline", "what it sends cannot be read as pictures") in stage.states())


def test_disabled_cameras_have_no_thread() -> None:
    stage = Stage(FakeSpec(enabled=False))
    stage.camera.start()
    assert stage.state() == "disabled"
    stage.camera.look_after(time.monotonic() + 1000)
    assert stage.sources.tries == 0
    assert stage.camera.stop()


def test_a_failure_of_our_own_is_counted_and_survived(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.sources.errors = [ZeroDivisionError("on purpose")] * 100
    with caplog.at_level(logging.INFO):
        stage.camera.start()
        live(stage)
    assert stage.camera.status().restarts == 100
    assert ("offline", "an error inside the dashboard; see its log") in stage.states()
    assert "on purpose" in caplog.text
    assert len(caplog.records) <= 6


def test_log_lines_are_few_however_often_it_flaps(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        stage.camera.start()
        for count in range(1, 20):
            live(stage, count).put(GONE)
            until(lambda: stage.state() == "offline")
    lines = [record for record in caplog.records if record.name == "dashboard.capture.camera"]
    assert 1 < len(lines) <= 6
    assert {record.threadName for record in lines} == {"capture-door"}


def test_a_refusal_waits_longer(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    asked: list[bool] = []

    def pause(self: Backoff, now: float, *, refused: bool = False) -> float:
        asked.append(refused)
        return 0.01

    monkeypatch.setattr(Backoff, "pause", pause)
    stage.sources.errors = [SourceRefused("wrong user name or password"), SourceError("gone")]
    stage.camera.start()
    stage.sources.wait()
    assert asked == [True, False]


def test_readers_get_their_end_when_it_stops(stage: Stage) -> None:
    stage.camera.start()
    live(stage)
    frames = stage.camera.frames.subscribe()
    assert stage.camera.stop()
    with pytest.raises(ChannelClosed):
        frames.poll()


def test_a_thread_that_hangs_is_replaced_and_can_publish_no_more(stage: Stage) -> None:
    free = threading.Event()
    stage.camera.start()
    source = live(stage)
    frames = stage.camera.frames.subscribe()

    def hang() -> None:
        free.wait(30)

    source.put(hang, jpeg_packet())
    time.sleep(0.1)
    stage.camera.look_after(time.monotonic() + 1)
    assert stage.camera.status().restarts == 0
    stage.camera.look_after(time.monotonic() + hung_after(stage.camera.spec) + 1)
    assert stage.camera.status().restarts == 1
    assert ("offline", "its thread hung") in stage.states()
    other = live(stage, 2)
    assert frames.next(10) is not None
    free.set()
    until(lambda: source.closed)
    assert frames.poll() is None
    assert stage.state() == "live"
    assert not other.closed


def test_a_thread_that_died_is_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def die() -> None:
        raise SystemExit

    stage.camera.start()
    live(stage).put(die)
    until(lambda: stage.camera._reader is not None and not stage.camera._reader.alive)
    stage.camera.look_after(time.monotonic())
    live(stage, 2)
    assert stage.camera.status().restarts == 1


def test_a_pause_is_no_hang(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, now, refused=False: 3600)
    stage.sources.errors = [GONE]
    stage.camera.start()
    until(lambda: stage.state() == "offline")
    stage.camera.look_after(time.monotonic() + 1000)
    assert stage.camera.status().restarts == 0


def test_a_limit_of_pictures_a_second_is_kept() -> None:
    stage = Stage(FakeSpec(fps=5))
    stage.camera.start()
    source = stage.sources.wait()
    with stage.camera.frames.subscribe() as frames:
        end, seen = time.monotonic() + 2, 0
        while time.monotonic() < end:
            source.put(jpeg_packet())
            seen += frames.next(0.002) is not None
        assert 5 <= seen <= 12
        assert stage.state() == "live"
        assert stage.camera.status().decoded_frames <= 12
    stage.camera.stop()


@pytest.mark.parametrize("fps", [0.0, float("nan"), 90_000.0, -1.0])
def test_nonsense_rates_do_not_matter(fps: float) -> None:
    stage = Stage(FakeSpec(fps=fps))
    stage.camera.start()
    with stage.camera.frames.subscribe() as frames:
        stage.sources.wait().put(jpeg_packet())
        assert frames.next(10) is not None
    assert stage.camera.stop()

"""The watcher in its thread, with made-up pictures and a log that can fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dashboard.channel import Channel, ChannelClosed
from dashboard.motion import journal as journal_module
from dashboard.motion.journal import Journal
from dashboard.motion.strip import Peak, Picture
from dashboard.motion.watcher import MotionWatcher
from tests.motion_fakes import FakeFrame, FakeLog, Settings, Snapshots, scene, until, walker

EPOCH = 1_790_000_000.0
FAST = Settings().with_motion(pre_capture=2.0)


class Camera:
    """Publishes pictures by hand; each is waited for until the watcher has it."""

    def __init__(self, settings: Settings = FAST, log: FakeLog | None = None) -> None:
        self.frames: Channel[Any] = Channel()
        self.log = log or FakeLog()
        self.watcher = MotionWatcher("door", self.frames, settings, self.log)
        self.watcher.stopping.wait = lambda timeout=None: self.watcher.stopping.is_set()  # type: ignore[method-assign]
        self.sent = 0
        self.watcher.start()
        until(lambda: self.frames.followers)

    def show(self, pictures: Any, start: float = 0.0) -> None:
        for picture, at in pictures:
            self.send(FakeFrame(self.sent, picture, start + at, EPOCH + start + at))

    def send(self, frame: FakeFrame) -> None:
        self.sent += 1
        self.frames.publish(frame)
        if not frame.damaged:
            seen = self.watcher.seen
            until(lambda: seen.newest is not None and seen.newest.at >= frame.taken_at)

    def visit(self, start: float = 0.0) -> None:
        """Somebody from 4 s on, who is near around 6 s and stands still from 9 s on."""

        def somebody(picture: Any, at: float, dice: Any) -> Any:
            return walker(min(at, 9.0), picture, 4.0, height=40 if 6 < at < 7 else 18)

        self.show(scene(14, somebody), start)


@pytest.fixture
def cameras() -> Iterator[list[Camera]]:
    made: list[Camera] = []
    yield made
    for camera in made:
        camera.log.refusing = False
        camera.watcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("motion-")]


@pytest.fixture
def camera(cameras: list[Camera]) -> Camera:
    cameras.append(Camera())
    return cameras[0]


def test_an_event_goes_to_the_log_with_its_filmstrip(camera: Camera) -> None:
    camera.visit()
    until(lambda: camera.log.named("ended"))
    ((_, name, at, first, peak),) = camera.log.named("started")
    ((_, event, end, last, _),) = camera.log.named("ended")
    assert (name, event) == ("door", 1)
    assert 4.0 <= at - EPOCH <= 4.4
    assert 8.5 <= end - EPOCH <= 9.2
    assert [picture.kind for picture in first] == ["before", "start"]
    assert 1.5 <= at - first[0].taken_at <= 3.5
    assert first[0].box is None
    assert first[1].box is not None
    assert peak.area == first[1].score > 0
    assert [picture.kind for picture in last] == ["peak", "end"]
    assert 5.9 < last[0].taken_at - EPOCH < 7.5
    assert last[0].score > first[1].score
    every = [*first, *last]
    assert len({picture.taken_at for picture in every}) == len(every)
    assert all(picture.jpeg.endswith(b"q85") and (picture.width, picture.height) == (640, 360) for picture in every)
    assert camera.watcher.analysed == 70
    assert camera.watcher.cpu_s > 0


def test_what_is_seen_is_told_at_once(camera: Camera) -> None:
    camera.show(scene(3))
    quiet = camera.watcher.seen.newest
    assert quiet is not None
    assert (quiet.moving, quiet.boxes, quiet.area) == (False, (), 0.0)
    camera.show(scene(3, lambda picture, at, dice: walker(at, picture, 1.0)), start=3)
    seen = camera.watcher.seen.newest
    assert seen is not None
    assert seen.moving
    assert seen.camera == "door"
    assert len(seen.boxes) >= 1
    assert seen.area > 0


def test_stop_closes_the_open_event_and_the_subscription(camera: Camera) -> None:
    camera.show(scene(6, lambda picture, at, dice: walker(at, picture, 4.0)))
    assert camera.watcher.stop()
    assert len(camera.log.named("ended")) == 1
    assert camera.frames.followers == 0
    with pytest.raises(ChannelClosed):
        camera.watcher.seen.subscribe().next(0)


def test_a_camera_that_is_closed_ends_the_event(camera: Camera) -> None:
    camera.show(scene(6, lambda picture, at, dice: walker(at, picture, 4.0)))
    camera.frames.close()
    until(lambda: camera.log.named("ended"))
    assert camera.watcher.failures == 0


def test_a_gap_ends_the_event_and_what_stands_elsewhere_then_is_no_movement(camera: Camera) -> None:
    camera.show(scene(6, lambda picture, at, dice: walker(at, picture, 4.0)))
    camera.show(((255 - picture, at) for picture, at in scene(6)), start=20)
    until(lambda: camera.log.named("ended"))
    ((_, _, end, _, _),) = camera.log.named("ended")
    assert end - EPOCH < 6
    assert len(camera.log.named("started")) == 1


def test_surplus_pictures_are_left_out(camera: Camera) -> None:
    for picture, at in scene(4, fps=25):
        camera.frames.publish(FakeFrame(camera.sent, picture, at, EPOCH + at))
        time.sleep(0.002)
    until(lambda: camera.watcher.analysed > 0)
    assert camera.watcher.analysed <= 21


def test_a_damaged_picture_is_passed_over(camera: Camera) -> None:
    camera.show(scene(2))
    camera.send(FakeFrame(99, np.zeros((90, 160), np.uint8), 2.0, EPOCH + 2, damaged=True))
    camera.show(scene(6, lambda picture, at, dice: walker(at, picture, 2.0)), start=2.2)
    assert camera.watcher.failures == 0
    until(lambda: camera.log.named("started"))


def test_without_snapshots_events_have_no_pictures(cameras: list[Camera]) -> None:
    cameras.append(camera := Camera(replace(FAST, snapshots=Snapshots(enabled=False))))
    camera.visit()
    until(lambda: camera.log.named("ended"))
    assert camera.log.named("started")[0][3] == ()
    assert camera.log.named("ended")[0][3] == ()


def test_without_pre_capture_there_is_no_picture_before(cameras: list[Camera]) -> None:
    cameras.append(camera := Camera(FAST.with_motion(pre_capture=0)))
    camera.visit()
    until(lambda: camera.log.named("ended"))
    assert [picture.kind for picture in camera.log.named("started")[0][3]] == ["start"]


def test_settings_hold_from_the_next_picture_on(camera: Camera) -> None:
    everything = ((0, 0), (1, 0), (1, 1), (0, 1))
    camera.watcher.apply(FAST.with_motion(mask=(everything,)))
    camera.visit()
    assert camera.log.calls == []
    camera.watcher.apply(FAST)
    camera.visit(start=14)
    until(lambda: camera.log.named("ended"))


def test_few_pictures_are_kept_before_an_event(camera: Camera) -> None:
    camera.show(scene(30))
    assert len(camera.watcher._ring) <= 2


def test_a_log_that_fails_loses_nothing(cameras: list[Camera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "RETRY_PAUSES", (0.02,))
    cameras.append(camera := Camera(log=FakeLog(refusing=True)))
    for visit in range(3):
        camera.visit(start=14.0 * visit)
    assert camera.watcher.analysed == 210
    assert camera.log.refused > 0
    camera.log.refusing = False
    until(lambda: len(camera.log.named("ended")) == 3)
    assert [call[0] for call in camera.log.calls if call[0] != "progressed"] == ["started", "ended"] * 3
    assert [call[1] for call in camera.log.named("ended")] == [1, 2, 3]
    assert camera.watcher.journal.lost == 0
    assert camera.watcher.journal.failures > 0


def test_a_log_that_hangs_does_not_blind_the_detector(cameras: list[Camera]) -> None:
    cameras.append(camera := Camera(log=FakeLog(slow=1.5)))
    begun = time.monotonic()
    camera.visit()
    assert camera.watcher.analysed == 70
    assert time.monotonic() - begun < 1.5 or not camera.log.named("ended")


PEAK = Peak(EPOCH, 1.0, (0.1, 0.1, 0.2, 0.2))


def picture(size: int = 10) -> Picture:
    return Picture("start", EPOCH, b"x" * size, 640, 360, None, 1.0)


def test_what_waits_is_bounded_and_the_rest_counted() -> None:
    log = FakeLog(refusing=True)
    journal = Journal("motion-log-door", log)
    tickets = [journal.started("door", EPOCH + index, (picture(),), PEAK) for index in range(300)]
    assert journal.waiting == journal_module.MOST_ENTRIES
    assert journal.lost == 100
    assert tickets[-1] is None
    log.refusing = False
    assert journal.close(10)
    assert len(log.named("started")) == 200


def test_what_waits_is_bounded_in_bytes() -> None:
    log = FakeLog(refusing=True)
    journal = Journal("motion-log-door", log)
    first = journal.started("door", EPOCH, (picture(20_000_000),), PEAK)
    assert first is not None
    assert journal.started("door", EPOCH, (picture(20_000_000),), PEAK) is None
    journal.progressed(first, PEAK, picture())  # much waits: the end brings it
    journal.ended(first, EPOCH, (picture(20_000_000),), PEAK)
    log.refusing = False
    assert journal.close(10)
    assert [call[0] for call in log.calls] == ["started", "ended"]
    assert log.named("ended")[0][3] == ()


def test_a_log_with_a_mistake_loses_that_event_alone() -> None:
    log = FakeLog(broken=True)
    journal = Journal("motion-log-door", log)
    ticket = journal.started("door", EPOCH, (), PEAK)
    assert ticket is not None
    journal.ended(ticket, EPOCH, (), PEAK)
    assert journal.close(10)
    log.broken = False
    other = journal.started("door", EPOCH, (), PEAK)
    assert other is not None
    journal.ended(other, EPOCH, (), PEAK)
    assert journal.close(10)
    assert journal.lost == 1
    assert [call[0] for call in log.calls] == ["started", "ended"]


def test_closing_does_not_wait_for_a_log_that_refuses() -> None:
    journal = Journal("motion-log-door", FakeLog(refusing=True))
    journal.started("door", EPOCH, (), PEAK)
    begun = time.monotonic()
    assert not journal.close(5)
    assert time.monotonic() - begun < 3

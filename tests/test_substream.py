from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dashboard.capture import substream
from dashboard.capture.camera import Camera
from dashboard.capture.frame import Frame
from dashboard.capture.pace import Backoff
from dashboard.channel import Subscription
from dashboard.notices import new_channel
from tests.capture_fakes import GONE, FakeSource, FakeSpec, Sources, jpeg_packet, picture, until

LARGE, SMALL = picture(1, (128, 96)), picture(2, (64, 48))
SPEC = FakeSpec(url="rtsp://192.0.2.1/large", substream="rtsp://192.0.2.1/small")


class Stage:
    """A camera with a small stream, and the sources of both."""

    def __init__(self) -> None:
        self.sources = Sources()
        self.camera = Camera(SPEC, new_channel(), opener=self.sources)
        self.camera.start()

    def source(self, url: str, count: int = 1) -> FakeSource:
        """The source that was opened for this URL as number `count`."""
        until(lambda: len(self._of(url)) >= count)
        return self._of(url)[count - 1]

    def _of(self, url: str) -> list[FakeSource]:
        opened = zip(self.sources.specs, self.sources.opened, strict=False)
        return [source for spec, source in opened if spec.connect_url() == url]  # type: ignore[attr-defined]

    def opened(self, url: str) -> int:
        return len(self._of(url))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(Backoff, "pause", lambda self, now, refused=False: 0.02)
    monkeypatch.setattr(substream, "LINGER", 0.2)
    stage = Stage()
    yield stage
    assert stage.camera.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture-")]


def width(reader: Subscription[Frame]) -> int:
    frame = reader.next(10)
    assert frame is not None
    return frame.width


def test_without_one_the_camera_itself_is_looked_at() -> None:
    camera = Camera(FakeSpec(), new_channel(), opener=Sources())
    assert camera.small is camera.frames
    camera.start()
    assert "capture-door-small" not in {thread.name for thread in threading.enumerate()}
    assert camera.stop()


def test_it_is_connected_only_while_somebody_follows(stage: Stage) -> None:
    stage.source(SPEC.url).put(jpeg_packet(LARGE))
    until(lambda: stage.camera.status().state == "live")
    time.sleep(0.4)
    assert stage.opened(SPEC.substream or "") == 0
    with stage.camera.small.subscribe() as reader:
        small = stage.source(SPEC.substream or "")
        small.put(jpeg_packet(SMALL))
        assert width(reader) == 64
    until(lambda: small.closed)
    assert stage.camera.status().state == "live"


def test_the_camera_stands_in_until_the_small_stream_comes_and_when_it_goes(stage: Stage) -> None:
    large = stage.source(SPEC.url)
    with stage.camera.small.subscribe() as reader:
        small = stage.source(SPEC.substream or "")
        large.put(jpeg_packet(LARGE))
        assert width(reader) == 128
        small.put(jpeg_packet(SMALL))
        assert width(reader) == 64
        decoded = stage.camera.status().decoded_frames
        large.put(jpeg_packet(LARGE), jpeg_packet(LARGE))
        until(lambda: large.items.empty())
        assert reader.next(0.1) is None
        assert stage.camera.status().decoded_frames == decoded
        small.put(GONE)
        until(lambda: small.closed)
        large.put(jpeg_packet(LARGE))
        assert width(reader) == 128
        stage.source(SPEC.substream or "", 2).put(jpeg_packet(SMALL))
        assert width(reader) == 64
    assert stage.camera.status().state == "live"


def test_numbers_and_counts_are_those_of_the_camera(stage: Stage) -> None:
    large, numbers = stage.source(SPEC.url), []
    with stage.camera.small.subscribe() as reader, stage.camera.frames.subscribe() as frames:
        small = stage.source(SPEC.substream or "")
        for source, data, following in ((small, SMALL, reader), (large, LARGE, frames), (small, SMALL, reader)):
            source.put(jpeg_packet(data))
            frame = following.next(10)
            assert frame is not None
            assert frame.camera == "door"
            frame.jpeg(32)
            numbers.append(frame.number)
    assert numbers == [1, 2, 3]
    status = stage.camera.status()
    assert (status.decoded_frames, status.encoded_jpegs) == (3, 3)


def test_a_thread_that_hangs_is_replaced(stage: Stage) -> None:
    free = threading.Event()

    def hang() -> None:
        free.wait(30)

    with stage.camera.small.subscribe() as reader:
        stage.source(SPEC.substream or "").put(hang, jpeg_packet(SMALL))
        time.sleep(0.1)
        assert stage.camera._substream is not None
        stage.camera._substream.look_after(time.monotonic() + 1000)
        stage.source(SPEC.substream or "", 2).put(jpeg_packet(SMALL))
        assert width(reader) == 64
        assert stage.camera.status().restarts == 1
        free.set()
        assert reader.next(0.3) is None


def test_the_address_is_not_shown() -> None:
    spec = substream._SmallSpec("door", 5, "tcp", None, "rtsp://viewer:secret@192.0.2.1/small")
    assert "secret" not in repr(spec)

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dashboard.capture import registry
from dashboard.capture.registry import CameraRegistry, Changes
from dashboard.channel import ChannelClosed
from dashboard.notices import new_channel
from tests.capture_fakes import FakeSource, FakeSpec, Sources, jpeg_packet, until


class Set:
    """A registry on fake sources."""

    def __init__(self) -> None:
        self.sources = Sources()
        self.cameras = CameraRegistry(new_channel(), opener=self.sources)

    def source_of(self, id: str) -> FakeSource:
        """The newest source of a camera."""
        until(lambda: any(spec.id == id for spec in self.sources.specs))  # type: ignore[attr-defined]
        places = [index for index, spec in enumerate(self.sources.specs) if spec.id == id]  # type: ignore[attr-defined]
        return self.sources.opened[places[-1]]

    def state(self, id: str) -> str:
        camera = self.cameras.get(id)
        assert camera is not None
        return camera.status().state


@pytest.fixture
def cameras() -> Iterator[Set]:
    cameras = Set()
    yield cameras
    cameras.cameras.stop()
    names = {thread.name for thread in threading.enumerate()}
    assert not [name for name in names if name.startswith(("capture-", "watchdog"))]


A, B, C = (FakeSpec(id=id, url=f"rtsp://192.0.2.1/{id}") for id in ("a", "b", "c"))


def test_starts_them_in_the_order_of_the_file(cameras: Set) -> None:
    cameras.cameras.start([B, A, replace(C, enabled=False)])
    assert [camera.id for camera in cameras.cameras] == ["b", "a", "c"]
    assert len(cameras.cameras) == 3
    assert cameras.cameras.get("nobody") is None
    for id in ("a", "b"):
        cameras.source_of(id).put(jpeg_packet())
        until(lambda id=id: cameras.state(id) == "live")  # type: ignore[misc]
    assert cameras.state("c") == "disabled"
    assert {"capture-a", "capture-b", "watchdog"} <= {thread.name for thread in threading.enumerate()}


def test_a_reload_touches_only_what_changed(cameras: Set) -> None:
    cameras.cameras.start([A, B])
    kept, gone = cameras.source_of("a"), cameras.source_of("b")
    camera = cameras.cameras.get("b")
    assert camera is not None
    reader = camera.frames.subscribe()
    changes = cameras.cameras.apply([C, A])
    assert changes == Changes(added=("c",), removed=("b",), changed=())
    assert [camera.id for camera in cameras.cameras] == ["c", "a"]
    assert gone.closed
    assert not kept.closed
    with pytest.raises(ChannelClosed):
        reader.poll()
    assert cameras.cameras.apply([C, A]) == Changes((), (), ())


def test_a_changed_address_reconnects_and_keeps_its_viewers(cameras: Set) -> None:
    cameras.cameras.start([A])
    before = cameras.cameras.get("a")
    assert before is not None
    old = cameras.source_of("a")
    frames = before.frames.subscribe()
    changed = replace(A, url="rtsp://192.0.2.1/other")
    assert cameras.cameras.apply([changed]) == Changes((), (), ("a",))
    assert cameras.cameras.get("a") is before
    assert old.closed
    cameras.sources.wait(2).put(jpeg_packet())
    assert frames.next(10) is not None
    assert cameras.sources.specs[-1] == changed


def test_a_changed_name_does_not_reconnect(cameras: Set) -> None:
    cameras.cameras.start([A])
    source = cameras.source_of("a")
    renamed = replace(A, name="Back door")
    assert cameras.cameras.apply([renamed]) == Changes((), (), ("a",))
    camera = cameras.cameras.get("a")
    assert camera is not None
    assert camera.spec == renamed
    assert not source.closed
    assert cameras.sources.tries == 1


def test_disabling_and_enabling(cameras: Set) -> None:
    cameras.cameras.start([A])
    source = cameras.source_of("a")
    cameras.cameras.apply([replace(A, enabled=False)])
    assert source.closed
    assert cameras.state("a") == "disabled"
    cameras.cameras.apply([A])
    cameras.sources.wait(2).put(jpeg_packet())
    until(lambda: cameras.state("a") == "live")


def test_one_that_hangs_stops_neither_the_others_nor_the_end() -> None:
    cameras = Set()
    free = threading.Event()
    cameras.cameras.start([A, B, C])

    def hang() -> None:
        free.wait(60)

    for id in ("a", "b"):
        cameras.source_of(id).put(hang)
    cameras.source_of("c").put(jpeg_packet())
    until(lambda: cameras.state("c") == "live")
    time.sleep(0.1)
    start = time.monotonic()
    cameras.cameras.stop()
    assert time.monotonic() - start < 4
    assert cameras.source_of("c").closed
    free.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("capture-")])


def test_the_watchdog_replaces_a_thread_that_hangs(cameras: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LOOK_EVERY", 0.02)
    monkeypatch.setattr("dashboard.capture.camera.hung_after", lambda spec: 0.3)
    free = threading.Event()
    cameras.cameras.start([A, B])
    other = cameras.source_of("b")

    def hang() -> None:
        free.wait(60)

    cameras.source_of("a").put(hang)
    until(lambda: len(cameras.sources.opened) == 3)
    cameras.source_of("a").put(jpeg_packet())
    until(lambda: cameras.state("a") == "live")
    camera = cameras.cameras.get("a")
    assert camera is not None
    assert camera.status().restarts == 1
    assert not other.closed
    free.set()


def test_the_watchdog_tells_a_stall(cameras: Set) -> None:
    cameras.cameras.start([A])
    cameras.source_of("a").put(jpeg_packet())
    camera = cameras.cameras.get("a")
    assert camera is not None
    until(lambda: camera._state == "live")
    until(lambda: camera._state == "stalled")

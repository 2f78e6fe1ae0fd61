"""Small pictures, settings and a log for the tests of motion: made by hand, no camera, no file, no database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from dashboard.errors import SourceError, StoreError
from dashboard.motion.difference import Luma
from dashboard.motion.strip import Peak, Picture

WIDTH, HEIGHT = 160, 90


@dataclass(frozen=True)
class Motion:
    threshold: int = 30
    min_area: float = 0.3
    minimum_motion_frames: int = 2
    event_gap: float = 3.0
    mask: tuple[Any, ...] = ()
    pre_capture: float = 2.0


@dataclass(frozen=True)
class Detect:
    fps: float = 5.0


@dataclass(frozen=True)
class Snapshots:
    enabled: bool = True
    quality: int = 85


@dataclass(frozen=True)
class Settings:
    motion: Motion = Motion()
    detect: Detect = Detect()
    snapshots: Snapshots = Snapshots()

    def with_motion(self, **changes: Any) -> Settings:
        return replace(self, motion=replace(self.motion, **changes))


def ground(seed: int = 1, contrast: float = 20.0) -> Any:
    """A still scene with texture and edges, float32."""
    dice = np.random.default_rng(seed)
    field_ = cv2.GaussianBlur(dice.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2)
    scene = 100 + field_ * contrast / field_.std()
    scene[20:50, 30:60] += 40
    scene[60:80, 90:140] -= 40
    return scene.astype(np.float32)


Change = Callable[[Any, float, np.random.Generator], Any]


def walker(at: float, picture: Any, start: float = 5.0, y: int = 30, width: int = 7, height: int = 18) -> Any:
    """Somebody who crosses the picture from `start` on, 15 pixels a second."""
    if at < start:
        return picture
    x = int((at - start) * 15)
    picture[y : y + height, max(0, x) : x + width] = 200
    return picture


def untouched(picture: Any, at: float, dice: np.random.Generator) -> Any:
    return picture


def scene(
    seconds: float, change: Change = untouched, fps: float = 5.0, noise: float = 1.0
) -> Iterator[tuple[Luma, float]]:
    """`(picture, at)` of a still ground that `change` disturbs, with noise; uint8, at `fps`."""
    dice, still = np.random.default_rng(3), ground()
    for index in range(int(seconds * fps)):
        at = index / fps
        picture = change(still.copy(), at, dice)
        picture = picture + dice.normal(0, noise, picture.shape)
        yield np.clip(picture, 0, 255).astype(np.uint8), at


@dataclass
class FakeFrame:
    number: int
    picture: Luma
    at: float
    taken_at: float = 0.0
    width: int = 640
    height: int = 360
    damaged: bool = False

    def luma(self, width: int = 160) -> Luma:
        if self.damaged:
            raise SourceError("damaged picture")
        return self.picture

    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes:
        return f"jpeg {self.number} q{quality}".encode()


@dataclass
class FakeLog:
    """Writes down what it is told; refuses while `refusing`, or blocks for `slow` seconds."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    refusing: bool = False
    slow: float = 0.0
    refused: int = 0
    broken: bool = False
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, camera: str, at: float, pictures: Sequence[Picture], peak: Peak) -> int:
        self._take("started", camera, at, tuple(pictures), peak)
        self._next += 1
        return self._next

    def progressed(self, event: int, peak: Peak, picture: Picture | None) -> None:
        self._take("progressed", event, peak, picture)

    def ended(self, event: int, at: float, pictures: Sequence[Picture], peak: Peak) -> None:
        self._take("ended", event, at, tuple(pictures), peak)

    def named(self, what: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] == what]

    def _take(self, *call: Any) -> None:
        if self.slow:
            time.sleep(self.slow)
        if self.broken:
            raise ValueError("a mistake in the log")
        if self.refusing:
            self.refused += 1
            raise StoreError("database is locked")
        with self._lock:
            self.calls.append(call)


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)

"""What moved between pictures: a small grey picture and its moment in, regions out. Pure; no thread, no clock, no file.

Whether movement is an event, and what is kept of it, is decided in `episode` and `watcher`.

A picture is compared with one from about 0.4 s before, so that slow and small objects show and nothing that has
left or come to rest stays behind, as it does with a learned background. What is not movement is told apart by
what it does, not by its size:

- light (exposure, clouds, lamps) changes brightness and contrast of a neighbourhood and keeps its texture:
  mean and contrast of the neighbourhood are matched before pictures are compared;
- leaves, grass, noise and shake change the same places again and again: each place learns how much it changes;
- shake and sway move edges by a fraction of a pixel: a change counts only beyond what the edges there explain;
- a switch, an overlay's digit or a flash is over at once: a region must also differ from the picture just before;
- rain and snow are many small regions at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Plane = NDArray[Any]  # of the size of a luma: float32 levels, or uint8 with 255 for yes (OpenCV's stubs know no more)
Polygon = Sequence[Sequence[float]]

LAG = 0.4
"""Seconds between the two pictures that are compared."""
RESET_GAP = 2.0
"""Seconds without a picture after which the past is of no use."""
SETTLE = 0.6
"""Seconds after a change of the whole picture, or after the first picture, in which nothing counts."""
SCENE_SHARE = 0.7
"""Share of the pixels that must change at once to be a change of the whole picture. A near person covers less."""
SCENE_STEP = 8
"""Grey levels by which such a pixel changes."""
NEIGHBOURHOOD = 21
"""Pixels; large beside a walker, small beside a cloud or the light of a lamp."""
FLAT = 3.0
"""Grey levels of contrast that count as none: below, contrast is noise and is not matched."""
EDGE = 0.3
"""Part of the step at an edge that shake and sway may explain."""
NOISE_FACTOR = 5.0
"""A change counts from this many times what is usual in its place."""
NOISE_RISE, NOISE_FALL = 0.06, 0.01
"""How fast a place learns that it is restless, and forgets it: part of the way in 0.2 s."""
NOISE_CLIP = 3.0
"""One picture teaches at most this many times what was usual, so that one passer-by teaches little."""
ONGOING = 0.15
"""Part of a region that must differ from the picture just before."""
DROPS, DROPS_LARGEST = 6, 0.25
"""From so many regions with none above this part of their area on, it rains or snows."""


class Settings(Protocol):
    """What the detector needs to know; `config.Motion` has these, and more."""

    @property
    def threshold(self) -> int: ...
    @property
    def min_area(self) -> float: ...
    @property
    def mask(self) -> Sequence[Polygon]: ...


@dataclass(frozen=True, slots=True)
class Region:
    """A connected part of the picture that moved. x, y, w, h in 0..1; area in % of the picture."""

    x: float
    y: float
    w: float
    h: float
    area: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, w, h in 0..1."""
        return self.x, self.y, self.w, self.h


@dataclass(frozen=True, slots=True)
class Reading:
    """What moved in one picture: regions of at least `min_area`, largest first; area of the largest in %."""

    area: float = 0.0
    regions: tuple[Region, ...] = ()
    scene_change: bool = False


NOTHING = Reading()


@dataclass(frozen=True, slots=True)
class _Look:
    """A picture made ready to be compared: blurred, with mean, contrast and steps of each neighbourhood."""

    at: float
    luma: Plane
    plane: Plane
    mean: Plane
    contrast: Plane
    steps: Plane

    @classmethod
    def at_picture(cls, luma: Luma, at: float) -> _Look:
        blurred = cv2.blur(luma, (3, 3))
        plane = blurred.astype(np.float32)
        size = (NEIGHBOURHOOD, NEIGHBOURHOOD)
        mean = cv2.blur(plane, size)
        variance = cv2.sqrBoxFilter(plane, cv2.CV_32F, size) - mean * mean
        contrast = np.sqrt(np.maximum(variance, 0) + np.float32(FLAT * FLAT))
        steps = cv2.morphologyEx(blurred, cv2.MORPH_GRADIENT, _SQUARE).astype(np.float32)
        return cls(at, blurred, plane, mean, contrast, steps)


_SQUARE = np.ones((3, 3), np.uint8)


class Difference:
    """Compares pictures of one camera. `look` wants them in order of time, about five a second."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._past: deque[_Look] = deque()
        self._noise: Plane = np.zeros((0, 0), np.float32)
        self._counts: Plane | None = None
        self._quiet_until = 0.0

    def apply(self, settings: Settings) -> None:
        """Take other settings; what was learned is kept."""
        self.settings = settings
        self._counts = rasterised(settings.mask, self._noise.shape) if self._noise.size else None

    def reset(self) -> None:
        """Forget the pictures seen: the next one is the first. What is usual in each place is kept."""
        self._past.clear()

    def look(self, luma: Luma, at: float) -> Reading:
        """What moved in `luma` (uint8, (h, w), full range) taken at `at` seconds."""
        if self._noise.shape != luma.shape:
            self._resize(luma.shape)
        if self._past and not 0 < at - self._past[-1].at <= RESET_GAP:
            self.reset()
        now = _Look.at_picture(luma, at)
        if not self._past:
            self._quiet_until = at + SETTLE
            self._past.append(now)
            return NOTHING
        before, last = self._before(at), self._past[-1]
        self._past.append(now)
        if changed_share(now.luma, last.luma) > SCENE_SHARE:
            self._quiet_until = at + SETTLE
            return Reading(scene_change=True)
        change = unexplained(now, before)
        limit = self._limit()
        moved = cv2.compare(change, limit, cv2.CMP_GT)
        self._learn(change, at - last.at)
        if at < self._quiet_until:
            return NOTHING
        if self._counts is not None:
            moved = cv2.bitwise_and(moved, self._counts)
        return self._reading(moved, cv2.absdiff(now.luma, last.luma))

    def _resize(self, shape: tuple[int, ...]) -> None:
        self.reset()
        self._noise = np.full(shape, 1.0, np.float32)
        self._counts = rasterised(self.settings.mask, shape)

    def _before(self, at: float) -> _Look:
        """The newest picture that is LAG old, or the oldest there is."""
        while len(self._past) > 1 and at - self._past[1].at >= LAG - 0.05:
            self._past.popleft()
        return self._past[0]

    def _limit(self) -> Plane:
        floor = self.settings.threshold / 4
        usual: Plane = cv2.dilate(self._noise, _SQUARE)
        return np.maximum(usual * np.float32(NOISE_FACTOR), np.float32(floor))

    def _learn(self, change: Plane, seconds: float) -> None:
        lesson = np.minimum(change, self._noise * np.float32(NOISE_CLIP) + np.float32(0.3))
        pictures = seconds / 0.2
        rise, fall = 1 - (1 - NOISE_RISE) ** pictures, 1 - (1 - NOISE_FALL) ** pictures
        step = lesson - self._noise
        self._noise += np.where(step > 0, np.float32(rise), np.float32(fall)) * step

    def _reading(self, moved: Plane, recent: Plane) -> Reading:
        height, width = moved.shape
        neighbours = cv2.boxFilter(moved >> 7, cv2.CV_8U, (3, 3), normalize=False)
        moved = cv2.bitwise_and(moved, above(neighbours, 3))
        if not moved.any():
            return NOTHING
        moved = cv2.dilate(moved, _SQUARE)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(moved, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        if len(areas) >= DROPS and areas.max() < DROPS_LARGEST * areas.sum():
            return NOTHING
        regions = []
        smallest = self.settings.min_area / 100 * width * height
        for label in range(1, count):
            x, y, w, h, area = (int(v) for v in stats[label])
            if area < smallest:
                continue
            here = labels[y : y + h, x : x + w] == label
            fresh = (recent[y : y + h, x : x + w][here] > self.settings.threshold / 8).mean()
            if fresh < ONGOING:
                continue
            regions.append(Region(x / width, y / height, w / width, h / height, 100 * area / (width * height)))
        regions.sort(key=lambda region: -region.area)
        return Reading(regions[0].area, tuple(regions)) if regions else NOTHING


def above(picture: Plane, level: float) -> Plane:
    """255 where `picture` is above `level`, else 0."""
    return cv2.threshold(picture, level, 255, cv2.THRESH_BINARY)[1]


def changed_share(one: Plane, other: Plane) -> float:
    """Share (0..1) of the pixels that differ by more than SCENE_STEP."""
    return cv2.countNonZero(above(cv2.absdiff(one, other), SCENE_STEP)) / one.size


def alike(one: Luma, other: Luma) -> bool:
    """Whether two pictures of the same size show the same, but for noise."""
    if one.shape != other.shape:
        return False
    change = above(cv2.absdiff(cv2.blur(one, (3, 3)), cv2.blur(other, (3, 3))), SCENE_STEP)
    return cv2.countNonZero(change) < one.size / 2000


def unexplained(now: _Look, before: _Look) -> Plane:
    """Grey levels by which `now` differs from `before` beyond what light, and edges that shift a little, explain."""
    gain = np.clip(now.contrast / before.contrast, np.float32(0.5), np.float32(2))
    expected = (before.plane - before.mean) * gain + now.mean
    change: Plane = np.maximum(np.abs(now.plane - expected) - np.float32(EDGE) * before.steps, 0)
    return change


def rasterised(mask: Sequence[Polygon], shape: tuple[int, ...]) -> Plane | None:
    """255 where movement counts, 0 inside the polygons of `mask` (points in 0..1); None without polygons."""
    if not mask:
        return None
    height, width = shape
    counts = np.full((height, width), 255, np.uint8)
    for polygon in mask:
        points = np.array([[x * width, y * height] for x, y in polygon])
        cv2.fillPoly(counts, [np.round(points * 16).astype(np.int32)], 0, shift=4)
    return counts

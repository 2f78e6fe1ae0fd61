"""What moved between pictures: a small grey picture and its moment in, regions out. Pure; no thread, no clock, no file.

Whether movement is an event, and what is kept of it, is decided in `episode` and `watcher`.

A picture is compared with one from about 0.4 s before, so that slow and small objects show and nothing that has
left or come to rest stays behind, as it does with a learned background. What is not movement is told apart by
what it does, not by its size:

- light (exposure, clouds, lamps) changes the brightness of a neighbourhood and keeps its texture: the brightness
  around each place is matched before pictures are compared;
- leaves, grass, noise and shake change the same places again and again: each place learns how much it changes;
- shake and sway move edges by a fraction of a pixel: a change counts only beyond what the edges there explain;
- a switch, an overlay's digit or a flash is over at once: a region must also differ from the picture just before;
- a flake or a drop is in one picture and gone: a change must show against two earlier pictures, and while much
  passes like this, also in the picture before, in the same place.
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

LAGS = (0.4, 0.6)
"""Seconds back to the pictures that are compared. What moved differs from both; what only passed through one, as a
flake or a leaf that swings to and fro, does not."""
JUST_BEFORE = 0.1
"""Seconds back, at least, to the picture that tells what still moves from what changed once."""
JITTER = 0.05
"""Seconds by which a picture may be too young for its purpose."""
RESET_GAP = 2.0
"""Seconds without a picture after which the past is of no use."""
SETTLE = 0.6
"""Seconds after a change of the whole picture, or after the first picture, in which nothing new counts."""
CONTINUES = 0.5
"""What moved before a change of the whole picture is still believed in this time when so much of it was there."""
SCENE_SHARE, SCENE_STEP = 0.7, 8
"""The whole picture changed when this share of the pixels did at once, by more than so many grey levels."""
FLOOR = 0.25
"""A pixel of the small picture moved from this part of `threshold` on: shrinking and blurring take the rest."""
NEIGHBOURHOOD = 17
"""Pixels around a place that share its light: large beside a walker, small beside a cloud or a lamp's light."""
BLACK = 16.0
"""Grey levels added before brightness is divided, so that the dark does not blow up its noise."""
MOST_GAIN = 2.0
"""Light is not believed to change by more than this factor."""
EDGE = 0.4
"""Part of the step at an edge that shake and sway may explain."""
NOISE_FACTOR = 5.0
"""A change counts from this many times what is usual in its place."""
NOISE_RISE, NOISE_FALL = 0.06, 0.01
"""How fast a place learns that it is restless, and forgets it: part of the way in 0.2 s."""
NOISE_CLIP = 3.0
"""One picture teaches at most this many times what was usual, so that one passer-by teaches little."""
YOUNG = 2.0
"""Seconds, after the start and after a change of the whole picture, in which a place learns at once."""
ONGOING = 0.15
"""Part of a region that must differ from the picture just before."""
GONE = 0.3
"""A region of which no more than this part had moved in the picture before was not there: it passes."""
DROPS, DROPS_RATE = 1.5, 0.1
"""It rains or snows from this many passing regions a picture on; how fast the mean of them follows."""


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
    """A picture made ready to be compared: blurred, the mean around each place, the steps at its edges."""

    at: float
    blurred: Plane
    levels: Plane
    mean: Plane
    steps: Plane


class Difference:
    """Compares pictures of one camera. `look` wants them in order of time, about five a second."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._past: deque[_Look] = deque()
        self._quiet_until = 0.0
        self._usual: Plane = np.zeros((0, 0), np.float32)  # grey levels by which a place changes without movement
        self._learned = 0.0  # seconds of learning since nothing was known
        self._moved: Plane = np.zeros((0, 0), np.uint8)  # what moved in the picture before
        self._drops = 0.0  # passing regions a picture, running mean
        self._counts: Plane | None = None  # 255 where movement counts; None: everywhere

    def apply(self, settings: Settings) -> None:
        """Take other settings from the next picture on; what was learned is kept."""
        self._settings = settings
        self._counts = rasterised(settings.mask, self._usual.shape)

    def reset(self) -> None:
        """Forget the pictures seen: the next one is the first. What is usual in each place is kept."""
        self._past.clear()
        self._moved = np.zeros_like(self._moved)

    def look(self, luma: Luma, at: float) -> Reading:
        """What moved in `luma` (uint8, (h, w), full range) taken at `at` seconds."""
        if self._usual.shape != luma.shape:
            self._begin(luma.shape)
        if self._past and not 0 < at - self._past[-1].at <= RESET_GAP:
            self.reset()
        now = ready(luma, at)
        past = self._past
        while len(past) > 1 and at - past[1].at >= LAGS[-1] - JITTER:
            past.popleft()
        past.append(now)
        if len(past) == 1:
            self._quiet_until = at + SETTLE
            return NOTHING
        scene_change = changed_share(now.blurred, past[-2].blurred) > SCENE_SHARE
        if scene_change:
            self._quiet_until = at + SETTLE
            self._learned = 0.0
        change = unexplained(now, self._back(LAGS[0]))
        if self._back(LAGS[1]) is not self._back(LAGS[0]):
            change = np.minimum(change, unexplained(now, self._back(LAGS[1])))
        moved = cv2.compare(change, self._limit(), cv2.CMP_GT)
        if not scene_change:
            self._learn(change, at - past[-2].at)
        if self._counts is not None:
            moved = cv2.bitwise_and(moved, self._counts)
        moved = without_specks(moved)
        if at < self._quiet_until:
            moved = continuing(moved, self._moved)
        return self._reading(moved, cv2.absdiff(now.blurred, self._back(JUST_BEFORE).blurred), scene_change)

    def _begin(self, shape: tuple[int, ...]) -> None:
        """Start anew with pictures of another size."""
        self.reset()
        self._usual = np.ones(shape, np.float32)
        self._learned, self._drops = 0.0, 0.0
        self._moved = np.zeros(shape, np.uint8)
        self._counts = rasterised(self._settings.mask, shape)

    def _back(self, seconds: float) -> _Look:
        """The newest picture that is `seconds` older than the last one, or the oldest there is."""
        now = self._past[-1].at
        return next((look for look in reversed(self._past) if now - look.at >= seconds - JITTER), self._past[0])

    def _limit(self) -> Plane:
        """Grey levels above which a change counts, for each place."""
        restless: Plane = cv2.dilate(self._usual, _SQUARE)
        return np.maximum(restless * np.float32(NOISE_FACTOR), np.float32(self._settings.threshold * FLOOR))

    def _learn(self, change: Plane, seconds: float) -> None:
        """Let each place know how much it just changed."""
        pictures = seconds / 0.2
        self._learned += seconds
        young = self._learned <= YOUNG
        rise = max(NOISE_RISE, 0.1 / (0.2 + self._learned)) if young else NOISE_RISE
        clip = 3 * NOISE_CLIP if young else NOISE_CLIP
        step = np.minimum(change, self._usual * np.float32(clip) + np.float32(0.3)) - self._usual
        parts = [np.float32(1 - (1 - rate) ** pictures) for rate in (rise, NOISE_FALL)]
        self._usual += np.where(step > 0, *parts) * step

    def _reading(self, moved: Plane, fresh: Plane, scene_change: bool) -> Reading:
        """Regions from the pixels that moved; `fresh`: difference to the picture just before."""
        before, self._moved = self._moved, moved
        count, labels, stats, _ = components(moved)
        passing = shares(labels, cv2.dilate(before, _SQUARE), stats)[1:] < GONE
        self._drops += DROPS_RATE * (np.count_nonzero(passing) - self._drops)
        if self._drops > DROPS:
            count, labels, stats, _ = components(without_specks(cv2.bitwise_and(moved, before)))
        ongoing = shares(labels, above(fresh, self._settings.threshold * FLOOR / 2), stats)
        areas = stats[:, cv2.CC_STAT_AREA] * (100 / moved.size)
        regions = [
            region_of(stats[label], areas[label], moved.shape)
            for label in range(1, count)
            if areas[label] >= self._settings.min_area and ongoing[label] >= ONGOING
        ]
        regions.sort(key=lambda region: -region.area)
        return Reading(regions[0].area if regions else 0.0, tuple(regions), scene_change)


_SQUARE = np.ones((3, 3), np.uint8)
_WIDE = np.ones((5, 5), np.uint8)


def ready(luma: Luma, at: float) -> _Look:
    """`luma` as it is compared."""
    blurred = cv2.blur(luma, (3, 3))
    levels = blurred.astype(np.float32)
    mean = cv2.blur(levels, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    steps = cv2.morphologyEx(blurred, cv2.MORPH_GRADIENT, _SQUARE).astype(np.float32)
    return _Look(at, blurred, levels, mean, steps * np.float32(EDGE))


def unexplained(now: _Look, before: _Look) -> Plane:
    """Grey levels by which `now` differs from `before` beyond what light, and edges that shift a little, explain.

    Light multiplies: its factor is that of the brightness around. (The ratio of the contrasts around, which would
    know fog as well, is spoilt by the border of each cloud's shadow.)
    """
    factor = cv2.divide(now.mean + np.float32(BLACK), before.mean + np.float32(BLACK))
    factor = np.clip(factor, np.float32(1 / MOST_GAIN), np.float32(MOST_GAIN))
    expected = (before.levels - before.mean) * factor + now.mean
    change: Plane = np.maximum(cv2.absdiff(now.levels, expected) - before.steps, np.float32(0))
    return change


def above(picture: Plane, level: float) -> Plane:
    """255 where `picture` is above `level`, else 0."""
    return cv2.threshold(picture, level, 255, cv2.THRESH_BINARY)[1]


def changed_share(one: Plane, other: Plane) -> float:
    """Share (0..1) of the pixels that differ by more than SCENE_STEP."""
    return cv2.countNonZero(above(cv2.absdiff(one, other), SCENE_STEP)) / one.size


def continuing(moved: Plane, before: Plane) -> Plane:
    """Of `moved` the parts of which CONTINUES or more had moved in the picture before, too."""
    _, labels, stats, _ = components(moved)
    keep = shares(labels, cv2.dilate(before, _SQUARE), stats) >= CONTINUES
    return cv2.bitwise_and(moved, np.where(keep[labels], np.uint8(255), np.uint8(0)))


def without_specks(moved: Plane) -> Plane:
    """`moved` without the pixels that have fewer than four of nine set around them."""
    around = cv2.boxFilter(moved >> 7, cv2.CV_8U, (3, 3), normalize=False)
    return cv2.bitwise_and(moved, above(around, 3))


def components(moved: Plane) -> tuple[int, Plane, Plane, Plane]:
    """Connected parts of `moved`, after each pixel grew by two, as OpenCV gives them."""
    return cv2.connectedComponentsWithStats(cv2.dilate(moved, _WIDE), connectivity=8)


def alike(one: Luma, other: Luma) -> bool:
    """Whether two pictures show the same, but for noise."""
    if one.shape != other.shape:
        return False
    return changed_share(cv2.blur(one, (3, 3)), cv2.blur(other, (3, 3))) < 0.0005


def shares(labels: Plane, where: Plane, stats: Plane) -> Plane:
    """For each label the share (0..1) of its pixels that are set in `where`."""
    return np.bincount(labels[where > 0], minlength=len(stats)) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)


def region_of(stats: Plane, area: float, shape: tuple[int, ...]) -> Region:
    """A region from a component's row of statistics and its area in %."""
    height, width = shape
    x, y, w, h = (int(value) for value in stats[:4])
    return Region(x / width, y / height, w / width, h / height, float(area))


def rasterised(mask: Sequence[Polygon], shape: tuple[int, ...]) -> Plane | None:
    """255 where movement counts, 0 inside the polygons of `mask` (points in 0..1); None without polygons."""
    if not mask:
        return None
    height, width = shape
    counts = np.full((height, width), 255, np.uint8)
    for polygon in mask:
        # Pixel 0 reaches from 0 to 1: its centre, where OpenCV draws, is at 0.5.
        points = np.array([[x * width - 0.5, y * height - 0.5] for x, y in polygon])
        cv2.fillPoly(counts, [np.round(points * 16).astype(np.int32)], (0,), shift=4)
    return counts

"""Readings over time in; started, moving, ended out. Pure; no thread, no clock.

What moved in one picture is decided in `difference`; what is kept of an event, in `watcher`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from dashboard.motion.difference import Reading, Region

REACH = 0.03
"""How far (part of the picture) a region may get between two pictures and still be the same thing,"""
STRIDE = 0.5
"""and how far beside its own size: what is large in the picture is near, and passes quickly."""
GROWTH = 6.0
"""How many times larger or smaller the same thing may look in the next picture."""
LONGEST = 600.0
"""Seconds after which an event that does not end is closed and goes on as a new one."""


class Settings(Protocol):
    """What an episode needs to know; `config.Motion` has these, and more."""

    @property
    def minimum_motion_frames(self) -> int: ...
    @property
    def event_gap(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Started:
    """An event began: `first` is the moment of the first picture that moved, `at` that of the one which decided."""

    first: float
    at: float
    reading: Reading


@dataclass(frozen=True, slots=True)
class Moving:
    """The event goes on; `peak`: this reading is the largest so far."""

    at: float
    reading: Reading
    peak: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The event is over: `first` and `last` moments of movement. `goes_on`: it was closed for its length alone,
    and the next movement begins a new one at once."""

    first: float
    last: float
    goes_on: bool = False


class Episode:
    """Follows the readings of one camera, in order of time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._recent: deque[tuple[float, Reading]] = deque()
        self._first: float | None = None
        self._last = 0.0
        self._peak = 0.0

    @property
    def running(self) -> bool:
        """Whether an event is open."""
        return self._first is not None

    def apply(self, settings: Settings) -> None:
        """Take other settings from the next reading on."""
        self.settings = settings

    def update(self, reading: Reading, at: float) -> Started | Moving | Ended | None:
        """Take the next reading. A scene change in which nothing goes on moving breaks what was about to begin."""
        begun = self._moving_since(reading, at)
        if self._first is None:
            if begun is None:
                return None
            self._first, self._last, self._peak = begun, at, reading.area
            return Started(begun, at, reading)
        if begun is not None:
            self._last = at
            if at - self._first >= LONGEST:
                return self._end(goes_on=True)
            peak = reading.area > self._peak
            self._peak = max(self._peak, reading.area)
            return Moving(at, reading, peak)
        if at - self._last >= self.settings.event_gap:
            return self._end()
        return None

    def finish(self) -> Ended | None:
        """Close the open event: the camera or the watcher stops. Forgets all readings."""
        self._recent.clear()
        return self._end() if self._first is not None else None

    def _end(self, goes_on: bool = False) -> Ended:
        assert self._first is not None
        ended = Ended(self._first, self._last, goes_on)
        self._first = None
        self._recent.clear()
        return ended

    def _moving_since(self, reading: Reading, at: float) -> float | None:
        """When what moves now began to, if `minimum_motion_frames` of that and one more pictures show it; else None.

        Readings count together only when a region is near one of the reading before: what falls, flashes or
        flickers here and there is not one thing that moves.
        """
        if reading.scene_change and not reading.regions:
            self._recent.clear()
            return None
        wanted = self.settings.minimum_motion_frames
        self._recent.append((at, reading))
        while len(self._recent) > wanted + 1:
            self._recent.popleft()
        best: tuple[int, float] = (0, -at)
        for region in reading.regions:
            found, first = 1, at
            for moment, earlier in list(self._recent)[-2::-1]:
                if any(same(region, other) for other in earlier.regions):
                    found, first = found + 1, moment
            best = max(best, (found, -first))
        return -best[1] if best[0] >= wanted else None


def same(one: Region, other: Region) -> bool:
    """Whether two regions of pictures that follow each other may be the same thing."""
    reach = REACH + STRIDE * max(one.w, one.h, other.w, other.h)
    return (
        max(one.area, other.area) <= GROWTH * min(one.area, other.area)
        and one.x - reach <= other.x + other.w
        and other.x <= one.x + one.w + reach
        and one.y - reach <= other.y + other.h
        and other.y <= one.y + one.h + reach
    )

"""Readings over time in; started, moving, ended out. Pure; no thread, no clock.

What moved in one picture is decided in `difference`; what is kept of an event, in `watcher`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from dashboard.motion.difference import Reading, Region

REACH = 0.08
"""How far (part of the picture) a thing may get between two pictures and still be taken for the same."""
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
        """Take the next reading. A scene change counts as no movement and breaks what was about to begin."""
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
        if reading.scene_change:
            self._recent.clear()
            return None
        wanted = self.settings.minimum_motion_frames
        self._recent.append((at, reading))
        while len(self._recent) > wanted + 1:
            self._recent.popleft()
        if not reading.regions:
            return None
        first, newest, found = at, reading, 1
        for moment, earlier in list(self._recent)[-2::-1]:
            if earlier.regions and near(newest, earlier):
                first, newest, found = moment, earlier, found + 1
        return first if found >= wanted else None


def near(one: Reading, other: Reading) -> bool:
    """Whether any region of `one`, grown by REACH, touches one of `other`."""
    return any(_touch(a, b) for a in one.regions for b in other.regions)


def _touch(a: Region, b: Region) -> bool:
    return (
        a.x - REACH <= b.x + b.w and b.x <= a.x + a.w + REACH and a.y - REACH <= b.y + b.h and b.y <= a.y + a.h + REACH
    )

"""The detector over recorded pictures, as fast as it can: exactly the code that runs live.

Reading files is not done here; pictures are handed in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dashboard.motion.difference import Difference, Luma, Region
from dashboard.motion.difference import Settings as DifferenceSettings
from dashboard.motion.episode import Ended, Episode, Moving, Started
from dashboard.motion.episode import Settings as EpisodeSettings
from dashboard.motion.pace import Pace

ANALYSIS_WIDTH = 160
"""Width in pixels of the picture that is analysed."""


class Settings(DifferenceSettings, EpisodeSettings, Protocol):
    """The settings of both parts."""


class Picture(Protocol):
    """A picture of a recording."""

    @property
    def at(self) -> float:
        """Seconds from the first picture of the recording."""

    def luma(self, width: int = ANALYSIS_WIDTH) -> Luma:
        """The small grey picture, uint8 (h, w), full range."""


@dataclass(frozen=True, slots=True)
class Event:
    """Seconds of the recording, first to last moment of movement; the largest region of all, its area in %."""

    start: float
    end: float
    peak_area: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """Events in order, pictures analysed, seconds of processor time spent on them (without reading the file)."""

    events: tuple[Event, ...]
    frames: int
    cpu_s: float


def detect(pictures: Iterable[Picture], settings: Settings, fps: float = 5.0) -> Detection:
    """Run the detector over `pictures` (in order of time), analysing `fps` of them a second."""
    difference, episode, pace = Difference(settings), Episode(settings), Pace(fps)
    events: list[Event] = []
    largest: Region | None = None
    frames, spent = 0, 0.0
    for picture in pictures:
        if not pace.due(picture.at):
            continue
        frames += 1
        begun = time.thread_time()
        change = episode.update(difference.look(picture.luma(ANALYSIS_WIDTH), picture.at), picture.at)
        spent += time.thread_time() - begun
        if isinstance(change, Started) or (isinstance(change, Moving) and change.peak):
            largest = change.reading.regions[0]
        elif isinstance(change, Ended):
            events.append(_event(change, largest))
    last = episode.finish()
    if last is not None:
        events.append(_event(last, largest))
    return Detection(tuple(events), frames, spent)


def _event(ended: Ended, largest: Region | None) -> Event:
    assert largest is not None
    return Event(ended.first, ended.last, largest.area, largest.box)

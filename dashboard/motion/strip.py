"""What an event and its pictures are, as they go to the log. Values only, and the log as the watcher sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Box = tuple[float, float, float, float]
"""x, y, w, h in 0..1."""
Kind = Literal["before", "start", "peak", "end"]


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest movement of an event so far: seconds since the epoch, % of the picture, where."""

    at: float
    area: float
    box: Box


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG of an event at full size. `taken_at`: seconds since the epoch; `score`: largest region in %."""

    kind: Kind
    taken_at: float
    jpeg: bytes
    width: int
    height: int
    box: Box | None
    score: float


class MotionLog(Protocol):
    """Where events are kept. Each method raises StoreError when it cannot keep what it was given, and nothing of it."""

    def started(self, camera: str, at: float, pictures: Sequence[Picture], peak: Peak) -> int:
        """An event began at `at`; pictures: before, start. Returns the number of the event."""

    def progressed(self, event: int, peak: Peak, picture: Picture | None) -> None:
        """The event has a new peak; `picture` takes the place of the peak picture of before."""

    def ended(self, event: int, at: float, pictures: Sequence[Picture], peak: Peak) -> None:
        """The event's last movement was at `at`; pictures: peak, end, as far as they show something new."""

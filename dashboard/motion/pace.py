"""Which pictures are analysed: so many a second, evenly, the rest left out. Pure; the moments are handed in."""

from __future__ import annotations

EARLY = 0.4
"""Part of a period by which a picture may come before its time, so that jitter does not halve a camera's rate."""


class Pace:
    """Says which of the pictures that come are due at `fps` a second."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._next: float | None = None

    def due(self, at: float) -> bool:
        """Whether the picture taken at `at` seconds is to be analysed: the first one about each moment of the beat."""
        beat, period = self._next, self._period
        if beat is None or at >= beat + period or at < beat - 4 * period:
            self._next = at + period  # the first one, one after a gap, or a clock that began anew
            return True
        if at < beat - EARLY * period:
            return False
        self._next = beat + period
        return True

    def left(self, at: float) -> float:
        """Seconds from `at` until a picture can be due again; 0 when one may be due now."""
        return 0.0 if self._next is None else max(0.0, self._next - EARLY * self._period - at)

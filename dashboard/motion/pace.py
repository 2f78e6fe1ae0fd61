"""Which pictures are analysed: so many a second, evenly, the rest left out. Pure; the moments are handed in."""

from __future__ import annotations


class Pace:
    """Says which of the pictures that come are due at `fps` a second."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._next: float | None = None

    def due(self, at: float) -> bool:
        """Whether the picture taken at `at` seconds is to be analysed.

        Up to a fifth of a period early is in time, so that the jitter of a camera of about this rate halves nothing.
        """
        if self._next is None or not self._next - self._period * 4 < at < self._next + self._period:
            self._next = at + self._period  # the first, a jump back, or a picture that comes late
            return True
        if at < self._next - self._period / 5:
            return False
        self._next += self._period
        return True

    def left(self, at: float) -> float:
        """Seconds from `at` until a picture can be due again; 0 when one may be due now."""
        return 0.0 if self._next is None else max(0.0, self._next - self._period / 5 - at)

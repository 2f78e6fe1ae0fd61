"""Rates and pauses of a camera, decided from times that are handed in; no clock and no thread in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW = 5.0  # seconds over which a rate is measured


class Rate:
    """How many pictures a second came lately. Times are monotonic seconds and rise."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1024)

    def add(self, at: float) -> None:
        """A picture came."""
        self._times.append(at)
        while at - self._times[0] > WINDOW and len(self._times) > 2:
            self._times.popleft()

    def clear(self) -> None:
        """Begin anew, as after a reconnect."""
        self._times.clear()

    def per_second(self, now: float) -> float:
        """Pictures a second; sinks towards 0 while none come."""
        times = tuple(self._times)  # may be asked by another thread than adds
        if len(times) < 2:
            return 0.0
        span = times[-1] - times[0]
        steps = len(times) - 1
        silence = now - times[-1]
        if silence > max(2 * span / steps, 0.2):
            span = now - times[0]
        return steps / max(span, 1e-3)

    @property
    def interval(self) -> float:
        """Mean seconds between pictures; 0 when not known."""
        times = tuple(self._times)
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


class Pace:
    """Lets at most `per_second` through, each up to `slack` intervals early or late: networks jitter, and burst."""

    def __init__(self, per_second: float, slack: float = 0.5) -> None:
        self._interval = 1 / per_second
        self._slack = slack * self._interval
        self._due = float("-inf")

    def allows(self, at: float) -> bool:
        """Whether the picture of this time may pass."""
        if at < self._due - self._slack:
            return False
        self._due = max(self._due, at - self._slack) + self._interval
        return True


class Backoff:
    """Seconds to wait before the next try: 1, 2, 4, 8; up to 30 once a camera has been away for ten minutes.

    Within the first ten minutes it stays at 8, so that a camera that comes back after a short outage is seen within
    10 s. A camera that refuses is asked twice a minute at most. `random` gives 0..1; the jitter of 20 % keeps the
    cameras of one switch from coming back all at once.
    """

    SHORT, LONG = 8.0, 30.0
    PATIENT_AFTER = 600.0
    GOOD_RUN = 10.0
    """Seconds of pictures after which the next failure begins at 1 s again."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._tries = 0
        self._since: float | None = None

    def ran(self, seconds: float) -> None:
        """The connection that just ended gave pictures for so long."""
        if seconds >= self.GOOD_RUN:
            self._tries = 0
            self._since = None

    def pause(self, now: float, *, refused: bool = False) -> float:
        """Seconds to wait after a failure at `now` (monotonic)."""
        if self._since is None:
            self._since = now
        self._tries += 1
        if refused:
            return self.LONG * (1.02 + 0.2 * self._random())
        most = self.LONG if now - self._since > self.PATIENT_AFTER else self.SHORT
        return min(most, 2.0 ** min(self._tries - 1, 10) * (0.8 + 0.4 * self._random()))


class Quota:
    """At most `count` in `seconds`; counts what was held back. For log lines."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count, self._seconds = count, seconds
        self._times: deque[float] = deque()
        self._held = 0

    def take(self, now: float) -> int | None:
        """How many were held back before this one, which may pass; None when it may not."""
        while self._times and now - self._times[0] >= self._seconds:
            self._times.popleft()
        if len(self._times) >= self._count:
            self._held += 1
            return None
        self._times.append(now)
        held, self._held = self._held, 0
        return held

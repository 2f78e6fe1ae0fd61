"""How many failed sign-ins are too many. Counts attempts by key; what the keys are and what is answered is not here."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

MIN_WAIT = 60.0
"""Seconds that a blocked key is told to wait at least."""


class Throttle:
    """At most `limit` failures of one key within `window` seconds, on the monotonic clock.

    An attempt counts as a failure from its start, so that many at the same moment do not slip through; `succeeded`
    takes that back. Remembers at most `bound` keys and forgets the one that was quiet for longest.
    """

    def __init__(
        self,
        limit: int = 10,
        window: float = 300.0,
        bound: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window = window
        self._bound = bound
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def attempt(self, key: Hashable) -> float:
        """Begin an attempt. 0 when it may go on, else the seconds to wait; a refused attempt is not counted."""
        now = self._clock()
        with self._lock:
            failures = self._failures.setdefault(key, deque())
            self._failures.move_to_end(key)
            while failures and now - failures[0] >= self._window:
                failures.popleft()
            if len(failures) >= self._limit:
                return max(MIN_WAIT, self._window - (now - failures[0]))
            failures.append(now)
            while len(self._failures) > self._bound:
                self._failures.popitem(last=False)
            return 0.0

    def succeeded(self, key: Hashable) -> None:
        """The attempt was good: the key starts anew."""
        with self._lock:
            self._failures.pop(key, None)

    def undo(self, key: Hashable) -> None:
        """The attempt never came to a verdict: take back what `attempt` counted for it."""
        with self._lock:
            if failures := self._failures.get(key):
                failures.pop()

    def __len__(self) -> int:
        return len(self._failures)

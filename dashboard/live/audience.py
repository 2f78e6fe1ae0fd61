"""Everybody who watches: how many, which cameras, and under which login, so that a stream can be ended with it.

What a stream sends does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

MAX_VIEWERS = 400


class Full(Exception):
    """As many watch already as are let in."""


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """One open stream. `end` ends it from the event loop, with a reason: "login", "stop"."""

    session: int
    end: Callable[[str], None]


class Audience:
    """The open streams. Changed on the event loop only; counts may be read from any thread."""

    def __init__(self, limit: int = MAX_VIEWERS) -> None:
        self._limit = limit
        self._seats: set[Seat] = set()
        self._watching: Counter[str] = Counter()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._seats)

    def enter(self, session: int, end: Callable[[str], None]) -> Seat:
        """Take a seat; raises `Full`. Give it back with `leave`."""
        if len(self._seats) >= self._limit or self.stopping:
            raise Full
        seat = Seat(session, end)
        self._seats.add(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        self._seats.discard(seat)

    def watches(self, camera: str) -> None:
        """One viewer more for `camera`; `looks_away` takes it back."""
        self._watching[camera] += 1

    def looks_away(self, camera: str) -> None:
        self._watching[camera] -= 1

    def viewers(self, camera: str) -> int:
        """How many watch `camera` now."""
        return self._watching.get(camera, 0)

    @property
    def sessions(self) -> set[int]:
        """Row ids of the logins that watch."""
        return {seat.session for seat in self._seats}

    def end_sessions(self, sessions: Collection[int]) -> None:
        """End every stream of these logins."""
        self._end((seat for seat in list(self._seats) if seat.session in sessions), "login")

    def stop(self) -> None:
        """End every stream and let nobody in any more."""
        self.stopping = True
        self._end(list(self._seats), "stop")

    @staticmethod
    def _end(seats: Iterable[Seat], reason: str) -> None:
        for seat in seats:
            seat.end(reason)

"""How long events are kept: by days and by bytes, camera by camera, the oldest first, rows and files together.

Only what rows name is deleted, so a database that is new or was lost deletes nothing. What is to go is decided in
pure functions; the worker does it. Room on a full disk is not made here: the newest is not bought with the oldest
beyond what cameras.yaml says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import func, select

from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.models import Event, Snapshot
from dashboard.store.sessions import Sessions
from dashboard.store.states import States
from dashboard.store.times import CLOCK_SET, Clock, utc
from dashboard.worker import Worker

log = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds between two rounds."""

BATCH = 100
"""Events deleted in one transaction: long enough to be fast, short enough that a watcher need not wait."""


class Retain(Protocol):
    """How long, and how much; None means without limit. `max_size` in bytes."""

    @property
    def days(self) -> float | None: ...
    @property
    def max_size(self) -> int | None: ...


def clock_is_set(now: datetime) -> bool:
    """Whether `now` can be the time at all. Pure."""
    return now >= CLOCK_SET


def oldest_kept(now: datetime, days: float | None) -> datetime | None:
    """Events that began before this are to go; None: none by age. Pure."""
    if days is None or not clock_is_set(now):
        return None
    return now - timedelta(days=min(days, 36_500))


def surplus(sizes: Sequence[int], total: int, max_size: int) -> int:
    """How many of the oldest, whose sizes these are, must go so that `total` comes down to `max_size`. Pure."""
    gone = 0
    for n, size in enumerate(sizes):
        if total - gone <= max_size:
            return n
        gone += size
    return len(sizes)


class Retention(Worker):
    """Thread `retention`: at the start, every few minutes, and when asked.

    `retain` says what holds for a camera, also for one that is no longer declared.
    """

    retry_pause = 30.0

    def __init__(
        self,
        db: Database,
        events: Events,
        retain: Callable[[str], Retain],
        sessions: Sessions | None = None,
        states: States | None = None,
        clock: Clock = time.time,
        every: float = EVERY,
    ) -> None:
        super().__init__("retention")
        self._db = db
        self._events = events
        self._retain = retain
        self._sessions = sessions
        self._states = states
        self._clock = clock
        self._every = every
        self._asked = threading.Event()
        self.deleted = 0
        """Events deleted since the start."""

    @property
    def paused(self) -> str | None:
        """Why nothing is deleted by age, in words; None when it is."""
        return None if clock_is_set(utc(self._clock())) else "the clock of this machine is not set"

    def ask(self) -> None:
        """Begin a round soon: limits have changed, or the disk is filling."""
        self._asked.set()

    def run_once(self) -> None:
        self._asked.clear()
        self.round()
        self._asked.wait(self._every)

    def wake(self) -> None:
        self._asked.set()

    def round(self) -> int:
        """Delete what is to go by now; gives how many events. Raises StoreError."""
        gone = 0
        self._events.empty_garbage()
        for camera in self._events.cameras():
            retain = self._retain(camera)
            gone += self._by_age(camera, oldest_kept(utc(self._clock()), retain.days))
            gone += self._by_size(camera, retain.max_size)
        if self.paused is None:
            if self._sessions is not None:
                self._sessions.purge()
            if self._states is not None:
                self._states.purge()
        if gone:
            log.info("deleted %d events that were older or larger than is to be kept", gone)
        return gone

    def _by_age(self, camera: str, before: datetime | None) -> int:
        """The age counts from the row as well: what was found again is not deleted at once. And an event that began
        before the clock was set has no age."""
        if before is None:
            return 0
        old = select(Event.id).where(
            Event.camera == camera,
            Event.started_at >= CLOCK_SET,
            Event.started_at < before,
            Event.recorded_at < before,
            Event.ended_at.is_not(None),
        )
        gone = 0
        while not self.stopping.is_set():
            with self._db.read() as session:
                some = session.scalars(old.order_by(Event.started_at, Event.id).limit(BATCH)).all()
            if not some:
                break
            gone += self._delete(some)
        return gone

    def _by_size(self, camera: str, max_size: int | None) -> int:
        if max_size is None:
            return 0
        size = func.coalesce(func.sum(Snapshot.size), 0)
        oldest = (
            select(Event.id, size)
            .join(Snapshot, isouter=True)
            .where(Event.camera == camera, Event.ended_at.is_not(None))
            .group_by(Event.id)
            .order_by(Event.started_at, Event.id)
            .limit(BATCH)
        )
        with self._db.read() as session:
            total = int(session.scalar(select(size).join(Event).where(Event.camera == camera)) or 0)
        gone = 0
        while total > max_size and not self.stopping.is_set():
            with self._db.read() as session:
                rows = session.execute(oldest).all()
            n = surplus([int(bytes_) for _, bytes_ in rows], total, max_size)
            if n == 0:
                break
            gone += self._delete([event for event, _ in rows[:n]])
            total -= sum(int(bytes_) for _, bytes_ in rows[:n])
        return gone

    def _delete(self, events: Sequence[int]) -> int:
        n = self._events.delete_many(events)
        self.deleted += n
        return n

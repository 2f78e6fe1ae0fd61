"""Hands the events of one camera to the log, in order, without ever keeping the detector waiting.

A log that fails is asked again until it takes what it was given; what waits is bounded, and what does not fit is
counted. The thread lives only while something waits. What the log does with it belongs to the store.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dashboard.errors import StoreError
from dashboard.motion.strip import MotionLog, Peak, Picture

log = logging.getLogger(__name__)

MOST_ENTRIES = 200
MOST_BYTES = 32_000_000
"""Of pictures that wait, about 100 of a full HD camera."""
RETRY_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts; the last one repeats."""


@dataclass(slots=True)
class Ticket:
    """Stands for an event whose number is not known yet."""

    camera: str
    event: int | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    ticket: Ticket
    what: str
    at: float
    peak: Peak
    pictures: tuple[Picture, ...] = field(default=())

    @property
    def size(self) -> int:
        return sum(len(picture.jpeg) for picture in self.pictures)


class Journal:
    """Writes to `log` in a thread of its own. `started`, `progressed` and `ended` return at once."""

    def __init__(self, name: str, target: MotionLog) -> None:
        self.name = name
        self.failures = 0
        """Attempts that the log refused."""
        self.lost = 0
        """Events that could not be kept: too much waited, or the log failed in a way that repeats itself."""
        self._target = target
        self._changed = threading.Condition()
        self._waiting: deque[_Entry] = deque()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()

    @property
    def waiting(self) -> int:
        """How many entries the log has not taken yet."""
        return len(self._waiting)

    def started(self, camera: str, at: float, pictures: Sequence[Picture], peak: Peak) -> Ticket | None:
        """An event began. None: too much waits already; the event is lost, and counted."""
        entry = _Entry(Ticket(camera), "started", at, peak, tuple(pictures))
        with self._changed:
            if len(self._waiting) >= MOST_ENTRIES or self._bytes + entry.size > MOST_BYTES:
                self.lost += 1
                return None
            self._add(entry)
        return entry.ticket

    def progressed(self, ticket: Ticket, peak: Peak, picture: Picture | None) -> None:
        """A new peak. Left out while much waits: the end brings the peak anyway."""
        with self._changed:
            if len(self._waiting) < MOST_ENTRIES // 2 and self._bytes < MOST_BYTES // 2:
                self._add(_Entry(ticket, "progressed", peak.at, peak, (picture,) if picture else ()))

    def ended(self, ticket: Ticket, at: float, pictures: Sequence[Picture], peak: Peak) -> None:
        """The event is over. Always taken, without its pictures when too much waits."""
        with self._changed:
            entry = _Entry(ticket, "ended", at, peak, tuple(pictures))
            if self._bytes + entry.size > MOST_BYTES:
                entry = _Entry(ticket, "ended", at, peak)
            self._add(entry)

    def close(self, timeout: float) -> bool:
        """Try what waits once more without pauses, for up to `timeout` seconds; False when something is left."""
        with self._changed:
            self._hurry.set()
            self._changed.wait_for(lambda: self._thread is None, timeout)
            left = len(self._waiting)
        if left:
            log.error("%s: the log did not take %d parts of events before the end", self.name, left)
        return not left

    def _add(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        self._bytes += entry.size
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while entry := self._head():
            if not self._written(entry):
                with self._changed:
                    self._thread = None  # asked to end while the log still refuses
                    self._changed.notify_all()
                return
            with self._changed:
                self._waiting.popleft()
                self._bytes -= entry.size

    def _head(self) -> _Entry | None:
        with self._changed:
            if self._waiting:
                return self._waiting[0]
            self._thread = None
            self._changed.notify_all()
            return None

    def _written(self, entry: _Entry) -> bool:
        """Give `entry` to the log until it takes it; False when asked to end before it did."""
        attempt = 0
        while True:
            last_try = self._hurry.is_set()
            try:
                self._write(entry)
                return True
            except StoreError as error:
                self.failures += 1
                if attempt == 0:
                    log.warning("%s: the log does not take what was seen, trying again: %s", self.name, error)
            except Exception:  # the edge of a thread: one bad entry must not keep the others back
                log.exception("%s: the log failed; this part of the event is lost", self.name)
                self.lost += entry.what == "started"
                return True
            if last_try:
                return False
            self._hurry.wait(RETRY_PAUSES[min(attempt, len(RETRY_PAUSES) - 1)])
            attempt += 1

    def _write(self, entry: _Entry) -> None:
        ticket = entry.ticket
        if entry.what == "started":
            ticket.event = self._target.started(ticket.camera, entry.at, entry.pictures, entry.peak)
        elif ticket.event is None:
            return  # its start was lost, and counted
        elif entry.what == "progressed":
            self._target.progressed(ticket.event, entry.peak, entry.pictures[0] if entry.pictures else None)
        else:
            self._target.ended(ticket.event, entry.at, entry.pictures, entry.peak)

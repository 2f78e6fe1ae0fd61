"""Rows and files brought together again, once, after the start: what a crash left is taken up, nothing is thrown away.

A temporary file goes; a file without a row becomes an event again, for its name says camera, time and kind; one that
is no picture of ours is set aside; a row without its file is marked, for the disk may only not be mounted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session as Rows

from dashboard.errors import NotFound, StoreError
from dashboard.store.batches import HANDFUL, batched
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.models import Event, Garbage, Snapshot
from dashboard.store.snapshots import TEMPORARY, Named, Snapshots, jpeg_size, named
from dashboard.store.times import Clock, utc
from dashboard.worker import Worker

log = logging.getLogger(__name__)

BATCH = 100
"""Files taken up in one transaction; a watcher that has an event to store waits for it."""

SAME_EVENT = timedelta(seconds=10)
"""A found picture this near to an event belongs to it."""


@dataclass(slots=True)
class Reconciled:
    """What was found and done."""

    garbage: int = 0
    temporary: int = 0
    adopted: int = 0
    set_aside: int = 0
    missing: int = 0  # rows newly marked
    returned: int = 0  # rows whose file is there again

    def __str__(self) -> str:
        return (
            f"{self.adopted} pictures taken up, {self.set_aside} files set aside, "
            f"{self.temporary + self.garbage} leftovers deleted, {self.missing} pictures missing, "
            f"{self.returned} there again"
        )


class Reconciler(Worker):
    """Thread `reconcile`: does its work once and ends; after a failure it begins again a minute later.

    Only files older than `since` (seconds since the epoch; when this process took the data folder) are looked at:
    what came later is still being written.
    """

    retry_pause = 60.0

    def __init__(
        self,
        db: Database,
        snapshots: Snapshots,
        events: Events,
        clock: Clock = time.time,
        since: float | None = None,
    ) -> None:
        super().__init__("reconcile")
        self._db = db
        self._snapshots = snapshots
        self._events = events
        self._clock = clock
        self._since = clock() if since is None else since
        self.found: Reconciled | None = None
        """What was done; None as long as it is not finished."""

    def run_once(self) -> None:
        self.found = self.reconcile()
        self.stopping.set()

    def reconcile(self) -> Reconciled:
        """Do all of it, or as much as there is time for before `stop`. Raises StoreError."""
        for line in self._db.damage():
            log.error("the database is damaged, put back a copy of it soon: %s", line)
        found = Reconciled()
        found.garbage = self._events.empty_garbage()
        for some in batched(self._old_files(found), BATCH):
            if self.stopping.is_set():
                return found
            self._take_up(without_row(self._db, some), found)
        self._look_for_files(found)
        if found != Reconciled():
            log.info("after the last run: %s", found)
        return found

    def _old_files(self, found: Reconciled) -> Iterator[str]:
        """Paths of the files that were here before us; deletes the temporary ones on the way."""
        for entry in self._snapshots.files():
            try:
                if entry.is_symlink() or entry.stat(follow_symlinks=False).st_mtime >= self._since:
                    continue
                if TEMPORARY.fullmatch(entry.name):
                    os.unlink(entry.path)
                    found.temporary += 1
                    continue
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("%s is left as it is: %s", entry.path, error.strerror)
                continue
            yield self._snapshots.path_of(entry)

    def _take_up(self, paths: Sequence[str], found: Reconciled) -> None:
        rows: list[tuple[Named, Snapshot]] = []
        for path in paths:
            try:
                pair = self._row_for(path)
                if pair is None:
                    log.warning("no picture of ours, set aside: %s", self._snapshots.set_aside(path))
                    found.set_aside += 1
                else:
                    rows.append(pair)
            except NotFound:
                continue
            except StoreError as error:
                log.warning("%s is left as it is: %s", path, error)
        if rows:
            with self._db.write() as session:
                for what, row in sorted(rows, key=lambda pair: (pair[0].camera, pair[0].taken_at)):
                    row.event_id = self._home(session, what)
                    session.add(row)
                    session.flush()
            found.adopted += len(rows)

    def _row_for(self, path: str) -> tuple[Named, Snapshot] | None:
        """The row that a file should have had; None if it is not one of ours, or not whole."""
        what = named(path)
        if what is None:
            return None
        data = self._snapshots.read(path)
        size = jpeg_size(data)
        if size is None:
            return None
        return what, Snapshot(
            kind=what.kind,
            taken_at=what.taken_at,
            path=path,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            width=size[0],
            height=size[1],
        )

    def _home(self, session: Rows, what: Named) -> int:
        """The event that a found picture belongs to: the one around it, or a new one."""
        before = select(Event).where(Event.camera == what.camera, Event.started_at <= what.taken_at + SAME_EVENT)
        event = session.scalars(before.order_by(Event.started_at.desc(), Event.id.desc()).limit(1)).first()
        if event is not None and (event.ended_at is None or what.taken_at <= event.ended_at + SAME_EVENT):
            if event.closed_by == "found":
                event.ended_at = max(event.ended_at or what.taken_at, what.taken_at)
            return event.id
        event = Event(
            camera=what.camera,
            started_at=what.taken_at,
            ended_at=what.taken_at,
            closed_by="found",
            recorded_at=utc(self._clock()),
            peak_at=what.taken_at,
            peak_area=0.0,
        )
        session.add(event)
        session.flush()
        return event.id

    def _look_for_files(self, found: Reconciled) -> None:
        """Mark the rows whose file is not there, and take the mark from those whose file is back."""
        with self._db.read() as session:
            last = session.scalar(select(func.max(Snapshot.id))) or 0
        after = 0
        while after < last and not self.stopping.is_set():
            with self._db.read() as session:
                rows = session.execute(
                    select(Snapshot.id, Snapshot.path, Snapshot.missing_at)
                    .where(Snapshot.id > after, Snapshot.id <= last)
                    .order_by(Snapshot.id)
                    .limit(HANDFUL)
                )
                some = rows.all()
            if not some:
                return
            after = some[-1][0]
            there = {row: self._snapshots.exists(path) for row, path, _ in some}
            lost = [row for row, _, marked in some if not there[row] and marked is None]
            back = [row for row, _, marked in some if there[row] and marked is not None]
            if lost or back:
                with self._db.write() as session:
                    now = utc(self._clock())
                    session.execute(update(Snapshot).where(Snapshot.id.in_(lost)).values(missing_at=now))
                    session.execute(update(Snapshot).where(Snapshot.id.in_(back)).values(missing_at=None))
                found.missing += len(lost)
                found.returned += len(back)


def without_row(db: Database, paths: Sequence[str]) -> list[str]:
    """Those of `paths` that no row names, also not as garbage. Raises StoreError."""
    if not paths:
        return []
    with db.read() as session:
        known = set(session.scalars(select(Snapshot.path).where(Snapshot.path.in_(paths))))
        known.update(session.scalars(select(Garbage.path).where(Garbage.path.in_(paths))))
    return [path for path in paths if path not in known]

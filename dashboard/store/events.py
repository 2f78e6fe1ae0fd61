"""Motion events: rows and their files, in this order: file, row, notice. What motion is, is decided elsewhere.

Writing: `Events` is the log of the motion watchers (`started`, `progressed`, `ended`). Reading: pages by key, newest
first, as frozen values. A crash at any point leaves a file without a row at worst, which `reconcile` takes up; and
deleting goes the other way round, over a list of garbage, so that what was deleted does not come back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, delete, func, insert, literal, select, tuple_, union_all, update
from sqlalchemy.orm import Session as Rows

from dashboard.errors import DiskReserved, NotFound, StoreError
from dashboard.notices import EventDeleted, EventReviewed, MotionEnded, MotionStarted, Notices
from dashboard.store.batches import batched
from dashboard.store.database import Database
from dashboard.store.models import Box, Event, Garbage, Snapshot
from dashboard.store.snapshots import CAMERA, Snapshots
from dashboard.store.times import EPOCH, Clock, microseconds, utc

log = logging.getLogger(__name__)

LONGEST_PAGE = 100
MOST_RANGES = 400
"""More counts than SQLite joins in one statement (500) are not to be had at once."""


class Picture(Protocol):
    """A picture that a watcher wants kept. Times in seconds since the epoch, `score` in % of the picture."""

    @property
    def kind(self) -> str: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def jpeg(self) -> bytes: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def box(self) -> Box | None: ...
    @property
    def score(self) -> float: ...


class Peak(Protocol):
    """The moment that showed most so far: `at` in seconds since the epoch, `area` in % of the picture."""

    @property
    def at(self) -> float: ...
    @property
    def area(self) -> float: ...
    @property
    def box(self) -> Box | None: ...


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot, as read from its row. `missing`: the file was looked for and is not there."""

    id: int
    kind: str
    taken_at: datetime
    path: str
    size: int
    sha256: str
    width: int
    height: int
    box: Box | None
    score: float | None
    missing: bool


@dataclass(frozen=True, slots=True)
class EventView:
    """An event, as read from its row, with its snapshots in the order of time. Times are aware, UTC."""

    id: int
    camera: str
    started_at: datetime
    ended_at: datetime | None
    closed_by: str | None
    peak_at: datetime
    peak_area: float
    peak_box: Box | None
    reviewed_at: datetime | None
    reviewed_by: str | None
    snapshots: tuple[SnapshotView, ...]

    @property
    def reviewed(self) -> bool:
        return self.reviewed_at is not None

    @property
    def cover(self) -> SnapshotView | None:
        """The snapshot that stands for the event: its peak, or the next best."""
        return next((found for kind in ("peak", "start", "end", "before") if (found := self.snapshot(kind))), None)

    def snapshot(self, kind: str) -> SnapshotView | None:
        """The snapshot of this kind, or None."""
        return next((snapshot for snapshot in self.snapshots if snapshot.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest first; `next_cursor` asks for those after them, None when there are none."""

    events: tuple[EventView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Ids of the events just newer and just older than one."""

    newer: int | None
    older: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the events of one camera take up. `size` in bytes."""

    camera: str
    events: int
    snapshots: int
    size: int


class Events:
    """The events of one database and their files. Safe from any thread."""

    def __init__(
        self, db: Database, snapshots: Snapshots, notices: Notices | None = None, clock: Clock = time.time
    ) -> None:
        self._db = db
        self._snapshots = snapshots
        self._notices = notices
        self._clock = clock
        self.unsaved = 0
        """Snapshots that were not kept because too little disk was free."""

    # The log of the motion watchers

    def started(self, camera: str, at: float, pictures: Sequence[Picture], peak: Peak) -> int:
        """Store a new event with its first pictures; gives its id. Raises StoreError, and then nothing is stored."""
        rows = self._save(camera, pictures)
        event = Event(
            camera=camera,
            started_at=utc(at),
            recorded_at=utc(self._clock()),
            peak_at=utc(peak.at),
            peak_area=peak.area,
            peak_box=peak.box,
        )
        with self._kept(rows), self._db.write() as session:
            session.add(event)
            session.flush()
            _attach(session, event.id, rows)
        self._tell(MotionStarted(event.id, camera, at))
        return event.id

    def progressed(self, event: int, peak: Peak, picture: Picture | None) -> None:
        """Note a new peak, and its picture instead of the one of the peak before. Raises StoreError."""
        self._add(event, [picture] if picture else [], peak)

    def ended(self, event: int, at: float, pictures: Sequence[Picture], peak: Peak) -> None:
        """Complete the event. Raises StoreError, and then it can be tried again."""
        camera = self._add(event, pictures, peak, ended_at=utc(at))
        if camera is not None:
            self._tell(MotionEnded(event, camera, at))

    def close_unfinished(self) -> int:
        """End the events that a crash left open, at the last moment that is known of each; gives how many."""
        with self._db.write() as session:
            rows = session.scalars(select(Event).where(Event.ended_at.is_(None))).all()
            last = select(Snapshot.event_id, func.max(Snapshot.taken_at)).group_by(Snapshot.event_id)
            seen = dict(session.execute(last.where(Snapshot.event_id.in_([row.id for row in rows]))).all())
            for row in rows:
                row.ended_at = max(row.started_at, row.peak_at, seen.get(row.id, row.started_at))
                row.closed_by = "crash"
        return len(rows)

    # The review

    def page(
        self,
        camera: str | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        reviewed: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Events that began in [after, before), newest first; two statements.

        `limit`: 1 to 100. `cursor`: `next_cursor` of the page before. Raises ValueError for what cannot be meant.
        """
        if not 1 <= limit <= LONGEST_PAGE:
            raise ValueError(f"the limit goes from 1 to {LONGEST_PAGE}")
        wanted = _wanted(camera, after, before, reviewed)
        if cursor is not None:
            wanted.append(tuple_(Event.started_at, Event.id) < _place(cursor))
        with self._db.read() as session:
            statement = select(Event).where(*wanted).order_by(Event.started_at.desc(), Event.id.desc())
            rows = session.scalars(statement.limit(limit + 1)).all()
            events = _views(session, rows[:limit])
        return Page(events, _cursor(rows[limit - 1]) if len(rows) > limit else None)

    def get(self, event: int) -> EventView:
        """One event. Raises NotFound."""
        with self._db.read() as session:
            return _views(session, [_need(session, event)])[0]

    def recent(self, camera: str, n: int = 10) -> tuple[EventView, ...]:
        """The newest events of a camera."""
        return self.page(camera=camera, limit=n).events

    def neighbours(
        self,
        event: int,
        camera: str | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        reviewed: bool | None = None,
    ) -> Neighbours:
        """The events beside `event` among those that the filter lets through. Raises NotFound, ValueError."""
        wanted = _wanted(camera, after, before, reviewed)
        place = tuple_(Event.started_at, Event.id)
        with self._db.read() as session:
            row = _need(session, event)
            here = tuple_(literal(row.started_at, Event.started_at.type), literal(row.id, Event.id.type))
            newer = select(Event.id).where(*wanted, place > here).order_by(Event.started_at, Event.id)
            older = select(Event.id).where(*wanted, place < here).order_by(Event.started_at.desc(), Event.id.desc())
            return Neighbours(session.scalar(newer.limit(1)), session.scalar(older.limit(1)))

    def counts(
        self,
        ranges: Sequence[tuple[datetime, datetime]],
        camera: str | None = None,
        reviewed: bool | None = None,
    ) -> tuple[int, ...]:
        """How many events began in each [start, end), for a calendar or the hours of a day; one statement."""
        if not ranges:
            return ()
        if len(ranges) > MOST_RANGES:
            raise ValueError(f"at most {MOST_RANGES} ranges can be counted at once")
        parts = [
            select(literal(n).label("n"), func.count().label("events")).where(*_wanted(camera, start, end, reviewed))
            for n, (start, end) in enumerate(ranges)
        ]
        with self._db.read() as session:
            found = dict(session.execute(union_all(*parts)).all())
        return tuple(found[n] for n in range(len(ranges)))

    def cameras(self) -> tuple[str, ...]:
        """The cameras that have events, those included that were removed from cameras.yaml."""
        found: list[str] = []
        with self._db.read() as session:
            step = select(func.min(Event.camera))  # from name to name over the index, not over all its rows
            while (name := session.scalar(step.where(Event.camera > found[-1]) if found else step)) is not None:
                found.append(name)
        return tuple(found)

    def usage(self) -> tuple[Usage, ...]:
        """What the events of each camera take up."""
        counted = select(Event.camera, func.count()).group_by(Event.camera)
        summed = select(Event.camera, func.count(), func.sum(Snapshot.size)).join(Event).group_by(Event.camera)
        with self._db.read() as session:
            files = {camera: (n, int(size)) for camera, n, size in session.execute(summed)}
            return tuple(
                Usage(camera, n, *files.get(camera, (0, 0)))
                for camera, n in session.execute(counted.order_by(Event.camera))
            )

    def mark(self, event: int, reviewed: bool, user: str) -> None:
        """Mark an event reviewed by the user of that name, or as not reviewed. Raises NotFound."""
        if event not in self.mark_many([event], reviewed, user):
            with self._db.read() as session:
                _need(session, event)

    def mark_many(self, events: Collection[int], reviewed: bool, user: str) -> tuple[int, ...]:
        """Mark several; gives those that were changed. The first to review an event stays its reviewer."""
        change = update(Event).where(Event.id.in_(_ids(events))).returning(Event.id, Event.camera)
        if reviewed:
            change = change.where(Event.reviewed_at.is_(None)).values(
                reviewed_at=utc(self._clock()), reviewed_by=user[:64]
            )
        else:
            change = change.where(Event.reviewed_at.is_not(None)).values(reviewed_at=None, reviewed_by=None)
        with self._db.write() as session:
            changed = session.execute(change).all()
        for event, camera in changed:
            self._tell(EventReviewed(event, camera, reviewed))
        return tuple(event for event, _ in changed)

    def delete(self, event: int) -> None:
        """Delete an event, its row and its files. Raises NotFound."""
        if not self.delete_many([event]):
            raise NotFound(f"there is no event {event}")

    def delete_many(self, events: Collection[int]) -> int:
        """Delete several, rows first; gives how many there were. A file that resists is deleted later."""
        with self._db.write() as session:
            of_these = Snapshot.event_id.in_(_ids(events))
            paths = session.scalars(select(Snapshot.path).where(of_these)).all()
            _throw_away(session, paths)
            session.execute(delete(Snapshot).where(of_these))
            statement = delete(Event).where(Event.id.in_(_ids(events))).returning(Event.id, Event.camera)
            gone = session.execute(statement).all()
        for event, camera in gone:
            self._tell(EventDeleted(event, camera))
        self._empty(paths)
        return len(gone)

    def empty_garbage(self) -> int:
        """Delete the files whose rows are gone already, which a crash or a fault left; gives how many."""
        with self._db.read() as session:
            paths = session.scalars(select(Garbage.path)).all()
        return self._empty(paths)

    # Inside

    def _add(self, event: int, pictures: Sequence[Picture], peak: Peak, ended_at: datetime | None = None) -> str | None:
        """Add pictures and what is known by now; gives the camera, or None if the event was deleted meanwhile."""
        with self._db.read() as session:
            camera = session.scalar(select(Event.camera).where(Event.id == event))
        if camera is None:
            return None
        rows = self._save(camera, pictures)
        old: Sequence[str] = ()
        with self._kept(rows), self._db.write() as session:
            row = session.get(Event, event)
            if row is not None:
                row.peak_at, row.peak_area, row.peak_box = utc(peak.at), peak.area, peak.box
                if ended_at is not None:
                    row.ended_at, row.closed_by = max(ended_at, row.started_at), "end"
                old = _superseded(session, event, rows)
                _attach(session, event, rows)
        if row is None:
            self._take_back(rows)
            return None
        self._empty(old)
        return camera

    def _save(self, camera: str, pictures: Sequence[Picture]) -> list[Snapshot]:
        """Write the files; gives rows for them. With too little disk: none, for the event is worth a row without."""
        rows: list[Snapshot] = []
        try:
            for picture in pictures:
                saved = self._snapshots.save(camera, picture.taken_at, picture.kind, picture.jpeg)
                rows.append(
                    Snapshot(
                        kind=picture.kind,
                        taken_at=utc(picture.taken_at),
                        path=saved.path,
                        size=saved.size,
                        sha256=saved.sha256,
                        width=picture.width,
                        height=picture.height,
                        box=picture.box,
                        score=picture.score,
                    )
                )
        except DiskReserved as error:
            self.unsaved += len(pictures) - len(rows)
            log.warning("%s: %s (%d snapshots so far)", camera, error, self.unsaved)
        except StoreError:
            self._take_back(rows)
            raise
        return rows

    def _kept(self, rows: Sequence[Snapshot]) -> _Kept:
        return _Kept(self, rows)

    def _take_back(self, rows: Iterable[Snapshot]) -> None:
        """Delete files that got no row. If it is not certain that they got none, they stay, for `reconcile`."""
        paths = [row.path for row in rows]
        try:
            with self._db.read() as session:
                named = set(session.scalars(select(Snapshot.path).where(Snapshot.path.in_(paths))))
            for path in paths:
                if path not in named:
                    self._snapshots.remove(path)
        except StoreError as error:
            log.warning("%d snapshots without a row stay until the next start: %s", len(paths), error)

    def _empty(self, paths: Sequence[str]) -> int:
        """Delete these files, then their lines in the list of garbage."""
        gone = []
        for path in paths:
            try:
                self._snapshots.remove(path)
                gone.append(path)
            except StoreError as error:
                log.warning("%s, is tried again later", error)
        try:
            for some in batched(gone):
                with self._db.write() as session:
                    session.execute(delete(Garbage).where(Garbage.path.in_(some)))
        except StoreError as error:
            log.warning("the list of garbage cannot be shortened: %s", error)
        return len(gone)

    def _tell(self, notice: MotionStarted | MotionEnded | EventDeleted | EventReviewed) -> None:
        if self._notices is not None:
            self._notices.publish(notice)


class _Kept:
    """While rows are written for files: if that fails, the files are taken back."""

    def __init__(self, events: Events, rows: Sequence[Snapshot]) -> None:
        self._events = events
        self._paths = rows

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and self._paths:
            self._events._take_back(self._paths)


def _attach(session: Rows, event: int, rows: Iterable[Snapshot]) -> None:
    for row in rows:
        row.event_id = event
        session.add(row)


def _superseded(session: Rows, event: int, rows: Sequence[Snapshot]) -> Sequence[str]:
    """Throw away the snapshots of the kinds that `rows` bring anew: an event has one peak. Gives their paths."""
    of_these = (Snapshot.event_id == event, Snapshot.kind.in_({row.kind for row in rows}))
    paths = session.scalars(select(Snapshot.path).where(*of_these)).all() if rows else []
    if paths:
        _throw_away(session, paths)
        session.execute(delete(Snapshot).where(*of_these))
    return paths


def _throw_away(session: Rows, paths: Sequence[str]) -> None:
    if paths:
        session.execute(insert(Garbage), [{"path": path} for path in paths])


def _wanted(
    camera: str | None, after: datetime | None, before: datetime | None, reviewed: bool | None
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if camera is not None:
        if not CAMERA.fullmatch(camera):
            raise ValueError("no camera can have this id")
        wanted.append(Event.camera == camera)
    for time_given in (after, before):
        if time_given is not None and time_given.tzinfo is None:
            raise ValueError("a time needs its zone")
    if after is not None:
        wanted.append(Event.started_at >= after)
    if before is not None:
        wanted.append(Event.started_at < before)
    if reviewed is not None:
        wanted.append(Event.reviewed_at.is_not(None) if reviewed else Event.reviewed_at.is_(None))
    return wanted


def _cursor(row: Event) -> str:
    return f"{microseconds(row.started_at)}-{row.id}"


def _place(cursor: str) -> ColumnElement[tuple[datetime, int]]:
    """The place in the order that a cursor means. Raises ValueError for anything that was not made by `_cursor`."""
    time_part, _, number = cursor.partition("-")
    if not (cursor.isascii() and time_part.isdigit() and number.isdigit() and len(cursor) <= 37):
        raise ValueError("this is no cursor of ours")
    try:
        at = EPOCH + timedelta(microseconds=int(time_part))
    except OverflowError:
        raise ValueError("this is no cursor of ours") from None
    if int(number) >= 2**63:
        raise ValueError("this is no cursor of ours")
    return tuple_(literal(at, Event.started_at.type), literal(int(number), Event.id.type))


def _ids(events: Iterable[int]) -> list[int]:
    """Those that can be ids at all; SQLite and its driver have no more than 63 bits."""
    return [event for event in events if 0 < event < 2**63]


def _need(session: Rows, event: int) -> Event:
    row = session.get(Event, event) if _ids([event]) else None
    if row is None:
        raise NotFound(f"there is no event {event}")
    return row


def _views(session: Rows, rows: Sequence[Event]) -> tuple[EventView, ...]:
    """Values of these rows, with their snapshots: one statement for all."""
    mine: dict[int, list[SnapshotView]] = {row.id: [] for row in rows}
    if mine:
        statement = select(Snapshot).where(Snapshot.event_id.in_(mine)).order_by(Snapshot.taken_at, Snapshot.id)
        for snapshot in session.scalars(statement):
            mine[snapshot.event_id].append(_snapshot_view(snapshot))
    return tuple(_event_view(row, tuple(mine[row.id])) for row in rows)


def _event_view(row: Event, snapshots: tuple[SnapshotView, ...]) -> EventView:
    return EventView(
        id=row.id,
        camera=row.camera,
        started_at=row.started_at,
        ended_at=row.ended_at,
        closed_by=row.closed_by,
        peak_at=row.peak_at,
        peak_area=row.peak_area,
        peak_box=row.peak_box,
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
        snapshots=snapshots,
    )


def _snapshot_view(row: Snapshot) -> SnapshotView:
    return SnapshotView(
        id=row.id,
        kind=row.kind,
        taken_at=row.taken_at,
        path=row.path,
        size=row.size,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        box=row.box,
        score=row.score,
        missing=row.missing_at is not None,
    )

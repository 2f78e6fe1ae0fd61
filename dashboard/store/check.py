"""Whether rows and files agree: looks, and changes nothing. Mending belongs to `reconcile`, at the next start.

Works beside a running server: what is young may be half-way through and is passed over.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from dashboard.errors import NotFound, StoreError
from dashboard.store.batches import HANDFUL, batched
from dashboard.store.database import Database
from dashboard.store.folder import DataFolder
from dashboard.store.models import Garbage, Snapshot
from dashboard.store.reconcile import without_row
from dashboard.store.snapshots import TEMPORARY, Snapshots
from dashboard.store.times import Clock, utc

BESIDE_A_SERVER = 60.0
"""Seconds in which a server that works gives a new file its row."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: of which kind, and at which file."""

    what: str
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.where}" + (f" ({self.detail})" if self.detail else "")


def check(
    db: Database, snapshots: Snapshots, *, young: float | None = None, hashes: bool = True, clock: Clock = time.time
) -> Iterator[Finding]:
    """Everything that is wrong, as it is found. `hashes`: read each file and compare. Raises StoreError.

    `young`: files of the last so many seconds are passed over; None: of the last minute beside a server, else none.
    Kinds: damaged database, row without file, wrong size, wrong hash, file without row, leftover, link.
    """
    if young is None:
        young = BESIDE_A_SERVER if DataFolder(snapshots.data_dir).held() else 0.0
    before = utc(clock() - young)
    for line in db.damage():
        yield Finding("damaged database", "dashboard.db", line)
    yield from _rows(db, snapshots, before, hashes)
    yield from _files(db, snapshots, before)
    yield from _garbage(db, snapshots)


def _rows(db: Database, snapshots: Snapshots, before: datetime, hashes: bool) -> Iterator[Finding]:
    after = 0
    while True:
        with db.read() as session:
            statement = select(Snapshot).where(Snapshot.id > after).order_by(Snapshot.id).limit(HANDFUL)
            rows = session.scalars(statement).all()
        if not rows:
            return
        after = rows[-1].id
        for row in rows:
            found = _compare(row, snapshots, hashes)
            if found is not None and _still_there(db, row.id):
                yield found


def _compare(row: Snapshot, snapshots: Snapshots, hashes: bool) -> Finding | None:
    digest, size = hashlib.sha256(), 0
    try:
        with snapshots.open(row.path) as file:
            if hashes:
                while data := file.read(1 << 20):
                    digest.update(data)
                    size += len(data)
            else:
                size = file.seek(0, 2)
    except NotFound:
        return Finding("row without file", row.path)
    except (StoreError, OSError) as error:
        return Finding("row without file", row.path, str(error))
    if size != row.size:
        return Finding("wrong size", row.path, f"{size} bytes instead of {row.size}")
    if hashes and digest.hexdigest() != row.sha256:
        return Finding("wrong hash", row.path)
    return None


def _still_there(db: Database, row: int) -> bool:
    """Whether a row was not deleted in the meantime, by the server beside."""
    with db.read() as session:
        return session.scalar(select(Snapshot.id).where(Snapshot.id == row)) is not None


def _files(db: Database, snapshots: Snapshots, before: datetime) -> Iterator[Finding]:
    for entries in batched(snapshots.files()):
        paths = []
        for entry in entries:
            path = snapshots.path_of(entry)
            if entry.is_symlink():
                yield Finding("link", path)
                continue
            try:
                if utc(entry.stat(follow_symlinks=False).st_mtime) > before:
                    continue
            except FileNotFoundError:
                continue
            if TEMPORARY.fullmatch(entry.name):
                yield Finding("leftover", path)
            else:
                paths.append(path)
        for path in without_row(db, paths):
            if snapshots.exists(path):
                yield Finding("file without row", path)


def _garbage(db: Database, snapshots: Snapshots) -> Iterator[Finding]:
    """Files that should be gone. A server that deletes just now empties its list within moments: looked at twice."""
    with db.read() as session:
        listed = session.scalars(select(Garbage.path)).all()
    if not listed:
        return
    time.sleep(0.5)
    for paths in batched(listed):
        with db.read() as session:
            still = session.scalars(select(Garbage.path).where(Garbage.path.in_(paths))).all()
        for path in still:
            if snapshots.exists(path):
                yield Finding("leftover", path, "deleted from the review")

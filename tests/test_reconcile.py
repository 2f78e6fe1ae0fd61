"""After a crash: what was left is taken up, nothing is thrown away; also after many crashes, with real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import delete

from dashboard.notices import MotionStarted
from dashboard.store.check import check
from dashboard.store.database import Database
from dashboard.store.models import Event, Garbage
from dashboard.store.reconcile import Reconciled, Reconciler
from dashboard.store.times import utc
from tests.stores import JPEG, NOON, Peak, Store, eventually


def reconcile(store: Store) -> Reconciled:
    """As at the next start, a minute later."""
    return Reconciler(store.db, store.snapshots, store.events, store.clock, since=time.time() + 60).reconcile()


def clean(store: Store) -> bool:
    return list(check(store.db, store.snapshots, young=0)) == []


def test_nothing_to_do_is_nothing_done(store: Store) -> None:
    store.event()
    assert reconcile(store) == Reconciled()


def test_a_temporary_file_goes(store: Store) -> None:
    store.event()
    folder = (store.folder / store.files()[0]).parent
    (folder / ".20261124T120000.000Z-start-00000000.jpg.tmp").write_bytes(JPEG[:100])
    assert reconcile(store) == Reconciled(temporary=1)
    assert len(store.files()) == 2
    assert clean(store)


def test_a_file_without_a_row_becomes_an_event_again(store: Store) -> None:
    saved = store.snapshots.save("yard", NOON, "peak", JPEG)
    assert [str(found) for found in check(store.db, store.snapshots, young=0)] == [f"file without row: {saved.path}"]
    store.clock.now += 3600
    assert reconcile(store) == Reconciled(adopted=1)
    (event,) = store.events.page().events
    assert (event.camera, event.started_at, event.ended_at, event.closed_by) == ("yard", utc(NOON), utc(NOON), "found")
    (snapshot,) = event.snapshots
    assert (snapshot.path, snapshot.kind, snapshot.sha256) == (saved.path, "peak", saved.sha256)
    assert (snapshot.width, snapshot.height, snapshot.box, snapshot.score) == (16, 8, None, None)
    assert clean(store)
    assert not any(isinstance(notice, MotionStarted) for notice in store.told())  # nothing moved just now


def test_pictures_that_belong_together_become_one_event(store: Store) -> None:
    for kind, at in (("end", NOON + 9), ("before", NOON - 2), ("start", NOON), ("peak", NOON + 3)):
        store.snapshots.save("door", at, kind, JPEG)
    store.snapshots.save("door", NOON + 600, "start", JPEG)
    store.snapshots.save("yard", NOON, "start", JPEG)
    assert reconcile(store) == Reconciled(adopted=6)
    events = store.events.page().events
    assert [(event.camera, len(event.snapshots)) for event in events] == [("door", 1), ("yard", 1), ("door", 4)]
    assert (events[2].started_at, events[2].ended_at) == (utc(NOON - 2), utc(NOON + 9))


def test_a_picture_joins_the_event_it_was_taken_for(store: Store) -> None:
    event = store.event()
    other = store.event("yard")
    store.snapshots.save("door", NOON + 6, "end", JPEG)
    store.snapshots.save("door", NOON - 2, "before", JPEG)
    reconcile(store)
    assert len(store.events.get(event).snapshots) == 4
    assert store.events.get(event).closed_by == "end"
    assert len(store.events.get(other).snapshots) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("20261124T120000.000Z-start-0000000a.jpg", JPEG[:200]),
        ("20261124T120000.000Z-start-0000000a.jpg", b""),
        ("20261124T120000.000Z-start-0000000a.jpg", b"<html>"),
        ("holiday.jpg", JPEG),
        ("notes.txt", b"buy milk"),
    ],
)
def test_what_is_no_picture_of_ours_is_set_aside(store: Store, name: str, content: bytes) -> None:
    folder = store.folder / "snapshots" / "door" / "2026" / "11" / "24"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    assert reconcile(store) == Reconciled(set_aside=1)
    assert (store.folder / "lost+found" / "door" / "2026" / "11" / "24" / name).read_bytes() == content
    assert store.files() == []
    assert clean(store)


def test_links_are_left_alone(store: Store, tmp_path: Path) -> None:
    store.event()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(JPEG)
    (store.folder / "snapshots" / "out").symlink_to(tmp_path / "outside")
    (store.folder / "snapshots" / "file.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    assert reconcile(store) == Reconciled()
    assert (tmp_path / "outside" / "secret.jpg").exists()
    assert sorted(found.what for found in check(store.db, store.snapshots, young=0)) == ["link", "link"]


def test_what_was_deleted_does_not_come_back(store: Store) -> None:
    """The process died after the rows were gone and before the files were."""
    event = store.event()
    paths = [snapshot.path for snapshot in store.events.get(event).snapshots]
    with store.db.write() as rows:
        rows.add_all(Garbage(path=path) for path in paths)
        rows.execute(delete(Event))
    assert {found.what for found in check(store.db, store.snapshots, young=0)} == {"leftover"}
    assert reconcile(store) == Reconciled(garbage=2)
    assert store.files() == []
    assert store.events.page().events == ()
    assert clean(store)


def test_a_missing_picture_is_marked_and_may_come_back(store: Store) -> None:
    """The disk of the snapshots was not mounted."""
    event = store.event()
    (store.folder / "snapshots").rename(store.folder / "unmounted")
    assert reconcile(store) == Reconciled(missing=2)
    assert reconcile(store) == Reconciled()
    assert [snapshot.missing for snapshot in store.events.get(event).snapshots] == [True, True]
    (store.folder / "unmounted").rename(store.folder / "snapshots")
    assert reconcile(store) == Reconciled(returned=2)
    assert [snapshot.missing for snapshot in store.events.get(event).snapshots] == [False, False]


def test_a_lost_database_is_made_anew_from_the_files(tmp_path: Path) -> None:
    db = Database(tmp_path)
    db.migrate()
    store = Store(db)
    for n in range(300):
        store.event(("door", "yard")[n % 2], at=NOON + 60 * n)
    db.close()
    for name in ("dashboard.db", "dashboard.db-wal", "dashboard.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    db = Database(tmp_path)
    db.migrate()
    store = Store(db)
    before = store.files()
    assert reconcile(store) == Reconciled(adopted=600)
    assert store.files() == before
    assert {usage.camera: (usage.events, usage.snapshots) for usage in store.events.usage()} == {
        "door": (150, 300),
        "yard": (150, 300),
    }
    assert clean(store)
    db.close()


def test_what_is_being_written_just_now_is_left_alone(store: Store) -> None:
    store.snapshots.save("door", NOON, "start", JPEG)
    reconciler = Reconciler(store.db, store.snapshots, store.events, store.clock, since=time.time() - 60)
    assert reconciler.reconcile() == Reconciled()
    assert len(store.files()) == 1


def test_the_worker_does_it_once_and_ends(store: Store) -> None:
    store.snapshots.save("door", NOON, "start", JPEG)
    reconciler = Reconciler(store.db, store.snapshots, store.events, store.clock, since=time.time() + 60)
    assert reconciler.found is None
    reconciler.start()
    assert eventually(lambda: not reconciler.alive)
    assert reconciler.found == Reconciled(adopted=1)
    assert reconciler.stop()


def test_a_folder_that_cannot_be_read_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.scandir, [2]

    def refuse(path: str) -> object:
        if left[0]:
            left[0] -= 1
            raise OSError(5, "Input/output error")
        return real(path)

    store.snapshots.save("door", NOON, "start", JPEG)
    reconciler = Reconciler(store.db, store.snapshots, store.events, store.clock, since=time.time() + 60)
    reconciler.retry_pause = 0.01
    monkeypatch.setattr(os, "scandir", refuse)
    reconciler.start()
    assert eventually(lambda: not reconciler.alive)
    assert reconciler.failures == 2
    assert reconciler.found == Reconciled(adopted=1)


def test_damage_is_logged_and_the_rest_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.snapshots.save("door", NOON, "start", JPEG)
    monkeypatch.setattr(store.db, "damage", lambda: ("row 7 missing from index",))
    assert reconcile(store) == Reconciled(adopted=1)
    assert "damaged, put back a copy of it soon: row 7 missing from index" in caplog.text


# With real processes that are killed

SERVER = """
import random, sys, threading, time
from pathlib import Path
from dashboard.store.folder import DataFolder
from tests.stores import *
from dashboard.store.reconcile import Reconciler

def tell(text):  # in one piece: two threads tell, and print() writes in several
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

folder = Path(sys.argv[1])
with DataFolder(folder):
    db = Database(folder)
    db.migrate()
    store = Store(db)
    store.events._clock = time.time
    store.events.close_unfinished()
    reconciler = Reconciler(db, store.snapshots, store.events)
    reconciler.start()
    tell("up")

    def watch(camera):
        chance = random.Random()
        while True:
            at = time.time()
            event = store.events.started(camera, at, [Picture("before", at - 2), Picture("start", at)], Peak(at))
            tell(f"started {event}")
            for n in range(chance.randrange(3)):
                store.events.progressed(event, Peak(at + n), Picture("peak", at + n))
            store.events.ended(event, at + 3, [Picture("end", at + 3)], Peak(at))
            tell(f"ended {event}")
            if chance.random() < 0.3:
                tell(f"deleting {event}")
                store.events.delete(event)

    for camera in ("door", "yard"):
        threading.Thread(target=watch, args=(camera,), daemon=True).start()
    time.sleep(60)
"""


def test_killed_again_and_again_rows_and_files_stay_together(tmp_path: Path) -> None:
    """What was told to be stored is stored, what was deleted is gone, and nothing torn, left over or without a row."""
    chance = random.Random(20261124)
    data = tmp_path / "data"
    ended: set[int] = set()
    deleting: set[int] = set()
    for _ in range(15):
        with subprocess.Popen([sys.executable, "-c", SERVER, str(data)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            time.sleep(chance.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
            for line in process.stdout.read().splitlines():
                what, _, number = line.partition(" ")
                if number.isdigit():
                    {"ended": ended, "deleting": deleting}.get(what, set()).add(int(number))

    db = Database(data)
    db.migrate()
    store = Store(db)
    store.events.close_unfinished()
    reconcile(store)
    assert [str(found) for found in check(db, store.snapshots, young=0)] == []
    events = {}
    cursor = None
    while True:
        page = store.events.page(limit=100, cursor=cursor)
        events.update({event.id: event for event in page.events})
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(ended) > 50
    assert ended - deleting <= set(events)
    assert all(event.ended_at is not None for event in events.values())
    for event in ended - deleting:
        assert {snapshot.kind for snapshot in events[event].snapshots} >= {"before", "start", "end"}
    assert {path.name for path in data.rglob(".*.tmp")} == set()
    db.close()


def test_a_start_does_not_wait_for_the_reconciliation(sqlite_store: Store) -> None:
    """Hundreds of files without rows are taken up while events come in."""
    store = sqlite_store
    for n in range(600):
        store.snapshots.save("door", NOON + 60 * n, "start", JPEG)
    reconciler = Reconciler(store.db, store.snapshots, store.events, store.clock, since=time.time() + 60)
    reconciler.start()
    written = [store.events.started("yard", NOON + n, [], Peak()) for n in range(50)]
    assert eventually(lambda: not reconciler.alive)
    assert reconciler.found == Reconciled(adopted=600)
    assert set(written) <= {event.id for event in store.events.page(camera="yard", limit=100).events}

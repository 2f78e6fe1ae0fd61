"""Retention: what is to go, as tables; and that only that goes, oldest first, rows and files together."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from dashboard.notices import CameraState, EventDeleted
from dashboard.store.check import check
from dashboard.store.models import Event, Snapshot
from dashboard.store.retention import Retention, oldest_kept, surplus
from dashboard.store.times import utc
from tests.stores import JPEG, NOON, Peak, Picture, Store, eventually

DAY = 86400.0
SIZE = 2 * len(JPEG)
"""Bytes of an event of `Store.event`."""


@dataclass(frozen=True)
class Retain:
    days: float | None = 14
    max_size: int | None = None


def retention(store: Store, **retain: Retain) -> Retention:
    default = retain.pop("default", Retain())
    return Retention(
        store.db, store.events, lambda camera: retain.get(camera, default), store.sessions, store.states, store.clock
    )


def kept(store: Store) -> set[int]:
    return {event.id for event in store.events.page(limit=100).events}


NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "days", "expected"),
    [
        (NOW, 14, NOW - timedelta(days=14)),
        (NOW, 0.5, NOW - timedelta(hours=12)),
        (NOW, None, None),
        (NOW, 1e12, NOW - timedelta(days=36_500)),
        (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), 14, None),  # the clock was never set
        (datetime(2023, 12, 31, tzinfo=UTC), 14, None),
    ],
)
def test_what_is_too_old(now: datetime, days: float | None, expected: datetime | None) -> None:
    assert oldest_kept(now, days) == expected


@pytest.mark.parametrize(
    ("sizes", "total", "max_size", "gone"),
    [
        ([10, 10, 10], 30, 30, 0),
        ([10, 10, 10], 30, 29, 1),
        ([10, 10, 10], 30, 20, 1),
        ([10, 10, 10], 30, 19, 2),
        ([10, 10, 10], 30, 0, 3),
        ([0, 0, 10], 20, 10, 3),
        ([], 30, 0, 0),
    ],
)
def test_how_many_of_the_oldest_are_too_much(sizes: list[int], total: int, max_size: int, gone: int) -> None:
    assert surplus(sizes, total, max_size) == gone


def test_events_go_by_age_row_and_file(store: Store) -> None:
    old = [store.event(at=NOON - days * DAY) for days in (40, 15, 14.1)]
    young = {store.event(at=NOON - days * DAY) for days in (13.9, 1, 0)}
    with store.db.write() as rows:  # they were recorded when they happened
        rows.execute(update(Event).values(recorded_at=Event.started_at))
    store.told()
    assert retention(store).round() == 3
    assert kept(store) == young
    assert len(store.files()) == 6
    assert store.told() == [EventDeleted(event, "door") for event in old]
    assert list(check(store.db, store.snapshots, young=0)) == []
    assert retention(store).round() == 0


def test_each_camera_has_its_own_days_and_removed_ones_the_default(store: Store) -> None:
    for camera in ("door", "yard", "gone"):
        for days in (3, 10, 20):
            store.event(camera, at=NOON - days * DAY)
    with store.db.write() as rows:
        rows.execute(update(Event).values(recorded_at=Event.started_at))
    retention(store, door=Retain(days=5), yard=Retain(days=None)).round()
    left = {usage.camera: usage.events for usage in store.events.usage()}
    assert left == {"door": 1, "yard": 3, "gone": 2}


def test_events_go_by_size_the_oldest_first(store: Store) -> None:
    events = [store.event(at=NOON + n) for n in range(10)]
    other = store.event("yard", at=NOON - DAY)
    assert retention(store, door=Retain(None, 4 * SIZE)).round() == 6
    assert kept(store) == {*events[6:], other}
    assert len(store.files()) == 10
    assert retention(store, door=Retain(None, 4 * SIZE)).round() == 0
    assert retention(store, door=Retain(None, 0)).round() == 4


def test_an_event_that_goes_on_is_kept(store: Store) -> None:
    event = store.event(at=NOON - 100 * DAY, ended=False)
    with store.db.write() as rows:
        rows.execute(update(Event).values(recorded_at=Event.started_at))
    assert retention(store, default=Retain(1, 0)).round() == 0
    assert kept(store) == {event}


def test_a_clock_that_is_not_set_deletes_nothing(store: Store) -> None:
    event = store.event(at=60.0)
    store.clock.now = 60.0 + 100 * DAY
    worker = retention(store)
    assert worker.paused == "the clock of this machine is not set"
    assert worker.round() == 0
    store.clock.now = NOON
    assert worker.paused is None
    assert worker.round() == 0  # it seems 56 years old, which says nothing of its age
    assert kept(store) == {event}


def test_what_was_found_again_is_not_deleted_at_once(store: Store) -> None:
    """A row made anew from a file counts its days from then."""
    event = store.event(at=NOON - 100 * DAY)  # recorded now
    assert retention(store).round() == 0
    store.clock.now += 15 * DAY
    assert retention(store).round() == 1
    assert kept(store) == set()
    assert event


def test_files_without_rows_are_not_touched(store: Store) -> None:
    """The database is new, the files are all there."""
    for n in range(5):
        store.snapshots.save("door", NOON - n * 100 * DAY, "start", JPEG)
    assert retention(store, default=Retain(1, 0)).round() == 0
    assert len(store.files()) == 5


def test_nothing_is_deleted_through_a_link(store: Store) -> None:
    event = store.event(at=NOON - 100 * DAY)
    folder = (store.folder / store.files()[0]).parent
    outside = store.folder.parent / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    assert retention(store, default=Retain(None, 0)).round() == 1
    assert event not in kept(store)
    assert len(os.listdir(outside)) == 2


def test_it_works_at_the_start_and_when_asked_and_stops(store: Store) -> None:
    worker = retention(store, default=Retain(None, 0))
    store.event()
    worker.start()
    assert eventually(lambda: worker.deleted == 1)
    store.event()
    time.sleep(0.1)
    assert worker.deleted == 1
    worker.ask()
    assert eventually(lambda: worker.deleted == 2)
    assert worker.stop()
    assert worker.failures == 0


def test_what_else_is_old_goes_along(store: Store) -> None:
    user = store.users.add("ann", "Kirschkernweitspucken")
    store.sessions.start(user.id, "127.0.0.1", "curl")
    store.states.record(CameraState("door", "live", "", NOON))
    store.clock.now += 100 * DAY
    retention(store).round()
    assert store.states.history("door") == ()
    assert store.sessions.purge() == 0


def fill(store: Store, events: int) -> None:
    """Rows and files of events a second apart, quickly: without the care that real ones get."""
    with store.db.write() as rows:
        for n in range(events):
            at = utc(NOON - 100 * DAY + n)
            event = rows.scalar(
                insert(Event)
                .values(camera="door", started_at=at, ended_at=at, recorded_at=at, peak_at=at, peak_area=1)
                .returning(Event.id)
            )
            path = store.snapshots._new_path("door", at, "start")
            file = store.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(JPEG)
            rows.execute(
                insert(Snapshot).values(
                    event_id=event, kind="start", taken_at=at, path=path, size=len(JPEG), sha256="", width=16, height=8
                )
            )


def test_it_is_quick_and_lets_others_write(store: Store) -> None:
    fill(store, 1500)
    longest = 0.0
    stop = threading.Event()

    def write() -> None:
        nonlocal longest
        while not stop.wait(0.01):
            began = time.monotonic()
            store.events.started("yard", NOON, [Picture()], Peak())
            longest = max(longest, time.monotonic() - began)

    writing = threading.Thread(target=write)
    writing.start()
    began = time.monotonic()
    gone = retention(store).round()
    took = time.monotonic() - began
    stop.set()
    writing.join(30)
    assert gone == 1500
    assert gone / took > 250  # 500 where nothing else runs
    assert longest < 4
    with store.db.read() as rows:
        assert rows.scalar(select(func.count()).select_from(Event).where(Event.camera == "door")) == 0
    assert not (store.folder / "snapshots" / "door").exists()


def test_stopping_does_not_wait_for_all_of_it(store: Store) -> None:
    fill(store, 1500)
    worker = retention(store)
    worker.start()
    assert eventually(lambda: worker.deleted > 0)
    assert worker.stop(5)
    with store.db.read() as rows:
        assert len(store.files()) == rows.scalar(select(func.count()).select_from(Event))

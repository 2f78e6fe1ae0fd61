"""Events: the log of the watchers, the review by pages, deleting; file, row and notice in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event as on
from sqlalchemy import func, select

from dashboard.errors import NotFound, StoreError
from dashboard.notices import EventDeleted, EventReviewed, MotionEnded, MotionStarted
from dashboard.store import days
from dashboard.store.check import check
from dashboard.store.events import Events, EventView
from dashboard.store.models import Event, Garbage, Snapshot
from dashboard.store.snapshots import Snapshots
from dashboard.store.times import utc
from tests.stores import JPEG, NOON, Peak, Picture, Store


def ids(events: tuple[EventView, ...]) -> list[int]:
    return [event.id for event in events]


def count(store: Store, table: type) -> int:
    with store.db.read() as rows:
        return rows.scalar(select(func.count()).select_from(table)) or 0


def clean(store: Store) -> bool:
    return list(check(store.db, store.snapshots, young=0)) == [] and count(store, Garbage) == 0


# The log


def test_the_life_of_an_event(store: Store) -> None:
    event = store.events.started("door", NOON, [Picture("before", NOON - 2), Picture("start", NOON)], Peak(NOON, 1))
    view = store.events.get(event)
    assert (view.camera, view.started_at, view.ended_at, view.closed_by) == ("door", utc(NOON), None, None)
    assert not view.reviewed
    assert [snapshot.kind for snapshot in view.snapshots] == ["before", "start"]
    assert view.cover == view.snapshot("start")

    store.events.progressed(event, Peak(NOON + 1, 3.0), Picture("peak", NOON + 1))
    store.events.progressed(event, Peak(NOON + 2, 4.0, (0.5, 0.5, 0.1, 0.1)), Picture("peak", NOON + 2))
    store.events.progressed(event, Peak(NOON + 3, 5.0), None)
    store.events.ended(event, NOON + 7, [Picture("end", NOON + 6)], Peak(NOON + 3, 5.0))
    view = store.events.get(event)
    assert (view.ended_at, view.closed_by) == (utc(NOON + 7), "end")
    assert (view.peak_at, view.peak_area) == (utc(NOON + 3), 5.0)
    assert [snapshot.kind for snapshot in view.snapshots] == ["before", "start", "peak", "end"]
    peak = view.cover
    assert peak is not None
    assert (peak.kind, peak.taken_at, peak.width, peak.height, peak.missing) == ("peak", utc(NOON + 2), 16, 8, False)
    assert store.snapshots.read(peak.path) == JPEG
    assert len(store.files()) == 4  # the first peak's file went with its row
    assert clean(store)
    assert store.told() == [MotionStarted(event, "door", NOON), MotionEnded(event, "door", NOON + 7)]


def test_a_notice_comes_after_the_commit(store: Store) -> None:
    seen: list[int] = []
    heard = store.notices.subscribe(waker=lambda: seen.append(count(store, Snapshot)))
    event = store.event(ended=False)
    assert seen == [2]
    store.events.ended(event, NOON + 5, [Picture("end")], Peak())
    assert seen == [2, 3]
    heard.close()


def test_an_event_that_was_deleted_meanwhile_leaves_nothing(store: Store) -> None:
    event = store.event(ended=False)
    store.events.delete(event)
    store.told()
    store.events.progressed(event, Peak(), Picture("peak"))
    store.events.ended(event, NOON + 5, [Picture("end")], Peak())
    assert store.files() == []
    assert store.told() == []


def test_an_event_never_ends_before_it_began(store: Store) -> None:
    """The clock was set back an hour while something moved."""
    event = store.event(ended=False)
    store.events.ended(event, NOON - 3600, [Picture("end", NOON - 3600)], Peak())
    assert store.events.get(event).ended_at == utc(NOON)


def test_a_crash_leaves_no_event_open(store: Store) -> None:
    done = store.event()
    bare = store.events.started("door", NOON + 100, [], Peak(NOON + 100))
    seen = store.event(at=NOON + 200, ended=False)
    store.events.progressed(seen, Peak(NOON + 204), Picture("peak", NOON + 203))
    late = store.event(at=NOON + 300, ended=False)
    store.events.progressed(late, Peak(NOON + 301), Picture("peak", NOON + 309))
    assert store.events.close_unfinished() == 3
    assert store.events.close_unfinished() == 0
    ends = {event.id: (event.ended_at, event.closed_by) for event in store.events.page().events}
    assert ends == {
        done: (utc(NOON + 5), "end"),
        bare: (utc(NOON + 100), "crash"),
        seen: (utc(NOON + 204), "crash"),
        late: (utc(NOON + 309), "crash"),
    }


def failing(store: Store, after: int, error: Exception) -> Events:
    """Events whose disk refuses after `after` pictures."""

    class Failing(Snapshots):
        left = after

        def _write_into(self, file: Path, data: bytes, lasting: bool) -> None:
            if self.left == 0:
                raise error
            self.left -= 1
            super()._write_into(file, data, lasting)

    return Events(store.db, Failing(store.folder, reserve=0), store.notices, store.clock)


@pytest.mark.parametrize("after", [0, 1])
def test_a_disk_that_refuses_stores_nothing_at_all(store: Store, after: int) -> None:
    events = failing(store, after, OSError(28, "No space left on device"))
    with pytest.raises(StoreError, match="the disk is full"):
        events.started("door", NOON, [Picture("before"), Picture("start")], Peak())
    assert (count(store, Event), count(store, Snapshot), store.files(), store.told()) == (0, 0, [], [])


def test_an_end_that_fails_can_be_tried_again(store: Store) -> None:
    event = store.event(ended=False)
    store.told()
    with pytest.raises(StoreError):
        failing(store, 1, OSError(5, "Input/output error")).ended(
            event, NOON + 5, [Picture("peak"), Picture("end")], Peak()
        )
    assert store.events.get(event).ended_at is None
    assert len(store.files()) == 2
    assert store.told() == []
    store.events.ended(event, NOON + 5, [Picture("peak"), Picture("end")], Peak())
    assert len(store.events.get(event).snapshots) == 4
    assert clean(store)


def test_with_too_little_disk_the_event_is_kept_without_pictures(store: Store) -> None:
    events = Events(store.db, Snapshots(store.folder, reserve=10**18), store.notices, store.clock)
    event = events.started("door", NOON, [Picture("before"), Picture("start")], Peak())
    events.ended(event, NOON + 5, [Picture("end")], Peak())
    view = events.get(event)
    assert (view.snapshots, view.cover, view.closed_by) == ((), None, "end")
    assert events.unsaved == 3
    assert store.files() == []


def test_rows_that_cannot_be_written_take_their_files_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(patience: float = 0) -> object:
        raise StoreError("the database is busy")

    event = store.event(ended=False)
    monkeypatch.setattr(store.db, "write", refuse)
    for change in (
        lambda: store.events.started("door", NOON, [Picture()], Peak()),
        lambda: store.events.progressed(event, Peak(), Picture("peak")),
        lambda: store.events.ended(event, NOON, [Picture("end")], Peak()),
    ):
        with pytest.raises(StoreError, match="busy"):
            change()
    assert len(store.files()) == 2


def test_many_cameras_at_once(store: Store) -> None:
    """Two cameras, five hundred snapshots each, all in the same millisecond."""

    def watch(camera: str) -> None:
        for _ in range(25):
            pictures = [Picture(kind, NOON) for kind in ("before", "start") * 5]
            event = store.events.started(camera, NOON, pictures, Peak())
            store.events.ended(event, NOON, pictures[:0], Peak())

    threads = [threading.Thread(target=watch, args=(f"camera{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert count(store, Event) == 100
    assert count(store, Snapshot) == len(store.files()) == 1000
    assert clean(store)


# The review


@pytest.fixture
def hundred(store: Store) -> Store:
    """120 events of three cameras, ten minutes apart; some begin together, each third is reviewed."""
    for n in range(120):
        event = store.events.started(("door", "yard", "shop")[n % 3], NOON + 600 * (n // 2), [], Peak())
        if n % 4 == 0:
            store.events.mark(event, True, "ann")
    return store


FILTERS: list[dict[str, object]] = [
    {},
    {"camera": "yard"},
    {"reviewed": True},
    {"reviewed": False},
    {"after": utc(NOON + 6000)},
    {"before": utc(NOON + 6000)},
    {"after": utc(NOON + 6000), "before": utc(NOON + 6001)},
    {"camera": "door", "reviewed": False, "after": utc(NOON + 3000), "before": utc(NOON + 30000)},
    {"camera": "nobody"},
]


def let_through(event: EventView, wanted: dict[str, object]) -> bool:
    after, before = wanted.get("after"), wanted.get("before")
    return (
        wanted.get("camera") in (None, event.camera)
        and wanted.get("reviewed") in (None, event.reviewed)
        and (not isinstance(after, datetime) or event.started_at >= after)
        and (not isinstance(before, datetime) or event.started_at < before)
    )


def test_every_filter_pages_through_exactly_what_it_lets_through(hundred: Store) -> None:
    everything = [event for page in (0, 1) for event in pages(hundred, 60)[page]]
    assert len(everything) == 120
    order = [(event.started_at, event.id) for event in everything]
    assert order == sorted(order, reverse=True)
    for wanted in FILTERS:
        expected = [event.id for event in everything if let_through(event, wanted)]
        for limit in (1, 7, 100):
            if limit == 1 and len(expected) > 40:
                continue
            found = [event.id for page in pages(hundred, limit, **wanted) for event in page]
            assert found == expected, wanted
        for before, event, after in zip([None, *expected], expected, [*expected[1:], None], strict=False):
            beside = hundred.events.neighbours(event, **wanted)  # type: ignore[arg-type]
            assert (beside.newer, beside.older) == (before, after), wanted


def pages(store: Store, limit: int, **wanted: object) -> list[tuple[EventView, ...]]:
    found = []
    cursor: str | None = None
    while True:
        page = store.events.page(limit=limit, cursor=cursor, **wanted)  # type: ignore[arg-type]
        found.append(page.events)
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_new_and_deleted_events_do_not_shift_the_pages(store: Store) -> None:
    events = [store.event(at=NOON + n) for n in range(6)]
    first = store.events.page(limit=2)
    store.event(at=NOON + 100)
    store.events.delete(events[4])  # the last of the first page, whose place the cursor is
    second = store.events.page(limit=2, cursor=first.next_cursor)
    assert ids(first.events) + ids(second.events) == [events[5], events[4], events[3], events[2]]


def test_a_page_takes_two_statements_however_long(hundred: Store) -> None:
    asked: list[str] = []
    on.listen(hundred.db.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: asked.append(sql))
    hundred.events.page(limit=100, camera="door")
    assert len([sql for sql in asked if sql.startswith("SELECT")]) == 2
    asked.clear()
    hundred.events.counts([(utc(NOON), utc(NOON + 60))] * 42)
    assert len([sql for sql in asked if "SELECT" in sql]) == 1


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "-", "1-", "-1", "1--1", "1-1-1", "1.5-1", "１-１", "1e9-1", "9" * 40, f"{10**18}-1", f"1-{2**63}",
     "1\0-1", "99999999999999999999-1", "' OR 1=1", "253402300800000000-1"],
)  # fmt: skip
def test_a_bad_cursor_is_said(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        store.events.page(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 101, 10**12])
def test_a_bad_limit_is_said(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        store.events.page(limit=limit)


@pytest.mark.parametrize("camera", ["", "\0", "a b", "'; --", "x" * 10_000, "Door"])
def test_a_camera_that_cannot_be_is_said(store: Store, camera: str) -> None:
    for ask in (store.events.page, lambda camera: store.events.counts([(utc(0), utc(1))], camera)):
        with pytest.raises(ValueError, match="camera"):
            ask(camera=camera)


def test_a_time_without_a_zone_is_said(store: Store) -> None:
    with pytest.raises(ValueError, match="zone"):
        store.events.page(after=datetime(2026, 1, 1))


@pytest.mark.parametrize("event", [0, -1, 4711, 2**63 - 1, 2**63, 10**40])
@pytest.mark.parametrize("ask", ["get", "delete", "neighbours", "mark"])
def test_an_event_that_is_not_there_is_said(store: Store, event: int, ask: str) -> None:
    store.event()
    with pytest.raises(NotFound, match="no event"):
        getattr(store.events, ask)(event, *((True, "ann") if ask == "mark" else ()))


def test_times_at_the_ends_of_the_calendar_can_be_asked_for(store: Store) -> None:
    store.event()
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert len(store.events.page(after=first, before=last).events) == 1
    assert store.events.page(after=last).events == ()


def test_reviewing_keeps_the_first_reviewer_and_tells(store: Store) -> None:
    event, other = store.event(), store.event(camera="yard")
    store.told()
    store.events.mark(event, True, "ann")
    store.clock.now += 60
    store.events.mark(event, True, "bob")
    view = store.events.get(event)
    assert (view.reviewed, view.reviewed_by, view.reviewed_at) == (True, "ann", utc(NOON))
    assert store.events.mark_many([event, other, 4711], True, "bob") == (other,)
    store.events.mark(event, False, "bob")
    assert not store.events.get(event).reviewed
    assert store.told() == [
        EventReviewed(event, "door", True),
        EventReviewed(other, "yard", True),
        EventReviewed(event, "door", False),
    ]


def test_what_a_reviewer_did_outlives_the_user(store: Store) -> None:
    store.users.add("ann", "Kirschkernweitspucken")
    event = store.event()
    store.events.mark(event, True, "ann")
    store.users.remove("ann")
    assert store.events.get(event).reviewed_by == "ann"


def test_cameras_and_what_they_take_up(store: Store) -> None:
    assert store.events.cameras() == ()
    for camera in ("yard", "door", "door", "a", "zoo"):
        store.event(camera)
    store.events.started("bare", NOON, [], Peak())
    assert store.events.cameras() == ("a", "bare", "door", "yard", "zoo")
    usage = {found.camera: (found.events, found.snapshots, found.size) for found in store.events.usage()}
    assert usage["door"] == (2, 4, 4 * len(JPEG))
    assert usage["bare"] == (1, 0, 0)
    assert [event.camera for event in store.events.recent("door", 5)] == ["door", "door"]


def test_the_night_when_the_clock_is_set_back(store: Store) -> None:
    """One event a minute from 01:00 CEST to 04:00 CET: 240, in order, in a day of 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, 1, 0, tzinfo=zone).timestamp()
    for minute in range(240):
        at = start + 60 * minute
        store.events.ended(store.events.started("door", at, [Picture("start", at)], Peak(at)), at, [], Peak(at))
    assert len(store.files()) == len(set(store.files())) == count(store, Snapshot) == 240
    night = days.span_of_day(date(2026, 10, 25), zone)
    assert night.hours == 25
    found = [event for page in pages(store, 100, after=night.start, before=night.end) for event in page]
    assert [event.started_at for event in reversed(found)] == [utc(start + 60 * minute) for minute in range(240)]
    hours = days.hours_of(date(2026, 10, 25), zone)
    counts = store.events.counts([hour.range for hour in hours])
    counted = {hour.label: n for hour, n in zip(hours, counts, strict=True) if n}
    assert counted == {"01:00 CEST": 60, "02:00 CEST": 60, "02:00 CET": 60, "03:00 CET": 60}
    assert sum(store.events.counts([day.range for day in days.spans_of_month(2026, 10, zone)])) == 240
    assert clean(store)


def test_too_many_ranges_are_said(store: Store) -> None:
    assert store.events.counts([]) == ()
    with pytest.raises(ValueError, match="at most 400"):
        store.events.counts([(utc(0), utc(1))] * 401)
    assert store.events.counts([(utc(0), utc(1))] * 400) == (0,) * 400


# Deleting


def test_deleting_takes_rows_and_files_and_is_told(store: Store) -> None:
    event, kept = store.event(), store.event(at=NOON + 60)
    store.events.mark(event, True, "ann")
    store.told()
    store.events.delete(event)
    with pytest.raises(NotFound):
        store.events.get(event)
    assert ids(store.events.page().events) == [kept]
    assert len(store.files()) == count(store, Snapshot) == 2
    assert store.told() == [EventDeleted(event, "door")]
    assert clean(store)


def test_deleting_many_counts_those_that_were_there(store: Store) -> None:
    events = [store.event(at=NOON + n) for n in range(5)]
    assert store.events.delete_many([*events[:3], 4711, -1, 2**70]) == 3
    assert store.events.delete_many([]) == 0
    assert len(store.files()) == 4
    assert clean(store)


def test_a_file_that_resists_is_deleted_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    event = store.event()

    def refuse(path: str) -> bool:
        raise StoreError("cannot be deleted")

    monkeypatch.setattr(store.snapshots, "remove", refuse)
    store.events.delete(event)
    assert count(store, Garbage) == len(store.files()) == 2
    monkeypatch.undo()
    assert store.events.empty_garbage() == 2
    assert store.files() == []
    assert clean(store)


def test_a_picture_deleted_by_hand_does_not_stop_the_review(store: Store) -> None:
    event = store.event()
    (store.folder / store.files()[0]).unlink()
    view = store.events.get(event)
    assert len(view.snapshots) == 2
    with pytest.raises(NotFound):
        store.snapshots.read(view.snapshots[0].path)
    store.events.delete(event)
    assert store.files() == []
    assert clean(store)


def test_reviewing_while_events_come_and_go(store: Store) -> None:
    troubles: list[Exception] = []
    stop = threading.Event()

    def often(work: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            n = 0
            try:
                while not stop.is_set():
                    work(n)
                    n += 1
            except Exception as error:  # noqa: BLE001 - the edge of a thread
                troubles.append(error)

        return run

    def delete(n: int) -> None:
        for event in store.events.page(limit=20).events[5:]:
            store.events.delete_many([event.id])

    work = [lambda n: store.event(at=NOON + n), delete, lambda n: store.events.page(limit=50), lambda n: clean]
    threads = [threading.Thread(target=often(one)) for one in work]
    for thread in threads:
        thread.start()
    stop.wait(1.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert troubles == []
    assert clean(store)


def test_one_hour_is_a_range_like_any_other(store: Store) -> None:
    at = datetime(2026, 9, 1, 6, 30, tzinfo=UTC)
    event = store.event(at=at.timestamp())
    hour = days.hours_of(date(2026, 9, 1), ZoneInfo("Europe/Berlin"))[8]
    assert hour.label == "08:00"
    assert ids(store.events.page(after=hour.start, before=hour.end).events) == [event]
    assert store.events.page(after=hour.start - timedelta(hours=1), before=hour.start).events == ()

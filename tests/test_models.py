"""The column types: times are UTC and sort as times, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from dashboard.errors import StoreError
from dashboard.store.models import Base, CameraState, Event
from tests.stores import Peak, Picture, Store

BERLIN = ZoneInfo("Europe/Berlin")


def put(store: Store, at: datetime) -> None:
    with store.db.write() as rows:
        rows.add(CameraState(camera="door", state="live", reason="", at=at))


def kept(store: Store) -> list[datetime]:
    with store.db.read() as rows:
        return list(rows.scalars(select(CameraState.at).order_by(CameraState.at)))


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        datetime(2026, 11, 24, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 7, 1, 0, 30, tzinfo=BERLIN),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-11))),
    ],
)
def test_a_time_comes_back_aware_and_utc(store: Store, at: datetime) -> None:
    put(store, at)
    (back,) = kept(store)
    assert back == at
    assert back.tzinfo is UTC or back.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(store: Store) -> None:
    with pytest.raises((StoreError, ValueError)):
        put(store, datetime(2026, 11, 24, 12, 0))
    assert kept(store) == []


def test_the_repeated_hour_sorts_by_time(store: Store) -> None:
    first = datetime(2026, 10, 25, 2, 30, fold=0, tzinfo=BERLIN)
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)
    whole = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    for at in (second, whole, first):
        put(store, at)
    assert kept(store) == [first.astimezone(UTC), whole, second.astimezone(UTC)]


def test_a_box_is_a_tuple_again_and_none_stays_none(store: Store) -> None:
    with_box = store.events.started("door", 1.0, [Picture(box=(0.123456, 0, 1, 1))], Peak(box=None))
    view = store.events.get(with_box)
    assert view.peak_box is None
    assert view.snapshots[0].box == (0.1235, 0, 1, 1)
    with store.db.read() as rows:
        assert rows.scalar(select(Event.id).where(Event.peak_box.is_(None))) == with_box
        # Also for the engine it is NULL, and not the word null.
        assert rows.scalar(text("SELECT count(*) FROM events WHERE peak_box IS NULL")) == 1


def test_ids_are_never_given_twice(store: Store) -> None:
    first = store.event()
    store.events.delete(first)
    assert store.event() > first


def test_every_table_and_constraint_has_a_name() -> None:
    for table in Base.metadata.tables.values():
        assert all(constraint.name for constraint in table.constraints), table.name
        assert all(index.name for index in table.indexes), table.name

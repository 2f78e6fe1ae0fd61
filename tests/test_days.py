"""Local days and hours as ranges, as a table: 23, 24 and 25 hours, and midnights that do not exist."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from dashboard.store.days import hours_of, local_day, span_of_day, spans_of_month

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", "2026-11-24", "2026-11-23T23:00", 24),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", 25),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", 23),
        ("UTC", "2026-10-25", "2026-10-25T00:00", 24),
        ("Asia/Kolkata", "2026-10-25", "2026-10-24T18:30", 24),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24.5),  # half an hour is set back
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", 25),  # midnight comes twice: the first is meant
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00", 23),  # midnight does not exist: 01:00 is first
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, day: str, start: str, hours: float) -> None:
    span = span_of_day(date.fromisoformat(day), ZoneInfo(zone))
    assert span.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert span.hours == hours
    assert span.label == day
    parts = hours_of(date.fromisoformat(day), ZoneInfo(zone))
    assert parts[0].start == span.start
    assert parts[-1].end == span.end
    assert all(one.end == next_.start for one, next_ in pairwise(parts))
    assert all(timedelta(0) < part.end - part.start <= timedelta(hours=1) for part in parts)
    assert len({part.label for part in parts}) == len(parts)


def test_the_hour_that_comes_twice_has_two_names() -> None:
    labels = [hour.label for hour in hours_of(date(2026, 10, 25), BERLIN)]
    assert labels[:5] == ["00:00 CEST", "01:00 CEST", "02:00 CEST", "02:00 CET", "03:00 CET"]
    assert len(labels) == 25


def test_the_hour_that_does_not_come_is_not_there() -> None:
    labels = [hour.label for hour in hours_of(date(2026, 3, 29), BERLIN)]
    assert labels[:3] == ["00:00 CET", "01:00 CET", "03:00 CEST"]
    assert len(labels) == 23


def test_on_other_days_the_zone_is_not_repeated() -> None:
    assert [hour.label for hour in hours_of(date(2026, 11, 24), BERLIN)] == [f"{n:02d}:00" for n in range(24)]


def test_a_month_has_its_days_without_a_gap() -> None:
    for month, days in ((2, 28), (3, 31), (10, 31), (11, 30)):
        spans = spans_of_month(2026, month, BERLIN)
        assert len(spans) == days
        assert all(one.end == next_.start for one, next_ in pairwise(spans))


@pytest.mark.parametrize(("year", "month"), [(2026, 0), (2026, 13), (0, 1), (10**6, 1)])
def test_there_is_no_such_month(year: int, month: int) -> None:
    with pytest.raises(ValueError, match=r"month|year|range"):
        spans_of_month(year, month, BERLIN)


@pytest.mark.parametrize(("year", "month"), [(1, 1), (9999, 12)])
def test_at_the_ends_of_time_it_is_said_too(year: int, month: int) -> None:
    with pytest.raises(ValueError, match="there is no such day"):
        spans_of_month(year, month, BERLIN)


def test_the_local_day_of_a_moment() -> None:
    assert local_day(datetime(2026, 10, 24, 22, 0, tzinfo=UTC), BERLIN) == date(2026, 10, 25)
    assert local_day(datetime(2026, 10, 24, 21, 59, tzinfo=UTC), BERLIN) == date(2026, 10, 24)

"""Deciding for the review, without a database: filters, bars, days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from dashboard.store import days
from dashboard.web.cameras import spans
from dashboard.web.events import Filter, beside, by_day, day_bars, hour_bars
from dashboard.web.pages import browser, percent, size

BERLIN = ZoneInfo("Europe/Berlin")
AUTUMN = date(2026, 10, 25)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        (Filter(), (None, None)),
        (Filter(day=AUTUMN), (at("2026-10-24T22:00"), at("2026-10-25T23:00"))),
        (Filter(day=AUTUMN, hour=at("2026-10-25T00:10")), (at("2026-10-25T00:00"), at("2026-10-25T01:00"))),
        (Filter(day=AUTUMN, hour=at("2026-10-25T01:00")), (at("2026-10-25T01:00"), at("2026-10-25T02:00"))),
        (Filter(hour=at("2026-11-24T13:30")), (at("2026-11-24T13:00"), at("2026-11-24T14:00"))),
        (Filter(day=AUTUMN, hour=at("2026-11-24T13:30")), (at("2026-11-24T13:30"), at("2026-11-24T14:30"))),
    ],
)
def test_a_filter_spans_a_time(wanted: Filter, span: tuple[datetime | None, datetime | None]) -> None:
    assert wanted.span(BERLIN) == span


def test_a_filter_goes_into_an_address_and_leaves_out_what_is_empty() -> None:
    wanted = Filter("door", AUTUMN, at("2026-10-25T01:00"), "no")
    assert wanted.args() == {
        "camera": "door",
        "day": "2026-10-25",
        "hour": "2026-10-25T01:00:00.000Z",
        "reviewed": "no",
    }
    assert wanted.args(hour=None, reviewed="") == {"camera": "door", "day": "2026-10-25"}
    assert Filter().args() == {}


def test_the_bars_of_the_autumn_night() -> None:
    hours = days.hours_of(AUTUMN, BERLIN)
    counts = [0] * 25
    counts[2], counts[3] = 1, 50
    bars = hour_bars(Filter(day=AUTUMN, hour=hours[3].start), hours, counts, BERLIN)
    assert [bar.label for bar in bars[:5]] == ["00", "01", "02", "02", "03"]
    assert [bar.title for bar in bars[2:4]] == ["02:00 CEST: 1 event", "02:00 CET: 50 events"]
    assert [bar.twice for bar in bars[1:5]] == [False, True, True, False]
    assert [bar.height for bar in bars[1:5]] == [0, 6, 100, 0]
    assert [bar.chosen for bar in bars[2:4]] == [False, True]
    assert "hour" not in bars[3].link  # choosing it again gives the whole day back


def test_the_bars_of_days_link_to_days() -> None:
    strip = [days.span_of_day(AUTUMN + timedelta(days=number), BERLIN) for number in range(3)]
    bars = day_bars(Filter(camera="door"), strip, [0, 4, 2])
    assert bars[0].link == {"camera": "door", "day": "2026-10-25"}
    assert [bar.height for bar in bars] == [0, 100, 50]


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([0, 0, 0, 0, 0], (None, None)),
        ([1, 0, 9, 0, 1], (date(2026, 10, 23), date(2026, 10, 27))),
        ([1, 1, 0, 1, 1], (date(2026, 10, 24), date(2026, 10, 26))),
    ],
)
def test_the_days_beside(counts: list[int], found: tuple[date | None, date | None]) -> None:
    strip = [days.span_of_day(AUTUMN + timedelta(days=number), BERLIN) for number in range(-2, 3)]
    assert beside(AUTUMN, strip, counts) == found


def test_events_are_grouped_by_local_day() -> None:
    events = [
        SimpleNamespace(started_at=at(text)) for text in ("2026-11-24T23:10", "2026-11-24T22:50", "2026-11-23T23:00")
    ]
    assert [(group.day.day, len(group.events)) for group in by_day(events, BERLIN)] == [(25, 1), (24, 2)]  # type: ignore[arg-type]


def test_changes_of_state_become_spans() -> None:
    changes = [
        SimpleNamespace(state="live", reason="", at=at("2026-11-24T13:00")),
        SimpleNamespace(state="offline", reason="host unreachable", at=at("2026-11-24T12:59")),
    ]
    assert [(span.state, span.seconds) for span in spans(changes)] == [("live", None), ("offline", 60.0)]


def test_small_words() -> None:
    assert [size(count) for count in (0, 999, 1500, 250_000, 1.4e9, 5e13)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "250 kB",
        "1.4 GB",
        "50 TB",
    ]
    assert [percent(area) for area in (0.04, 3.21, 12.6)] == ["0.0 %", "3.2 %", "13 %"]
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    assert [browser(agent) for agent in (firefox, "curl/8.9", "")] == [
        "Firefox on Linux",
        "curl/8.9",
        "Unknown program",
    ]

"""Times in words and back: tables, with the nights on which the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.web import times

BERLIN = ZoneInfo("Europe/Berlin")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOON = datetime(2026, 11, 24, 13, 2, 11, 250_000, tzinfo=UTC)


def test_words_are_local_and_name_the_zone() -> None:
    assert times.words(NOON, BERLIN) == "Tue 24 Nov 14:02:11 CET"
    assert times.words(NOON, SAO_PAULO) == "Tue 24 Nov 10:02:11 UTC-03"
    assert times.words(NOON, UTC) == "Tue 24 Nov 13:02:11 UTC"


def test_words_name_the_year_when_it_is_another() -> None:
    assert times.words(NOON, BERLIN, NOON) == "Tue 24 Nov 14:02:11 CET"
    assert times.words(NOON, BERLIN, NOON + timedelta(days=60)) == "Tue 24 Nov 2026 14:02:11 CET"


def test_the_autumn_hour_is_told_apart_by_its_zone_name() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert times.words(first, BERLIN) == "Sun 25 Oct 02:30:00 CEST"
    assert times.words(first + timedelta(hours=1), BERLIN) == "Sun 25 Oct 02:30:00 CET"


def test_iso_is_utc_with_z() -> None:
    assert times.iso(NOON.astimezone(BERLIN)) == "2026-11-24T13:02:11.250Z"
    assert times.file_stamp(NOON) == "2026-11-24T130211Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (4 * 86400 + 3 * 3600, "4 d 3 h"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert times.span(seconds) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T13:02:11.250Z", NOON),
        ("2026-11-24T14:02:11.25+01:00", NOON),
        ("2026-11-24T14:02:11.250+0100", NOON),
        ("2026-11-24 13:02:11.250000000z", NOON),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T13:02", datetime(2026, 11, 24, 13, 2, tzinfo=UTC)),
    ],
)
def test_parse(text: str, moment: datetime) -> None:
    assert times.parse(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1e309",
        "1000000000000",
        "2026-13-01",
        "2026-02-30",
        "2026-11-24T25:00",
        "2026-11-24T13:02:61Z",
        "2026-11-24\0",
        "2026-11-24T13:02:11Z'",
        "0000-01-01",
        "0001-01-01T00:00+23:59",
        "9999-12-31T23:59-23:59",
        "2026-11-24T13:02:11+99:99",
        "２０２６-11-24",
        "2" * 10_000,
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        times.parse(text)


def test_a_time_without_offset_is_of_the_zone() -> None:
    assert times.parse("2026-11-24T14:02:11.25", BERLIN) == NOON

"""Times in words, and words into times: local with the zone for people, ISO 8601 in UTC for programs.

Pure: zone and moment come in as arguments. Which zone that is, and the templates' filters, are set up in `pages`;
where a local day begins and which hours it has is known to `store.days`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.I
)


def words(at: datetime, zone: tzinfo, now: datetime | None = None) -> str:
    """ "Tue 24 Nov 14:02:11 CET"; with the year when that is not the year of `now`."""
    local = at.astimezone(zone)
    year = f" {local.year}" if now is not None and local.year != now.astimezone(zone).year else ""
    return (
        f"{DAYS[local.weekday()]} {local.day} {MONTHS[local.month - 1]}{year} {clock(at, zone)} {zone_name(at, zone)}"
    )


def clock(at: datetime, zone: tzinfo) -> str:
    """ "14:02:11"."""
    return at.astimezone(zone).strftime("%H:%M:%S")


def long_day(day: date) -> str:
    """ "Tuesday 24 Nov 2026"."""
    return f"{LONG_DAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]} {day.year}"


def zone_name(at: datetime, zone: tzinfo) -> str:
    """ "CET"; "UTC-03" for zones that have no letters of their own."""
    name = at.astimezone(zone).tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def iso(at: datetime) -> str:
    """ "2026-11-24T13:02:11.250Z": UTC, in milliseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def file_stamp(at: datetime) -> str:
    """ "2026-11-24T130211Z": for names of files, on every system."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def span(seconds: float) -> str:
    """ "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def parse(text: str, zone: tzinfo = UTC) -> datetime:
    """The moment that ISO 8601 `text` names, UTC; without an offset in it, of `zone`. ValueError for anything else."""
    found = _ISO.fullmatch(text) if len(text) <= 40 else None
    if found is None:
        raise ValueError("not a time as in 2026-11-24T13:02:11Z")
    year, month, day, hour, minute, second, part, offset = found.groups()
    micros = int((part or "0").ljust(6, "0")[:6])
    naive = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros)
    try:
        return naive.replace(tzinfo=_offset(offset) if offset else zone).astimezone(UTC)
    except OverflowError:
        raise ValueError("out of the calendar") from None


def _offset(text: str) -> tzinfo:
    if text in {"Z", "z"}:
        return UTC
    aware = datetime.strptime(text.replace(":", ""), "%z").tzinfo
    assert aware is not None
    return aware

"""Local days and their hours as ranges of UTC. Pure; the only place that knows that a day can have 23 or 25 hours."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `end`; aware, UTC. `label`: what it is called in its zone."""

    label: str
    start: datetime
    end: datetime

    @property
    def range(self) -> tuple[datetime, datetime]:
        """As `Events.counts` wants it."""
        return self.start, self.end

    @property
    def hours(self) -> float:
        return (self.end - self.start) / timedelta(hours=1)


def local_day(time: datetime, zone: tzinfo) -> date:
    """The day that it is in `zone` at `time`."""
    return time.astimezone(zone).date()


def span_of_day(day: date, zone: tzinfo) -> Span:
    """The whole of a local day. A midnight that does not exist is the first moment after it. Raises ValueError."""
    return Span(day.isoformat(), _midnight(day, zone), _midnight(_next(day), zone))


def spans_of_month(year: int, month: int, zone: tzinfo) -> tuple[Span, ...]:
    """The days of a month, for a calendar. Raises ValueError if there is no such month."""
    first = date(year, month, 1)
    return tuple(span_of_day(first.replace(day=n), zone) for n in range(1, monthrange(year, month)[1] + 1))


def hours_of(day: date, zone: tzinfo) -> tuple[Span, ...]:
    """The hours of a local day in order: 24, or 23 or 25 when clocks are changed, and then with the zone's name.

    In autumn "02:00 CEST" comes before "02:00 CET"; in spring there is no 02:00.
    """
    whole = span_of_day(day, zone)
    changes = whole.start.astimezone(zone).utcoffset() != whole.end.astimezone(zone).utcoffset()
    spans = []
    start = whole.start
    while start < whole.end:
        local = start.astimezone(zone)
        into = timedelta(minutes=local.minute, seconds=local.second)
        end = min(start + timedelta(hours=1) - into, whole.end)
        spans.append(Span(f"{local:%H:%M} {local:%Z}" if changes else f"{local:%H:%M}", start, end))
        start = end
    return tuple(spans)


def _next(day: date) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError:
        raise ValueError("there is no such day") from None


def _midnight(day: date, zone: tzinfo) -> datetime:
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such day") from None

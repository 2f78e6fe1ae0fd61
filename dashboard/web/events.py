"""Reviewing what moved: the list of events by camera, day and hour, and one event with its pictures."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, render_template, url_for

from dashboard.errors import NotFound
from dashboard.store import days
from dashboard.web import api, query, times
from dashboard.web.cameras import names
from dashboard.web.parts import current_parts

if TYPE_CHECKING:
    from dashboard.store.events import EventView, SnapshotView

blueprint = Blueprint("events", __name__)

PER_PAGE = 60
STRIP = 31
"""Days in the strip of days, and how far off the next day with events is looked for."""
ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are asked for. `reviewed`: "", yes or no; `hour`: the first moment of an hour of `day`."""

    camera: str = ""
    day: date | None = None
    hour: datetime | None = None
    reviewed: str = ""

    @classmethod
    def asked(cls) -> Filter:
        """What the address of the request says; 400 if that cannot be meant."""
        return cls(
            query.camera() or "", query.day(), query.moment("hour"), query.choice("reviewed", ("yes", "no")) or ""
        )

    def span(self, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
        """From when to when events begin, UTC."""
        if self.hour is not None:
            hours = days.hours_of(self.day or days.local_day(self.hour, zone), zone)
            inside = next((hour for hour in hours if hour.start <= self.hour < hour.end), None)
            return inside.range if inside else (self.hour, self.hour + timedelta(hours=1))
        return days.span_of_day(self.day, zone).range if self.day else (None, None)

    @property
    def marked(self) -> bool | None:
        return {"yes": True, "no": False}.get(self.reviewed)

    def args(self, **changes: Any) -> dict[str, Any]:
        """The filter as arguments of an address, with some changed; None or "" leaves one out."""
        hour = times.iso(self.hour) if self.hour else None
        own = {"camera": self.camera, "day": self.day, "hour": hour, "reviewed": self.reviewed}
        return {name: str(value) for name, value in {**own, **changes}.items() if value}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the strip above the list: an hour of the day, or a day. `height`: 0..100, against the highest."""

    label: str
    title: str
    link: dict[str, str]
    count: int
    height: int
    chosen: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the list, under its heading."""

    day: date
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """A snapshot as the filmstrip shows it. `offset`: how long after the start, in words."""

    view: SnapshotView
    offset: str
    missing: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.view, name)


def by_day(events: Iterable[EventView], zone: tzinfo) -> list[Day]:
    """Events in the order given, under their local days."""
    groups = itertools.groupby(events, lambda event: days.local_day(event.started_at, zone))
    return [Day(day, tuple(some)) for day, some in groups]


def hour_bars(wanted: Filter, hours: Sequence[days.Span], counts: Sequence[int], zone: tzinfo) -> list[Bar]:
    """The hours of the day chosen. Of an hour that the clock shows twice, both carry their zone's name."""
    clocks = [times.clock(hour.start, zone)[:5] for hour in hours]
    most = max(counts, default=0) or 1
    bars = []
    for hour, clock, count in zip(hours, clocks, counts, strict=True):
        twice = clocks.count(clock) > 1
        name = f"{clock} {times.zone_name(hour.start, zone)}" if twice else clock
        chosen = wanted.hour is not None and hour.start <= wanted.hour < hour.end
        link = wanted.args(hour=None if chosen else times.iso(hour.start))
        bars.append(Bar(clock[:2], f"{name}: {_events(count)}", link, count, _height(count, most), chosen, twice))
    return bars


def day_bars(wanted: Filter, spans: Sequence[days.Span], counts: Sequence[int]) -> list[Bar]:
    """The last days, each a link to its hours."""
    most = max(counts, default=0) or 1
    bars = []
    for span, count in zip(spans, counts, strict=True):
        day = date.fromisoformat(span.label)
        title = f"{times.long_day(day)}: {_events(count)}"
        bars.append(Bar(str(day.day), title, wanted.args(day=day, hour=None), count, _height(count, most)))
    return bars


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _height(count: int, most: int) -> int:
    return max(6, round(100 * count / most)) if count else 0


def _days(middle: date, before: int, after: int, zone: tzinfo) -> list[days.Span]:
    return [days.span_of_day(middle + timedelta(days=number), zone) for number in range(-before, after + 1)]


def beside(day: date, spans: Sequence[days.Span], counts: Sequence[int]) -> tuple[date | None, date | None]:
    """The nearest days with events before and after `day`."""
    busy = [date.fromisoformat(span.label) for span, count in zip(spans, counts, strict=True) if count]
    return max((one for one in busy if one < day), default=None), min((one for one in busy if one > day), default=None)


@blueprint.get("/events")
def review() -> str:
    parts, wanted, cursor = current_parts(), Filter.asked(), query.cursor()
    zone, today = parts.zone, days.local_day(datetime.now(UTC), parts.zone)
    camera, marked = wanted.camera or None, wanted.marked
    after, before = wanted.span(zone)
    page = api.page_of(camera, after, before, marked, PER_PAGE, cursor)

    hours = days.hours_of(wanted.day, zone) if wanted.day else ()
    around = _days(wanted.day, STRIP, STRIP, zone) if wanted.day else _days(today, STRIP - 1, 0, zone)
    ranges = [(after or ALWAYS[0], before or ALWAYS[1]), *(span.range for span in (*hours, *around))]
    total, *counts = parts.events.counts(ranges, camera=camera, reviewed=marked)
    of_hours, of_days = counts[: len(hours)], counts[len(hours) :]
    bars = hour_bars(wanted, hours, of_hours, zone) if hours else day_bars(wanted, around, of_days)
    earlier, later = beside(wanted.day or today + timedelta(days=1), around, of_days)

    cameras = names()
    if camera is not None:
        cameras.setdefault(camera, camera)  # events outlive cameras
    return render_template(
        "events.html",
        filter=wanted,
        link=lambda **changes: url_for("events.review", **wanted.args(**changes)),
        kept=wanted.args(),
        cameras=cameras,
        groups=by_day(page.events, zone),
        bars=bars,
        filtered=bool(wanted.args()),
        total=total,
        today=today,
        yesterday=today - timedelta(days=1),
        day_before=earlier,
        day_after=later,
        newest=cursor is None,
        open=before is None or before > datetime.now(UTC),
        newer=url_for("events.review", **wanted.args()) if cursor else None,
        older=url_for("events.review", cursor=page.next_cursor, **wanted.args()) if page.next_cursor else None,
    )


@blueprint.get(f"/events/<int(max={api.LAST}):number>")
def event(number: int) -> str:
    parts, wanted = current_parts(), Filter.asked()
    found = parts.events.get(number)
    after, before = wanted.span(parts.zone)
    neighbours = parts.events.neighbours(number, wanted.camera or None, after, before, wanted.marked)
    shots = [_shot(found, snapshot) for snapshot in found.snapshots]
    kind = query.choice("picture", api.KINDS)
    chosen = next((shot for shot in shots if shot.kind == kind), None)
    cameras = names()
    return render_template(
        "event.html",
        event=found,
        camera_name=cameras.get(found.camera, found.camera),
        known=found.camera in cameras,
        shots=shots,
        chosen=chosen or next((shot for shot in shots if shot.view == found.cover), None),
        newer=neighbours.newer,
        older=neighbours.older,
        kept=wanted.args(),
    )


@blueprint.get(f"/events/<int(max={api.LAST}):number>/download.zip")
def download(number: int) -> Response:
    """All pictures of an event, and what is known of it as JSON with their checksums."""
    found = current_parts().events.get(number)
    stamp = f"{found.camera}-{times.file_stamp(found.started_at)}"
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for snapshot in found.snapshots:
            try:
                picture = current_parts().snapshots.read(snapshot.path)
            except NotFound:
                continue  # its checksum stays in the JSON
            archive.writestr(f"{stamp}/{api.file_name(found, snapshot)}", picture)
        archive.writestr(f"{stamp}/event.json", json.dumps(api.event_json(found), indent=2) + "\n")
    response = Response(whole.getvalue(), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{stamp}.zip"'
    return response


def _shot(event: EventView, snapshot: SnapshotView) -> Shot:
    late = (snapshot.taken_at - event.started_at).total_seconds()
    offset = "0 s" if abs(late) < 0.05 else ("+" if late > 0 else "−") + times.span(abs(late))
    return Shot(snapshot, offset, not current_parts().snapshots.exists(snapshot.path))

"""What every page has: the filters of the templates, and the facts that the bar and the banners show."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from flask import Flask

from dashboard.errors import StoreError
from dashboard.web import times
from dashboard.web.auth import current
from dashboard.web.parts import current_parts

_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux")


def browser(agent: str) -> str:
    """A browser's name for itself, as short as people know it: "Firefox on Linux"."""
    name = next((word for mark, word in _BROWSERS if mark in agent), "")
    system = next((word for word in _SYSTEMS if word in agent), "")
    if name:
        return f"{name} on {system}" if system else name
    return (re.split(r"[\s(]", agent.strip(), maxsplit=1)[0] or "Unknown program")[:40]


def size(count: float) -> str:
    """ "1.4 GB": decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.1f} {unit}" if unit != "B" and count < 9.95 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB" if count < 9.95 else f"{count:.0f} TB"


def percent(area: float) -> str:
    """ "0.4 %", "12 %"."""
    return f"{area:.1f} %" if area < 9.95 else f"{area:.0f} %"


def zone_key() -> str:
    """The zone's name for the scripts of the pages; "" when it has none that browsers know."""
    zone = current_parts().zone
    key = getattr(zone, "key", None)
    if key:
        return str(key)
    return "UTC" if zone is UTC else ""


def zone_names(now: datetime) -> str:
    """What the zone is called at which offset this year, for the scripts: "GMT+01:00=CET GMT+02:00=CEST"."""
    zone = current_parts().zone
    found = {}
    for month in (1, 7):
        at = datetime(now.year, month, 1, tzinfo=UTC)
        offset = at.astimezone(zone).strftime("%z")
        found[f"GMT{offset[:3]}:{offset[3:5]}"] = times.zone_name(at, zone)
    return " ".join(f"{offset}={name}" for offset, name in found.items())


def register(app: Flask) -> None:
    """Give the templates of `app` their filters and the facts of the bar."""

    def local(function: Any) -> Any:
        return lambda at: function(at, current_parts().zone)

    app.jinja_env.filters.update(
        words=lambda at: times.words(at, current_parts().zone, datetime.now(UTC)),
        clock=local(times.clock),
        zone=local(times.zone_name),
        iso=times.iso,
        span=times.span,
        long_day=times.long_day,
        bytes=size,
        percent=percent,
        browser=browser,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.context_processor
    def facts() -> dict[str, Any]:
        visitor = current()
        if visitor is None:
            return {"person": None}
        findings = current_parts().config_findings()
        zones = {"zone_name": zone_key(), "zone_names": zone_names(datetime.now(UTC))}
        return {"person": visitor, "findings": findings, "disk": _disk(), **zones}


def _disk() -> SimpleNamespace:
    snapshots = current_parts().snapshots
    try:
        return SimpleNamespace(reserved=snapshots.reserved(), free=snapshots.free())
    except StoreError:  # a disk that cannot be asked must not take the live pictures away
        return SimpleNamespace(reserved=False, free=0)

"""The time zone that people see. Rows, names of files and logs are in UTC; nothing else belongs here."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOCALTIME = Path("/etc/localtime")


def zone_of(name: str | None) -> tzinfo:
    """The zone `name`, or without one the machine's: TZ, then /etc/localtime, then UTC. It knows its summer time."""
    for candidate in (name, os.environ.get("TZ", "").removeprefix(":")):
        if candidate:
            try:
                return ZoneInfo(candidate)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                continue
    try:
        parts = LOCALTIME.resolve().parts
        if "zoneinfo" in parts:
            return ZoneInfo("/".join(parts[parts.index("zoneinfo") + 1 :]))
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC

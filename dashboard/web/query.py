"""Values from outside, made typed or refused: each function raises 400 with a sentence that says what is wrong."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from typing import NoReturn

from flask import abort, request

from dashboard.web import times

MOST_ROWS = 100
_CAMERA = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_CURSOR = re.compile(r"[A-Za-z0-9_.:~-]{1,128}", re.ASCII)


def _refuse(name: str, why: str) -> NoReturn:
    abort(400, description=f"{name}: {why}")


def camera(name: str = "camera") -> str | None:
    """A camera's id; it need not exist, since events outlive cameras."""
    text = request.args.get(name, "")
    if text and not _CAMERA.fullmatch(text):
        _refuse(name, "not the id of a camera")
    return text or None


def moment(name: str, zone: tzinfo = UTC) -> datetime | None:
    """ISO 8601; without an offset it is of `zone`."""
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        found = times.parse(text.replace(" ", "+") if re.search(r" \d\d:?\d\d$", text) and "T" in text else text, zone)
    except ValueError as error:
        _refuse(name, str(error))
    if not 1970 <= found.year <= 9998:  # its hour and its day must have a beginning and an end
        _refuse(name, "out of the calendar")
    return found


def day(name: str = "day") -> date | None:
    """A day as in 2026-11-24."""
    text = request.args.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        _refuse(name, "not a day as in 2026-11-24")
    try:
        found = date.fromisoformat(text)
    except ValueError:
        _refuse(name, "no such day")
    if not 1970 <= found.year <= 9998:
        _refuse(name, "out of the calendar")
    return found


def count(name: str = "limit", usual: int = 50, most: int = MOST_ROWS) -> int:
    """A whole number from 1 to `most`."""
    text = request.args.get(name, "")
    if not text:
        return usual
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= most:
        _refuse(name, f"not a whole number from 1 to {most}")
    return int(text)


def choice(name: str, values: tuple[str, ...]) -> str | None:
    """One of `values`."""
    text = request.args.get(name, "")
    if not text:
        return None
    if text not in values:
        _refuse(name, f"one of {', '.join(values)}")
    return text


def yes(name: str) -> bool | None:
    """yes, true or 1; no, false or 0."""
    text = choice(name, ("yes", "no", "true", "false", "1", "0"))
    return None if text is None else text in {"yes", "true", "1"}


def cursor(name: str = "cursor") -> str | None:
    """A place in a list, as an earlier answer gave it."""
    text = request.args.get(name, "")
    if text and not _CURSOR.fullmatch(text):
        _refuse(name, "not a cursor of this list")
    return text or None

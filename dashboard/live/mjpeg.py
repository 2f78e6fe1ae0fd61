"""MJPEG (`multipart/x-mixed-replace`): what a viewer may wish, and the bytes of the stream.

When to repeat a picture and when to say "no signal" is decided here, apart from any clock, thread or event loop.
Who is let in, and how bytes reach the browser, does not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.live.feed import MAX_AGE, Picture, snapped_quality, snapped_width

BOUNDARY = "frame"
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
OPENING = f"--{BOUNDARY}\r\n".encode()
REPEAT_S = 3.0
"""Seconds without a new picture after which the last one, or "no signal", is sent again."""
DOWN = frozenset({"offline", "disabled"})


class BadWish(ValueError):
    """A query value that cannot be meant; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a viewer wants the pictures. `width`: pixels, None as they come; `fps`: at most, None for all."""

    width: int | None = None
    fps: float | None = None
    quality: int = 85


def read_wish(query: Mapping[str, str]) -> Wish:
    """The wish in a query; raises `BadWish`. Sizes and qualities are moved to a few steps, to share the encoding."""
    width = _number(query, "width", 16, 3840, whole=True)
    fps = _number(query, "fps", 0.1, 30)
    quality = _number(query, "quality", 20, 95, whole=True)
    return Wish(
        snapped_width(int(width)) if width is not None else None,
        fps,
        snapped_quality(int(quality)) if quality is not None else 85,
    )


def _number(query: Mapping[str, str], key: str, low: float, high: float, whole: bool = False) -> float | None:
    text = query.get(key)
    if text is None:
        return None
    meant = f"{key} must be a {'whole number' if whole else 'number'} from {low} to {high}"
    if not text.isascii() or not 0 < len(text) <= 10 or "_" in text or text != text.strip():
        raise BadWish(meant)
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        raise BadWish(meant) from None
    if not math.isfinite(value) or not low <= value <= high:
        raise BadWish(meant)
    return value


def part(jpeg: bytes, taken_at: float | None) -> bytes:
    """One picture and the boundary after it: browsers show a picture only once they see the next boundary.

    `taken_at`: seconds since the epoch; None for a picture that no camera took.
    """
    stamp = f"X-Timestamp: {taken_at:.3f}\r\n" if taken_at is not None else "X-Signal: none\r\n"
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n{stamp}\r\n"
    return b"".join((head.encode(), jpeg, b"\r\n", OPENING))


def patience(last: Picture | None, now: float) -> float:
    """Seconds to wait for a new picture before `fallback` is asked. `now`: monotonic, as `Picture.at`."""
    if last is None:
        return REPEAT_S
    left = last.at + MAX_AGE - now
    return min(REPEAT_S, left) if left > 0 else REPEAT_S


def fallback(last: Picture | None, state: str, now: float) -> Picture | None:
    """What to show when no new picture came: the last one while it may pass as live, else None: "no signal"."""
    if last is None or state in DOWN or now - last.at >= MAX_AGE:
        return None
    return last

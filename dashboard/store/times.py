"""Seconds since the epoch, as the parts that watch cameras count, and aware UTC times, as rows hold them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], float]
"""Gives the wall clock in seconds since the epoch; `time.time`, or a test's own."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CLOCK_SET = datetime(2024, 1, 1, tzinfo=UTC)
"""A clock before this was never set: a small machine without battery starts in 1970."""


def utc(seconds: float) -> datetime:
    """The time `seconds` after the epoch, to the microsecond."""
    return EPOCH + timedelta(seconds=seconds)


def microseconds(time: datetime) -> int:
    """The whole number of microseconds since the epoch."""
    return (time - EPOCH) // timedelta(microseconds=1)

"""What is told to whoever listens: frozen values, sent on one channel after the fact.

A notice says that something has already happened and, where rows are concerned, is already committed.
"Event" is kept for motion events. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.channel import Channel


@dataclass(frozen=True, slots=True)
class CameraState:
    """A camera's state changed. `state`: connecting, live, stalled, offline or disabled; `reason`: in words."""

    camera: str
    state: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class MotionStarted:
    """A motion event began; its row and its first snapshots are stored."""

    event: int
    camera: str
    at: float


@dataclass(frozen=True, slots=True)
class MotionEnded:
    """A motion event ended; its row is complete."""

    event: int
    camera: str
    at: float


@dataclass(frozen=True, slots=True)
class EventDeleted:
    """A motion event was deleted, by a person or by retention."""

    event: int
    camera: str


@dataclass(frozen=True, slots=True)
class EventReviewed:
    """A motion event was marked reviewed, or no longer so."""

    event: int
    camera: str
    reviewed: bool


@dataclass(frozen=True, slots=True)
class CamerasChanged:
    """A new cameras.yaml was applied; `added`, `removed`, `changed` are camera ids."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """cameras.yaml was changed and cannot be used; the set of before keeps running. Empty `findings`: mended."""

    findings: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """Logins ended (logout, password change, disabled, removed, token revoked); `sessions`: their row ids, those of
    access tokens below zero."""

    sessions: tuple[int, ...]


Notice = (
    CameraState
    | MotionStarted
    | MotionEnded
    | EventDeleted
    | EventReviewed
    | CamerasChanged
    | ConfigRefused
    | SessionsEnded
)

Notices = Channel[Notice]


def new_channel() -> Notices:
    """The one channel of notices. 512 deep: a listener busy for a few seconds still misses nothing."""
    return Channel(depth=512)

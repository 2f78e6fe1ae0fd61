"""What the web gets of the running system: the one place where both are known. Nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from dashboard.capture.nosignal import no_signal
from dashboard.system import System
from dashboard.web.parts import Parts


def parts_of(system: System) -> Parts:
    """The parts that the pages and streams need; their count of viewers goes back to the system."""
    parts = Parts(
        cameras=system.cameras,
        config=lambda: system.config,
        users=system.users,
        sessions=system.sessions,
        tokens=system.tokens,
        events=system.events,
        snapshots=system.snapshots,
        states=system.states,
        notices=system.notices,
        secret=system.secret,
        zone=system.zone,
        version=system.version,
        no_signal=no_signal_in(system.zone),
        config_findings=lambda: system.findings,
        seen=system.watchers.seen,
        stats=system.stats,
        metrics=system.metrics,
        healthy=system.healthy,
    )
    system.viewers = parts.audience.viewers
    return parts


def no_signal_in(zone: tzinfo) -> Callable[[Any, int], bytes]:
    """Draws "no signal since 14:02:11", the camera's name and the reason, in local time."""

    def draw(camera: Any, width: int) -> bytes:
        status = camera.status()
        since = datetime.fromtimestamp(status.since, zone)
        today = since.date() == datetime.fromtimestamp(time.time(), zone).date()
        moment = since.strftime("%H:%M:%S" if today else "%d %b %H:%M:%S")
        height = round(width * status.height / status.width) if status.width and status.height else width * 9 // 16
        return no_signal(width, height, (f"no signal since {moment}", camera.spec.name, status.reason))

    return draw

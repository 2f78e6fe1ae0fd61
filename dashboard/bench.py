"""How many of these cameras this machine can carry: runs capture and motion as the server does, and measures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from dashboard import notices
from dashboard.capture.registry import CameraRegistry
from dashboard.motion.watchers import MotionWatchers

USABLE = 0.8
"""Share of the processor that cameras may take; the rest is for viewers, disk and the system."""
LIVE_WITHIN = 10.0
"""Seconds that cameras have to become live before the measurement begins."""


class _Forgetful:
    """A log of motion that keeps nothing: the disk is not what is measured."""

    def started(self, camera: str, at: float, pictures: Sequence[object], peak: object) -> int:
        return 0

    def progressed(self, event: int, peak: object, picture: object) -> None: ...

    def ended(self, event: int, at: float, pictures: Sequence[object], peak: object) -> None: ...


def measure(specs: Sequence[Any], seconds: float) -> str:
    """Run these cameras for `seconds` and say in words what they cost and how many such there could be."""
    channel = notices.new_channel()
    registry = CameraRegistry(channel)
    watchers = MotionWatchers(_Forgetful())
    try:
        registry.start(specs)
        watchers.apply(registry)
        _wait_until_live(registry)
        before = {camera.id: camera.status().decoded_frames for camera in registry}
        began, cpu = time.monotonic(), time.process_time()
        time.sleep(seconds)
        span, spent = time.monotonic() - began, time.process_time() - cpu
        statuses = {camera.id: camera.status() for camera in registry}
    finally:
        watchers.stop()
        registry.stop()
        channel.close()
    lines = [f"{'camera':20} {'state':10} {'size':>11} {'fps':>6} {'decoded/s':>9}"]
    for name, status in statuses.items():
        size = f"{status.width}x{status.height}" if status.width else "-"
        decoded = (status.decoded_frames - before[name]) / span
        lines.append(f"{name:20} {status.state:10} {size:>11} {status.fps:6.1f} {decoded:9.1f}")
    live = sum(status.state == "live" for status in statuses.values())
    return "\n".join([*lines, "", _verdict(live, spent / span)])


def _wait_until_live(registry: CameraRegistry) -> None:
    until = time.monotonic() + LIVE_WITHIN
    while time.monotonic() < until and any(camera.status().state == "connecting" for camera in registry):
        time.sleep(0.1)


def _verdict(live: int, cores: float) -> str:
    if not live:
        return "No camera is live, so nothing can be said of what they cost."
    each = cores / live
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    carried = int(available * USABLE / each) if each > 0 else 0
    takers = "1 live camera takes" if live == 1 else f"{live} live cameras take"
    return (
        f"{takers} {cores:.2f} of {available} processor cores, {each:.3f} each. "
        f"Using {USABLE:.0%} of the machine it carries about {carried} such cameras, nobody watching."
    )

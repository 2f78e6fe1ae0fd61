"""What every wall is told alike, as JSON texts made once for all: states, events, the disk, cameras.yaml.

A `Bulletin` runs on the event loop while walls listen. Pictures, and what one wall alone wants, belong to `wall`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dashboard import notices as told
from dashboard.channel import ChannelClosed
from dashboard.live.cameras import Camera, Cameras, Seen

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How late a change of state or of a box may be told."""
FULL_S = 1.0
DISK_S = 10.0
SEEN_FOR_S = 2.0
"""Seconds after which the detector's last word is no longer about now."""


class Listener:
    """One wall's place: texts wait in `queue`; it is told when the set of cameras has changed."""

    def __init__(self, depth: int = 256) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue(depth)
        self.cameras_changed = True
        self.overrun = False
        """It did not take its texts in time; what it knows is no longer whole."""

    def tell(self, text: str) -> None:
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.overrun = True


class Bulletin:
    """Watches cameras, notices and disk for all walls of one event loop."""

    def __init__(
        self,
        cameras: Cameras,
        notices: told.Notices,
        seen: Callable[[str], Seen | None],
        findings: Callable[[], tuple[str, ...]],
        disk: Callable[[], tuple[bool, int]],
    ) -> None:
        self._cameras = cameras
        self._notices = notices
        self._seen = seen
        self._findings = findings
        self._disk = disk
        self._listeners: set[Listener] = set()
        self._states: dict[str, dict[str, Any]] = {}
        self._disk_text = ""

    def listen(self) -> Listener:
        """A new listener, told first how everything is. Leave with `leave`."""
        listener = Listener()
        self._listeners.add(listener)
        listener.tell(status_text(self._read_all()))
        if findings := self._findings():
            listener.tell(_text("config", findings=findings))
        if self._disk_text:
            listener.tell(self._disk_text)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def run(self) -> None:
        """Tell what changes until cancelled."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        next_full = next_disk = 0.0
        with self._notices.subscribe(waker=lambda: _call(loop, wake.set)) as notices:
            while True:
                now = loop.time()
                try:
                    while (notice := notices.poll()) is not None:
                        self._tell_notice(notice)
                except ChannelClosed:
                    return
                if notices.missed:
                    notices.missed = 0
                    self._cameras_changed()
                if self._listeners:
                    if now >= next_full:
                        next_full = now + FULL_S
                        self._tell(status_text(self._read_all()))
                    elif changed := self._changed():
                        self._tell(status_text(changed))
                    if now >= next_disk:
                        next_disk = now + DISK_S
                        await self._look_at_disk()
                wake.clear()
                pause = loop.call_later(TICK_S, wake.set) if self._listeners else loop.call_later(FULL_S, wake.set)
                await wake.wait()
                pause.cancel()

    def _tell(self, text: str) -> None:
        for listener in self._listeners:
            listener.tell(text)

    def _tell_notice(self, notice: told.Notice) -> None:
        if isinstance(notice, told.CamerasChanged):
            self._cameras_changed()
        elif text := notice_text(notice):
            self._tell(text)

    def _cameras_changed(self) -> None:
        for listener in self._listeners:
            listener.cameras_changed = True
            listener.tell("")  # wakes it; the list itself is made by the wall, which numbers the cameras

    def _read_all(self) -> dict[str, dict[str, Any]]:
        self._states = {camera.id: state(camera, self._seen(camera.id), time.time()) for camera in self._cameras}
        return self._states

    def _changed(self) -> dict[str, dict[str, Any]]:
        before = self._states
        return {camera: now for camera, now in self._read_all().items() if differs(before.get(camera), now)}

    async def _look_at_disk(self) -> None:
        try:
            reserved, free = await asyncio.to_thread(self._disk)
        except Exception as error:  # noqa: BLE001 - the edge of the task: a disk that cannot be asked costs no wall
            log.warning("the disk cannot be asked how much is free: %s", error)
            return
        before, self._disk_text = self._disk_text, _text("disk", reserved=reserved, free=free)
        if not before or json.loads(before)["reserved"] != reserved:
            self._tell(self._disk_text)


def state(camera: Camera, seen: Seen | None, now: float) -> dict[str, Any]:
    """How a camera is, as it is told to walls. Times in ms since the epoch, ages in ms."""
    status = camera.status()
    age = status.frame_age_s
    fresh = seen is not None and now - seen.at < SEEN_FOR_S
    return {
        "state": status.state,
        "reason": status.reason,
        "since": int(status.since * 1000),
        "fps": round(status.fps, 1),
        "age_ms": None if age is None else int(age * 1000),
        "moving": bool(fresh and seen is not None and seen.moving),
        "area": round(float(seen.area), 2) if fresh and seen is not None else 0,
        "boxes": [[round(float(side), 3) for side in box] for box in seen.boxes] if fresh and seen is not None else [],
    }


def differs(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    """Whether a person should be told at once; rates and ages wait for the next second."""
    return before is None or any(before[key] != now[key] for key in ("state", "reason", "moving", "boxes"))


def status_text(states: Mapping[str, Mapping[str, Any]]) -> str:
    return _text("status", cameras=states)


def cameras_text(cameras: Iterable[Camera]) -> str:
    """The list of cameras, numbered in the order of the file."""
    return _text(
        "cameras",
        cameras=[
            {"id": camera.id, "name": camera.spec.name or camera.id, "index": index, "enabled": camera.spec.enabled}
            for index, camera in enumerate(cameras)
        ],
    )


def video_text(camera: str, name: str, codec: str) -> str:
    """What comes next of `camera` is video; `name` is the codec's as browsers know it, RFC 6381."""
    return _text("video", camera=camera, name=name, codec=codec)


def notice_text(notice: told.Notice) -> str | None:
    """What a wall is told of `notice`; None when that is no matter of walls."""
    match notice:
        case told.MotionStarted(event, camera, at):
            return _event("started", event, camera, at)
        case told.MotionEnded(event, camera, at):
            return _event("ended", event, camera, at)
        case told.EventDeleted(event, camera):
            return _event("deleted", event, camera, time.time())
        case told.EventReviewed(event, camera, _):
            return _event("reviewed", event, camera, time.time())
        case told.ConfigRefused(findings, _):
            return _text("config", findings=findings)
    return None


def _event(what: str, event: int, camera: str, at: float) -> str:
    return _text("event", what=what, event=event, camera=camera, at=int(at * 1000))


def _text(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "now": int(time.time() * 1000), **fields}, separators=(",", ":"))


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    """Call `what` on `loop`, from any thread; nothing when the loop has ended before the caller."""
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        pass

"""The motion watchers of all cameras: one for each camera that is watched for motion. Follows the set of cameras."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

from dashboard.channel import Channel
from dashboard.motion.strip import MotionLog
from dashboard.motion.watcher import MotionWatcher, Seen


class Watched(Protocol):
    """A camera, as far as it is watched. `spec`: what cameras.yaml says of it."""

    @property
    def id(self) -> str: ...
    @property
    def spec(self) -> Any: ...
    @property
    def frames(self) -> Channel[Any]: ...


class MotionWatchers:
    """Starts, adjusts and stops watchers. Changed from one thread at a time; read from any."""

    def __init__(self, log: MotionLog) -> None:
        self._log = log
        self._watchers: dict[str, tuple[MotionWatcher, Channel[Any]]] = {}

    def get(self, camera: str) -> MotionWatcher | None:
        """The watcher of a camera; None where no motion is looked for."""
        found = self._watchers.get(camera)
        return found[0] if found else None

    def seen(self, camera: str) -> Seen | None:
        """What the detector sees now; None where no motion is looked for, or nothing was seen yet."""
        watcher = self.get(camera)
        return watcher.seen.newest if watcher else None

    def apply(self, cameras: Iterable[Watched]) -> None:
        """Watch these cameras, with their settings of now. A watcher whose camera stays goes on without a gap."""
        wanted = {camera.id: camera for camera in cameras if camera.spec.enabled and camera.spec.motion.enabled}
        gone = [name for name, (_, frames) in self._watchers.items() if _frames_of(wanted.get(name)) is not frames]
        _stop([self._watchers.pop(name)[0] for name in gone])
        for name, camera in wanted.items():
            if name in self._watchers:
                self._watchers[name][0].apply(camera.spec)
                continue
            watcher = MotionWatcher(name, camera.frames, camera.spec, self._log)
            self._watchers[name] = (watcher, camera.frames)
            watcher.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Stop all of them, at once, within `timeout` seconds. Open events are closed."""
        watchers = [watcher for watcher, _ in self._watchers.values()]
        self._watchers = {}
        _stop(watchers, timeout)


def _frames_of(camera: Watched | None) -> Channel[Any] | None:
    return camera.frames if camera else None


def _stop(watchers: list[MotionWatcher], timeout: float = 2.0) -> None:
    for watcher in watchers:
        watcher.stopping.set()
        watcher.wake()
    until = time.monotonic() + timeout
    for watcher in watchers:
        watcher.stop(max(0.05, until - time.monotonic()))

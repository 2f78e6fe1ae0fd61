"""The set of cameras: starts them, applies a new configuration to those it concerns, stops them all at once.

Its watchdog stands outside the threads of the cameras, so that a camera whose thread hangs is noticed and given a
new one. What a camera does belongs to camera.py.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dashboard.capture.camera import Camera
from dashboard.capture.reader import Opener
from dashboard.capture.source import Spec, open_source
from dashboard.notices import Notices
from dashboard.worker import Worker

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
STOP_WITHIN = 1.8
"""Seconds that all cameras together have to end; who does not is abandoned, and ends when its library lets go."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new configuration did, by camera id, in the order of the file."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


class CameraRegistry:
    """All cameras, in the order of the file. One thread at a time calls `start`, `apply` and `stop`."""

    def __init__(self, notices: Notices, *, opener: Opener = open_source) -> None:
        self._notices = notices
        self._opener = opener
        self._cameras: dict[str, Camera] = {}  # replaced as a whole, so that readers need no lock
        self._watchdog = Watchdog(self)
        self._applying = threading.Lock()

    def start(self, specs: Sequence[Spec]) -> None:
        """Start these cameras and the watchdog."""
        self.apply(specs)
        self._watchdog.start()

    def apply(self, specs: Sequence[Spec]) -> Changes:
        """Make the set equal to `specs`. Cameras that stay as they are go on without missing a picture.

        A changed camera keeps its channels, and so its viewers; it reconnects only if what changed concerns capture.
        """
        with self._applying:
            old = self._cameras
            new = {spec.id: old.get(spec.id) or Camera(spec, self._notices, opener=self._opener) for spec in specs}
            added = [camera for id, camera in new.items() if id not in old]
            removed = [camera for id, camera in old.items() if id not in new]
            changed = [(new[spec.id], spec) for spec in specs if spec.id in old and old[spec.id].spec != spec]
            again = [camera for camera, spec in changed if _connection(camera.spec) != _connection(spec)]
            self._cameras = new
            # A device can be opened only after it was let go.
            self._wait_for([worker for camera in [*removed, *again] for worker in camera.signal()])
            for camera in removed:
                camera.close()
            for camera, spec in changed:
                camera.spec = spec
            for camera in [*added, *again]:
                camera.start()
            return Changes(
                tuple(camera.id for camera in added),
                tuple(camera.id for camera in removed),
                tuple(camera.id for camera, _ in changed),
            )

    def stop(self) -> None:
        """End all cameras and the watchdog, within two seconds whatever hangs."""
        self._watchdog.stopping.set()
        with self._applying:
            cameras = list(self._cameras.values())
            self._wait_for([self._watchdog, *(worker for camera in cameras for worker in camera.signal())])
            for camera in cameras:
                camera.close()

    def get(self, id: str) -> Camera | None:
        """The camera with this id."""
        return self._cameras.get(id)

    def __iter__(self) -> Iterator[Camera]:
        return iter(tuple(self._cameras.values()))

    def __len__(self) -> int:
        return len(self._cameras)

    @staticmethod
    def _wait_for(workers: Iterable[Worker]) -> None:
        deadline = time.monotonic() + STOP_WITHIN
        for worker in workers:
            if not worker.stop(max(0.0, deadline - time.monotonic())):
                log.warning("%s does not end and is left behind", worker.name)


class Watchdog(Worker):
    """Looks after each camera twice a second."""

    def __init__(self, cameras: Iterable[Camera]) -> None:
        super().__init__("watchdog")
        self._cameras = cameras

    def run_once(self) -> None:
        """One look at all of them."""
        if self.stopping.wait(LOOK_EVERY):
            return
        for camera in self._cameras:
            camera.look_after(time.monotonic())


def _connection(spec: Spec) -> tuple[object, ...]:
    """The part of a configuration that asks for a new connection when it changes."""
    address = spec.connect_url() if spec.kind == "network" else None
    small = spec.connect_url(substream=True) if spec.substream else None
    return (
        *(spec.kind, spec.enabled, address, small, spec.device, spec.replay),
        *(spec.transport, spec.timeout, spec.width, spec.height, spec.fps),
    )

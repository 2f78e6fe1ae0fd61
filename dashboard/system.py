"""The one place that knows all parts: starts them in order, stops them in reverse. What a part does belongs to it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from dashboard import logs, metrics, notices
from dashboard.capture.registry import CameraRegistry
from dashboard.capture.thumbnail import thumbnail
from dashboard.config import Camera, Config, ConfigWatcher, Retain
from dashboard.errors import StoreError
from dashboard.figures import process_figures
from dashboard.motion.watchers import MotionWatchers
from dashboard.resources import resource
from dashboard.scenes import with_scenes
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.folder import DataFolder
from dashboard.store.reconcile import Reconciler
from dashboard.store.retention import Retention
from dashboard.store.secret import secret_of
from dashboard.store.sessions import Sessions
from dashboard.store.snapshots import Snapshots
from dashboard.store.states import StateRecorder, States
from dashboard.store.tokens import Tokens
from dashboard.store.users import Users
from dashboard.zones import zone_of

log = logging.getLogger(__name__)

BLIND_AFTER = 30.0
"""Seconds without a picture from any camera after which the dashboard is no longer healthy."""


def package_version() -> str:
    """The version of what runs."""
    try:
        return version("camera-dashboard")
    except PackageNotFoundError:
        return "0"


def write_first_config(path: Path) -> None:
    """Write the cameras.yaml that travels with the dashboard to `path`, where there is none. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # passwords may come to stand in it
    with open(descriptor, "wb") as file:
        file.write(resource("cameras.yaml").read_bytes())


class System:
    """A running dashboard, without its web server. Entering it starts everything; leaving stops it in reverse.

    `config` is what was read from `config_path`, which is read again while the system runs. `progress` hears 0..1
    while the generated scenes are drawn, which is once and only when a camera shows one. Raises StoreError or
    DataFolderBusy when the data folder cannot be used.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path,
        data_dir: Path,
        database_url: str | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        self.config = config
        self.data_dir = data_dir
        self.findings: tuple[str, ...] = ()
        """What is wrong with cameras.yaml as it is now; empty while it is the one that runs."""
        self.first_login: tuple[str, str] | None = None
        self.zone = zone_of(config.timezone)
        self.version = package_version()
        self.notices = notices.new_channel()
        self.viewers: Callable[[str], int] = lambda camera: 0
        """How many watch a camera; the web server puts its own count here."""
        self.metrics = metrics.exposition(self.stats)
        """Gives the text of /metrics."""
        self._config_path = config_path
        self._database_url = database_url
        self._progress = progress
        self._stack = ExitStack()
        self._started = time.monotonic()
        self._applying = threading.Lock()

    def __enter__(self) -> System:
        with ExitStack() as stack:
            stack.enter_context(DataFolder(self.data_dir))
            # First what takes long: who is stopped here has not yet been shown the first login.
            cameras = self._drawn(self.config)
            self._start_store(stack)
            self._start_cameras(stack, cameras)
            self._start_watching_the_file(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_store(self, stack: ExitStack) -> None:
        self._hide_secrets(self.config)
        self.secret = secret_of(self.data_dir)
        db = Database(self.data_dir, self._database_url)
        stack.callback(db.close)
        stack.callback(self.notices.close)
        db.migrate()
        self.users = Users(db, self.notices)
        self.sessions = Sessions(db, self.notices)
        self.tokens = Tokens(db, self.notices)
        self.states = States(db)
        self.snapshots = Snapshots(self.data_dir, self.config.storage.reserve, thumbnail)
        self.events = Events(db, self.snapshots, self.notices)
        self.first_login = self.users.ensure_first()
        self.events.close_unfinished()
        self._reconciler = Reconciler(db, self.snapshots, self.events)
        self.retention = Retention(db, self.events, self._retain, self.sessions, self.states)
        for worker in (StateRecorder(self.states, self.notices), self._reconciler, self.retention):
            worker.start()
            stack.callback(worker.stop, 1.0)

    def _start_cameras(self, stack: ExitStack, cameras: Sequence[Camera]) -> None:
        self.cameras = CameraRegistry(self.notices)
        stack.callback(self.cameras.stop)
        self.cameras.start(cameras)
        self.watchers = MotionWatchers(self.events)
        stack.callback(self.watchers.stop)
        self.watchers.apply(self.cameras)

    def _start_watching_the_file(self, stack: ExitStack) -> None:
        watcher = ConfigWatcher(self._config_path, self._apply, self._refuse, running=self.config)
        watcher.start()
        stack.callback(watcher.stop, 1.0)

    def _apply(self, config: Config) -> None:
        """Take a new, good cameras.yaml; only cameras that differ are touched. Called in the thread "config"."""
        with self._applying:
            self._hide_secrets(config)
            if config.timezone != self.config.timezone or config.storage != self.config.storage:
                log.warning("cameras.yaml: timezone and storage are taken at the next start")
            self.config = config
            changes = self.cameras.apply(self._drawn(config))
            self.watchers.apply(self.cameras)
        log.info(
            "cameras.yaml was read again: added %s, removed %s, changed %s",
            *(", ".join(ids) or "none" for ids in (changes.added, changes.removed, changes.changed)),
        )
        self.notices.publish(
            notices.CamerasChanged(changes.added, changes.removed, changes.changed, at=time.time()),
        )
        self.retention.ask()

    def _refuse(self, findings: tuple[str, ...]) -> None:
        """Say what is wrong with cameras.yaml, or, with no findings, that it is mended."""
        self.findings = findings
        for finding in findings:
            log.error("not applied: %s", finding)
        if not findings:
            log.info("cameras.yaml is in order again")
        self.notices.publish(notices.ConfigRefused(findings, at=time.time()))

    def _drawn(self, config: Config) -> list[Camera]:
        return with_scenes(config.cameras, self.data_dir, self._progress)

    def _retain(self, camera: str) -> Retain:
        """What holds for a camera's snapshots, also when it is no longer declared."""
        return next((each.snapshots.retain for each in self.config.cameras if each.id == camera), Retain())

    def healthy(self) -> bool:
        """False when no camera has given a picture for `BLIND_AFTER` seconds although there are some to watch."""
        statuses = [camera.status() for camera in self.cameras if camera.spec.enabled]
        if not statuses or time.monotonic() - self._started < BLIND_AFTER:
            return True
        return any(status.frame_age_s is not None and status.frame_age_s < BLIND_AFTER for status in statuses)

    def stats(self) -> dict[str, Any]:
        """The figures of /api/stats, of this moment."""
        return {
            "cameras": {camera.id: self._camera_stats(camera) for camera in self.cameras},
            "process": {**process_figures(), "uptime_s": round(time.monotonic() - self._started, 1)},
            "disk": self._disk_stats(),
        }

    def _disk_stats(self) -> dict[str, Any]:
        """The data folder's disk. One that cannot be asked costs no other figure: that is when they are looked at."""
        free = reserve = error = None
        try:
            free, reserve = self.snapshots.free(), self.snapshots.reserve()
        except StoreError as failure:
            error = str(failure)
        return {
            "free_bytes": free,
            "reserve_bytes": reserve,
            "reserved": free is None or reserve is None or free < reserve,
            "unsaved_snapshots": self.events.unsaved,
            "error": error,
        }

    def _camera_stats(self, camera: Any) -> dict[str, Any]:
        status = camera.status()
        watcher = self.watchers.get(camera.id)
        motion = {
            "analysed": watcher.analysed if watcher else 0,
            "missed": watcher.missed if watcher else 0,
            "motion_cpu_s": round(watcher.cpu_s, 3) if watcher else 0.0,
            "lost_events": watcher.journal.lost if watcher else 0,
        }
        return {
            "state": status.state,
            "reason": status.reason,
            "since": status.since,
            "fps": status.fps,
            "frame_age_s": status.frame_age_s,
            "reconnects": status.reconnects,
            "restarts": status.restarts,
            "viewers": self.viewers(camera.id),
            "decoded_frames": status.decoded_frames,
            "encoded_jpegs": status.encoded_jpegs,
            **motion,
        }

    @staticmethod
    def _hide_secrets(config: Config) -> None:
        for secret in config.secrets():
            logs.hide(secret)

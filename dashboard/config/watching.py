"""cameras.yaml while the server runs: what changed in it, and when it is worth reading again.

The file's (mtime, inode, size) are asked once a second: right on network shares and bind mounts, and an atomic
replacement is seen, which notification on a file misses. What a change leads to belongs to whoever listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboard.config.environment import env_file
from dashboard.config.loading import load
from dashboard.config.models import Camera, Config
from dashboard.errors import ConfigError
from dashboard.worker import Worker

Stamp = tuple[tuple[int, int, int] | None, ...]

WITHOUT_RECONNECT = ("name", "detect", "motion", "snapshots")
"""Keys of a camera that can change while its connection stays."""


@dataclass(frozen=True)
class Changes:
    """Ids of cameras. `changed` must be opened anew; `adjusted` keep their connection and get new settings."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.adjusted)


def difference(old: Config, new: Config) -> Changes:
    """What has to be done to get from `old` to `new`."""
    before = {camera.id: camera for camera in old.cameras}
    after = {camera.id: camera for camera in new.cameras}
    both = [identity for identity in after if identity in before and after[identity] != before[identity]]
    reopened = [identity for identity in both if _connection(before[identity]) != _connection(after[identity])]
    return Changes(
        added=tuple(identity for identity in after if identity not in before),
        removed=tuple(identity for identity in before if identity not in after),
        changed=tuple(reopened),
        adjusted=tuple(identity for identity in both if identity not in reopened),
    )


class ConfigFile:
    """A configuration file that is looked at again and again."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._stamp = self.stamp()

    def stamp(self) -> Stamp:
        """What tells two states of the file, and of the .env file beside it, apart; None for a file that is gone."""
        return tuple(_stat(path) for path in (self.path, env_file(self.path)))

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def changed(self) -> bool:
        """Whether the file is another than at the last call (or than at the beginning)."""
        before, self._stamp = self._stamp, self.stamp()
        return before != self._stamp


class ConfigWatcher(Worker):
    """Reads the file again after each change, once it has rested for one look.

    `on_config(config)` gets a good one that differs from the running one; `on_refused(findings)` gets what is wrong
    with a bad one, and an empty tuple once it is mended. Both are called in this thread, called "config".
    """

    def __init__(
        self,
        path: Path,
        on_config: Callable[[Config], None],
        on_refused: Callable[[tuple[str, ...]], None],
        *,
        running: Config | None = None,
        env: Mapping[str, str] = os.environ,
        interval: float = 1.0,
    ) -> None:
        super().__init__("config")
        self._file = ConfigFile(path)
        self._on_config = on_config
        self._on_refused = on_refused
        self._running = running
        self._env = env
        self._interval = interval
        self._settled = False  # also the first look reads: the file may have changed since `running` was read
        self._findings: tuple[str, ...] = ()

    def run_once(self) -> None:
        """One look."""
        if not self.stopping.wait(self._interval):
            self.look()

    def look(self) -> None:
        """Read the file if it has changed and is at rest."""
        if self._file.changed():
            self._settled = False
        elif not self._settled:
            self._settled = True
            self._read()

    def _read(self) -> None:
        try:
            config = load(self._file.path, self._env)
        except ConfigError as error:
            gone = (f"{self._file.path.name}: the file is gone; the cameras keep running",)
            self._refuse(tuple(error.findings) if self._file.exists else gone)
            return
        self._refuse(())
        if config != self._running:
            self._running = config
            self._on_config(config)

    def _refuse(self, findings: tuple[str, ...]) -> None:
        if findings != self._findings:
            self._findings = findings
            self._on_refused(findings)


def _connection(camera: Camera) -> Camera:
    plain = Camera(id=camera.id, device=0)
    return camera.model_copy(update={key: getattr(plain, key) for key in WITHOUT_RECONNECT})


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size

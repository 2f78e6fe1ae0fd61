"""The data folder: private to its owner, and served by one process at a time. What lies in it is not known here.

Files are 0600 and folders 0700 under any umask, because the folder holds pictures of private rooms.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from pathlib import Path
from types import TracebackType

from dashboard.errors import DataFolderBusy, StoreError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

OUR_MARK = "dashboard.lock"
"""A folder with this file in it is ours."""


def make_private(folder: Path) -> None:
    """Make `folder` and what is missing above it, 0700. Raises StoreError if that cannot be done."""
    try:
        for part in [*reversed(folder.parents), folder]:
            if not part.exists():
                with contextlib.suppress(FileExistsError):
                    part.mkdir(mode=0o700)
        if not folder.is_dir():
            raise StoreError(f"{folder} is not a folder")
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from error


def make_private_file(path: Path) -> None:
    """Make an empty file, 0600, or take the rights of others from the one that is there."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the file {path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` last through a power cut. Raises OSError."""
    if os.name == "nt":  # Windows has no such call, and needs none on NTFS
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DataFolder:
    """A data folder that this process serves while it holds it. Commands beside the server need not hold it.

    The lock is the system's own: it ends with the process, however that ends, so none is ever left behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Take the folder for this process. Raises DataFolderBusy if another has it, StoreError if it is no folder."""
        make_private(self.path)
        self._close_to_others()
        mark = self.path / OUR_MARK
        make_private_file(mark)
        descriptor = os.open(mark, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            _lock(descriptor)
        except OSError as error:
            other = os.pread(descriptor, 20, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            os.close(descriptor)
            who = f" (process {other})" if other.isdigit() else ""
            raise DataFolderBusy(f"another dashboard{who} already uses the data folder {self.path}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def held(self) -> bool:
        """Whether a server uses the folder just now, this process or another."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self.path / OUR_MARK, os.O_RDWR)
        except OSError:
            return False
        try:
            _lock(descriptor)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _close_to_others(self) -> None:
        """Take the rights of others from a folder that is ours or empty; one used for more is left as it is."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if os.name == "nt" or not mode & 0o077:
            return
        names = os.listdir(self.path)
        try:
            if (names and not {OUR_MARK, "dashboard.db"} & set(names)) or mode & stat.S_ISVTX:
                raise PermissionError
            self.path.chmod(0o700)
        except OSError:
            log.warning("other users of this machine can look into the data folder %s", self.path)

    def __enter__(self) -> DataFolder:
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    """Take the lock or raise OSError at once."""
    if sys.platform == "win32":
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # far behind the number that others read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""Snapshots as files: where they lie, how they get there whole, and how they are read. Their rows belong to events.

A file gets its name only when all of it is on the disk (temporary file, fsync, rename, fsync of the folder), and
the name says camera, time and kind, so that a file whose row was lost can be taken up again. Folders and names are
in UTC: the night when the clock is set back has each hour once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dashboard.errors import DiskReserved, NotFound, StoreError
from dashboard.store.folder import sync_folder
from dashboard.store.times import utc

log = logging.getLogger(__name__)

KINDS = ("before", "start", "peak", "end")

CAMERA = re.compile(r"[a-z0-9_-]{1,64}")
NAME = re.compile(r"(\d{8}T\d{6}\.\d{3})Z-(before|start|peak|end)-[0-9a-f]{8}\.jpg")
TEMPORARY = re.compile(r"\..+\.tmp")

MB = 1_000_000
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that is whole and on the disk. `path` is below the data folder, with "/"; `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Named:
    """What the path of a snapshot says."""

    camera: str
    taken_at: datetime
    kind: str


class Snapshots:
    """The folder `snapshots` in the data folder, and a cache of small versions beside it that may be lost.

    `reserve`: bytes that stay free on the disk; None means 500 MB or 5 % of the disk, whichever is more.
    `thumbnail` makes a small JPEG of a JPEG, or raises ValueError; None: the picture itself is small enough.
    """

    def __init__(
        self, data_dir: Path, reserve: int | None = None, thumbnail: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.data_dir = data_dir
        self.root = data_dir / "snapshots"
        self.cache = data_dir / "cache"
        self._reserve = reserve
        self._thumbnail = thumbnail
        self._count = itertools.count(secrets.randbits(16))
        self._space = _Space()

    # Writing

    def save(self, camera: str, taken_at: float, kind: str, jpeg: bytes) -> Saved:
        """Write one picture, taken at `taken_at` (seconds since the epoch). On return it is on the disk for good.

        Raises DiskReserved; StoreError, in words, if it cannot be written, and then leaves nothing behind.
        """
        if self.reserved():
            raise DiskReserved("too little disk is free: no snapshots until there is room")
        path = self._new_path(camera, utc(taken_at), kind)
        try:
            self._write(self.data_dir / path, jpeg)
        except OSError as error:
            raise StoreError(_in_words(error, "the snapshot cannot be written")) from error
        return Saved(path, len(jpeg), hashlib.sha256(jpeg).hexdigest())

    def remove(self, path: str) -> bool:
        """Delete the file of `path` and what was derived from it; True when it is gone. Never follows a link.

        Raises StoreError if it is there and cannot be deleted.
        """
        try:
            file = self._below(path)
        except NotFound:
            log.warning("not deleted, for it does not lie in the snapshot folder: %s", path)
            return False
        try:
            file.unlink(missing_ok=True)
            self._cached(path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(_in_words(error, f"{path} cannot be deleted")) from error
        self._prune(file.parent, self.root)
        self._prune(self._cached(path).parent, self.cache)
        return True

    # Reading

    def open(self, path: str) -> BinaryIO:
        """The file of a row's `path`, for reading. Raises NotFound if it is not there or lies outside; StoreError."""
        file = self._below(path)
        try:
            descriptor = os.open(file, os.O_RDONLY | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                raise NotFound("the picture is not there any more") from error
            raise StoreError(_in_words(error, "the picture cannot be read")) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotFound("the picture is not there any more")
        return os.fdopen(descriptor, "rb")

    def read(self, path: str) -> bytes:
        """The bytes of a snapshot. Raises as `open`."""
        with self.open(path) as file:
            try:
                return file.read()
            except OSError as error:
                raise StoreError(_in_words(error, "the picture cannot be read")) from error

    def exists(self, path: str) -> bool:
        """Whether the file of a row's `path` is there, itself and not a link."""
        try:
            return stat.S_ISREG(self._below(path).lstat().st_mode)
        except (NotFound, OSError):
            return False

    def thumbnail(self, path: str) -> bytes:
        """A small JPEG of the snapshot, from the cache or made now. Raises as `open`."""
        if self._thumbnail is None:
            return self.read(path)
        cached = self._cached(path)
        if self.exists(path):
            with contextlib.suppress(OSError):
                return cached.read_bytes()
        whole = self.read(path)
        try:
            small = self._thumbnail(whole)
        except ValueError as error:
            log.warning("no thumbnail of %s: %s", path, error)
            return whole
        if not self.reserved():
            with contextlib.suppress(OSError):  # the cache is a convenience
                self._write(cached, small, lasting=False)
        return small

    # The disk

    def free(self) -> int:
        """Bytes free on the disk of the snapshots, to within a second. Raises StoreError."""
        return self._space.of(self._disk())[0]

    def reserve(self) -> int:
        """Bytes that are to stay free. Raises StoreError."""
        return max(500 * MB, self._space.of(self._disk())[1] // 20) if self._reserve is None else self._reserve

    def reserved(self) -> bool:
        """Whether snapshots wait because too little is free. Raises StoreError."""
        return self.free() < self.reserve()

    # For those who look over the folder as a whole

    def files(self) -> Iterator[os.DirEntry[str]]:
        """Everything below the folder that is not a folder itself; links are given, not followed."""
        pending = [os.fspath(self.root)]
        while pending:
            try:
                with os.scandir(pending.pop()) as entries:
                    for entry in sorted(entries, key=lambda found: found.name):
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        else:
                            yield entry
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(_in_words(error, "the snapshot folder cannot be read")) from error

    def path_of(self, entry: os.DirEntry[str]) -> str:
        """The path, as rows have it, of what `files` gave."""
        return Path(entry.path).relative_to(self.data_dir).as_posix()

    def set_aside(self, path: str) -> str:
        """Move a file that nobody knows to the folder `lost+found`; gives its new path. Raises StoreError."""
        target = self.data_dir / "lost+found" / Path(path).relative_to("snapshots")
        try:
            self._make(target.parent)
            os.replace(self._below(path), target)
        except OSError as error:
            raise StoreError(_in_words(error, f"{path} cannot be set aside")) from error
        self._prune((self.data_dir / path).parent, self.root)
        return target.relative_to(self.data_dir).as_posix()

    # Inside

    def _new_path(self, camera: str, at: datetime, kind: str) -> str:
        if not CAMERA.fullmatch(camera) or kind not in KINDS:
            raise StoreError(f"no snapshot can have the camera {camera[:64]!r} and the kind {kind[:16]!r}")
        time_part = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"
        # Counted, for many in one millisecond; and by chance, for the same millisecond after a restart or a clock step.
        own = f"{next(self._count) & 0xFFFF:04x}{secrets.randbits(16):04x}"
        return f"snapshots/{camera}/{at:%Y/%m/%d}/{time_part}-{kind}-{own}.jpg"

    def _write(self, file: Path, data: bytes, *, lasting: bool = True) -> None:
        """Write `file` whole or not at all. Raises OSError."""
        try:
            self._make(file.parent)
            self._write_into(file, data, lasting)
        except FileNotFoundError:  # retention took the empty folder away just now
            self._make(file.parent)
            self._write_into(file, data, lasting)

    def _write_into(self, file: Path, data: bytes, lasting: bool) -> None:
        own = "" if lasting else f".{threading.get_ident()}"
        temporary = file.with_name(f".{file.name}{own}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                if lasting:
                    os.fsync(descriptor)
            os.replace(temporary, file)
            if lasting:
                sync_folder(file.parent)
        except OSError:
            for left in (temporary, file):
                with contextlib.suppress(OSError):
                    left.unlink()
            raise

    def _make(self, folder: Path) -> None:
        """Make `folder` and what is missing above it, 0700, but never the data folder itself. Raises OSError."""
        # `snapshots` itself may be a link to another disk: what counts is that nothing below it is one.
        if not _is_below(folder, self.data_dir / folder.relative_to(self.data_dir).parts[0]):
            raise PermissionError(errno.EPERM, "a link leads out of the folder")
        missing: list[Path] = []
        part = folder
        while part != self.data_dir and not part.is_dir():
            missing.append(part)
            part = part.parent
        for part in reversed(missing):
            with contextlib.suppress(FileExistsError):
                part.mkdir(mode=0o700)
            sync_folder(part.parent)

    def _below(self, path: str) -> Path:
        """The file of a row's path; its folder is certain to lie below the root, links resolved. Raises NotFound."""
        parts = path.split("/")
        if parts[0] != "snapshots" or not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or "\0" in path:
            raise NotFound("there is no such picture")
        file = self.data_dir / path
        if not _is_below(file.parent, self.root):
            raise NotFound("there is no such picture")
        return file

    def _cached(self, path: str) -> Path:
        return self.cache / "thumbnails" / path.removeprefix("snapshots/")

    def _disk(self) -> Path:
        return self.root if self.root.is_dir() else self.data_dir

    def _prune(self, folder: Path, root: Path) -> None:
        """Remove `folder` and those above it, as long as they are empty, up to `root`."""
        with contextlib.suppress(OSError):
            while folder != root and root in folder.parents:
                folder.rmdir()
                folder = folder.parent


class _Space:
    """What is free on a disk, asked at most once a second: `save` asks for each picture."""

    def __init__(self) -> None:
        self._asked = float("-inf")
        self._known = (0, 0)

    def of(self, folder: Path) -> tuple[int, int]:
        """Bytes free and in all. Raises StoreError."""
        now = time.monotonic()
        if now - self._asked >= 1:
            try:
                usage = shutil.disk_usage(folder)
            except OSError as error:
                raise StoreError(_in_words(error, "the data folder cannot be reached")) from error
            self._known, self._asked = (usage.free, usage.total), now
        return self._known


def named(path: str) -> Named | None:
    """What a path says, or None if it was not made here. Pure."""
    parts = path.split("/")
    match = NAME.fullmatch(parts[-1])
    if len(parts) != 6 or parts[0] != "snapshots" or not CAMERA.fullmatch(parts[1]) or not match:
        return None
    try:
        at = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Named(parts[1], at, match[2])


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a whole JPEG; None if it is none, or cut short. Pure."""
    if not data.startswith(b"\xff\xd8") or not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + length
    return None


def _is_below(folder: Path, root: Path) -> bool:
    real = os.path.realpath(root)
    return os.path.realpath(folder) == real or os.path.realpath(folder).startswith(real.rstrip(os.sep) + os.sep)


def _in_words(error: OSError, what: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}: the disk is full"
    return f"{what}: {(error.strerror or str(error)).lower()}"

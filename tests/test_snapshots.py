"""Snapshots as files: whole or not there, private, inside their folder, and in words when the disk refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard.errors import DiskReserved, NotFound, StoreError
from dashboard.store import snapshots as module
from dashboard.store.snapshots import Snapshots, jpeg_size, named
from tests.stores import JPEG, NOON


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def snapshots(data: Path) -> Snapshots:
    return Snapshots(data, reserve=0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that nobody may read or delete through the snapshot folder."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.jpg").write_bytes(b"secret")
    return folder


def files(snapshots: Snapshots) -> list[str]:
    return sorted(snapshots.path_of(entry) for entry in snapshots.files())


def test_what_is_saved_is_read_again(snapshots: Snapshots, data: Path) -> None:
    saved = snapshots.save("door", NOON, "start", JPEG)
    assert (saved.size, saved.sha256) == (len(JPEG), hashlib.sha256(JPEG).hexdigest())
    assert snapshots.read(saved.path) == JPEG
    assert snapshots.exists(saved.path)
    assert files(snapshots) == [saved.path]
    assert (data / saved.path).stat().st_mode & 0o777 == 0o600


def test_a_path_says_camera_time_and_kind_in_utc(snapshots: Snapshots) -> None:
    at = datetime(2026, 10, 25, 0, 59, 59, 999_900, tzinfo=UTC)  # 02:59 in Berlin, for the first time
    saved = snapshots.save("front-door_2", at.timestamp(), "peak", JPEG)
    assert saved.path.startswith("snapshots/front-door_2/2026/10/25/20261025T005959.999Z-peak-")
    what = named(saved.path)
    assert what is not None
    assert (what.camera, what.kind) == ("front-door_2", "peak")
    assert what.taken_at == at.replace(microsecond=999_000)


@pytest.mark.parametrize(
    "path",
    [
        "snapshots/door/2026/11/24/holiday.jpg", "snapshots/door/20261124T120000.000Z-start-00000000.jpg", "x", "",
        "snapshots/DOOR/2026/11/24/20261124T120000.000Z-start-00000000.jpg",
        "snapshots/door/2026/11/24/20261324T120000.000Z-start-00000000.jpg",
        "snapshots/door/2026/11/24/20261124T120000.000Z-other-00000000.jpg",
        "snapshots/door/2026/11/24/20261124T120000.000Z-start-00000000.jpg.exe",
    ],
)  # fmt: skip
def test_other_names_say_nothing(path: str) -> None:
    assert named(path) is None


def test_a_thousand_in_one_millisecond_are_a_thousand(snapshots: Snapshots) -> None:
    paths: list[str] = []

    def save(camera: str) -> None:
        paths.extend(snapshots.save(camera, NOON, "start", JPEG).path for _ in range(500))

    threads = [threading.Thread(target=save, args=(camera,)) for camera in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(paths)) == 1000
    assert files(snapshots) == sorted(paths)


def test_the_order_is_write_sync_rename_sync(snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots.save("door", NOON, "start", JPEG)
    done: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(module.os, name, lambda *a, name=name, real=real: (done.append(name), real(*a))[1])
    snapshots.save("door", NOON, "start", JPEG)
    assert done == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("camera", ["", "..", "../x", "a/b", "A", "a\0", "a" * 65, "é"])
def test_no_camera_leads_out_of_the_folder(snapshots: Snapshots, camera: str) -> None:
    with pytest.raises(StoreError):
        snapshots.save(camera, NOON, "start", JPEG)
    with pytest.raises(StoreError):
        snapshots.save("door", NOON, "../start", JPEG)
    assert files(snapshots) == []


HOSTILE = [
    "", ".", "..", "/etc/passwd", "../outside/secret.jpg", "snapshots/../../outside/secret.jpg", "snapshots",
    "snapshots/", "snapshots//door", "snapshots/./x", "snapshots/door/../../../outside/secret.jpg", "dashboard.db",
    "snapshots\\..\\..\\outside\\secret.jpg", "snapshots/a\0b", "cache/thumbnails/x.jpg", "snapshots/" + "a" * 5000,
    "snapshots/" + "a/" * 2000 + "b", "snapshots/link/secret.jpg", "snapshots/door/link.jpg", "snapshots/door/pipe",
    "snapshots/door/folder",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_out_of_the_folder(snapshots: Snapshots, data: Path, outside: Path, path: str) -> None:
    (data / "dashboard.db").write_text("rows")
    snapshots.save("door", NOON, "start", JPEG)
    (data / "snapshots" / "link").symlink_to(outside)
    (data / "snapshots" / "door" / "link.jpg").symlink_to(outside / "secret.jpg")
    (data / "snapshots" / "door" / "folder").mkdir()
    os.mkfifo(data / "snapshots" / "door" / "pipe")
    with pytest.raises((NotFound, StoreError)):
        snapshots.read(path)
    assert not snapshots.exists(path)
    try:
        snapshots.remove(path)
    except StoreError:
        pass
    assert (outside / "secret.jpg").read_bytes() == b"secret"
    assert (data / "dashboard.db").read_text() == "rows"


def test_nothing_is_written_through_a_link(snapshots: Snapshots, data: Path, outside: Path) -> None:
    snapshots.save("door", NOON, "start", JPEG)
    shutil.rmtree(data / "snapshots" / "door")
    (data / "snapshots" / "door").symlink_to(outside)
    with pytest.raises(StoreError, match="a link leads out"):
        snapshots.save("door", NOON, "start", JPEG)
    assert os.listdir(outside) == ["secret.jpg"]


def test_the_folder_itself_may_be_a_link_to_another_disk(snapshots: Snapshots, data: Path, outside: Path) -> None:
    (data / "snapshots").symlink_to(outside)
    saved = snapshots.save("door", NOON, "start", JPEG)
    assert snapshots.read(saved.path) == JPEG
    assert snapshots.remove(saved.path)
    assert files(snapshots) == ["snapshots/secret.jpg"]


def test_removing_takes_empty_folders_along_but_not_the_others(snapshots: Snapshots, data: Path) -> None:
    first, second = (snapshots.save("door", NOON + day * 86400, "start", JPEG) for day in (0, 60))
    assert snapshots.remove(first.path)
    assert not (data / first.path).parent.exists()
    assert snapshots.exists(second.path)
    assert snapshots.remove(first.path)  # gone is gone
    assert snapshots.remove(second.path)
    assert os.listdir(data / "snapshots") == []
    assert snapshots.save("door", NOON, "start", JPEG)


def test_saving_while_empty_folders_are_removed(snapshots: Snapshots) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            snapshots.remove(snapshots.save("door", NOON, "end", JPEG).path)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        kept = []
        for _ in range(150):
            kept.append(snapshots.save("door", NOON, "start", JPEG).path)
            if len(kept) % 3 == 0:
                for path in kept:
                    snapshots.remove(path)
                kept.clear()
    finally:
        stop.set()
        churning.join(30)
    assert files(snapshots) == []


# Disks that refuse


@pytest.mark.parametrize(
    ("call", "number", "said"),
    [
        ("fsync", errno.ENOSPC, "the disk is full"),
        ("replace", errno.ENOSPC, "the disk is full"),
        ("open", errno.ENOSPC, "the disk is full"),
        ("open", errno.EROFS, "read-only file system"),
        ("open", errno.EACCES, "permission denied"),
        ("fsync", errno.EIO, "input/output error"),
    ],
)
def test_a_write_that_fails_is_said_and_leaves_nothing(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, call: str, number: int, said: str
) -> None:
    before = snapshots.save("door", NOON, "start", JPEG).path
    real = getattr(os, call)

    def fail(*arguments: object, **named_: object) -> object:
        if call == "open" and str(arguments[0]).endswith(".tmp") is False:
            return real(*arguments, **named_)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, call, fail)
    with pytest.raises(StoreError, match=said):
        snapshots.save("door", NOON, "start", JPEG)
    monkeypatch.undo()
    assert files(snapshots) == [before]
    snapshots.save("door", NOON, "start", JPEG)


@pytest.fixture
def small_disk(data: Path) -> Iterator[Path]:
    """A data folder on a disk of 2 MiB, where that may be mounted."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", data], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield data
    subprocess.run(["umount", "-l", data], check=True)


def test_a_disk_that_fills_up_and_is_freed(small_disk: Path) -> None:
    snapshots = Snapshots(small_disk, reserve=0)
    picture = JPEG[:-2] + b"\0" * 100_000 + JPEG[-2:]
    saved: list[str] = []

    def fill() -> None:
        while len(saved) < 40:
            saved.append(snapshots.save("door", NOON, "start", picture).path)

    with pytest.raises(StoreError, match="the disk is full"):
        fill()
    assert len(saved) > 10
    assert files(snapshots) == sorted(saved)
    assert all(len(snapshots.read(path)) == len(picture) for path in saved)
    snapshots.remove(saved.pop())
    saved.append(snapshots.save("door", NOON, "start", picture).path)
    assert files(snapshots) == sorted(saved)


def test_the_reserve_holds_before_the_disk_is_full(small_disk: Path) -> None:
    snapshots = Snapshots(small_disk, reserve=1_000_000)
    (small_disk / "others").write_bytes(b"\0" * 1_300_000)
    assert snapshots.reserved()
    with pytest.raises(DiskReserved, match="too little disk is free"):
        snapshots.save("door", NOON, "start", JPEG)
    assert files(snapshots) == []
    (small_disk / "others").unlink()
    snapshots._space._asked = 0  # a second later
    assert not snapshots.reserved()
    snapshots.save("door", NOON, "start", JPEG)


@pytest.mark.parametrize(
    ("reserve", "free", "total", "waits"),
    [
        (None, 600_000_000, 8_000_000_000, False),
        (None, 499_000_000, 8_000_000_000, True),
        (None, 900_000_000, 20_000_000_000, True),  # 5 % of 20 GB are more than 500 MB
        (None, 1_100_000_000, 20_000_000_000, False),
        (0, 1, 20_000_000_000, False),
        (2_000, 1_999, 20_000_000_000, True),
        (2_000, 2_000, 20_000_000_000, False),
    ],
)
def test_the_reserve(
    data: Path, monkeypatch: pytest.MonkeyPatch, reserve: int | None, free: int, total: int, waits: bool
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(total, total - free, free))
    snapshots = Snapshots(data, reserve)
    assert snapshots.free() == free
    assert snapshots.reserved() == waits


def test_a_data_folder_that_is_gone_is_said_and_not_made_anew(snapshots: Snapshots, data: Path) -> None:
    snapshots.save("door", NOON, "start", JPEG)
    shutil.rmtree(data)
    snapshots._space._asked = 0
    with pytest.raises(StoreError):
        snapshots.save("door", NOON, "start", JPEG)
    assert not data.exists()
    data.mkdir()
    snapshots.save("door", NOON, "start", JPEG)


def test_a_missing_picture_is_not_found(snapshots: Snapshots, data: Path) -> None:
    saved = snapshots.save("door", NOON, "start", JPEG)
    (data / saved.path).unlink()
    for read in (snapshots.read, snapshots.open, snapshots.thumbnail):
        with pytest.raises(NotFound, match="not there any more"):
            read(saved.path)


# Thumbnails


def test_a_thumbnail_is_made_once_and_again_when_the_cache_is_lost(data: Path) -> None:
    made: list[int] = []

    def shrink(jpeg: bytes) -> bytes:
        made.append(len(jpeg))
        return b"small"

    snapshots = Snapshots(data, 0, shrink)
    saved = snapshots.save("door", NOON, "peak", JPEG)
    assert [snapshots.thumbnail(saved.path) for _ in range(3)] == [b"small"] * 3
    assert made == [len(JPEG)]
    (cached,) = [path for path in (data / "cache").rglob("*") if path.is_file()]
    assert cached.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(data / "cache")
    assert snapshots.thumbnail(saved.path) == b"small"
    assert len(made) == 2
    snapshots.remove(saved.path)
    assert [path for path in (data / "cache").rglob("*") if path.is_file()] == []
    with pytest.raises(NotFound):
        snapshots.thumbnail(saved.path)
    with pytest.raises(NotFound):
        snapshots.thumbnail("snapshots/../dashboard.db")


def test_a_picture_that_cannot_be_made_small_is_shown_whole(data: Path) -> None:
    def fail(jpeg: bytes) -> bytes:
        raise ValueError("no picture")

    snapshots = Snapshots(data, 0, fail)
    assert snapshots.thumbnail(snapshots.save("door", NOON, "peak", JPEG).path) == JPEG


def test_a_full_disk_costs_the_cache_and_not_the_picture(data: Path) -> None:
    saved = Snapshots(data, 0).save("door", NOON, "peak", JPEG)
    full = Snapshots(data, 10**18, lambda jpeg: b"small")
    assert full.thumbnail(saved.path) == b"small"
    assert not (data / "cache").exists()


@pytest.mark.parametrize(
    ("data_", "size"),
    [
        (JPEG, (16, 8)),
        (JPEG + b"\0\0", (16, 8)),  # padded, as some cameras do
        (JPEG[:-2], None),
        (JPEG[:40] + JPEG[-2:], None),
        (b"", None),
        (b"\xff\xd8\xff\xd9", None),
        (b"GIF89a" + JPEG[6:], None),
        (JPEG[:2] + b"\xff\xe1\xff\xff" + JPEG[-2:], None),
    ],
)
def test_the_size_of_a_jpeg(data_: bytes, size: tuple[int, int] | None) -> None:
    assert jpeg_size(data_) == size

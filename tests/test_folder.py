"""The data folder: private, and one server's at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.errors import DataFolderBusy, StoreError
from dashboard.store.database import Database
from dashboard.store.folder import DataFolder, make_private
from tests.stores import Peak, Picture, Store

HOLDER = """
import sys
from pathlib import Path
from dashboard.store.folder import DataFolder
DataFolder(Path(sys.argv[1])).hold()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "data")], stdin=-1, stdout=-1, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_server_is_refused_and_told_who_has_it(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    folder = DataFolder(tmp_path / "data")
    assert folder.held()
    with pytest.raises(DataFolderBusy, match=rf"another dashboard \(process {other.pid}\) already uses"):
        folder.hold()


def test_commands_work_beside_the_server(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    db = Database(tmp_path / "data")
    db.migrate()
    Store(db).users.add("ann", "Kirschkernweitspucken")
    db.close()


def test_the_lock_ends_with_the_process_however_it_ends(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    with DataFolder(tmp_path / "data") as folder:
        assert folder.held()
        assert (tmp_path / "data" / "dashboard.lock").read_text() == f"{os.getpid()}\n"
    assert not DataFolder(tmp_path / "data").held()


def test_asking_whether_a_folder_is_held_makes_nothing(tmp_path: Path) -> None:
    assert not DataFolder(tmp_path / "none").held()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        data = tmp_path / "new" / "data"
        with DataFolder(data):
            db = Database(data)
            db.migrate()
            store = Store(db)
            store.event()
            store.events.started("door", 1.0, [Picture()], Peak())
            found = [data, *data.rglob("*")]
            names = {path.name for path in found}
            assert {"dashboard.db", "dashboard.db-wal", "dashboard.db-shm", "snapshots", "door"} <= names
            for path in found:
                assert mode(path) == (0o700 if path.is_dir() else 0o600), path
            db.close()
    finally:
        os.umask(before)


def test_a_database_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "dashboard.db").touch()
    (data / "dashboard.db").chmod(0o644)
    with DataFolder(data):
        db = Database(data)
        db.migrate()
        db.close()
    assert mode(data) == 0o700
    assert mode(data / "dashboard.db") == 0o600


def test_a_folder_used_for_more_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    tmp_path.chmod(0o755)
    with DataFolder(tmp_path):
        assert mode(tmp_path) == 0o755


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StoreError, match="is not a folder"):
        make_private(tmp_path / "data")
    with pytest.raises(StoreError, match=r"cannot be made|is not a folder"):
        DataFolder(tmp_path / "data" / "below").hold()

"""Engine, transactions, and what is said when the database is busy, damaged, foreign or gone."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from dashboard.errors import StoreError
from dashboard.store import database as module
from dashboard.store.database import Database
from dashboard.store.models import CameraState, Garbage
from tests.stores import Peak, Picture, PostgreSQL, Store

LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


def garbage(db: Database) -> list[str]:
    with db.read() as rows:
        return list(rows.scalars(select(Garbage.path).order_by(Garbage.path)))


def test_every_connection_of_the_pool_is_set_up(sqlite_store: Store) -> None:
    connections = [sqlite_store.db.engine.connect() for _ in range(12)]
    for connection in connections:
        asked = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    for connection in connections:
        connection.close()


def test_a_write_is_whole_or_not_at_all(db: Database) -> None:
    def half() -> None:
        with db.write() as rows:
            rows.add(Garbage(path="a"))
            rows.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert garbage(db) == []
    with db.write() as rows:
        rows.add(Garbage(path="b"))
    assert garbage(db) == ["b"]


def test_reads_go_on_while_somebody_writes(db: Database) -> None:
    with db.write() as rows:
        rows.add(Garbage(path="a"))
        rows.flush()
        began = time.monotonic()
        assert garbage(db) == []
        assert time.monotonic() - began < 2


def test_many_threads_write_and_nothing_is_lost(db: Database) -> None:
    def write(n: int) -> None:
        for i in range(15):
            with db.write() as rows:
                # Read, then write: with a transaction that begins by reading, this would fail or lose.
                rows.scalar(select(func.count()).select_from(CameraState))
                rows.add(Garbage(path=f"{n}-{i}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(garbage(db)) == 180


def test_a_database_locked_for_seven_seconds_loses_nothing(sqlite_store: Store) -> None:
    """The first try says so within the patience of a page, a later one succeeds; reading goes on all the while."""
    sqlite_store.event()
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(sqlite_store.db.file), "7"], stdout=subprocess.PIPE, text=True
    ) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        began = time.monotonic()
        with pytest.raises(StoreError, match="busy: another program holds it"):
            sqlite_store.events.started("door", 5.0, [Picture()], Peak())
        assert 4 < time.monotonic() - began < 15
        assert len(sqlite_store.events.page().events) == 1
        assert len(sqlite_store.files()) == 2  # the picture of the event that failed was taken back
        for _ in range(5):
            try:
                sqlite_store.events.started("door", 5.0, [Picture()], Peak())
                break
            except StoreError:
                continue
    assert len(sqlite_store.events.page().events) == 2


def test_waiting_writers_of_one_process_share_one_patience(sqlite_store: Store) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(sqlite_store.db.file), "4"], stdout=subprocess.PIPE, text=True
    ) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        refused: list[float] = []

        def write() -> None:
            began = time.monotonic()
            with pytest.raises(StoreError, match="busy"), sqlite_store.db.write(patience=0.5):
                pass
            refused.append(time.monotonic() - began)

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(refused) == 4
    assert max(refused) < 3.5


def test_a_new_database_below_folders_that_are_not_there(tmp_path: Path) -> None:
    db = Database(tmp_path / "a" / "b" / "data")
    db.migrate()
    db.migrate()
    assert db.revision() is not None
    db.close()
    assert not db.damage()


@pytest.mark.parametrize("how", ["text", "header", "tail", "middle"])
def test_a_damaged_file_is_said_and_left_as_it_is(tmp_path: Path, how: str) -> None:
    db = Database(tmp_path)
    db.migrate()
    store = Store(db)
    for n in range(60):
        store.event(at=1e9 + 100 * n)
    db.close()
    file = tmp_path / "dashboard.db"
    data = bytearray(file.read_bytes())
    if how == "text":
        data = bytearray(b"this is no database at all, but somebody's notes\n" * 100)
    elif how == "header":
        data[:100] = os.urandom(100)
    elif how == "tail":
        del data[len(data) // 2 :]
    else:
        data[4096:] = random.Random(1).randbytes(len(data) - 4096)
    file.write_bytes(data)

    again = Database(tmp_path)
    with pytest.raises(StoreError, match=r"dashboard.db is damaged .* Nothing was changed\. .*"):
        again.migrate()
    assert again.damage()
    again.close()
    assert file.read_bytes() == bytes(data)


def test_a_disk_that_is_full_is_said(sqlite_store: Store) -> None:
    def fill() -> None:
        with sqlite_store.db.write() as rows:
            rows.connection().exec_driver_sql("PRAGMA max_page_count = 30")
            rows.add_all(Garbage(path=f"{n:0200d}") for n in range(5000))

    with pytest.raises(StoreError, match="the disk is full"):
        fill()
    assert garbage(sqlite_store.db) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "cannot be read"),
        ("not a url with secret", "cannot be read"),
        ("oracle9000://user:secret@host/name", "no database of the kind 'oracle9000'"),
        ("mysql://user:secret@127.0.0.1/name", "driver for mysql is missing"),
    ],
)
def test_an_unfit_url_is_said_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as error:
        Database(tmp_path, url)
    assert "secret" not in str(error.value)


def test_a_missing_driver_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'camera-dashboard\[postgresql\]'") as error:
        Database(tmp_path, "postgresql://user:secret@127.0.0.1/name")
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    db = Database(tmp_path, "postgresql://user:secret@127.0.0.1:1/name")
    with pytest.raises(StoreError, match="does not answer") as error:
        db.migrate()
    assert "secret" not in str(error.value)
    db.close()


def test_what_is_bound_to_a_statement_never_gets_into_an_error(db: Database) -> None:
    with db.write() as rows:
        rows.add(Garbage(path="secret"))
    with pytest.raises(StoreError) as error, db.write() as rows:
        rows.add(Garbage(path="secret"))
    assert "secret" not in str(error.value)
    shown = "".join(traceback.format_exception(error.value))
    assert "secret" not in shown.replace('path="secret"', "")


def test_an_sqlite_file_may_lie_elsewhere(tmp_path: Path) -> None:
    db = Database(tmp_path / "data", f"sqlite:///{tmp_path}/other.db")
    db.migrate()
    assert (tmp_path / "other.db").stat().st_mode & 0o777 == 0o600
    db.close()


def test_postgresql_that_stops_and_comes_back(tmp_path: Path, postgresql: PostgreSQL) -> None:
    db = Database(tmp_path, postgresql.new_url())
    db.migrate()
    store = Store(db)
    store.event()
    postgresql.stop()
    try:
        with pytest.raises(StoreError, match="does not answer"):
            store.event(at=9.0)
        assert len(store.files()) in (2, 4)  # it cannot be asked whether rows name them: then they stay
    finally:
        postgresql.start()
    store.event(at=1000.0)
    assert len(store.events.page().events) == 2
    db.close()


def test_two_commands_that_migrate_at_once(tmp_path: Path, database_url: str | None) -> None:
    troubles: list[Exception] = []

    def migrate() -> None:
        db = Database(tmp_path, database_url)
        try:
            db.migrate()
            with db.read() as rows:
                rows.execute(text("SELECT count(*) FROM events"))
        except Exception as error:  # noqa: BLE001 - the edge of a thread
            troubles.append(error)
        db.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert troubles == []


def test_the_backup_of_before_an_upgrade(tmp_path: Path) -> None:
    db = Database(tmp_path)
    db.migrate()
    Store(db).event()
    for n in range(4):
        db._back_up(f"000{n}")
        time.sleep(1.05 if n < 3 else 0)  # the name has seconds
    copies = sorted(tmp_path.glob("dashboard.db.*Z-*"))
    assert [copy.name[-4:] for copy in copies] == ["0002", "0003"][-module.BACKUPS_KEPT :]
    assert all(copy.stat().st_mode & 0o777 == 0o600 for copy in copies)
    connection = sqlite3.connect(copies[-1])
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
    connection.close()
    db.close()

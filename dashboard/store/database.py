"""The database: engine, transactions, migrations. What the tables are is in models; what is asked of them, elsewhere.

SQLite by default, for one machine with no second program to care for; any other SQLAlchemy URL instead, PostgreSQL
being the one that is tested. Errors of the libraries leave this module as `StoreError`, in words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from dashboard.errors import DashboardError, StoreError
from dashboard.resources import resource
from dashboard.store.folder import make_private, make_private_file, sync_folder

log = logging.getLogger(__name__)

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every plugin, at each start

PATIENCE = 5.0
"""Seconds to wait for a database that another writer holds."""

BACKUPS_KEPT = 2


class Database:
    """One database, for the whole process. `read` and `write` are its transactions, safe from any thread.

    `url`: an SQLAlchemy URL; None means `dashboard.db` in `data_dir`. Nothing is opened before it is needed.
    """

    def __init__(self, data_dir: Path, url: str | None = None) -> None:
        self.data_dir = data_dir
        where = URL.create("sqlite", database=str(data_dir / "dashboard.db")) if url is None else _parse(url)
        named = where.get_backend_name() == "sqlite" and where.database not in (None, "", ":memory:")
        self.file = Path(str(where.database)) if named else None
        """SQLite's file; None with another engine."""
        self._engine = _engine(where)
        self._writing = self._engine.execution_options(writes=True)
        # Threads of this process queue here and not in SQLite, whose waiting is a poll that can starve one of them.
        self._writer = threading.Lock() if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @property
    def engine(self) -> Engine:
        """For tests and measurements; the parts of the store use `read` and `write`."""
        return self._engine

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; it sees one moment of the database. Raises StoreError."""
        with _translated(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def write(self, patience: float = PATIENCE) -> Iterator[Session]:
        """A transaction that writes, committed at the end, rolled back by an exception.

        Waits up to `patience` seconds for other writers. Raises StoreError.
        """
        with (
            _translated(),
            self._turn(patience) as left,
            self._writing.connect() as connection,
            _waiting(connection, left),
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # begins here: whoever has to wait, waits before the work
            yield session

    def migrate(self) -> None:
        """Bring the schema to the newest revision, after a copy of an SQLite file that holds something.

        Raises StoreError: a damaged file, or one of a newer version of the dashboard, is left exactly as it is.
        """
        if self.file is not None:
            make_private(self.data_dir)
            make_private_file(self.file)
        with _translated():
            script = ScriptDirectory.from_config(_alembic())
            before = self.revision()
            if before == script.get_current_head():
                return
            if before is not None:
                self._refuse_unknown(before, script)
                self._back_up(before)
            with self._writing.connect() as connection, _no_foreign_keys(connection), connection.begin():
                _one_at_a_time(connection)
                command.upgrade(_alembic(connection), "head")
                _check_foreign_keys(connection)
        log.info("the database is at revision %s (was: %s)", script.get_current_head(), before or "new")

    def revision(self) -> str | None:
        """The schema's revision; None for an empty database. Raises StoreError."""
        with _translated(), self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def damage(self) -> tuple[str, ...]:
        """What SQLite finds wrong in its own file, in its own words; reads all of it."""
        if not self.is_sqlite:
            return ()
        try:
            with _translated(), self._engine.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        except StoreError as error:
            return (str(error),)
        return () if list(found) == ["ok"] else tuple(str(line) for line in found)

    def close(self) -> None:
        """Close every connection. SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _turn(self, patience: float) -> Iterator[float]:
        """Wait for this process's turn to write; gives the seconds that are left of `patience`."""
        if self._writer is None:
            yield patience
            return
        start = time.monotonic()
        if not self._writer.acquire(timeout=patience):
            raise StoreError("the database is busy")
        try:
            yield max(0.05, patience - (time.monotonic() - start))
        finally:
            self._writer.release()

    def _refuse_unknown(self, revision: str, script: ScriptDirectory) -> None:
        if revision not in {known.revision for known in script.walk_revisions()}:
            raise StoreError(
                f"the database is of a newer version of the dashboard (revision {revision}): install that version, "
                "or put back the copy of the database that was made before the upgrade"
            )

    def _back_up(self, revision: str) -> None:
        """Copy the SQLite file to `dashboard.db.<time>-<revision>`; only the newest copies are kept."""
        if self.file is None:
            return
        target = self.file.with_name(f"{self.file.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{revision}")
        unfinished = target.with_name(f".{target.name}.tmp")
        try:
            unfinished.unlink(missing_ok=True)
            make_private_file(unfinished)
            with (
                contextlib.closing(sqlite3.connect(self.file)) as source,
                contextlib.closing(sqlite3.connect(unfinished)) as copy,
            ):
                source.backup(copy)
            with unfinished.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(unfinished, target)
            sync_folder(target.parent)
            for old in sorted(self.file.parent.glob(f"{self.file.name}.????????T??????Z-*"))[:-BACKUPS_KEPT]:
                old.unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise StoreError(f"the database was not upgraded, for it cannot be copied first: {error}") from error
        log.info("copied the database to %s before its upgrade", target.name)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("the database URL cannot be read; postgresql://user@host/name is meant") from None
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgresql", "postgres") else parsed


def _engine(url: URL) -> Engine:
    # What is bound to a statement can be a hash or a name: it never gets into an error's text.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": PATIENCE, "pool_size": 8, "max_overflow": 24}
    sqlite = url.get_backend_name() == "sqlite"
    if not sqlite:
        options["pool_pre_ping"] = True
    if url.get_backend_name() == "postgresql":
        # A writer that waits must give up as on SQLite, and a server that is gone must not hold up a page.
        options["connect_args"] = {
            "connect_timeout": 3,
            "options": f"-c timezone=UTC -c lock_timeout={PATIENCE:.0f}s",
            "application_name": "dashboard",
        }
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        hint = "pip install 'camera-dashboard[postgresql]'" if "postgres" in url.drivername else "its driver"
        raise StoreError(
            f"the driver for {url.get_backend_name()} is missing ({error.name}); install: {hint}"
        ) from None
    except SQLAlchemyError:
        raise StoreError(f"there is no database of the kind {url.drivername!r}") from None
    if sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says, not where the driver guesses
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {PATIENCE * 1000:.0f}",  # first: the next one may have to wait
        "journal_mode = WAL",  # readers go on while one writes
        "synchronous = FULL",  # what is committed survives a power cut
        "foreign_keys = ON",
        "journal_size_limit = 16777216",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once if another wrote in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _waiting(connection: Connection, seconds: float) -> Iterator[None]:
    """Let a write on SQLite wait no longer than `seconds` for other processes."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection) or seconds > PATIENCE - 0.1:
        yield
        return
    driver.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


@contextlib.contextmanager
def _no_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making it anew; dropping the old one would delete what refers to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreError("the upgrade of the database would lose what belongs together; nothing was changed")


def _one_at_a_time(connection: Connection) -> None:
    """Let a command beside the server wait while the server migrates; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(4242770)"))


def _alembic(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(resource("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the libraries raise into StoreError, with a text that holds neither statement nor password."""
    try:
        yield
    except DashboardError:
        raise
    except PoolTimeout as error:
        raise StoreError("the database is busy: all its connections are in use") from error
    except DBAPIError as error:
        # The text of a server may quote a row: only SQLite's goes along into the log.
        raise StoreError(_in_words(error.orig)) from (error if isinstance(error.orig, sqlite3.Error) else None)
    except sqlite3.Error as error:
        raise StoreError(_in_words(error)) from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database refused ({type(error).__name__})") from error


def _in_words(error: BaseException | None) -> str:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if not isinstance(error, sqlite3.Error):
        kind = " ".join(filter(None, (type(error).__name__, getattr(error, "sqlstate", None))))
        gone = kind.startswith(("OperationalError", "AdminShutdown", "CrashShutdown", "CannotConnectNow"))
        return f"the database does not answer ({kind})" if gone else f"the database refused ({kind})"
    if "locked" in said or "busy" in said:
        return "the database is busy: another program holds it"
    if "malformed" in said or "not a database" in said:
        return (
            f"dashboard.db is damaged ({said}). Nothing was changed. Stop the dashboard, move dashboard.db, "
            "dashboard.db-wal and dashboard.db-shm to another place, put back a copy from a backup if there is one, "
            "and start again: without a copy a new database is made, the users have to be added again, and the saved "
            "pictures are taken up from their folders"
        )
    if "full" in said:
        return "the disk is full: the database cannot be written"
    if "readonly" in said or "unable to open" in said:
        return f"the database cannot be opened for writing ({said})"
    return f"the database refused ({said})"

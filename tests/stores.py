"""Stores for tests: on SQLite and on a real PostgreSQL server of their own, with hand-made pictures and clocks."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher

from dashboard.notices import Notices, new_channel
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.models import Base
from dashboard.store.passwords import Passwords
from dashboard.store.sessions import Sessions
from dashboard.store.snapshots import Snapshots
from dashboard.store.states import States
from dashboard.store.tokens import Tokens
from dashboard.store.users import Users

NOON = 1_790_000_000.0
"""A moment in September 2026, from which tests count."""

# A whole JPEG, 16 x 8, one grey.
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300020101010101020101010202020202040302020202050404030406050606"
    "0605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affc0000b080008001001011100ffc4001f00000105"
    "01010101010100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d010203000411051221"
    "31410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a43444546474849"
    "4a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5"
    "b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffda0008010100003f0028af"
    "ffd9"
)


@dataclass(frozen=True)
class Picture:
    """What a motion watcher hands in."""

    kind: str = "start"
    taken_at: float = NOON
    jpeg: bytes = JPEG
    width: int = 16
    height: int = 8
    box: tuple[float, float, float, float] | None = (0.1, 0.2, 0.3, 0.4)
    score: float = 1.5


@dataclass(frozen=True)
class Peak:
    at: float = NOON
    area: float = 2.5
    box: tuple[float, float, float, float] | None = (0.1, 0.2, 0.3, 0.4)


class Hand:
    """A clock that moves only by hand."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def cheap() -> Passwords:
    """Real argon2id, with the least work it allows."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass
class Store:
    """All parts of a store over one database in one folder."""

    db: Database
    clock: Hand = field(default_factory=Hand)

    def __post_init__(self) -> None:
        self.folder = self.db.data_dir
        self.notices: Notices = new_channel()
        self.heard = self.notices.subscribe()
        self.snapshots = Snapshots(self.folder, reserve=0)
        self.events = Events(self.db, self.snapshots, self.notices, self.clock)
        self.users = Users(self.db, self.notices, cheap(), self.clock)
        self.sessions = Sessions(self.db, self.notices, self.clock)
        self.tokens = Tokens(self.db, self.notices, self.clock)
        self.states = States(self.db, self.clock)

    def event(self, camera: str = "door", at: float = NOON, ended: bool = True, **peak: Any) -> int:
        """A stored event with two pictures, five seconds long."""
        first = [Picture("before", at - 2), Picture("start", at)]
        event = self.events.started(camera, at, first, Peak(at, **peak))
        if ended:
            self.events.ended(event, at + 5, [], Peak(at, **peak))
        return event

    def files(self) -> list[str]:
        """Every file below `snapshots`, temporary ones too."""
        return sorted(self.snapshots.path_of(entry) for entry in self.snapshots.files())

    def told(self) -> list[object]:
        """The notices since the last call."""
        found = []
        while (notice := self.heard.poll()) is not None:
            found.append(notice)
        return found


class PostgreSQL:
    """A server with Debian's binaries, in a temporary folder, on a port of 127.0.0.1. Fast, for it need not last."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._databases = 0
        self._migrated: str | None = None
        # The server refuses to run as root.
        self._as: list[str] = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "-D", f"{self._folder}/data", "-U", "tester", "-A", "trust", "-N", "-E", "UTF8")
        for _ in range(5):  # another process may take the port in between
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port: int = probe.getsockname()[1]
            if self._start():
                return
        raise RuntimeError((self._folder / "log").read_text())

    def _start(self) -> bool:
        options = f"-h 127.0.0.1 -p {self.port} -k {self._folder} -F -c synchronous_commit=off -c max_connections=80"
        arguments = [
            "start",
            "-w",
            "-t",
            "30",
            "-D",
            f"{self._folder}/data",
            "-l",
            f"{self._folder}/log",
            "-o",
            options,
        ]
        return self._run("pg_ctl", *arguments, check=False).returncode == 0

    def start(self) -> None:
        """Start it again after `stop`, on the same port."""
        assert self._start()

    def stop(self, how: str = "fast") -> None:
        """Stop it and cut its connections."""
        self._run("pg_ctl", "stop", "-w", "-m", how, "-D", f"{self._folder}/data", check=False)

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_url(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"store_{self._databases}"
        with psycopg.connect(f"postgresql://tester@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type, unused-ignore]
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"

    def migrated_url(self) -> str:
        """The URL of an empty database at the newest revision: always the same one, emptied, for that is quick."""
        if self._migrated is None:
            self._migrated = self.new_url()
            db = Database(self._folder, self._migrated)
            db.migrate()
            db.close()
        tables = ", ".join(Base.metadata.tables)
        with psycopg.connect(self._migrated) as connection:
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")  # type: ignore[arg-type, unused-ignore]
        return self._migrated

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        command = [*self._as, str(self._binaries / program), *arguments]
        # No pipes: the server would inherit them and hold them open.
        return subprocess.run(
            command, check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=60, cwd="/", env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the whole run; without the binaries a visible skip, but in CI a failure."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's server is not installed")
        pytest.skip("PostgreSQL's server is not installed")
    server = PostgreSQL(found[-1].parent)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """Each engine in turn: None is SQLite in the data folder."""
    if request.param == "sqlite":
        return None
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_url()


@pytest.fixture(params=["sqlite", "postgresql"])
def db(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A new database, at the newest revision, on each engine in turn."""
    (tmp_path / "data").mkdir(mode=0o700)
    url = request.getfixturevalue("postgresql").migrated_url() if request.param == "postgresql" else None
    database = Database(tmp_path / "data", url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def store(db: Database) -> Store:
    """All parts of a store, on each engine in turn."""
    return Store(db)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """All parts of a store on SQLite, for what concerns files alone."""
    database = Database(tmp_path / "data")
    database.migrate()
    yield Store(database)
    database.close()


def eventually(asked: Any, seconds: float = 20.0) -> bool:
    """Whether `asked()` becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if asked():
            return True
        time.sleep(0.02)
    return bool(asked())

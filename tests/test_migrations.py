"""Migrations: from every revision, with rows in it, to what the models say; whole or not at all."""

from __future__ import annotations

import shutil
import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from dashboard.errors import StoreError
from dashboard.resources import resource
from dashboard.store import database as module
from dashboard.store.check import check
from dashboard.store.database import Database, _alembic
from dashboard.store.models import Base
from tests.stores import JPEG, Store

REVISIONS = [script.revision for script in reversed(list(ScriptDirectory.from_config(_alembic()).walk_revisions()))]

# Rows as each revision had them; a new revision adds its own here, and only if the ones before do not fit it.
ROWS = {
    "0001": """
        INSERT INTO users (name, name_key, role, password, disabled, created_at)
            VALUES ('Ann', 'ann', 'admin', '{hash}', false, '2026-01-01 00:00:00.000000');
        INSERT INTO sessions (token_hash, user_id, created_at, last_seen_at, expires_at, remember, ip, agent)
            VALUES ('00', 1, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', '2026-01-31 00:00:00.000000',
                    true, '127.0.0.1', 'curl');
        INSERT INTO events (camera, started_at, ended_at, closed_by, recorded_at, peak_at, peak_area, peak_box)
            VALUES ('door', '2026-01-01 00:00:00.000000', '2026-01-01 00:00:05.000000', 'end',
                    '2026-01-01 00:00:00.000000', '2026-01-01 00:00:01.000000', 2.5, '[0.1, 0.2, 0.3, 0.4]');
        INSERT INTO snapshots (event_id, kind, taken_at, path, size, sha256, width, height)
            VALUES (1, 'start', '2026-01-01 00:00:00.000000', '{path}', {size}, '{sha256}', 16, 8);
        INSERT INTO garbage (path) VALUES ('snapshots/door/2026/01/01/gone.jpg');
        INSERT INTO camera_states (camera, state, reason, at)
            VALUES ('door', 'offline', 'no answer within 5 s', '2026-01-01 00:00:00.000000');
    """,
}


@pytest.fixture
def empty(tmp_path: Path, database_url: str | None) -> Iterator[Database]:
    """A database without a schema, on each engine in turn."""
    (tmp_path / "data").mkdir()
    db = Database(tmp_path / "data", database_url)
    yield db
    db.close()


def upgrade(db: Database, revision: str) -> None:
    with db.engine.begin() as connection:
        command.upgrade(_alembic(connection), revision)


def differences(db: Database) -> list[object]:
    with db.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)


def test_a_new_schema_is_what_the_models_say(empty: Database) -> None:
    empty.migrate()
    assert differences(empty) == []
    assert empty.revision() == REVISIONS[-1]


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_upgrade_keeps_every_row(empty: Database, revision: str) -> None:
    upgrade(empty, revision)
    store = Store(empty)
    saved = store.snapshots.save("door", 1767225600.0, "start", JPEG)
    said = {"hash": store.users._passwords.hash("Kirschkernweitspucken"), "path": saved.path, "size": saved.size}
    rows = ROWS[max(known for known in ROWS if known <= revision)].format(sha256=saved.sha256, **said)
    with empty.engine.begin() as connection:
        for statement in rows.split(";"):
            if statement.strip():
                connection.execute(text(statement.replace(":", r"\:")))

    empty.migrate()
    assert differences(empty) == []
    assert store.users.verify("ann", "Kirschkernweitspucken") is not None
    assert len(store.sessions.list_of(1)) == 0  # long over, but there
    (event,) = store.events.page().events
    assert event.started_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert event.snapshots[0].sha256 == saved.sha256
    assert store.states.history("door")[0].reason == "no answer within 5 s"
    assert list(check(empty, store.snapshots, young=0)) == []
    assert store.event() > event.id  # counting goes on


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_way_back_exists(empty: Database, revision: str) -> None:
    empty.migrate()
    with empty.engine.begin() as connection:
        command.downgrade(_alembic(connection), revision)
        command.downgrade(_alembic(connection), "base")
    empty.migrate()
    assert differences(empty) == []


def test_a_newer_revision_is_refused_and_left_alone(empty: Database) -> None:
    empty.migrate()
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version of the dashboard \(revision 9999\)"):
        empty.migrate()
    assert empty.revision() == "9999"


# What happens at an upgrade, shown with one that does not exist yet


@pytest.fixture
def tomorrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, to add to, that is used instead of ours."""
    folder = tmp_path / "migrations"
    shutil.copytree(resource("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "resource", lambda name: folder)
    return folder


def add(folder: Path, body: str) -> None:
    (folder / "versions" / "tomorrow.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '9000'\n"
        f"down_revision = '{REVISIONS[-1]}'\ndef upgrade():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )


def filled(db: Database) -> Store:
    """A store with a user, a session and an event, at today's revision."""
    upgrade(db, REVISIONS[-1])
    store = Store(db)
    user = store.users.add("ann", "Kirschkernweitspucken", "admin")
    store.sessions.start(user.id, "127.0.0.1", "curl")
    store.event()
    return store


def test_a_table_made_anew_loses_nothing_that_refers_to_it(empty: Database, tomorrow: Path) -> None:
    store = filled(empty)
    add(
        tomorrow,
        """
        anew = "always" if op.get_bind().dialect.name == "sqlite" else "never"
        for table in ("users", "events"):
            with op.batch_alter_table(table, recreate=anew) as batch:
                batch.add_column(sa.Column("note", sa.String(10)))
        """,
    )
    empty.migrate()
    assert empty.revision() == "9000"
    assert len(store.sessions.list_of(1)) == 1
    assert len(store.events.page().events[0].snapshots) == 2
    with empty.engine.connect() as connection:
        assert not empty.is_sqlite or connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize(
    "end",
    ["raise RuntimeError('half-way')", "op.execute('DELETE FROM users')\nraise RuntimeError('half-way')"],
)
def test_an_upgrade_that_fails_changes_nothing(empty: Database, tomorrow: Path, end: str) -> None:
    store = filled(empty)
    add(tomorrow, f"op.add_column('users', sa.Column('note', sa.String(10)))\nop.drop_table('garbage')\n{end}")
    with pytest.raises(RuntimeError, match="half-way"):
        empty.migrate()
    assert empty.revision() == REVISIONS[-1]
    assert differences(empty) == []
    assert len(store.sessions.list_of(1)) == 1


def test_an_upgrade_that_would_leave_loose_ends_is_refused(tmp_path: Path, tomorrow: Path) -> None:
    db = Database(tmp_path / "data")
    db.migrate()
    store = Store(db)
    store.event()
    add(tomorrow, "op.execute('DELETE FROM events')")
    with pytest.raises(StoreError, match="nothing was changed"):
        db.migrate()
    assert len(store.events.page().events) == 1
    db.close()


def test_a_copy_is_made_before_an_upgrade_and_only_then(tmp_path: Path, tomorrow: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    db = Database(data)
    filled(db)
    db.migrate()
    assert list(data.glob("dashboard.db.*Z-*")) == []
    add(tomorrow, "op.execute('DELETE FROM snapshots')")
    db.migrate()
    (copy,) = data.glob("dashboard.db.*Z-*")
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (2,)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISIONS[-1],)
    connection.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    db.close()


def test_no_room_for_the_copy_is_no_upgrade(tmp_path: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    db = Database(data)
    filled(db)
    add(tomorrow, "op.execute('DELETE FROM snapshots')")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(StoreError, match="not upgraded, for it cannot be copied first"):
        db.migrate()
    assert db.revision() == REVISIONS[-1]
    assert list(data.glob("*.tmp")) == list(data.glob(".*.tmp")) == []
    db.close()

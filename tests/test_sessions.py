"""Sessions: tokens, limits, and clocks that step."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import event as on
from sqlalchemy import select

from dashboard.errors import NotFound
from dashboard.notices import SessionsEnded
from dashboard.store.models import Session
from tests.stores import NOON, Store

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def ann(store: Store) -> int:
    return store.users.add("ann", "Kirschkernweitspucken").id


def test_a_token_finds_who_signed_in(store: Store, ann: int) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", False)
    found = store.sessions.find(token)
    assert found is not None
    assert (found.user, found.name, found.role, found.is_admin) == (ann, "ann", "viewer", False)
    assert len(token) >= 40
    assert token != store.sessions.start(ann, "127.0.0.1", "Firefox", False)


@pytest.mark.parametrize("other", ["", "x", "\0", "\ud83d", "ä" * 100_000, "' OR 1=1 --"])
def test_another_token_finds_nobody(store: Store, ann: int, other: str) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox")
    assert store.sessions.find(other) is None
    assert store.sessions.find(token[:-1]) is None
    assert store.sessions.find(token + "=") is None


def test_the_database_does_not_hold_the_token(store: Store, ann: int) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox")
    with store.db.read() as rows:
        row = rows.scalars(select(Session)).one()
        assert token not in repr(vars(row))


@pytest.mark.parametrize(
    ("remember", "after", "good"),
    [
        (False, 11.9 * HOUR, True),
        (False, 12.1 * HOUR, False),
        (True, 12.1 * HOUR, True),
        (True, 29.9 * DAY, True),
        (True, 30.1 * DAY, False),
        # A clock that steps back neither ends a session nor freezes it.
        (False, -HOUR, True),
        (True, -HOUR, True),
        (False, -20 * DAY, True),
    ],
)
def test_a_session_ends_by_idling_or_by_age(store: Store, ann: int, remember: bool, after: float, good: bool) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", remember)
    store.clock.now += after
    assert (store.sessions.find(token) is not None) == good
    assert len(store.sessions.list_of(ann)) == good
    assert len(store.sessions.alive(range(100))) == good


def test_use_keeps_a_session_but_not_beyond_its_age(store: Store, ann: int) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", False)
    for _ in range(65):  # each 11 hours
        store.clock.now += 11 * HOUR
        assert store.sessions.find(token) is not None
    store.clock.now += 11 * HOUR
    assert store.sessions.find(token) is None


def test_a_clock_that_steps_back_and_returns(store: Store, ann: int) -> None:
    """An hour back while somebody is signed in: still signed in, visits are noted, idling still ends it."""
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", False)
    store.clock.now -= HOUR
    assert store.sessions.find(token) is not None
    (session,) = store.sessions.list_of(ann)
    assert session.last_seen_at.timestamp() == NOON - HOUR
    assert store.sessions.find(store.sessions.start(ann, "127.0.0.1", "new sign-in", False)) is not None
    store.clock.now += 11 * HOUR
    assert store.sessions.find(token) is not None
    store.clock.now += 12.1 * HOUR
    assert store.sessions.find(token) is None


def test_a_clock_that_is_years_ahead_for_a_moment_ends_nothing_for_good(store: Store, ann: int) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", True)
    store.clock.now += 20 * 365 * DAY
    assert store.sessions.find(token) is None
    store.clock.now = NOON + 60
    assert store.sessions.find(token) is not None


def test_a_visit_is_noted_at_most_once_a_minute(store: Store, ann: int) -> None:
    token = store.sessions.start(ann, "127.0.0.1", "Firefox", False)
    written: list[str] = []
    on.listen(store.db.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: written.append(sql))
    for _ in range(100):
        store.clock.now += 1.3
        assert store.sessions.find(token) is not None
    assert len([sql for sql in written if sql.startswith("UPDATE")]) == 2
    assert len([sql for sql in written if sql.startswith("SELECT")]) == 100


def test_a_locked_database_keeps_nobody_out(sqlite_store: Store) -> None:
    user = sqlite_store.users.add("ann", "Kirschkernweitspucken")
    token = sqlite_store.sessions.start(user.id, "127.0.0.1", "Firefox")
    sqlite_store.clock.now += 120
    locker = sqlite3.connect(str(sqlite_store.db.file), isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    assert sqlite_store.sessions.find(token) is not None
    locker.execute("ROLLBACK")
    locker.close()


def test_an_ended_session_stays_ended_and_is_told(store: Store, ann: int) -> None:
    tokens = [store.sessions.start(ann, "127.0.0.1", "Firefox", True) for _ in range(3)]
    ids = [found.session for token in tokens if (found := store.sessions.find(token))]
    store.told()
    store.sessions.end(tokens[0])
    store.sessions.end(tokens[0])
    store.sessions.end_one(ids[1], ann)
    assert [store.sessions.find(token) is not None for token in tokens] == [False, False, True]
    assert store.sessions.alive(ids) == {ids[2]}
    assert store.told() == [SessionsEnded((ids[0],)), SessionsEnded((ids[1],))]
    store.sessions.end_all_of(ann)
    assert store.sessions.alive(ids) == set()


def test_ending_all_but_one(store: Store, ann: int) -> None:
    tokens = [store.sessions.start(ann, "127.0.0.1", "Firefox") for _ in range(3)]
    bob = store.users.add("bob", "Kirschkernweitspucken").id
    other = store.sessions.start(bob, "127.0.0.1", "Firefox")
    kept = store.sessions.find(tokens[1])
    assert kept is not None
    store.sessions.end_all_of(ann, but=kept.session)
    assert [store.sessions.find(token) is not None for token in tokens] == [False, True, False]
    assert store.sessions.find(other) is not None


@pytest.mark.parametrize("number", [0, -1, 10**6, 2**63, 10**30])
def test_only_a_session_of_ones_own_can_be_ended(store: Store, ann: int, number: int) -> None:
    bob = store.users.add("bob", "Kirschkernweitspucken").id
    token = store.sessions.start(bob, "127.0.0.1", "Firefox")
    theirs = store.sessions.find(token)
    assert theirs is not None
    for session in (number, theirs.session):
        with pytest.raises(NotFound):
            store.sessions.end_one(session, ann)
    assert store.sessions.find(token) is not None


def test_alive_is_one_statement_for_any_number(store: Store, ann: int) -> None:
    for _ in range(5):
        store.sessions.start(ann, "127.0.0.1", "Firefox")
    asked: list[str] = []
    on.listen(store.db.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: asked.append(sql))
    assert len(store.sessions.alive(range(1, 1000))) == 5
    assert store.sessions.alive([]) == set()
    assert len([sql for sql in asked if sql.startswith("SELECT")]) == 1


def test_what_a_browser_says_of_itself_is_kept_plain(store: Store, ann: int) -> None:
    store.sessions.start(ann, "fe80::1%eth0" + "0" * 100, "Fire\r\nfox\0" + "x" * 1000)
    (session,) = store.sessions.list_of(ann)
    assert session.agent.startswith("Firefoxxxx")
    assert len(session.agent) <= 256
    assert len(session.ip) == 64
    assert session.expires_at - session.created_at == timedelta(days=30)


def test_nobody_starts_a_session_for_a_disabled_user(store: Store, ann: int) -> None:
    store.users.disable("ann")
    with pytest.raises(NotFound):
        store.sessions.start(ann, "127.0.0.1", "Firefox")
    with pytest.raises(NotFound):
        store.sessions.start(ann + 1, "127.0.0.1", "Firefox")


def test_rows_of_sessions_long_over_are_deleted(store: Store, ann: int) -> None:
    store.sessions.start(ann, "127.0.0.1", "Firefox")
    store.clock.now += 59 * DAY
    assert store.sessions.purge() == 0
    store.clock.now += 2 * DAY
    assert store.sessions.purge() == 1

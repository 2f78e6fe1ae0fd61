"""Users: names, roles, the last admin, and that a right taken away ends sessions."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher

from dashboard.errors import NotFound, Refused, StoreError
from dashboard.notices import SessionsEnded
from dashboard.store.models import User
from dashboard.store.passwords import Passwords
from dashboard.store.users import Users
from tests.stores import Store

GOOD = "Kirschkernweitspucken"
BETTER = "Kirschkernweitspucken im Mai"


def test_a_user_signs_in_under_the_name_in_any_case(store: Store) -> None:
    added = store.users.add("Änne Maier", GOOD)
    assert (added.name, added.role, added.disabled, added.is_admin) == ("Änne Maier", "viewer", False, False)
    for name in ("Änne Maier", "änne maier", "ÄNNE MAIER"):
        assert store.users.verify(name, GOOD) == added
        assert store.users.find(name) == added
    assert store.users.verify("Änne Maier", GOOD + " ") is None
    assert store.users.verify("Anne Maier", GOOD) is None


@pytest.mark.parametrize("name", ["ann", "ANN", "Ann", "\uff21nn"])
def test_a_name_is_taken_in_any_case(store: Store, name: str) -> None:
    store.users.add("Ann", GOOD)
    with pytest.raises(Refused, match="already a user"):
        store.users.add(name, GOOD)
    assert len(store.users.list()) == 1


@pytest.mark.parametrize(
    "name",
    ["", "a" * 65, " ann", "ann ", "a\nb", "a\0b", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\ud83d"],
)
def test_unfit_names_are_refused_and_not_known(store: Store, name: str) -> None:
    with pytest.raises(Refused):
        store.users.add(name, GOOD)
    assert store.users.verify(name, GOOD) is None
    with pytest.raises(NotFound):
        store.users.find(name)


@pytest.mark.parametrize(
    "name", ["a", "a" * 64, "<img onerror=alert(1)>", "O'Brien; DROP TABLE users", "李", "ann@example.org"]
)
def test_odd_names_are_names(store: Store, name: str) -> None:
    store.users.add(name, GOOD)
    assert store.users.verify(name, GOOD) is not None
    assert [user.name for user in store.users.list()] == [name]


def test_weak_passwords_and_unknown_roles_are_refused(store: Store) -> None:
    for password in ("short", "password", "annannann", "x" * 1025):
        with pytest.raises(Refused):
            store.users.add("annannann", password)
    with pytest.raises(Refused, match="no role"):
        store.users.add("ann", GOOD, "root")
    assert store.users.list() == ()


def test_the_first_user_is_made_once(store: Store) -> None:
    first = store.users.ensure_first()
    assert first is not None
    assert first[0] == "admin"
    assert len(first[1]) >= 20
    user = store.users.verify(*first)
    assert user is not None
    assert user.is_admin
    assert store.users.ensure_first() is None


def test_two_that_start_at_once_make_one_first_user(store: Store) -> None:
    made: list[object] = []
    threads = [threading.Thread(target=lambda: made.append(store.users.ensure_first())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len([one for one in made if one]) == 1
    assert len(store.users.list()) == 1


def test_a_disabled_user_cannot_sign_in_until_enabled(store: Store) -> None:
    store.users.add("ann", GOOD)
    store.users.disable("ann")
    assert store.users.verify("ann", GOOD) is None
    assert store.users.find("ann").disabled
    store.users.enable("ann")
    assert store.users.verify("ann", GOOD) is not None


def test_what_takes_a_right_away_ends_the_sessions(store: Store) -> None:
    for change in (
        lambda: store.users.set_password("ann", BETTER),
        lambda: store.users.disable("ann"),
        lambda: store.users.remove("ann"),
    ):
        if any(user.name == "ann" for user in store.users.list()):
            store.users.remove("ann")
        user = store.users.add("ann", GOOD)
        tokens = [store.sessions.start(user.id, "127.0.0.1", "curl", remember) for remember in (False, True)]
        ids = {found.session for token in tokens if (found := store.sessions.find(token))}
        store.told()
        change()
        assert [store.sessions.find(token) for token in tokens] == [None, None]
        assert store.sessions.alive(ids) == set()
        assert [set(notice.sessions) for notice in store.told() if isinstance(notice, SessionsEnded)] == [ids]


def test_a_new_password_may_keep_the_session_that_set_it(store: Store) -> None:
    user = store.users.add("ann", GOOD)
    mine, other = (store.sessions.start(user.id, "127.0.0.1", "curl") for _ in range(2))
    here = store.sessions.find(mine)
    assert here is not None
    store.users.set_password("ANN", BETTER, but=here.session)
    assert store.sessions.find(mine) is not None
    assert store.sessions.find(other) is None
    assert store.users.verify("ann", GOOD) is None
    assert store.users.verify("ann", BETTER) is not None


def test_a_weak_new_password_changes_nothing(store: Store) -> None:
    user = store.users.add("ann", GOOD)
    token = store.sessions.start(user.id, "127.0.0.1", "curl")
    with pytest.raises(Refused):
        store.users.set_password("ann", "password1")
    assert store.users.verify("ann", GOOD) is not None
    assert store.sessions.find(token) is not None


def test_the_last_admin_stays(store: Store) -> None:
    store.users.add("ann", GOOD, "admin")
    store.users.add("bob", GOOD, "admin")
    store.users.add("viewer", GOOD)
    store.users.disable("bob")
    for change in (store.users.remove, store.users.disable):
        with pytest.raises(Refused, match="last admin"):
            change("Ann")
    store.users.remove("bob")  # disabled, so no admin is lost
    store.users.add("eve", GOOD, "admin")
    store.users.remove("ann")
    assert [user.name for user in store.users.list()] == ["eve", "viewer"]


def test_two_admins_cannot_remove_each_other_at_once(store: Store) -> None:
    for round_ in range(5):
        names = [f"one{round_}", f"two{round_}"]
        for name in names:
            store.users.add(name, GOOD, "admin")
        for user in store.users.list():
            if user.name not in names:
                store.users.remove(user.name)
        ready = threading.Barrier(2)

        def remove(name: str, ready: threading.Barrier = ready) -> None:
            ready.wait(10)
            try:
                store.users.remove(name)
            except (Refused, NotFound, StoreError):
                pass

        threads = [threading.Thread(target=remove, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(store.users.list()) == 1


@pytest.mark.parametrize("change", ["set_password", "disable", "enable", "remove", "find"])
def test_an_unknown_user_is_said(store: Store, change: str) -> None:
    with pytest.raises(NotFound, match="there is no user 'nobody'"):
        getattr(store.users, change)("nobody", *([GOOD] if change == "set_password" else []))


def test_an_old_hash_is_made_anew_at_the_next_sign_in(store: Store) -> None:
    store.users.add("ann", GOOD)
    newer = Users(store.db, passwords=Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)))

    def stored() -> str:
        with store.db.read() as rows:
            return rows.query(User).one().password

    before = stored()
    assert newer.verify("ann", "wrong") is None
    assert stored() == before
    assert newer.verify("ann", GOOD) is not None
    after = stored()
    assert "m=16,t=2,p=1" in after
    assert newer.verify("ann", GOOD) is not None
    assert stored() == after


def test_an_unknown_name_is_as_much_work_as_a_known_one(store: Store) -> None:
    """Not measured, for the machine is noisy: counted."""
    calls: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            calls.append(str(hash)[:10])
            return super().verify(hash, password)  # type: ignore[return-value, unused-ignore]

    users = Users(store.db, passwords=Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1)))
    users.add("ann", GOOD)
    users.add("gone", GOOD)
    users.disable("gone")
    for name in ("ann", "gone", "nobody", "x" * 100, "a\0b"):
        before = len(calls)
        users.verify(name, "wrong password")
        assert len(calls) == before + 1, name

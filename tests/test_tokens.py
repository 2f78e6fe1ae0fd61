"""Access tokens: whom they let see what, how they end, and what the database knows of them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from dashboard.errors import NotFound, Refused
from dashboard.logs import redact
from dashboard.notices import SessionsEnded
from dashboard.store.models import AccessToken
from dashboard.store.tokens import MOST
from tests.stores import Store

DAY = 86400.0


@pytest.fixture
def ann(store: Store) -> int:
    store.users.add("root", "Kirschkernweitspucken", "admin")
    return store.users.add("ann", "Kirschkernweitspucken").id


def test_a_token_finds_its_user_and_its_cameras(store: Store, ann: int) -> None:
    found = store.tokens.find(store.tokens.make(ann, "hall display", ["yard", "door"], None))
    assert found is not None
    assert (found.user, found.name, found.role) == (ann, "ann", "viewer")
    assert (found.may_see("door"), found.may_see("attic")) == (True, False)
    everything = store.tokens.find(store.tokens.make(ann, "recorder", None, None))
    assert everything is not None
    assert everything.may_see("attic")


def test_an_admin_s_token_is_a_viewer_s(store: Store, ann: int) -> None:
    found = store.tokens.find(store.tokens.make(store.users.find("root").id, "x", None, None))
    assert found is not None
    assert found.role == "viewer"


@pytest.mark.parametrize("other", ["", "cdt_", "cdt_\0", "cdt_\ud83d", "cdt_" + "ä" * 100_000, "' OR 1=1 --"])
def test_another_token_finds_nobody(store: Store, ann: int, other: str) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    for wrong in (other, token[:-1], token + "=", token.removeprefix("cdt_"), token.upper()):
        assert store.tokens.find(wrong) is None


def test_a_token_is_no_session_and_a_session_no_token(store: Store, ann: int) -> None:
    assert store.sessions.find(store.tokens.make(ann, "vlc", None, None)) is None
    assert store.tokens.find(store.sessions.start(ann, "127.0.0.1", "Firefox")) is None


def test_neither_the_database_nor_the_list_holds_the_token(store: Store, ann: int) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    with store.db.read() as rows:
        assert token not in repr(vars(rows.scalars(select(AccessToken)).one()))
    assert token not in repr(store.tokens.list_of(ann))


def test_the_log_takes_a_token_out_wherever_it_stands(store: Store, ann: int) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    for text in (token, f"/login?next=/%3Ftoken%3D{token}", f"Bearer {token}", f"?token={token}&fps=5", f"({token!r})"):
        assert token[4:12] not in redact(text)


@pytest.mark.parametrize(
    ("days", "after", "good"),
    [(7, 6.9, True), (7, 7.1, False), (365, 364.0, True), (365, 366.0, False), (None, 5000.0, True), (7, -30.0, True)],
)
def test_a_token_ends_by_its_date(store: Store, ann: int, days: int | None, after: float, good: bool) -> None:
    token = store.tokens.make(ann, "vlc", None, days)
    seat = found.session if (found := store.tokens.find(token)) else 0
    store.clock.now += after * DAY
    assert (store.tokens.find(token) is not None) == good
    assert store.tokens.alive({seat, 1}) == ({seat} if good else set())
    assert [view.expired for view in store.tokens.list_of(ann)] == [not good]


def test_use_is_noted_once_a_minute(store: Store, ann: int) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    seen = [store.tokens.list_of(ann)[0].last_used_at]
    for pause in (0, 30, 31):
        store.clock.now += pause
        store.tokens.find(token)
        seen.append(store.tokens.list_of(ann)[0].last_used_at)
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1] == seen[2]
    assert seen[3] is not None
    assert seen[3] > seen[2]


def test_revoking_ends_one_token_and_tells_its_seat(store: Store, ann: int) -> None:
    gone, stays = (store.tokens.make(ann, label, None, None) for label in ("vlc", "hall"))
    seat = found.session if (found := store.tokens.find(gone)) else 0
    assert seat < 0
    store.told()
    store.tokens.revoke(-seat, ann)
    assert store.told() == [SessionsEnded((seat,))]
    assert store.tokens.find(gone) is None
    assert store.tokens.find(stays) is not None
    assert store.tokens.alive({seat}) == set()


def test_nobody_revokes_what_is_another_s(store: Store, ann: int) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    number = store.tokens.list_of(ann)[0].id
    with pytest.raises(NotFound):
        store.tokens.revoke(number, store.users.find("root").id)
    assert store.tokens.find(token) is not None


@pytest.mark.parametrize("end", ["disable", "remove"])
def test_a_token_ends_with_its_user(store: Store, ann: int, end: str) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    seat = found.session if (found := store.tokens.find(token)) else 0
    store.told()
    getattr(store.users, end)("ann")
    assert store.told() == [SessionsEnded((seat,))]
    assert store.tokens.find(token) is None
    if end == "disable":
        store.users.enable("ann")
        assert store.tokens.find(token) is None  # ended is ended
    else:
        with pytest.raises(NotFound):
            store.tokens.make(ann, "vlc", None, None)


def test_a_new_password_leaves_tokens(store: Store, ann: int) -> None:
    token = store.tokens.make(ann, "vlc", None, None)
    store.users.set_password("ann", "Weitspuckkirschkerne")
    assert store.tokens.find(token) is not None


@pytest.mark.parametrize(
    ("label", "cameras"), [("", None), ("  ", None), ("x" * 65, None), ("a\nb", None), ("a\0", None), ("vlc", [])]
)
def test_what_makes_no_sense_is_refused(store: Store, ann: int, label: str, cameras: list[str] | None) -> None:
    with pytest.raises(Refused):
        store.tokens.make(ann, label, cameras, 7)
    assert store.tokens.list_of(ann) == ()


def test_there_is_a_most(store: Store, ann: int) -> None:
    for number in range(MOST):
        store.tokens.make(ann, f"vlc {number}", None, 7)
    with pytest.raises(Refused, match="50"):
        store.tokens.make(ann, "one more", None, 7)
    store.tokens.revoke(store.tokens.list_of(ann)[0].id, ann)
    store.tokens.make(ann, "one more", None, 7)

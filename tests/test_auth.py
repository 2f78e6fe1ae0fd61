"""Logins: the form, the cookie, its end; CSRF; what is logged."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard.web import auth, create_app
from dashboard.web.auth import Busy, Desk, Throttled, cookie_name
from dashboard.web.guard import is_public
from dashboard.web.parts import Parts
from dashboard.web.throttle import Throttle
from tests.web_client import paths_of
from tests.web_fakes import PASSWORDS, FakeUsers, fake_parts


@pytest.fixture
def parts() -> Parts:
    return fake_parts()


@pytest.fixture
def client(parts: Parts) -> FlaskClient:
    return create_app(parts).test_client()


def csrf(client: FlaskClient, path: str = "/login") -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def sign_in(client: FlaskClient, name: str = "admin", password: str | None = None, **fields: str) -> TestResponse:
    password = PASSWORDS.get(name, "") if password is None else password
    return client.post("/login", data={"username": name, "password": password, "csrf_token": csrf(client), **fields})


def cookie(response: TestResponse) -> str:
    found = [value for value in response.headers.getlist("Set-Cookie") if value.startswith("dashboard_")]
    assert len(found) == 1
    return found[0]


def test_sign_in_and_out(client: FlaskClient, parts: Any) -> None:
    assert client.get("/account").status_code == 302
    assert sign_in(client).headers["Location"] == "/"
    page = client.get("/account")
    assert page.status_code == 200
    assert "admin" in page.text
    assert client.get("/login").status_code == 302, "who is in need not sign in"
    assert client.post("/logout", data={"csrf_token": csrf(client, "/account")}).headers["Location"] == "/login"
    assert client.get("/account").status_code == 302
    assert parts.sessions.rows == {}


@pytest.mark.parametrize("remember", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_attributes(parts: Parts, remember: bool, scheme: str) -> None:
    client = create_app(parts).test_client()
    base = f"{scheme}://localhost"
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login", base_url=base).text)
    assert token
    fields = {"username": "admin", "password": PASSWORDS["admin"], "csrf_token": token[1]}
    set_cookie = cookie(client.post("/login", data=fields | ({"remember": "1"} if remember else {}), base_url=base))
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie
    assert ("Secure" in set_cookie) == (scheme == "https")
    assert ("Max-Age=2592000" in set_cookie) == remember
    assert set_cookie.startswith(cookie_name(parts.secret) + "=")
    assert "session=" not in set_cookie


def test_the_cookie_is_a_bare_token_so_no_clock_can_end_it(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 5)
    assert client.get("/account").status_code == 200
    assert client.post("/account/password", data={"csrf_token": csrf(client, "/account")}).status_code == 403
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert client.post("/logout", data={"csrf_token": csrf(client, "/account")}).status_code == 302


def test_a_cookie_of_before_never_becomes_signed_in(parts: Any) -> None:
    app = create_app(parts)
    name = cookie_name(parts.secret)
    for _ in range(20):
        victim, thief = app.test_client(), app.test_client()
        csrf(victim)
        planted = victim.get_cookie(name)
        assert planted
        sign_in(victim)
        signed = victim.get_cookie(name)
        assert signed
        assert signed.value != planted.value
        thief.set_cookie(name, planted.value)
        assert thief.get("/account").status_code == 302
    assert planted.value not in parts.sessions.rows


def test_changed_cookies_are_not_let_in(parts: Any) -> None:
    app = create_app(parts)
    client = app.test_client()
    sign_in(client)
    name = cookie_name(parts.secret)
    token = client.get_cookie(name).value  # type: ignore[union-attr]
    thief = app.test_client()
    for place in range(len(token)):
        for bit in (1, 2, 4, 16, 32):
            changed = token[:place] + chr(ord(token[place]) ^ bit) + token[place + 1 :]
            thief.set_cookie(name, changed)
            assert thief.get("/account").status_code == 302
    for hostile in ("", "x", "a" * 5000, "\x00" * 43, "é" * 43, f"{token}x", "remember_token=1"):
        assert app.test_client().get("/account", headers={"Cookie": f"{name}={hostile}"}).status_code == 302


def test_logout_ends_the_token_itself(parts: Parts) -> None:
    app = create_app(parts)
    name = cookie_name(parts.secret)
    for _ in range(10):
        client = app.test_client()
        sign_in(client, remember="1")
        token = client.get_cookie(name).value  # type: ignore[union-attr]
        client.post("/logout", data={"csrf_token": csrf(client, "/account")})
        thief = app.test_client()
        thief.set_cookie(name, token)
        assert thief.get("/account").status_code == 302


def test_flask_logins_own_remember_cookie_means_nothing(client: FlaskClient) -> None:
    client.set_cookie("remember_token", "1|aaaa")
    assert client.get("/account").status_code == 302


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("admin", "wrong"),
        ("admin", ""),
        ("admin", "x" * 2000),
        ("nobody", "correct horse"),
        ("", "correct horse"),
        ("", ""),
        ("a" * 200, "x"),
        ("admin\x00", "correct horse"),
        ("admin\r\nX", "y"),
    ],
)
def test_failures_say_nothing_about_what_was_wrong(client: FlaskClient, name: str, password: str) -> None:
    response = sign_in(client, name, password)
    assert response.status_code == 401
    assert "User name or password is wrong." in response.text
    assert client.get("/account").status_code == 302


@pytest.mark.parametrize("target", ["//evil", "http://evil", "javascript:alert(1)", "/\\evil", ""])
def test_next_stays_on_this_server(client: FlaskClient, target: str) -> None:
    assert sign_in(client, next=target).headers["Location"] == "/"
    assert client.get("/login", query_string={"next": target}).headers["Location"] == "/"


def test_next_leads_on(client: FlaskClient) -> None:
    assert client.get("/account?x=1").headers["Location"] == "/login?next=/account%3Fx%3D1"
    assert 'value="/account?x=1"' in client.get("/login?next=/account%3Fx%3D1").text
    assert sign_in(client, next="/account?x=1").headers["Location"] == "/account?x=1"


# --- too many -------------------------------------------------------------------------------------------------------


def test_ten_failures_and_the_eleventh_is_told_to_wait(parts: Any) -> None:
    app = create_app(parts)
    client = app.test_client()
    for _ in range(10):
        assert sign_in(client, "admin", "wrong").status_code == 401
    checks = parts.users.checks
    response = sign_in(client)
    assert response.status_code == 429, "even with the right password"
    assert int(response.headers["Retry-After"]) >= 60
    assert "minute" in response.text
    assert sign_in(client, "ADMIN").status_code == 429, "names are one whatever their case"
    assert parts.users.checks == checks, "nothing is checked any more"
    assert sign_in(client, "viewer").status_code == 302, "another user from here"
    other = app.test_client()
    data = {"username": "admin", "password": PASSWORDS["admin"], "csrf_token": csrf(other)}
    assert other.post("/login", data=data, environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 302


def test_success_clears_the_count(client: FlaskClient) -> None:
    for _ in range(3):
        for _ in range(9):
            assert sign_in(client, "admin", "wrong").status_code == 401
        assert sign_in(client).status_code == 302
        client.post("/logout", data={"csrf_token": csrf(client, "/account")})


def test_few_checks_run_at_the_same_moment() -> None:
    running = most = 0
    lock, release = threading.Lock(), threading.Event()

    class SlowUsers(FakeUsers):
        def verify(self, name: str, password: str) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            release.wait(10)
            with lock:
                running -= 1

    parts, desk, busy = fake_parts(users=SlowUsers()), Desk(), []

    def check(number: int) -> None:
        try:
            desk.check(parts, "192.0.2.1", f"user{number}", "wrong")
        except Busy:
            busy.append(number)

    threads = [threading.Thread(target=check, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while len(busy) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join(10)
    assert most == 2
    assert len(busy) == 6, "two check, two wait, the rest is sent away at once"


def test_who_was_sent_away_is_not_counted_as_failed(parts: Any) -> None:
    class BrokenUsers(FakeUsers):
        def verify(self, name: str, password: str) -> None:
            raise OSError("disk")

    desk = Desk(pair=Throttle(limit=1), address=Throttle(limit=1))
    for _ in range(3):
        with pytest.raises(OSError, match="disk"):
            desk.check(fake_parts(users=BrokenUsers()), "192.0.2.1", "admin", "x")
    assert desk.check(parts, "192.0.2.1", "admin", PASSWORDS["admin"])


def test_one_address_with_many_names_is_stopped_too(parts: Parts) -> None:
    desk = Desk(address=Throttle(limit=20))
    for number in range(20):
        assert desk.check(parts, "192.0.2.1", f"user{number}", "x") is None
    with pytest.raises(Throttled) as caught:
        desk.check(parts, "192.0.2.1", "another", "x")
    assert caught.value.wait >= 60
    assert desk.check(parts, "192.0.2.2", "admin", PASSWORDS["admin"])


# --- CSRF -----------------------------------------------------------------------------------------------------------


def test_every_changing_route_wants_the_token(parts: Any) -> None:
    app = create_app(parts)
    mine, other = app.test_client(), app.test_client()
    sign_in(mine)
    sign_in(other, "viewer")
    foreign = csrf(other, "/account")
    changing = {"POST", "PUT", "PATCH", "DELETE"}
    routes = [(method, path) for path, methods in paths_of(app) for method in sorted(methods & changing)]
    assert {("POST", "/login"), ("POST", "/logout"), ("POST", "/account/password")} <= set(routes)
    before = dict(parts.sessions.rows)
    for method, path in routes:
        for token in (None, "", "x", foreign, foreign[:-1]):
            fields = {} if token is None else {"csrf_token": token}
            response = mine.open(path, method=method, data=fields)
            assert response.status_code in {400, 403}, f"{method} {path} with {token!r}"
            headers = {} if token is None else {"X-CSRFToken": token}
            response = mine.open(path, method=method, json={}, headers=headers)
            assert response.status_code in {400, 403}, f"{method} {path} with {token!r} as header"
    assert parts.sessions.rows == before
    assert mine.get("/account").status_code == 200


def test_reading_changes_nothing(parts: Any) -> None:
    client = create_app(parts).test_client()
    sign_in(client)
    before = dict(parts.sessions.rows)
    for path in ("/logout", "/account/password", "/account/sessions/1/end"):
        assert client.get(path).status_code in {404, 405}
        assert client.head(path).status_code in {404, 405}
    assert parts.sessions.rows == before


# --- the account ----------------------------------------------------------------------------------------------------


def test_a_new_password_ends_every_other_login(parts: Parts) -> None:
    app = create_app(parts)
    clients = [app.test_client() for _ in range(4)]
    for client in clients:
        sign_in(client)
    first = clients[0]
    token = first.get_cookie(cookie_name(parts.secret)).value  # type: ignore[union-attr]
    fields = {"current": PASSWORDS["admin"], "new": "a better one", "again": "a better one"}
    done = first.post("/account/password", data={**fields, "csrf_token": csrf(first, "/account")})
    assert done.headers["Location"] == "/account?done=password"
    assert first.get("/account?done=password").status_code == 200
    assert first.get_cookie(cookie_name(parts.secret)).value != token  # type: ignore[union-attr]
    assert [client.get("/account").status_code for client in clients[1:]] == [302, 302, 302]
    assert sign_in(app.test_client(), password="a better one").status_code == 302
    assert sign_in(app.test_client()).status_code == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"current": "wrong"}, 403),
        ({"current": ""}, 403),
        ({"again": "other"}, 400),
        ({"new": "short", "again": "short"}, 400),
        ({"new": "x" * 2000, "again": "x" * 2000}, 400),
    ],
)
def test_a_password_is_not_changed_lightly(client: FlaskClient, changes: dict[str, str], status: int) -> None:
    sign_in(client)
    fields = {"current": PASSWORDS["admin"], "new": "a better one", "again": "a better one", **changes}
    response = client.post("/account/password", data={**fields, "csrf_token": csrf(client, "/account")})
    assert response.status_code == status
    assert 'role="alert"' in response.text
    assert sign_in(client.application.test_client()).status_code == 302, "the old one still holds"


def test_only_own_logins_can_be_ended(parts: Any) -> None:
    app = create_app(parts)
    one, two, stranger = app.test_client(), app.test_client(), app.test_client()
    sign_in(one)
    sign_in(two)
    sign_in(stranger, "viewer")
    token = {"csrf_token": csrf(one, "/account")}
    assert one.post("/account/sessions/3/end", data=token).status_code == 404
    assert stranger.get("/account").status_code == 200
    assert one.post("/account/sessions/2/end", data=token).status_code == 302
    assert two.get("/account").status_code == 302
    assert one.post("/account/sessions/99999999999999999999/end", data=token).status_code == 404


def test_admin_required(parts: Parts) -> None:
    app = create_app(parts)
    app.add_url_rule("/tool", view_func=auth.admin_required(lambda: "done"))
    admin, viewer = app.test_client(), app.test_client()
    sign_in(admin)
    sign_in(viewer, "viewer")
    assert admin.get("/tool").text == "done"
    assert viewer.get("/tool").status_code == 403
    assert app.test_client().get("/tool").status_code == 302


# --- bounds and the log ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"username=a&password=" + b"x" * 1_000_000, "application/x-www-form-urlencoded"),
        (b"username=a&password=" + b"x" * 2_000_000, "application/x-www-form-urlencoded"),
        (b"a=&" * 1001, "application/x-www-form-urlencoded"),
        (b"x" * 2_000_000, "application/json"),
        (b"x" * 100_000, "text/plain"),
    ],
)
def test_large_bodies_are_refused(client: FlaskClient, body: bytes, content_type: str) -> None:
    began = time.process_time()
    response = client.post("/login", data=body, content_type=content_type)
    assert response.status_code in ({413} if len(body) < 1_500_000 or "form" in content_type else {400, 413})
    assert time.process_time() - began < 1


def test_the_log_tells_who_and_from_where_and_never_a_password(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dashboard")
    client = create_app(parts).test_client()
    sign_in(client, "admin\r\nFAKE LINE", "tell nobody")
    sign_in(client)
    client.post("/logout", data={"csrf_token": csrf(client, "/account")})
    for _ in range(11):
        sign_in(client, "viewer", "tell nobody")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("dashboard.web.auth")]
    assert lines[0] == "sign-in of 'admin\\r\\nFAKE LINE' from 127.0.0.1 failed"
    assert lines[1] == "'admin' signed in from 127.0.0.1"
    assert lines[2] == "'admin' signed out from 127.0.0.1"
    assert lines[-1] == "sign-in of 'viewer' from 127.0.0.1 refused: too many failures"
    assert not any("\n" in line or "tell nobody" in line for line in lines)


def test_two_dashboards_on_one_host_do_not_share_a_cookie() -> None:
    assert cookie_name(b"a" * 32) != cookie_name(b"b" * 32)


def test_public_paths_ask_nobody() -> None:
    assert is_public("/login")
    assert is_public("/static/x")
    assert not is_public("/account")

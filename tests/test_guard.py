"""Closed by default: the census of every route, over Flask and over ASGI, and what the guard decides."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from dashboard.web import create_app
from dashboard.web.guard import Verdict, decide, is_public, local_path, sign_in_location
from tests.web_client import Browser, paths_of, serving
from tests.web_fakes import FakeCamera, fake_parts

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PUBLIC = {"/login", "/static/<path:filename>", "/healthz"}
NOWHERE = ["/nowhere", "/api/nowhere", "/console", "/.git/config", "/cameras.yaml", "/dashboard.db", "/data/secret"]
NOWHERE += [
    "/static",
    "/staticx",
    "/login/",
    "/login/x",
    "/healthz/x",
    "//login",
    "/LOGIN",
    "/live",
    "/metrics",
    "/docs",
]
NOWHERE += ["/video_feed/door", "/api/cameras/door/latest.jpg", "/api/events/1/snapshot.jpg", "/./login", "/%6cogin2"]


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(fake_parts())


@pytest.fixture(scope="module")
def stranger() -> Iterator[Browser]:
    camera = FakeCamera("door")
    camera.publish()
    with serving(fake_parts([camera])) as browser:
        yield browser


def assert_refused(method: str, path: str, status: int, headers: Any, body: bytes) -> None:
    what = f"{method} {path}: {status}"
    if method == "TRACE":
        assert status == 405, what
    else:
        assert status in {401, 302, 400, 404, 405} or (status == 302 and "/login" in headers["location"]), what
        if status == 302:
            assert headers["location"].startswith("/login"), what
    assert not headers.get("content-type", "").startswith(("image/", "multipart/")), what
    assert b"\xff\xd8\xff" not in body, what
    if method in {"OPTIONS", "TRACE", "HEAD"}:
        assert body == b"", what


def test_the_public_list_is_exactly_this(app: Flask) -> None:
    open_rules = {rule.rule for rule in app.url_map.iter_rules() if is_public(re.sub(r"<[^>]+>", "x", rule.rule))}
    assert open_rules == PUBLIC


@pytest.mark.parametrize("method", METHODS)
def test_census_of_the_pages(app: Flask, method: str) -> None:
    client = app.test_client()
    for path in [path for path, _ in paths_of(app)] + NOWHERE:
        if is_public(path):
            continue
        response = client.open(path, method=method)
        headers = {name.lower(): value for name, value in response.headers.items()}
        assert_refused(method, path, response.status_code, headers, response.data)
        assert response.status_code in {401, 302, 405}, f"{method} {path} got through to {response.status_code}"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", METHODS)
def test_census_over_the_wire(app: Flask, stranger: Browser, method: str) -> None:
    for path in [path for path, _ in paths_of(app)] + NOWHERE:
        if is_public(path):
            continue
        answer = stranger.ask(method, path)
        assert_refused(method, path, answer.status, answer.headers, answer.body)
        assert answer.status in {401, 302, 405}, f"{method} {path} got through to {answer.status}"
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'unsafe" not in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_view_that_nobody_thought_of_is_closed() -> None:
    app = create_app(fake_parts())
    app.add_url_rule("/forgotten", view_func=lambda: "secret", methods=["GET", "POST", "DELETE"])
    client = app.test_client()
    for method in ("GET", "POST", "DELETE"):
        response = client.open("/forgotten", method=method)
        assert response.status_code == 302
        assert b"secret" not in response.data


@pytest.mark.parametrize(
    ("method", "path", "signed_in", "verdict"),
    [
        ("GET", "/", False, Verdict.SIGN_IN),
        ("GET", "/", True, Verdict.PASS),
        ("GET", "/login", False, Verdict.PASS),
        ("POST", "/login", False, Verdict.PASS),
        ("GET", "/loginx", False, Verdict.SIGN_IN),
        ("GET", "/static/style.css", False, Verdict.PASS),
        ("GET", "/static", False, Verdict.SIGN_IN),
        ("GET", "/api/cameras", False, Verdict.REFUSE),
        ("DELETE", "/api/events/1", False, Verdict.REFUSE),
        ("GET", "/video_feed/door", False, Verdict.REFUSE),
        ("GET", "/live", False, Verdict.REFUSE),
        ("GET", "/metrics", False, Verdict.REFUSE),
        ("TRACE", "/login", False, Verdict.METHOD),
        ("CONNECT", "/", True, Verdict.METHOD),
        ("BREW", "/", True, Verdict.METHOD),
        ("get", "/", True, Verdict.METHOD),
    ],
)
def test_verdicts(method: str, path: str, signed_in: bool, verdict: Verdict) -> None:
    assert decide(method, path, signed_in) is verdict


@pytest.mark.parametrize(
    "target",
    [
        *(None, "", "evil", "//evil", "///evil", "/\\evil", "\\\\evil", "/\\/evil", "http://evil", "https:evil"),
        *("javascript:alert(1)", "data:text/html,x", "/a\r\nX: y", "/\tx", "/\x00", " /x", "/x y"),
    ],
)
def test_next_stays_here(target: str | None) -> None:
    assert local_path(target) == "/"


@pytest.mark.parametrize("target", ["/", "/events?camera=door&after=1", "/events/1", "/a//b", "/x#y"])
def test_next_leads_to_what_was_asked(target: str) -> None:
    assert local_path(target) == target


def test_where_the_login_leads_back_to() -> None:
    assert sign_in_location("GET", "/events", "camera=door") == "/login?next=/events%3Fcamera%3Ddoor"
    assert sign_in_location("POST", "/events", "") == "/login"
    assert sign_in_location("GET", "/", "") == "/login"
    assert sign_in_location("GET", "/a\r\nSet-Cookie: x", "") == "/login?next=/a%0D%0ASet-Cookie%3A%20x"


@pytest.mark.parametrize("path", ["/", "/events", "/login", "/nowhere", "/events/", "//evil.example/x"])
def test_the_host_that_a_client_claims_is_never_repeated(stranger: Browser, path: str) -> None:
    answer = stranger.ask("GET", path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    location = answer.headers.get("location", "")
    assert not location.startswith(("http:", "https:", "//"))
    assert b"evil.example" not in answer.body.replace(b"//evil.example/x", b"")


def test_health_is_public_and_says_no_more_than_that() -> None:
    health = threading.Event()
    with serving(fake_parts(healthy=health.is_set)) as browser:
        answer = browser.get("/healthz")
        assert (answer.status, answer.body) == (503, b"not ok\n")
        health.set()
        assert (browser.get("/healthz").status, browser.get("/healthz").body) == (200, b"ok\n")


def test_metrics_are_for_those_who_are_signed_in() -> None:
    with serving(fake_parts(metrics=lambda: b"dashboard_camera_up 1\n")) as browser:
        assert browser.get("/metrics").status == 401
        browser.sign_in("viewer")
        answer = browser.get("/metrics")
        assert (answer.status, answer.body) == (200, b"dashboard_camera_up 1\n")
        assert answer.headers["content-type"].startswith("text/plain; version=")

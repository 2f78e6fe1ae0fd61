"""Logins: the form, the cookie, the account page, and who the present request belongs to.

The cookie holds a random token and nothing else; what it stands for is a row of `sessions`, looked up at each
request, so that a login ends when its row ends. No time is written into the cookie: a clock that is set back
signs nobody out. Which paths need a login is decided in `guard`; hashing passwords belongs to the store.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from flask import Blueprint, Flask, Request, abort, redirect, render_template, request
from flask.sessions import SessionInterface, SessionMixin
from flask.wrappers import Response
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from dashboard.errors import NotFound, Refused
from dashboard.web import access
from dashboard.web.cameras import names
from dashboard.web.guard import MAX_FIELDS, Verdict, decide, local_path, sign_in_location
from dashboard.web.parts import LoggedIn, Parts, current_parts
from dashboard.web.throttle import Throttle

log = logging.getLogger(__name__)

REMEMBER_S = 30 * 24 * 3600
MAX_FORM = 16 * 1024
"""Bytes of a form: more than any name and password need."""
MAX_NAME, MAX_PASSWORD = 128, 1024
BUSY_RETRY_S = 5

Params = ParamSpec("Params")
Result = TypeVar("Result")

blueprint = Blueprint("auth", __name__)


# --- the cookie -----------------------------------------------------------------------------------------------------


def cookie_name(secret: bytes) -> str:
    """Differs from one installation to the next: two dashboards on one host do not sign each other out."""
    return "dashboard_" + hmac.new(secret, b"cookie name", hashlib.sha256).hexdigest()[:8]


class TokenSession(dict[str, Any], SessionMixin):
    """What Flask calls the session, made anew for each request out of the token in the cookie; only that is kept.

    `_user_id` is the token (Flask-Login asks for it), `csrf_token` is derived from it.
    """

    def __init__(self, token: str, came: bool, csrf: str) -> None:
        super().__init__(csrf_token=csrf)
        self.token = token
        self.came = came  # the browser sent it
        self.needed = False  # a form was drawn that only this token can send
        self.remember = False
        self.ended = False
        if came:
            self["_user_id"] = token

    def __getitem__(self, key: str) -> Any:
        if key == "csrf_token":
            self.needed = True
        return super().__getitem__(key)


class TokenSessions(SessionInterface):
    """Reads and writes the one cookie."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._name = cookie_name(secret)

    def open_session(self, app: Flask, request: Request) -> TokenSession:
        token = request.cookies.get(self._name, "")
        came = 20 <= len(token) <= 128 and token.isascii()
        if not came:
            token = secrets.token_urlsafe(32)
        return TokenSession(token, came, hmac.new(self._secret, b"csrf " + token.encode(), hashlib.sha256).hexdigest())

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, TokenSession)
        token = session.get("_user_id")
        if session.ended:
            response.delete_cookie(self._name, httponly=True, samesite="Lax", secure=request.is_secure)
        elif token and token != session.token:
            self._set(response, token, REMEMBER_S if session.remember else None)
        elif session.needed and not session.came:
            self._set(response, session.token, None)

    def _set(self, response: Response, token: str, max_age: int | None) -> None:
        response.set_cookie(
            self._name, token, max_age=max_age, httponly=True, samesite="Lax", secure=request.is_secure, path="/"
        )


class Visitor(UserMixin):  # type: ignore[misc]
    """Who is signed in. To Flask-Login the token is the user's id, so each request looks the login up."""

    def __init__(self, token: str, login: LoggedIn) -> None:
        self.token = token
        self.login = login
        self.session_id = login.session
        self.user_id = login.user
        self.name = login.name
        self.role = login.role

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def get_id(self) -> str:
        return self.token


def current() -> Visitor | None:
    """Who the present request belongs to, or None."""
    return current_user._get_current_object() if current_user.is_authenticated else None


def admin_required(view: Callable[Params, Result]) -> Callable[Params, Result]:
    """A view for administrators only; 403 for others. That somebody is signed in is the guard's doing already."""

    @functools.wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        visitor = current()
        if visitor is None or not visitor.is_admin:
            abort(403, description="Only an administrator may do this.")
        return view(*args, **kwargs)

    return guarded


# --- the desk: how often and how many at once a password is checked -------------------------------------------------


class Busy(Exception):
    """Too many passwords are being checked at this moment."""


class Throttled(Exception):
    """Too many failures; `wait` is how many seconds to stay away."""

    def __init__(self, wait: float) -> None:
        self.wait = wait


class Desk:
    """Checks passwords: few at a time, since one check costs much processor and memory, and not too often."""

    def __init__(self, pair: Throttle | None = None, address: Throttle | None = None) -> None:
        self._pair = pair if pair is not None else Throttle(limit=10)
        # One address that tries many names.
        self._address = address if address is not None else Throttle(limit=100)
        self._queue = threading.BoundedSemaphore(4)
        self._checks = threading.BoundedSemaphore(2)

    def check(self, parts: Parts, ip: str, name: str, password: str) -> Any | None:
        """The user, or None. Raises `Throttled` or `Busy` without having checked."""
        pair = (ip, unicodedata.normalize("NFKC", name[:MAX_NAME]).casefold())  # names are one whatever their case
        keys = ((self._pair, pair), (self._address, ip))
        for number, (throttle, key) in enumerate(keys):
            if wait := throttle.attempt(key):
                for before, taken in keys[:number]:
                    before.undo(taken)
                raise Throttled(wait)
        try:
            with self._turn():
                user = None
                if name and password and len(name) <= MAX_NAME and len(password) <= MAX_PASSWORD:
                    user = parts.users.verify(name, password)
        except BaseException:
            for throttle, key in keys:
                throttle.undo(key)
            raise
        if user is not None:
            self._pair.succeeded(pair)
            self._address.undo(ip)
        return user

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._queue.acquire(blocking=False):
            raise Busy
        try:
            with self._checks:
                yield
        finally:
            self._queue.release()


# --- the views ------------------------------------------------------------------------------------------------------


@blueprint.get("/login")
def login() -> AnyResponse | str:
    if current():
        return redirect(local_path(request.args.get("next")))
    return _form()


@blueprint.post("/login")
def sign_in() -> AnyResponse | tuple[str, int, dict[str, str]]:
    parts, ip = current_parts(), _ip()
    name, password = request.form.get("username", "").strip(), request.form.get("password", "")
    try:
        user = _desk().check(parts, ip, name, password)
    except Throttled as error:
        log.warning("sign-in of %s from %s refused: too many failures", _quoted(name), ip)
        return _form(throttled=error.wait), 429, {"Retry-After": str(int(error.wait) + 1)}
    except Busy:
        log.warning("sign-in of %s from %s refused: too many at once", _quoted(name), ip)
        return _form("Too many people sign in at this moment. Try again."), 503, {"Retry-After": str(BUSY_RETRY_S)}
    if user is None:
        log.warning("sign-in of %s from %s failed", _quoted(name), ip)
        return _form("User name or password is wrong."), 401, {}
    remember = request.form.get("remember", "") not in {"", "0", "false"}
    _begin(parts, user, ip, remember)
    log.info("%s signed in from %s", _quoted(user.name), ip)
    return redirect(local_path(request.form.get("next")))


@blueprint.post("/logout")
def logout() -> AnyResponse:
    if visitor := current():
        current_parts().sessions.end(visitor.token)
        log.info("%s signed out from %s", _quoted(visitor.name), _ip())
        logout_user()
    _session().ended = True
    return redirect("/login")


@blueprint.get("/account")
def account() -> str:
    return account_page(done=request.args.get("done", ""))


@blueprint.post("/account/password")
def change_password() -> AnyResponse | tuple[str, int, dict[str, str]]:
    visitor, parts, ip = signed_in(), current_parts(), _ip()
    new, again = request.form.get("new", ""), request.form.get("again", "")
    try:
        user = _desk().check(parts, ip, visitor.name, request.form.get("current", ""))
    except Throttled as error:
        retry = {"Retry-After": str(int(error.wait) + 1)}
        return account_page("Too many wrong passwords. Try again later."), 429, retry
    except Busy:
        return account_page("The server is busy. Try again."), 503, {"Retry-After": str(BUSY_RETRY_S)}
    if user is None:
        log.warning("password change of %s from %s refused: wrong password", _quoted(visitor.name), ip)
        return account_page("The current password is wrong."), 403, {}
    if new != again:
        return account_page("The two new passwords differ."), 400, {}
    if len(new) > MAX_PASSWORD:
        return account_page(f"A password has at most {MAX_PASSWORD} characters."), 400, {}
    try:
        parts.users.set_password(visitor.name, new)
    except Refused as error:
        return account_page(str(error)), 400, {}
    parts.sessions.end_all_of(visitor.user_id)
    _begin(parts, user, ip, remember=False)
    log.info("%s changed the password from %s; all other logins ended", _quoted(visitor.name), ip)
    return redirect("/account?done=password")


@blueprint.post("/account/sessions/<int:number>/end")
def end_session(number: int) -> AnyResponse:
    visitor, parts = signed_in(), current_parts()
    parts.sessions.end_one(number, visitor.user_id)
    log.info("%s ended a login from %s", _quoted(visitor.name), _ip())
    return redirect("/account?done=session" if number != visitor.session_id else "/login")


def _form(error: str = "", throttled: float = 0.0) -> str:
    minutes = -(-int(throttled) // 60)
    target = local_path(request.values.get("next"))
    name = request.form.get("username", "")[:MAX_NAME]
    return render_template("login.html", error=error, wait_minutes=minutes, next=target, username=name)


def account_page(error: str = "", done: str = "", **more: Any) -> str:
    """The page of who is signed in; `more` is for the template."""
    visitor, parts = signed_in(), current_parts()
    return render_template(
        "account.html",
        visitor=visitor,
        sessions=parts.sessions.list_of(visitor.user_id),
        tokens=parts.tokens.list_of(visitor.user_id),
        cameras=names(),
        error=error,
        done=done,
        **more,
    )


def _begin(parts: Parts, user: Any, ip: str, remember: bool) -> None:
    """Start a login under a token that no browser has seen yet, whatever cookie came in."""
    agent = request.headers.get("User-Agent", "")[:200]
    try:
        token = parts.sessions.start(user.id, ip, agent, remember)
        login = parts.sessions.find(token)
    except NotFound:  # disabled or removed between the check and now
        login = None
    if login is None:
        abort(403, description="This user cannot sign in any more.")
    _session().remember = remember
    login_user(Visitor(token, login))


def signed_in() -> Visitor:
    """Who the present request belongs to; 401 for nobody."""
    visitor = current()
    if visitor is None:
        abort(401)
    return visitor


def _session() -> TokenSession:
    from flask import session

    real: TokenSession = session._get_current_object()  # type: ignore[attr-defined]
    return real


def _desk() -> Desk:
    from flask import current_app

    desk: Desk = current_app.extensions["dashboard.desk"]
    return desk


def _ip() -> str:
    return request.remote_addr or "unknown"


def _quoted(name: str) -> str:
    """A name from outside, on one line of the log."""
    return ascii(name[:64])


# --- the guard, as Flask knows it -----------------------------------------------------------------------------------


def _guard() -> AnyResponse | None:
    known = current() is not None
    camera = access.camera_of(request.method, request.path)
    if not known and camera is not None:
        query, authorization = request.query_string.decode("latin-1"), request.headers.get("Authorization", "")
        program = access.login(current_parts(), query, authorization)
        if program is not None and not program.may_see(camera):
            abort(404, description=access.NO_CAMERA)
        known = program is not None
    verdict = decide(request.method, request.path, known)
    if verdict is Verdict.PASS:
        return None
    if verdict is Verdict.METHOD:
        return Response(status=405, headers={"Allow": "GET, HEAD"})
    if verdict is Verdict.REFUSE:
        body = "" if request.method == "OPTIONS" else '{"error": "sign in first"}\n'
        challenge = access.CHALLENGE if camera is not None else None
        return Response(body, 401, mimetype="application/json", headers=challenge)
    location = sign_in_location(request.method, request.path, request.query_string.decode("latin-1"))
    return Response(status=302, headers={"Location": location})


def _limit_form() -> None:
    """Forms here have a handful of fields: thousands are an attempt to keep the parser busy."""
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    if request.mimetype != "application/json":
        request.max_content_length = MAX_FORM
    if request.mimetype == "application/x-www-form-urlencoded" and request.get_data().count(b"&") >= MAX_FIELDS:
        raise RequestEntityTooLarge


def register(app: Flask, parts: Parts) -> None:
    """Close `app` and give it its logins. Called first: what is registered later runs behind the guard."""
    manager = LoginManager()
    manager.session_protection = None  # the row of the login is the protection; addresses of phones change
    app.session_interface = TokenSessions(parts.secret)
    app.secret_key = hmac.new(parts.secret, b"csrf signature", hashlib.sha256).digest()
    app.config.update(WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False)
    app.extensions["dashboard.desk"] = Desk()
    manager.init_app(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> Visitor | None:
        found = parts.sessions.find(token)
        return Visitor(token, found) if found is not None else None

    app.before_request(_guard)
    app.before_request(_limit_form)
    CSRFProtect(app)
    app.register_blueprint(blueprint)

"""Logins: begun, found again by their token, and ended from this side. Passwords belong to users, cookies to the web.

A session ends at its absolute limit of 30 days, and after 12 hours without a request unless the user asked to stay
signed in. Limits are compared with stored times and nothing is kept in between, so a clock that steps back an hour
neither ends nor freezes a session.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from dashboard.errors import NotFound, StoreError
from dashboard.notices import Notices, SessionsEnded
from dashboard.store.database import Database
from dashboard.store.models import Session, User
from dashboard.store.times import Clock, utc

log = logging.getLogger(__name__)

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=30)
SEEN_EVERY = timedelta(minutes=1)
"""How exact `last_seen_at` is: a page with many requests does not write for each."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who asks: the answer to a token."""

    session: int
    user: int
    name: str
    role: str

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, as its user sees it in the list of them."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    remember: bool
    ip: str
    agent: str


class Sessions:
    """The sessions of one database. Each end is told on `notices`, so that open streams end too."""

    def __init__(self, db: Database, notices: Notices | None = None, clock: Clock = time.time) -> None:
        self._db = db
        self._notices = notices
        self._clock = clock

    def start(self, user: int, ip: str, agent: str, remember: bool = False) -> str:
        """Sign the user with this id in; gives the token for the cookie, which is not kept. Raises NotFound."""
        token = secrets.token_urlsafe(32)
        now = utc(self._clock())
        row = Session(
            token_hash=_hashed(token),
            user_id=user,
            created_at=now,
            last_seen_at=now,
            expires_at=now + ABSOLUTE,
            remember=remember,
            ip=_plain(ip, 64),
            agent=_plain(agent, 256),
        )
        with self._db.write() as rows:
            if rows.scalar(select(User.id).where(User.id == user, ~User.disabled).with_for_update()) is None:
                raise NotFound("this user cannot sign in any more")
            rows.add(row)
        return token

    def find(self, token: str) -> LoggedIn | None:
        """Who has this token, if the session is still good. One statement; notes the visit once a minute."""
        if len(token) > 128:
            return None
        now = utc(self._clock())
        with self._db.read() as rows:
            found = rows.execute(
                select(Session.id, Session.last_seen_at, User.id, User.name, User.role)
                .join(User)
                .where(Session.token_hash == _hashed(token), _good(now))
            ).one_or_none()
        if found is None:
            return None
        session, seen, user, name, role = found
        if abs(now - seen) >= SEEN_EVERY:
            self._note_visit(session, now)
        return LoggedIn(session, user, name, role)

    def alive(self, ids: Iterable[int]) -> set[int]:
        """Those of the sessions `ids` that are still good; one statement. Streams ask this now and then."""
        wanted = list(ids)
        if not wanted:
            return set()
        with self._db.read() as rows:
            statement = select(Session.id).join(User).where(Session.id.in_(wanted), _good(utc(self._clock())))
            return set(rows.scalars(statement))

    def end(self, token: str) -> None:
        """Sign out. A token that is not known is nothing to complain about."""
        self._end(Session.token_hash == _hashed(token))

    def end_one(self, session: int, user: int) -> None:
        """End one session out of the list of the user's own. Raises NotFound."""
        if not 0 < session < 2**63 or not self._end(and_(Session.id == session, Session.user_id == user)):
            raise NotFound("there is no such session")

    def end_all_of(self, user: int, but: int | None = None) -> None:
        """End all sessions of the user, except the session `but`."""
        self._end(and_(Session.user_id == user, Session.id != (but or 0)))

    def list_of(self, user: int) -> tuple[SessionView, ...]:
        """The user's good sessions, the one used last first."""
        with self._db.read() as rows:
            found = rows.scalars(
                select(Session)
                .join(User)
                .where(Session.user_id == user, _good(utc(self._clock())))
                .order_by(Session.last_seen_at.desc(), Session.id.desc())
            )
            return tuple(_view(row) for row in found)

    def purge(self) -> int:
        """Delete rows of sessions that are long over. Not those just over: a clock may have been wrong for a moment."""
        now = utc(self._clock())
        with self._db.write() as rows:
            over = delete(Session).where(Session.expires_at < now - ABSOLUTE).returning(Session.id)
            return len(rows.scalars(over).all())

    def _end(self, which: ColumnElement[bool]) -> tuple[int, ...]:
        with self._db.write() as rows:
            ended = tuple(rows.scalars(delete(Session).where(which).returning(Session.id)))
        if ended and self._notices is not None:
            self._notices.publish(SessionsEnded(ended))
        return ended

    def _note_visit(self, session: int, now: datetime) -> None:
        try:
            with self._db.write(patience=0.25) as rows:
                rows.execute(update(Session).where(Session.id == session).values(last_seen_at=now))
        except StoreError as error:  # the page matters more than the note of it
            log.debug("a visit could not be noted: %s", error)


def _good(now: datetime) -> ColumnElement[bool]:
    fresh = or_(Session.remember, Session.last_seen_at > now - IDLE)
    return and_(Session.expires_at > now, fresh, ~User.disabled)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _plain(text: str, length: int) -> str:
    """What came from outside, fit for a column and a page: no control characters, not too long."""
    return "".join(letter for letter in text[:length] if letter.isprintable())


def _view(row: Session) -> SessionView:
    return SessionView(row.id, row.created_at, row.last_seen_at, row.expires_at, row.remember, row.ip, row.agent)

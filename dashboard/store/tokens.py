"""Access tokens: made for another program, found again by what it brings, revoked by their user.

A token stands for its user before some cameras and nothing else; where it is accepted is decided in the web. It does
not end with a new password, since the programs that use it were not told that one; it ends with its user.

**Seats.** A stream remembers under which login it was opened as one number, its seat. For a session that is the
session's row id. For a token it is the token's row id below zero, so the two never meet: `_seat` is the one place
that turns one into the other, `alive` takes and gives seats, and so does the `SessionsEnded` of a revoked token.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session as Rows

from dashboard.errors import NotFound, Refused, StoreError
from dashboard.notices import Notices, SessionsEnded
from dashboard.store.database import Database
from dashboard.store.models import AccessToken, User
from dashboard.store.times import Clock, utc

log = logging.getLogger(__name__)

PREFIX = "cdt_"
"""How every token begins, so that it is known for one wherever it turns up: the log takes it out by this."""
MOST = 50
"""Tokens of one user."""
MAX_LABEL = 64
MAX_CAMERAS = 1000
USED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is: a program that asks each second does not write each second."""


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """Who asks with a token: its user, but with a viewer's rights at most. `cameras`: ids, None for all."""

    session: int
    user: int
    name: str
    cameras: frozenset[str] | None
    role: str = "viewer"

    def may_see(self, camera: str) -> bool:
        """Whether the token is for this camera."""
        return self.cameras is None or camera in self.cameras


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token, as its user sees it in the list of them; what it is made of is not known any more."""

    id: int
    label: str
    cameras: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    expired: bool


class Tokens:
    """The access tokens of one database. Each end is told on `notices`, so that open streams end too."""

    def __init__(self, db: Database, notices: Notices | None = None, clock: Clock = time.time) -> None:
        self._db = db
        self._notices = notices
        self._clock = clock

    def make(self, user: int, label: str, cameras: Sequence[str] | None, days: int | None) -> str:
        """A new token for `cameras` (None: all), good for `days` (None: until revoked); it is not kept.

        Raises Refused: the label is unfit, no camera is named, or there are too many tokens; NotFound: no such user.
        """
        label = label.strip()
        if not 1 <= len(label) <= MAX_LABEL or not label.isprintable():
            raise Refused(f"a label has 1 to {MAX_LABEL} characters, and no control characters")
        if cameras is not None and not 1 <= len(cameras) <= MAX_CAMERAS:
            raise Refused("name the cameras that the program may see")
        token = PREFIX + secrets.token_urlsafe(32)
        now = utc(self._clock())
        row = AccessToken(
            token_hash=_hashed(token),
            user_id=user,
            label=label,
            cameras=None if cameras is None else sorted(set(cameras)),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        with self._db.write() as rows:
            if rows.scalar(select(User.id).where(User.id == user, ~User.disabled).with_for_update()) is None:
                raise NotFound("this user cannot sign in any more")
            if (rows.scalar(select(func.count()).where(AccessToken.user_id == user)) or 0) >= MOST:
                raise Refused(f"there are {MOST} already, which is the most: revoke one that is not used")
            rows.add(row)
        return token

    def find(self, token: str) -> TokenLogin | None:
        """Who asks with this token, if it is still good. One statement; notes the use once a minute."""
        if not token.startswith(PREFIX) or len(token) > 128:
            return None
        now = utc(self._clock())
        with self._db.read() as rows:
            found = rows.execute(
                select(AccessToken.id, AccessToken.cameras, AccessToken.last_used_at, User.id, User.name)
                .join(User)
                .where(AccessToken.token_hash == _hashed(token), _good(now))
            ).one_or_none()
        if found is None:
            return None
        number, cameras, used, user, name = found
        if used is None or abs(now - used) >= USED_EVERY:
            self._note_use(number, now)
        return TokenLogin(_seat(number), user, name, None if cameras is None else frozenset(cameras))

    def alive(self, seats: Iterable[int]) -> set[int]:
        """Those of the seats whose token is still good; one statement. Seats of sessions are none of ours."""
        wanted = [_seat(seat) for seat in seats if seat < 0]
        if not wanted:
            return set()
        with self._db.read() as rows:
            good = select(AccessToken.id).join(User).where(AccessToken.id.in_(wanted), _good(utc(self._clock())))
            return {_seat(number) for number in rows.scalars(good)}

    def list_of(self, user: int) -> tuple[TokenView, ...]:
        """The user's tokens, the newest first; also those that have expired, until they are revoked."""
        now = utc(self._clock())
        with self._db.read() as rows:
            found = select(AccessToken).where(AccessToken.user_id == user).order_by(AccessToken.id.desc())
            return tuple(_view(row, now) for row in rows.scalars(found))

    def revoke(self, number: int, user: int) -> None:
        """End this token of this user, at once and for good. Raises NotFound."""
        with self._db.write() as rows:
            ended = _delete(rows, and_(AccessToken.id == number, AccessToken.user_id == user))
        if not ended:
            raise NotFound("there is no such token")
        if self._notices is not None:
            self._notices.publish(SessionsEnded(ended))

    def _note_use(self, number: int, now: datetime) -> None:
        try:
            with self._db.write(patience=0.25) as rows:
                rows.execute(update(AccessToken).where(AccessToken.id == number).values(last_used_at=now))
        except StoreError as error:  # the picture matters more than the note of it
            log.debug("the use of a token could not be noted: %s", error)


def revoke_all_of(rows: Rows, user: int) -> tuple[int, ...]:
    """Delete the user's tokens, in the transaction that takes the right away; gives their seats."""
    return _delete(rows, AccessToken.user_id == user)


def _delete(rows: Rows, which: ColumnElement[bool]) -> tuple[int, ...]:
    return tuple(_seat(number) for number in rows.scalars(delete(AccessToken).where(which).returning(AccessToken.id)))


def _seat(number: int) -> int:
    """The seat of the token with this row id, and back."""
    return -number


def _good(now: datetime) -> ColumnElement[bool]:
    return and_(or_(AccessToken.expires_at.is_(None), AccessToken.expires_at > now), ~User.disabled)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _view(row: AccessToken, now: datetime) -> TokenView:
    cameras = None if row.cameras is None else tuple(row.cameras)
    expired = row.expires_at is not None and row.expires_at <= now
    return TokenView(row.id, row.label, cameras, row.created_at, row.expires_at, row.last_used_at, expired)

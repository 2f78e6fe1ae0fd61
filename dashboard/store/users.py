"""Who may sign in, with what password and in which role. That somebody is signed in belongs to sessions."""

from __future__ import annotations

import logging
import secrets
import time
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as Rows

from dashboard.errors import NotFound, Refused, StoreError
from dashboard.notices import Notices, SessionsEnded
from dashboard.store.database import Database
from dashboard.store.models import Session, User
from dashboard.store.passwords import Passwords, refuse_weak
from dashboard.store.times import Clock, utc
from dashboard.store.tokens import revoke_all_of

log = logging.getLogger(__name__)

ROLES = ("admin", "viewer")


@dataclass(frozen=True, slots=True)
class UserView:
    """A user, as read from its row; without the hash."""

    id: int
    name: str
    role: str
    disabled: bool
    created_at: datetime

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


class Users:
    """The users of one database. A change that takes a right away ends the user's sessions with it,
    and a user who may not sign in any more loses the access tokens as well.

    `notices` hears of those, so that open streams end too; a command beside the server has none to tell.
    """

    def __init__(
        self,
        db: Database,
        notices: Notices | None = None,
        passwords: Passwords | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._db = db
        self._notices = notices
        self._passwords = passwords or Passwords()
        self._clock = clock

    def add(self, name: str, password: str, role: str = "viewer") -> UserView:
        """A new user. Raises Refused: the name is taken or unfit, the password too weak, the role unknown."""
        if role not in ROLES:
            raise Refused(f"there is no role {role!r}: admin or viewer")
        _check_name(name)
        refuse_weak(name, password)
        row = self._new(name, password, role)
        if not self._insert(row):
            raise Refused(f"there is already a user {name}")
        return _view(row)

    def verify(self, name: str, password: str) -> UserView | None:
        """The user, if name and password are right and the user is not disabled.

        Takes the same time for a name that is not known. A hash made with older parameters is made anew.
        """
        with self._db.read() as rows:
            row = _find(rows, name)
        if not self._passwords.right(password, row.password if row else None) or row is None or row.disabled:
            return None
        if self._passwords.is_old(row.password):
            self._renew(row, password)
        return _view(row)

    def find(self, name: str) -> UserView:
        """The user of that name, whatever its case. Raises NotFound."""
        with self._db.read() as rows:
            return _view(_need(rows, name))

    def list(self) -> tuple[UserView, ...]:
        """All users, by name."""
        with self._db.read() as rows:
            return tuple(_view(row) for row in rows.scalars(select(User).order_by(User.name_key)))

    def set_password(self, name: str, password: str, but: int | None = None) -> None:
        """Set a new password and end all sessions of the user, except the session `but`. Raises NotFound, Refused."""
        refuse_weak(self.find(name).name, password)
        hashed = self._passwords.hash(password)
        with self._db.write() as rows:
            row = _need(rows, name)
            row.password = hashed
            ended = _end_sessions(rows, row.id, but)
        self._tell(ended)

    def disable(self, name: str) -> None:
        """Keep the user, but let it sign in no more. Raises NotFound; Refused for the last admin."""
        with self._db.write() as rows:
            row = _need(rows, name)
            _keep_an_admin(rows, row)
            row.disabled = True
            ended = _end_sessions(rows, row.id) + revoke_all_of(rows, row.id)
        self._tell(ended)

    def enable(self, name: str) -> None:
        """Let a disabled user sign in again. Raises NotFound."""
        with self._db.write() as rows:
            _need(rows, name).disabled = False

    def remove(self, name: str) -> None:
        """Remove the user. Raises NotFound; Refused for the last admin."""
        with self._db.write() as rows:
            row = _need(rows, name)
            _keep_an_admin(rows, row)
            ended = _end_sessions(rows, row.id) + revoke_all_of(rows, row.id)
            rows.delete(row)
        self._tell(ended)

    def ensure_first(self) -> tuple[str, str] | None:
        """Make `admin` with a random password if there is no user at all; gives both, this once."""
        if self.list():
            return None
        password = secrets.token_urlsafe(15)
        row = self._new("admin", password, "admin")
        return ("admin", password) if self._insert(row) else None

    def _new(self, name: str, password: str, role: str) -> User:
        return User(
            name=name,
            name_key=_key(name),
            role=role,
            password=self._passwords.hash(password),
            disabled=False,
            created_at=utc(self._clock()),
        )

    def _insert(self, row: User) -> bool:
        """Add the row, unless the name is taken, if only just now by another process."""
        try:
            with self._db.write() as rows:
                if _find(rows, row.name) is not None:
                    return False
                rows.add(row)
        except StoreError:
            with self._db.read() as rows:
                if _find(rows, row.name) is None:
                    raise
            return False
        return True

    def _renew(self, old: User, password: str) -> None:
        try:
            hashed = self._passwords.hash(password)
            with self._db.write(patience=0.5) as rows:
                row = rows.get(User, old.id)
                if row is not None and row.password == old.password:
                    row.password = hashed
        except StoreError as error:  # no reason to keep the user out; the next sign-in tries again
            log.warning("the password hash of %s could not be renewed: %s", old.name, error)

    def _tell(self, ended: tuple[int, ...]) -> None:
        if ended and self._notices is not None:
            self._notices.publish(SessionsEnded(ended))


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= 64:
        raise Refused("a user's name has 1 to 64 characters")
    if not name.isprintable() or name != name.strip():
        raise Refused("a user's name has no control characters, and no spaces at its ends")


def _key(name: str) -> str:
    """What is one name for us: case and ways of composing do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _find(rows: Rows, name: str) -> User | None:
    if len(name) > 64 or not name.isprintable():  # before any work on it; and PostgreSQL takes no NUL
        return None
    return rows.scalar(select(User).where(User.name_key == _key(name)))


def _need(rows: Rows, name: str) -> User:
    row = _find(rows, name)
    if row is None:
        raise NotFound(f"there is no user {name[:64]!r}")
    return row


def _keep_an_admin(rows: Rows, row: User) -> None:
    """Raise Refused if `row` is the only admin who can sign in. The lock keeps two from leaving together."""
    admins = rows.scalars(select(User.id).where(User.role == "admin", ~User.disabled).with_for_update()).all()
    if list(admins) == [row.id]:
        raise Refused(f"{row.name} is the last admin: make another one first")


def _end_sessions(rows: Rows, user: int, but: int | None = None) -> tuple[int, ...]:
    """Delete the user's sessions, in the transaction that takes the right away; gives their ids."""
    statement = delete(Session).where(Session.user_id == user, Session.id != (but or 0)).returning(Session.id)
    return tuple(rows.scalars(statement))


def _view(row: User) -> UserView:
    return UserView(row.id, row.name, row.role, row.disabled, row.created_at)

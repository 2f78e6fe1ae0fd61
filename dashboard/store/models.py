"""The tables, column by column, and why each is there. Reading and writing them is in the module of each noun.

Times are UTC in every row (`UtcTime`); what a person sees is made local on the way out, elsewhere. Camera ids are
plain text, not keys of a table: cameras are declared in cameras.yaml, and events outlive a camera that was removed.
A change here needs a migration in the same commit; a test compares both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Box = tuple[float, float, float, float]
"""x, y, width, height as parts (0..1) of the picture; x and y are the upper left corner."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time, UTC. PostgreSQL keeps `timestamptz`, SQLite text of one width, so both sort by time.

    A naive time is refused with ValueError: it could mean any zone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class BoxType(TypeDecorator[Box]):
    """A `Box` as a JSON list of four numbers; NULL for none."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Box | None, dialect: Dialect) -> list[float] | None:
        return None if value is None else [round(float(number), 4) for number in value]

    def process_result_value(self, value: Any, dialect: Dialect) -> Box | None:
        return None if value is None else (value[0], value[1], value[2], value[3])


Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts rows by itself only in a column of exactly this type."""


class Base(DeclarativeBase):
    """Every constraint has a name by rule, so that a migration can change it on both engines."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# SQLite gives the number of a deleted last row to the next one, unless told otherwise: an old link, or a stream that
# remembers its session by number, would then mean somebody else's.
COUNT_ON = {"sqlite_autoincrement": True}


class User(Base):
    """Who may sign in."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("name_key"), COUNT_ON)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))  # as it was typed, for people
    name_key: Mapped[str] = mapped_column(String(256))  # folded: "Ann" and "ann" are one, on both engines alike
    role: Mapped[str] = mapped_column(String(16))  # admin or viewer
    password: Mapped[str] = mapped_column(String(256))  # argon2id hash with its parameters in it
    disabled: Mapped[bool] = mapped_column(default=False)  # kept, because what a user reviewed stays known by name
    created_at: Mapped[datetime] = mapped_column(UtcTime)  # shown in the list of users


class Session(Base):
    """A login. Kept here, not in a cookie, so that it can be ended from this side."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "user_id"), COUNT_ON)

    id: Mapped[int] = mapped_column(Key, primary_key=True)  # streams remember it, to end with the login
    token_hash: Mapped[str] = mapped_column(String(64))  # SHA-256: who reads the database cannot sign in with it
    user_id: Mapped[int] = mapped_column(Key, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcTime)  # shown to the user: "signed in since"
    last_seen_at: Mapped[datetime] = mapped_column(UtcTime)  # for the idle limit; written at most once a minute
    expires_at: Mapped[datetime] = mapped_column(UtcTime)  # the absolute limit, whatever happens in between
    remember: Mapped[bool]  # the user asked to stay signed in: no idle limit
    ip: Mapped[str] = mapped_column(String(64))  # shown to the user, who may not know this place
    agent: Mapped[str] = mapped_column(String(256))  # the browser's name for itself, shown likewise


class AccessToken(Base):
    """What lets another program see some cameras in a user's name, and do nothing else."""

    __tablename__ = "access_tokens"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "user_id"), COUNT_ON)

    id: Mapped[int] = mapped_column(Key, primary_key=True)  # streams remember it, to end with the token
    token_hash: Mapped[str] = mapped_column(String(64))  # SHA-256: who reads the database sees no camera with it
    user_id: Mapped[int] = mapped_column(Key, ForeignKey("users.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(64))  # what it is for, in the user's words
    cameras: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))  # ids; NULL: all, later ones too
    created_at: Mapped[datetime] = mapped_column(UtcTime)  # shown to the user
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)  # NULL: never
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)  # shows what can go; at most one write a minute


class Event(Base):
    """Something moved before a camera, from `started_at` to `ended_at`."""

    __tablename__ = "events"
    __table_args__ = (
        # The review pages by (started_at, id); `reviewed_at` is inside so that its filter needs no row read.
        Index("ix_events_started_at", "started_at", "id", "reviewed_at"),
        Index("ix_events_camera_started_at", "camera", "started_at", "id", "reviewed_at"),
        COUNT_ON,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)  # in URLs; files are chosen by it, never by a path
    camera: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)  # NULL while it goes on
    closed_by: Mapped[str | None] = mapped_column(
        String(16)
    )  # end, crash (closed at the next start), found (see below)
    recorded_at: Mapped[datetime] = mapped_column(UtcTime)  # when the row came; later than the event if it was found
    peak_at: Mapped[datetime] = mapped_column(UtcTime)  # the moment that shows most
    peak_area: Mapped[float] = mapped_column(
        Double
    )  # % of the picture that moved then; the review sorts out leaves by it
    peak_box: Mapped[Box | None] = mapped_column(BoxType)  # where; drawn over the peak snapshot
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcTime)  # NULL: nobody has looked yet
    reviewed_by: Mapped[str | None] = mapped_column(String(64))  # a name, not a key: it outlives the user


class Snapshot(Base):
    """One saved picture of an event: a row that describes exactly one file."""

    __tablename__ = "snapshots"
    # `size` is inside, so that what a camera takes up is summed without reading the rows.
    __table_args__ = (Index("ix_snapshots_event_id", "event_id", "size"), UniqueConstraint("path"), COUNT_ON)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    event_id: Mapped[int] = mapped_column(Key, ForeignKey("events.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))  # before, start, peak or end
    taken_at: Mapped[datetime] = mapped_column(UtcTime)  # when the camera's picture arrived, not when it was saved
    path: Mapped[str] = mapped_column(String(256))  # below the data folder, with "/"
    size: Mapped[int]  # bytes; retention counts with it, `check` compares
    sha256: Mapped[str] = mapped_column(String(64))  # of the file as written: shows a change afterwards
    width: Mapped[int]  # the page lays out before the picture is there
    height: Mapped[int]
    box: Mapped[Box | None] = mapped_column(BoxType)  # where it moved in this very picture
    score: Mapped[float | None] = mapped_column(Double)  # % of this picture that moved; NULL for a file that was found
    missing_at: Mapped[datetime | None] = mapped_column(UtcTime)  # the file was looked for and not there; may come back


class Garbage(Base):
    """A file whose row is gone and which is still to be deleted. After a crash it must not be taken for a find."""

    __tablename__ = "garbage"

    path: Mapped[str] = mapped_column(String(256), primary_key=True)


class CameraState(Base):
    """A camera went up or down: the answer to "was it recording at ten past two?"."""

    __tablename__ = "camera_states"
    __table_args__ = (Index("ix_camera_states_camera_at", "camera", "at"), COUNT_ON)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    camera: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))  # connecting, live, stalled, offline or disabled
    reason: Mapped[str] = mapped_column(String(256))  # in words, as the tile said it
    at: Mapped[datetime] = mapped_column(UtcTime)

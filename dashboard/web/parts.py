"""What the web needs from the rest of the house, and nothing more; `system` fills it in, tests fill in fakes.

Only shapes stand here. Each protocol names the few methods that the pages and streams call; who implements them,
and how, is not known in `web`. Times are seconds since the epoch, UTC; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Protocol

from flask import current_app

from dashboard.live.audience import Audience
from dashboard.live.cameras import Camera as Watchable
from dashboard.live.cameras import Seen, Status
from dashboard.notices import Notices

if TYPE_CHECKING:
    from dashboard.config import Config


class CameraStatus(Status, Protocol):
    """How a camera is right now, with its counters. Sizes in pixels, None while not known."""

    @property
    def reconnects(self) -> int: ...
    @property
    def decoded_frames(self) -> int: ...
    @property
    def encoded_jpegs(self) -> int: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def codec(self) -> str | None: ...
    @property
    def restarts(self) -> int: ...


class CameraSpec(Protocol):
    """What cameras.yaml says of a camera, as far as the pages show it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def kind(self) -> str: ...

    def address(self, secrets: bool = False) -> str: ...


class Camera(Watchable, Protocol):
    """A camera of the registry; its `spec` is a `CameraSpec` and more. It decodes only while somebody follows it."""

    def status(self) -> CameraStatus: ...


class Cameras(Protocol):
    """The cameras of now, in the order of the file."""

    def get(self, camera: str, /) -> Camera | None: ...
    def __iter__(self) -> Iterator[Camera]: ...


class User(Protocol):
    """An account. `role` is admin or viewer."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class LoggedIn(Protocol):
    """A login that is good now: whose it is, and the row that holds it."""

    @property
    def session(self) -> int: ...
    @property
    def user(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class Users(Protocol):
    """Accounts. Passwords go in and never come out."""

    def verify(self, name: str, password: str, /) -> User | None: ...
    def set_password(self, name: str, password: str, but: int | None = None) -> None: ...


class Sessions(Protocol):
    """Logins; a token goes to the browser once, only its hash is kept."""

    def start(self, user: int, ip: str, agent: str, remember: bool) -> str: ...
    def find(self, token: str, /) -> LoggedIn | None: ...
    def end(self, token: str, /) -> None: ...
    def end_one(self, session: int, user: int) -> None: ...
    def end_all_of(self, user: int, but: int | None = None) -> None: ...
    def alive(self, ids: Iterable[int], /) -> set[int]: ...
    def list_of(self, user: int, /) -> Sequence[Any]: ...


class TokenLogin(LoggedIn, Protocol):
    """A login by access token; its `session` is below zero. It reaches the pictures of its cameras and nothing else."""

    def may_see(self, camera: str, /) -> bool: ...


class Tokens(Protocol):
    """Access tokens of other programs; each is shown once, only its hash is kept. `alive` speaks of `session`s."""

    def make(self, user: int, label: str, cameras: Sequence[str] | None, days: int | None) -> str: ...
    def find(self, token: str, /) -> TokenLogin | None: ...
    def alive(self, seats: Iterable[int], /) -> set[int]: ...
    def list_of(self, user: int, /) -> Sequence[Any]: ...
    def revoke(self, number: int, user: int) -> None: ...


class Snapshots(Protocol):
    """Saved pictures, as files. `free`: bytes left on the disk; `reserved`: whether saving waits for room."""

    def free(self) -> int: ...
    def reserved(self) -> bool: ...


def _nothing_seen(camera: str) -> Seen | None:
    return None


def _no_findings() -> tuple[str, ...]:
    return ()


def _no_stats() -> Mapping[str, Any]:
    return {}


def _no_metrics() -> bytes:
    return b""


def _healthy() -> bool:
    return True


@dataclass(frozen=True)
class Parts:
    """The rest of the house, as the web sees it."""

    cameras: Cameras
    config: Callable[[], Config]
    users: Users
    sessions: Sessions
    tokens: Tokens
    events: Any
    snapshots: Any
    states: Any
    notices: Notices
    secret: bytes
    """At least 32 random bytes, the same after a restart."""
    zone: tzinfo
    version: str
    no_signal: Callable[[Any, int], bytes]
    """Draws "no signal since 14:02:11" for a camera, `width` pixels wide, as JPEG. Called in a thread."""
    config_findings: Callable[[], tuple[str, ...]] = field(default=_no_findings)
    seen: Callable[[str], Seen | None] = field(default=_nothing_seen)
    stats: Callable[[], Mapping[str, Any]] = field(default=_no_stats)
    metrics: Callable[[], bytes] = field(default=_no_metrics)
    healthy: Callable[[], bool] = field(default=_healthy)
    audience: Audience = field(default_factory=Audience)
    """Who watches; `audience.viewers(camera)` may be asked from any thread."""


def current_parts() -> Parts:
    """The parts of the app that answers the present request."""
    parts: Parts = current_app.extensions["dashboard.parts"]
    return parts

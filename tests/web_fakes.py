"""A whole house for the web without cameras, disk or database; `python -m tests.web_fakes` serves it on a free port.

Sign in as admin / correct horse, or viewer / battery staple.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from dashboard import notices
from dashboard.channel import Channel
from dashboard.errors import NotFound, Refused
from dashboard.web.parts import Parts

PASSWORDS = {"admin": "correct horse", "viewer": "battery staple"}


def picture(text: str, number: int, width: int = 640, height: int = 360) -> bytes:
    """A JPEG that differs with `number`: a grey sky, a box that walks, and words."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[:, :, 0] += np.linspace(0, 60, height, dtype=np.uint8)[:, None]
    left = (number * 8) % max(1, width - 60)
    cv2.rectangle(pixels, (left, height // 2), (left + 60, height // 2 + 80), (90, 160, 220), -1)
    cv2.putText(pixels, f"{text} {number}", (16, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (230, 230, 230), 2)
    good, jpeg = cv2.imencode(".jpg", pixels)
    assert good
    return bytes(jpeg.tobytes())


@dataclass
class FakeFrame:
    """A frame whose JPEG is drawn once for each width and quality; `encodes` counts how often that was."""

    camera: str
    number: int
    taken_at: float = field(default_factory=time.time)
    at: float = field(default_factory=time.monotonic)
    width: int = 640
    height: int = 360
    body: bytes | None = None
    encodes: int = 0

    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes:
        self.encodes += 1
        if self.body is not None:
            return self.body
        wide = min(width or self.width, self.width)
        return picture(self.camera, self.number, wide, max(2, wide * self.height // self.width))


@dataclass(frozen=True)
class FakeSpec:
    id: str
    name: str
    enabled: bool = True
    kind: str = "replay"

    def address(self, secrets: bool = False) -> str:
        return f"replay of {self.id}.mp4"


@dataclass(frozen=True)
class FakeStatus:
    state: str = "live"
    reason: str = ""
    since: float = 0.0
    fps: float = 10.0
    frame_age_s: float | None = 0.05
    reconnects: int = 0
    decoded_frames: int = 0
    encoded_jpegs: int = 0
    width: int = 640
    height: int = 360
    codec: str = "h264"
    restarts: int = 0


class FakeCamera:
    """A camera whose frames the test publishes, or that runs by itself after `start`."""

    def __init__(self, camera: str, name: str = "", state: str = "live", reason: str = "") -> None:
        self.id = camera
        self.spec = FakeSpec(camera, name or camera.title())
        self.frames: Channel[FakeFrame] = Channel()
        self.small = self.frames
        self.packets: Channel[bytes] = Channel()
        self.video: Channel[Any] = Channel()
        self.small_video = self.video
        self.codec = "mjpeg"
        self.state, self.reason, self.since = state, reason, time.time()
        self.published = 0

    def status(self) -> FakeStatus:
        newest = self.frames.newest
        age = time.monotonic() - newest.at if newest else None
        return FakeStatus(
            self.state, self.reason, self.since, 10.0, age, decoded_frames=self.published, codec=self.codec
        )

    def publish(self, frame: FakeFrame | None = None) -> FakeFrame:
        self.published += 1
        frame = frame or FakeFrame(self.id, self.published)
        self.frames.publish(frame)
        return frame


class FakeCameras:
    def __init__(self, cameras: Iterable[FakeCamera]) -> None:
        self.by_id = {camera.id: camera for camera in cameras}

    def get(self, camera: str) -> FakeCamera | None:
        return self.by_id.get(camera)

    def __iter__(self) -> Iterator[FakeCamera]:
        return iter(list(self.by_id.values()))


@dataclass(frozen=True)
class FakeUser:
    id: int
    name: str
    role: str


@dataclass(frozen=True)
class FakeLogin:
    session: int
    user: int
    name: str
    role: str


class FakeUsers:
    def __init__(self) -> None:
        self.passwords = dict(PASSWORDS)
        self.users = {"admin": FakeUser(1, "admin", "admin"), "viewer": FakeUser(2, "viewer", "viewer")}
        self.checks = 0

    def verify(self, name: str, password: str) -> FakeUser | None:
        self.checks += 1
        return self.users.get(name) if self.passwords.get(name) == password else None

    def set_password(self, name: str, password: str, but: int | None = None) -> None:
        if len(password) < 8:
            raise Refused("a password has at least 8 characters")
        self.passwords[name] = password


class FakeSessions:
    def __init__(self, users: FakeUsers, told: notices.Notices) -> None:
        self._users, self._told = users, told
        self.rows: dict[str, Any] = {}
        self._ids = 0

    def start(self, user: int, ip: str, agent: str, remember: bool) -> str:
        token = secrets.token_urlsafe(32)
        self._ids += 1
        now = datetime.now(UTC)
        self.rows[token] = SimpleNamespace(
            id=self._ids,
            user=next(one for one in self._users.users.values() if one.id == user),
            ip=ip,
            agent=agent,
            remember=remember,
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(days=30),
        )
        return token

    def find(self, token: str) -> FakeLogin | None:
        row = self.rows.get(token)
        return FakeLogin(row.id, row.user.id, row.user.name, row.user.role) if row else None

    def end(self, token: str) -> None:
        if row := self.rows.pop(token, None):
            self._told.publish(notices.SessionsEnded((row.id,)))

    def end_one(self, session: int, user: int) -> None:
        tokens = [token for token, row in self.rows.items() if row.id == session and row.user.id == user]
        if not tokens:
            raise NotFound("there is no such session")
        self.end(tokens[0])

    def end_all_of(self, user: int, but: int | None = None) -> None:
        for token in [t for t, row in self.rows.items() if row.user.id == user and row.id != but]:
            self.end(token)

    def alive(self, ids: Iterable[int]) -> set[int]:
        return {row.id for row in self.rows.values()} & set(ids)

    def list_of(self, user: int) -> Sequence[Any]:
        return [row for row in self.rows.values() if row.user.id == user]


@dataclass(frozen=True)
class FakeTokenLogin(FakeLogin):
    cameras: tuple[str, ...] | None

    def may_see(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras


class FakeTokens:
    def __init__(self, users: FakeUsers, told: notices.Notices) -> None:
        self._users, self._told = users, told
        self.rows: dict[str, Any] = {}
        self._ids = 0

    def make(self, user: int, label: str, cameras: Sequence[str] | None, days: int | None) -> str:
        token = "cdt_" + secrets.token_urlsafe(32)
        self._ids += 1
        now = datetime.now(UTC)
        self.rows[token] = SimpleNamespace(
            id=self._ids,
            user=next(one for one in self._users.users.values() if one.id == user),
            label=label,
            cameras=None if cameras is None else tuple(cameras),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
            last_used_at=None,
            expired=False,
        )
        return token

    def find(self, token: str) -> FakeTokenLogin | None:
        row = self.rows.get(token)
        return FakeTokenLogin(-row.id, row.user.id, row.user.name, "viewer", row.cameras) if row else None

    def alive(self, seats: Iterable[int]) -> set[int]:
        return {-row.id for row in self.rows.values()} & set(seats)

    def list_of(self, user: int) -> Sequence[Any]:
        return [row for row in self.rows.values() if row.user.id == user]

    def revoke(self, number: int, user: int) -> None:
        found = [token for token, row in self.rows.items() if row.id == number and row.user.id == user]
        if not found:
            raise NotFound("there is no such token")
        del self.rows[found[0]]
        self._told.publish(notices.SessionsEnded((-number,)))


class FakeSnapshots:
    def __init__(self) -> None:
        self.is_reserved = False

    def free(self) -> int:
        return 50_000_000_000

    def reserved(self) -> bool:
        return self.is_reserved


def fake_parts(cameras: Sequence[FakeCamera] | None = None, **changes: Any) -> Parts:
    """Parts over fakes; any field can be given instead."""
    told = notices.new_channel()
    users = FakeUsers()
    some = cameras if cameras is not None else [FakeCamera("door", "Front door"), FakeCamera("yard")]
    fields: dict[str, Any] = {
        "cameras": FakeCameras(some),
        "config": lambda: SimpleNamespace(cameras=tuple(camera.spec for camera in some), timezone=None),
        "users": users,
        "sessions": FakeSessions(users, told),
        "tokens": FakeTokens(users, told),
        "events": FakeEvents(),
        "snapshots": FakeSnapshots(),
        "states": SimpleNamespace(history=lambda camera, limit=20: []),
        "notices": told,
        "secret": b"s" * 32,
        "zone": UTC,
        "version": "0.0.0",
        "no_signal": lambda camera, width: picture(f"{camera.id}: no signal", 0, width, width * 9 // 16),
    }
    return Parts(**{**fields, **changes})


class FakeEvents:
    """No events at all."""

    def page(self, *args: Any, **kwargs: Any) -> Any:
        return SimpleNamespace(events=(), next_cursor=None)

    def get(self, number: int) -> None:
        return None

    def recent(self, camera: str, limit: int = 10) -> Sequence[Any]:
        return ()

    def days(self, *args: Any, **kwargs: Any) -> Sequence[Any]:
        return ()


def run_camera(camera: FakeCamera, stop: threading.Event, fps: float = 10.0) -> threading.Thread:
    """Publish frames until `stop`; the returned thread is started."""

    def run() -> None:
        while not stop.wait(1 / fps):
            if camera.state == "live":
                camera.publish()

    thread = threading.Thread(target=run, name=f"capture-{camera.id}", daemon=True)
    thread.start()
    return thread


def main() -> None:
    from dashboard.web.asgi import Application
    from dashboard.web.serving import serve

    cameras = [FakeCamera(name, name.title()) for name in ("door", "yard", "garage", "lobby", "till", "stairs")]
    cameras += [FakeCamera("attic", "Attic", "offline", "host unreachable"), FakeCamera("shed", "Shed", "connecting")]
    stop = threading.Event()
    for camera in cameras:
        run_camera(camera, stop)
    serve(
        Application(fake_parts(cameras)),
        "127.0.0.1",
        int(sys.argv[1]) if len(sys.argv) > 1 else 0,
        lambda host, port: print(f"http://{host}:{port}", flush=True),
    )


if __name__ == "__main__":
    main()

"""A whole house for tests of pages: fake cameras, real rows and files in a temporary folder, and a real server.

Events are written as the motion watchers write them, with pictures that are drawn here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejpeg

from dashboard import notices
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.snapshots import Snapshots
from dashboard.store.states import States
from dashboard.web.parts import Parts
from tests.web_fakes import FakeCamera, fake_parts, picture


@dataclass(frozen=True)
class Peak:
    at: float
    area: float = 4.2
    box: tuple[float, float, float, float] | None = (0.4, 0.5, 0.1, 0.22)


@dataclass(frozen=True)
class Picture:
    kind: str
    taken_at: float
    jpeg: bytes
    width: int = 640
    height: int = 360
    box: tuple[float, float, float, float] | None = (0.4, 0.5, 0.1, 0.22)
    score: float = 4.2


def thumbnail(jpeg: bytes) -> bytes:
    """A JPEG half as large."""
    pixels = simplejpeg.decode_jpeg(jpeg, "BGR")
    return simplejpeg.encode_jpeg(pixels[::2, ::2].copy(), quality=75, colorspace="BGR")


class Store:
    """Rows and files in `folder`."""

    def __init__(self, folder: Path, told: notices.Notices) -> None:
        self.db = Database(folder)
        self.db.migrate()
        self.snapshots = Snapshots(folder, reserve=0, thumbnail=thumbnail)
        self.events = Events(self.db, self.snapshots, told)
        self.states = States(self.db)

    def event(
        self, camera: str = "door", at: float | None = None, lasts: float | None = 6.0, pictures: Sequence[str] = ()
    ) -> int:
        """An event that began at `at` (epoch, s; now); `lasts` None leaves it open. Gives its id."""
        at = time.time() - 20 if at is None else at
        offsets = {"before": -2.0, "start": 0.0, "peak": (lasts or 2) / 2, "end": lasts or 4}
        shots = {
            kind: Picture(kind, at + late, picture(camera, 20 + number * 6), box=None if kind == "before" else Peak.box)
            for number, (kind, late) in enumerate(offsets.items())
            if kind in (pictures or offsets)
        }
        peak = Peak(at + offsets["peak"])
        number = self.events.started(camera, at, [s for s in (shots.get("before"), shots.get("start")) if s], peak)
        if lasts is not None:
            self.events.ended(number, at + lasts, [s for s in (shots.get("peak"), shots.get("end")) if s], peak)
        return number


@contextmanager
def house(folder: Path, cameras: Sequence[FakeCamera] | None = None, **changes: Any) -> Iterator[tuple[Parts, Store]]:
    """Parts over a real store; users and logins are fakes (admin / correct horse, viewer / battery staple)."""
    base = fake_parts(cameras)
    store = Store(folder, base.notices)
    own = {"events": store.events, "snapshots": store.snapshots, "states": store.states, "notices": base.notices}
    try:
        yield fake_parts(cameras, **{**own, "sessions": base.sessions, "users": base.users, **changes}), store
    finally:
        store.db.close()

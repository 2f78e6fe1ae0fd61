"""The wall, and the page of one camera. Their live pictures come over the streams, not from here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, render_template

from dashboard.web.parts import Camera, current_parts

blueprint = Blueprint("cameras", __name__)

RECENT = 6
HISTORY = 12


@dataclass(frozen=True, slots=True)
class CameraView:
    """A camera as pages and JSON show it: what the file says of it, without secrets, and how it is now."""

    id: str
    name: str
    address: str = ""
    enabled: bool = True
    state: str = "connecting"
    reason: str = ""
    since: datetime | None = None
    fps: float = 0.0
    frame_age_s: float | None = None
    reconnects: int = 0
    decoded_frames: int = 0
    encoded_jpegs: int = 0
    width: int = 0
    height: int = 0
    codec: str = ""

    @property
    def since_ms(self) -> int:
        """Epoch, ms; 0 when unknown."""
        return int(self.since.timestamp() * 1000) if self.since else 0


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A camera's state from `at` on, and for how many seconds; None while it lasts."""

    state: str
    reason: str
    at: datetime
    seconds: float | None


def view_of(camera: Camera) -> CameraView:
    """What is shown of a camera now."""
    status = camera.status()
    return CameraView(
        id=camera.id,
        name=camera.spec.name or camera.id,
        address=camera.spec.address(),
        enabled=camera.spec.enabled,
        state=status.state,
        reason=status.reason,
        since=datetime.fromtimestamp(status.since, UTC) if status.since else None,
        fps=status.fps,
        frame_age_s=status.frame_age_s,
        reconnects=status.reconnects,
        decoded_frames=status.decoded_frames,
        encoded_jpegs=status.encoded_jpegs,
        width=status.width or 0,
        height=status.height or 0,
        codec=status.codec or "",
    )


def find_camera(camera: str) -> Camera:
    """The camera of that id, or 404."""
    found = current_parts().cameras.get(camera)
    if found is None:
        abort(404, description="There is no camera of that name in cameras.yaml.")
    return found


def names() -> dict[str, str]:
    """Id to name of all cameras, in the order of the file."""
    return {camera.id: camera.spec.name or camera.id for camera in current_parts().cameras}


def spans(states: Iterable[Any]) -> list[StateSpan]:
    """Changes of state, newest first, as spans of time."""
    found: list[StateSpan] = []
    until: datetime | None = None
    for change in states:
        seconds = None if until is None else (until - change.at).total_seconds()
        found.append(StateSpan(change.state, change.reason, change.at, seconds))
        until = change.at
    return found


def _neighbours(cameras: Sequence[Camera], camera: str) -> tuple[CameraView | None, CameraView | None]:
    place = next((number for number, other in enumerate(cameras) if other.id == camera), None)
    if place is None or len(cameras) < 2:
        return None, None
    return view_of(cameras[place - 1]), view_of(cameras[(place + 1) % len(cameras)])


@blueprint.get("/")
def wall() -> str:
    cameras = [view_of(camera) for camera in current_parts().cameras]
    return render_template("wall.html", cameras=cameras, blank=CameraView(id="", name=""))


@blueprint.get("/cameras/<camera>")
def camera(camera: str) -> str:
    parts, found = current_parts(), find_camera(camera)
    previous, following = _neighbours(list(parts.cameras), camera)
    return render_template(
        "camera.html",
        camera=view_of(found),
        previous=previous,
        following=following,
        events=parts.events.recent(camera, RECENT),
        history=spans(parts.states.history(camera, HISTORY)),
    )

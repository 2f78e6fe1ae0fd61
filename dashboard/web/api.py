"""JSON and pictures for programs and for the scripts of the pages. Streams, and the page's socket, are in `streams`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify, request

from dashboard.web import query, times
from dashboard.web.auth import admin_required, current
from dashboard.web.cameras import CameraView, find_camera, view_of
from dashboard.web.parts import current_parts

if TYPE_CHECKING:
    from dashboard.store.events import EventView, Page, SnapshotView

blueprint = Blueprint("api", __name__, url_prefix="/api")

KINDS = ("before", "start", "peak", "end")
LAST = 2**63 - 1
"""No row has a higher number; beyond it a database raises."""


def page_of(camera: str | None, after: Any, before: Any, reviewed: bool | None, limit: int, cursor: str | None) -> Page:
    """A page of events; 400 for a cursor that was not given out here."""
    try:
        page: Page = current_parts().events.page(
            camera=camera, after=after, before=before, reviewed=reviewed, limit=limit, cursor=cursor
        )
    except ValueError as error:
        abort(400, description=str(error))
    return page


def camera_json(view: CameraView) -> dict[str, Any]:
    """A camera as JSON. Its address carries no credentials."""
    return {
        "id": view.id,
        "name": view.name,
        "enabled": view.enabled,
        "address": view.address,
        "state": view.state,
        "reason": view.reason,
        "since": times.iso(view.since) if view.since else None,
        "fps": round(view.fps, 2),
        "frame_age_s": None if view.frame_age_s is None else round(view.frame_age_s, 3),
        "width": view.width,
        "height": view.height,
        "codec": view.codec,
        "reconnects": view.reconnects,
        "decoded_frames": view.decoded_frames,
        "encoded_jpegs": view.encoded_jpegs,
    }


def event_json(event: EventView) -> dict[str, Any]:
    """An event as JSON, its snapshots in the order of time; `end` is null while it goes on."""
    return {
        "id": event.id,
        "camera": event.camera,
        "start": times.iso(event.started_at),
        "end": times.iso(event.ended_at) if event.ended_at else None,
        "peak_at": times.iso(event.peak_at),
        "peak_area": round(event.peak_area, 3),
        "box": event.peak_box,
        "reviewed": event.reviewed,
        "reviewed_by": event.reviewed_by,
        "snapshots": [_snapshot_json(event, snapshot) for snapshot in event.snapshots],
    }


def _snapshot_json(event: EventView, snapshot: SnapshotView) -> dict[str, Any]:
    return {
        "kind": snapshot.kind,
        "taken_at": times.iso(snapshot.taken_at),
        "width": snapshot.width,
        "height": snapshot.height,
        "size": snapshot.size,
        "sha256": snapshot.sha256,
        "box": snapshot.box,
        "missing": snapshot.missing,
        "url": f"/api/events/{event.id}/snapshot.jpg?kind={snapshot.kind}",
    }


def file_name(event: EventView, snapshot: SnapshotView) -> str:
    """ "door-2026-11-24T130211Z-peak.jpg": made of what we know, so it is safe in a header and on a disk."""
    return f"{event.camera}-{times.file_stamp(snapshot.taken_at)}-{snapshot.kind}.jpg"


@blueprint.get("/version")
def version() -> Response:
    return jsonify(version=current_parts().version)


@blueprint.get("/stats")
def stats() -> Response:
    return jsonify(current_parts().stats())


@blueprint.get("/cameras")
def cameras() -> Response:
    return jsonify(cameras=[camera_json(view_of(camera)) for camera in current_parts().cameras])


@blueprint.get("/cameras/<camera>")
def camera(camera: str) -> Response:
    return jsonify(camera_json(view_of(find_camera(camera))))


@blueprint.get("/events")
def events() -> Response:
    page = page_of(
        query.camera(),
        query.moment("after"),
        query.moment("before"),
        query.yes("reviewed"),
        query.count(),
        query.cursor(),
    )
    return jsonify(events=[event_json(event) for event in page.events], next_cursor=page.next_cursor)


@blueprint.get(f"/events/<int(max={LAST}):number>")
def event(number: int) -> Response:
    return jsonify(event_json(current_parts().events.get(number)))


@blueprint.delete(f"/events/<int(max={LAST}):number>")
@admin_required
def delete(number: int) -> Response:
    current_parts().events.delete(number)
    return jsonify(deleted=number)


@blueprint.post(f"/events/<int(max={LAST}):number>/reviewed")
def reviewed(number: int) -> Response:
    body = request.get_json(silent=True)
    wanted = body.get("reviewed") if isinstance(body, dict) else None
    if not isinstance(wanted, bool):
        abort(400, description='send {"reviewed": true} or {"reviewed": false}')
    visitor = current()
    current_parts().events.mark(number, wanted, visitor.name if visitor else "")
    return jsonify(id=number, reviewed=wanted)


@blueprint.post("/events/reviewed")
def reviewed_many() -> Response:
    """The events of a page at once: `{"events": [7, 8], "reviewed": true}`; those that are gone are left out."""
    body = request.get_json(silent=True)
    numbers, wanted = (body.get("events"), body.get("reviewed")) if isinstance(body, dict) else (None, None)
    if not isinstance(wanted, bool) or not isinstance(numbers, list) or not 1 <= len(numbers) <= query.MOST_ROWS:
        abort(400, description=f'send {{"events": […], "reviewed": true}} with up to {query.MOST_ROWS} events')
    if not all(type(number) is int and 0 < number <= LAST for number in numbers):
        abort(400, description="events: not all are numbers of events")
    visitor = current()
    changed = current_parts().events.mark_many(numbers, wanted, visitor.name if visitor else "")
    return jsonify(events=changed, reviewed=wanted)


@blueprint.get(f"/events/<int(max={LAST}):number>/snapshot.jpg")
def snapshot(number: int) -> Response:
    event, found = _snapshot(number)
    response = Response(current_parts().snapshots.read(found.path), mimetype="image/jpeg")
    if query.yes("download"):
        response.headers["Content-Disposition"] = f'attachment; filename="{file_name(event, found)}"'
    return response


@blueprint.get(f"/events/<int(max={LAST}):number>/thumbnail.jpg")
def thumbnail(number: int) -> Response:
    _, found = _snapshot(number)
    return Response(current_parts().snapshots.thumbnail(found.path), mimetype="image/jpeg")


def _snapshot(number: int) -> tuple[EventView, SnapshotView]:
    """The snapshot of the kind asked for, or the one that stands for the event; 404."""
    kind = query.choice("kind", KINDS)
    event: EventView = current_parts().events.get(number)
    found = event.snapshot(kind) if kind else event.cover
    if found is None:
        abort(404, description="This event has no such picture.")
    return event, found

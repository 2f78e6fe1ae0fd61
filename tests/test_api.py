"""The JSON that programs rely on, and what hostile values get: 200 or 400 with words, never 500, never many rows."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboard.web import create_app
from tests.house import Store, house
from tests.web_fakes import FakeCamera, fake_parts

NOON = 1_795_525_331.25  # 2026-11-24T13:02:11.250Z


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Flask, Store]]:
    cameras = [FakeCamera("door", "Front door"), FakeCamera("yard", "Yard", "offline", "host unreachable")]
    with house(tmp_path, cameras) as (parts, store):
        yield create_app(parts), store


def signed_in(app: Flask, name: str = "admin") -> FlaskClient:
    """A client with a login; its `token` is what changes need."""
    parts = app.extensions["dashboard.parts"]
    client = app.test_client()
    page = client.get("/login").text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    password = {"admin": "correct horse", "viewer": "battery staple"}[name]
    answer = client.post("/login", data={"username": name, "password": password, "csrf_token": token})
    assert answer.status_code == 302, answer.text
    assert parts is not None
    return client


def token_of(client: FlaskClient) -> dict[str, str]:
    page = client.get("/account").text
    return {"X-CSRFToken": page.split('name="csrf-token" content="')[1].split('"')[0]}


def test_a_camera_says_how_it_is_and_no_secret(place: tuple[Flask, Store]) -> None:
    client = signed_in(place[0])
    found = client.get("/api/cameras").json
    assert [camera["id"] for camera in found["cameras"]] == ["door", "yard"]
    yard = client.get("/api/cameras/yard").json
    assert (yard["state"], yard["reason"], yard["name"]) == ("offline", "host unreachable", "Yard")
    assert yard["since"].endswith("Z")
    missing = client.get("/api/cameras/nobody")
    assert (missing.status_code, list(missing.json)) == (404, ["error"])


def test_an_event_as_json(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON, 6.0)
    client = signed_in(app)
    event = client.get(f"/api/events/{number}").json
    assert event == client.get("/api/events").json["events"][0]
    assert event["start"] == "2026-11-24T13:02:11.250Z"
    assert event["end"] == "2026-11-24T13:02:17.250Z"
    assert (event["camera"], event["peak_area"], event["reviewed"]) == ("door", 4.2, False)
    assert event["box"] == [0.4, 0.5, 0.1, 0.22]
    assert [snapshot["kind"] for snapshot in event["snapshots"]] == ["before", "start", "peak", "end"]
    for snapshot in event["snapshots"]:
        picture = client.get(snapshot["url"])
        assert (picture.status_code, picture.mimetype) == (200, "image/jpeg")
        assert hashlib.sha256(picture.data).hexdigest() == snapshot["sha256"]
        assert len(picture.data) == snapshot["size"]
    open_event = store.event("yard", NOON + 60, None)
    assert client.get(f"/api/events/{open_event}").json["end"] is None


def test_pictures_are_private_and_named(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    client = signed_in(app)
    for path in (f"/api/events/{number}/snapshot.jpg", f"/api/events/{number}/thumbnail.jpg"):
        answer = client.get(path)
        assert answer.mimetype == "image/jpeg"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.data.startswith(b"\xff\xd8")
    named = client.get(f"/api/events/{number}/snapshot.jpg?kind=peak&download=1").headers["Content-Disposition"]
    assert named == 'attachment; filename="door-2026-11-24T130214Z-peak.jpg"'
    small = client.get(f"/api/events/{number}/thumbnail.jpg?kind=start").data
    assert len(small) < len(client.get(f"/api/events/{number}/snapshot.jpg?kind=start").data)


def test_a_whole_event_comes_as_an_archive(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    answer = signed_in(app).get(f"/events/{number}/download.zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="door-2026-11-24T130211Z.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        names = archive.namelist()
        facts = json.loads(archive.read(names[-1]))
        pictures = {hashlib.sha256(archive.read(name)).hexdigest() for name in names[:-1]}
    assert len(names) == 5
    assert pictures == {snapshot["sha256"] for snapshot in facts["snapshots"]}


def test_pages_of_events_by_cursor(place: tuple[Flask, Store]) -> None:
    app, store = place
    made = [store.event("door", NOON + 10 * number, 2, ["start"]) for number in range(7)]
    client = signed_in(app)
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/events?limit=3&cursor={quote(cursor)}").json
        assert len(page["events"]) <= 3
        seen += [event["id"] for event in page["events"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_events_of_a_camera_and_a_time(place: tuple[Flask, Store]) -> None:
    app, store = place
    first, second = store.event("door", NOON, 2, ["start"]), store.event("yard", NOON + 100, 2, ["start"])
    client = signed_in(app)

    def ids(query: str) -> list[int]:
        return [event["id"] for event in client.get(f"/api/events?{query}").json["events"]]

    assert ids("camera=door") == [first]
    assert ids("after=2026-11-24T13:03:00Z") == [second]
    assert ids("after=2026-11-24T14:03:00%2B01:00") == [second]
    assert ids("before=2026-11-24T13:03:00Z") == [first]
    assert ids("camera=nobody") == []
    assert ids("reviewed=true") == []


def test_marking_and_deleting(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    admin, viewer = signed_in(app), signed_in(app, "viewer")
    path = f"/api/events/{number}"
    assert viewer.post(f"{path}/reviewed", json={"reviewed": True}, headers=token_of(viewer)).json["reviewed"] is True
    event = admin.get(path).json
    assert (event["reviewed"], event["reviewed_by"]) == (True, "viewer")
    assert viewer.delete(path, headers=token_of(viewer)).status_code == 403
    assert admin.delete(path).status_code in {400, 403}  # without the token of a page
    assert admin.get(path).status_code == 200
    assert admin.delete(path, headers=token_of(admin)).json == {"deleted": number}
    gone = admin.get(path)
    assert (gone.status_code, list(gone.json)) == (404, ["error"])
    assert admin.delete(path, headers=token_of(admin)).status_code == 404
    assert admin.post(f"{path}/reviewed", json={"reviewed": True}, headers=token_of(admin)).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"reviewed": 1}', b'{"reviewed": "yes"}', b'{"other": true}', b"\0"]
)
def test_marking_takes_a_yes_or_a_no(place: tuple[Flask, Store], body: bytes) -> None:
    app, store = place
    number = store.event("door", NOON, pictures=["start"])
    client = signed_in(app)
    head = {**token_of(client), "Content-Type": "application/json"}
    answer = client.post(f"/api/events/{number}/reviewed", data=body, headers=head)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])


def test_marking_a_page_at_once(place: tuple[Flask, Store]) -> None:
    app, store = place
    made = [store.event("door", NOON + 10 * number, pictures=["start"]) for number in range(3)]
    client = signed_in(app)
    head = token_of(client)
    body = {"events": [*made, 10**9], "reviewed": True}
    assert sorted(client.post("/api/events/reviewed", json=body, headers=head).json["events"]) == made
    assert all(event["reviewed"] for event in client.get("/api/events").json["events"])
    for events in ([], ["1"], [True], [1.5], [-1], [2**63], [None], [[1]], list(range(1, 102)), "1", 1, None):
        answer = client.post("/api/events/reviewed", json={"events": events, "reviewed": False}, headers=head)
        assert (answer.status_code, list(answer.json)) == (400, ["error"]), events
    assert client.post("/api/events/reviewed", json=body).status_code in {400, 403}  # without the token of a page


HOSTILE = [
    "-1",
    "0",
    "1e309",
    "1" + "0" * 12,
    "1" * 400,
    "NaN",
    "\0",
    "'",
    '"',
    "%",
    "x" * 10_000,
    "../../x",
    "²",
    "١",
    "null",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_refused_in_words(place: tuple[Flask, Store], value: str) -> None:
    app, store = place
    number = store.event("door", NOON, pictures=["start"])
    client = signed_in(app)
    text = quote(value)
    for name in ("camera", "after", "before", "limit", "cursor", "reviewed"):
        answer = client.get(f"/api/events?{name}={text}")
        assert answer.status_code in {200, 400}, (name, value)
        if answer.status_code == 400:
            assert list(answer.json) == ["error"]
            assert len(answer.json["error"]) < 200
    for name in ("camera", "day", "hour", "reviewed", "cursor"):
        assert client.get(f"/events?{name}={text}").status_code in {200, 400}, (name, value)
    for name in ("kind", "download"):
        assert client.get(f"/api/events/{number}/snapshot.jpg?{name}={text}").status_code in {200, 400}, (name, value)
    for path in (f"/api/events/{text}", f"/api/events/{text}/snapshot.jpg", f"/api/cameras/{text}", f"/events/{text}"):
        assert client.get(path).status_code in {200, 400, 404}, path


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-02-30", "1970-01-01", "2026-10-25"])
def test_days_at_the_edges(place: tuple[Flask, Store], day: str) -> None:
    assert signed_in(place[0]).get(f"/events?day={day}").status_code in {200, 400}
    assert signed_in(place[0]).get(f"/events?day={day}&hour={day}T02:00:00Z").status_code in {200, 400}


def test_files_are_chosen_by_row_alone(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    client = signed_in(app)
    whole = client.get(f"/api/events/{number}/snapshot.jpg?kind=peak").data
    for extra in ("path=/etc/passwd", "file=../../secret", "kind=peak&path=..%2f..%2fsecret"):
        data = client.get(f"/api/events/{number}/snapshot.jpg?{extra}").data
        assert data == whole or b"root:" not in data


def test_a_missing_file_is_a_404(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    for file in (store.snapshots.data_dir / "snapshots").rglob("*.jpg"):
        file.unlink()
    client = signed_in(app)
    for path in ("snapshot.jpg", "thumbnail.jpg"):
        answer = client.get(f"/api/events/{number}/{path}")
        assert (answer.status_code, list(answer.json)) == (404, ["error"])
    assert "File is missing" in client.get(f"/events/{number}").text


@pytest.mark.parametrize(
    "path", ["/api/cameras", "/api/events", "/api/stats", "/api/version", "/api/events/1/snapshot.jpg"]
)
def test_without_a_login_nothing(place: tuple[Flask, Store], path: str) -> None:
    answer = place[0].test_client().get(path)
    assert (answer.status_code, list(answer.json)) == (401, ["error"])


def test_version_and_stats() -> None:
    stats: dict[str, Any] = {"cameras": {"door": {"state": "live"}}, "process": {"threads": 3}}
    client = signed_in(create_app(fake_parts(stats=lambda: stats, version="1.2.3")))
    assert client.get("/api/version").json == {"version": "1.2.3"}
    assert client.get("/api/stats").json == stats

"""The pages as text: what stands on them, for whom, and that nothing from outside becomes markup or script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, abort

from dashboard import notices
from dashboard.errors import DashboardError, NotFound, StoreError
from dashboard.web import create_app
from tests.conftest import ROOT
from tests.house import Store, house
from tests.test_api import NOON, signed_in
from tests.web_fakes import FakeCamera, fake_parts

BERLIN = ZoneInfo("Europe/Berlin")
PAYLOADS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'+alert(1)+'", "{{ 7*7 }}", "</template>"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Flask, Store]]:
    cameras = [FakeCamera("door", "Front door"), FakeCamera("yard", "Yard", "offline", "host unreachable")]
    with house(tmp_path, cameras, zone=BERLIN) as (parts, store):
        yield create_app(parts), store


class Checker(HTMLParser):
    """Collects ids, and what the Content-Security-Policy would not let run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self.controls: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in found) else []
        self.addresses += [found[name] or "" for name in ("href", "src", "action") if name in found]


PATHS = ["/", "/cameras/door", "/events", "/events?camera=door&day=2026-11-24", "/events/1", "/account", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_pages_keep_the_policy(place: tuple[Flask, Store], path: str) -> None:
    app, store = place
    store.event("door", NOON)
    page = Checker(signed_in(app).get(path).text)
    assert page.inline == []
    assert sorted(page.ids) == sorted(set(page.ids))
    assert [address for address in page.addresses if not address.startswith(("/", "#"))] == []


def test_every_icon_that_is_used_is_there() -> None:
    drawn = set(re.findall(r'id="i-(\w+)"', (ROOT / "templates/_icons.svg").read_text()))
    texts = [file.read_text() for file in (ROOT / "templates").glob("*.html")]
    used = {name for text in texts for name in re.findall(r"icon\('(\w+)'\)", text)}
    assert used <= drawn


def test_the_wall_shows_every_camera_in_order(place: tuple[Flask, Store]) -> None:
    text = signed_in(place[0]).get("/").text
    assert re.findall(r'data-camera="(\w+)"', text) == ["door", "yard"]
    assert "Offline since" in text
    assert "host unreachable" in text


def test_a_wall_without_cameras_says_how_to_add_one() -> None:
    text = signed_in(create_app(fake_parts([]))).get("/").text
    assert "No cameras yet" in text
    assert "cameras:\n  - id: door" in text


def test_banners_are_there_without_scripts(tmp_path: Path) -> None:
    with house(tmp_path, config_findings=lambda: ("cameras.yaml:3: unknown key 'fsp' <b>",)) as (parts, store):
        store.snapshots._reserve = 10**18
        text = signed_in(create_app(parts)).get("/").text
    assert '<div class="banner" id="banner-config" role="status">' in text
    assert "<li>cameras.yaml:3: unknown key &#39;fsp&#39; &lt;b&gt;</li>" in text
    assert '<div class="banner" id="banner-disk" role="status">' in text


def test_a_disk_that_cannot_be_asked_takes_no_page_away() -> None:
    class Broken:
        def free(self) -> int:
            raise StoreError("the data folder cannot be reached")

        reserved = free

    assert signed_in(create_app(fake_parts(snapshots=Broken()))).get("/").status_code == 200


def test_a_camera_with_its_neighbours_and_history(place: tuple[Flask, Store]) -> None:
    app, store = place
    store.event("door", NOON)
    at = NOON
    for state, reason, seconds in (("live", "", 0), ("offline", "no answer within 5 s", 100), ("live", "", 190)):
        store.states.record(notices.CameraState("door", state, reason, at + seconds))
    text = signed_in(app).get("/cameras/door").text
    assert re.search(r'rel="next" href="/cameras/yard"', text)
    assert "no answer within 5 s" in text
    assert "for 1 min 30 s" in text
    assert "replay of door.mp4" in text
    assert 'href="/events?camera=door"' in text
    assert 'href="/events/1?camera=door"' in text


def test_events_stand_under_their_local_days(place: tuple[Flask, Store]) -> None:
    app, store = place
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC).timestamp()  # the 25th in Berlin
    store.event("door", NOON), store.event("yard", late)
    text = signed_in(app).get("/events").text
    days = re.findall(r'id="day-([\d-]+)"', text)
    assert days == ["2026-11-25", "2026-11-24"]
    assert "00:30:00 CET" in text
    assert signed_in(app).get("/events?day=2026-11-25").text.count('class="event"') == 1


def test_the_autumn_hour_is_offered_twice(place: tuple[Flask, Store]) -> None:
    app, store = place
    half_past = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    for hour in (0, 1):
        store.event("door", (half_past + timedelta(hours=hour)).timestamp(), pictures=["start"])
    client = signed_in(app)
    text = client.get("/events?day=2026-10-25").text
    assert text.count('<li><a class="hour') + text.count('<li><span class="hour') == 25
    assert "02:00 CEST: 1 event" in text
    assert "02:00 CET: 1 event" in text
    for start, shown, other in (("00:00", "02:30:00 CEST", "02:30:00 CET"), ("01:00", "02:30:00 CET", "02:30:00 CEST")):
        found = client.get(f"/events?day=2026-10-25&hour=2026-10-25T{start}:00Z").text
        cards = found[found.index('<div id="events"') :]
        assert shown in cards
        assert other not in cards
    assert client.get("/events?day=2026-03-29").text.count('class="hour') == 23 + 1  # and the list around them


def test_one_minute_apart_through_the_night(place: tuple[Flask, Store]) -> None:
    app, store = place
    start = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    for minute in range(0, 240, 12):
        store.event("door", (start + timedelta(minutes=minute)).timestamp(), 2, ["start"])
    text = signed_in(app).get("/events?day=2026-10-25").text
    assert text.count('class="event"') == 20
    moments = re.findall(r'<time class="aside" datetime="([^"]+)"', text)
    assert moments == sorted(moments, reverse=True)


def test_days_with_events_are_a_step_apart(place: tuple[Flask, Store]) -> None:
    app, store = place
    for day in (1, 9, 24):
        store.event("door", datetime(2026, 11, day, 12, tzinfo=UTC).timestamp(), 2, ["start"])
    text = signed_in(app).get("/events?day=2026-11-09").text
    assert 'href="/events?day=2026-11-01"' in text
    assert 'href="/events?day=2026-11-24"' in text


def test_empty_lists_say_why(place: tuple[Flask, Store]) -> None:
    client = signed_in(place[0])
    assert "No events yet" in client.get("/events").text
    assert "No events match" in client.get("/events?camera=door").text
    assert "Everything here has been reviewed" in client.get("/events?reviewed=no").text


def test_an_event_keeps_the_filter_it_was_found_by(place: tuple[Flask, Store]) -> None:
    app, store = place
    first, _, third = store.event("door", NOON), store.event("yard", NOON + 60), store.event("door", NOON + 120)
    client = signed_in(app)
    text = client.get(f"/events/{third}?camera=door").text
    assert f'rel="next" href="/events/{first}?camera=door"' in text
    assert 'id="back" href="/events?camera=door"' in text
    assert "SHA-256" in text
    assert "Tue 24 Nov" in text


def test_only_admins_are_offered_to_delete(place: tuple[Flask, Store]) -> None:
    app, store = place
    number = store.event("door", NOON)
    for path in ("/events", f"/events/{number}"):
        assert 'id="delete"' in signed_in(app).get(path).text
        assert 'id="delete"' not in signed_in(app, "viewer").get(path).text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_are_text(tmp_path: Path, payload: str) -> None:
    cameras = [FakeCamera("door", payload, "offline", payload), FakeCamera("yard", "Yard")]
    with house(tmp_path, cameras, zone=BERLIN, config_findings=lambda: (payload,)) as (parts, store):
        number = store.event("door", NOON)
        store.states.record(notices.CameraState("door", "offline", payload, NOON))
        client = signed_in(create_app(parts))
        for path in ("/", "/cameras/door", "/cameras/yard", "/events", f"/events/{number}"):
            text = client.get(path).text
            assert Checker(text).inline == []
            assert "<script>alert" not in text
            assert "<img src=x" not in text
            assert text.count("</template>") == text.count("<template")
            head = re.sub(r'content="[0-9a-f.\w-]+"', "", text[: text.index("<body")])  # the token has any digits
            assert "49" not in head


def test_errors_are_pages_for_people_and_json_for_programs() -> None:
    app = create_app(fake_parts([]))
    kinds: dict[str, Exception | int] = {
        "/a": NotFound("there is no such thing"),
        "/b": StoreError("/secret/path is broken"),
        "/c": DashboardError("odd"),
        "/d": RuntimeError("password=hunter2"),
        "/e": 413,
        "/f": 429,
        "/g": 403,
    }

    def raising(kind: Exception | int) -> None:
        if isinstance(kind, int):
            abort(kind)
        raise kind

    for path, kind in kinds.items():
        for prefix in ("", "/api"):
            app.add_url_rule(prefix + path, prefix + path, lambda kind=kind: raising(kind))
    client = signed_in(app)
    for path, status in {
        "/a": 404,
        "/b": 503,
        "/c": 500,
        "/d": 500,
        "/e": 413,
        "/f": 429,
        "/g": 403,
        "/z": 404,
    }.items():
        page, answer = client.get(path), client.get("/api" + path)
        assert (page.status_code, answer.status_code) == (status, status), path
        assert page.mimetype == "text/html"
        assert list(answer.json) == ["error"]
        for text in (page.text, answer.text):
            assert "hunter2" not in text
            assert "/secret" not in text
            assert "Traceback" not in text
    wrong = client.post("/events")
    assert (wrong.status_code, wrong.mimetype) in {(405, "text/html"), (400, "text/html")}


def test_the_review_needs_few_statements(place: tuple[Flask, Store]) -> None:
    from sqlalchemy import event

    app, store = place
    for number in range(30):
        store.event("door", NOON + 60 * number, 2, ["start"])
    client = signed_in(app)
    said: list[str] = []
    event.listen(
        store.db.engine, "before_cursor_execute", lambda *args: said.append(args[2]) if args[2] != "BEGIN" else None
    )
    for query in ("", "?camera=door", "?day=2026-11-24", "?day=2026-11-24&reviewed=no&camera=door"):
        said.clear()
        assert client.get(f"/events{query}").status_code == 200
        assert len(said) <= 4, said  # and one for the login, which is a fake here


def test_dates_of_the_strip_are_days(place: tuple[Flask, Store]) -> None:
    text = signed_in(place[0]).get("/events").text
    today = datetime.now(BERLIN).date()
    assert text.count('class="hour"') == 31
    assert date.fromisoformat(re.findall(r'max="([\d-]+)"', text)[0]) in {today, today + timedelta(days=1)}

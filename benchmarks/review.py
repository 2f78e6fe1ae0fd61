"""How fast the review is over many events: the real pages, rows, logins and server, asked one after the other.

`python -m benchmarks.review`; see README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import event, insert

from benchmarks._farm import table
from dashboard.store.models import Event, Snapshot
from dashboard.store.sessions import Sessions
from dashboard.store.users import Users
from tests.house import Store, house
from tests.serving import serving
from tests.web_fakes import FakeCamera

CAMERAS = 16
DAYS = 60
P95_MS, STATEMENTS, BYTES = 150.0, 5, 300_000  # the targets
PASSWORD = "only for this measurement"
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Result:
    """What one address took. `times`: ms, sorted; `cpu`: ms of processor, client included, whoever else works here."""

    name: str
    times: list[float]
    cpu: float
    statements: int
    size: int

    @property
    def p50(self) -> float:
        return self.times[len(self.times) // 2]

    @property
    def p95(self) -> float:
        return self.times[int(len(self.times) * 0.95)]

    @property
    def good(self) -> bool:
        return self.p95 <= P95_MS and self.statements <= STATEMENTS and self.size <= BYTES


def fill(store: Store, count: int) -> None:
    """`count` events of the last days, four snapshots each; rows only, for the pages read no files."""
    chance = random.Random(1)
    now = datetime.now(UTC)
    for first in range(0, count, CHUNK):
        events, snapshots = [], []
        for number in range(first + 1, min(first + CHUNK, count) + 1):
            start = now - timedelta(days=DAYS * (1 - number / count), seconds=chance.uniform(0, 30))
            camera = f"camera{chance.randrange(CAMERAS)}"
            events.append(_event(number, camera, start, chance))
            snapshots += [_snapshot(number, camera, kind, start) for kind in ("before", "start", "peak", "end")]
        with store.db.write() as session:
            session.execute(insert(Event), events)
            session.execute(insert(Snapshot), snapshots)


def _event(number: int, camera: str, start: datetime, chance: random.Random) -> dict[str, Any]:
    seen = chance.random() < 0.6
    return {
        "id": number,
        "camera": camera,
        "started_at": start,
        "ended_at": start + timedelta(seconds=chance.uniform(3, 90)),
        "closed_by": "end",
        "recorded_at": start,
        "peak_at": start + timedelta(seconds=2),
        "peak_area": chance.uniform(0.3, 20),
        "peak_box": (0.1, 0.2, 0.3, 0.4),
        "reviewed_at": start + timedelta(hours=5) if seen else None,
        "reviewed_by": "bench" if seen else None,
    }


def _snapshot(event: int, camera: str, kind: str, start: datetime) -> dict[str, Any]:
    return {
        "event_id": event,
        "kind": kind,
        "taken_at": start,
        "path": f"snapshots/{camera}/{start:%Y/%m/%d}/{event}-{kind}.jpg",
        "size": 90_000,
        "sha256": "0" * 64,
        "width": 1280,
        "height": 720,
        "box": (0.1, 0.2, 0.3, 0.4),
        "score": 2.0,
        "missing_at": None,
    }


@contextmanager
def visited(folder: Path, count: int) -> Iterator[tuple[Callable[[str], bytes], list[str]]]:
    """A function that gets a page as a signed-in browser does, and the list of SQL statements since it was emptied."""
    cameras = [FakeCamera(f"camera{number}", f"Camera {number}") for number in range(CAMERAS)]
    with house(folder, cameras, zone=ZoneInfo("Europe/Berlin")) as (parts, store):
        fill(store, count)
        users = Users(store.db)
        users.add("bench", PASSWORD, "admin")
        said: list[str] = []
        event.listen(
            store.db.engine,
            "before_cursor_execute",
            lambda *args: None if args[2].startswith(("BEGIN", "PRAGMA")) else said.append(args[2]),
        )
        parts = replace(parts, users=users, sessions=Sessions(store.db, parts.notices))
        with serving(parts) as base:
            yield _browser(base), said


def _browser(base: str) -> Callable[[str], bytes]:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    )

    def get(path: str) -> bytes:
        body: bytes = opener.open(base + path, timeout=60).read()
        return body

    token = get("/login").decode().split('name="csrf_token" value="')[1].split('"')[0]
    form = {"username": "bench", "password": PASSWORD, "csrf_token": token}
    opener.open(base + "/login", urllib.parse.urlencode(form).encode(), timeout=60).read()
    return get


def deep(get: Callable[[str], bytes], pages: int = 40) -> str:
    """The address of a page far down the list."""
    path = "/events"
    for _ in range(pages):
        path = get(path).decode().split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    return path


def measure(get: Callable[[str], bytes], said: list[str], name: str, path: str, rounds: int) -> Result:
    """Ask for `path` again and again; the first answer does not count."""
    get(path)
    said.clear()
    body = get(path)
    statements = len(said)
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        get(path)
        times.append((time.perf_counter() - start) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / rounds
    return Result(name, sorted(times), cpu, statements, len(body))


def main() -> None:
    """Measure, print a table, end with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    day = (datetime.now(UTC) - timedelta(days=20)).date()
    with tempfile.TemporaryDirectory() as folder, visited(Path(folder), options.events) as (get, said):
        paths = {
            "newest": "/events",
            "40 pages down": deep(get),
            "one camera": "/events?camera=camera3",
            "to review": "/events?reviewed=no",
            "one day": f"/events?day={day}",
            "one hour": f"/events?day={day}&hour={day}T12:00:00Z",
            "camera, day, to review": f"/events?camera=camera3&day={day}&reviewed=no",
            "JSON, 100 events": "/api/events?limit=100",
        }
        results = [measure(get, said, name, path, options.rounds) for name, path in paths.items()]
    rows: list[tuple[str, ...]] = [("", "p50, ms", "p95, ms", "CPU, ms", "statements", "kB", "")]
    for one in results:
        met = "" if one.good else "missed"
        rows.append(
            (
                one.name,
                f"{one.p50:.0f}",
                f"{one.p95:.0f}",
                f"{one.cpu:.0f}",
                str(one.statements),
                f"{one.size / 1000:.0f}",
                met,
            )
        )
    print(f"{options.events} events, {options.rounds} answers each\n")
    print(table(rows))
    print(f"\ntarget: p95 at most {P95_MS:.0f} ms, at most {STATEMENTS} statements and {BYTES // 1000} kB")
    sys.exit(0 if all(one.good for one in results) else 1)


if __name__ == "__main__":
    main()

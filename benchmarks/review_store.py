"""How long the review's questions take over many events: milliseconds and statements, on SQLite or any other URL.

    python benchmarks/review_store.py [--events 100000] [--url postgresql://…] [--data-dir FOLDER]

Rows only: four snapshots for each event, without files. Three of four events are reviewed, the newest are not.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import event as on
from sqlalchemy import insert, text

from dashboard.store import days
from dashboard.store.database import Database
from dashboard.store.events import Events
from dashboard.store.models import Event, Snapshot
from dashboard.store.snapshots import KINDS, Snapshots

CAMERAS = tuple(f"camera{n:02d}" for n in range(16))
END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def fill(db: Database, events: int) -> None:
    """Events over thirty days; one camera is seldom, `camera15`."""
    chance = random.Random(1)
    step = timedelta(days=30) / events
    for start in range(0, events, 5000):
        rows, snapshots = [], []
        for n in range(start, min(start + 5000, events)):
            at = END - timedelta(days=30) + step * n
            camera = CAMERAS[15] if chance.random() < 0.0005 else chance.choice(CAMERAS[:15])
            seen = at + timedelta(hours=1) if n < events * 3 // 4 else None
            rows.append(
                {
                    "id": n + 1,
                    "camera": camera,
                    "started_at": at,
                    "ended_at": at + timedelta(seconds=9),
                    "closed_by": "end",
                    "recorded_at": at,
                    "peak_at": at,
                    "peak_area": 2.5,
                    "peak_box": (0.1, 0.2, 0.3, 0.4),
                    "reviewed_at": seen,
                    "reviewed_by": "ann" if seen else None,
                }
            )
            for kind in KINDS:
                snapshots.append(
                    {
                        "event_id": n + 1,
                        "kind": kind,
                        "taken_at": at,
                        "path": f"snapshots/{camera}/{at:%Y/%m/%d}/{at:%Y%m%dT%H%M%S}.000Z-{kind}-{n:08x}.jpg",
                        "size": 60_000,
                        "sha256": f"{n:064x}",
                        "width": 1280,
                        "height": 720,
                        "box": (0.1, 0.2, 0.3, 0.4),
                        "score": 1.5,
                    }
                )
        with db.write() as session:
            session.execute(insert(Event), rows)
            session.execute(insert(Snapshot), snapshots)
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def questions(events: Events, total: int) -> dict[str, Callable[[], object]]:
    """What the pages ask."""
    zone = BERLIN
    day = days.span_of_day((END - timedelta(days=9)).date(), zone)
    hour = days.hours_of((END - timedelta(days=9)).date(), zone)[8]
    month = [span.range for span in days.spans_of_month(2026, 11, zone)]
    hours = [span.range for span in days.hours_of((END - timedelta(days=9)).date(), zone)]
    cursor = events.page(limit=50, before=END - timedelta(days=15)).next_cursor
    return {
        "page, newest": lambda: events.page(limit=50),
        "page, 100 long": lambda: events.page(limit=100),
        "page, from the middle": lambda: events.page(limit=50, cursor=cursor),
        "page, camera": lambda: events.page(limit=50, camera=CAMERAS[3]),
        "page, seldom camera": lambda: events.page(limit=50, camera=CAMERAS[15]),
        "page, unknown camera": lambda: events.page(limit=50, camera="nobody"),
        "page, not reviewed": lambda: events.page(limit=50, reviewed=False),
        "page, reviewed (25 % down)": lambda: events.page(limit=50, reviewed=True),
        "page, not reviewed, older half (none)": lambda: events.page(
            limit=50, reviewed=False, before=END - timedelta(days=15)
        ),
        "page, camera, reviewed": lambda: events.page(limit=50, camera=CAMERAS[3], reviewed=True),
        "page, day": lambda: events.page(limit=50, after=day.start, before=day.end),
        "page, day, hour": lambda: events.page(limit=50, after=hour.start, before=hour.end),
        "page, camera, day, reviewed": lambda: events.page(
            limit=50, camera=CAMERAS[3], after=day.start, before=day.end, reviewed=True
        ),
        "neighbours": lambda: events.neighbours(total // 2),
        "neighbours, not reviewed": lambda: events.neighbours(total // 2, reviewed=False),
        "one event": lambda: events.get(total // 3),
        "recent of a camera": lambda: events.recent(CAMERAS[3], 10),
        "counts of a month": lambda: events.counts(month),
        "counts of a month, camera, not reviewed": lambda: events.counts(month, CAMERAS[3], False),
        "counts of a day's hours": lambda: events.counts(hours),
        "cameras": events.cameras,
        "usage": events.usage,
        "mark one": lambda: events.mark(random.randrange(1, total), random.random() < 0.5, "ann"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--url")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.data_dir or Path(temporary)
        db = Database(folder, chosen.url)
        db.migrate()
        events = Events(db, Snapshots(folder, reserve=0))
        if not events.page(limit=1).events:
            began = time.perf_counter()
            fill(db, chosen.events)
            print(f"filled in {time.perf_counter() - began:.1f} s")
        statements = 0

        def count(*_: object) -> None:
            nonlocal statements
            statements += 1

        on.listen(db.engine, "before_cursor_execute", count)
        print(f"{'':42}{'p50 ms':>8}{'p95 ms':>8}{'statements':>12}")
        for name, ask in questions(events, chosen.events).items():
            ask()
            took = []
            statements = 0
            for _ in range(chosen.rounds):
                began = time.perf_counter()
                ask()
                took.append((time.perf_counter() - began) * 1000)
            cuts = statistics.quantiles(took, n=20)
            # BEGIN is a statement of ours on SQLite, the driver's own elsewhere: not counted.
            each = statements // chosen.rounds - (1 if db.is_sqlite else 0)
            print(f"{name:42}{statistics.median(took):8.1f}{cuts[-1]:8.1f}{each:12}")
        began = time.perf_counter()
        found = db.damage()
        print(f"integrity check: {time.perf_counter() - began:.2f} s, {found or 'ok'}")
        db.close()


if __name__ == "__main__":
    main()

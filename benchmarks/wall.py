"""How a wall of many cameras runs in a real browser: the rate of every tile, the sockets, and whether the rest answers.

`python -m benchmarks.wall`; see README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks._farm import ROOT, Cost, RtspFarm, realistic_clip, running, table
from benchmarks.cameras import free_port, within
from tests.browser import Browser, Page, chromium

PASSWORD = "only for this measurement"
FPS, SOCKETS, LOGOUT_S = 4.0, 2, 1.0  # the targets
SETTLE_S = 5.0
WITH_PICTURE = "n => [...document.querySelectorAll('.tile.live .age')].filter(age => age.textContent).length === n"


class Drawn:
    """Counts the pictures that the page says it has drawn, by camera, on the way out of its socket."""

    def __init__(self, page: Page) -> None:
        self.counts: Counter[str] = Counter()
        page.on("websocket", lambda socket: socket.on("framesent", self._on_frame))

    def _on_frame(self, payload: Any) -> None:
        if isinstance(payload, str) and '"drawn"' in payload:
            self.counts[json.loads(payload)["camera"]] += 1


def wall(browser: Browser, base: str, cameras: int, seconds: float, pid: int) -> tuple[list[tuple[str, ...]], bool]:
    """Watch the wall for a while, then log out; rows of the table, and whether every target was met."""
    with browser.page((1920, 1080)) as page:
        page.expect("401")
        page.add_init_script("delete globalThis.MediaSource; delete globalThis.ManagedMediaSource;")
        drawn = Drawn(page)
        page.sign_in(base, "bench", PASSWORD)
        started = time.monotonic()
        page.wait_for_function(WITH_PICTURE, arg=cameras, timeout=60_000)
        all_live = time.monotonic() - started
        page.wait_for_timeout(SETTLE_S * 1000)
        before, cost = Counter(drawn.counts), Cost.of(pid)
        start = time.monotonic()
        page.wait_for_timeout(seconds * 1000)
        took = time.monotonic() - start
        rates = sorted((drawn.counts[camera] - before[camera]) / took for camera in drawn.counts)
        cpu = Cost.of(pid).percent_since(cost)
        ages = page.evaluate("[...document.querySelectorAll('.tile .age')].map(e => parseFloat(e.textContent))")
        page.click(".menu summary")
        start = time.monotonic()
        page.click("text=Log out")
        page.wait_for_url(base + "/login")
        logout = time.monotonic() - start
    slowest = rates[0] if len(rates) == cameras else 0.0
    rows: list[tuple[str, ...]] = [
        ("tiles that draw", f"{len(rates)}", f"{cameras}"),
        ("slowest tile, fps", f"{slowest:.1f}", f"at least {FPS:.0f}"),
        ("middle tile, fps", f"{rates[len(rates) // 2]:.1f}" if rates else "-", ""),
        ("oldest picture, s", f"{max(ages, default=0):.1f}", ""),
        ("sockets", f"{len(page.sockets)}", f"at most {SOCKETS}"),
        ("every tile has a picture after, s", f"{all_live:.1f}", ""),
        ("log out answers after, s", f"{logout:.2f}", f"at most {LOGOUT_S:.0f}"),
        ("CPU of the server, % of a core", f"{cpu:.0f}", ""),
    ]
    return rows, slowest >= FPS and len(page.sockets) <= SOCKETS and logout <= LOGOUT_S


def main() -> None:
    """Measure, print a table, end with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = realistic_clip(folder, size=tuple(options.size))
        dashboard = [sys.executable, "-m", "dashboard"]
        data = ["--data-dir", str(folder / "data")]
        add = [*dashboard, "user", "add", "bench", "--role", "admin", "--password-stdin", *data]
        subprocess.run(add, cwd=ROOT, input=PASSWORD.encode() + b"\n", check=True, capture_output=True)
        with RtspFarm(clip, options.cameras) as farm, chromium() as browser:
            lines = (f"  - id: cam{index}\n    url: {url}\n" for index, url in enumerate(farm.urls))
            (folder / "cameras.yaml").write_text("cameras:\n" + "".join(lines))
            port = free_port()
            serve = [*dashboard, "serve", "--config", str(folder / "cameras.yaml"), "--port", str(port), *data]
            with running(serve, folder / "dashboard.log") as process:
                base = f"http://127.0.0.1:{port}"
                within(40, lambda: _answers(base))
                rows, good = wall(browser, base, options.cameras, options.seconds, process.pid)
    print(f"{options.cameras} x H.264 {clip.width}x{clip.height} {clip.fps:g} fps, motion detection on, one page\n")
    print(table([("", "measured", "target"), *rows]))
    sys.exit(0 if good else 1)


def _answers(base: str) -> bool:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return bool(opener.open(base + "/login", timeout=5).status == 200)


if __name__ == "__main__":
    main()

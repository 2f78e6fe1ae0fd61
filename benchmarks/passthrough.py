"""What viewers of the cameras' own video cost the server, against the same cameras with nobody watching.

`python -m benchmarks.passthrough`; see README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from benchmarks._farm import ROOT, Cost, RtspFarm, realistic_clip, running, table
from benchmarks.cameras import free_port, within
from tests.web_client import Browser

PASSWORD = "only for this measurement"
RATIO, PER_VIEWER_KB = 2.0, 300.0  # the targets
SETTLE_S = 6.0
FRAGMENTS_OF, OPENING = 1, 2  # flags of the wall's binary messages


async def watch(port: int, cookie: dict[str, str], camera: str, until: float, seen: list[int]) -> None:
    """One viewer of one camera, who reads everything and plays nothing."""
    async with connect(f"ws://127.0.0.1:{port}/live", additional_headers=cookie, max_size=None, proxy=None) as socket:
        tile = {"camera": camera, "width": 1280, "fps": 15, "video": ["h264"]}
        await socket.send(json.dumps({"type": "watch", "tiles": [tile]}))
        count = 0
        while (left := until - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(socket.recv(), left)
            except TimeoutError:
                break
            count += isinstance(message, bytes) and message[1] & FRAGMENTS_OF and not message[1] & OPENING
        seen.append(count)


def view(port: int, cookie: dict[str, str], cameras: list[str], each: int, seconds: float) -> list[int]:
    """All viewers, in this process; how many pictures each got."""
    seen: list[int] = []

    async def all_of_them() -> None:
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for camera in cameras:
                for _ in range(each):
                    tasks.create_task(watch(port, cookie, camera, until, seen))

    asyncio.run(all_of_them())
    return seen


def counted(browser: Browser) -> tuple[int, int]:
    """Pictures decoded and JPEGs encoded so far, of all cameras."""
    cameras: dict[str, Any] = json.loads(browser.get("/api/stats").text)["cameras"]
    decoded = sum(camera["decoded_frames"] for camera in cameras.values())
    return decoded, sum(camera["encoded_jpegs"] for camera in cameras.values())


def main() -> None:
    """Measure, print a table, end with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--viewers", type=int, default=20, help="of each camera")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--watch", nargs=5, metavar=("PORT", "COOKIE", "CAMERAS", "EACH", "SECONDS"))
    options = parser.parse_args()
    if options.watch:  # the viewers, in a process of their own
        port, cookie, cameras, each, seconds = options.watch
        print(json.dumps(view(int(port), {"Cookie": cookie}, cameras.split(","), int(each), float(seconds))))
        return
    with tempfile.TemporaryDirectory() as name:
        rows, good = measure(Path(name), options.cameras, options.viewers, options.seconds)
    print(f"{options.cameras} x H.264 1280x720 15 fps, {options.viewers} viewers each, motion detection off\n")
    print(table([("", "measured", "target"), *rows]))
    sys.exit(0 if good else 1)


def measure(folder: Path, cameras: int, viewers: int, seconds: float) -> tuple[list[tuple[str, ...]], bool]:
    clip = realistic_clip(folder)
    data = ["--data-dir", str(folder / "data")]
    dashboard = [sys.executable, "-m", "dashboard"]
    add = [*dashboard, "user", "add", "bench", "--role", "admin", "--password-stdin", *data]
    subprocess.run(add, cwd=ROOT, input=PASSWORD.encode() + b"\n", check=True, capture_output=True)
    names = [f"cam{index}" for index in range(cameras)]
    with RtspFarm(clip, cameras) as farm:
        lines = (f"  - {{id: {camera}, url: '{url}'}}\n" for camera, url in zip(names, farm.urls, strict=True))
        config = "defaults: {motion: {enabled: false}}\ncameras:\n" + "".join(lines)
        (folder / "cameras.yaml").write_text(config)
        port = free_port()
        serve = [*dashboard, "serve", "--config", str(folder / "cameras.yaml"), "--port", str(port), *data]
        with running(serve, folder / "dashboard.log") as process:
            browser = Browser(port)
            within(40, lambda: browser.sign_in("bench", PASSWORD).status == 302)
            time.sleep(SETTLE_S)
            idle = Cost.of(process.pid)
            time.sleep(seconds)
            alone = Cost.of(process.pid).percent_since(idle)
            cookie = browser.cookie_header["Cookie"]
            command = [sys.executable, "-m", "benchmarks.passthrough", "--watch", str(port), cookie, ",".join(names)]
            command += [str(viewers), str(seconds + 2 * SETTLE_S)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
                time.sleep(SETTLE_S)
                before = Cost.of(process.pid)
                time.sleep(seconds)
                now = Cost.of(process.pid)
                watched = now.percent_since(before)
                seen = json.loads(watching.communicate(timeout=60)[0])
            decoded, encoded = counted(browser)
    per_viewer = 1000 * max(0.0, now.rss - idle.rss) / (cameras * viewers)
    ratio = watched / alone if alone else 0.0
    slowest = min(seen, default=0) / (seconds + 2 * SETTLE_S)
    rows: list[tuple[str, ...]] = [
        ("CPU, nobody watches, % of a core", f"{alone:.1f}", ""),
        ("CPU, all watch, % of a core", f"{watched:.1f}", f"at most {RATIO:g} times that: {ratio:.2f}"),
        ("pictures decoded, JPEGs encoded", f"{decoded}, {encoded}", "0, 0"),
        ("memory of a viewer, kB", f"{per_viewer:.0f}", f"at most {PER_VIEWER_KB:g}"),
        ("slowest viewer, pictures a second", f"{slowest:.1f}", "as the camera, 15"),
    ]
    return rows, ratio <= RATIO and decoded == encoded == 0 and per_viewer <= PER_VIEWER_KB


if __name__ == "__main__":
    main()

"""What a camera costs: our server against Debian's `motion`, on the same RTSP streams, with motion detection, nobody
watching. `python -m benchmarks.cameras`; see README.md in this folder for what is measured and how.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.cookiejar
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks._farm import ROOT, Cost, RtspFarm, realistic_clip, running, table
from tests.servers import gst_rtsp
from tests.servers.clips import Clip

WARM_UP = 8.0  # seconds from the first picture of every camera until the measurement begins
PASSWORD = "only for this measurement"  # to a server that is thrown away
RATIO, PER_CAMERA_MB = 0.6, 15.0  # the targets


@dataclass(frozen=True, slots=True)
class Result:
    """What a program took. `cpu`: % of a core for each camera; `rss`: MB in all; `lost`: pictures, None if unknown."""

    cpu: float
    rss: float
    lost: int | None
    note: str


Streams = Callable[[int], contextlib.AbstractContextManager[Any]]


class Visitor:
    """Logs in as a browser would and reads /api/stats."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        ).open

    def logged_in(self) -> bool:
        """Log in; raises OSError while the server is not up yet."""
        page = self.open(f"{self.base}/login", timeout=5).read().decode()
        tokens = [tag for tag in re.findall(r"<(?:input|meta)[^>]*>", page) if "csrf" in tag]
        token = re.search(r'(?:value|content)="([^"]+)"', tokens[0]) if tokens else None
        form = {"username": "bench", "password": PASSWORD, "csrf_token": token[1] if token else ""}
        self.open(f"{self.base}/login", urllib.parse.urlencode(form).encode(), timeout=10).read()
        return True

    def stats(self) -> dict[str, Any]:
        """/api/stats."""
        found: dict[str, Any] = json.load(self.open(f"{self.base}/api/stats", timeout=10))
        return found


def ours(urls: list[str], seconds: float, folder: Path, sent: Callable[[], int] | None) -> Result:
    """The real `dashboard serve`."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    config = folder / "cameras.yaml"
    config.write_text("cameras:\n" + "".join(f"  - id: cam{index}\n    url: {url}\n" for index, url in enumerate(urls)))
    dashboard = [sys.executable, "-m", "dashboard"]
    data = ["--data-dir", str(folder / "data")]
    add = [*dashboard, "user", "add", "bench", "--role", "admin", "--password-stdin", *data]
    subprocess.run(add, cwd=ROOT, input=PASSWORD.encode() + b"\n", check=True, capture_output=True)
    port = free_port()
    serve = [*dashboard, "serve", "--config", str(config), "--port", str(port), *data]
    with running(serve, folder / "dashboard.log") as process:
        visitor = Visitor(port)
        within(30, visitor.logged_in)
        within(30, lambda: all(camera["state"] == "live" for camera in visitor.stats()["cameras"].values()))
        time.sleep(WARM_UP)
        before, decoded, given = Cost.of(process.pid), decodes(visitor), sent() if sent else 0
        time.sleep(seconds)
        after, cameras = Cost.of(process.pid), visitor.stats()["cameras"]
        # The farm is asked second at the start and first at the end: what it sends meanwhile must not look lost.
        given = (sent() if sent else 0) - given
        got = decodes(visitor) - decoded
    fps = sum(camera["fps"] for camera in cameras.values()) / len(cameras)
    lost = max(0, given - got - len(urls)) if sent else None  # one of each camera may be under way
    again = sum(camera["reconnects"] for camera in cameras.values())
    note = f"{fps:.1f} fps received, {got / seconds / len(urls):.1f} decoded, {again} reconnects"
    return Result(after.percent_since(before) / len(urls), after.rss, lost, note)


def decodes(visitor: Visitor) -> int:
    """Pictures decoded so far, all cameras together."""
    return sum(camera["decoded_frames"] for camera in visitor.stats()["cameras"].values())


def peer(urls: list[str], seconds: float, folder: Path, clip: Clip) -> Result:
    """Debian's motion: the same streams, detection with its defaults, nothing written, nothing served."""
    (folder / "motion").mkdir(exist_ok=True)
    common = [
        "daemon off", "log_level 7", f"target_dir {folder}/motion", "picture_output off", "movie_output off",
        "snapshot_interval 0", "webcontrol_port 0", "stream_port 0", f"width {clip.width}", f"height {clip.height}",
        f"framerate {clip.fps:g}", "netcam_params rtsp_transport = tcp",
    ]  # fmt: skip
    for index, url in enumerate(urls):
        lines = [f"camera_id {index + 1}", f"camera_name cam{index}", f"netcam_url {url}"]
        (folder / f"motion{index}.conf").write_text("\n".join(lines) + "\n")
    main = folder / "motion.conf"
    includes = [f"camera {folder}/motion{index}.conf" for index in range(len(urls))]
    main.write_text("\n".join(common + includes) + "\n")
    log = folder / "motion.log"
    with running(["motion", "-n", "-c", str(main)], log) as process:
        within(40, lambda: len(_rates(log)) >= len(urls))
        time.sleep(WARM_UP)
        before = Cost.of(process.pid)
        time.sleep(seconds)
        after = Cost.of(process.pid)
    rates = "/".join(sorted(set(_rates(log))))
    return Result(after.percent_since(before) / len(urls), after.rss, None, f"{rates} fps by its log")


def _rates(log: Path) -> list[str]:
    """The rate that motion found, of each camera that it has connected."""
    return re.findall(r"Camera source is (\d+) FPS", log.read_text(errors="replace"))


def within(seconds: float, true: Callable[[], object]) -> None:
    """Ask again and again until it is true; raises what it raised last, or TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except (OSError, http.client.HTTPException, KeyError):
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.25)


def free_port() -> int:
    """A port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def farm(server: str, clip: Clip, folder: Path, cameras: int) -> Iterator[tuple[list[str], Callable[[], int] | None]]:
    """The URLs of the cameras and, where it is known, how many pictures they have sent."""
    if server == "gst":
        with gst_rtsp.GstRtspServer(clip, folder, paths=cameras) as streams:
            yield streams.urls, None
    else:
        with RtspFarm(clip, cameras) as own:
            yield own.urls, own.sent


def main() -> None:
    """Measure, print a table, end with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement")
    parser.add_argument("--server", choices=["own", "gst"], default="own", help="what plays the cameras")
    parser.add_argument("--rounds", type=int, default=1, help="how often both sides are measured, in turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = realistic_clip(folder)
        one, many, theirs = [], [], []
        with farm(options.server, clip, folder, options.cameras) as (urls, sent):
            for _ in range(options.rounds):
                one.append(ours(urls[:1], max(5.0, options.seconds / 3), folder, sent))
                many.append(ours(urls, options.seconds, folder, sent))
                if shutil.which("motion"):
                    theirs.append(peer(urls, options.seconds, folder, clip))
    rows = [("", "CPU per camera, % of a core", "RSS, MB", "pictures lost", "")]
    for title, results in (("ours, 1 camera", one), (f"ours, {options.cameras} cameras", many), ("motion", theirs)):
        rows += [
            (title, f"{r.cpu:.2f}", f"{r.rss:.0f}", "-" if r.lost is None else str(r.lost), r.note) for r in results
        ]
    print(
        f"{options.cameras} x H.264 {clip.width}x{clip.height} {clip.fps:g} fps over RTSP ({options.server} server)\n"
    )
    print(table(rows))
    missed = verdict(options.cameras, one, many, theirs)
    sys.exit(1 if missed else 0)


def verdict(cameras: int, one: list[Result], many: list[Result], theirs: list[Result]) -> bool:
    """Print each target with what was measured; True when one was missed."""
    grown = (fmean([r.rss for r in many]) - fmean([r.rss for r in one])) / max(1, cameras - 1)
    checks = [(f"{grown:.1f} MB for each added camera (target: at most {PER_CAMERA_MB:g})", grown <= PER_CAMERA_MB)]
    if theirs:
        ratio = fmean([r.cpu for r in many]) / fmean([r.cpu for r in theirs])
        checks.append((f"{ratio:.2f} of motion's CPU (target: at most {RATIO})", ratio <= RATIO))
    else:
        print("\nmotion is not installed: no comparison")
    lost = [r.lost for r in many if r.lost is not None]
    if lost:
        checks.append((f"{sum(lost)} pictures lost (target: none)", not sum(lost)))
    for text, good in checks:
        print(f"{'ok    ' if good else 'MISSED'} {text}")
    return not all(good for _, good in checks)


if __name__ == "__main__":
    main()

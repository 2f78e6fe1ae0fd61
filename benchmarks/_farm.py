"""What the measurements share: a realistic clip, a farm of cameras in a process of its own, and what a process costs.

Everything runs on loopback, and every process that is started here is ended here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
import numpy.typing as npt

from tests.servers.clips import Clip, draw, encode

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
FOOTAGE = "hall_visitors.mp4"  # persons that come and go, with quiet in between
FROM = 14.0  # s: two visits in the next 20 s


def footage() -> Path | None:
    """The labelled footage that lies beside the project, if it does."""
    folder = Path(os.environ.get("DASHBOARD_CLIPS", ROOT.parent / "shared" / "clips"))
    return folder / FOOTAGE if (folder / FOOTAGE).is_file() else None


def realistic_clip(folder: Path, seconds: int = 20, fps: int = 15, size: tuple[int, int] = (1280, 720)) -> Clip:
    """What a usual camera sends: H.264, 2 Mbit/s, a key frame every 2 s, no B-frames. Drawn without footage."""
    path = folder / "camera.mp4"
    recording = footage()
    pictures = _filmed(recording, seconds, fps, size) if recording else draw(size, seconds * fps, numbered=False)
    if not path.exists():
        encode(path, pictures, "h264", size, fps, gop=2 * fps, bit_rate=2_000_000)
    return Clip(path, "h264", *size, fps, seconds * fps, numbered=False)


def _filmed(path: Path, seconds: int, fps: int, size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Recorded pictures at the wanted size and rate, with the noise of a sensor."""
    random = np.random.default_rng(1)
    noise = random.normal(0, 2, (8, size[1], size[0], 3)).astype(np.int16)
    made = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            while (frame.time or 0) >= FROM + made / fps and made < seconds * fps:
                large = cv2.resize(frame.to_ndarray(format="bgr24"), size, interpolation=cv2.INTER_CUBIC)
                grain = np.roll(noise[made % len(noise)], int(random.integers(size[0])), axis=1)
                yield np.clip(large.astype(np.int16) + grain, 0, 255).astype(np.uint8)
                made += 1


class RtspFarm:
    """The tests' RTSP server in a process of its own, so that its cost is not counted with ours."""

    def __init__(self, clip: Clip, cameras: int) -> None:
        command = [sys.executable, "-m", "tests.servers.rtsp", str(clip.path), "--fps", str(clip.fps)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        url = self._process.stdout.readline().strip()
        self.urls = [url.replace("/cam", f"/cam{index}") for index in range(cameras)]

    def sent(self) -> int:
        """Pictures sent so far, to all clients together."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took from `at` (s, monotonic) on: `cpu` seconds since its start, `rss` MB now."""

    at: float
    cpu: float
    rss: float

    @classmethod
    def of(cls, pid: int) -> Cost:
        """Read from /proc."""
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(time.monotonic(), (int(stat[11]) + int(stat[12])) / TICKS, resident / 1e6)

    def percent_since(self, before: Cost) -> float:
        """Share of one core, in %, between two moments."""
        return 100 * (self.cpu - before.cpu) / (self.at - before.at)


@contextlib.contextmanager
def running(command: list[str], output: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the project's folder whose output goes to a file; it is asked to end, and made to after 10 s."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of words as a table; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)

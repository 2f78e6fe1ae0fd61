"""How long a picture takes from the camera's thread to a viewer.

    python -m benchmarks.latency [--seconds 10]

Measured from the moment a picture is published, which it carries as its time of capture, to the moment when a viewer
in another process on the same machine reads that time. Four ways: a camera's own JPEG and one
that has to be encoded, over MJPEG and over the wall.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys

from benchmarks.viewers import Counts, Row, Server, p95, table, watch_mjpeg, watch_wall

WAYS = [
    ("camera's JPEG of 40 kB, MJPEG", 40_000, False),
    ("camera's JPEG of 40 kB, wall", 40_000, True),
    ("1280x720 to be encoded, MJPEG", 0, False),
    ("1280x720 to be encoded, wall", 0, True),
]


async def delays_of(size: int, wall: bool, seconds: float) -> list[float]:
    """Seconds that each picture took."""
    server = Server()
    await server.start(10, size)
    task: asyncio.Task[None] | None = None
    try:
        if wall:
            viewer = Counts(b"")
            task = asyncio.create_task(watch_wall(server, viewer))
        else:
            viewer = (await watch_mjpeg(server, 1))[0]
        await asyncio.sleep(1)
        viewer.delays = []
        await asyncio.sleep(seconds)
        if task is None:
            viewer.transport.abort()
        return viewer.delays
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        server.process.terminate()
        await server.process.wait()


async def measure(seconds: float) -> bool:
    rows: list[Row] = []
    for name, size, wall in WAYS:
        delays = await delays_of(size, wall, seconds)
        rows.append((f"{name}, median, ms", 1000 * statistics.median(delays), "at most", 40))
        rows.append(("  p95, ms", 1000 * p95(delays), "", 0))
    return table("From the camera's thread to a viewer", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    sys.exit(0 if asyncio.run(measure(parser.parse_args().seconds)) else 1)


if __name__ == "__main__":
    main()

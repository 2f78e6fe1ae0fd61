"""Many viewers of one camera: what they get, what they cost, and whether the pages still answer.

    python -m benchmarks.viewers [--viewers 200] [--fps 10] [--kilobytes 40] [--seconds 15] [--wall]

The server is a process of its own, with a camera that publishes pictures of the given size; the viewers are this
process. CPU is read from /proc, so it runs on Linux. `--wall`: the viewers watch over `/live` instead of MJPEG.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from websockets.asyncio.client import connect

SERVER = "benchmarks.serve_pictures"
STAMP = re.compile(rb"X-Timestamp: ([0-9.]+)\r\n")


@dataclass
class Counts(asyncio.Protocol):
    """One MJPEG viewer that counts; reads all that comes and keeps none of it."""

    request: bytes
    pictures: int = 0
    delays: list[float] = field(default_factory=list)
    tail: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        data = self.tail + data
        end = 0
        for found in STAMP.finditer(data):
            self.pictures += 1
            self.delays.append(now - float(found[1]))
            end = found.end()
        self.tail = data[max(end, len(data) - 40) :]


class Server:
    """The process that is measured."""

    async def start(self, fps: float, size: int) -> None:
        """`size`: bytes of the ready-made pictures; 0: pixels, which are encoded when wanted."""
        command = ["-m", SERVER, str(fps), str(size)]
        self.process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout
        self.port = int(await self.process.stdout.readline())
        self.cookie = ""
        page = await self.ask("GET", "/login")
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token
        form = urlencode({"username": "admin", "password": "correct horse", "csrf_token": token[1]})
        await self.ask("POST", "/login", form)

    async def ask(self, method: str, path: str, body: str = "") -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self.request(method, path, body))
        answer = (await reader.read()).decode()
        writer.close()
        for name, value in re.findall(r"\r\nset-cookie: (\w+)=([^;]+)", answer, re.IGNORECASE):
            self.cookie = f"{name}={value}"
        return answer

    def request(self, method: str, path: str, body: str = "") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n" if body else ""
        return f"{head}Cookie: {self.cookie}\r\n{form}\r\n{body}".encode()

    async def stats(self) -> dict[str, int]:
        answer = await self.ask("GET", "/api/stats")
        counts: dict[str, int] = json.loads(answer.partition("\r\n\r\n")[2])
        return counts

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


async def watch_mjpeg(server: Server, count: int) -> list[Counts]:
    loop = asyncio.get_running_loop()
    viewers = [Counts(server.request("GET", "/video_feed/door")) for _ in range(count)]
    for viewer in viewers:
        await loop.create_connection(lambda viewer=viewer: viewer, "127.0.0.1", server.port)  # type: ignore[misc]
    return viewers


async def watch_wall(server: Server, counts: Counts) -> None:
    headers = {"Cookie": server.cookie}
    async with connect(f"ws://127.0.0.1:{server.port}/live", additional_headers=headers, compression=None) as wall:
        await wall.send(json.dumps({"type": "watch", "tiles": [{"camera": "door", "width": 3840, "fps": 30}]}))
        async for message in wall:
            if isinstance(message, bytes):
                frame, taken = int.from_bytes(message[4:8], "big"), int.from_bytes(message[8:16], "big")
                counts.pictures += 1
                counts.delays.append(time.time() - taken / 1000)
                await wall.send(json.dumps({"type": "drawn", "camera": "door", "frame": frame}))


async def time_pages(server: Server, seconds: float) -> list[float]:
    """Seconds that /login takes, four times a second."""
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        await server.ask("GET", "/login")
        taken.append(time.monotonic() - began)
        await asyncio.sleep(0.25)
    return taken


async def measure(arguments: argparse.Namespace) -> bool:
    server = Server()
    await server.start(arguments.fps, arguments.kilobytes * 1000)
    try:
        await asyncio.sleep(1)
        rss_before = server.rss_mib()
        cpu, began = server.cpu_s(), time.monotonic()
        await asyncio.sleep(3)
        idle = (server.cpu_s() - cpu) / (time.monotonic() - began)
        tasks: list[asyncio.Task[None]] = []
        if arguments.wall:
            viewers = [Counts(b"") for _ in range(arguments.viewers)]
            tasks = [asyncio.create_task(watch_wall(server, viewer)) for viewer in viewers]
        else:
            viewers = await watch_mjpeg(server, arguments.viewers)
        await asyncio.sleep(3)
        before = await server.stats()
        for viewer in viewers:
            viewer.pictures, viewer.delays = 0, []
        cpu, began = server.cpu_s(), time.monotonic()
        pages = await time_pages(server, arguments.seconds)
        busy, passed = server.cpu_s() - cpu, time.monotonic() - began
        after = await server.stats()
        rates = [viewer.pictures / passed for viewer in viewers]
        delays = [delay for viewer in viewers for delay in viewer.delays]
        rss, threads = server.rss_mib(), server.threads()
        for viewer in viewers:
            if not arguments.wall:
                viewer.transport.abort()
        for task in tasks:
            task.cancel()
        left = time.monotonic()
        while (await server.stats())["viewers"] and time.monotonic() < left + 20:
            await asyncio.sleep(0.05)
        left = time.monotonic() - left
    finally:
        server.process.terminate()
        await server.process.wait()
    frames, encodes = after["frames"] - before["frames"], after["encodes"] - before["encodes"]
    share = 100 * busy / passed
    rows = [
        ("pictures a second, slowest viewer", min(rates), "at least", 0.95 * arguments.fps),
        ("server CPU, % of a core", share, "at most", 20),
        ("  of it without viewers", 100 * idle, "", 0),
        ("encodes for each frame of the camera", encodes / max(1, frames), "at most", 1.01),
        ("from capture to viewer, median, ms", 1000 * statistics.median(delays), "at most", 40),
        ("  p95, ms", 1000 * p95(delays), "", 0),
        ("/login, median, ms", 1000 * statistics.median(pages), "", 0),
        ("  p95, ms", 1000 * p95(pages), "at most", 100),
        ("memory that the viewers take, MiB", rss - rss_before, "at most", 100),
        ("threads", threads, "", 0),
        ("until all who left are forgotten, s", left, "at most", 2),
    ]
    how = "walls" if arguments.wall else "MJPEG viewers"
    return table(f"{arguments.viewers} {how} x {arguments.fps:g} fps x {arguments.kilobytes} kB", rows)


Row = tuple[str, float, str, float]
"""What, how much, "at least", "at most" or "", and the target."""


def table(title: str, rows: list[Row]) -> bool:
    """Print the rows; whether every target was met."""
    print(f"\n{title}\n")
    all_met = True
    for name, value, kind, target in rows:
        met = {"at least": value >= target, "at most": value <= target}.get(kind, True)
        all_met &= met
        verdict = f"{kind} {target:g}{'' if met else '   MISSED'}" if kind else ""
        print(f"  {name:42} {value:9.2f}   {verdict}")
    return all_met


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--kilobytes", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--wall", action="store_true")
    sys.exit(0 if asyncio.run(measure(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()

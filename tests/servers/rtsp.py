"""An RTSP 1.0 camera on loopback that plays a clip in a loop to any number of clients, and misbehaves on demand.

Each client gets its own pass through the clip, from the first key frame, at the clip's own rate, with timestamps that
follow the clock. How a clip is cut into packets is in rtp.py; who is let in, in listener.py.
`python -m tests.servers.rtsp CLIP --fps 15` serves in a process of its own until its standard input ends.
"""

from __future__ import annotations

import argparse
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import rtp
from tests.servers.auth import Credentials, Gate
from tests.servers.clips import Clip
from tests.servers.listener import LoopbackServer

REPORT_EVERY = 5.0  # seconds between RTCP sender reports
TOO_LATE = 2.0  # seconds: who is further behind (a client that did not read) goes on from now
WORDS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 454: "Session Not Found",
         461: "Unsupported Transport", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


class RtspServer(LoopbackServer):
    """`with RtspServer(clip) as server:` plays `clip` at `server.url`, whatever path is asked for.

    `user`, `password` and `auth` ("basic", "digest", "digest-plain", in order of offer) close the gate.
    `framerate` is what the SDP claims. `quiet`: a camera that opens well and then never sends a frame.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        user: str | None = None,
        password: str | None = None,
        auth: tuple[str, ...] = ("basic",),
        framerate: str | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__("rtsp-server")
        self.gate = Gate(user, password, auth)
        self.framerate = framerate
        self.plays = 0
        """How many sessions ever began to play."""
        self.frames = 0
        """How many pictures were sent, to all clients together."""
        self.refusals = 0
        """How many requests were answered 401."""
        self.reel = rtp.load(clip)
        self.fps: float | None = None
        self.mode = "stall" if quiet else "play"
        self.opening = "answer"
        self.loss = 0.0
        self.cut = False
        self.delay = 0.0
        self.status = 200
        self.junk: list[bytes] = []

    @property
    def url(self) -> str:
        """Where it plays, without credentials."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    @property
    def seen(self) -> list[Credentials]:
        """The credentials that clients showed, in order."""
        return self.gate.seen

    def stall(self) -> None:
        """Keep every connection open and send nothing."""
        self.mode = "stall"

    def drip(self) -> None:
        """Send two bytes a second (over TCP; nothing over UDP)."""
        self.mode = "drip"

    def resume(self) -> None:
        """Behave again: end every fault but `refuse` and another clip."""
        self.mode, self.opening = "play", "answer"
        self.loss, self.cut, self.delay, self.status, self.fps = 0.0, False, 0.0, 200, None

    def garbage(self, size: int = 2000) -> None:
        """Put `size` random bytes between two packets, once, for every client."""
        self.junk.append(random.Random(len(self.junk)).randbytes(size))

    def truncate(self) -> None:
        """From now on every other picture has its units cut to half."""
        self.cut = True

    def lose(self, share: float) -> None:
        """From now on drop this share (0..1) of the packets."""
        self.loss = share

    def show(self, clip: Clip) -> None:
        """Go on with another clip of the same codec, as a camera whose resolution was changed."""
        reel = rtp.load(clip)
        assert reel.codec == self.reel.codec
        self.reel = reel

    def flood(self, fps: float) -> None:
        """Send this many pictures a second instead of the clip's rate."""
        self.fps = fps

    def answer(self, status: int) -> None:
        """Answer DESCRIBE with this status (401 too: whatever the credentials)."""
        self.status = status

    def silence(self) -> None:
        """Accept and read, and never answer a request."""
        self.opening = "silence"

    def hang_up(self) -> None:
        """Accept and close at once."""
        self.opening = "close"

    def slow(self, seconds: float) -> None:
        """Wait before each answer."""
        self.delay = seconds

    def serve(self, client: socket.socket) -> None:
        """One RTSP connection."""
        if self.opening != "close":
            _Connection(self, client).run()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    headers: dict[str, str]


class _Connection:
    """Reads requests and plays between them, in one thread."""

    def __init__(self, server: RtspServer, client: socket.socket) -> None:
        self.server = server
        self.client = client
        self.buffer = bytearray()
        self.player: _Player | None = None
        self.transport: _Transport | None = None

    def run(self) -> None:
        readable = select.poll()
        readable.register(self.client, select.POLLIN)
        try:
            while True:
                wait = self.player.wait() if self.player else None
                if readable.poll(None if wait is None else wait * 1000):
                    data = self.client.recv(65536)
                    if not data or not self._heard(data):
                        return
                if self.player:
                    self.player.play()
        finally:
            if self.transport:
                self.transport.close()

    def _heard(self, data: bytes) -> bool:
        """Answer what has arrived whole; False after TEARDOWN."""
        self.buffer += data
        while self.buffer:
            if self.buffer[0] == 0x24:  # the client's own RTCP, interleaved
                end = 4 + int.from_bytes(self.buffer[2:4], "big")
                if len(self.buffer) < max(end, 4):
                    return True
                del self.buffer[:end]
                continue
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return True
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            size = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < size:
                return True
            del self.buffer[:size]
            if not self._answer(_Request(first.split(" ")[0], headers)):
                return False
        return True

    def _answer(self, request: _Request) -> bool:
        server = self.server
        if server.opening == "silence":
            return True
        if server.delay and server._stopping.wait(server.delay):
            return False
        status, body = 200, b""
        headers: dict[str, str] = {}
        if request.method == "OPTIONS":
            headers["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
        elif not server.gate.opens(request.method, request.headers.get("authorization")) or server.status == 401:
            status = 401
            server.refusals += 1
        elif request.method == "DESCRIBE":
            status = server.status
            if status == 200:
                body = rtp.sdp(server.reel, server.framerate).encode()
                headers |= {"Content-Type": "application/sdp", "Content-Base": server.url + "/"}
        elif request.method == "SETUP":
            self.transport = _transport(self.client, request.headers.get("transport", ""))
            if self.transport is None:
                status = 461
            else:
                headers |= {"Transport": self.transport.agreed, "Session": "1;timeout=60"}
        elif request.method == "PLAY":
            status = 200 if self.transport else 454
            headers |= {"Session": "1", "Range": "npt=0-"}
        lines = [f"RTSP/1.0 {status} {WORDS.get(status, 'Status')}", f"CSeq: {request.headers.get('cseq', '0')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if status == 401:
            lines += [
                f"WWW-Authenticate: {challenge}" for challenge in server.gate.challenges() or ['Basic realm="camera"']
            ]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        if request.method == "PLAY" and self.transport:
            server.plays += 1
            self.player = _Player(server, self.transport)
        return request.method != "TEARDOWN"


@dataclass
class _Transport:
    """Where packets go: `send(channel, packet)`, channel 0 for RTP, 1 for RTCP. `agreed`: the SETUP answer."""

    agreed: str
    send: Callable[[int, bytes], None]
    raw: Callable[[bytes], None] | None  # straight into the TCP stream
    sockets: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        for opened in self.sockets:
            opened.close()


def _transport(client: socket.socket, wish: str) -> _Transport | None:
    """What of the client's Transport header can be had."""
    for choice in (dict(_pair(part) for part in choice.split(";")) for choice in wish.split(",")):
        if "RTP/AVP/TCP" in choice:
            return _interleaved(client, int(choice.get("interleaved", "0-1").split("-")[0]))
        if "client_port" in choice:
            return _datagrams(int(choice["client_port"].split("-")[0]))
    return None


def _interleaved(client: socket.socket, first: int) -> _Transport:
    """RTP inside the RTSP connection."""

    def send(channel: int, packet: bytes) -> None:
        client.sendall(struct.pack("!BBH", 0x24, first + channel, len(packet)) + packet)

    return _Transport(f"RTP/AVP/TCP;unicast;interleaved={first}-{first + 1}", send, client.sendall)


def _datagrams(port: int) -> _Transport:
    """RTP over UDP to `port` of the client, RTCP to the next one."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ours = "-".join(str(opened.getsockname()[1]) for opened in sockets)

    def send(channel: int, packet: bytes) -> None:
        sockets[channel].sendto(packet, ("127.0.0.1", port + channel))

    return _Transport(f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ours}", send, None, sockets)


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


class _Player:
    """One client's pass through the clip: what is due when, and what is done to it on the way."""

    def __init__(self, server: RtspServer, transport: _Transport) -> None:
        self.server = server
        self.transport = transport
        self.random = random.Random(server.plays)
        self.reel = server.reel
        self.place = 0  # unit that comes next
        self.started = self.due = time.monotonic()
        self.reported = self.started - REPORT_EVERY
        self.number = self.random.randrange(1 << 16)
        self.origin = self.random.randrange(1 << 30)  # RTP timestamp of the start
        self.source = self.random.randrange(1 << 32)
        self.packets = self.octets = 0
        self.junk = len(server.junk)  # how much of the server's garbage was already sent
        self.rest = b""  # of a unit that drips

    def wait(self) -> float:
        """Seconds until `play` has something to do."""
        return max(0.0, self.due - time.monotonic())

    def play(self) -> None:
        """Do what is due, if it is."""
        now = time.monotonic()
        if now < self.due:
            return
        if self.server.mode == "stall":
            self.due = now + 0.02
        elif self.server.mode == "drip":
            self._drip(now)
        else:
            self._frame(now)

    def _frame(self, now: float) -> None:
        if now - self.due > TOO_LATE:
            self.due = now
        if self.rest and self.transport.raw:
            self.transport.raw(self.rest)
            self.rest = b""
        if self.junk < len(self.server.junk):
            self.junk += 1
            if self.transport.raw:
                self.transport.raw(self.server.junk[self.junk - 1])
        if self.reel is not self.server.reel:
            self.reel, self.place = self.server.reel, 0
        if now - self.reported >= REPORT_EVERY:
            self._report(now)
        for packet in self._packets():
            if not self.server.loss or self.random.random() >= self.server.loss:
                self.transport.send(0, packet)
        self.server.frames += 1
        self.place = (self.place + 1) % len(self.reel.units)
        self.due += 1 / (self.server.fps or self.reel.fps)

    def _packets(self) -> list[bytes]:
        """The packets of the unit that is due."""
        unit = self.reel.units[self.place]
        if self.server.cut and self.place % 2:
            unit = rtp.Unit(tuple(piece[: max(3, len(piece) // 2)] for piece in unit.pieces), unit.ahead)
        parts = rtp.payloads(self.reel.codec, unit)
        timestamp = self._timestamp(self.due + unit.ahead)
        whole = []
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            whole.append(rtp.header(self.reel.payload_type, last, self.number, timestamp, self.source) + part)
            self.number += 1
            self.packets += 1
            self.octets += len(part)
        return whole

    def _drip(self, now: float) -> None:
        if self.transport.raw:
            if not self.rest:
                self.rest = b"".join(struct.pack("!BBH", 0x24, 0, len(packet)) + packet for packet in self._packets())
                self.place = (self.place + 1) % len(self.reel.units)
            self.transport.raw(self.rest[:1])
            self.rest = self.rest[1:]
        self.due = now + 0.5

    def _report(self, now: float) -> None:
        report = rtp.sender_report(self.source, time.time(), self._timestamp(now), self.packets, self.octets)
        self.transport.send(1, report)
        self.reported = now

    def _timestamp(self, at: float) -> int:
        return self.origin + round((at - self.started) * rtp.CLOCK)


def main() -> None:
    """Serve one clip. First the URL is printed; each line of input is answered by the count of pictures sent."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--fps", type=float, required=True)
    options = parser.parse_args()
    with RtspServer(Clip(options.clip, options.codec, 0, 0, options.fps, 0)) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(server.frames, flush=True)


if __name__ == "__main__":
    main()

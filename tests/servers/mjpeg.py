"""An HTTP camera on loopback: multipart MJPEG at any path, one picture at /still.jpg; it misbehaves on demand.

The pictures are those of an MJPEG clip, looped at its rate for each client. Who is let in is in listener.py.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable

from tests.servers import rtp
from tests.servers.auth import Credentials, Gate
from tests.servers.clips import Clip
from tests.servers.listener import LoopbackServer

BOUNDARY = "frame"
TOO_LATE = 2.0  # seconds: who is further behind goes on from now
WORDS = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
         500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


class MjpegServer(LoopbackServer):
    """`with MjpegServer(clip) as server:` plays the MJPEG `clip` at `server.url`.

    `user`, `password` and `auth` as for `RtspServer`. `quiet`: sends its headers and then never a picture.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        user: str | None = None,
        password: str | None = None,
        auth: tuple[str, ...] = ("basic",),
        quiet: bool = False,
    ) -> None:
        super().__init__("mjpeg-server")
        self.gate = Gate(user, password, auth)
        self.plays = 0
        """How many clients ever got the head of a stream."""
        self.frames = 0
        """How many pictures were sent, to all clients together."""
        self.cuts = 0
        """How many of them were cut."""
        self.refusals = 0
        """How many requests were answered 401."""
        self.requests: list[str] = []
        """The first line of each request."""
        self.fps: float | None = None
        self.mode = "stall" if quiet else "play"
        self.opening = "answer"
        self.length = "right"
        self.cut = False
        self.delay = 0.0
        self.status = 200
        self.location = ""
        self.last: int | None = None
        self.oddities: list[Callable[[bytes], bytes]] = []
        self.show(clip)

    @property
    def url(self) -> str:
        """Where the stream is, without credentials."""
        return f"http://127.0.0.1:{self.port}/stream"

    @property
    def still_url(self) -> str:
        """Where one picture is."""
        return f"http://127.0.0.1:{self.port}/still.jpg"

    @property
    def seen(self) -> list[Credentials]:
        """The credentials that clients showed, in order."""
        return self.gate.seen

    def stall(self) -> None:
        """Keep every connection open and send nothing."""
        self.mode = "stall"

    def drip(self) -> None:
        """Send two bytes a second."""
        self.mode = "drip"

    def resume(self) -> None:
        """Behave again: end every fault but `refuse` and another clip."""
        self.mode, self.opening, self.length, self.cut = "play", "answer", "right", False
        self.delay, self.status, self.location, self.last, self.fps = 0.0, 200, "", None, None

    def garbage(self, size: int = 2000) -> None:
        """Send `size` random bytes in place of the next part, head and all, once, to every client."""
        self.oddities.append(lambda picture: random.Random(size).randbytes(size))

    def garbage_part(self, size: int = 2000) -> None:
        """Send one part, well formed, whose body is random bytes."""
        self.oddities.append(lambda picture: self.part(random.Random(size).randbytes(size)))

    def huge_part(self, size: int) -> None:
        """Send one part of `size` bytes, most of them zero, that begins like a JPEG."""
        self.oddities.append(lambda picture: self.part(picture + bytes(size - len(picture))))

    def truncate(self) -> None:
        """From now on every other picture ends half way, in parts that are well formed."""
        self.cut = True

    def wrong_length(self) -> None:
        """From now on each part has a Content-Length that is half of the truth."""
        self.length = "wrong"

    def no_length(self) -> None:
        """From now on parts have no Content-Length."""
        self.length = "none"

    def show(self, clip: Clip) -> None:
        """Go on with another MJPEG clip, as a camera whose resolution was changed."""
        assert clip.codec == "mjpeg"
        self.reel = rtp.load(clip)

    def flood(self, fps: float) -> None:
        """Send this many pictures a second instead of the clip's rate."""
        self.fps = fps

    def answer(self, status: int) -> None:
        """Answer each request with this status (401 too: whatever the credentials)."""
        self.status = status

    def redirect(self, location: str) -> None:
        """Answer each request with a redirect."""
        self.status, self.location = 302, location

    def silence(self) -> None:
        """Accept and read, and never answer a request."""
        self.opening = "silence"

    def hang_up(self, after: int = 0) -> None:
        """Close after so many pictures; with 0, accept and close at once."""
        self.opening, self.last = ("answer", after) if after else ("close", None)

    def slow(self, seconds: float) -> None:
        """Wait before each answer."""
        self.delay = seconds

    def part(self, body: bytes) -> bytes:
        """One part of the stream with its head."""
        claimed = {"right": len(body), "wrong": len(body) // 2, "none": None}[self.length]
        length = "" if claimed is None else f"Content-Length: {claimed}\r\n"
        return f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + body + b"\r\n"

    def serve(self, client: socket.socket) -> None:
        """One HTTP connection, one request."""
        if self.opening == "close" or (request := self._request(client)) is None:
            return
        first, headers = request
        self.requests.append(first)
        if self.opening == "silence":
            _wait_for_end(client)
            return
        if self.delay and self._stopping.wait(self.delay):
            return
        if not self.gate.opens(first.split(" ")[0], headers.get("authorization")) or self.status == 401:
            self.refusals += 1
            challenges = self.gate.challenges() or ['Basic realm="camera"']
            client.sendall(_head(401, *(f"WWW-Authenticate: {challenge}" for challenge in challenges)))
        elif self.status == 302:
            client.sendall(_head(302, f"Location: {self.location}"))
        elif self.status != 200:
            client.sendall(_head(self.status))
        elif "/still.jpg" in first:
            picture = self.reel.units[0].pieces[0]
            client.sendall(_head(200, "Content-Type: image/jpeg", f"Content-Length: {len(picture)}") + picture)
        else:
            client.sendall(_head(200, f"Content-Type: multipart/x-mixed-replace; boundary={BOUNDARY}"))
            self.plays += 1
            self._play(client)

    def _request(self, client: socket.socket) -> tuple[str, dict[str, str]] | None:
        """The first line and the headers, by lower-case name; None when the client left."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(65536)
            if not more:
                return None
            data += more
        first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _play(self, client: socket.socket) -> None:
        left = select.poll()
        left.register(client, select.POLLIN)
        reel, place, sent, odd, rest = self.reel, 0, 0, len(self.oddities), b""
        due = time.monotonic()
        while self.last is None or sent < self.last:
            if left.poll(max(0.0, due - time.monotonic()) * 1000) and not client.recv(4096):
                return
            now = time.monotonic()
            if now < due:
                continue
            if self.mode == "stall":
                due = now + 0.02
                continue
            if self.reel is not reel:
                reel, place = self.reel, 0
            picture = reel.units[place].pieces[0]
            if self.mode == "drip":
                rest = rest or self.part(picture)
                client.sendall(rest[:1])
                rest, due = rest[1:], now + 0.5
                continue
            if rest:
                client.sendall(rest)
                rest = b""
            if odd < len(self.oddities):
                client.sendall(self.oddities[odd](picture))
                odd += 1
            elif self.cut and sent % 2:
                client.sendall(self.part(picture[: len(picture) // 2]))
                self.cuts += 1
            else:
                client.sendall(self.part(picture))
            sent += 1
            self.frames += 1
            place = (place + 1) % len(reel.units)
            due = max(due + 1 / (self.fps or reel.fps), now - TOO_LATE)


def _head(status: int, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {WORDS.get(status, 'Status')}",
        "Connection: close",
        "Cache-Control: no-store",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _wait_for_end(client: socket.socket) -> None:
    while client.recv(4096):
        pass

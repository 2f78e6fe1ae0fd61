"""A camera's small stream: connected while somebody follows it, for motion detection and small tiles.

While it gives nothing, because it connects, stalls or is down, the camera's own pictures stand in for it; so a
camera is not blind for want of its small stream. That choice is made in camera.py, by asking `serves`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike

from dashboard.capture.decoder import Decoder
from dashboard.capture.fragments import Fragments
from dashboard.capture.frame import Counts, Frame
from dashboard.capture.pace import Rate
from dashboard.capture.reader import Opener, Reader, hung_after
from dashboard.capture.source import Packet, Pixels, Spec
from dashboard.channel import Channel

LINGER = 10.0
"""Seconds that the connection is kept when its last follower has left: a page that is loaded anew comes back."""
MISSED = 2.0  # seconds without a picture, or 4 intervals if that is more, after which it serves no more


@dataclass(frozen=True)
class _SmallSpec:
    """The configuration of a camera, of which only the address is another."""

    id: str
    timeout: float
    transport: str
    fps: float | None
    url: str = field(repr=False)
    kind: str = "network"
    enabled: bool = True
    device: int | str | None = None
    replay: str | PathLike[str] | None = None
    width: int | None = None
    height: int | None = None
    substream: str | None = None

    def connect_url(self, substream: bool = False) -> str:
        """The URL of the small stream."""
        return self.url


class Substream:
    """Publishes on `frames` what the small stream gives. `say` logs; `numbers` are those of the camera."""

    def __init__(
        self,
        id: str,
        frames: Channel[Frame],
        numbers: Iterator[int],
        opener: Opener,
        say: Callable[[int, str, Exception | None], None],
    ) -> None:
        self.id = f"{id}-small"
        self.camera = id
        self.frames = frames
        self.counts = Counts()
        self.fragments = Fragments()
        self.restarts = 0
        self._numbers = numbers
        self._opener = opener
        self._say = say
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._spec: _SmallSpec | None = None
        self._rate = Rate()
        self._last = float("-inf")  # when a picture came, monotonic
        self._followed = float("-inf")  # when somebody followed
        self._down = False

    def start(self, spec: Spec) -> None:
        """Start a thread that connects when somebody follows."""
        url = spec.connect_url(substream=True)
        self._spec = _SmallSpec(spec.id, spec.timeout, spec.transport, spec.fps, url)
        self._renew()

    def signal(self) -> Reader | None:
        """Ask the thread to end and go on without it; the thread, for those who wait for its end."""
        with self._lock:
            reader, self._reader = self._reader, None
            self._forget()
        if reader is not None:
            reader.stopping.set()
        return reader

    def serves(self, now: float) -> bool:
        """Whether its pictures come; if not, the camera's own stand in."""
        return now - self._last < max(MISSED, 4 * self._rate.interval)

    def look_after(self, now: float) -> None:
        """Replace a thread that hangs or has died."""
        reader = self._reader
        if reader is None or reader.stopping.is_set() or self._spec is None:
            return
        if reader.alive and now - reader.busy_since < hung_after(self._spec):
            return
        self.signal()
        self.restarts += 1
        self._say(logging.ERROR, f"the thread of the small stream of camera {self.camera} was replaced", None)
        self._renew()

    # The receiver of what its reader reads.

    def wants_connection(self) -> bool:
        """While somebody follows, and a little longer."""
        now = time.monotonic()
        if self.frames.followers or self.fragments.channel.followers:
            self._followed = now
        return now - self._followed < LINGER

    def opened(self, reader: Reader) -> None:
        """The source is open."""
        self._rate.clear()

    def new_decoder(self) -> Decoder:
        """For one connection."""
        return Decoder(self.camera, self._numbers, self.counts)

    def took_packet(self, reader: Reader, packet: Packet) -> bool:
        """Whether somebody wants pixels."""
        with self._lock:
            if reader is not self._reader:
                return False
            self._rate.add(packet.at)
            self.fragments.take(packet)
            return self.frames.followers > 0

    def took_pixels(self, reader: Reader, pixels: Pixels) -> Frame | None:
        """Devices have no small stream."""
        return None

    def took_frame(self, reader: Reader, frame: Frame) -> None:
        """Publish it."""
        with self._lock:
            if reader is self._reader:
                self._last = frame.at
                self._down = False
                self.frames.publish(frame)

    def left_out(self, reader: Reader, at: float) -> None:
        """It still lives."""
        if reader is self._reader:
            self._last = at

    def went_down(self, reader: Reader, reason: str) -> bool:
        """Whether that is news."""
        with self._lock:
            if reader is not self._reader:
                return False
            self._forget()
            news, self._down = not self._down, True
            return news

    def restarted(self, reader: Reader) -> None:
        """The thread failed of itself and goes on."""
        self.restarts += 1

    def say(self, level: int, text: str, error: Exception | None = None) -> None:
        """Log, as the small stream."""
        self._say(level, f"small stream: {text}", error)

    def _renew(self) -> None:
        assert self._spec is not None
        with self._lock:
            reader = self._reader = Reader(self, self._spec, self._opener)
        reader.start()

    def _forget(self) -> None:
        self._last = float("-inf")
        self.fragments.forget()
        self._rate.clear()

"""The thread that reads a camera: opens its source, hands on what comes, and tries again when it ends.

What is done with packets and frames, and what a camera's state is, belongs to its receiver: camera.py for the
stream of a camera, substream.py for its small one.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Protocol

from dashboard.capture.decoder import Decoder
from dashboard.capture.frame import Frame
from dashboard.capture.pace import Backoff, Pace, Rate
from dashboard.capture.source import Packet, Pixels, Source, Spec
from dashboard.errors import SourceError, SourceRefused
from dashboard.worker import Worker

Opener = Callable[[Spec], Source]

MOST_FPS = 60.0
"""Frames a second that are published where the configuration sets no limit; half a second's may come at once."""
FLOOD_FPS = 120.0
"""A camera that sends more than this is decoded at its key frames only."""
UNREADABLE = 10.0  # seconds in which packets came and no picture could be made of them
IDLE = 0.25  # seconds between looks whether a connection is wanted


class Receiver(Protocol):
    """Who a reader reads for. A reader that was given up is told nothing back, and changes nothing."""

    @property
    def id(self) -> str: ...
    def wants_connection(self) -> bool:
        """Whether the camera is to be open at all."""

    def opened(self, reader: Reader) -> None:
        """The source is open."""

    def new_decoder(self) -> Decoder:
        """For one connection."""

    def took_packet(self, reader: Reader, packet: Packet) -> bool:
        """A packet came; whether somebody wants pixels."""

    def took_pixels(self, reader: Reader, pixels: Pixels) -> Frame | None:
        """A picture came that is no packet; the frame, if somebody wants it."""

    def took_frame(self, reader: Reader, frame: Frame) -> None:
        """A picture was made and is to be published."""

    def left_out(self, reader: Reader, at: float) -> None:
        """A picture came that is one too many to be published."""

    def went_down(self, reader: Reader, reason: str) -> bool:
        """The source is gone; False when that was known already."""

    def restarted(self, reader: Reader) -> None:
        """The thread failed of itself and goes on."""

    def say(self, level: int, text: str, error: Exception | None = None) -> None:
        """Log, a few lines a minute at most."""


def hung_after(spec: Spec) -> float:
    """Seconds in one call of a library after which a thread counts as hung: far more than its own time limits."""
    return 3 * spec.timeout + 5


class Reader(Worker):
    """The thread of a camera, for one configuration of it: opens, reads, decodes when wanted, and tries again."""

    def __init__(self, receiver: Receiver, spec: Spec, opener: Opener) -> None:
        super().__init__(f"capture-{receiver.id}")
        self.busy_since = time.monotonic()
        """When the call began that it may hang in; in the future during a pause."""
        self._receiver = receiver
        self._spec = spec
        self._opener = opener
        self._backoff = Backoff(random.random)
        self._down_since: float | None = time.monotonic()
        self._tries = 0
        self._first_picture: float | None = None

    def run_once(self) -> None:
        """One connection, from opening to its end, which is an error unless there is to be an end."""
        self.busy_since = time.monotonic()
        if not self._receiver.wants_connection():
            self.stopping.wait(IDLE)
            return
        self._first_picture = None
        self._tries += 1
        source = self._opener(self._spec)
        try:
            self._receiver.opened(self)
            self._follow(source)
        finally:
            source.close()

    def pause_after(self, error: Exception) -> float:
        """Tell why in words, once; the pause grows with the failures."""
        now = time.monotonic()
        if self._first_picture is not None:
            self._backoff.ran(now - self._first_picture)
        expected = isinstance(error, SourceError)
        pause = self._backoff.pause(now, refused=isinstance(error, SourceRefused))
        if not expected:
            pause = min(pause, 4.0)
            self._receiver.restarted(self)
        self.busy_since = now + pause
        reason = str(error) if expected else "an error inside the dashboard; see its log"
        if self._receiver.went_down(self, reason):
            self._down_since = self._down_since or now
            if expected:
                self._receiver.say(logging.WARNING, f"offline: {reason}")
        if not expected:
            self._receiver.say(logging.ERROR, f"camera {self._spec.id} failed, goes on in {pause:.0f} s", error)
        return pause

    def _follow(self, source: Source) -> None:
        receiver = self._receiver
        decoder = receiver.new_decoder()
        pace = self._pace()
        rate = Rate()  # of what comes, to know a flood
        last_good = time.monotonic()
        while not self.stopping.is_set() and receiver.wants_connection():
            self.busy_since = time.monotonic()
            item = source.read()
            if item is None:
                continue
            rate.add(item.at)
            # Video must be decoded whole, also what is then left out; only a flood is cut down to its key frames.
            flood = rate.interval < 1 / FLOOD_FPS and rate.per_second(item.at) > FLOOD_FPS
            skipped = flood and isinstance(item, Packet) and item.codec != "mjpeg" and not item.key
            in_time = not skipped and pace.allows(item.at)  # what gives no picture takes no turn
            frame: Frame | None
            if isinstance(item, Pixels):
                frame = receiver.took_pixels(self, item)  # None when nobody wants it: good nevertheless
                last_good = item.at
                self._note_good(item.at)
            elif not receiver.took_packet(self, item):
                frame = decoder.push(item, wanted=False)
                last_good = item.at
                self._note_good(item.at)
            elif item.codec == "mjpeg":
                frame = decoder.push(item, wanted=in_time)
            else:
                frame = decoder.push(item, wanted=not skipped)
            if frame is not None and in_time:
                receiver.took_frame(self, frame)
                last_good = item.at
                self._note_good(item.at)
            elif frame is not None or not in_time:
                receiver.left_out(self, item.at)
            elif item.at - last_good > max(UNREADABLE, 2 * self._spec.timeout):
                raise SourceError("what it sends cannot be read as pictures")

    def _note_good(self, at: float) -> None:
        """The first picture of a connection: say so if the camera was away."""
        if self._first_picture is not None:
            return
        self._first_picture = at
        if self._down_since is not None:
            away = at - self._down_since
            tries = f" after {away:.0f} s and {self._tries} tries" if self._tries > 1 else ""
            self._receiver.say(logging.INFO, f"live{tries}")
        self._down_since = None
        self._tries = 0

    def _pace(self) -> Pace:
        """Of publishing; what is configured may be nonsense."""
        fps = self._spec.fps
        if fps is not None and 0 < fps < MOST_FPS:
            return Pace(max(fps, 0.01))
        return Pace(MOST_FPS, slack=MOST_FPS / 4)

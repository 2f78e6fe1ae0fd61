"""One camera: keeps a source open, publishes what comes of it, and knows how it is.

The work is done by a thread `capture-<id>`. It can hang in a library for longer than anybody wants to wait; then it
is abandoned, another takes its place, and nothing that it does later is published. Who watches for that is
registry.py; what a source is, source.py.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import dataclass

from dashboard.capture import jpeg
from dashboard.capture.decoder import Decoder
from dashboard.capture.fragments import Fragment, Fragments
from dashboard.capture.frame import BgrFrame, Counts, Frame, Stamp
from dashboard.capture.pace import Quota, Rate
from dashboard.capture.reader import Opener, Reader, hung_after
from dashboard.capture.source import Packet, Pixels, Spec, open_source
from dashboard.capture.substream import Substream
from dashboard.channel import Channel
from dashboard.notices import CameraState, Notices
from dashboard.worker import Worker

log = logging.getLogger(__name__)

PACKETS = 64
"""Packets kept for those who follow them: a few seconds."""
STALLED = 1.0  # seconds without a picture, or 3 intervals if that is more
LOG_LINES = 5, 60.0  # at most so many in so many seconds


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How a camera is. Times in seconds; `since` since the epoch; sizes in pixels, None while not known."""

    state: str
    """ "connecting", "live", "stalled", "offline" or "disabled"."""
    reason: str
    """Why, in words; empty while live."""
    since: float
    fps: float
    frame_age_s: float | None
    """Since the last good picture came; None before the first."""
    reconnects: int
    """How often a connection was made again after the first."""
    decoded_frames: int
    encoded_jpegs: int
    width: int | None
    height: int | None
    codec: str | None
    restarts: int
    """How often the camera's thread was replaced, or failed of itself."""
    damaged: int = 0
    """Pictures that could not be read."""


class Camera:
    """A camera of the configuration. `frames` and `packets` stay the same ones when its configuration changes."""

    def __init__(self, spec: Spec, notices: Notices, *, opener: Opener = open_source) -> None:
        self.id = spec.id
        self.spec = spec
        self.frames: Channel[Frame] = Channel()
        """Newest picture only; decoding happens only while somebody follows."""
        self.packets: Channel[Packet] = Channel(depth=PACKETS)
        """Compressed pictures, published while somebody follows. Video begins at a packet with `key`."""
        self._fragments = Fragments()
        self._small: Channel[Frame] = Channel()
        self._notices = notices
        self._opener = opener
        self._lock = threading.Lock()  # for all below that changes
        self._reader: Reader | None = None
        self._counts = Counts()
        self._numbers = itertools.count(1)
        self._rate = Rate()
        self._state, self._reason, self._since = "connecting", "", time.time()
        self._last_picture: float | None = None  # monotonic
        self._opened = 0
        self._restarts = 0
        self._size: tuple[int, int] | None = None
        self._codec: str | None = None
        self._quota = Quota(*LOG_LINES)
        self._substream = Substream(self.id, self._small, self._numbers, opener, self.say)

    @property
    def small(self) -> Channel[Frame]:
        """Small pictures for motion detection and small tiles: of the camera's substream, if it has one."""
        return self._small if self.spec.substream else self.frames

    @property
    def video(self) -> Channel[Fragment]:
        """The camera's own video as fragmented MP4, if it sends H.264 or HEVC; nothing is decoded for it."""
        return self._fragments.channel

    @property
    def small_video(self) -> Channel[Fragment]:
        """The same of the small stream, if it has one; it may give nothing, since nothing stands in for it."""
        return self._substream.fragments.channel if self.spec.substream else self.video

    def start(self) -> None:
        """Start the thread, unless the camera is disabled."""
        with self._lock:
            if not self.spec.enabled:
                self._change("disabled", "")
                return
            self._change("connecting", "")
            reader = self._reader = Reader(self, self.spec, self._opener)
        reader.start()
        if self.spec.substream:
            self._substream.start(self.spec)

    def signal(self) -> list[Worker]:
        """Ask the threads to end and go on without them; the threads, for those who wait for their end."""
        with self._lock:
            reader, self._reader = self._reader, None
            self._forget()
        if reader is not None:
            reader.stopping.set()
        return [worker for worker in (reader, self._substream.signal()) if worker is not None]

    def stop(self, timeout: float = 2.0) -> bool:
        """End for good: readers of the channels get their end. False when a thread did not end in `timeout` s."""
        deadline = time.monotonic() + timeout
        ended = [worker.stop(max(0.0, deadline - time.monotonic())) for worker in self.signal()]
        self.close()
        return all(ended)

    def close(self) -> None:
        """Tell the readers of the channels that nothing will come any more."""
        for channel in (self.frames, self._small, self.packets, self.video, self._substream.fragments.channel):
            channel.close()

    def look_after(self, now: float) -> None:
        """Called twice a second by the watchdog: tell a stall, replace a thread that hangs or has died.

        `now` is monotonic. This is outside the thread because a thread that hangs cannot tell.
        """
        self._substream.look_after(now)
        with self._lock:
            self._notice_stall(now)
            old = self._reader
            if old is None or old.stopping.is_set():
                return
            dead = not old.alive
            if not dead and now - old.busy_since < hung_after(self.spec):
                return
            old.stopping.set()
            self._restarts += 1
            self._forget()
            self._change("offline", "its thread had ended" if dead else "its thread hung")
            reader = self._reader = Reader(self, self.spec, self._opener)
        self.say(logging.ERROR, f"the thread of camera {self.id} {'had ended' if dead else 'hung'} and was replaced")
        reader.start()

    def status(self) -> CameraStatus:
        """How the camera is now. Never waits for its thread."""
        now = time.monotonic()
        small = self._substream.counts
        with self._lock:
            self._notice_stall(now)
            width, height = self._size or (None, None)
            live = self._state in ("live", "stalled")
            return CameraStatus(
                state=self._state,
                reason=self._reason,
                since=self._since,
                fps=round(self._rate.per_second(now), 2) if live else 0.0,
                frame_age_s=None if self._last_picture is None else round(now - self._last_picture, 3),
                reconnects=max(0, self._opened - 1),
                decoded_frames=self._counts.decoded + small.decoded,
                encoded_jpegs=self._counts.encoded + small.encoded,
                width=width,
                height=height,
                codec=self._codec,
                restarts=self._restarts + self._substream.restarts,
                damaged=self._counts.damaged + small.damaged,
            )

    def say(self, level: int, text: str, error: Exception | None = None) -> None:
        """Log, a few lines a minute at most."""
        held = self._quota.take(time.monotonic())
        if held is not None:
            more = f" ({held} more lines were left out)" if held else ""
            log.log(level, "%s%s", text, more, exc_info=error)

    # The receiver of what its reader reads. Each first makes sure that it is not a thread that was given up.

    def wants_connection(self) -> bool:
        """A camera is always open: its state is to be known, and its packets are there when somebody comes."""
        return True

    def opened(self, reader: Reader) -> None:
        """The source is open."""
        with self._lock:
            if reader is self._reader:
                self._opened += 1
                self._rate.clear()

    def new_decoder(self) -> Decoder:
        """For one connection."""
        return Decoder(self.id, self._numbers, self._counts)

    def stamp(self, taken_at: float, at: float) -> Stamp:
        """For a picture that needs no decoder."""
        return Stamp(self.id, next(self._numbers), taken_at, at)

    def took_packet(self, reader: Reader, packet: Packet) -> bool:
        """A packet came; whether somebody wants pixels."""
        with self._lock:
            if reader is not self._reader:
                return False
            self._rate.add(packet.at)
            self._codec = packet.codec
            if self.packets.followers:
                if packet.codec == "mjpeg":
                    self.packets.clear()  # each stands for itself: only the newest is of use
                self.packets.publish(packet)
            self._fragments.take(packet)
            wanted = self.frames.followers > 0 or self._stands_in(packet.at)
            if not wanted:
                self._picture(packet.at)
                if packet.codec == "mjpeg" and self._size is None and (head := jpeg.whole(packet.data)):
                    self._size = head.width, head.height
            return wanted

    def took_pixels(self, reader: Reader, pixels: Pixels) -> Frame | None:
        """A picture came that is no packet; the frame, if somebody wants it."""
        with self._lock:
            if reader is not self._reader:
                return None
            self._rate.add(pixels.at)
            self._codec = "raw"
            self._size = pixels.pixels.shape[1], pixels.pixels.shape[0]
            if not (self.frames.followers or self._stands_in(pixels.at)):
                self._picture(pixels.at)
                return None
            self._counts.decoded += 1
            return BgrFrame(self.stamp(pixels.taken_at, pixels.at), pixels.pixels, self._counts)

    def took_frame(self, reader: Reader, frame: Frame) -> None:
        """A picture was made and is to be published."""
        with self._lock:
            if reader is self._reader:
                self._size = frame.width, frame.height
                self._picture(frame.at)
                self.frames.publish(frame)
                if self._stands_in(frame.at):
                    self._small.publish(frame)

    def left_out(self, reader: Reader, at: float) -> None:
        """A picture came that is one too many to be published."""
        with self._lock:
            if reader is self._reader:
                self._picture(at)

    def went_down(self, reader: Reader, reason: str) -> bool:
        """The source is gone; False when that was known or the thread was given up."""
        with self._lock:
            if reader is not self._reader:
                return False
            self._forget()
            return self._change("offline", reason)

    def restarted(self, reader: Reader) -> None:
        """The thread failed of itself and goes on."""
        with self._lock:
            if reader is self._reader:
                self._restarts += 1

    # Below, the lock is held.

    def _picture(self, at: float) -> None:
        if self._last_picture is None or at > self._last_picture:
            self._last_picture = at
        if self._state != "live":
            self._change("live", "")

    def _stands_in(self, now: float) -> bool:
        """Whether somebody follows the small stream, and it gives nothing."""
        return self._small.followers > 0 and self.small is self._small and not self._substream.serves(now)

    def _notice_stall(self, now: float) -> None:
        age = 0.0 if self._last_picture is None else now - self._last_picture
        if self._state == "live" and age > max(STALLED, 3 * self._rate.interval):
            self._change("stalled", "no new picture comes")

    def _forget(self) -> None:
        """What was seen is no longer what is."""
        self.frames.clear()
        self._small.clear()
        self.packets.clear()
        self._fragments.forget()
        self._rate.clear()

    def _change(self, state: str, reason: str) -> bool:
        """Take a state and tell it; whether it is another state than before."""
        if (state, reason) == (self._state, self._reason) and state != "connecting":
            return False
        other = state != self._state
        if other:
            self._since = time.time()
        self._state, self._reason = state, reason
        self._notices.publish(CameraState(self.id, state, reason, time.time()))
        return other

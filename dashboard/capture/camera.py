"""One camera: keeps a source open, publishes what comes of it, and knows how it is.

The work is done by a thread `capture-<id>`. It can hang in a library for longer than anybody wants to wait; then it
is abandoned, another takes its place, and nothing that it does later is published. Who watches for that is
registry.py; what a source is, source.py.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.capture import jpeg
from dashboard.capture.decoder import Decoder
from dashboard.capture.frame import BgrFrame, Counts, Frame, Stamp
from dashboard.capture.pace import Backoff, Pace, Quota, Rate
from dashboard.capture.source import Packet, Pixels, Source, Spec, open_source
from dashboard.channel import Channel
from dashboard.errors import SourceError, SourceRefused
from dashboard.notices import CameraState, Notices
from dashboard.worker import Worker

log = logging.getLogger(__name__)

Opener = Callable[[Spec], Source]

PACKETS = 64
"""Packets kept for those who follow them: a few seconds."""
MOST_FPS = 60.0
"""Frames a second that are published where the configuration sets no limit; half a second's may come at once."""
FLOOD_FPS = 120.0
"""A camera that sends more than this is decoded at its key frames only."""
STALLED = 1.0  # seconds without a picture, or 3 intervals if that is more
UNREADABLE = 10.0  # seconds in which packets came and no picture could be made of them
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
        self._notices = notices
        self._opener = opener
        self._lock = threading.Lock()  # for all below that changes
        self._capture: Capture | None = None
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

    def start(self) -> None:
        """Start the thread, unless the camera is disabled."""
        with self._lock:
            if not self.spec.enabled:
                self._change("disabled", "")
                return
            self._change("connecting", "")
            capture = self._capture = Capture(self, self.spec, self._opener)
        capture.start()

    def signal(self) -> Worker | None:
        """Ask the thread to end and go on without it; the thread, for those who wait for its end."""
        with self._lock:
            capture, self._capture = self._capture, None
            self._forget()
        if capture is not None:
            capture.stopping.set()
        return capture

    def stop(self, timeout: float = 2.0) -> bool:
        """End for good: readers of the channels get their end. False when the thread did not end in `timeout` s."""
        capture = self.signal()
        ended = capture is None or capture.stop(timeout)
        self.close()
        return ended

    def close(self) -> None:
        """Tell the readers of the channels that nothing will come any more."""
        self.frames.close()
        self.packets.close()

    def look_after(self, now: float) -> None:
        """Called twice a second by the watchdog: tell a stall, replace a thread that hangs or has died.

        `now` is monotonic. This is outside the thread because a thread that hangs cannot tell.
        """
        with self._lock:
            self._notice_stall(now)
            old = self._capture
            if old is None or old.stopping.is_set():
                return
            dead = not old.alive
            if not dead and now - old.busy_since < hung_after(self.spec):
                return
            old.stopping.set()
            self._restarts += 1
            self._forget()
            self._change("offline", "its thread had ended" if dead else "its thread hung")
            capture = self._capture = Capture(self, self.spec, self._opener)
        self.say(logging.ERROR, f"the thread of camera {self.id} {'had ended' if dead else 'hung'} and was replaced")
        capture.start()

    def status(self) -> CameraStatus:
        """How the camera is now. Never waits for its thread."""
        now = time.monotonic()
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
                decoded_frames=self._counts.decoded,
                encoded_jpegs=self._counts.encoded,
                width=width,
                height=height,
                codec=self._codec,
                restarts=self._restarts,
                damaged=self._counts.damaged,
            )

    def say(self, level: int, text: str, error: Exception | None = None) -> None:
        """Log, a few lines a minute at most."""
        held = self._quota.take(time.monotonic())
        if held is not None:
            more = f" ({held} more lines were left out)" if held else ""
            log.log(level, "%s%s", text, more, exc_info=error)

    # What the capture thread calls. Each first makes sure that it is not a thread that was given up.

    def opened(self, capture: Capture) -> None:
        """The source is open."""
        with self._lock:
            if capture is self._capture:
                self._opened += 1
                self._rate.clear()

    def new_decoder(self) -> Decoder:
        """For one connection."""
        return Decoder(self.id, self._numbers, self._counts)

    def stamp(self, taken_at: float, at: float) -> Stamp:
        """For a picture that needs no decoder."""
        return Stamp(self.id, next(self._numbers), taken_at, at)

    def took_packet(self, capture: Capture, packet: Packet) -> bool:
        """A packet came; whether somebody wants pixels."""
        with self._lock:
            if capture is not self._capture:
                return False
            self._rate.add(packet.at)
            self._codec = packet.codec
            if self.packets.followers:
                if packet.codec == "mjpeg":
                    self.packets.clear()  # each stands for itself: only the newest is of use
                self.packets.publish(packet)
            wanted = self.frames.followers > 0
            if not wanted:
                self._picture(packet.at)
                if packet.codec == "mjpeg" and self._size is None and (head := jpeg.whole(packet.data)):
                    self._size = head.width, head.height
            return wanted

    def took_pixels(self, capture: Capture, pixels: Pixels) -> Frame | None:
        """A picture came that is no packet; the frame, if somebody wants it."""
        with self._lock:
            if capture is not self._capture:
                return None
            self._rate.add(pixels.at)
            self._codec = "raw"
            self._size = pixels.pixels.shape[1], pixels.pixels.shape[0]
            if not self.frames.followers:
                self._picture(pixels.at)
                return None
            self._counts.decoded += 1
            return BgrFrame(self.stamp(pixels.taken_at, pixels.at), pixels.pixels, self._counts)

    def took_frame(self, capture: Capture, frame: Frame) -> None:
        """A picture was made and is to be published."""
        with self._lock:
            if capture is self._capture:
                self._size = frame.width, frame.height
                self._picture(frame.at)
                self.frames.publish(frame)

    def left_out(self, capture: Capture, at: float) -> None:
        """A picture came that is one too many to be published."""
        with self._lock:
            if capture is self._capture:
                self._picture(at)

    def went_down(self, capture: Capture, reason: str) -> bool:
        """The source is gone; False when that was known or the thread was given up."""
        with self._lock:
            if capture is not self._capture:
                return False
            self._forget()
            return self._change("offline", reason)

    def restarted(self, capture: Capture) -> None:
        """The thread failed of itself and goes on."""
        with self._lock:
            if capture is self._capture:
                self._restarts += 1

    # Below, the lock is held.

    def _picture(self, at: float) -> None:
        if self._last_picture is None or at > self._last_picture:
            self._last_picture = at
        if self._state != "live":
            self._change("live", "")

    def _notice_stall(self, now: float) -> None:
        age = 0.0 if self._last_picture is None else now - self._last_picture
        if self._state == "live" and age > max(STALLED, 3 * self._rate.interval):
            self._change("stalled", "no new picture comes")

    def _forget(self) -> None:
        """What was seen is no longer what is."""
        self.frames.clear()
        self.packets.clear()
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


def hung_after(spec: Spec) -> float:
    """Seconds in one call of a library after which a thread counts as hung: far more than its own time limits."""
    return 3 * spec.timeout + 5


class Capture(Worker):
    """The thread of a camera, for one configuration of it: opens, reads, decodes when wanted, and tries again."""

    def __init__(self, camera: Camera, spec: Spec, opener: Opener) -> None:
        super().__init__(f"capture-{camera.id}")
        self.busy_since = time.monotonic()
        """When the call began that it may hang in; in the future during a pause."""
        self._camera = camera
        self._spec = spec
        self._opener = opener
        self._backoff = Backoff(random.random)
        self._down_since: float | None = time.monotonic()
        self._tries = 0
        self._first_picture: float | None = None

    def run_once(self) -> None:
        """One connection, from opening to its end, which is an error unless the thread is to stop."""
        self.busy_since = time.monotonic()
        self._first_picture = None
        self._tries += 1
        source = self._opener(self._spec)
        try:
            self._camera.opened(self)
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
            self._camera.restarted(self)
        self.busy_since = now + pause
        reason = str(error) if expected else "an error inside the dashboard; see its log"
        if self._camera.went_down(self, reason):
            self._down_since = self._down_since or now
            if expected:
                self._camera.say(logging.WARNING, f"offline: {reason}")
        if not expected:
            self._camera.say(logging.ERROR, f"camera {self._spec.id} failed, goes on in {pause:.0f} s", error)
        return pause

    def _follow(self, source: Source) -> None:
        camera = self._camera
        decoder = camera.new_decoder()
        pace = self._pace()
        rate = Rate()  # of what comes, to know a flood
        last_good = time.monotonic()
        while not self.stopping.is_set():
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
                frame = camera.took_pixels(self, item)
            elif not camera.took_packet(self, item):
                frame = decoder.push(item, wanted=False)
                last_good = item.at
            elif item.codec == "mjpeg":
                frame = decoder.push(item, wanted=in_time)
            else:
                frame = decoder.push(item, wanted=not skipped)
            if frame is not None and in_time:
                camera.took_frame(self, frame)
                last_good = item.at
            elif frame is not None or not in_time:
                camera.left_out(self, item.at)
            elif item.at - last_good > max(UNREADABLE, 2 * self._spec.timeout):
                raise SourceError("what it sends cannot be read as pictures")
            self._note_good(item.at)

    def _note_good(self, at: float) -> None:
        """The first picture of a connection: say so if the camera was away."""
        if self._first_picture is not None:
            return
        self._first_picture = at
        if self._down_since is not None:
            away = at - self._down_since
            tries = f" after {away:.0f} s and {self._tries} tries" if self._tries > 1 else ""
            self._camera.say(logging.INFO, f"live{tries}")
        self._down_since = None
        self._tries = 0

    def _pace(self) -> Pace:
        """Of publishing; what is configured may be nonsense."""
        fps = self._spec.fps
        if fps is not None and 0 < fps < MOST_FPS:
            return Pace(max(fps, 0.01))
        return Pace(MOST_FPS, slack=MOST_FPS / 4)

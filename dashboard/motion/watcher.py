"""Follows the pictures of one camera, opens and closes motion events, and chooses their pictures.

What moved is decided in `difference`, what an event is in `episode`; the log is handed in, and `journal` sees to it
that the detector never waits for it. While a watcher runs it has a subscription, so the camera decodes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dashboard.channel import Channel, ChannelClosed, Subscription
from dashboard.errors import SourceError
from dashboard.motion.detect import ANALYSIS_WIDTH
from dashboard.motion.detect import Settings as DetectorSettings
from dashboard.motion.difference import NOTHING, RESET_GAP, Difference, Luma, Reading, alike
from dashboard.motion.episode import Ended, Episode, Moving, Started
from dashboard.motion.journal import Journal, Ticket
from dashboard.motion.pace import Pace
from dashboard.motion.strip import Box, Kind, MotionLog, Peak, Picture
from dashboard.worker import Worker

RING = 2
"""Pictures kept for the one before an event: few, because they are of full size (1.4 MB each at 720p)."""
PEAK_GROWTH, PEAK_PAUSE = 1.5, 2.0
"""A new peak is sent while the event runs when it is this much larger, and not more often than this (s)."""


class Frame(Protocol):
    """A picture of the camera, as far as the watcher needs it."""

    @property
    def number(self) -> int: ...
    @property
    def taken_at(self) -> float:
        """Seconds since the epoch."""

    @property
    def at(self) -> float:
        """Monotonic seconds."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def luma(self, width: int = ANALYSIS_WIDTH) -> Luma: ...
    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes: ...


class MotionSettings(DetectorSettings, Protocol):
    """`config.Motion`."""

    @property
    def pre_capture(self) -> float: ...


class Rate(Protocol):
    """`config.Detect`."""

    @property
    def fps(self) -> float: ...


class Stills(Protocol):
    """`config.Snapshots`, as far as pictures are made here."""

    @property
    def enabled(self) -> bool: ...
    @property
    def quality(self) -> int: ...


class Settings(Protocol):
    """What the watcher needs to know; a camera of `config` has it."""

    @property
    def motion(self) -> MotionSettings: ...
    @property
    def detect(self) -> Rate: ...
    @property
    def snapshots(self) -> Stills: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What the detector sees now. `at`: seconds since the epoch; `moving`: an event is open; area in %."""

    camera: str
    at: float
    moving: bool
    area: float
    boxes: tuple[Box, ...]


Look = tuple[int, Luma]
"""Number and small grey picture of a frame: enough to tell whether another one shows the same."""


@dataclass(slots=True)
class _Event:
    """The open event: what was sent of it, and the pictures that may still be."""

    ticket: Ticket | None
    kept: list[Look]
    peak: Peak
    best: tuple[Frame, Reading]
    newest: tuple[Frame, Reading]
    sent_area: float
    sent_at: float


class MotionWatcher(Worker):
    """The thread `motion-<camera>`. With `snapshots.enabled` false events are kept without pictures."""

    def __init__(self, camera: str, frames: Channel[Frame], settings: Settings, log: MotionLog) -> None:
        super().__init__(f"motion-{camera}")
        self.camera = camera
        self.seen: Channel[Seen] = Channel(depth=1)
        self.analysed = 0
        self.missed = 0
        """Moments of analysis that passed while the one before was still at work."""
        self.cpu_s = 0.0
        """Processor time of the thread, in seconds."""
        self.journal = Journal(f"motion-log-{camera}", log)
        self._frames = frames
        self._wanted = self._settings = settings
        self._reader: Subscription[Frame] | None = None
        self._difference = Difference(settings.motion)
        self._episode = Episode(settings.motion)
        self._pace = Pace(settings.detect.fps)
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._event: _Event | None = None
        self._last: Frame | None = None

    def apply(self, settings: Settings) -> None:
        """Take other settings from the next picture on, without losing what was learned. From any thread."""
        self._wanted = settings

    def run_once(self) -> None:
        """Follow the camera until it is closed or the watcher stops; an open event is closed on every way out."""
        with self._frames.subscribe() as self._reader:
            try:
                while not self.stopping.is_set():
                    self._step(self._reader)
            except ChannelClosed:
                self._finish()
                self.stopping.wait()  # nothing will come any more
            finally:
                self._finish()

    def wake(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread, close an open event, and give the log up to `timeout` seconds in all to take what waits."""
        until = time.monotonic() + timeout
        ended = super().stop(timeout)
        written = self.journal.close(max(0.1, until - time.monotonic()))
        self.seen.close()
        return ended and written

    def _step(self, reader: Subscription[Frame]) -> None:
        frame = reader.next(timeout=RESET_GAP)
        if frame is None:
            self._finish()  # a silent camera shows no movement
            return
        while (newer := reader.poll()) is not None:
            frame = newer
        if self._settings is not self._wanted:
            self._take_settings(self._wanted)
        if not self._pace.due(frame.at):
            return
        begun = time.monotonic()
        if self._last is not None and not 0 < frame.at - self._last.at <= RESET_GAP:
            self._finish()
        try:
            luma = frame.luma(ANALYSIS_WIDTH)
        except SourceError:
            return  # a damaged picture; the next one is as good
        self._see(frame, self._difference.look(luma, frame.at))
        self._last = frame
        self.analysed += 1
        self.cpu_s = time.thread_time()
        now = time.monotonic()
        self.missed += int((now - begun) * self._settings.detect.fps)
        self.stopping.wait(self._pace.left(frame.at + now - begun))

    def _take_settings(self, settings: Settings) -> None:
        if settings.detect.fps != self._settings.detect.fps:
            self._pace = Pace(settings.detect.fps)
        self._settings = settings
        self._difference.apply(settings.motion)
        self._episode.apply(settings.motion)

    def _see(self, frame: Frame, reading: Reading) -> None:
        change = self._episode.update(reading, frame.at)
        if isinstance(change, Started):
            self._open(change, frame)
        elif isinstance(change, Moving):
            self._go_on(change, frame)
        elif isinstance(change, Ended):
            self._close()
        self._remember(frame)
        self._show(frame.taken_at, reading)

    def _show(self, at: float, reading: Reading) -> None:
        boxes = tuple(region.box for region in reading.regions)
        self.seen.publish(Seen(self.camera, at, self._episode.running, reading.area, boxes))

    def _remember(self, frame: Frame) -> None:
        """Keep a picture now and then, so that one from before the next event is at hand."""
        reach = self._settings.motion.pre_capture
        if reach <= 0:
            self._ring.clear()
        elif not self._ring or frame.at - self._ring[-1].at >= max(1.0, reach / (RING - 1)):
            self._ring.append(frame)

    def _before(self, moment: float) -> Frame | None:
        """The picture nearest to `pre_capture` before `moment`: off by half of that at most."""
        reach = self._settings.motion.pre_capture
        usable = [frame for frame in self._ring if 0 < moment - frame.at <= 1.5 * reach + 0.5]
        return min(usable, key=lambda frame: abs(moment - reach - frame.at), default=None)

    def _open(self, started: Started, frame: Frame) -> None:
        peak = peak_of(frame, started.reading)
        kept: list[Look] = []
        strip: list[Picture] = []
        before = self._before(started.first)
        if before is not None:
            strip += self._pictures("before", before, NOTHING, kept)
        strip += self._pictures("start", frame, started.reading, kept)
        ticket = self.journal.started(self.camera, frame.taken_at - (frame.at - started.first), strip, peak)
        seen = (frame, started.reading)
        self._event = _Event(ticket, kept, peak, seen, seen, peak.area, frame.at)

    def _go_on(self, moving: Moving, frame: Frame) -> None:
        event = self._event
        assert event is not None
        event.newest = (frame, moving.reading)
        if not moving.peak:
            return
        event.best = event.newest
        event.peak = peak_of(frame, moving.reading)
        if event.peak.area < PEAK_GROWTH * event.sent_area or frame.at - event.sent_at < PEAK_PAUSE:
            return
        event.sent_area, event.sent_at = event.peak.area, frame.at
        strip = self._pictures("peak", frame, moving.reading, event.kept)
        if event.ticket is not None:
            self.journal.progressed(event.ticket, event.peak, strip[0] if strip else None)

    def _close(self) -> None:
        event, self._event = self._event, None
        if event is None or event.ticket is None:
            return
        strip = [
            *self._pictures("peak", *event.best, event.kept),
            *self._pictures("end", *event.newest, event.kept),
        ]
        self.journal.ended(event.ticket, event.newest[0].taken_at, strip, event.peak)

    def _finish(self) -> None:
        """Nothing is seen for now: close the open event and forget the pictures of before."""
        if self._episode.finish() is not None:
            self._close()
            if self._last is not None:
                self._show(self._last.taken_at, NOTHING)
        self._difference.reset()
        self._ring.clear()
        self._last = None

    def _pictures(self, kind: Kind, frame: Frame, reading: Reading, kept: list[Look]) -> Sequence[Picture]:
        """The picture as a list of one, or none: when pictures are off, or it shows nothing new beside `kept`."""
        stills = self._settings.snapshots
        if not stills.enabled:
            return ()
        luma = frame.luma(ANALYSIS_WIDTH)
        if any(frame.number == number or alike(luma, other) for number, other in kept):
            return ()
        try:
            jpeg = frame.jpeg(quality=stills.quality)
        except SourceError:
            return ()  # a damaged picture; the event is worth keeping without it
        kept.append((frame.number, luma))
        box = reading.regions[0].box if reading.regions else None
        return (Picture(kind, frame.taken_at, jpeg, frame.width, frame.height, box, reading.area),)


def peak_of(frame: Frame, reading: Reading) -> Peak:
    """The largest region of `reading` as a peak."""
    return Peak(frame.taken_at, reading.area, reading.regions[0].box)

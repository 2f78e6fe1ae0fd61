"""From camera threads to viewers on an event loop: each picture is encoded once for all who want it alike.

A `Feed` follows one camera while it has viewers and leaves when the last one does, so that the camera can stop
decoding. Viewers of the same size and quality share a `Rendition`. Nothing is kept for the slow: whoever is ready
gets the newest picture. What is done with a picture, and what is shown when none comes, does not belong here.
Everything here runs on one event loop; only encoding happens in threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from dashboard.channel import Channel, ChannelClosed, Subscription

log = logging.getLogger(__name__)

WIDTHS = (160, 240, 320, 480, 640, 960, 1280, 1920, 2560, 3840)
QUALITIES = (30, 50, 70, 85, 95)
MAX_AGE = 10.0
"""Seconds after which a picture is no longer shown as live."""


class Frame(Protocol):
    """What is needed of a frame. `at` is monotonic seconds, `taken_at` seconds since the epoch."""

    @property
    def number(self) -> int: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def at(self) -> float: ...
    @property
    def width(self) -> int: ...

    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded frame."""

    number: int
    taken_at: float
    at: float
    jpeg: bytes


def snapped_width(width: int) -> int:
    """The step at or above `width`: few sizes, few encodes."""
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def snapped_quality(quality: int) -> int:
    """The step nearest to `quality`."""
    return min(QUALITIES, key=lambda step: abs(step - quality))


def encode(frame: Frame, width: int | None, quality: int) -> Picture:
    """`frame` as a picture at most `width` wide. Takes milliseconds: not for an event loop."""
    narrower = width if width is not None and width < frame.width else None
    return Picture(frame.number, frame.taken_at, frame.at, frame.jpeg(narrower, quality))


class Pace:
    """Holds a reader to `fps` pictures a second on average, whatever the camera's rhythm. None: no limit.

    A picture may come half an interval early, else the jitter of a camera with just that rate would halve it.
    """

    def __init__(self, fps: float | None) -> None:
        self._interval = 1.0 / fps if fps else 0.0
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next picture may go out; 0 when it may now."""
        return max(0.0, self._next - self._interval / 2 - now)

    def took(self, now: float) -> None:
        """A picture went out."""
        self._next = max(self._next, now - self._interval / 2) + self._interval


class Feeds:
    """The feeds of one event loop, by channel. Made on that loop; `close` when it ends."""

    def __init__(self, threads: int = 3) -> None:
        self.loop = asyncio.get_running_loop()
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._feeds: dict[int, Feed] = {}

    def join(
        self, frames: Channel[Any], width: int | None = None, quality: int = 85, fps: float | None = None
    ) -> Viewer:
        """A new viewer of `frames`; it must be closed. `width` in pixels, None for as it comes."""
        feed = self._feeds.get(id(frames))
        if feed is None:
            feed = self._feeds[id(frames)] = Feed(self, frames, lambda: self._feeds.pop(id(frames), None))
        return feed.join(width, quality, Pace(fps))

    def __len__(self) -> int:
        return len(self._feeds)

    def close(self) -> None:
        """End every viewer's wait and let the threads go."""
        for feed in list(self._feeds.values()):
            feed.end()
        self.pool.shutdown(wait=False, cancel_futures=True)


class Feed:
    """One camera's frames on one event loop, for as long as it has viewers."""

    def __init__(self, feeds: Feeds, frames: Channel[Any], left: Callable[[], object]) -> None:
        self.feeds = feeds
        self.ended = False
        self._left = left
        self._called = False
        self._renditions: dict[tuple[int | None, int], Rendition] = {}
        self._subscription: Subscription[Any] = frames.subscribe(waker=self._from_camera)
        newest = frames.newest
        fresh = newest is not None and feeds.loop.time() - newest.at < MAX_AGE
        self.newest: Frame | None = newest if fresh else None

    def join(self, width: int | None, quality: int, pace: Pace) -> Viewer:
        key = (width, quality)
        rendition = self._renditions.get(key)
        if rendition is None:
            rendition = self._renditions[key] = Rendition(self, width, quality)
        viewer = Viewer(rendition, pace)
        rendition.viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        rendition = viewer.rendition
        rendition.viewers.discard(viewer)
        if not rendition.viewers:
            self._renditions.pop((rendition.width, rendition.quality), None)
        if not self._renditions and not self.ended:
            self.end()

    def end(self) -> None:
        """Leave the channel; viewers who wait get `ChannelClosed`."""
        self.ended = True
        self._subscription.close()
        self._left()
        for rendition in self._renditions.values():
            for viewer in rendition.viewers:
                viewer.wake()

    def _from_camera(self) -> None:
        """Called in the camera's thread. One call to the loop is under way at most, however fast the camera is."""
        if not self._called:
            self._called = True
            try:
                self.feeds.loop.call_soon_threadsafe(self._arrived)
            except RuntimeError:  # the loop is closed: the server has stopped before the camera
                self._called = True

    def _arrived(self) -> None:
        self._called = False
        try:
            frame = self._subscription.poll()
        except ChannelClosed:
            if not self.ended:
                self.end()
            return
        if frame is not None:
            self.newest = frame
            for rendition in list(self._renditions.values()):
                rendition.consider()


class Rendition:
    """The pictures of one feed in one size and quality, and who waits for them."""

    def __init__(self, feed: Feed, width: int | None, quality: int) -> None:
        self.feed = feed
        self.width = width
        self.quality = quality
        self.viewers: set[Viewer] = set()
        self.latest: Picture | None = None
        self._tried: Frame | None = None  # the last frame given to a thread, whether it came to a picture or not
        self._encoding = False

    @property
    def current(self) -> bool:
        """Whether the newest frame has been given to a thread: a newer picture than `latest` need not be asked for."""
        return self._tried is not None and self._tried is self.feed.newest

    def consider(self) -> None:
        """Encode the newest frame if somebody waits for it now; one at a time."""
        frame = self.feed.newest
        if self._encoding or frame is None or frame is self._tried or self.feed.ended:
            return
        now = self.feed.feeds.loop.time()
        if not any(viewer.waits(now) for viewer in self.viewers):
            return
        self._tried = frame
        self._encoding = True
        feeds = self.feed.feeds
        feeds.loop.run_in_executor(feeds.pool, encode, frame, self.width, self.quality).add_done_callback(self._encoded)

    def _encoded(self, done: asyncio.Future[Picture]) -> None:
        self._encoding = False
        if done.cancelled():
            return
        if error := done.exception():
            log.debug("a frame could not be encoded: %s", error)
        else:
            self.latest = done.result()
            now = self.feed.feeds.loop.time()
            for viewer in self.viewers:
                if viewer.waits(now):
                    viewer.wake(encoded=True)
        self.consider()


class Viewer:
    """One reader of a rendition, at its own pace. Used by one task."""

    def __init__(self, rendition: Rendition, pace: Pace) -> None:
        self.rendition = rendition
        self._pace = pace
        self._had: Picture | None = None
        self._hurries = False
        self._waiter: asyncio.Future[bool] | None = None
        self._loop = rendition.feed.feeds.loop

    def poll(self) -> Picture | None:
        """A picture newer than the last one had, if it is there and its time has come."""
        latest, now = self.rendition.latest, self._loop.time()
        if latest is None or latest is self._had or self._pace.wait(now) or now - latest.at >= MAX_AGE:
            return None
        self._had = latest
        self._pace.took(now)
        return latest

    async def next(self, timeout: float) -> Picture | None:
        """As `poll`, but waits up to `timeout` seconds. Raises `ChannelClosed` when the camera is gone."""
        deadline = self._loop.time() + timeout
        while not self.rendition.feed.ended:
            if self.rendition.current and (picture := self.poll()):
                return picture
            now = self._loop.time()
            if now >= deadline:
                return self.poll()
            pause = self._pace.wait(now) or timeout
            if await self._wait(min(deadline - now, pause)) and (picture := self.poll()):
                return picture
        raise ChannelClosed

    async def renewed(self, picture: Picture, timeout: float = 0.5) -> Picture:
        """The newest picture there is by now, for one who had to wait with `picture` in hand."""
        self._hurries = True
        try:
            if not self.rendition.current:
                await self._wait(timeout)
        finally:
            self._hurries = False
        latest = self.rendition.latest
        if latest is None or latest.at <= picture.at:
            return picture
        self._had = latest
        return latest

    def waits(self, now: float) -> bool:
        """Whether a picture would be taken at once."""
        return self._waiter is not None and (self._hurries or not self._pace.wait(now))

    def wake(self, encoded: bool = False) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(encoded)

    def close(self) -> None:
        """Leave; the last one to leave lets the camera rest."""
        self.rendition.feed.leave(self)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _wait(self, seconds: float) -> bool:
        """True when a picture was encoded meanwhile, False when the time is over or the feed has ended."""
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self.wake)
        try:
            self.rendition.consider()
            return await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

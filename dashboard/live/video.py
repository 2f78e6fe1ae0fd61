"""One viewer's way through a camera's video: from the newest key frame to the live edge, and never far behind it.

A viewer who cannot take everything goes on at the next key frame; nothing is decoded, so nothing in between can be
left out. How fragments are made, and how they reach a browser, does not belong here.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol

from dashboard.channel import Channel, Subscription

LATE_S = 1.5
"""Seconds behind the camera after which a viewer who had caught up goes on at the next key frame."""
CAUGHT_UP_S = 0.5


class NotPlayable(Exception):
    """The viewer cannot have this video: it does not come, or in a format that the viewer does not play."""


class Opening(Protocol):
    """What a player needs before the first fragment. `codec`: FFmpeg's name; `name`: RFC 6381."""

    @property
    def data(self) -> bytes: ...
    @property
    def codec(self) -> str: ...
    @property
    def name(self) -> str: ...


class Fragment(Protocol):
    """One picture of the video. `at` monotonic, `taken_at` epoch, `start` on the video's timeline; all in seconds."""

    @property
    def data(self) -> bytes: ...
    @property
    def opening(self) -> Opening: ...
    @property
    def key(self) -> bool: ...
    @property
    def number(self) -> int: ...
    @property
    def start(self) -> float: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def at(self) -> float: ...


class Edge:
    """Decides which fragments a viewer gets, one after the other."""

    def __init__(self) -> None:
        self._begun = False
        self._caught_up = False

    def takes(self, key: bool, missed: bool, late: float) -> bool:
        """Whether to send a fragment; `missed`: others were lost before it; `late`: seconds behind the camera."""
        if missed or (self._caught_up and late > LATE_S):
            self._begun = False
        if key and not self._begun:
            self._begun, self._caught_up = True, False
        if late < CAUGHT_UP_S:
            self._caught_up = True
        return self._begun


class Videos:
    """The videos that are followed on one event loop. Each camera wakes the loop once, however many follow it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._bells: dict[int, _Bell] = {}

    def follow(self, video: Channel[Fragment]) -> Follower:
        """A viewer of `video`; used by one task, and closed by `with`."""
        bell = self._bells.get(id(video))
        if bell is None:
            bell = self._bells[id(video)] = _Bell(self.loop, video)
        return Follower(self, bell)

    def left(self, follower: Follower, bell: _Bell) -> None:
        """A viewer has gone; with the last one goes the bell."""
        bell.followers.discard(follower)
        if not bell.followers and self._bells.get(id(bell.video)) is bell:
            del self._bells[id(bell.video)]
            bell.subscription.close()


class _Bell:
    """Hears a camera's thread for all who follow one video."""

    def __init__(self, loop: asyncio.AbstractEventLoop, video: Channel[Fragment]) -> None:
        self.video = video
        self.followers: set[Follower] = set()
        self._loop = loop
        self._rung = False
        self.subscription = video.subscribe(waker=self._from_camera)

    def _from_camera(self) -> None:
        """Called in the camera's thread. One call to the loop is under way at most."""
        if not self._rung:
            self._rung = True
            try:
                self._loop.call_soon_threadsafe(self._ring)
            except RuntimeError:  # the loop has ended before the camera
                pass

    def _ring(self) -> None:
        self._rung = False
        for follower in self.followers:
            follower.wake.set()


class Follower:
    """A viewer of one video; `Videos.follow` makes it."""

    def __init__(self, videos: Videos, bell: _Bell) -> None:
        self._videos = videos
        self._bell = bell
        self._loop = videos.loop
        self._edge = Edge()
        self.wake = asyncio.Event()
        bell.followers.add(self)
        self._fragments: Subscription[Fragment] = bell.video.subscribe(since=lambda fragment: fragment.key)

    async def next(self, timeout: float) -> Fragment | None:
        """The next fragment to send; None when none came in `timeout` s. Raises `ChannelClosed` at the end."""
        deadline = self._loop.time() + timeout
        while True:
            self.wake.clear()
            while (fragment := self._fragments.poll()) is not None:
                missed, self._fragments.missed = self._fragments.missed > 0, 0
                if self._edge.takes(fragment.key, missed, self._loop.time() - fragment.at):
                    return fragment
            timer = self._loop.call_at(deadline, self.wake.set)
            try:
                await self.wake.wait()
            finally:
                timer.cancel()
            if self._loop.time() >= deadline:
                return None  # what may have come just now is there at the next call

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fragments.close()
        self._videos.left(self, self._bell)

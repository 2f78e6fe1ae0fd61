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


class Follower:
    """A viewer of `video`, on the running event loop; used by one task, and closed by `with`."""

    def __init__(self, video: Channel[Fragment]) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._edge = Edge()
        self._fragments: Subscription[Fragment] = video.subscribe(
            waker=self._from_camera, since=lambda fragment: fragment.key
        )

    async def next(self, timeout: float) -> Fragment | None:
        """The next fragment to send; None when none came in `timeout` s. Raises `ChannelClosed` at the end."""
        deadline = self._loop.time() + timeout
        while True:
            self._wake.clear()
            while (fragment := self._fragments.poll()) is not None:
                missed, self._fragments.missed = self._fragments.missed > 0, 0
                if self._edge.takes(fragment.key, missed, self._loop.time() - fragment.at):
                    return fragment
            timer = self._loop.call_at(deadline, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
            if self._loop.time() >= deadline:
                return None  # what may have come just now is there at the next call

    def _from_camera(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:  # the loop has ended before the camera
            pass

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fragments.close()

"""The protocol of the wall: all tiles of a page over one connection, at most one picture of a tile under way.

The browser says which tiles it shows and which pictures it has drawn; the server sends the newest picture of each
tile when the one before is drawn, tile after tile in turn, and tells what `bulletin` has to tell. No web framework:
the connection comes in as a few callables.

Binary messages: `HEADER`, big-endian, then the JPEG or the MP4: version, flags (0 for a JPEG, else VIDEO, and OPENING
or KEY with it), index of the camera in the last "cameras" message, frame number, ms since the epoch when it was taken,
ms on the video's own timeline. Before an opening a text "video" names its codec. A tile says which codecs its browser
plays; it gets the camera's own video if that is one of them, and pictures if not.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dashboard.channel import Channel, ChannelClosed
from dashboard.live.audience import Audience
from dashboard.live.bulletin import Bulletin, cameras_text, video_text
from dashboard.live.cameras import Cameras
from dashboard.live.feed import Feeds, Picture, Viewer, snapped_width
from dashboard.live.video import Follower, Fragment, NotPlayable, Videos

HEADER = struct.Struct(">BBHIQI")
VERSION = 1
VIDEO, OPENING, KEY = 1, 2, 4
MAX_MESSAGE = 16 * 1024
MAX_TILES = 128
QUALITY = 70
SMALL_WIDTH = 480
"""Tiles up to this many pixels wide are content with a camera's small stream."""
DRAWN_WITHIN_S = 2.0
"""Seconds after which a picture counts as drawn though the browser has not said so (a hidden page, a lost word)."""
WAIT_S = 5.0
CODEC_S = 0.1
"""Seconds between looks at what a camera sends, while that is not known."""
WITHOUT_S = 2.5
"""Seconds without video after which a small stream is given up for the main one."""
LATE_S = 0.1
"""Seconds of waiting for its turn after which a picture is replaced by a newer one."""


class BadMessage(ValueError):
    """The browser said what the protocol does not know; the connection ends with code 4400."""


class Overrun(Exception):
    """The browser does not take what it is told; it must begin anew."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One camera on the page. `width`: pixels, a step of `feed.WIDTHS`; `fps`: of pictures, at most.

    `video`: the codecs that the browser plays, by FFmpeg's names; none for pictures only.
    """

    camera: str
    width: int
    fps: float
    video: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Watch:
    """The whole set of tiles that the page shows now."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The page has drawn this frame."""

    camera: str
    frame: int


def read_message(message: str | bytes) -> Watch | Drawn:
    """What the browser said. Raises `BadMessage`."""
    if not isinstance(message, str):
        raise BadMessage("messages are text")
    if len(message) > MAX_MESSAGE:
        raise BadMessage("message too long")
    try:
        value = json.loads(message, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("not an object")
    match value.get("type"):
        case "watch":
            tiles = value.get("tiles")
            if not isinstance(tiles, list) or len(tiles) > MAX_TILES:
                raise BadMessage(f"tiles must be a list of at most {MAX_TILES}")
            return Watch(tuple({tile.camera: tile for tile in map(_tile, tiles)}.values()))
        case "drawn":
            return Drawn(_camera(value), int(_number(value, "frame", 0, 0xFFFFFFFF)))
    raise BadMessage("unknown type")


def _tile(value: Any) -> Tile:
    if not isinstance(value, dict):
        raise BadMessage("a tile must be an object")
    width = int(_number(value, "width", 16, 3840))
    return Tile(_camera(value), snapped_width(width), float(_number(value, "fps", 0.1, 30)), _codecs(value))


def _codecs(value: dict[str, Any]) -> frozenset[str]:
    codecs = value.get("video", [])
    if not isinstance(codecs, list) or len(codecs) > 8 or not all(isinstance(codec, str) for codec in codecs):
        raise BadMessage("video must be a list of codecs")
    return frozenset(codecs)


def _camera(value: dict[str, Any]) -> str:
    camera = value.get("camera")
    if not isinstance(camera, str) or not 0 < len(camera) <= 64:
        raise BadMessage("camera must be a short text")
    return camera


def _number(value: dict[str, Any], key: str, low: float, high: float) -> float:
    number = value.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise BadMessage(f"{key} must be a number")
    if (isinstance(number, float) and not math.isfinite(number)) or not low <= number <= high:
        raise BadMessage(f"{key} must be from {low} to {high}")
    return number


def _refuse(constant: str) -> None:
    raise BadMessage(f"{constant} is not a number")


def framed(index: int, picture: Picture) -> bytes:
    """A picture as a binary message."""
    number, taken_ms = picture.number & 0xFFFFFFFF, max(0, int(picture.taken_at * 1000))
    return HEADER.pack(VERSION, 0, index, number, taken_ms, 0) + picture.jpeg


def framed_video(index: int, fragment: Fragment, opening: bool = False) -> bytes:
    """A fragment, or what must come before it, as a binary message."""
    flags = VIDEO | (OPENING if opening else KEY if fragment.key else 0)
    taken_ms, start_ms = max(0, int(fragment.taken_at * 1000)), int(fragment.start * 1000) & 0xFFFFFFFF
    head = HEADER.pack(VERSION, flags, index, fragment.number & 0xFFFFFFFF, taken_ms, start_ms)
    return head + (fragment.opening.data if opening else fragment.data)


@dataclass(slots=True)
class _Shown:
    """A tile that the page shows: the task that feeds it and the picture that is under way."""

    tile: Tile
    frames: Channel[Any] | None = None
    under_way: int | None = None
    drawn: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True)
class Connection:
    """The browser, as the wall sees it. `receive` gives None when it is gone; the `send`s wait while it is slow."""

    receive: Callable[[], Awaitable[str | bytes | None]]
    send_text: Callable[[str], Awaitable[None]]
    send_bytes: Callable[[bytes], Awaitable[None]]


class Wall:
    """One page's wall. `run` serves it until the browser leaves."""

    def __init__(
        self,
        cameras: Cameras,
        feeds: Feeds,
        videos: Videos,
        bulletin: Bulletin,
        audience: Audience,
        browser: Connection,
    ) -> None:
        self._cameras = cameras
        self._feeds = feeds
        self._videos = videos
        self._bulletin = bulletin
        self._audience = audience
        self._browser = browser
        self._indexes: dict[str, int] = {}
        self._shown: dict[str, _Shown] = {}
        self._turn = asyncio.Lock()  # who waits for it is served in turn: no tile can starve another

    async def run(self) -> None:
        """Returns when the browser is gone. Raises `BadMessage`, `Overrun`, and what the sends raise."""
        first = [asyncio.create_task(self._hear()), asyncio.create_task(self._tell())]
        try:
            done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = [*first, *(shown.task for shown in self._shown.values() if shown.task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self) -> None:
        while (message := await self._browser.receive()) is not None:
            match read_message(message):
                case Watch(tiles):
                    self._show(tiles)
                case Drawn(camera, frame):
                    shown = self._shown.get(camera)
                    if shown is not None and shown.under_way == frame:
                        shown.drawn.set()

    async def _tell(self) -> None:
        listener = self._bulletin.listen()
        try:
            while True:
                if listener.overrun:
                    raise Overrun
                if listener.cameras_changed:
                    listener.cameras_changed = False
                    await self._list_cameras()
                if text := await listener.queue.get():
                    async with self._turn:
                        await self._browser.send_text(text)
        finally:
            self._bulletin.leave(listener)

    async def _list_cameras(self) -> None:
        """Number the cameras anew; pictures that go out after it carry the new numbers."""
        async with self._turn:
            cameras = list(self._cameras)
            self._indexes = {camera.id: index for index, camera in enumerate(cameras)}
            await self._browser.send_text(cameras_text(cameras))
        for shown in list(self._shown.values()):
            if shown.frames is not self._frames_for(shown.tile):
                self._start(shown)

    def _show(self, tiles: tuple[Tile, ...]) -> None:
        wanted = {tile.camera: tile for tile in tiles}
        for camera, shown in list(self._shown.items()):
            if wanted.get(camera) != shown.tile:
                self._cancel(self._shown.pop(camera))
        for camera, tile in wanted.items():
            if camera not in self._shown:
                self._shown[camera] = _Shown(tile)
                self._start(self._shown[camera])

    def _start(self, shown: _Shown) -> None:
        self._cancel(shown)
        shown.frames = self._frames_for(shown.tile)
        shown.task = asyncio.create_task(self._feed(shown))

    def _frames_for(self, tile: Tile) -> Channel[Any] | None:
        camera = self._cameras.get(tile.camera)
        if camera is None:
            return None
        return camera.small if tile.width <= SMALL_WIDTH else camera.frames

    @staticmethod
    def _cancel(shown: _Shown) -> None:
        if shown.task is not None:
            shown.task.cancel()

    async def _feed(self, shown: _Shown) -> None:
        """Send a tile's pictures, for as long as its camera is there."""
        tile, frames = shown.tile, shown.frames
        if frames is None:
            return
        self._audience.watches(tile.camera)
        try:
            if tile.video:
                await self._play(tile)
            with self._feeds.join(frames, tile.width, QUALITY, tile.fps) as viewer:
                while True:
                    picture = await viewer.next(WAIT_S)
                    if picture is not None:
                        await self._send(shown, viewer, picture)
        except ChannelClosed:
            pass  # removed or replaced: the list of cameras comes anew, and starts this tile again
        except OSError:
            pass  # the browser is gone; the one who hears will say so
        finally:
            self._audience.looks_away(tile.camera)

    async def _play(self, tile: Tile) -> None:
        """Send a tile the camera's own video; returns when it is to get pictures instead."""
        camera = self._cameras.get(tile.camera)
        small = tile.width <= SMALL_WIDTH
        while camera is not None and camera is self._cameras.get(tile.camera):
            codec = camera.status().codec
            if codec is None:
                await asyncio.sleep(CODEC_S)
            elif codec not in tile.video:
                return
            else:
                with suppress(NotPlayable), self._videos.follow(camera.small_video if small else camera.video) as video:
                    await self._send_video(tile, video, give_up=small and camera.small_video is not camera.video)
                small = False  # the small stream gives nothing

    async def _send_video(self, tile: Tile, video: Follower, give_up: bool) -> None:
        """`give_up`: raise `NotPlayable` when nothing comes; else wait for as long as it takes."""
        opening = None
        while True:
            fragment = await video.next(WITHOUT_S if give_up else WAIT_S)
            if fragment is None:
                if give_up:
                    raise NotPlayable
                continue
            if fragment.opening.codec not in tile.video:
                raise NotPlayable
            async with self._turn:
                index = self._indexes.get(tile.camera)
                if index is None:
                    return
                if fragment.opening is not opening:
                    opening = fragment.opening
                    await self._browser.send_text(video_text(tile.camera, opening.name, opening.codec))
                    await self._browser.send_bytes(framed_video(index, fragment, opening=True))
                await self._browser.send_bytes(framed_video(index, fragment))

    async def _send(self, shown: _Shown, viewer: Viewer, picture: Picture) -> None:
        loop = asyncio.get_running_loop()
        came = loop.time()
        async with self._turn:
            if loop.time() - came > LATE_S:
                picture = await viewer.renewed(picture)
            index = self._indexes.get(shown.tile.camera)
            if index is None:
                return
            shown.drawn.clear()
            shown.under_way = picture.number & 0xFFFFFFFF
            await self._browser.send_bytes(framed(index, picture))
        try:
            async with asyncio.timeout(DRAWN_WITHIN_S):
                await shown.drawn.wait()
        except TimeoutError:
            pass
        shown.under_way = None

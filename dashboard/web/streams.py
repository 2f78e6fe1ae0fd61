"""Live pictures over HTTP and WebSocket, natively on the event loop, and the same routes for a plain Flask server.

What is sent is made in `live`; here it meets its viewers: who is let in, when a stream ends, what a refusal says.
Every stream has a seat in the audience; it ends with its viewer, its login, its camera, or the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, abort, jsonify, request

from dashboard.channel import ChannelClosed
from dashboard.live.audience import Audience, Full
from dashboard.live.bulletin import Bulletin
from dashboard.live.feed import MAX_AGE, Feeds, Pace, Picture, encode
from dashboard.live.mjpeg import CONTENT_TYPE, OPENING, REPEAT_S, BadWish, Wish, fallback, part, patience, read_wish
from dashboard.live.video import Videos
from dashboard.live.wall import BadMessage, Connection, Overrun, Wall
from dashboard.notices import SessionsEnded
from dashboard.web import access
from dashboard.web.parts import Camera, Parts, current_parts

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SWEEP_S = 3.0
"""How often the logins behind the streams are looked up."""
NO_SIGNAL_WIDTH = 640
RETRY_S = 5

FINISH_S = 1.0
ABORT = "dashboard.abort"
"""Name of the ASGI extension by which `serving` lets a connection be cut at once."""

ENDED_LOGIN, BAD_MESSAGE, RESTART, OVERRUN = 4401, 4400, 1012, 1013
"""Close codes of the wall."""


class Streams:
    """The streams of one event loop. `run` must be under way while they are served."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.audience: Audience = parts.audience
        snapshots = parts.snapshots
        self.bulletin = Bulletin(
            parts.cameras,
            parts.notices,
            parts.seen,
            parts.config_findings,
            lambda: (snapshots.reserved(), snapshots.free()),
        )
        self._feeds: Feeds | None = None
        self._videos: Videos | None = None

    @property
    def feeds(self) -> Feeds:
        if self._feeds is None:
            self._feeds = Feeds()
        return self._feeds

    @property
    def videos(self) -> Videos:
        if self._videos is None:
            self._videos = Videos()
        return self._videos

    async def run(self) -> None:
        """Tell the walls, and end the streams whose login ended, until cancelled."""
        tasks = [asyncio.create_task(self.bulletin.run()), asyncio.create_task(self._watch_logins())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self.audience.stop()
            if self._feeds is not None:
                self._feeds.close()

    async def _watch_logins(self) -> None:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()

        def wake_up() -> None:
            try:
                loop.call_soon_threadsafe(wake.set)
            except RuntimeError:  # the loop has ended before the writer of notices
                pass

        with self.parts.notices.subscribe(waker=wake_up) as notices:
            next_sweep = 0.0
            while True:
                try:
                    while (notice := notices.poll()) is not None:
                        if isinstance(notice, SessionsEnded):
                            self.audience.end_sessions(notice.sessions)
                except ChannelClosed:
                    return
                if (now := loop.time()) >= next_sweep:
                    next_sweep = now + SWEEP_S
                    await self._sweep()
                wake.clear()
                timer = loop.call_later(SWEEP_S, wake.set)
                await wake.wait()
                timer.cancel()

    async def _sweep(self) -> None:
        """One question for all logins: also ends what ended by time, or beside this process."""
        watching = self.audience.sessions
        if not watching:
            return
        try:
            alive = await asyncio.to_thread(access.alive, self.parts, watching)
        except Exception as error:  # noqa: BLE001 - the edge of the task: a busy database cuts nobody off
            log.warning("the logins of the viewers could not be looked up: %s", error)
            return
        self.audience.end_sessions(watching - alive)

    async def _read(self, scope: Scope, send: Send) -> tuple[Camera, Wish] | None:
        """Which camera is asked for, and how; None when that was answered with what is wrong."""
        camera = self.parts.cameras.get(scope["path_params"]["camera"])
        if scope["method"] not in {"GET", "HEAD"}:
            await answer(send, 405, "only GET and HEAD", {"Allow": "GET, HEAD"})
        elif camera is None:
            await answer(send, 404, access.NO_CAMERA)
        else:
            try:
                return camera, read_wish(_query(scope))
            except BadWish as error:
                await answer(send, 400, str(error))
        return None

    # --- MJPEG ------------------------------------------------------------------------------------------------------

    async def video_feed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/video_feed/<id>`: until the viewer leaves."""
        asked = await self._read(scope, send)
        if asked is None:
            return None
        camera, wish = asked
        head = {"Content-Type": CONTENT_TYPE, "X-Accel-Buffering": "no", "Connection": "close"}
        return await self.serve(camera.id, head, lambda: self._pump(camera, wish, send), scope, receive, send)

    async def serve(
        self,
        camera: str,
        head: Mapping[str, str],
        pump: Callable[[], Coroutine[Any, Any, None]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """An answer without an end, which `pump` sends: until it ends, its viewer leaves, or its login is over."""
        if scope["method"] == "HEAD":
            return await answer(send, 200, b"", head, endless=True)
        try:
            seat = self.audience.enter(scope["state"]["login"].session, lambda reason: _cancel(stream))
        except Full:
            return await answer(send, 503, "as many people watch as are let in", {"Retry-After": str(RETRY_S)})
        stream = asyncio.create_task(pump())
        gone = asyncio.create_task(_gone(receive))
        self.audience.watches(camera)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _raw(head)})
            await asyncio.wait({stream, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.audience.leave(seat)
            self.audience.looks_away(camera)
            stream.cancel()
            gone.cancel()
            await asyncio.gather(stream, gone, return_exceptions=True)
        if not stream.cancelled() and (failure := stream.exception()) and not isinstance(failure, OSError):
            log.error("the stream of %s failed", camera, exc_info=failure)
        return await _finish(scope, send)

    async def _pump(self, camera: Camera, wish: Wish, send: Send) -> None:
        await send_more(send, OPENING)
        while True:
            try:
                await self._send_pictures(camera, wish, send)
            except ChannelClosed:
                # The camera was stopped: removed, or replaced by one with other settings.
                await asyncio.sleep(0.2)
            following = self.parts.cameras.get(camera.id)
            if following is None or following is camera:
                return
            camera = following

    async def _send_pictures(self, camera: Camera, wish: Wish, send: Send) -> None:
        """Send the pictures of `camera` until it is not the camera of that name any more."""
        loop = asyncio.get_running_loop()
        last: Picture | None = None
        with self.feeds.join(camera.frames, wish.width, wish.quality, wish.fps) as viewer:
            if camera.status().state in {"offline", "disabled"}:
                await send_more(send, part(await self._no_signal(camera, wish), None))
            while True:
                picture = await viewer.next(patience(last, loop.time()))
                if picture is not None:
                    last = picture
                    await send_more(send, part(picture.jpeg, picture.taken_at))
                    continue
                if self.parts.cameras.get(camera.id) is not camera:
                    return
                if again := fallback(last, camera.status().state, loop.time()):
                    await send_more(send, part(again.jpeg, again.taken_at))
                else:
                    await send_more(send, part(await self._no_signal(camera, wish), None))

    async def _no_signal(self, camera: Camera, wish: Wish) -> bytes:
        draw, width = self.parts.no_signal, wish.width or NO_SIGNAL_WIDTH
        return await asyncio.get_running_loop().run_in_executor(self.feeds.pool, draw, camera, width)

    async def latest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/api/cameras/<id>/latest.jpg`: one picture of now, or 503 with the reason."""
        asked = await self._read(scope, send)
        if asked is None:
            return None
        camera, wish = asked
        try:
            with self.feeds.join(camera.frames, wish.width, wish.quality) as viewer:
                picture = await viewer.next(patience(None, 0) if camera.status().state == "live" else 0.5)
        except ChannelClosed:
            picture = None
        if picture is None:
            return await answer(send, 503, no_picture(camera), {"Retry-After": str(RETRY_S)})
        head = {"Content-Type": "image/jpeg", "X-Timestamp": f"{picture.taken_at:.3f}"}
        return await answer(send, 200, picture.jpeg, head, hide_body=scope["method"] == "HEAD")

    # --- the wall ---------------------------------------------------------------------------------------------------

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/live`: the wall of one page, as `live.wall` speaks it."""
        await receive()  # websocket.connect
        if not same_origin(scope):
            return await refuse_socket(send, 403, "another site may not listen here")
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            seat = self.audience.enter(scope["state"]["login"].session, lambda reason: _settle(ended, reason))
        except Full:
            return await refuse_socket(send, 503, "as many people watch as are let in", {"Retry-After": str(RETRY_S)})
        try:
            await send({"type": "websocket.accept"})
            code = await self._serve_wall(receive, send, ended)
            if code is not None:
                await send({"type": "websocket.close", "code": code})
        except OSError:
            pass  # the browser left while it was told something
        finally:
            self.audience.leave(seat)
        return None

    async def _serve_wall(self, receive: Receive, send: Send, ended: asyncio.Future[str]) -> int | None:
        """The code to close with, or None when the browser is gone."""
        browser = Connection(
            lambda: _heard(receive),
            lambda text: send({"type": "websocket.send", "text": text}),
            lambda data: send({"type": "websocket.send", "bytes": data}),
        )
        wall: asyncio.Future[None] = asyncio.ensure_future(
            Wall(self.parts.cameras, self.feeds, self.videos, self.bulletin, self.audience, browser).run()
        )
        over: set[asyncio.Future[Any]] = {wall, ended}
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ENDED_LOGIN if ended.result() == "login" else RESTART
            wall.result()
            return None
        except BadMessage as error:
            log.info("a wall was closed: %s", error)
            return BAD_MESSAGE
        except Overrun:
            return OVERRUN
        finally:
            wall.cancel()
            await asyncio.gather(wall, return_exceptions=True)


def same_origin(scope: Scope) -> bool:
    """Whether the page that opens the socket comes from this server. Programs send no Origin; browsers always do."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    if origin is None:
        return True
    try:
        page = urlsplit(origin)
        port = {"http": 80, "https": 443}.get(page.scheme)
        here = urlsplit(f"//{headers.get(b'host', '')}")
        return bool(port and page.hostname) and (page.hostname, page.port or port) == (here.hostname, here.port or port)
    except ValueError:
        return False


def no_picture(camera: Camera) -> str:
    """Why there is no picture of now, in words."""
    status = camera.status()
    return f"no picture: {status.state}" + (f", {status.reason}" if status.reason else "")


async def answer(
    send: Send,
    status: int,
    body: str | bytes,
    headers: Mapping[str, str] | None = None,
    *,
    hide_body: bool = False,
    endless: bool = False,
) -> None:
    """A whole answer; a text is an error, in the shape of every error of the API. `endless`: its length is not told."""
    content_type = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
    data = body if isinstance(body, bytes) else json.dumps({"error": body}).encode()
    length = {} if endless else {"Content-Length": str(len(data))}
    raw = _raw({**content_type, **length, **(headers or {})})
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if hide_body else data})


async def refuse_socket(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer a WebSocket's handshake with an HTTP error."""
    raw = _raw({"Content-Type": "application/json", **(headers or {})})
    await send({"type": "websocket.http.response.start", "status": status, "headers": raw})
    await send({"type": "websocket.http.response.body", "body": json.dumps({"error": text}).encode()})


async def send_more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _finish(scope: Scope, send: Send) -> None:
    """End an answer; a viewer who does not read is not waited for."""
    try:
        async with asyncio.timeout(FINISH_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        scope.get("extensions", {}).get(ABORT, lambda: None)()
        await asyncio.sleep(0)  # the server learns that the connection is gone, and does not miss the end


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _heard(receive: Receive) -> str | bytes | None:
    message = await receive()
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    return text if text is not None else bytes(message.get("bytes") or b"")


def _query(scope: Scope) -> dict[str, str]:
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=None)
    return dict(reversed(pairs))


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def _settle(future: asyncio.Future[str], reason: str) -> None:
    if not future.done():
        future.set_result(reason)


# --- the same for a server that knows no event loop: `flask run`, the test client ----------------------------------

blueprint = Blueprint("streams", __name__)


@blueprint.get("/video_feed/<camera>")
def video_feed(camera: str) -> Response:
    parts = current_parts()
    found, wish = _asked(parts, camera)
    return Response(_parts_of(parts, found, wish), content_type=CONTENT_TYPE)


@blueprint.get("/api/cameras/<camera>/latest.jpg")
def latest(camera: str) -> Response:
    found, wish = _asked(current_parts(), camera)
    with found.frames.subscribe() as frames:
        newest = found.frames.newest
        if newest is None or time.monotonic() - newest.at >= MAX_AGE:
            newest = frames.next(REPEAT_S if found.status().state == "live" else 0.5)
    if newest is None:
        response = jsonify(error=no_picture(found))
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_S)
        return response
    picture = encode(newest, wish.width, wish.quality)
    stamp = f"{picture.taken_at:.3f}"
    return Response(picture.jpeg, content_type="image/jpeg", headers={"X-Timestamp": stamp})


@blueprint.get("/live")
def live() -> Response:
    response = jsonify(error="this address speaks WebSocket")
    response.status_code = 426
    response.headers["Upgrade"] = "websocket"
    return response


def _asked(parts: Parts, camera: str) -> tuple[Camera, Wish]:
    found = parts.cameras.get(camera)
    if found is None:
        abort(404, description=access.NO_CAMERA)
    try:
        return found, read_wish(request.args)
    except BadWish as error:
        abort(400, description=str(error))


def _parts_of(parts: Parts, camera: Camera, wish: Wish) -> Iterator[bytes]:
    yield OPENING
    pace = Pace(wish.fps)
    last: Picture | None = None
    with camera.frames.subscribe() as frames:
        while parts.cameras.get(camera.id) is camera:
            now = time.monotonic()
            if pause := pace.wait(now):
                time.sleep(pause)
            try:
                frame = frames.next(patience(last, now))
            except ChannelClosed:
                return
            if frame is not None:
                pace.took(time.monotonic())
                last = encode(frame, wish.width, wish.quality)
            shown = last if frame is not None else fallback(last, camera.status().state, time.monotonic())
            if shown is not None:
                yield part(shown.jpeg, shown.taken_at)
            else:
                yield part(parts.no_signal(camera, wish.width or NO_SIGNAL_WIDTH), None)

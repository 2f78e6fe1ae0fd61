"""The whole dashboard as one ASGI application: streams natively, pages by the Flask app beside them, one guard around.

How it is put on a socket belongs to `serving`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from werkzeug.http import parse_cookie

from dashboard.errors import StoreError
from dashboard.web import access, create_app
from dashboard.web.auth import cookie_name
from dashboard.web.guard import MAX_BODY, MAX_HEAD, Verdict, decide, is_public, sign_in_location
from dashboard.web.headers import security_headers
from dashboard.web.parts import LoggedIn, Parts, TokenLogin
from dashboard.web.streams import Message, Receive, Scope, Send, Streams, answer, refuse_socket
from dashboard.web.video import VideoStream

PAGE_THREADS = 8
MAX_PUBLIC_BODY = 64 * 1024
"""Bytes that somebody without a login may send: a sign-in form has some hundred."""
DRAIN = 8 * 1024 * 1024
"""Bytes of a body that is too large which are read and thrown away, so that the refusal arrives."""
BODY_WITHIN_S = 20.0


class Application:
    """The dashboard as ASGI. `stop` ends every stream, for a server that is about to end."""

    def __init__(self, parts: Parts) -> None:
        self.streams = Streams(parts)
        self._parts = parts
        # Pages are whole when they are sent, so a slow reader must not hold a thread: no bound to the queue.
        flask: Any = create_app(parts).wsgi_app
        pages: Any = WSGIMiddleware(flask, workers=PAGE_THREADS, send_queue_size=0)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            running = asyncio.create_task(self.streams.run())
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                pages.executor.shutdown(wait=False, cancel_futures=True)

        router = Starlette(
            routes=[
                Route("/healthz", _Native(self._healthz)),
                Route("/video_feed/{camera}", _Native(self.streams.video_feed)),
                Route("/api/cameras/{camera}/latest.jpg", _Native(self.streams.latest)),
                Route("/live/{camera}.mp4", VideoStream(self.streams)),
                WebSocketRoute("/live", _Native(self.streams.live)),
                Mount("/", pages),
            ],
            lifespan=lifespan,
        )
        router.router.redirect_slashes = False
        self._guarded = Guard(router, parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guarded(scope, receive, send)

    def stop(self) -> None:
        """End every open stream; called on the event loop."""
        self.streams.audience.stop()

    async def _healthz(self, scope: Scope, receive: Receive, send: Send) -> None:
        good = await asyncio.to_thread(self._parts.healthy)
        head = {"Content-Type": "text/plain; charset=utf-8"}
        await answer(send, 200 if good else 503, b"ok\n" if good else b"not ok\n", head)


class _Native:
    """An ASGI endpoint for Starlette's routes, which take a bound method for a view."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint(scope, receive, send)


class Guard:
    """Around everything: lets in whom `guard.decide` lets in, bounds what is sent, and puts headers on every answer."""

    def __init__(self, app: Any, parts: Parts) -> None:
        self._app = app
        self._parts = parts
        self._cookie = cookie_name(parts.secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return None
        socket = scope["type"] == "websocket"
        method, path = "GET" if socket else scope["method"], scope["path"]
        camera = None if socket else access.camera_of(method, path)
        send = _with_headers(send, path)
        if _head_size(scope) > MAX_HEAD:
            return await (refuse_socket if socket else answer)(send, 431, "the head of the request is too large")
        try:
            login = None if is_public(path) else await self._login(scope)
            if login is None and camera is not None:
                program = await self._program(scope)
                if program is not None and not program.may_see(camera):
                    return await answer(send, 404, access.NO_CAMERA)
                login = program
        except StoreError:
            text = "the logins cannot be looked up at this moment"
            return await (refuse_socket if socket else answer)(send, 503, text, {"Retry-After": "5"})
        verdict = decide(method, path, login is not None)
        if socket and (verdict is not Verdict.PASS or login is None):
            return await refuse_socket(send, 401, "sign in first")
        silent = method in {"HEAD", "OPTIONS", "TRACE"}
        match verdict:
            case Verdict.METHOD:
                return await answer(send, 405, b"", {"Allow": "GET, HEAD"})
            case Verdict.REFUSE:
                challenge = access.CHALLENGE if camera is not None else None
                return await answer(send, 401, b"" if silent else "sign in first", challenge)
            case Verdict.SIGN_IN:
                query = scope["query_string"].decode("latin-1")
                return await answer(send, 302, b"", {"Location": sign_in_location(method, path, query)})
        scope.setdefault("state", {})["login"] = login
        if not socket and _has_body(scope):
            try:
                receive = await _whole_body(scope, receive, MAX_BODY if login else MAX_PUBLIC_BODY)
            except _Refused as refusal:
                return await answer(send, refusal.status, refusal.text, {"Connection": "close"})
        await self._app(scope, receive, send)
        return None

    async def _login(self, scope: Scope) -> LoggedIn | None:
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        token = parse_cookie(cookies.decode("latin-1")).get(self._cookie)
        return await asyncio.to_thread(self._parts.sessions.find, token) if token else None

    async def _program(self, scope: Scope) -> TokenLogin | None:
        """Who asks with an access token."""
        query = scope["query_string"].decode("latin-1")
        authorization = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), ""
        )
        return await asyncio.to_thread(access.login, self._parts, query, authorization)


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


def _head_size(scope: Scope) -> int:
    head = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    return head + sum(len(name) + len(value) for name, value in scope["headers"])


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def _whole_body(scope: Scope, receive: Receive, limit: int) -> Receive:
    """Read the body before a thread is spent on the request; it comes back out of the `receive` that is returned."""
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refused(400, "the request ended early")
                size += len(message.get("body", b""))
                if size <= limit:
                    body += message.get("body", b"")
                elif size > DRAIN:
                    break
                more = message.get("more_body", False)
    except TimeoutError:
        raise _Refused(408, "the request came too slowly") from None
    if size > limit:
        raise _Refused(413, "more was sent than is accepted here")
    whole: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

    async def replay() -> Message:
        nonlocal whole
        if whole is None:
            return await receive()
        message, whole = whole, None
        return message

    return replay


def _with_headers(send: Send, path: str) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            for name, value in security_headers(path).items():
                if name.lower().encode() not in names:
                    headers.append((name.lower().encode(), value.encode()))
            message["headers"] = headers
        await send(message)

    return with_headers

"""The application on a socket: uvicorn in this thread, bounded against slow, frozen and too many clients.

Signals are set where the process is made; they call `Serving.request_stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dashboard.errors import DashboardError
from dashboard.live.wall import MAX_MESSAGE
from dashboard.web.guard import MAX_HEAD
from dashboard.web.streams import ABORT, Receive, Scope, Send

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15
HEADERS_WITHIN_S = 20.0
"""Seconds within which the head of a request must be complete."""
STALLED_S = 12.0
"""Seconds that a client may leave the send buffer full."""
UNSENT = 128 * 1024
"""Bytes that may wait in the kernel for a client that reads slowly: the rest stays here, and gets replaced by newer."""
MAX_CONNECTIONS = 900
STOP_WITHIN_S = 2
GRACE_S = 1.0
"""Seconds that connections have to end by themselves when the server stops."""


class PortTaken(DashboardError):
    """The address cannot be listened on; the text says which and why."""


class Stoppable(Protocol):
    """An ASGI application whose streams can be told to end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
    def stop(self) -> None: ...


class Serving:
    """One server. `run` blocks until `request_stop`, which may be called from a signal handler or any thread."""

    def __init__(
        self, app: Stoppable, host: str, port: int, on_started: Callable[[str, int], None] | None = None
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._on_started = on_started
        self._server: _Server | None = None
        self._stops = 0

    def run(self) -> None:
        """Serve. Raises `PortTaken`."""
        allow_files()
        listener = listen(self._host, self._port)
        host, port = listener.getsockname()[:2]
        config = Config(
            cast(Any, self._app),
            http=_Http,
            ws=_Socket,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=["127.0.0.1", "::1"],
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
            h11_max_incomplete_event_size=MAX_HEAD,
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,
            ws_ping_interval=10,
            ws_ping_timeout=10,
            loop="asyncio",
        )
        started = self._on_started
        self._server = _Server(config, self._app, lambda: started(host, port) if started else None)
        with listener:
            if self._stops == 0:
                self._server.run([listener])

    def request_stop(self) -> None:
        """End the streams and stop; the second call does not wait for anybody."""
        self._stops += 1
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = self._stops > 1


def serve(
    app: Stoppable,
    host: str,
    port: int,
    on_started: Callable[[str, int], None] | None = None,
    stop_event: threading.Event | None = None,
) -> None:
    """Serve until `stop_event` is set. `on_started` is called with the address and port once connections are taken."""
    serving = Serving(app, host, port, on_started)
    if stop_event is None:
        return serving.run()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if stop_event.wait(0.1):
                serving.request_stop()
                return

    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    try:
        return serving.run()
    finally:
        done.set()
        watcher.join()


def allow_files(wanted: int = 4096) -> None:
    """Let this process open more files than the usual 1024, as far as the system allows: each viewer is one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections on `host`:`port`; port 0 lets the system choose. Raises `PortTaken`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(512)
        except OSError:
            listener.close()
            raise
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "another program already uses that port"
        elif error.errno in {errno.EACCES, errno.EPERM}:
            reason = "this user may not use that port"
        else:
            reason = error.strerror or str(error)
        raise PortTaken(f"cannot listen on {host} port {port}: {reason}") from None


class _Server(Server):
    """uvicorn's server, without its signal handlers, ending our streams before it waits for them."""

    def __init__(self, config: Config, app: Stoppable, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._tell_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        await asyncio.sleep(0)
        cut = asyncio.get_running_loop().call_later(GRACE_S, self._cut)
        await super().shutdown(sockets)
        cut.cancel()

    def _cut(self) -> None:
        """Wait no longer for requests that are half sent and clients that do not read."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Patience:
    """How long a connection is waited for: until its request is there, and until it reads what it was sent."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stall: asyncio.TimerHandle | None = None

    def stalls(self) -> None:
        """The send buffer is full."""
        if self._stall is None:
            self._stall = self.loop.call_later(STALLED_S, self.transport.abort)

    def flows(self) -> None:
        """The client reads again, or is gone."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class _Http(H11Protocol, _Patience):
    """uvicorn's HTTP, with a time limit on both sides and a bound to how many may be connected."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _keep_fresh(transport)
        self._await_head()
        if len(self.connections) > MAX_CONNECTIONS:
            _drop_idlest(self.connections)
        app = self.app

        async def bound(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            await app(scope, receive, send)

        self.app = bound

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_came()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self.flows()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._head_came()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalls()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flows()

    @property
    def waits_for_head(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEADERS_WITHIN_S, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Socket(WebSocketsSansIOProtocol, _Patience):
    """uvicorn's WebSocket, with a time limit for clients that do not read."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.close_timeout = 2.0

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # else a refusal is logged as an error of the application

    def connection_lost(self, exc: Exception | None) -> None:
        self.flows()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalls()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flows()


def _keep_fresh(transport: asyncio.Transport) -> None:
    """Keep old pictures out of the kernel's buffers, where the system can do that, and notice peers that vanished."""
    connection = transport.get_extra_info("socket")
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", UNSENT),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", int(STALLED_S * 1000)),
    ):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connection.setsockopt(level, getattr(socket, name), value)


def _drop_idlest(connections: set[Any]) -> None:
    """Make room: of those who ask for nothing now, cut one that is kept alive, else the one waited for longest."""
    waiting = [one for one in connections if isinstance(one, _Http) and one.waits_for_head]
    if waiting:
        min(waiting, key=lambda one: one._head.when() if one._head else 0).transport.abort()
    else:
        log.warning("%d connections are open; a new one takes none of the old ones' places", len(connections))

"""A listening socket on loopback with a thread for each client, which can refuse, drop and die on demand.

What is spoken on a connection belongs to the subclass; here is only who is let in and who is thrown out.
"""

from __future__ import annotations

import socket
import struct
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER for "forget what is unsent and send RST": what a camera looks like that lost its power."""


class LoopbackServer(ABC):
    """Serves from `with` on; leaving it ends every connection and thread. `connections`: how many were accepted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._wanted = True  # whether new clients are to be let in
        self._listening = threading.Event()
        self._refusing = threading.Event()
        self._socket = self._bind(0)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f"{name}-accept", daemon=True)

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Talk to one client until it leaves or is thrown out (then sockets raise OSError, or read nothing)."""

    @property
    def clients(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._clients)

    def refuse(self) -> None:
        """New connections get "connection refused"; those that are open stay."""
        self._wanted = False
        self._refusing.wait(5)

    def accept(self) -> None:
        """Undo `refuse`, on the same port."""
        self._wanted = True
        self._listening.wait(5)

    def drop(self, *, reset: bool = False) -> None:
        """Close every open connection (with RST when `reset`); new ones are welcome."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            try:
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it left by itself

    def die(self) -> None:
        """The camera is gone: nobody gets in, everybody is thrown out. `accept` brings it back."""
        self.refuse()
        self.drop(reset=True)

    def start(self) -> Self:
        """Begin to accept; returns itself."""
        self._acceptor.start()
        self._listening.wait(5)
        return self

    def stop(self) -> None:
        """End every connection and join every thread."""
        self._stopping.set()
        self._acceptor.join(10)
        self.drop()
        with self._lock:
            threads = list(self._clients.values())
        for thread in threads:
            thread.join(10)
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.settimeout(0.05)
        return bound

    def _accept(self) -> None:
        while not self._stopping.is_set():
            self._follow_wish()
            if not self._wanted:
                self._stopping.wait(0.01)
                continue
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            thread = threading.Thread(
                target=self._run, args=(client,), name=f"{self.name}-{self.connections}", daemon=True
            )
            with self._lock:
                self._clients[client] = thread
            thread.start()

    def _follow_wish(self) -> None:
        """Listen, or be bound without listening: the port stays ours, and who knocks is refused."""
        if self._wanted and not self._listening.is_set():
            self._socket.listen(128)
            self._refusing.clear()
            self._listening.set()
        elif not self._wanted and not self._refusing.is_set():
            self._socket.close()
            self._socket = self._bind(self.port)
            self._listening.clear()
            self._refusing.set()

    def _run(self, client: socket.socket) -> None:
        try:
            self.serve(client)
        except OSError:
            pass  # the client left, or was thrown out
        finally:
            with self._lock:
                self._clients.pop(client, None)
            client.close()

"""The whole application behind its real server, on a port of the kernel's choosing, in a thread of the test."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dashboard.web.asgi import Application
from dashboard.web.parts import Parts
from dashboard.web.serving import Serving


@contextmanager
def serving(parts: Parts, port: int = 0) -> Iterator[str]:
    """The address of a running server over `parts`, without a slash at its end."""
    started: queue.Queue[str] = queue.Queue()
    server = Serving(Application(parts), "127.0.0.1", port, lambda host, port: started.put(f"http://{host}:{port}"))
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    try:
        yield started.get(timeout=20)
    finally:
        server.request_stop()
        thread.join(15)
    assert not thread.is_alive()

"""The app behind a real server on a port of the kernel's choosing, in a thread of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import make_server

from dashboard.web import create_app
from dashboard.web.parts import Parts


@contextmanager
def serving(parts: Parts) -> Iterator[str]:
    """The address of a running server over `parts`, without a slash at its end."""
    server = make_server("127.0.0.1", 0, create_app(parts), threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)

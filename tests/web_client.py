"""A server on a free port of loopback, and a browser small enough to see what goes over the wire."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask

from dashboard.web.asgi import Application
from dashboard.web.auth import cookie_name
from dashboard.web.parts import Parts
from dashboard.web.serving import Serving
from tests.web_fakes import PASSWORDS


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Browser:
    """Keeps its cookies, follows nothing by itself."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, {**self.cookie_header, **(headers or {})})
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.headers.get_all("Set-Cookie") or [],
                response.read(),
            )
        for cookie in answer.cookies:
            name, _, value = cookie.split(";")[0].partition("=")
            if value and "Max-Age=0" not in cookie:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, **fields: str) -> Answer:
        form = urlencode(fields).encode()
        return self.ask("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})

    def csrf(self, path: str = "/account") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path).text)
        assert found, f"no form on {path}"
        return found[1]

    def sign_in(self, name: str = "admin", password: str | None = None, **fields: str) -> Answer:
        token = self.csrf("/login")
        return self.post("/login", username=name, password=password or PASSWORDS[name], csrf_token=token, **fields)

    @property
    def cookie_header(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def stream(self, path: str, buffer: int | None = None) -> socket.socket:
        """Ask for `path` and give the socket to read from; `buffer` bounds what the system takes in by itself."""
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self.port))
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.cookie_header.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection


@contextmanager
def serving(parts: Parts) -> Iterator[Browser]:
    """The whole dashboard over `parts`, on a real socket; gives a browser that is not signed in."""
    ports: list[int] = []
    started = threading.Event()

    def on_started(host: str, port: int) -> None:
        ports.append(port)
        started.set()

    server = Serving(Application(parts), "127.0.0.1", 0, on_started)
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    try:
        assert started.wait(10)
        yield Browser(ports[0])
    finally:
        server.request_stop()
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def paths_of(app: Flask) -> list[tuple[str, set[str]]]:
    """Every rule of the app with something filled in, and the methods it takes."""
    values = {"camera": "door", "filename": "style.css"}
    return sorted(
        (re.sub(r"<(?:[^<>]+:)?(\w+)>", lambda found: values.get(found[1], "1"), rule.rule), set(rule.methods or ()))
        for rule in app.url_map.iter_rules()
    )


def token_of(browser: Browser, parts: Parts) -> str:
    return browser.cookies[cookie_name(parts.secret)]


def until(condition: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def read_until_closed(connection: socket.socket, seconds: float) -> bool:
    """Whether the server closed `connection` within `seconds`; what comes meanwhile is thrown away."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            if not connection.recv(65536):
                return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True
    return False

"""Answers to passwords, and a body read from a server that sends exactly the bytes of the test."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dashboard.capture.http import Exchange, authorization
from dashboard.errors import SourceError, SourceRefused
from tests.servers.auth import Gate

EVERY_SIGN = "".join(chr(code) for code in range(32, 127))


@pytest.mark.parametrize("schemes", [("basic",), ("digest",), ("digest-plain",), ("basic", "digest")])
@pytest.mark.parametrize("password", ["secret", EVERY_SIGN, "pässwört", ""])
def test_passwords_arrive_as_they_are(schemes: tuple[str, ...], password: str) -> None:
    gate = Gate("viewer", password, schemes)
    shown = authorization(gate.challenges(), "viewer", password, "GET", "/stream?a=1")
    assert gate.opens("GET", shown)
    assert gate.seen[-1].scheme == ("basic" if schemes == ("basic",) else "digest")
    assert not gate.opens("GET", authorization(gate.challenges(), "viewer", password + "x", "GET", "/stream?a=1"))


def test_digest_example_of_the_standard() -> None:
    """RFC 7616, 3.9.1, but for the client's own nonce: the hash of the same parts, put together here by hand."""
    asked = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XX", '
        'opaque="FQ"'
    )
    shown = authorization([asked], "Mufasa", "Circle of Life", "GET", "/dir/index.html") or ""
    once = re.search(r'cnonce="(\w+)"', shown)
    assert once

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    secret, request = sha("Mufasa:http-auth@example.org:Circle of Life"), sha("GET:/dir/index.html")
    assert f'response="{sha(f"{secret}:7ypf/xlj9XX:00000001:{once[1]}:auth:{request}")}"' in shown
    assert 'opaque="FQ"' in shown
    assert "algorithm=SHA-256" in shown


def test_challenges_that_cannot_be_answered() -> None:
    assert authorization([], "a", "b", "GET", "/") is None
    assert authorization(["Bearer x", 'Digest realm="a", nonce="b", algorithm=MD6'], "a", "b", "GET", "/") is None


@contextmanager
def answering(*pieces: bytes, keep_open: bool = False) -> Iterator[str]:
    """A server that sends these bytes to its one client, then closes unless told otherwise."""
    done = threading.Event()

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            for piece in pieces:
                client.sendall(piece)
            if keep_open:
                done.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        finally:
            done.set()
            thread.join(10)


def body_of(*pieces: bytes) -> bytes:
    with answering(*pieces) as url:
        exchange = Exchange(url, 5)
        found = b""
        try:
            while data := exchange.read(5):
                found += data
        finally:
            exchange.close()
        return found


def test_bodies_of_all_kinds() -> None:
    assert body_of(b"HTTP/1.0 200 OK\r\n\r\nabc", b"def") == b"abcdef"
    assert body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcdef") == b"abcd"
    assert body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") == b""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert body_of(chunked + b"3\r\nabc\r\n", b"1", b"0;x=y\r\n0123456789abcdef\r\n0\r\n\r\n") == b"abc0123456789abcdef"
    assert body_of(chunked + b"zz\r\nabc") == b""
    assert body_of(chunked + b"a\r\nabc") == b"abc"  # the camera left


def test_a_wait_in_vain_is_no_end() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\nabc", keep_open=True) as url:
        exchange = Exchange(url, 5)
        assert exchange.read(5) == b"abc"
        assert exchange.read(0.05) is None
        assert exchange.read(0.05) is None
        exchange.close()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 401 No\r\n\r\n", SourceRefused, "asks for a user name and a password"),
        (b"HTTP/1.1 403 No\r\n\r\n", SourceRefused, "may not see"),
        (b"HTTP/1.1 404 No\r\n\r\n", SourceRefused, "no such stream"),
        (b"HTTP/1.1 302 No\r\nLocation: file:///etc/passwd\r\n\r\n", SourceRefused, "another address"),
        (b"HTTP/1.1 500 No\r\n\r\n", SourceError, "an error \\(500\\)"),
        (b"HTTP/1.1 503 No\r\n\r\n", SourceError, "busy"),
        (b"SSH-2.0-x\r\n\r\n", SourceError, "not HTTP"),
        (bytes(100_000), SourceError, "not HTTP"),
        (b"", SourceError, "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n", SourceError, "closed the connection"),
    ],
)
def test_answers_in_words(answer: bytes, kind: type[SourceError], words: str) -> None:
    with answering(answer) as url, pytest.raises(kind, match=words) as caught:
        Exchange(url, 5)
    assert (type(caught.value) is SourceRefused) == (kind is SourceRefused)
    assert url not in str(caught.value)


def test_the_whole_opening_has_one_deadline() -> None:
    with (
        answering(b"HTTP/1.1 200", keep_open=True) as url,
        pytest.raises(SourceError, match=r"no answer within 0\.3 s"),
    ):
        Exchange(url, 0.3)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "connection refused"),
        ("http://name.invalid/", "name of the camera is not known"),
        ("http://" + "a" * 70 + ".invalid/", "name of the camera is not known"),
    ],
)
def test_connections_that_fail(url: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        Exchange(url, 5)


def test_no_encryption_where_it_is_expected() -> None:
    with answering(b"HTTP/1.1 400 Bad\r\n\r\n") as url, pytest.raises(SourceError, match="encrypted"):
        Exchange(url.replace("http:", "https:"), 5)

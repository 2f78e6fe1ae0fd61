"""A GET over HTTP/1.1 whose body may never end: to open with one deadline, to read in short waits.

Written for cameras: Basic and Digest passwords, chunked bodies, servers that fall silent or drip. Redirects are not
followed, so a camera cannot send the dashboard elsewhere. Certificates are not verified: cameras sign their own.
What the body holds belongs to network.py.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from dashboard.errors import SourceError, SourceRefused

MAX_HEAD = 64 << 10
CHUNK = 256 << 10


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer; names of headers in lower case, in the order they came."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for known, value in self.headers if known == name), "")


class Exchange:
    """One request and its answer. Raises `SourceError` in words when it cannot be had within `timeout` seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        address = urlsplit(url)
        self._timeout = timeout
        deadline = time.monotonic() + timeout
        self._connection = _Connection(address, deadline, timeout)
        try:
            head = self._connection.ask(address, None)
            challenges = [value for name, value in head.headers if name == "www-authenticate"]
            if head.status == 401 and address.username is not None:
                shown = authorization(
                    challenges, unquote(address.username), unquote(address.password or ""), "GET", _target(address)
                )
                self._connection.close()
                self._connection = _Connection(address, deadline, timeout)
                head = self._connection.ask(address, shown)
            _check(head.status, with_user=address.username is not None)
            self.content_type = head.get("content-type").lower()
            self._body = self._connection.body(head)
        except BaseException:
            self.close()
            raise

    def read(self, wait: float) -> bytes | None:
        """Some bytes of the body, none at its end, None when nothing came within `wait` seconds."""
        self._connection.deadline = time.monotonic() + wait
        try:
            return next(self._body, b"")
        except OSError as error:
            raise in_words(error, self._timeout) from None

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class _Connection:
    """A socket and what was read from it ahead. `deadline`: until when a read may wait (monotonic)."""

    def __init__(self, address: SplitResult, deadline: float, timeout: float) -> None:
        self.deadline = deadline
        self._timeout = timeout
        self._ahead = bytearray()
        self._socket: socket.socket | None = None
        try:
            secure = address.scheme == "https"
            port = address.port or (443 if secure else 80)
            self._socket = socket.create_connection((address.hostname or "", port), self._left())
            if secure:
                self._socket.settimeout(self._left())
                self._socket = _unverified().wrap_socket(self._socket, server_hostname=address.hostname)
        except (OSError, UnicodeError) as error:
            self.close()
            raise in_words(error, timeout) from None

    def ask(self, address: SplitResult, shown: str | None) -> Head:
        """Send the request and read the head of the answer."""
        host = address.hostname or ""
        host = f"[{host}]" if ":" in host else host
        lines = [
            f"GET {_target(address)} HTTP/1.1",
            f"Host: {host}" + (f":{address.port}" if address.port else ""),
            "User-Agent: camera-dashboard",
            "Accept: */*",
            "Connection: close",
        ]
        if shown:
            lines.append(f"Authorization: {shown}")
        try:
            assert self._socket is not None
            self._socket.settimeout(self._left())
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
            return self._head()
        except OSError as error:
            raise in_words(error, self._timeout) from None

    def body(self, head: Head) -> Generator[bytes | None, None, None]:
        """The body, piece by piece; None when a wait was in vain."""
        if "chunked" in head.get("transfer-encoding").lower():
            return self._chunks()
        return self._plain(int(length) if (length := head.get("content-length")).isdigit() else None)

    def close(self) -> None:
        """End the connection. Raises nothing."""
        if self._socket is not None:
            try:
                self._socket.close()
            except OSError:
                pass  # it is gone either way

    def _head(self) -> Head:
        while (end := self._ahead.find(b"\r\n\r\n")) < 0:
            if len(self._ahead) > MAX_HEAD:
                raise SourceError("the answer is not HTTP")
            piece = self._receive()
            if piece is None:
                raise TimeoutError
            if not piece:
                raise SourceError("the camera closed the connection")
            self._ahead += piece
        first, *lines = bytes(self._ahead[:end]).decode("latin-1").split("\r\n")
        del self._ahead[: end + 4]
        status = re.match(r"HTTP/1\.[01] (\d{3})", first)
        if status is None:
            raise SourceError("the answer is not HTTP")
        pairs = (line.partition(":") for line in lines)
        return Head(int(status[1]), tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))

    def _plain(self, length: int | None) -> Generator[bytes | None, None, None]:
        left = length
        while left is None or left > 0:
            piece = self._take(CHUNK if left is None else left)
            if piece == b"":
                return
            if piece and left is not None:
                left -= len(piece)
            yield piece

    def _chunks(self) -> Generator[bytes | None, None, None]:
        while True:
            while (end := self._ahead.find(b"\n")) < 0:
                piece = self._receive()
                if piece == b"" or len(self._ahead) > MAX_HEAD:
                    return
                if piece is None:
                    yield None
                else:
                    self._ahead += piece
            size = re.match(rb"\s*([0-9a-fA-F]{1,8})", self._ahead[:end])
            blank = not self._ahead[:end].strip()
            del self._ahead[: end + 1]
            if blank:  # the end of the chunk before
                continue
            left = int(size[1], 16) if size else 0
            if left == 0:
                return
            while left:
                piece = self._take(left)
                if piece == b"":
                    return
                left -= len(piece or b"")
                yield piece

    def _take(self, most: int) -> bytes | None:
        """Up to `most` bytes, what was read ahead first; none at the end, None when nothing came in time."""
        if not self._ahead:
            piece = self._receive()
            if not piece:
                return piece
            self._ahead += piece
        taken = bytes(self._ahead[:most])
        del self._ahead[:most]
        return taken

    def _receive(self) -> bytes | None:
        assert self._socket is not None
        try:
            self._socket.settimeout(self._left())
            return self._socket.recv(CHUNK)
        except (TimeoutError, ssl.SSLWantReadError):
            return None

    def _left(self) -> float:
        return max(0.001, self.deadline - time.monotonic())


def authorization(challenges: list[str], user: str, password: str, method: str, target: str) -> str | None:
    """The Authorization header that answers the best of these challenges; None when none can be answered.

    Digest as in RFC 7616, with MD5 or SHA-256, with or without qop; else Basic.
    """
    basic: str | None = None
    for challenge in challenges:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "digest":
            pairs = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)
            digest = _digest(
                {key.lower(): quoted or bare for key, quoted, bare in pairs}, user, password, method, target
            )
            if digest:
                return digest
        elif scheme.lower() == "basic":
            basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return basic


def _digest(asked: dict[str, str], user: str, password: str, method: str, target: str) -> str | None:
    algorithm = asked.get("algorithm", "MD5").upper()
    name = {"MD5": "md5", "MD5-SESS": "md5", "SHA-256": "sha256", "SHA-256-SESS": "sha256"}.get(algorithm)
    if name is None:
        return None

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce, once = asked.get("realm", ""), asked.get("nonce", ""), secrets.token_hex(8)
    secret = digest(f"{user}:{realm}:{password}")
    if algorithm.endswith("-SESS"):
        secret = digest(f"{secret}:{nonce}:{once}")
    request = digest(f"{method}:{target}")
    quoted = user.replace("\\", "\\\\").replace('"', '\\"')
    told = f'username="{quoted}", realm="{realm}", nonce="{nonce}", uri="{target}"'
    if "auth" in re.split(r"[\s,]+", asked.get("qop", "")):
        response = digest(f"{secret}:{nonce}:00000001:{once}:auth:{request}")
        told += f', qop=auth, nc=00000001, cnonce="{once}"'
    else:
        response = digest(f"{secret}:{nonce}:{request}")
    told += f', response="{response}"'
    if "algorithm" in asked:
        told += f", algorithm={asked['algorithm']}"
    if "opaque" in asked:
        told += f', opaque="{asked["opaque"]}"'
    return f"Digest {told}"


def refusal(status: int, *, with_user: bool) -> SourceError:
    """What a status other than success means to people; HTTP's and RTSP's are the same."""
    if status == 401:
        return SourceRefused("wrong user name or password" if with_user else "asks for a user name and a password")
    if status == 403:
        return SourceRefused("this user may not see the stream")
    if status in (404, 410):
        return SourceRefused("no such stream")
    if 300 <= status < 400:
        return SourceRefused("sends us to another address; put that one into the configuration")
    if status == 503:
        return SourceError("the camera is busy (503)")
    return SourceError(f"the camera answered with an error ({status})")


def in_words(error: BaseException, timeout: float) -> SourceError:
    """What a failed connection means to people, without address or password."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, TimeoutError):
        return SourceError(f"no answer within {timeout:g} s")
    if isinstance(error, ConnectionRefusedError):
        return SourceError("connection refused")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return SourceError("the camera closed the connection")
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return SourceError("the name of the camera is not known to this network")
    if isinstance(error, ssl.SSLError):
        return SourceError("no encrypted connection could be made")
    return SourceError("host unreachable")


def _check(status: int, *, with_user: bool) -> None:
    if not 200 <= status < 300:
        raise refusal(status, with_user=with_user)


def _target(address: SplitResult) -> str:
    return (address.path or "/") + (f"?{address.query}" if address.query else "")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

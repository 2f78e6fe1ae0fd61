"""Basic and Digest (RFC 7617, RFC 7616 with MD5) as cameras ask for it, over HTTP and RTSP alike."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

NONCE = "5d0cb1bf29fd"
REALM = "camera"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client showed. `password` is known for basic only; `right`: whether it opens the gate."""

    scheme: str
    user: str
    password: str | None
    right: bool


class Gate:
    """Knows one user and password (none: everybody may in) and remembers what it was shown in `seen`."""

    def __init__(self, user: str | None, password: str | None, schemes: tuple[str, ...] = ("basic",)) -> None:
        self.user = user
        self.password = password or ""
        self.schemes = schemes
        self.seen: list[Credentials] = []

    def challenges(self) -> list[str]:
        """The values of the WWW-Authenticate headers, in order."""
        asked = {
            "basic": f'Basic realm="{REALM}"',
            "digest": f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=MD5',
            "digest-plain": f'Digest realm="{REALM}", nonce="{NONCE}"',  # as old cameras ask, without qop
        }
        return [asked[scheme] for scheme in self.schemes]

    def opens(self, method: str, header: str | None) -> bool:
        """Whether the Authorization `header` of a request with `method` lets it in."""
        if self.user is None:
            return True
        if not header:
            return False
        scheme, _, value = header.partition(" ")
        shown = self._basic(value) if scheme.lower() == "basic" else self._digest(method, value)
        self.seen.append(shown)
        allowed = {name.partition("-")[0] for name in self.schemes}
        return shown.right and shown.scheme in allowed

    def _basic(self, value: str) -> Credentials:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Credentials("basic", "", None, False)
        return Credentials("basic", user, password, (user, password) == (self.user, self.password))

    def _digest(self, method: str, value: str) -> Credentials:
        pairs = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', value)
        told = {key: re.sub(r"\\(.)", r"\1", quoted) or bare for key, quoted, bare in pairs}
        secret = _md5(f"{self.user}:{REALM}:{self.password}")
        middle = f"{told.get('nc')}:{told.get('cnonce')}:{told['qop']}:" if "qop" in told else ""
        request = _md5(f"{method}:{told.get('uri', '')}")
        expected = _md5(f"{secret}:{NONCE}:{middle}{request}")
        user = told.get("username", "")
        right = user == self.user and told.get("nonce") == NONCE and told.get("response") == expected
        return Credentials("digest", user, None, right)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

"""Other programs: which requests an access token is good for, how it is brought, and whose it is.

The pictures of a camera, to be read, and nothing else: what is not named in `camera_of` never sees a token. The cookie
of a person is in `auth`, the verdict on a request without either in `guard`, the form to make a token in `tokens`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Set
from urllib.parse import parse_qsl

from dashboard.web.parts import Parts, TokenLogin

CHALLENGE = {"WWW-Authenticate": 'Basic realm="camera dashboard"'}
"""Tells a player that it may ask its user: the token is the password, any name will do."""

NO_CAMERA = "there is no such camera"
"""Also of a camera that is there but not for this token, so that a token does not tell what else there is."""

_PICTURES = re.compile(r"/video_feed/([^/]+)|/api/cameras/([^/]+)/latest\.jpg|/live/([^/]+)\.mp4")


def camera_of(method: str, path: str) -> str | None:
    """The camera whose picture is asked for, if a token may ask so; else None."""
    found = _PICTURES.fullmatch(path)
    return found[found.lastindex or 0] if found and method in {"GET", "HEAD"} else None


def token_in(query: str, authorization: str) -> str | None:
    """The token of a request: `?token=`, `Bearer` or the password of `Basic`, in this order."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "token":
            return value
    scheme, _, credentials = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            try:
                return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return None
    return None


def login(parts: Parts, query: str, authorization: str) -> TokenLogin | None:
    """Who asks with a token; None without one, or when it is not good. Ask `camera_of` before, `may_see` after."""
    token = token_in(query, authorization)
    return parts.tokens.find(token) if token else None


def alive(parts: Parts, seats: Set[int]) -> set[int]:
    """Those of the seats whose login is still good: of people, and below zero of tokens."""
    return parts.sessions.alive({seat for seat in seats if seat >= 0}) | parts.tokens.alive(
        {seat for seat in seats if seat < 0}
    )

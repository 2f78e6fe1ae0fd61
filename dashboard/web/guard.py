"""Who may pass: one decision for every request, before it is routed, whatever the transport.

Closed by default: a path is public only when it is named here, so a view that nobody thought of is closed too.
What a login is and how it begins belongs to `auth`; which role may do what stands at the views.
"""

from __future__ import annotations

from enum import Enum
from urllib.parse import quote

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PUBLIC = frozenset({"/login", "/healthz"})
PUBLIC_BELOW = "/static/"
FOR_MACHINES = ("/api/", "/video_feed/", "/live", "/metrics")
"""Paths that programs ask for: they are told 401, not sent to a form."""

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
MAX_FIELDS = 1000
MAX_NEXT = 2000
"""Characters of a path that is worth coming back to."""


class Verdict(Enum):
    """What becomes of a request. The value is the status of the refusal."""

    PASS = 200
    SIGN_IN = 302
    REFUSE = 401
    METHOD = 405


def is_public(path: str) -> bool:
    """Whether `path` is on the short list that needs no login."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def decide(method: str, path: str, signed_in: bool) -> Verdict:
    """The verdict on a request for `path`, be it known or not."""
    if method not in METHODS:
        return Verdict.METHOD
    if signed_in or is_public(path):
        return Verdict.PASS
    return Verdict.REFUSE if path.startswith(FOR_MACHINES) else Verdict.SIGN_IN


def sign_in_location(method: str, path: str, query: str) -> str:
    """Where to send an anonymous browser; it comes back to what it asked for, if that can be asked again."""
    if method not in {"GET", "HEAD"} or path == "/" or is_public(path):
        return "/login"
    target = path + ("?" + query if query else "")
    return "/login?next=" + quote(target, safe="/") if len(target) <= MAX_NEXT else "/login"


def local_path(target: str | None) -> str:
    """`target` when it is a path on this server, else "/": for `next`, which anybody can write into a link."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    if any(ord(char) < 0x21 or ord(char) == 0x7F or char == "\\" for char in target):
        return "/"
    return target

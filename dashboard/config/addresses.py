"""Which URLs, devices and recordings are accepted, and how credentials are kept out of sight.

Type first, then a list of what is allowed; never a list of what is forbidden: libav opens `file:`, `concat:` and
much else by itself. Nothing here opens anything, and no error text repeats a URL.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

SCHEMES = ("rtsp", "rtsps", "http", "https")
SCENES = ("courtyard", "corridor", "parking")
MAX_URL = 2048
HIGHEST_DEVICE = 63

DEVICE_WORDS = f"must be a number from 0 to {HIGHEST_DEVICE}, /dev/video<number> or /dev/v4l/by-id/<name>"
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%|-]*")  # RFC 3986 without "#"; "|" occurs in cameras
ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})")
DEVICE = re.compile(r"/dev/(video[0-9]{1,3}|v4l/by-(id|path)/[A-Za-z0-9_.,:+@-]{1,200})")
FOREIGN_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.,-]+:")
PARAMETER = re.compile(r"((?:^|[?&;/,])([A-Za-z_]{1,20})=)([^&;/,?]+)")
SECRET_PARAMETERS = frozenset(
    {"pass", "password", "passwd", "pwd", "loginpas", "secret", "token", "auth", "key", "apikey", "api_key"}
)
LOGIN_PARAMETERS = SECRET_PARAMETERS | frozenset({"user", "usr", "username", "login", "loginuse"})


@dataclass(frozen=True)
class Parts:
    """A URL taken apart. `bare` is the URL without credentials; user name and password are decoded."""

    bare: str
    username: str | None
    password: str | None


def take_apart(url: str) -> Parts:
    """Check a URL and move the credentials out of it. Raises ValueError with a reason that does not repeat it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    if len(url) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    if "#" in rest:
        raise ValueError("has a '#'; in a password write it as %23, or use the keys username and password")
    if not URL_CHARACTERS.fullmatch(rest) or ESCAPES.search(rest):
        raise ValueError("has a character that must be percent-encoded; a password can go to the key password")
    authority, slash, path = _cut(rest)
    login, at, host = authority.rpartition("@")
    if "@" in login or "@" in path:
        raise ValueError("has a '@' in a password or path; write it as %40 (and / as %2F, ? as %3F, # as %23)")
    _check_host(scheme, host)
    if not at:
        return Parts(f"{scheme.lower()}://{host}{slash}{path}", None, None)
    username, colon, password = (_decoded(part) for part in login.partition(":"))
    if not username:
        raise ValueError("has a '@' but no user name before it")
    return Parts(f"{scheme.lower()}://{host}{slash}{path}", username, password if colon else None)


def put_together(bare: str, username: str | None, password: str | None) -> str:
    """The URL with percent-encoded credentials. Only what opens the camera may see it."""
    if username is None:
        return bare
    scheme, _, rest = bare.partition("://")
    login = quote(username, safe="") + ("" if password is None else ":" + quote(password, safe=""))
    return f"{scheme}://{login}@{rest}"


def for_people(bare: str) -> str:
    """A URL without credentials: the values of `user=`, `password=` and the like in it are left out too."""

    def without_value(found: re.Match[str]) -> str:
        return f"{found[1]}…" if found[2].lower() in LOGIN_PARAMETERS else found[0]

    return PARAMETER.sub(without_value, bare)


def secrets_in(bare: str) -> tuple[str, ...]:
    """The values of `password=` and the like in a URL, decoded."""
    found = PARAMETER.findall(bare)
    return tuple(unquote(value) for _, name, value in found if name.lower() in SECRET_PARAMETERS)


def after_host(bare: str) -> str:
    """The path and query of a URL."""
    return _cut(bare.partition("://")[2])[2]


def check_device(device: Any) -> int | str:
    """0 to 63, the same in quotes (becomes a number), or a path of a video device. Raises ValueError."""
    if isinstance(device, str) and re.fullmatch(r"[0-9]|[1-9][0-9]", device, re.ASCII):
        device = int(device)
    if isinstance(device, int) and not isinstance(device, bool) and 0 <= device <= HIGHEST_DEVICE:
        return device
    if isinstance(device, str) and DEVICE.fullmatch(device):
        return device
    raise ValueError(DEVICE_WORDS)


def same_device(device: int | str) -> str:
    """One name for 0, "0" and /dev/video0."""
    return f"/dev/video{device}" if isinstance(device, int) else device


def check_replay(replay: str) -> str:
    """A path, or `demo:` and the name of a generated scene. Raises ValueError."""
    if replay.startswith("demo:"):
        scene = replay.removeprefix("demo:")
        if scene not in SCENES:
            near = difflib.get_close_matches(scene[:40], SCENES, 1, 0.5)
            hint = f"did you mean 'demo:{near[0]}'?" if near else f"there are {', '.join(SCENES)}"
            raise ValueError(f"names no generated scene ({hint})")
        return replay
    if not replay.strip() or len(replay) > 1000 or FOREIGN_PROTOCOL.match(replay):
        raise ValueError("must be the path of a recorded file, or demo: and the name of a scene")
    return replay


def _cut(rest: str) -> tuple[str, str, str]:
    place = re.search(r"[/?]", rest)
    if place is None:
        return rest, "", ""
    return rest[: place.start()], rest[place.start()], rest[place.end() :]


def _check_host(scheme: str, host: str) -> None:
    no_host = ValueError("has no host, or a port that is no number; in a password write / as %2F, # as %23, : as %3A")
    try:
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port
    except ValueError:
        raise no_host from None
    name = host if port is None else host.rpartition(":")[0]
    if not HOST.fullmatch(name) or port == 0:
        raise no_host


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has a percent-encoded character that is not UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in decoded):
        raise ValueError("has a control character in its user name or password")
    return decoded

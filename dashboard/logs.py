"""What is written about the running dashboard: one line each, for the person awake at night.

    2026-11-24T14:02:11.123Z INFO capture-door  live: H.264, 1280x720

Times are UTC; the thread's name says which camera. Passwords are taken out here, at the last moment before a line
is written, whoever wrote it; so are line breaks. Equal lines that come too often are counted. What is worth saying
is decided where it happens.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import sys
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
LONGEST = 8000
"""Characters of a message that are kept."""
SHORTEST_HIDDEN = 4
"""A shorter secret cannot be searched for: it would take pieces out of every line."""
GONE = "***"

PATTERNS = (
    # user:password@ of a URL, also where the password has a raw / or @; the host after the last @ stays.
    (re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]{0,20}://)(?:[^\s/:@'\"]*:[^\s'\"]*|[^\s/'\"]*)@"), rf"\1{GONE}@"),
    # Headers, as sent or in a printed dict.
    (
        re.compile(
            r"\b((?:proxy-)?authorization|cookie|set-cookie|x-csrftoken)(['\"]?\s*[:=]\s*)(['\"])(?:(?!\3).)*", re.I
        ),
        rf"\1\2\3{GONE}",
    ),
    (
        re.compile(r"\b((?:proxy-)?authorization|cookie|set-cookie|x-csrftoken)(\s*[:=][ \t]*)(?!['\"])[^\r\n]+", re.I),
        rf"\1\2{GONE}",
    ),
    # password=… in queries and forms, "password": "…" in JSON and printed dicts.
    (re.compile(r"((?:passw(?:or)?d|pass|pwd|token|secret|api_?key)=)[^\s&;,'\"]+", re.I), rf"\1{GONE}"),
    (
        re.compile(r"(['\"]\w*(?:passw(?:or)?d|pwd|token|secret|api_?key)['\"]\s*:\s*)(['\"])(?:(?!\2).)*", re.I),
        rf"\1\2{GONE}",
    ),
    # Access tokens, which are known by how they begin, wherever they stand.
    (re.compile(r"cdt_[\w-]{20,}"), GONE),
)


def redact(text: str, hidden: Iterable[str] = ()) -> str:
    """`text` without credentials in URLs, headers and parameters, and without the `hidden` texts in any form."""
    return _redact(text, _any_of(hidden))


def hide(secret: str) -> None:
    """Never write `secret` from now on: neither as it is, nor percent-encoded, nor in base64."""
    _hidden.add(secret)


def setup(level: str = "info", stream: TextIO | None = None) -> None:
    """Send everything that is logged, warned of, or raised by a thread to `stream` (default: stderr).

    `level` is that of the dashboard; libraries speak from warnings on, libav only with "debug".
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(Handler(sys.stderr if stream is None else stream))
    root.setLevel(logging.WARNING)
    logging.getLogger("dashboard").setLevel(LEVELS[level])
    logging.getLogger("libav").setLevel(logging.WARNING if level == "debug" else logging.CRITICAL + 1)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class Tally:
    """Counts equal lines: `limit` of them pass in `window` seconds, the rest become a number. No clock of its own."""

    def __init__(self, limit: int = 3, window: float = 60.0, most: int = 500) -> None:
        self.limit = limit
        self.window = window
        self.most = most
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()  # line -> when it first came, how often

    def passes(self, line: str, now: float) -> bool:
        """Whether to write `line` at `now` (monotonic seconds). Ask `due` before."""
        first, count = self._seen.get(line, (now, 0))
        self._seen[line] = first, count + 1
        return count < self.limit

    def due(self, now: float) -> Iterator[tuple[str, int]]:
        """Lines whose window is over, or for which there is no room, with how often they were not written."""
        while self._seen:
            line, (first, count) = next(iter(self._seen.items()))
            if now - first < self.window and len(self._seen) < self.most:
                return
            del self._seen[line]
            if count > self.limit:
                yield line, count - self.limit


class Handler(logging.StreamHandler[TextIO]):
    """Writes redacted lines, and counts floods."""

    def __init__(self, stream: TextIO, tally: Tally | None = None) -> None:
        super().__init__(stream)
        self.tally = Tally() if tally is None else tally
        self.setFormatter(Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless it repeats itself; and the counts that have come due."""
        try:
            text = self.format(record)
            now = time.monotonic()
            self._write_counts(now)
            line = text[text.index(" ") :]  # without the time
            if self.tally.passes(line, now):
                self._write(text)
        except Exception:  # noqa: BLE001 - logging must not raise, and the standard answer prints the arguments
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Nothing: where a line cannot be written there is nobody to tell, and its arguments may be secret."""

    def close(self) -> None:
        """Write the counts that are left."""
        self.acquire()
        try:
            self._write_counts(float("inf"))
        except (OSError, ValueError):  # the stream is closed already
            pass
        finally:
            self.release()
        super().close()

    def _write_counts(self, now: float) -> None:
        for line, count in self.tally.due(now):
            first_line = line.partition("\n")[0]
            self._write(f"{_timestamp(time.time())}{first_line} … repeated {count} times in {self.tally.window:.0f} s")

    def _write(self, text: str) -> None:
        self.stream.write(text + self.terminator)
        self.flush()


class Formatter(logging.Formatter):
    """Time, level, thread and message in one line; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, redacted."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} (its arguments do not fit)"
        message = one_line(self.clean(message))
        thread = one_line(record.threadName or "?")
        lines = [f"{_timestamp(record.created)} {record.levelname} {thread}  {message}"]
        if record.exc_info:
            lines += self.clean(self.formatException(record.exc_info)).splitlines()
        if record.stack_info:
            lines += self.clean(record.stack_info).splitlines()
        return "\n    ".join([lines[0], *(one_line(line) for line in lines[1:])])

    def clean(self, text: str) -> str:
        """`text` without secrets, and not longer than can be read."""
        text = _redact(text[: 4 * LONGEST], _hidden.pattern)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"


def one_line(text: str) -> str:
    """`text` with line breaks and control characters made visible, so that a line of the log is one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


class _Hidden:
    """The secrets to be hidden. One for the process, because logging is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        with self._lock:
            if secret not in self._secrets:
                self._secrets.add(secret)
                self.pattern = _any_of(self._secrets)


_hidden = _Hidden()


def _any_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    forms = {form for secret in secrets if len(secret) >= SHORTEST_HIDDEN for form in _forms(secret)}
    if not forms:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written: raw, percent-encoded, escaped, and anywhere inside base64."""
    yield secret
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub("%..", lambda found: found[0].lower(), encoded)
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield html.escape(secret)
    for before in range(3):  # as in base64 of "user:password", where it may begin at any of three places
        data = bytes(before) + secret.encode()
        first = (0, 2, 3)[before]  # characters that depend on what stands before
        last = len(data) * 8 // 6  # characters that do not depend on what comes after
        if last - first > SHORTEST_HIDDEN:
            yield base64.b64encode(data).decode()[first:last]
            yield base64.urlsafe_b64encode(data).decode()[first:last]


def _redact(text: str, hidden: re.Pattern[str] | None) -> str:
    if hidden is not None:
        text = hidden.sub(GONE, text)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _visible(character: str) -> str:
    if character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character
    return character.encode("unicode_escape").decode()


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("dashboard").critical("ended by an error", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    error = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("dashboard").critical("thread %s ended by an error", name, exc_info=error)

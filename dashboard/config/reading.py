"""Text of a YAML file -> nodes that know their line. What the keys mean does not belong here.

A small, plain part of YAML 1.2 is accepted: mappings, lists and scalars. Anchors, aliases, merge keys, tags,
directives and second documents are refused, and so are bare words that YAML tools read differently (`no`, `007`,
`1:30`): a file must mean one thing. The parser gives events, one after the other, so limits on depth and number
are kept before anything is built. Texts of the file are not repeated in findings: they may be passwords.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_BYTES = 256 * 1024
MAX_DEPTH = 10
MAX_EVENTS = 50_000
MAX_KEYS = 100  # in one mapping

TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NOTHING = {"", "~", "null", "Null", "NULL"}
WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
DECIMAL = re.compile(r"-?((0|[1-9][0-9]{0,17})\.[0-9]{0,40}|\.[0-9]{1,40})")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF|nan|NaN|NAN)")
# Words that YAML 1.1 and 1.2 tools read as different things: booleans, octal, base 60, dates, grouped digits.
UNCLEAR = re.compile(
    r"""y | n | yes | no | on | off
      | [-+]?0[xob][0-9a-f_]+
      | [-+]?[0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?
      | [-+]?([0-9][0-9_]*)?\.?[0-9][0-9_]*\.?(e[-+]?[0-9]+)?
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}
      | = | <<""",
    re.VERBOSE | re.IGNORECASE,
)
HIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
TURNS_TEXT_ROUND = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")

UNCLEAR_WORDS = "other programs read this bare word as a number, a date or true/false; put it in quotes"


@dataclass(frozen=True)
class Problem:
    """What is wrong, at which line (counted from 1; 0 for the file as a whole)."""

    line: int
    text: str


@dataclass(frozen=True)
class Node:
    """A value of the file. `value`: None, bool, int, float, str, a dict of nodes or a tuple of nodes.

    `line` is where its key stands, `problems` what YAML allows and this file does not. A `broken` node has no
    value that could be used; `hidden` are the texts in it that came from outside the file and must not be shown.
    """

    value: Any
    line: int
    problems: tuple[Problem, ...] = ()
    broken: bool = False
    hidden: tuple[str, ...] = ()

    def children(self) -> Iterator[tuple[str | int, Node]]:
        """What is inside, each with its key or its place in the list."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, tuple):
            yield from enumerate(self.value)

    @property
    def sound(self) -> bool:
        """Whether neither this nor anything inside it is broken."""
        return not self.broken and all(child.sound for _, child in self.children())

    def plain(self) -> Any:
        """The value without lines: dicts, tuples and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return tuple(child.plain() for child in self.value)
        return self.value


def decode(data: bytes) -> str | Problem:
    """The text of a file: UTF-8, with or without a byte order mark."""
    if len(data) > MAX_BYTES:
        return Problem(0, f"is larger than {MAX_BYTES // 1024} KiB")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        return Problem(0, "is not UTF-8 (it looks like UTF-16); save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(data[: error.start].count(b"\n") + 1, "has bytes that are not UTF-8; save the file as UTF-8")
    for number, line in enumerate(text.split("\n"), 1):
        if any(unseen(character) for character in line.rstrip("\r") if character != "\t"):
            return Problem(number, "has an invisible control character")
    return text


def unseen(character: str) -> bool:
    """Whether a character is a control character, a line break, or turns the direction of the text."""
    if " " <= character <= "~":
        return False
    return character in TURNS_TEXT_ROUND or unicodedata.category(character) in HIDDEN_CATEGORIES


def read(text: str) -> Node | Problem:
    """The top node of the document, or the problem that ended the reading."""
    try:
        return _Builder(text).document()
    except _Stop as stop:
        return stop.problem
    except MarkedYAMLError as error:
        return Problem(error.problem_mark.line + 1 if error.problem_mark else 0, _syntax(error.problem or ""))
    except (YAMLError, ValueError, ArithmeticError, LookupError):  # the parser's own slips, as in "\\UFFFFFFFF"
        return Problem(0, "is not YAML")


class _Stop(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def _events(text: str) -> Iterator[Event]:
    depth = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
        line = line_of(event)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Stop(Problem(line, f"is nested more than {MAX_DEPTH} levels deep"))
        if count > MAX_EVENTS:
            raise _Stop(Problem(line, f"has more than {MAX_EVENTS // 2} entries"))
        yield event


class _Builder:
    """Builds nodes from the parser's events."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.events = _events(text)

    def document(self) -> Node:
        top = Node(None, 1)
        problems: list[Problem] = []
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Stop(Problem(line_of(event), "a second document begins here ('---'); a file holds one"))
                if event.version or event.tags:
                    problems.append(Problem(line_of(event), "directives ('%') are not accepted"))
            elif isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                top = self.node(event, line_of(event))
        return replace(top, problems=(*problems, *top.problems))

    def node(self, event: Event, line: int) -> Node:
        """The node that begins with `event`; takes its inside from the events that follow."""
        if isinstance(event, MappingStartEvent):
            node = self.mapping(line)
        elif isinstance(event, SequenceStartEvent):
            node = self.sequence(line)
        elif isinstance(event, ScalarEvent):
            node = self.scalar(event, line)
        else:
            node = Node(None, line)
        refusal = _refusal(event)
        return _broken(line_of(event), refusal) if refusal else node

    def sequence(self, line: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, line_of(event)))
        return Node(tuple(items), line)

    def mapping(self, line: int) -> Node:
        entries: dict[str, Node] = {}
        problems: list[Problem] = []
        while not isinstance(event := next(self.events), MappingEndEvent):
            here = line_of(event)
            key = self.node(event, here)
            value = self.node(next(self.events), here)
            name = event.value if isinstance(event, ScalarEvent) else ""
            if key.broken:
                problems += key.problems
            elif not 0 < len(name) <= 100:
                problems.append(Problem(here, "a key must be one short word"))
            elif name in entries:
                problems.append(Problem(here, f"{shown(name)} stands twice (first in line {entries[name].line})"))
            else:
                entries[name] = value
            if len(entries) > MAX_KEYS:
                raise _Stop(Problem(here, f"has more than {MAX_KEYS} keys in one place"))
        return Node(entries, line, tuple(problems))

    def scalar(self, event: ScalarEvent, line: int) -> Node:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block of text
            return _text(text, line)
        if text in TRUTH:
            return Node(TRUTH[text], line)
        if text in NOTHING:
            return Node(None, line)
        if WHOLE.fullmatch(text):
            return Node(int(text), line)
        if DECIMAL.fullmatch(text):
            return Node(float(text), line)
        if NOT_FINITE.fullmatch(text):
            return Node(float("nan"), line)
        if text == "<<":
            return _broken(line, "merge keys ('<<') are not accepted; 'defaults:' holds what cameras share")
        if UNCLEAR.fullmatch(text):
            return _broken(line, UNCLEAR_WORDS)
        if "://" in text and self.cut_by_comment(event):
            return _broken(line, "the URL is cut off by ' #', which begins a comment; in a URL write # as %23")
        return _text(text, line)

    def cut_by_comment(self, event: ScalarEvent) -> bool:
        """Whether what follows a URL on its line is a comment with an "@": rather the rest of a password."""
        rest = self.lines[event.end_mark.line][event.end_mark.column :]
        return rest.lstrip().startswith("#") and "@" in rest


def line_of(event: Event) -> int:
    """The line where an event begins, counted from 1."""
    return int(event.start_mark.line) + 1


def shown(key: str) -> str:
    """A key in words; one that could be a piece of a password is not repeated."""
    return f"key '{key}'" if SHOWABLE_KEY.fullmatch(key) else "a key"


def _broken(line: int, problem: str) -> Node:
    return Node(None, line, (Problem(line, problem),), broken=True)


def _text(text: str, line: int) -> Node:
    if any(unseen(character) for character in text):
        return _broken(line, "has a line break or an invisible control character")
    return Node(text, line)


SHOWABLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")


def _refusal(event: Event) -> str | None:
    if isinstance(event, AliasEvent):
        return "aliases ('*') are not accepted; 'defaults:' holds what cameras share"
    if getattr(event, "anchor", None) is not None:
        return "anchors ('&') are not accepted; 'defaults:' holds what cameras share"
    if getattr(event, "ctag", None) is not None:
        return "tags ('!') are not accepted; put a text that begins with '!' in quotes"
    return None


# The parser's message begins with -> what it means to the person who wrote the file.
SYNTAX = (
    ("found character '\\t'", "is indented with a tab; YAML takes spaces only"),
    ("mapping values are not allowed", "has a ':' where no key can be; check the indentation, quote texts with ': '"),
    ("could not find expected ':'", "has a line without ':' after its key"),
    ("did not find expected", "is not indented as the lines above it, or a quote or bracket is missing"),
    ("expected <block end>", "is not indented as the lines above it, or a '-' is missing"),
    ("found unexpected end of stream", "has a quote that is never closed"),
    ("found unexpected document", "has a quote that is never closed"),
    ("expected ',' or", "has a bracket that is never closed, or a ',' is missing"),
    ("found unknown escape", "has a '\\' in double quotes that YAML does not know; use single quotes"),
    ("while scanning", "is not YAML"),
    ("sequence entries are not allowed", "has a '-' where no list can begin"),
    ("found undefined tag", "tags ('!') are not accepted"),
    ("found character", "begins with a character that has a meaning in YAML; put the text in quotes"),
)


def _syntax(problem: str) -> str:
    return next((words for start, words in SYNTAX if problem.startswith(start)), "is not YAML; check the quotes")

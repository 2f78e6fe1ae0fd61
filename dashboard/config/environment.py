"""${NAME} in a text of cameras.yaml becomes what the environment, or cameras.env beside it, says.

What comes from here is secret: nodes remember which texts those are, and no problem repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dashboard.config.reading import Node, Problem, unseen

REFERENCE = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MAX_ENV_BYTES = 64 * 1024


def env_file(path: Path) -> Path:
    """The file of secrets that belongs to a configuration: cameras.env beside cameras.yaml."""
    return path.with_suffix(".env")


def read_env_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The NAME=value lines of a file, `#` comments and quotes aside; nothing when there is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ENV_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [Problem(0, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return {}, [Problem(0, "is not UTF-8")]
    if len(data) > MAX_ENV_BYTES:
        return {}, [Problem(0, f"is larger than {MAX_ENV_BYTES // 1024} KiB")]
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and NAME.fullmatch(name.strip()):
            values[name.strip()] = _unquoted(value.strip())
        else:
            problems.append(Problem(number, "must be NAME=value"))
    return values, problems


def substitute(node: Node, values: Mapping[str, str]) -> Node:
    """The node with every ${NAME} in its texts replaced, except in an `id`; `$$` becomes `$`."""
    if isinstance(node.value, dict):
        entries = {key: child if key == "id" else substitute(child, values) for key, child in node.value.items()}
        return replace(node, value=entries)
    if isinstance(node.value, tuple):
        return replace(node, value=tuple(substitute(child, values) for child in node.value))
    if isinstance(node.value, str) and "$" in node.value:
        return _substituted(node, values)
    return node


def _substituted(node: Node, values: Mapping[str, str]) -> Node:
    taken: list[str] = []
    problems: list[Problem] = []

    def value_of(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1]
        if not found[2] or not NAME.fullmatch(name):
            problems.append(Problem(node.line, "has '${' without a NAME and '}' (write $$ for a plain $)"))
        elif name not in values:
            problems.append(
                Problem(node.line, f"${{{name}}} is not set; set it in the environment or in the .env file beside this")
            )
        elif not values[name] or any(unseen(character) for character in values[name]):
            problems.append(Problem(node.line, f"${{{name}}} is empty, or has a line break or control character"))
        else:
            taken.append(values[name])
            return values[name]
        return ""

    text = REFERENCE.sub(value_of, node.value)
    if problems:
        return replace(node, value=None, problems=(*node.problems, *problems), broken=True)
    return replace(node, value=text, hidden=tuple(taken))


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value

"""Settings given as text, `motion.threshold=30`, for commands that have no cameras.yaml. Checked as the file is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from dashboard.config import reading, words
from dashboard.config.models import CameraSettings
from dashboard.config.reading import Problem
from dashboard.errors import ConfigError


def settings(pairs: Iterable[str]) -> CameraSettings:
    """The defaults of a camera with `key=value` pairs over them. Raises ConfigError with all findings."""
    tree: dict[str, Any] = {}
    findings: list[str] = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        node = reading.read(f"value: {text}\n")
        if not equals or isinstance(node, Problem) or not node.sound or not _put(tree, key, node.plain()["value"]):
            findings.append(f"--set {key[:60]}: must be KEY=VALUE, such as motion.threshold=30")
    try:
        found = CameraSettings.model_validate(tree)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            inner, text = words.explain(each, CameraSettings)
            findings.append(f"--set {'.'.join(map(str, inner))}: {text}")
    if findings:
        raise ConfigError(findings)
    return found


def _put(tree: dict[str, Any], key: str, value: Any) -> bool:
    """Put `value` at the dotted `key`; False when the key is none, or leads through a value."""
    *sections, last = key.split(".")
    place: Any = tree
    for name in sections:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            return False
    place[last] = value
    return bool(last)

"""From the file to a `Config`, or to every finding at once. Opens nothing but cameras.yaml and cameras.env."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from dashboard.config import addresses, environment, reading, words
from dashboard.config.models import (
    ID,
    MAX_CAMERAS,
    Camera,
    CameraSettings,
    Config,
    File,
    Model,
    Retain,
    resolved,
    sections,
)
from dashboard.config.reading import Node, Problem
from dashboard.errors import ConfigError

Place = tuple[str | int, ...]
SomeModel = TypeVar("SomeModel", bound=Model)

MOST_FINDINGS = 100
OF_ONE_CAMERA = ("id", "name", "url", "device", "replay", "substream")
MAY_BE_NULL = set(Retain.model_fields)


def load(path: Path, env: Mapping[str, str] = os.environ) -> Config:
    """Read `path`; secrets come from `env` or from the .env file beside it. Raises ConfigError with all findings."""
    path = Path(path)
    text = _text(path)
    top = reading.read(text)
    if isinstance(top, Problem):
        raise ConfigError([_line(path, top.line, top.text)])
    if not isinstance(top.value, dict):
        found = "is empty" if top.value is None and not top.broken else "does not begin with keys"
        raise ConfigError([_line(path, 0, f"{found}; it needs at least 'cameras:'")])
    secret_path = environment.env_file(path)
    values, problems = environment.read_env_file(secret_path)
    checking = _Checking(path, environment.substitute(top, {**values, **env}))
    config = checking.config()
    findings = [_line(secret_path, problem.line, problem.text) for problem in problems]
    findings += [_line(path, finding.line, finding.text) for finding in sorted(checking.findings)]
    findings = list(dict.fromkeys(findings))
    if len(findings) > MOST_FINDINGS:
        findings = [
            *findings[:MOST_FINDINGS],
            _line(path, 0, f"and {len(findings) - MOST_FINDINGS} more, or many more"),
        ]
    if findings:
        raise ConfigError(findings)
    return config.model_copy(update={"warnings": tuple(_warnings(path, secret_path, top))})


@dataclass(frozen=True, order=True)
class _Finding:
    line: int
    text: str


class _Checking:
    """Checks the tree part by part, and collects findings with their line and the camera's name."""

    def __init__(self, path: Path, top: Node) -> None:
        self.path = path
        self.top = top
        self.findings: list[_Finding] = []
        for place, problem in _problems(top):
            self.findings.append(_Finding(problem.line, self.where(place) + problem.text))

    def config(self) -> Config:
        """What the tree says; to be used only when there are no findings."""
        known: dict[str, Node] = {}
        for key, node in self.top.value.items():
            if key not in File.model_fields:
                self.find((key,), words.unknown_key(key, File, (), node.value is None), named=False)
            elif node.value is not None and not node.broken:
                known[key] = node
        if "cameras" not in self.top.value:
            self.find((), "needs 'cameras:' with the list of cameras ('cameras: []' for none)")
        rest = {key: node for key, node in known.items() if key not in ("cameras", "defaults")}
        file = self.fit(File, Node({**rest, "cameras": Node((), 1)}, 1), ())
        cameras = self.cameras(known.get("cameras"), self.defaults(known.get("defaults")))
        return Config(cameras=cameras, storage=file.storage, timezone=file.timezone) if file else Config()

    def defaults(self, node: Node | None) -> dict[str, Node]:
        """The usable part of `defaults:`, to be merged into each camera."""
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.find(("defaults",), "must hold keys with values")
            return {}
        entries = dict(node.value)
        for key in OF_ONE_CAMERA:
            if entries.pop(key, None) is not None:
                self.find(("defaults", key), "belongs to one camera, not to the defaults")
        before = len(self.findings)
        self.fit(CameraSettings, replace(node, value=entries), ("defaults",))
        wrong = {finding.line for finding in self.findings[before:]}
        return {key: child for key, child in entries.items() if child.sound and not wrong & set(_lines(child))}

    def cameras(self, node: Node | None, defaults: dict[str, Node]) -> tuple[Camera, ...]:
        """The cameras that can be used, in the order of the file."""
        if node is None:
            return ()
        if not isinstance(node.value, tuple):
            self.find(("cameras",), "must be a list: each camera begins with '- id:'")
            return ()
        if len(node.value) > MAX_CAMERAS:
            self.find(("cameras", MAX_CAMERAS), f"is more than the {MAX_CAMERAS} cameras that one dashboard takes")
            return ()
        found: list[Camera] = []
        ids: dict[str, int] = {}
        devices: dict[str, str] = {}
        for number, item in enumerate(node.value):
            if len(self.findings) > MOST_FINDINGS:
                break
            place = ("cameras", number)
            if not isinstance(item.value, dict):
                if not item.broken:
                    self.find(place, "must hold keys with values, such as 'id: door'")
                continue
            self.once(item, place, ids, devices)
            camera = self.fit(Camera, replace(item, value=_merged(defaults, item.value)), place)
            if camera is not None:
                hidden = (child.hidden for key, child in item.value.items() if key in ("url", "substream"))
                found.append(resolved(camera, self.path.parent).hiding(tuple(t for texts in hidden for t in texts)))
        return tuple(found)

    def once(self, item: Node, place: Place, ids: dict[str, int], devices: dict[str, str]) -> None:
        """No two cameras may have the same id, however it is written, or the same device."""
        identity = item.value.get("id")
        if identity is not None and isinstance(identity.value, str):
            same = identity.value.casefold()
            if same in ids:
                self.find((*place, "id"), f"is already the id of the camera in line {ids[same]}")
            ids.setdefault(same, identity.line)
        node = item.value.get("device")
        if node is None or node.broken:
            return
        try:
            device = addresses.same_device(addresses.check_device(node.value))
        except ValueError:
            return  # the model says what is wrong
        if device in devices:
            self.find((*place, "device"), f"is already the device of {devices[device]}")
        devices.setdefault(device, self.where(place).rstrip(": "))

    def fit(self, model: type[SomeModel], node: Node, place: Place) -> SomeModel | None:
        """The node as a value of `model`, or None and findings. Entries that are broken already are left out."""
        left_out = {key for key, child in node.value.items() if not child.sound}
        entries = {key: child for key, child in node.value.items() if key not in left_out}
        entries = self.without_nulls(model, entries, place)
        try:
            return model.model_validate({key: child.plain() for key, child in entries.items()})
        except ValidationError as error:
            for inner, text, kind in words.explained(error, model):
                if not (inner and inner[0] in left_out) and not (not inner and left_out):
                    self.find(place + inner, text, named=kind != "extra_forbidden")
        return None

    def without_nulls(self, model: type[Model], entries: dict[str, Node], place: Place) -> dict[str, Node]:
        """Empty sections are as good as none; any other known key needs a value."""
        kept: dict[str, Node] = {}
        inside = sections(model)
        for key, child in entries.items():
            if key in inside and isinstance(child.value, dict):
                kept[key] = replace(child, value=self.without_nulls(inside[key], child.value, (*place, key)))
            elif child.value is not None or key in MAY_BE_NULL or key not in model.model_fields:
                kept[key] = child
            elif key not in inside:
                self.find((*place, key), "has no value; give it one, or leave the key out")
        return kept

    def find(self, place: Place, text: str, named: bool = True) -> None:
        """A finding at `place`; not `named`: its text names the last key itself."""
        self.findings.append(_Finding(self.line(place), self.where(place if named else place[:-1]) + text))

    def line(self, place: Place) -> int:
        """The line of the nearest thing at `place` that stands in the file."""
        node = self.top
        for key in place:
            if isinstance(node.value, dict) and key in node.value:
                node = node.value[str(key)]
            elif isinstance(node.value, tuple) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
            else:
                break
        return node.line if place else 0

    def where(self, place: Place) -> str:
        """A place in words: "camera 'door': motion.threshold: "."""
        parts: list[str] = []
        if place[:1] == ("cameras",) and len(place) > 1 and isinstance(place[1], int):
            parts.append(self.name_of(place[1]))
            place = place[2:]
        elif place[:1] == ("defaults",):
            parts.append("defaults")
            place = place[1:]
        keys = ".".join(str(key) for key in place if isinstance(key, str))
        return "".join(f"{part}: " for part in [*parts, keys] if part)

    def name_of(self, number: int) -> str:
        """A camera by its id, or by its place in the list when the id is of no use."""
        item = self.top.value["cameras"].value[number]
        node = item.value.get("id") if isinstance(item.value, dict) else None
        if node is not None and isinstance(node.value, str) and ID.fullmatch(node.value):
            return f"camera '{node.value}'"
        return f"camera {number + 1}"


def _merged(below: Mapping[str, Node], above: Mapping[str, Node]) -> dict[str, Node]:
    """The defaults with a camera's own keys over them, section by section. A URL's own login stands alone."""
    merged = dict(below)
    urls = [above[key].value for key in ("url", "substream") if key in above]
    if any(isinstance(url, str) and "@" in url for url in urls):
        merged = {key: node for key, node in merged.items() if key not in ("username", "password")}
    for key, node in above.items():
        under = merged.get(key)
        if under is not None and isinstance(node.value, dict) and isinstance(under.value, dict):
            merged[key] = replace(node, value=_merged(under.value, node.value))
        elif under is None or node.value is not None or not isinstance(under.value, dict):
            merged[key] = node
    return merged


def _problems(node: Node, place: Place = ()) -> Iterator[tuple[Place, Problem]]:
    for problem in node.problems:
        yield place, problem
    for key, child in node.children():
        yield from _problems(child, (*place, key))


def _lines(node: Node) -> Iterator[int]:
    yield node.line
    for _, child in node.children():
        yield from _lines(child)


def _text(path: Path) -> str:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ConfigError([_line(path, 0, "is a folder; a file is needed")])
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError([_line(path, 0, "is not an ordinary file")])
        with path.open("rb") as file:
            data = file.read(reading.MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([_line(path, 0, f"does not exist in {path.parent.absolute()}")]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError([_line(path, 0, f"cannot be read: {getattr(error, 'strerror', None) or error}")]) from None
    text = reading.decode(data)
    if isinstance(text, Problem):
        raise ConfigError([_line(path, text.line, text.text)])
    return text


def _line(path: Path, line: int, text: str) -> str:
    return f"{path.name}:{line}: {text}" if line else f"{path.name}: {text}"


def _warnings(path: Path, secret_path: Path, top: Node) -> Iterator[str]:
    """Passwords that other users of this machine can read."""
    if _world_readable(secret_path):
        yield f"{secret_path.name}: every user of this machine can read it; run: chmod 600 {secret_path.name}"
    if not _world_readable(path):
        return
    advice = f"every user of this machine can read this password; use ${{NAME}}, or run: chmod 600 {path.name}"
    for node in _passwords(top):
        yield _line(path, node.line, advice)


def _passwords(node: Node) -> Iterator[Node]:
    """Passwords written in the file itself."""
    for key, child in node.children():
        if isinstance(child.value, str):
            in_url = key in ("url", "substream") and "@" in child.value
            if (key == "password" or in_url) and "${" not in child.value:
                yield child
        else:
            yield from _passwords(child)


def _world_readable(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False

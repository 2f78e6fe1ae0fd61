"""The checked-in schema and the page of all keys say what the models say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from dashboard.config import Camera
from dashboard.config.models import File, Model, sections
from dashboard.config.schema import text

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "design" / "configuration.md"


def test_the_checked_in_schema_is_that_of_the_models() -> None:
    assert (ROOT / "cameras.schema.json").read_text() == text(), "run script/schema"


def test_the_shipped_file_names_its_schema() -> None:
    first = (ROOT / "cameras.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./cameras.schema.json"


def test_every_key_has_a_description_that_editors_show() -> None:
    schema = json.loads(text())
    models = [schema, *schema["$defs"].values()]
    bare = [name for model in models for name, key in model["properties"].items() if not key.get("description")]
    assert bare == []


def keys(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    """All keys of a model and its sections, dotted, with their defaults."""
    for name, field in model.model_fields.items():
        inside = sections(model).get(name)
        if inside is not None:
            yield from keys(inside, f"{before}{name}.")
        else:
            yield before + name, ... if field.is_required() else field.default


def in_words(default: Any) -> str:
    """A default as the page writes it."""
    if default is ... or default is None or default == "":
        return "none"
    if default == ():
        return "`[]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int) and default >= 10**9:
        return f"`{default / 10**9:g}GB`"
    return f"`{default:g}`" if isinstance(default, int | float) else f"`{default}`"


def documented(heading: str) -> dict[str, str]:
    """The keys of the table below a heading of the page, with their defaults."""
    below = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_.]+)` \|(.*)\|$", below, re.MULTILINE)
    return {key: rest.rpartition("|")[2].strip() for key, rest in rows}


def test_the_page_has_every_key_of_a_camera_with_its_default() -> None:
    assert documented("A camera") == {key: in_words(default) for key, default in keys(Camera)}


def test_the_page_has_every_key_of_the_file() -> None:
    expected = dict.fromkeys(("defaults", "cameras"), "none")
    expected |= {key: in_words(default) for key, default in keys(File) if not key.startswith(("defaults.", "cameras"))}
    assert documented("The file") == expected


def test_no_section_has_a_default_of_its_own() -> None:
    """A section's default is that of its keys; so each default stands in one place."""
    for model in (File, Camera, *sections(Camera).values()):
        for name, inside in sections(model).items():
            assert issubclass(inside, Model)
            assert model.model_fields[name].default == inside()


def test_secrets_are_of_a_type_that_hides_them() -> None:
    assert SecretStr in Camera.model_fields["password"].annotation.__args__  # type: ignore[union-attr]

"""What does not fit the models, in words, with the nearest known key. No text of the file is repeated here,
but for keys and numbers: any other may be a password."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from dashboard.config.models import Camera, sections
from dashboard.config.reading import SHOWABLE_KEY

Place = tuple[str | int, ...]

# What other programs of the field call it -> what it is called here.
ELSEWHERE = {
    "area": "motion.min_area",
    "camera_id": "id",
    "camera_name": "name",
    "contour_area": "motion.min_area",
    "device_id": "id",
    "device_name": "name",
    "frame_timeout": "timeout",
    "framerate": "fps",
    "friendly_name": "name",
    "netcam_high_url": "url",
    "netcam_url": "url",
    "noise_level": "motion.threshold",
    "path": "url",
    "picture_quality": "snapshots.quality",
    "stream": "url",
    "user": "username",
    "v4l2_device": "device",
    "videodevice": "device",
}

PLAIN = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must hold keys with values",
    "model_attributes_type": "must hold keys with values",
    "finite_number": "must be a finite number",
}
LIMITS = {
    "greater_than": ("must be more than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be less than {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
    "literal_error": ("must be {}", "expected"),
    "string_too_long": ("must have at most {} characters", "max_length"),
    "string_too_short": ("must have at least {} characters", "min_length"),
    "too_long": ("must have at most {} entries", "max_length"),
    "too_short": ("must have at least {} entries", "min_length"),
}


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Place, str, str]]:
    """Each of pydantic's errors: where it belongs, its text, and pydantic's word for its kind."""
    errors = error.errors(include_url=False)
    places = [each["loc"] for each in errors]
    for each in errors:
        here = each["loc"]
        if each["type"] == "too_short" and any(place != here and place[: len(here)] == here for place in places):
            continue  # only because entries in it are wrong, which is said already
        yield *explain(each, model), each["type"]


def explain(error: Any, model: type[BaseModel]) -> tuple[Place, str]:
    """Where in `model` one of pydantic's errors belongs, and its text. A text may begin with its key itself."""
    place, kind, given = tuple(error["loc"]), error["type"], error.get("input")
    if kind == "extra_forbidden":
        return place, unknown_key(str(place[-1]), model, place[:-1], given is None)
    if kind == "value_error":
        text = str(error["ctx"]["error"])
        key, colon, rest = text.partition(": ")
        return ((*place, key), rest) if colon and key in model.model_fields else (place, text)
    point = "motion" in place and len(place) - place.index("motion") >= 4  # motion.mask[polygon][point]
    if point and kind in ("missing", "too_long", "tuple_type"):
        return place, "must be a point of two numbers, [x, y]"
    number = isinstance(given, int | float)
    if kind == "string_type" and number:
        return place, "must be text; put it in quotes"
    if kind in LIMITS:
        sentence, key = LIMITS[kind]
        seen = f" (it is {given:g})" if number and not isinstance(given, bool) else ""
        limit = error["ctx"][key]
        return place, sentence.format(f"{limit:g}" if isinstance(limit, float) else limit) + seen
    return place, PLAIN.get(kind, "cannot be used")


def unknown_key(key: str, model: type[BaseModel], place: Place = (), empty: bool = False) -> str:
    """That a key is not known, with the nearest that is. `empty`: it has no value, so it may be a piece of text."""
    hint = _nearest(key, model_at(model, place))
    if not SHOWABLE_KEY.fullmatch(key) or (empty and not hint):
        return "a key that is not known; texts with a comma, colon or bracket belong in quotes"
    return f"unknown key '{key}'{hint}"


def model_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """The model of the section at `place`."""
    for key in place:
        model = sections(model).get(str(key), model)
    return model


def _nearest(key: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key.lower()[:40], model.model_fields, 1, 0.6)
    if near:
        return f" (did you mean '{near[0]}'?)"
    if key in ELSEWHERE:
        return f" (here it is called '{ELSEWHERE[key]}')"
    homes = [home for home in ("", *_paths(Camera)) if key in model_at(Camera, tuple(home.split("."))).model_fields]
    if homes:
        return f" (it belongs under {homes[0]})" if homes[0] else " (it belongs to the camera itself)"
    return ""


def _paths(model: type[BaseModel], before: str = "") -> list[str]:
    found = []
    for key, section in sections(model).items():
        found += [before + key, *_paths(section, f"{before}{key}.")]
    return found

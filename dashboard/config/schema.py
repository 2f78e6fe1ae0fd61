"""The JSON Schema of cameras.yaml, from the models: editors complete keys and show their meaning with it.

`python -m dashboard.config.schema` prints it; `script/schema` writes cameras.schema.json. The schema is for comfort:
what is accepted is decided by `load`.
"""

from __future__ import annotations

import json
from typing import Any

from dashboard.config.models import File


def schema() -> dict[str, Any]:
    """The schema as plain values."""
    made = File.model_json_schema()
    made["properties"]["cameras"]["type"] = ["array", "null"]  # "cameras:" with all of its entries commented out
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_without_noise(made)}


def text() -> str:
    """The schema as it stands in cameras.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _without_noise(value: Any) -> Any:
    """Titles made from key names say nothing, nor do defaults of whole sections, or "no value" as a default."""
    if isinstance(value, list):
        return [_without_noise(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_noise(item) for key, item in value.items() if not _noise(key, item)}
    choices = kept.get("anyOf")
    if isinstance(choices, list) and "default" not in kept:
        choices = [choice for choice in choices if choice != {"type": "null"}]
        kept["anyOf"] = choices
        if len(choices) == 1:
            del kept["anyOf"]
            kept = {**choices[0], **kept}
    return kept


def _noise(key: str, item: Any) -> bool:
    return (key == "title" and isinstance(item, str)) or (
        key == "default" and (item in (None, "") or isinstance(item, dict))
    )


if __name__ == "__main__":
    print(text(), end="")

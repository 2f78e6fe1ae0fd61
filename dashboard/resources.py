"""Where templates, static files, migrations and the default cameras.yaml lie: beside the package, or in the wheel."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """The file or folder `name` that travels with the dashboard. It lies in the package when installed from a wheel
    and one level up in a checkout."""
    packed = _HERE / name
    return packed if packed.exists() else _HERE.parent / name

"""The walls between the parts: who may import whom, in the source and at run time in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dashboard"

# part -> (parts it may import, foreign packages it may import beyond the standard library)
WALLS: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "channel": (set(), set()),
    "notices": ({"channel"}, set()),
    "worker": ({"errors"}, set()),
    "logs": ({"errors"}, set()),
    "resources": (set(), set()),
    "config": ({"errors", "worker"}, {"pydantic", "pydantic_core", "ruamel"}),
    "capture": ({"worker", "channel", "notices", "logs", "errors"}, {"cv2", "numpy", "av", "simplejpeg"}),
    "motion": ({"worker", "channel", "notices", "errors"}, {"cv2", "numpy"}),
    "store": ({"logs", "errors", "notices", "worker", "resources"}, {"sqlalchemy", "alembic", "argon2"}),
    "live": ({"channel", "notices"}, set()),
    "web": (
        {"store", "live", "channel", "notices", "config", "errors", "resources"},
        {"flask", "flask_login", "flask_wtf", "werkzeug", "wtforms", "starlette", "a2wsgi", "uvicorn", "h11"},
    ),
    "metrics": (set(), {"prometheus_client"}),
    "figures": (set(), set()),
    "memory": (set(), set()),
    "zones": (set(), set()),
    "wiring": ({"capture", "system", "web"}, set()),
    "bench": ({"capture", "motion", "notices"}, set()),
    "scenes": ({"config", "errors", "store"}, {"demo"}),
    "system": (
        {
            "capture",
            "channel",
            "config",
            "errors",
            "figures",
            "logs",
            "metrics",
            "motion",
            "notices",
            "resources",
            "store",
            "scenes",
            "zones",
        },
        set(),
    ),
    "__main__": (
        {
            "bench",
            "capture",
            "config",
            "errors",
            "logs",
            "memory",
            "motion",
            "scenes",
            "store",
            "system",
            "web",
            "wiring",
        },
        {"click"},
    ),
    "__init__": (set(), set()),
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of the modules that are imported when the code runs; what stands under TYPE_CHECKING is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            module = node.module or ""
            yield from (f"{module}.{name.name}" if module == "dashboard" else module for name in node.names)
        else:
            yield from imported(node)


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_what_its_wall_lets_through(path: Path) -> None:
    part = part_of(path)
    assert part in WALLS, f"say in WALLS what {part} may import"
    parts, foreign = WALLS[part]
    for name in imported(ast.parse(path.read_text("utf-8"))):
        top, _, rest = name.partition(".")
        if top == "dashboard":
            other = rest.partition(".")[0]
            assert other in parts | {part, ""}, f"{part} must not import dashboard.{other}"
        elif top not in sys.stdlib_module_names:
            assert top in foreign, f"{part} must not import {top}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("dashboard", {"flask", "cv2", "numpy", "av", "sqlalchemy", "pydantic"}),
        ("dashboard.web", {"cv2", "numpy", "av"}),
        ("dashboard.live", {"flask", "starlette", "cv2", "numpy", "sqlalchemy"}),
        ("dashboard.capture", {"flask", "sqlalchemy", "pydantic"}),
        ("dashboard.motion", {"flask", "sqlalchemy", "av"}),
        ("dashboard.store", {"flask", "cv2", "numpy", "av"}),
    ],
)
def test_a_part_does_not_pull_in_what_it_must_not_see(module: str, absent: set[str]) -> None:
    """The same walls at run time, in a fresh interpreter: also what comes in through others."""
    names = [module]
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    names += [f"{module}.{path.stem}" for path in folder.glob("*.py") if module.count(".") and path.stem != "__init__"]
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert not absent & {name.partition(".")[0] for name in run.stdout.split()}

"""What all tests share: where the labelled footage lies, and a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers.clips import make_clip  # noqa: F401 - a fixture, for every test
from tests.stores import database_url, db, postgresql, sqlite_store, store  # noqa: F401 - likewise

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of labelled footage; tests that need it are skipped, visibly, where it is missing, but not in CI."""
    folder = Path(os.environ.get("DASHBOARD_CLIPS", ROOT.parent / "shared" / "clips"))
    if not (folder / "clips.json").is_file():
        if os.environ.get("CI"):
            pytest.fail(f"the labelled footage is missing: {folder}")
        pytest.skip(f"the labelled footage is missing: {folder}")
    return folder

"""Who starts a thread or opens a file ends it: fifty starts and stops in one process leave nothing behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest

from dashboard.config import load
from dashboard.errors import DataFolderBusy
from dashboard.system import System
from dashboard.wiring import parts_of
from tests.servers.clips import ClipMaker
from tests.serving import serving
from tests.web_client import Browser, until

ROUNDS = 50
FDS = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not FDS.is_dir(), reason="this system does not list the files of a process")


@pytest.fixture
def config_path(tmp_path: Path, make_clip: ClipMaker) -> Path:
    """Two cameras, one of them with much movement."""
    moving, still = make_clip().path, make_clip(moving=False, seconds=1).path
    path = tmp_path / "cameras.yaml"
    path.write_text(f"cameras:\n  - {{id: lobby, replay: {moving}}}\n  - {{id: cellar, replay: {still}}}\n")
    path.chmod(0o600)
    return path


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def open_files() -> list[str]:
    """What is open, in words; what closes while it is looked at is not open."""
    found = []
    for name in os.listdir(FDS):
        try:
            found.append(os.readlink(FDS / name))
        except FileNotFoundError:
            continue
    return sorted(found)


@needs_proc
@pytest.mark.slow
def test_fifty_starts_and_stops(config_path: Path, tmp_path: Path) -> None:
    config = load(config_path)

    def round_(number: int) -> None:
        with System(config, config_path, tmp_path / "data") as system:
            if number % 10 == 0:
                live = [camera.id for camera in system.cameras]
                assert until(lambda: all(system.cameras.get(id).status().state == "live" for id in live), 10)  # type: ignore[union-attr]
                assert {"watchdog", "config", "states", "capture-lobby", "motion-lobby"} <= threads()

    round_(0)  # what libraries open once and keep
    gc.collect()
    threads_before, files_before = threads(), open_files()
    for number in range(ROUNDS):
        round_(number)
    gc.collect()
    assert until(lambda: threads() <= threads_before, 5), threads() - threads_before
    assert open_files() == files_before


@needs_proc
def test_starts_and_stops_with_viewers(config_path: Path, tmp_path: Path) -> None:
    config = load(config_path)
    password = ""

    def round_() -> None:
        nonlocal password
        with System(config, config_path, tmp_path / "data") as system, serving(parts_of(system)) as address:
            password = system.first_login[1] if system.first_login else password
            browser = Browser(int(address.rsplit(":", 1)[1]))
            browser.sign_in("admin", password)
            feeds = [browser.stream("/video_feed/lobby") for _ in range(3)]
            for feed in feeds:
                assert feed.recv(100)
            for feed in feeds[1:]:
                feed.close()
        feeds[0].close()

    round_()
    gc.collect()
    threads_before, files_before = threads(), open_files()
    for _ in range(5):
        round_()
    gc.collect()
    assert until(lambda: threads() <= threads_before, 5), threads() - threads_before
    assert open_files() == files_before


@needs_proc
def test_a_start_that_fails_leaves_nothing(config_path: Path, tmp_path: Path) -> None:
    config = load(config_path)
    with System(config, config_path, tmp_path / "data"):
        pass
    gc.collect()
    threads_before = threads()
    with System(config, config_path, tmp_path / "data"):
        held = open_files()
        for _ in range(3):
            with pytest.raises(DataFolderBusy):
                System(config, config_path, tmp_path / "data").__enter__()
        gc.collect()
        time.sleep(0.1)
        assert len(open_files()) <= len(held) + 2  # cameras open their files meanwhile
    assert until(lambda: threads() <= threads_before, 5), threads() - threads_before

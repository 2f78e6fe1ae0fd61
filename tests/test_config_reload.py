"""cameras.yaml while the server runs: which cameras a change touches, and when the file is read again."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dashboard.config import Camera, Changes, Config, ConfigFile, ConfigWatcher, Detect, Motion, difference, load

DOOR = Camera(id="door", url="rtsp://h/1")
ONE = "cameras: [{id: door, url: rtsp://h/1}]\n"
TWO = "cameras: [{id: door, url: rtsp://h/1}, {id: desk, device: 0}]\n"


def door(**changes: Any) -> Config:
    return Config(cameras=(Camera(**{"id": "door", "url": "rtsp://h/1", **changes}),))


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (door(), door(), Changes()),
        (Config(), door(), Changes(added=("door",))),
        (door(), Config(), Changes(removed=("door",))),
        (door(), door(url="rtsp://h/2"), Changes(changed=("door",))),
        (door(username="u", password="a"), door(username="u", password="b"), Changes(changed=("door",))),
        (door(), door(enabled=False), Changes(changed=("door",))),
        (door(), door(timeout=9), Changes(changed=("door",))),
        (door(), door(substream="rtsp://h/2"), Changes(changed=("door",))),
        (door(), door(motion=Motion(threshold=9)), Changes(adjusted=("door",))),
        (door(), door(detect=Detect(fps=2), name="Front"), Changes(adjusted=("door",))),
        (door(), door(motion=Motion(threshold=9), transport="udp"), Changes(changed=("door",))),
        (
            Config(cameras=(DOOR, Camera(id="a", device=0))),
            Config(cameras=(Camera(id="b", device=0), DOOR)),
            Changes(added=("b",), removed=("a",)),
        ),
    ],
)
def test_difference(old: Config, new: Config, changes: Changes) -> None:
    assert difference(old, new) == changes
    assert bool(changes) == (changes != Changes())


def test_a_file_is_changed_once(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    file = ConfigFile(path)
    assert not file.exists
    assert not file.changed()
    path.write_text(ONE)
    assert (file.changed(), file.changed()) == (True, False)
    (tmp_path / "new").write_text(ONE)
    os.replace(tmp_path / "new", path)
    assert (file.changed(), file.changed()) == (True, False)
    (tmp_path / "cameras.env").write_text("A=1\n")
    assert (file.changed(), file.changed()) == (True, False)
    path.unlink()
    assert (file.changed(), file.changed()) == (True, False)


class Watched:
    """A watcher that is made to look by hand, and what it told."""

    def __init__(self, folder: Path, text: str = ONE) -> None:
        self.path = folder / "cameras.yaml"
        self.write(text)
        self.configs: list[tuple[str, ...]] = []
        self.findings: list[tuple[str, ...]] = []
        self.watcher = ConfigWatcher(
            self.path,
            lambda config: self.configs.append(tuple(camera.id for camera in config.cameras)),
            self.findings.append,
            running=load(self.path, {}),
            env={},
        )
        self.watcher.look()

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o600)

    def look(self, times: int = 2) -> Watched:
        for _ in range(times):
            self.watcher.look()
        return self


def test_what_did_not_change_is_not_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path).look()
    watched.path.touch()
    watched.look()
    watched.write(ONE + "# a comment\n")
    watched.look()
    assert (watched.configs, watched.findings) == ([], [])


def test_a_good_file_is_told_once_at_rest(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(TWO[:20])  # half of it is written
    watched.look(1)
    watched.write(TWO)
    watched.look(1)
    assert (watched.configs, watched.findings) == ([], [])
    watched.look(3)
    assert (watched.configs, watched.findings) == ([("door", "desk")], [])


def test_a_bad_file_is_told_and_so_is_that_it_was_mended(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write("cameras: [{id: door, ulr: x}]\n")
    watched.look(3)
    assert watched.configs == []
    assert "ulr" in watched.findings[0][0]
    watched.write(ONE)
    watched.look()
    assert watched.findings[1:] == [()]
    assert watched.configs == []  # it says again what runs already
    watched.write(TWO)
    watched.look()
    assert watched.configs == [("door", "desk")]


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.path.unlink()
    watched.look(3)
    assert watched.findings == [("cameras.yaml: the file is gone; the cameras keep running",)]
    watched.write(ONE)
    watched.look()
    assert watched.findings[1:] == [()]


def test_a_change_between_start_and_first_look_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(ONE)
    told: list[Config] = []
    running = load(path, {})
    path.write_text(TWO)
    watcher = ConfigWatcher(path, told.append, lambda findings: None, running=running, env={})
    watcher.look()
    assert [len(config.cameras) for config in told] == [2]


def test_the_thread(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(ONE)
    told = threading.Event()
    threads: list[str] = []

    def on_config(config: Config) -> None:
        threads.append(threading.current_thread().name)
        told.set()

    watcher = ConfigWatcher(path, on_config, lambda findings: None, running=load(path, {}), env={}, interval=0.02)
    watcher.start()
    try:
        path.write_text(TWO)
        assert told.wait(20)
        assert threads == ["config"]
    finally:
        before = time.monotonic()
        assert watcher.stop(10)
        assert time.monotonic() - before < 5

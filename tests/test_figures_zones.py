"""What the process takes of the machine, the zone that people see, and when the dashboard is healthy."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboard import zones
from dashboard.config import Config
from dashboard.errors import StoreError
from dashboard.figures import process_figures
from dashboard.system import BLIND_AFTER, System
from dashboard.wiring import no_signal_in
from dashboard.zones import zone_of

SUMMER, WINTER = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)


def names(zone: Any) -> tuple[str | None, str | None]:
    """What the zone is called in summer and in winter."""
    return SUMMER.astimezone(zone).tzname(), WINTER.astimezone(zone).tzname()


# Figures


def test_threads_and_files_are_counted() -> None:
    before = process_figures()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="counted")
    with ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(stop.set)
        thread.start()
        for _ in range(5):
            stack.enter_context(open(os.devnull))
        during = process_figures()
    assert during["threads"] == before["threads"] + 1
    assert during["fds"] == before["fds"] + 5
    assert process_figures()["fds"] == before["fds"]
    assert 1e6 < during["rss_bytes"] < 1e11


def test_a_machine_without_proc_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(os, "listdir", missing)
    monkeypatch.setattr(Path, "read_text", missing)
    figures = process_figures()
    assert figures["threads"] > 0
    assert (figures["fds"], figures["rss_bytes"]) == (0, 0)


# Zones


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose /etc/localtime can be written, and that has no TZ."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")
    return tmp_path / "localtime"


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_the_zone_of_the_file(machine: Path, name: str) -> None:
    assert zone_of(name) == ZoneInfo(name)


def test_summer_time_is_known(machine: Path) -> None:
    assert names(zone_of("Europe/Berlin")) == ("CEST", "CET")


@pytest.mark.parametrize("text", ["Europe/Berlin", ":Europe/Berlin"])
def test_the_zone_of_the_environment(machine: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TZ", text)
    assert names(zone_of(None)) == ("CEST", "CET")
    assert names(zone_of("Asia/Tokyo")) == ("JST", "JST"), "the file comes first"


@pytest.mark.parametrize("text", ["Nowhere/Town", "../../etc/passwd", "/etc/passwd", "\x00", "", "a" * 500, "CET-1"])
def test_what_is_no_zone_is_passed_over(machine: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    if "\x00" not in text:
        monkeypatch.setenv("TZ", text)
    assert zone_of(text) is UTC


def test_the_zone_of_the_machine(machine: Path) -> None:
    folder = machine.parent / "share" / "zoneinfo" / "Europe"
    folder.mkdir(parents=True)
    (folder / "Berlin").write_bytes(b"")
    machine.symlink_to(folder / "Berlin")
    assert zone_of(None) == ZoneInfo("Europe/Berlin")


def test_a_copy_of_a_zone_is_as_good_as_a_link(machine: Path) -> None:
    from importlib.resources import files

    machine.write_bytes((files("tzdata") / "zoneinfo" / "Europe" / "Berlin").read_bytes())
    assert names(zone_of(None)) == ("CEST", "CET")


@pytest.mark.parametrize("content", [None, b"", b"no zone at all"])
def test_a_machine_that_does_not_know(machine: Path, content: bytes | None) -> None:
    if content is not None:
        machine.write_bytes(content)
    assert zone_of(None) is UTC


# Health


@dataclass
class Status:
    frame_age_s: float | None
    since: float = 0.0
    reason: str = "no answer within 5 s"
    width: int | None = None
    height: int | None = None


@dataclass
class Spec:
    enabled: bool = True
    name: str = "Front door"


class FakeCamera:
    def __init__(self, age: float | None, enabled: bool = True) -> None:
        self.spec = Spec(enabled)
        self._age = age

    def status(self) -> Status:
        return Status(self._age)


def system(tmp_path: Path, *cameras: FakeCamera, runs: float = 100.0) -> System:
    """A system that was never entered, with cameras in place of its own, `runs` seconds old."""
    made = System(Config(), tmp_path / "cameras.yaml", tmp_path / "data")
    made.cameras = cameras  # type: ignore[assignment]
    made._started = time.monotonic() - runs
    return made


OLD = BLIND_AFTER + 1


@pytest.mark.parametrize(
    ("cameras", "runs", "healthy"),
    [
        ([], 100, True),  # nothing to see is nothing wrong
        ([FakeCamera(None, enabled=False)], 100, True),
        ([FakeCamera(None)], BLIND_AFTER - 1, True),  # it may still come
        ([FakeCamera(None)], OLD, False),
        ([FakeCamera(OLD)], 100, False),
        ([FakeCamera(0.1)], 100, True),
        ([FakeCamera(OLD), FakeCamera(None), FakeCamera(BLIND_AFTER - 1)], 100, True),  # one is enough
        ([FakeCamera(OLD), FakeCamera(0.1, enabled=False)], 100, False),
        ([FakeCamera(OLD)] * 64, 1e6, False),
    ],
)
def test_blind_is_not_healthy(tmp_path: Path, cameras: list[FakeCamera], runs: float, healthy: bool) -> None:
    assert system(tmp_path, *cameras, runs=runs).healthy() is healthy


def test_a_system_that_was_not_entered_made_nothing(tmp_path: Path) -> None:
    system(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_asked_costs_no_figure(tmp_path: Path) -> None:
    class Gone:
        unsaved = 3

        def free(self) -> int:
            raise StoreError("the data folder cannot be reached: no such file or directory")

    blind = system(tmp_path)
    blind.snapshots = blind.events = Gone()  # type: ignore[assignment]
    disk = blind.stats()["disk"]
    assert disk["free_bytes"] is None
    assert disk["reserved"]
    assert disk["unsaved_snapshots"] == 3
    assert "cannot be reached" in disk["error"]
    assert b"dashboard_disk_reserved 1.0" in blind.metrics()


# The picture in place of a picture


@pytest.mark.parametrize(("width", "size"), [(320, (320, 180)), (640, (640, 360))])
def test_no_signal_is_drawn_in_the_size_asked_for(width: int, size: tuple[int, int]) -> None:
    import simplejpeg

    drawn = no_signal_in(ZoneInfo("Europe/Berlin"))(FakeCamera(None), width)
    height, wide = simplejpeg.decode_jpeg_header(drawn)[:2]
    assert (wide, height) == size

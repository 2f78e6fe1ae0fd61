from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboard.metrics import COUNTERS, GAUGES, exposition

DOOR = {"state": "live", "reason": "", "since": 1.0, "fps": 14.9, "frame_age_s": 0.04, "reconnects": 3, "restarts": 1}
DOOR |= {"viewers": 2, "decoded_frames": 2**40, "encoded_jpegs": 7, "analysed": 50, "missed": 4, "motion_cpu_s": 0.25}
DOOR |= {"lost_events": 0}
GATE = {**DOOR, "state": "offline", "reason": 'no "answer"\n', "fps": 0.0, "frame_age_s": None, "viewers": 0}
DISK = {"free_bytes": 5_000_000, "reserve_bytes": 1, "reserved": False, "unsaved_snapshots": 9, "error": None}


def samples(text: bytes) -> dict[tuple[str, str | None], float]:
    """Value by name and camera."""
    return {
        (sample.name, sample.labels.get("camera")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def exposed(cameras: Mapping[str, Any], disk: Mapping[str, Any] = DISK) -> dict[tuple[str, str | None], float]:
    return samples(exposition(lambda: {"cameras": cameras, "process": {}, "disk": disk})())


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, (name, _) in GAUGES.items()])
def test_a_gauge_is_what_the_statistics_say(key: str, name: str) -> None:
    found = exposed({"door": DOOR, "gate": GATE})
    assert found[name, "door"] == DOOR[key]
    assert found.get((name, "gate")) == GATE[key], "what is not known is left out"


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, (name, _) in COUNTERS.items()])
def test_a_counter_is_what_the_statistics_say(key: str, name: str) -> None:
    found = exposed({"door": DOOR, "gate": GATE})
    assert found[f"{name}_total", "door"] == DOOR[key]
    assert found[f"{name}_total", "gate"] == GATE[key]


def test_up_means_live() -> None:
    cameras = {state: {**DOOR, "state": state} for state in ("connecting", "live", "stalled", "offline", "disabled")}
    found = exposed(cameras)
    assert {name for (metric, name), value in found.items() if metric == "dashboard_camera_up" and value} == {"live"}


def test_the_disk() -> None:
    found = exposed({})
    assert found["dashboard_disk_free_bytes", None] == DISK["free_bytes"]
    assert found["dashboard_disk_reserved", None] == 0
    assert found["dashboard_unsaved_snapshots_total", None] == 9
    lost = exposed({}, {**DISK, "free_bytes": None, "reserve_bytes": None, "reserved": True, "error": "gone"})
    assert ("dashboard_disk_free_bytes", None) not in lost
    assert lost["dashboard_disk_reserved", None] == 1


def test_the_process_tells_of_itself() -> None:
    found = exposed({})
    assert found["process_resident_memory_bytes", None] > 1e6
    assert all(math.isfinite(value) for value in found.values())


def test_statistics_are_asked_once_for_each_scrape_and_not_before() -> None:
    asked: list[int] = []

    def stats() -> dict[str, Any]:
        asked.append(1)
        return {"cameras": {}, "process": {}, "disk": DISK}

    scrape = exposition(stats)
    assert asked == []
    scrape()
    scrape()
    assert len(asked) == 2


def test_a_strange_camera_cannot_break_the_text() -> None:
    found = exposed({'a"b\\c\nd': DOOR})
    assert found["dashboard_camera_up", 'a"b\\c\nd'] == 1

"""Detection over recorded pictures: the same answers as live, and what is told of an event."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from dashboard.motion.detect import Event, detect
from tests.motion_fakes import FakeFrame, Motion, scene, walker


def frames(seconds: float, fps: float, *starts: float) -> Any:
    def walkers(picture: Any, at: float, dice: Any) -> Any:
        for start in starts:
            if start <= at < start + 5:
                picture = walker(at, picture, start)
        return picture

    for number, (picture, at) in enumerate(scene(seconds, walkers, fps)):
        yield FakeFrame(number, picture, at)


@pytest.mark.parametrize("fps", [4.0, 5.0, 12.5, 25.0])
def test_two_visits_are_two_events_at_any_rate_of_the_recording(fps: float) -> None:
    found = detect(frames(30, fps, 5.0, 18.0), Motion())
    assert [(round(event.start), round(event.end)) for event in found.events] == [(5, 10), (18, 23)]
    assert found.frames == pytest.approx(30 * min(fps, 5), abs=2)
    assert 0 < found.cpu_s < 10


def test_an_event_tells_its_largest_region() -> None:
    (event,) = detect(frames(12, 5, 5.0), Motion()).events
    assert 0.3 < event.peak_area < 5
    x, y, w, h = event.box
    assert 0 <= x < x + w <= 1
    assert 0.2 < y < y + h < 0.7


def test_an_event_that_is_open_at_the_end_is_told() -> None:
    (event,) = detect(frames(8, 5, 5.0), Motion()).events
    assert event.end == pytest.approx(7.8)


def test_nothing_comes_of_nothing() -> None:
    assert detect([], Motion()).events == ()
    assert detect(islice(frames(10, 5), 1), Motion()).frames == 1
    assert detect(frames(10, 5), Motion()).events == ()


def test_a_long_gap_joins_visits() -> None:
    (event,) = detect(frames(30, 5, 5.0, 18.0), Motion(event_gap=10)).events
    assert isinstance(event, Event)
    assert event.end - event.start > 15

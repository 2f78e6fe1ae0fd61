"""Readings over time, and what the episode says: tables."""

from __future__ import annotations

import pytest

from dashboard.motion.difference import Reading, Region
from dashboard.motion.episode import LONGEST, Ended, Episode, Moving, Started, same
from dashboard.motion.pace import Pace
from tests.motion_fakes import Motion

STILL = Reading()
SCENE = Reading(scene_change=True)


def moved(x: float = 0.5, area: float = 1.0) -> Reading:
    return Reading(area, (Region(x, 0.5, 0.1, 0.1, area),))


def said(readings: str, settings: Motion, period: float = 1.0) -> str:
    """One letter a picture, in and out. In: m movement, M more of it, f far from it, S scene change, - nothing.

    Out: S started, m moving, p moving with a new peak, E ended, - nothing.
    """
    values = {"m": moved(), "M": moved(area=3.0), "f": moved(x=0.0), "S": SCENE, "-": STILL}
    episode, out = Episode(settings), ""
    for index, letter in enumerate(readings):
        change = episode.update(values[letter], index * period)
        match change:
            case Started():
                out += "S"
            case Moving(peak=peak):
                out += "p" if peak else "m"
            case Ended():
                out += "E"
            case None:
                out += "-"
    return out


@pytest.mark.parametrize(
    ("frames", "gap", "readings", "expected"),
    [
        (1, 3, "-m---m", "-S--ES"),
        (2, 3, "-m----", "------"),  # one picture alone is nothing
        (2, 3, "mm----", "-S--E-"),
        (2, 3, "m-m---", "--S--E"),  # two of three
        (2, 3, "m--m--", "------"),
        (3, 3, "mm-m--", "---S--"),  # three of four
        (3, 3, "mmm---", "--S--E"),
        (2, 3, "mmMmM-", "-Spmm-"),
        (2, 3, "mfmf--", "--Sm--"),  # each is near the one before the last
        (2, 3, "mf----", "------"),  # two things that have nothing to do with each other
        (2, 3, "mSm---", "------"),  # a scene change breaks what was about to begin
        (2, 3, "mmSS--", "-S--E-"),
        (2, 5, "mm---mm---", "-S----m---"),
        (2, 2, "mm--mm--", "-S-E-S-E"),
    ],
)
def test_a_table_of_readings(frames: int, gap: float, readings: str, expected: str) -> None:
    assert said(readings, Motion(minimum_motion_frames=frames, event_gap=gap)) == expected


def test_an_event_begins_with_the_first_picture_that_moved() -> None:
    episode = Episode(Motion())
    assert episode.update(moved(), 1.0) is None
    assert episode.update(STILL, 1.2) is None
    assert episode.update(moved(area=2.0), 1.4) == Started(1.0, 1.4, moved(area=2.0))
    assert episode.running


def test_an_event_ends_with_its_last_movement() -> None:
    episode = Episode(Motion(event_gap=3.0))
    for at in (1.0, 1.2, 1.4):
        episode.update(moved(), at)
    assert episode.update(STILL, 4.3) is None
    assert episode.update(STILL, 4.4) == Ended(1.0, 1.4)
    assert not episode.running


def test_an_event_that_does_not_end_goes_on_as_a_new_one() -> None:
    episode = Episode(Motion())
    changes = [(index * 0.2, episode.update(moved(), index * 0.2)) for index in range(int(2.5 * LONGEST / 0.2))]
    ended = [change for _, change in changes if isinstance(change, Ended)]
    started = [change for _, change in changes if isinstance(change, Started)]
    assert [each.goes_on for each in ended] == [True, True]
    assert len(started) == 3
    for before, after in zip(ended, started[1:], strict=True):
        assert before.last - before.first == pytest.approx(LONGEST, abs=0.3)
        assert 0 < after.first - before.last < 0.5


def test_finish_closes_what_is_open() -> None:
    episode = Episode(Motion())
    assert episode.finish() is None
    episode.update(moved(), 1.0)
    episode.update(moved(), 1.2)
    assert episode.finish() == Ended(1.0, 1.2)
    assert episode.finish() is None
    assert episode.update(moved(), 1.4) is None  # begins from nothing


def test_other_settings_hold_from_the_next_picture_on() -> None:
    episode = Episode(Motion())
    episode.update(moved(), 1.0)
    episode.update(moved(), 1.2)
    episode.apply(Motion(event_gap=0.5))
    assert isinstance(episode.update(STILL, 1.8), Ended)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.5, 0.5, 0.05, 0.1, 0.3), (0.52, 0.5, 0.05, 0.1, 0.4), True),
        ((0.5, 0.5, 0.05, 0.1, 0.3), (0.62, 0.5, 0.05, 0.1, 0.4), True),  # a stride of its own size
        ((0.5, 0.5, 0.05, 0.1, 0.3), (0.75, 0.5, 0.05, 0.1, 0.4), False),
        ((0.5, 0.5, 0.05, 0.1, 0.3), (0.5, 0.8, 0.05, 0.1, 0.4), False),
        ((0.1, 0.3, 0.3, 0.4, 9.0), (0.55, 0.3, 0.3, 0.4, 9.0), True),  # large, so near, so quick
        ((0.5, 0.5, 0.05, 0.1, 0.3), (0.5, 0.5, 0.3, 0.4, 9.0), False),  # nothing grows thirtyfold
    ],
)
def test_what_may_be_the_same_thing(one: tuple[float, ...], other: tuple[float, ...], expected: bool) -> None:
    assert same(Region(*one), Region(*other)) is expected
    assert same(Region(*other), Region(*one)) is expected


@pytest.mark.parametrize(
    ("fps", "camera", "analysed"),
    [(5, 5, 5.0), (5, 30, 5.0), (5, 12.5, 5.0), (5, 7, 5.0), (5, 2, 2.0), (10, 15, 10.0)],
)
def test_so_many_pictures_a_second_are_due(fps: float, camera: float, analysed: float) -> None:
    pace = Pace(fps)
    due = sum(pace.due(index / camera) for index in range(int(60 * camera)))
    assert due / 60 == pytest.approx(analysed, rel=0.05)


def test_jitter_and_gaps_do_not_upset_the_pace() -> None:
    pace = Pace(5)
    assert sum(pace.due(index * 0.2 + 0.03 * (-1) ** index) for index in range(100)) == 100
    assert pace.due(500.0)
    assert not pace.due(500.1)
    assert pace.left(500.1) == pytest.approx(0.02, abs=0.01)
    assert pace.due(3.0)  # the clock of a recording begins anew

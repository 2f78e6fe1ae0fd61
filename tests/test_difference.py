"""What counts as movement in drawn pictures, and each disturbance alone, which must not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from dashboard.motion.detect import detect
from dashboard.motion.difference import Difference, Reading, alike, rasterised
from tests.motion_fakes import HEIGHT, WIDTH, FakeFrame, Motion, ground, scene, walker

SIZE = (HEIGHT, WIDTH)


def readings(pictures: Any, settings: Motion | None = None) -> list[tuple[float, Reading]]:
    difference = Difference(settings or Motion())
    return [(at, difference.look(picture, at)) for picture, at in pictures]


def events(pictures: Any, settings: Motion | None = None, fps: float = 5.0) -> list[tuple[float, float]]:
    frames = (FakeFrame(number, picture, at) for number, (picture, at) in enumerate(pictures))
    return [(event.start, event.end) for event in detect(frames, settings or Motion(), fps).events]


def test_a_walker_is_a_region_where_they_are() -> None:
    seen = readings(scene(10, lambda picture, at, dice: walker(at, picture)))
    assert not any(reading.regions for at, reading in seen if at < 5)
    moving = [(at, reading) for at, reading in seen if 6 < at < 10]
    assert all(reading.regions for _, reading in moving)
    for at, reading in moving:
        region = reading.regions[0]
        middle = ((at - 5) * 15 + 3) / WIDTH
        assert abs(region.x + region.w / 2 - middle) < 0.06
        assert abs(region.y + region.h / 2 - 39 / HEIGHT) < 0.06
        assert reading.area == region.area
        assert 0.3 <= region.area < 5


def switched(picture: Any, at: float, dice: np.random.Generator) -> Any:
    return picture if at < 5 or at >= 12 else picture * 0.4 + 5


def ramped(picture: Any, at: float, dice: np.random.Generator) -> Any:
    return picture * (1 + 0.5 * np.clip((at - 4) / 3, 0, 1))


def stepped_exposure(picture: Any, at: float, dice: np.random.Generator) -> Any:
    return picture * (1.0, 1.1, 1.25, 1.4, 1.5)[int(np.clip((at - 5) / 0.2, 0, 4))]


def infrared(picture: Any, at: float, dice: np.random.Generator) -> Any:
    if at < 6:
        return picture
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    spot = np.exp(-(((x - 80) / 60) ** 2) - ((y - 45) / 40) ** 2)
    return 30 + (255 - picture) * 0.7 * spot + dice.normal(0, 3, SIZE)


def lamp(picture: Any, at: float, dice: np.random.Generator) -> Any:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    glow = np.exp(-(((x - 50) / 30) ** 2) - ((y - 40) / 25) ** 2)
    return picture * (1 + (0.9 * glow if 5 <= at < 11 else 0))


def flicker(picture: Any, at: float, dice: np.random.Generator) -> Any:
    if at >= 3:
        picture[10:40, 100:150] *= 1 + 0.15 * dice.integers(0, 2)
    return picture


def shaken(picture: Any, at: float, dice: np.random.Generator) -> Any:
    if at < 4:
        return picture
    move = np.array([[1, 0, dice.normal(0, 0.4)], [0, 1, dice.normal(0, 0.4)]], np.float32)
    return cv2.warpAffine(picture, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def noisy(picture: Any, at: float, dice: np.random.Generator) -> Any:
    return picture + dice.normal(0, 6 if at > 5 else 1, SIZE)


def rain(picture: Any, at: float, dice: np.random.Generator) -> Any:
    if at >= 5:
        for x, y in zip(dice.integers(0, WIDTH, 15), dice.integers(0, HEIGHT, 15), strict=True):
            picture[y : y + 5, x : x + 2] += 60
    return picture


def clock(picture: Any, at: float, dice: np.random.Generator) -> Any:
    digits = np.random.default_rng(int(at)).integers(0, 2, (6, 24))
    picture[3:9, 4:28] = 40 + 200 * digits
    return picture


def blinking(picture: Any, at: float, dice: np.random.Generator) -> Any:
    picture[5:11, 140:148] = 250 if int(at) % 2 else 60
    return picture


def put_down(picture: Any, at: float, dice: np.random.Generator) -> Any:
    """Something changes at once and stays: a switched-on sign."""
    if at >= 6:
        picture[50:60, 70:90] = 220
    return picture


def cloud(picture: Any, at: float, dice: np.random.Generator) -> Any:
    x = np.arange(WIDTH)
    return picture * (1 - 0.3 / (1 + np.exp(-(at * 12 - 40 - x) / 12)))


def swaying(picture: Any, at: float, dice: np.random.Generator) -> Any:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    shift = 1.2 * np.sin(2 * np.pi * 0.8 * at + x / 9)
    moved = cv2.remap(picture, (x + shift).astype(np.float32), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    picture[50:] = moved[50:]
    return picture


NUISANCES = [
    switched,
    ramped,
    stepped_exposure,
    infrared,
    lamp,
    flicker,
    shaken,
    noisy,
    rain,
    clock,
    blinking,
    put_down,
    cloud,
    swaying,
]


@pytest.mark.parametrize("nuisance", NUISANCES, ids=lambda nuisance: nuisance.__name__)
def test_a_disturbance_alone_is_no_event(nuisance: Any) -> None:
    assert events(scene(16, nuisance)) == []


@pytest.mark.parametrize("change", [switched, lamp, clock, blinking, put_down], ids=lambda change: change.__name__)
def test_what_changes_at_once_is_no_event_at_ten_pictures_a_second_either(change: Any) -> None:
    assert events(scene(16, change, fps=10), fps=10) == []


@pytest.mark.parametrize("nuisance", NUISANCES, ids=lambda nuisance: nuisance.__name__)
def test_somebody_who_walks_through_a_disturbance_is_found(nuisance: Any) -> None:
    found = events(scene(15, lambda picture, at, dice: nuisance(walker(at, picture, start=8.0), at, dice)))
    assert any(start < 12 and end > 10 for start, end in found)


def test_the_start_and_a_reconnect_are_no_movement() -> None:
    """A camera comes back to a scene in which everything stands elsewhere."""
    one, other = ground(1), ground(2)
    pictures = [(one.astype(np.uint8), index / 5) for index in range(20)]
    pictures += [(other.astype(np.uint8), 10 + index / 5) for index in range(20)]
    assert not any(reading.regions for _, reading in readings(pictures))


def test_a_reset_forgets_the_picture_of_before() -> None:
    difference = Difference(Motion())
    for index in range(10):
        difference.look(ground(1).astype(np.uint8), index / 5)
    difference.reset()
    seen = [difference.look(ground(2).astype(np.uint8), 2 + index / 5) for index in range(10)]
    assert not any(reading.regions or reading.scene_change for reading in seen)


def test_a_change_of_the_whole_picture_is_told() -> None:
    pictures = [(np.full(SIZE, level, np.uint8), index / 5) for index, level in enumerate([90] * 10 + [200] * 10)]
    seen = readings(pictures)
    assert [at for at, reading in seen if reading.scene_change] == [2.0]
    assert not any(reading.regions for _, reading in seen)


def test_who_walked_before_a_change_of_the_whole_picture_is_still_seen_in_it() -> None:
    def dark_while_walking(picture: Any, at: float, dice: np.random.Generator) -> Any:
        picture = walker(at, picture, width=14, height=40)
        return picture if at < 8 else 0.5 * picture

    seen = readings(scene(11, dark_while_walking))
    assert [at for at, reading in seen if reading.scene_change] == [8.0]
    assert len([at for at, reading in seen if at > 6 and not reading.regions]) <= 2


def test_another_size_begins_anew() -> None:
    difference = Difference(Motion(mask=([[0, 0], [0.5, 0], [0.5, 1], [0, 1]],)))
    for index in range(5):
        difference.look(ground().astype(np.uint8), index / 5)
    for index in range(5, 10):
        small = cv2.resize(ground(7), (96, 128)).astype(np.uint8)
        assert difference.look(small, index / 5) == Reading()


@pytest.mark.parametrize("size", [(90, 160), (120, 160), (284, 160), (40, 160), (3, 7), (1, 1)])
def test_any_size_and_aspect_is_looked_at(size: tuple[int, int]) -> None:
    dice = np.random.default_rng(1)
    difference = Difference(Motion())
    for index in range(10):
        difference.look(dice.integers(0, 255, size).astype(np.uint8), index / 5)


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        ((), True),
        (([[0, 0], [1, 0], [1, 0.2], [0, 0.2]],), True),  # beside the walker
        (([[0, 0.25], [1, 0.25], [1, 0.6], [0, 0.6]],), False),  # over them
        (([[0, 0], [1, 0], [1, 1], [0, 1]],), False),  # everything
        (([[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5], [-0.5, 1.5]],), False),  # beyond the border
        (([[0, 0], [1, 0], [1, 0.4], [0, 0.4]], [[0, 0.4], [1, 0.4], [1, 1], [0, 1]]), False),  # two that meet
    ],
)
def test_masked_places_do_not_count(mask: Any, found: bool) -> None:
    pictures = scene(10, lambda picture, at, dice: walker(at, picture))
    assert bool(events(pictures, Motion(mask=mask))) is found


def test_masks_keep_to_their_borders() -> None:
    counts = rasterised(([[0, 0], [0.5, 0], [0.5, 1], [0, 1]],), SIZE)
    assert counts is not None
    assert not counts[:, :79].any()
    assert counts[:, 81:].all()
    assert rasterised((), SIZE) is None


def test_a_new_mask_holds_at_once_and_learning_goes_on() -> None:
    difference = Difference(Motion())
    everything = [[0, 0], [1, 0], [1, 1], [0, 1]]
    seen = []
    for picture, at in scene(10, lambda picture, at, dice: walker(at, picture)):
        if at == 7:
            difference.apply(Motion(mask=(everything,)))
        if at == 8:
            difference.apply(Motion())
        seen.append((at, bool(difference.look(picture, at).regions)))
    assert all(moved for at, moved in seen if 6 < at < 7)
    assert not any(moved for at, moved in seen if 7 <= at < 8)
    assert all(moved for at, moved in seen if at >= 8)


@pytest.mark.parametrize(("threshold", "found"), [(10, True), (30, True), (255, False)])
def test_a_smaller_threshold_sees_more(threshold: int, found: bool) -> None:
    def dim(picture: Any, at: float, dice: np.random.Generator) -> Any:
        return 0.2 * walker(at, 1.0 * picture) + 0.8 * picture  # a fifth of the contrast

    assert bool(events(scene(10, dim), Motion(threshold=threshold))) is found


@pytest.mark.parametrize(("min_area", "found"), [(0.1, True), (0.5, True), (5.0, False)])
def test_regions_smaller_than_the_least_area_do_not_count(min_area: float, found: bool) -> None:
    assert bool(events(scene(10, lambda picture, at, dice: walker(at, picture)), Motion(min_area=min_area))) is found


def test_pictures_that_differ_by_noise_alone_are_alike() -> None:
    dice = np.random.default_rng(1)
    one, other = (np.clip(ground() + dice.normal(0, 2, SIZE), 0, 255).astype(np.uint8) for _ in range(2))
    assert alike(one, other)
    assert not alike(one, walker(7, one.copy().astype(np.float32)).astype(np.uint8))
    assert not alike(one, one[:-1])

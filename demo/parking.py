"""The parking place: a car drives in and parks, its driver walks off; later the driver comes back and drives away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from demo import car, figures, foliage
from demo.car import Pose
from demo.figures import Body, Outfit, Path, Stage, eased
from demo.light import Sky, Sun, develop
from demo.space import Floats, Light, Paint, Picture, Surface, View, box, trace, unit, vector
from demo.texture import grain, plain, rgb, sample, step, tiles

BAY = 2.65
"""Width of a bay."""
BAYS = (5.4, 10.6)
"""Where the bays begin and end, away from the lane."""
FREE = 1.5
"""Middle of the free bay (x)."""


class Parking:
    """See `film.Scene`."""

    title = "Parking"
    schedule: tuple[tuple[float, float], ...] = ((5.2, 20.6), (35.5, 51.6))

    def __init__(self, size: tuple[int, int]) -> None:
        self._view = View(vector(-2.6, -9.6, 8.6), vector(0.9, 5.6, 0.2), 58, size)
        trees = _trees()
        shade = np.concatenate([tree.places for tree in trees])
        blocks = _blocks()
        self._sun = Sun(
            vector(-0.62, -0.30, 0.62), vector(3.0, 2.45, 1.75), [block[:2] for block in blocks], shade, 0.12
        )
        self._lights: dict[str, list[Light]] = {"day": [Sky(vector(0.66, 0.74, 0.90), 0.45), self._sun]}
        # Only trees shade what moves: kerbs are low, the house is behind.
        self._sun_above = Sun(self._sun.toward, self._sun.color, (), shade, 0.12)
        surfaces = [_GROUND, *(side for low, high, paint in blocks for side in box(low, high, paint))]
        still = trace(self._view, surfaces, self._lights)
        for leaves in [*_hedge(), *trees]:
            foliage.plant(still, self._view, leaves, self._lights)
        self._depth = still.depth
        self._empty = develop([(still.layers["day"], 1.0)], EXPOSURE)
        for pose in sorted(_parked(), key=lambda pose: -float(pose.place[1])):
            self._put(self._empty, pose, self._depth)
        self._last: tuple[Pose, Picture, Floats] | None = None

    def gain(self, at: float) -> float:
        return 0.85

    def frame(self, at: float) -> Picture:
        pose = _visitor(at)
        picture, depth = self._with(pose) if pose is not None else (self._empty.copy(), self._depth)
        driver = _driver(at)
        if driver is not None:
            mask = np.zeros(picture.shape[:2], np.float32)
            lit = float(self._sun_above.visible(driver.a.mean(axis=0, keepdims=True))[0])
            figures.under(mask, driver, self._view, 0.3, 0.4)
            figures.shadow(mask, [driver], self._view, self._sun.toward, 0.58 * lit)
            mask[depth < self._depth - 0.01] = 0
            figures.darken(picture, mask, 1.3)
            figures.paint(picture, driver, self._stage(depth))
        return picture

    def _with(self, pose: Pose) -> tuple[Picture, Floats]:
        """The place with the visitor's car in it, and its depth. A car that stands is drawn once."""
        if self._last is None or self._last[0] is not pose:
            picture, depth = self._empty.copy(), self._depth.copy()
            self._put(picture, pose, depth)
            self._last = (pose, picture, depth)
        return self._last[1].copy(), self._last[2]

    def _stage(self, depth: Floats) -> Stage:
        return Stage(self._view, depth, [(self._lights["day"][0], 1.0), (self._sun_above, 1.0)], EXPOSURE)

    def _put(self, picture: Picture, pose: Pose, depth: Floats) -> None:
        """A car with its shade; `depth` learns of it."""
        mask = np.zeros(picture.shape[:2], np.float32)
        lit = float(self._sun_above.visible(np.array([[pose.place[0], pose.place[1], 1.0]], np.float32))[0])
        car.shadow(mask, pose, self._view, self._sun.toward, 0.12 + 0.46 * lit)
        ground = _ground_depth(self._view)
        mask[depth < ground * 0.985] = 0
        figures.darken(picture, mask, 1.6)
        car.paint(picture, pose, self._stage(depth), depth)


EXPOSURE = 0.67


def _ground_depth(view: View) -> Floats:
    """Depth of the bare ground, one number a row: (h, 1)."""
    ys = (np.arange(view.size[1], dtype=np.float32) + 0.5 - view.size[1] / 2) / view.focal
    slope = view.basis[2][2] + ys * view.basis[1][2]
    out: Floats = np.where(slope < -1e-4, -view.eye[2] / np.minimum(slope, -1e-4), 1e3).astype(np.float32)
    return out[:, None]


def _ground(u: Floats, v: Floats, px: Floats) -> Floats:
    x, y = u - 40, v - 12
    out = rgb("5d5e60") * grain(11, x, y, 5.3, 0.055)
    stone = sample(13, x, y, 3.7, 4, 64) * np.clip(0.03 / np.maximum(px, 1e-3), 0, 1)
    out = out * (1 + 0.13 * stone)[:, None]
    patch = step(sample(14, x * 0.5, y, 30.0, 3), 1.2, 0.1)[:, None]
    out = out * (1 - 0.2 * patch)
    crack = np.clip(1 - np.abs(sample(15, x, y, 14.0, 5)) / np.maximum(0.03, px), 0, 1) * (
        sample(16, x, y, 25.0, 2) > 0.6
    )
    out = out * (1 - 0.4 * crack)[:, None]
    tracks = np.exp(-(((np.abs(y - 1.7) - 0.75) / 0.3) ** 2))[:, None]
    out = out * (1 - 0.10 * tracks)
    return _lines(_stains(out, x, y), x, y, px)


def _stains(out: Floats, x: Floats, y: Floats) -> Floats:
    """Oil where engines stand."""
    middle = (x - FREE) / BAY
    off = (middle - np.round(middle)) * BAY
    spot = np.exp(-((off / 0.45) ** 2) - ((y - 8.6) / 0.9) ** 2) * np.clip(0.6 + 0.5 * sample(17, x, y, 7.0, 4), 0, 1)
    stained: Floats = out * (1 - 0.33 * spot)[:, None]
    return stained


def _lines(out: Floats, x: Floats, y: Floats, px: Floats) -> Floats:
    """The marks of the bays, worn; beyond them kerb, verge and path."""
    middle = (x - FREE) / BAY + 0.5
    off = np.abs(middle - np.round(middle)) * BAY
    soft = np.maximum(px, 0.015)
    worn = np.clip(0.95 + 0.35 * sample(18, x, y, 3.0, 6), 0.25, 1) * 0.9
    line = (1 - step(off, 0.06, soft)) * ((y > BAYS[0]) & (y < BAYS[1]))
    near = (1 - step(off, 0.06, soft)) * (y < -1.9) * (y > -7)
    arrow = _arrow(x, y, soft)
    mark = np.clip(line + near + arrow, 0, 1) * worn
    out = out * (1 - mark)[:, None] + rgb("dcdad2") * mark[:, None]
    return np.where((y > 12.4)[:, None], _beyond(x, y, px), out)


def _arrow(x: Floats, y: Floats, soft: Floats) -> Floats:
    """An arrow on the lane, pointing to the right."""
    along, across = x - 6.4, np.abs(y - 1.7)
    shaft = step(along, 0, soft) * (1 - step(along, 1.5, soft)) * (1 - step(across, 0.09, soft))
    head = (
        step(along, 1.4, soft) * (1 - step(across, 0.42 * (2.3 - np.minimum(along, 2.3)) / 0.9, soft)) * (along < 2.3)
    )
    done: Floats = np.maximum(shaft, head)
    return done


def _beyond(x: Floats, y: Floats, px: Floats) -> Floats:
    """A path of slabs, then grass."""
    joint, slab = tiles(x, y, px, 0.6, 0.6, 0.02, 0)
    path = rgb("a59f94") * (0.9 + 0.2 * slab)[:, None] * grain(19, x, y, 1.2, 0.1) * (1 - 0.45 * joint)[:, None]
    grass = rgb("71874c") * grain(20, x, y, 6.1, 0.10) * (1 + 0.16 * sample(22, x, y, 2.9, 4, 64))[:, None]
    out: Floats = np.where((y > 14.6)[:, None], grass, path)
    return out


_GROUND = Surface(vector(-40, -12, 0), vector(80, 0, 0), vector(0, 72, 0), _ground)


def _blocks() -> list[tuple[Sequence[float], Sequence[float], Paint]]:
    """Kerbs, verge, lamp post, house front."""
    kerb = plain(rgb("a7a39b"), 31, 0.12, 1)
    grass = plain(rgb("6f8548"), 32, 0.2, 2.5)
    return [
        ((-30, 10.75, 0), (30, 10.95, 0.13), kerb),
        ((-30, 10.95, 0), (30, 12.2, 0.11), grass),
        ((-30, 12.2, 0), (30, 12.4, 0.13), kerb),
        ((-30, 19.5, 0), (30, 20, 9), _house),
        ((8.16, 11.4, 0), (8.30, 11.54, 5.2), plain(rgb("4a5054"), 33, 0.05)),
        ((8.12, 10.3, 5.1), (8.34, 11.5, 5.22), plain(rgb("4a5054"), 33, 0.05)),
        *(((x - 0.75, 10.0, 0), (x + 0.75, 10.18, 0.11), plain(rgb("b5b1a8"), 34, 0.1, 0.6)) for x in _bay_middles()),
    ]


def _bay_middles() -> list[float]:
    return [FREE + BAY * number for number in range(-6, 7)]


def _house(u: Floats, v: Floats, px: Floats) -> Floats:
    """A long front of brick with a row of windows."""
    joint, brick = tiles(u, v, px, 0.24, 0.08, 0.012)
    out = rgb("a8745a") * (0.82 + 0.32 * brick)[:, None] * grain(35, u, v, 2, 0.1)
    out = out * (1 - 0.35 * joint)[:, None]
    cell = u / 3.2 - np.floor(u / 3.2)
    pane = ((cell > 0.25) & (cell < 0.75) & (v > 1.1) & (v < 2.9))[:, None]
    frame = ((cell > 0.22) & (cell < 0.78) & (v > 1.0) & (v < 3.0))[:, None]
    out = np.where(frame, rgb("ddd8cc"), out)
    glass = rgb("3c4a54") * (0.55 + 0.35 * v[:, None]) * (1 + 0.25 * sample(36, u, v, 9.0, 3))[:, None]
    out = np.where(pane & (np.abs(cell - 0.5) > 0.012)[:, None], glass, out)
    return np.where((v < 0.5)[:, None], rgb("77726a"), out)


def _trees() -> list[foliage.Leaves]:
    """Two crowns on the verge, and one that stands outside the picture and lends its shade."""
    green = rgb("7a9a3e")
    return [
        foliage.crown(vector(-8.2, 12.9, 4.3), vector(2.2, 1.8, 1.7), 3800, green, 0.085, 41, 20),
        foliage.crown(vector(12.2, 12.4, 4.2), vector(2.3, 1.8, 1.8), 3600, rgb("8d9a3a"), 0.085, 42, 20),
        foliage.crown(vector(-13.5, -1.5, 6.0), vector(3.2, 3.0, 2.2), 3000, green, 0.1, 43, 24),
    ]


def _hedge() -> list[foliage.Leaves]:
    random = np.random.default_rng(6)
    return [
        foliage.crown(
            vector(x, 11.6, 0.62),
            vector(0.75, 0.5, 0.55),
            420,
            rgb("5f8038") * random.uniform(0.85, 1.15),
            0.06,
            50 + n,
            9,
        )
        for n, x in enumerate(np.arange(-13.0, 15.0, 1.1))
        if not 7.4 < x < 9.0
    ]


_COLORS = {
    "silver": rgb("b9bdc0"), "blue": rgb("27466f"), "red": rgb("9c2a22"), "white": rgb("e9e8e2"),
    "dark": rgb("2b2e31"), "green": rgb("3f5a48"), "sand": rgb("b7a283"),
}  # fmt: skip


def _parked() -> list[Pose]:
    """Cars that stay."""
    up, down = vector(0, 1), vector(0, -1)
    rows = [(-3, 8.05, "blue", up, 1.0, 1.0), (-2, 7.9, "white", down, 0.93, 1.06), (-1, 8.1, "dark", up, 1.02, 1.0),
            (1, 7.95, "sand", up, 0.96, 1.1), (2, 8.1, "red", down, 0.9, 1.03), (4, 8.0, "silver", up, 1.03, 0.98),
            (-5, 8.0, "green", up, 1.0, 1.0), (5, 8.0, "dark", down, 1.0, 1.0)]  # fmt: skip
    return [
        Pose(
            vector(FREE + BAY * bay + 0.06 * (bay % 3 - 1), y),
            unit(way + vector(0.012 * (bay % 2), 0)),
            _COLORS[color],
            long=long,
            high=high,
        )
        for bay, y, color, way, long, high in rows
    ]


_PAINT = rgb("2c5f8f")
_REAR = 1.3
"""Metres from the rear axle, that follows the path, to the middle."""
_DRIVE_IN = Path([(-22, 1.6), (-3.2, 1.6), (FREE, 1.9), (FREE, 4.6), (FREE, 6.75)], 4)
_BACK_OUT = Path([(FREE, 6.75), (FREE, 3.9), (FREE - 0.2, 1.9), (FREE - 2.6, 1.55), (FREE - 4.6, 1.55)], 4)
_DRIVE_OFF = Path([(FREE - 4.6, 1.55), (FREE + 2, 1.7), (22, 1.7)], 3)


_PARKED = Pose(vector(FREE, 6.75 + _REAR), vector(0, 1), _PAINT)


def _visitor(at: float) -> Pose | None:
    """The car that comes and goes; None while it is away."""
    if at < 4.0 or at > 52.6:
        return None
    door = max(
        min(eased(at, 12.2, 13.0), 1 - eased(at, 14.6, 15.3)), min(eased(at, 41.6, 42.4), 1 - eased(at, 43.4, 44.1))
    )
    if at < 11.2:
        share = (at - 4.0) / 7.2
        # Fast along the lane, slow into the bay.
        far = _DRIVE_IN.length * (1 - (1 - min(share, 1.0)) ** 2.1)
        place, heading = _DRIVE_IN.at(far)
        return Pose(place + heading * _REAR, heading, _PAINT, brake=float(at > 7.0), head=0.35)
    if at < 45.2:
        if 11.9 < at < 44.2 and door == 0:
            return _PARKED
        parked = 11.9 < at < 44.2
        place, _ = _DRIVE_IN.at(_DRIVE_IN.length)
        lights = 0.0 if parked else 1.0
        return Pose(place + vector(0, _REAR), vector(0, 1), _PAINT, lights, float(at > 44.7), lights * 0.35, door)
    if at < 48.6:
        share = eased(at, 45.2, 48.4, 0.3)
        place, heading = _BACK_OUT.at(share * _BACK_OUT.length)
        heading = vector(0, 1) if share < 0.01 else -heading
        return Pose(place + heading * _REAR, heading, _PAINT, float(at > 47.7), float(at < 48.4), 0.35)
    place, heading = _DRIVE_OFF.at(_DRIVE_OFF.length * min(((at - 48.6) / 4.0) ** 1.9, 1.0))
    return Pose(place + heading * _REAR, heading, _PAINT, head=0.35)


DRIVER = Outfit(rgb("d0a23c"), rgb("2f3a52"), rgb("2a1d14"))
_DOOR = (FREE - 1.28, 7.9)
_AWAY = Path([_DOOR, (FREE - 1.3, 6.9), (FREE - 1.32, 5.0), (-2.0, 2.6), (-6.0, -0.6), (-12.0, -3.6)])


def _driver(at: float) -> Body | None:
    """The driver on foot; None while in the car or away."""
    if 13.0 < at < 22.6:
        rise, walked = eased(at, 13.0, 14.0, 0.3), eased(at, 14.0, 24.0, 0.04) * _AWAY.length
        way = 1.0
    elif 33.0 < at < 43.4:
        rise, walked = 1 - eased(at, 42.4, 43.4, 0.3), (1 - eased(at, 32.4, 42.4, 0.04)) * _AWAY.length
        way = -1.0
    else:
        return None
    place, heading = _AWAY.at(walked)
    moving = 0.02 < walked < _AWAY.length
    body = figures.person(place, heading * way, walked * way, float(moving), DRIVER)
    inside = 1 - rise
    return (
        body.moved(lambda points: points + vector(0.75 * inside, 0.1 * inside, -0.42 * inside)) if inside > 0 else body
    )

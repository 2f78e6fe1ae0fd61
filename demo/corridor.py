"""The corridor: somebody comes towards the camera and turns into an open room; others pass; a tube flickers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from demo import figures
from demo.figures import Body, Builder, Outfit, Path, Stage, eased
from demo.light import Lamp, Sky, develop
from demo.space import Floats, Light, Paint, Picture, Surface, View, box, trace, vector
from demo.texture import Sheet, grain, plain, rgb, sample, step, tiles, within

LEFT, RIGHT, TOP = -1.3, 1.3, 2.7
EXPOSURE = 1.32
END = 12.0
"""Where the corridor meets the passage across its end."""
WALL = 14.0
"""The far wall of that passage."""
DOORWAY = (4.3, 5.4, 2.1)
"""From, to, height: the open room on the right."""
TUBES = (0.6, 3.0, 5.4, 7.8, 10.2, 12.9)
FLICKERS = 3
"""Which of the tubes is old."""


class Corridor:
    """See `film.Scene`."""

    title = "Corridor"
    schedule: tuple[tuple[float, float], ...] = ((6.1, 14.8), (28.0, 31.0), (43.7, 52.0))

    def __init__(self, size: tuple[int, int]) -> None:
        self._view = View(vector(-0.5, -1.5, 2.40), vector(0.22, 6.5, 1.02), 70, size)
        self._lights = _lights()
        surfaces = _surfaces()
        still = trace(self._view, surfaces, self._lights)
        self._depth = still.depth
        self._floor = self._floor_mask()
        self._mirror = self._mirrored(surfaces)
        total = {name: layer + self._mirror[name] for name, layer in still.layers.items()}
        self._on = self._furnished(total["steady"] + total["old"], 1.0)
        self._dim = self._furnished(total["steady"] + total["old"] * 0.72, 0.72)

    def gain(self, at: float) -> float:
        return 1.1

    def frame(self, at: float) -> Picture:
        glow = _flicker(at)
        picture: Picture = cv2.addWeighted(self._on, glow, self._dim, 1 - glow, 0) if glow < 1 else self._on.copy()
        for body in _cast(at):
            stage = Stage(self._view, self._depth, self._near(body), EXPOSURE)
            self._reflect(picture, body, stage)
            mask = np.zeros(picture.shape[:2], np.float32)
            figures.under(mask, body, self._view, 0.34, 0.42)
            mask[~self._floor] = 0
            figures.darken(picture, mask, 1.6)
            figures.paint(picture, body, stage)
        return picture

    def _near(self, body: Body) -> list[tuple[Light, float]]:
        """The lights that matter to `body`: far tubes add next to nothing and cost as much as near ones."""
        middle = body.a.mean(axis=0)
        lights = [light for group in self._lights.values() for light in group]
        return [(light, 1.0) for light in lights if not isinstance(light, Lamp) or _far(light, middle) < 4.5]

    def _furnished(self, linear: Floats, old: float) -> Picture:
        """The lit set as a picture, with the round things that stand in it."""
        picture = develop([(linear, 1.0)], EXPOSURE)
        lights = [(light, old if name == "old" else 1.0) for name, group in self._lights.items() for light in group]
        for thing in _things():
            figures.paint(picture, thing, Stage(self._view, self._depth, lights, EXPOSURE))
        bloom = cv2.GaussianBlur(np.maximum(picture, 200) - 200, (0, 0), self._view.size[0] / 75)
        return cv2.addWeighted(picture, 1, bloom, 0.8, 0)

    def _floor_mask(self) -> np.ndarray:
        height = self._view.size[1]
        _, down, forward = self._view.basis
        ys = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / self._view.focal
        slope = forward[2] + ys * down[2]
        with np.errstate(divide="ignore"):
            at = np.where(slope < 0, -self._view.eye[2] / slope, 1e3)
        out: np.ndarray = np.abs(self._depth - at[:, None]) < 0.03 * at[:, None]
        return out

    def _mirrored(self, surfaces: Sequence[Surface]) -> dict[str, Floats]:
        """What the polished floor shows: the set from an eye below the floor, upside down and blurred."""
        flip = vector(1, 1, -1)
        below = replace(self._view, eye=self._view.eye * flip, target=self._view.target * flip)
        seen = trace(below, surfaces[1:], self._lights, fine=1)
        rise = np.linspace(1, 0, self._view.size[1], dtype=np.float32)[:, None]
        strength = (0.10 + 0.35 * np.clip((rise - 0.2) / 0.5, 0, 1) ** 2) * cv2.GaussianBlur(
            self._floor.astype(np.float32), (0, 0), 0.7
        )
        scale = self._view.size[0] / 960
        return {
            name: cv2.GaussianBlur(np.minimum(layer[::-1], 3.0), (0, 0), 2.2 * scale, sigmaY=7 * scale)
            * strength[..., None]
            for name, layer in seen.layers.items()
        }

    def _reflect(self, picture: Picture, body: Body, stage: Stage) -> None:
        """Show `body` in the polished floor: faint, and smeared downwards."""
        flip = vector(1, 1, -1)
        depth = np.where(self._floor, np.float32(1e3), np.float32(0))
        lights: list[tuple[Light, float]] = [(_Below(light), power) for light, power in stage.lights]
        shown = picture.copy()
        figures.paint(
            shown, body.moved(lambda points: points * flip), Stage(stage.view, depth, lights, EXPOSURE), 0.38, 1
        )
        rows = np.flatnonzero((shown != picture).any(axis=(1, 2)))
        if len(rows):
            window = slice(max(rows[0] - 12, 0), rows[-1] + 12)
            change: Floats = shown[window].astype(np.int16) - picture[window]
            scale = self._view.size[0] / 960
            change = cv2.GaussianBlur(change, (0, 0), 1.2 * scale, sigmaY=4 * scale)
            picture[window] = np.clip(picture[window] + change, 0, 255).astype(np.uint8)


class _Below:
    """A light as a mirrored body sees it."""

    def __init__(self, light: Light) -> None:
        self._light = light

    def shade(self, points: Floats, normals: Floats) -> Floats:
        flip = vector(1, 1, -1)
        return self._light.shade(points * flip, normals * flip)


def _far(lamp: Lamp, place: Floats) -> float:
    return float(np.linalg.norm(lamp.place - place))


def _flicker(at: float) -> float:
    """How bright the old tube is, 0..1: it stumbles twice."""
    for start in (21.0, 37.0):
        if start <= at < start + 1.2:
            return (1.0, 0.35, 0.8, 0.1, 0.7, 1.0, 0.5, 0.9, 0.2, 0.6, 0.9, 1.0)[int((at - start) * 10 + 1e-6) % 12]
    return 1.0


def _lights() -> dict[str, list[Light]]:
    cool, day = vector(1.05, 1.12, 1.05), vector(0.95, 1.05, 1.2)
    tubes: list[list[Light]] = [
        [
            Lamp(vector(0, y + shift, TOP - 0.08), cool * (1.24 / len(halves)), vector(0, 0, -1), -0.25, 0.35)
            for shift in halves
        ]
        # From afar a tube is a point.
        for y, halves in zip(TUBES, [(-0.35, 0.35)] * 2 + [(0.0,)] * 4, strict=True)
    ]
    steady: list[Light] = [lamp for number, pair in enumerate(tubes) if number != FLICKERS for lamp in pair]
    steady += [
        Sky(vector(0.10, 0.106, 0.108), 1.9),
        Lamp(vector(0.3, WALL - 0.3, 1.7), day * 2.2, vector(0, -1, -0.15), -0.2, 0.8),
        Lamp(vector(-4, END + 1, 2.4), cool * 1.2, None, 0, 0.5),
        Lamp(vector(4, END + 1, 2.4), cool * 1.2, None, 0, 0.5),
        Lamp(vector(2.6, 4.75, 2.3), vector(5.2, 3.9, 2.4), vector(-1, 0.02, -0.85), 0.0, 0.4),
    ]
    return {"steady": steady, "old": tubes[FLICKERS]}


def _surfaces() -> list[Surface]:
    """The floor comes first: the mirror leaves it out."""
    long = WALL + 3
    tube = {"steady": _bright(vector(3.2, 3.4, 3.3))}
    old = {"old": _bright(vector(3.2, 3.4, 3.3))}
    room = plain(rgb("d9c9ae"), 15, 0.06)
    surfaces = [
        Surface(vector(-9, -3, 0), vector(18, 0, 0), vector(0, long, 0), _floor),
        Surface(vector(-9, -3, TOP), vector(18, 0, 0), vector(0, long, 0), _ceiling),
        Surface(
            vector(LEFT, -3, 0),
            vector(0, END + 3, 0),
            vector(0, 0, TOP),
            _left_wall,
        ),
        Surface(
            vector(RIGHT, -3, 0),
            vector(0, END + 3, 0),
            vector(0, 0, TOP),
            _right_wall,
            cutout=_no_doorway,
        ),
        Surface(vector(-9, WALL, 0), vector(18, 0, 0), vector(0, 0, TOP), _far_wall, {"steady": _daylight}),
        Surface(vector(LEFT - 8, END, 0), vector(8, 0, 0), vector(0, 0, TOP), _plain_wall),
        Surface(vector(RIGHT + 0.0, END, 0), vector(8, 0, 0), vector(0, 0, TOP), _plain_wall),
        # The open room: its walls, and the thickness of the doorway.
        Surface(vector(5.0, 2, 0), vector(0, 6, 0), vector(0, 0, TOP), room),
        Surface(vector(RIGHT + 0.2, 7.4, 0), vector(4, 0, 0), vector(0, 0, TOP), room),
        Surface(
            vector(RIGHT, DOORWAY[1], 0), vector(0.2, 0, 0), vector(0, 0, DOORWAY[2]), plain(rgb("7f6a52"), 16, 0.1)
        ),
        Surface(
            vector(RIGHT, DOORWAY[0], DOORWAY[2]), vector(0.2, 0, 0), vector(0, 1.1, 0), plain(rgb("7f6a52"), 16, 0.1)
        ),
    ]
    for number, y in enumerate(TUBES):
        case = old if number == FLICKERS else tube
        surfaces += box((-0.17, y - 0.66, TOP - 0.05), (0.17, y + 0.66, TOP), plain(rgb("e8e8e4"), 17, 0.02))[:4]
        surfaces.append(
            Surface(
                vector(-0.15, y - 0.64, TOP - 0.055),
                vector(0.3, 0, 0),
                vector(0, 1.28, 0),
                plain(vector(0.6, 0.6, 0.6)),
                case,
            )
        )
    surfaces += box((-0.36, 10.9, 2.22), (0.36, 10.96, 2.46), plain(rgb("1c5a38")))
    surfaces.append(
        Surface(
            vector(-0.34, 10.89, 2.24),
            vector(0.68, 0, 0),
            vector(0, 0, 0.2),
            plain(rgb("0a3a20")),
            {"steady": _exit_sign},
        )
    )
    for x, start, end in ((LEFT, 1.85, 5.1), (LEFT, 7.25, 8.9), (RIGHT - 0.07, 2.55, 4.1), (RIGHT - 0.07, 5.65, 8.3)):
        surfaces += box((x, start, 0.90), (x + 0.07, end, 0.97), plain(rgb("8d6b48"), 27, 0.12, 0.5))
    bench, steel = plain(rgb("9a7650"), 18, 0.16, 0.7), plain(rgb("73797c"), 19, 0.05)
    surfaces += box((LEFT + 0.03, 2.7, 0.40), (LEFT + 0.45, 4.2, 0.45), bench)
    for y in (2.85, 4.0):
        surfaces += box((LEFT + 0.06, y, 0), (LEFT + 0.42, y + 0.05, 0.40), steel)
    surfaces += box((3.0, 6.7, 0), (4.6, 7.4, 1.15), plain(rgb("6f573e"), 20, 0.12))
    surfaces += box((2.1, 7.36, 1.3), (2.75, 7.4, 1.95), plain(rgb("4d6f8a"), 26, 0.4, 0.5))
    return surfaces


def _bright(color: Floats) -> Paint:
    return lambda u, v, px: np.broadcast_to(color, (len(u), 3)).astype(np.float32)


def _no_doorway(u: Floats, v: Floats) -> np.ndarray:
    y = u - 3
    return ~((y > DOORWAY[0]) & (y < DOORWAY[1]) & (v < DOORWAY[2]))


def _floor(u: Floats, v: Floats, px: Floats) -> Floats:
    x, y = u - 9, v - 3
    joint, tile = tiles(x + 0.3, y, px, 0.6, 0.6, 0.006, 0)
    out = rgb("8d9490") * (0.97 + 0.06 * tile)[:, None] * grain(21, x, y, 0.8, 0.06)
    speck = np.clip(sample(23, x, y, 0.9, 7) - 1.1, 0, 1) * np.clip(0.004 / np.maximum(px, 1e-3), 0, 1)
    out = out * (1 - 0.25 * speck - 0.35 * joint)[:, None]
    border = step(np.abs(x), 1.08, np.maximum(px, 0.01))[:, None] * (np.abs(x) < RIGHT + 0.01)[:, None]
    out = out * (1 - border) + rgb("59666b") * border * grain(24, x, y, 0.8, 0.05)
    edge = np.exp(-np.abs(np.abs(x) - RIGHT) / 0.10) * (y < END)
    done: Floats = out * (1 - 0.45 * edge)[:, None]
    return done


def _ceiling(u: Floats, v: Floats, px: Floats) -> Floats:
    x, y = u - 9, v - 3
    joint, tile = tiles(x + 0.3, y, px, 0.6, 0.6, 0.018, 0)
    out = rgb("d2d3ce") * (0.97 + 0.05 * tile)[:, None] * grain(25, x, y, 0.7, 0.05) * (1 - 0.28 * joint)[:, None]
    done: Floats = out * (1 - 0.3 * np.exp(-np.abs(np.abs(x) - RIGHT) / 0.15))[:, None]
    return done


_LEFT_DOORS = (0.6, 6.0, 9.2)
_RIGHT_DOORS = (1.3, 8.6)
"""Where the closed doors begin."""


def _plain_wall(u: Floats, v: Floats, px: Floats) -> Floats:
    """Two colours with a line between, and a skirting."""
    low, line, foot = 1 - step(v, 1.05, px), step(v, 1.03, px) * (1 - step(v, 1.09, px)), 1 - step(v, 0.11, px)
    out = rgb("dcdad0") * grain(31, u, v, 2.0, 0.035)
    out += (rgb("86a09c") * grain(33, u, v, 2.0, 0.05) - out) * low[:, None]
    out += (rgb("4e6664") - out) * line[:, None]
    out += (rgb("4a4f50") - out) * foot[:, None]
    shade = (1 - 0.35 * np.exp(-v / 0.12)) * (1 - 0.25 * np.exp(-(TOP - v) / 0.15))
    return out * shade[:, None]


def _left_wall(u: Floats, v: Floats, px: Floats) -> Floats:
    """Doors, and a board with papers."""
    y = u - 3
    sheet = Sheet(_plain_wall(y, v, px), y, v, np.maximum(px, 0.004))
    for start in _LEFT_DOORS:
        _leaf(sheet, start)
    sheet.lay((2.96, 4.34, 1.31, 2.09), rgb("77797a"))
    sheet.lay((3.0, 4.3, 1.35, 2.05), lambda y, v: rgb("a98a60") * grain(35, y, v, 0.6, 0.15))
    for left, bottom, width, height, color in (
        (3.1, 1.5, 0.21, 0.3, "f2efe6"),
        (3.4, 1.6, 0.3, 0.21, "e8d9a0"),
        (3.78, 1.45, 0.21, 0.3, "f0f0f0"),
        (4.04, 1.72, 0.2, 0.24, "a8c4d8"),
        (3.42, 1.42, 0.2, 0.14, "e0a898"),
    ):
        sheet.lay((left, left + width, bottom, bottom + height), rgb(color))
    return sheet.out


def _right_wall(u: Floats, v: Floats, px: Floats) -> Floats:
    """Doors, the frame of the open doorway, and a plan of the floor."""
    y = u - 3
    sheet = Sheet(_plain_wall(y, v, px), y, v, np.maximum(px, 0.004))
    for start in _RIGHT_DOORS:
        _leaf(sheet, start)
    start, end, high = DOORWAY
    sheet.lay((start - 0.09, end + 0.09, 0, high + 0.09), lambda y, v: rgb("7f6a52") * grain(34, y, v * 4, 1, 0.08))
    sheet.lay((2.85, 3.55, 1.3, 1.85), rgb("3d4a52"))
    sheet.lay((2.88, 3.52, 1.33, 1.82), rgb("e6e4da"))
    lines = (2.94, 3.46, 1.38, 1.70)
    sheet.lay(lines, rgb("50626e"), lambda y, v, soft: tiles(y, v, soft, 0.16, 0.12, 0.012, 0.3)[0][:, None])
    sheet.lay((2.94, 3.2, 1.73, 1.78), rgb("b03a30"))
    return sheet.out


def _leaf(sheet: Sheet, start: float) -> None:
    """A closed door with frame, window, handle and plate."""
    end = start + 0.95
    sheet.lay((start - 0.10, end + 0.10, 0, 2.20), rgb("6b6f70"))
    sheet.lay((start, end, 0.01, 2.1), lambda y, v: rgb("8a6a48") * grain(36, y * 5, v * 0.6, 1.2, 0.13))
    sheet.lay((start + 0.01, start + 0.04, 0.01, 2.1), rgb("302418"), 0.4)
    sheet.lay((end - 0.32, end - 0.14, 1.2, 1.85), rgb("5d7078"))
    sheet.lay((start + 0.06, start + 0.22, 1.0, 1.04), rgb("c8c8c8"))
    sheet.lay((start + 0.05, end - 0.05, 0.05, 0.25), rgb("a0a4a6"))
    sheet.lay((end + 0.18, end + 0.36, 1.5, 1.62), rgb("3a5a78"))


def _far_wall(u: Floats, v: Floats, px: Floats) -> Floats:
    sheet = Sheet(_plain_wall(u, v, px), u - 9, v, np.maximum(px, 0.01))
    sheet.lay((-0.75, 1.05, 0.82, 2.28), rgb("b8bcbc"))
    return sheet.out


def _daylight(u: Floats, v: Floats, px: Floats) -> Floats:
    """The window at the end: bright, with a little of the outside in it."""
    x, soft = u - 9, np.maximum(px, 0.01)
    panes = within(x, v, soft, (-0.68, 0.12, 0.9, 2.2)) + within(x, v, soft, (0.18, 0.98, 0.9, 2.2))
    high = np.clip((v - 0.9) / 1.3, 0, 1)[:, None]
    trees = np.clip(sample(37, x, v, 6.0, 5)[:, None] * 0.25 + 0.75 - 1.4 * high, 0, 1)
    sky = vector(0.85, 1.0, 1.15) * (0.75 + 0.45 * high)
    return (panes * (sky * (1 - trees) + vector(0.16, 0.26, 0.12) * trees)).astype(np.float32)


def _exit_sign(u: Floats, v: Floats, px: Floats) -> Floats:
    """A running figure and an arrow, roughly."""
    soft = np.maximum(px, 0.008)
    white = within(u, v, soft, (0.06, 0.22, 0.03, 0.17)) + within(u, v, soft, (0.32, 0.52, 0.085, 0.115))
    head = np.clip(1 - np.abs(u - 0.52) / 0.08, 0, 1) * (np.abs(v - 0.1) < 0.06 * np.clip((0.6 - u) / 0.08, 0, 1))
    white = np.clip(white + head[:, None], 0, 1)
    done: Floats = (vector(0.06, 0.62, 0.22) * (1 - white) + vector(0.9, 1.1, 0.95) * white).astype(np.float32)
    return done


def _things() -> list[Body]:
    """Round things: a fire extinguisher, a plant on the bench's end, a waste bin."""
    build = Builder()
    red, steel = rgb("b3201c"), rgb("6a7074")
    x, y = LEFT + 0.13, 5.35
    build.limb(vector(x, y, 0.62), vector(x, y, 1.02), 0.085, 0.085, red)
    build.limb(vector(x, y, 1.02), vector(x, y, 1.12), 0.05, 0.03, rgb("222222"))
    build.limb(vector(x, y - 0.06, 1.06), vector(x + 0.05, y - 0.10, 0.72), 0.018, 0.018, rgb("151515"))
    bin_ = Builder()
    bin_.limb(vector(RIGHT - 0.2, 7.55, 0.06), vector(RIGHT - 0.2, 7.55, 0.52), 0.14, 0.17, steel)
    return [build.body(), bin_.body(), _plant(vector(LEFT + 0.3, 8.95, 0))]


def _plant(foot: Floats) -> Body:
    build = Builder()
    build.limb(foot + vector(0, 0, 0.1), foot + vector(0, 0, 0.32), 0.13, 0.17, rgb("c9c4ba"))
    random = np.random.default_rng(8)
    for number in range(26):
        turn, out, up = number * 2.4, random.uniform(0.12, 0.34), random.uniform(0.55, 1.25)
        tip = foot + vector(np.cos(turn) * out, np.sin(turn) * out, up)
        green = rgb("4f7a3c") * random.uniform(0.6, 1.2)
        build.limb(foot + vector(0, 0, 0.4), tip, 0.018, 0.045, green)
        build.limb(tip, tip + vector(np.cos(turn) * 0.1, np.sin(turn) * 0.1, -0.06), 0.045, 0.01, green)
    return build.body()


VISITOR = Outfit(rgb("3f5f8a"), rgb("2c2c33"), rgb("1f1712"), bag=rgb("5a3a26"))
CARETAKER = Outfit(rgb("4a3038"), rgb("30343c"), rgb("8a7a68"), tall=1.82, long_coat=True, bag=rgb("39424a"))
_IN = Path([(-5.5, 13.0), (-1.2, 13.0), (0.15, 12.4), (0.15, 8.5), (-0.1, 6.2), (0.5, 4.85), (2.0, 4.85), (4.2, 5.4)])
_OUT = Path([(4.2, 5.4), (2.0, 4.85), (0.4, 4.9), (-0.1, 6.6), (0.1, 11.6), (0.6, 12.9), (5.5, 13.0)])
_ACROSS = Path([(5.2, 12.6), (-5.2, 12.6)])


def _cast(at: float) -> list[Body]:
    """Who is in the corridor."""
    bodies = []
    for path, start, end, outfit in (
        (_IN, 3.4, 16.6, VISITOR),
        (_ACROSS, 25.9, 33.6, CARETAKER),
        (_OUT, 42.2, 54.6, VISITOR),
    ):
        if start < at < end:
            walked = eased(at, start, end, 0.02) * path.length
            place, heading = path.at(walked)
            bodies.append(figures.person(place, heading, walked, 1, outfit))
    return bodies

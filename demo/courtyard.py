"""The courtyard: somebody leaves a house in the afternoon, a cat passes at dusk, somebody comes home by lamplight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from demo import figures, foliage
from demo.figures import Body, Builder, Outfit, Path, Stage, eased
from demo.light import Lamp, Sky, Sun, develop
from demo.space import Floats, Light, Paint, Picture, Surface, View, box, trace, vector
from demo.texture import Rect, Sheet, grain, plain, rgb, sample, step, tiles, within

BACK = 11.0
DOOR = (-2.35, -1.25, 2.15)
"""Left, right and top of the door in the back wall."""
EXPOSURE = 0.72
LAMP = vector(-0.75, BACK - 0.4, 2.72)
TREE = vector(3.5, 7.2, 3.75)
TRUNK = ((3.38, 7.07, 0), (3.62, 7.31, 3.0))


class Courtyard:
    """See `film.Scene`."""

    title = "Courtyard"
    schedule: tuple[tuple[float, float], ...] = ((4.0, 13.2), (25.2, 30.2), (43.5, 51.9))

    def __init__(self, size: tuple[int, int]) -> None:
        self._view = View(vector(0.3, -2.6, 4.3), vector(-0.1, 7.2, 0.75), 66, size)
        tree = foliage.crown(TREE, vector(2.05, 1.75, 1.55), 8200, rgb("6d8a44"), 0.052, seed=3, clumps=30)
        surfaces = _walls() + [side for low, high, stuff in _blocks()[:-1] for side in box(low, high, stuff)]
        sun = Sun(
            vector(0.72, -0.42, 0.62),
            vector(3.3, 2.6, 1.75),
            [block[:2] for block in _blocks()] + [TRUNK],
            tree.places,
            0.085,
        )
        self._lights: dict[str, list[Light]] = {
            "sky": [Sky(vector(0.62, 0.74, 0.95), 0.4)],
            "sun": [sun],
            "lamp": [
                Lamp(LAMP, vector(8.5, 5.0, 2.2), vector(0.0, -0.55, -1), -0.1, 0.25),
                # A street lamp behind the camera, so that who crosses the yard is more than an outline.
                Lamp(vector(-2.5, -1.5, 4.5), vector(2.4, 2.6, 3.0), None, 0, 2.0),
                Lamp(vector(1.75, BACK - 0.5, 1.6), vector(0.9, 0.55, 0.25), vector(0, -1, -0.3), 0.0, 0.6),
            ],
        }
        self._sun = sun
        still = trace(self._view, surfaces, self._lights)
        crown = foliage.plant(still, self._view, tree, self._lights)
        for shrub in _shrubs():
            foliage.plant(still, self._view, shrub, self._lights)
        self._still = still
        self._sway = _Sway(crown, size)
        self._keys: dict[int, Picture] = {}
        self._door = _Door(self._view)

    def gain(self, at: float) -> float:
        return 1 + 0.9 * (1 - _day(at))

    def frame(self, at: float) -> Picture:
        picture = self._backdrop(at)
        self._sway.apply(picture, at)
        depth = self._still.depth
        opened = _opening(at)
        if opened > 0:
            depth = depth.copy()
            self._door.draw(picture, depth, opened, _day(at))
        stage = Stage(self._view, depth, self._lit(at), EXPOSURE)
        for body in _cast(at):
            self._shade(picture, body, at)
            figures.paint(picture, body, stage)
        return picture

    def _backdrop(self, at: float) -> Picture:
        """The empty yard in the light of the moment, faded between whole seconds."""
        first = int(at)
        for second in [key for key in self._keys if key not in (first, first + 1)]:
            del self._keys[second]
        for second in (first, first + 1):
            if second not in self._keys:
                self._keys[second] = self._develop(second)
        share = at - first
        return cv2.addWeighted(self._keys[first], 1 - share, self._keys[first + 1], share, 0)

    def _develop(self, at: float) -> Picture:
        picture = develop([(self._still.layers[name], strength) for name, strength in _strengths(at).items()], EXPOSURE)
        stage = Stage(self._view, self._still.depth, self._lit(at), EXPOSURE)
        figures.paint(picture, _trunk(), stage)
        return picture

    def _lit(self, at: float) -> list[tuple[Light, float]]:
        strengths = _strengths(at)
        return [(_Tinted(light, strengths[name]), 1.0) for name, group in self._lights.items() for light in group]

    def _shade(self, picture: Picture, body: Body, at: float) -> None:
        mask = np.zeros(picture.shape[:2], np.float32)
        figures.under(mask, body, self._view, 0.3, 0.45)
        middle = body.a.mean(axis=0, keepdims=True) * vector(1, 1, 0.3)
        lit = float(self._sun.visible(middle)[0]) * min(1.0, float(_strengths(at)["sun"][0]) * 1.5)
        if lit > 0.05:
            figures.shadow(mask, [body], self._view, self._sun.toward, 0.55 * lit)
        lamp = float(_strengths(at)["lamp"][0]) * (1 - _day(at))
        away = LAMP - middle[0] * vector(1, 1, 0)
        if lamp > 0.05:
            faint = 0.5 * lamp * float(np.clip(1.25 - np.linalg.norm(away) / 8, 0, 1))
            figures.shadow(mask, [body], self._view, away, faint)
        mask[self._still.depth > 900] = 0
        figures.darken(picture, mask, 1.4)


class _Tinted:
    """A light with a coloured strength."""

    def __init__(self, light: Light, tint: Floats) -> None:
        self._light, self._tint = light, tint

    def shade(self, points: Floats, normals: Floats) -> Floats:
        out: Floats = self._light.shade(points, normals) * self._tint
        return out


def _day(at: float) -> float:
    """1 by day, 0 by night: dusk falls from 11 s on, and morning is back before the film begins again."""
    down, up = np.clip((at - 11) / 17, 0, 1), np.clip((at - 44.5) / 15, 0, 1)
    return float(1 - down * down * (3 - 2 * down) + up * up * (3 - 2 * up))


def _strengths(at: float) -> dict[str, Floats]:
    """How strong each layer of light is at the moment."""
    day = _day(at)
    lamp = float(np.clip((at - 17) / 8, 0, 1) * np.clip((59 - at) / 8, 0, 1))
    return {
        "sky": vector(0.11, 0.145, 0.24) * (1 - day) + vector(0.9, 0.92, 0.95) * day,
        "sun": vector(1, 0.93 + 0.07 * day, 0.80 + 0.20 * day) * day**1.6,
        "lamp": vector(1, 1, 1) * lamp,
    }


def _walls() -> list[Surface]:
    left, right = -5.2, 5.6
    bulb = {"lamp": lambda u, v, px: np.broadcast_to(vector(6, 4.2, 2.2), (len(u), 3))}
    return [
        Surface(vector(left - 3, -4, 0), vector(right - left + 8, 0, 0), vector(0, BACK + 4, 0), _paving),
        Surface(
            vector(left - 3, BACK, 0), vector(right - left + 8, 0, 0), vector(0, 0, 7), _facade, {"lamp": _windows_glow}
        ),
        Surface(vector(left, -4, 0), vector(0, BACK + 4, 0), vector(0, 0, 7), _side_wall),
        Surface(vector(-0.81, BACK - 0.51, 2.64), vector(0.12, 0, 0), vector(0, 0, 0.09), plain(rgb("e8e0d0")), bulb),
    ]


def _blocks() -> list[tuple[Sequence[float], Sequence[float], Paint]]:
    """What stands about and throws a shadow: (low corner, high corner, paint)."""
    wood, stone, pot = (
        plain(rgb("7a5a3c"), 41, 0.2, 0.6),
        plain(rgb("a8a196"), 42, 0.15, 1),
        plain(rgb("9a5a3e"), 43, 0.12, 1),
    )
    iron = plain(vector(0.02, 0.02, 0.02))
    return [
        ((5.6, 4.6, 0), (5.95, BACK, 2.5), _brick),
        ((5.54, 4.55, 2.5), (6.01, BACK, 2.6), plain(rgb("a39c90"), 31)),
        ((DOOR[0] - 0.25, BACK - 0.55, 0), (DOOR[1] + 0.25, BACK, 0.14), stone),
        ((-3.35, BACK - 0.75, 0), (-2.8, BACK - 0.2, 0.55), pot),
        ((-0.75, BACK - 0.75, 0), (-0.2, BACK - 0.2, 0.55), pot),
        ((4.35, 5.0, 0), (5.6, BACK, 0.38), plain(rgb("8b857b"), 45, 0.15, 1)),
        ((-5.0, 6.1, 0.40), (-4.5, 8.2, 0.46), wood),
        ((-5.05, 6.1, 0.62), (-4.98, 8.2, 0.9), wood),
        ((-4.95, 6.2, 0), (-4.55, 6.3, 0.4), wood),
        ((-4.95, 8.0, 0), (-4.55, 8.1, 0.4), wood),
        ((0.7, BACK - 0.16, 0.98), (2.8, BACK, 1.06), stone),
        ((-5.0, BACK - 0.16, 0.98), (-3.9, BACK, 1.06), stone),
        ((-0.83, BACK - 0.5, 2.72), (-0.67, BACK - 0.3, 2.9), iron),
        ((-0.77, BACK - 0.42, 2.88), (-0.73, BACK, 2.92), iron),
        ((-9, BACK, 0), (9, BACK + 0.5, 7), _facade),
    ]


def _trunk() -> Body:
    """Trunk and branches of the tree."""
    build, bark = Builder(), rgb("5c4a3b")
    foot, fork = vector(3.5, 7.2, 0.3), vector(3.46, 7.2, 2.5)
    build.limb(foot - vector(0, 0, 0.3), foot, 0.21, 0.155, bark)
    build.limb(foot, fork, 0.155, 0.115, bark)
    for x, y, z, thick in ((2.5, 7.0, 3.7, 0.06), (4.4, 7.3, 3.9, 0.06), (3.3, 7.5, 4.4, 0.07), (3.9, 6.7, 3.6, 0.045)):
        build.limb(fork, vector(x, y, z), 0.085, thick * 0.5, bark * 0.9)
    return build.body()


def _shrubs() -> list[foliage.Leaves]:
    green, olive = rgb("5f8a3a"), rgb("7d8f4a")
    shrubs = [
        foliage.crown(vector(x, BACK - 0.48, 0.95), vector(0.42, 0.42, 0.5), 700, green, 0.045, seed, 9)
        for x, seed in ((-3.08, 11), (-0.48, 12))
    ]
    ivy = rgb("5b7f3c")
    for number, (y, z, wide, tall) in enumerate(((8.9, 1.6, 1.1, 1.7), (9.9, 2.9, 0.9, 1.5), (8.3, 3.2, 1.5, 0.9))):
        shrubs.append(foliage.crown(vector(-5.12, y, z), vector(0.16, wide, tall), 1300, ivy, 0.055, 30 + number, 26))
    for number, y in enumerate((10.2, 9.0, 7.9, 6.7, 5.7)):
        tint = green if number % 2 else olive
        shrubs.append(foliage.crown(vector(5.0, y, 0.75), vector(0.6, 0.7, 0.6), 800, tint, 0.05, 20 + number, 10))
    return shrubs


def _paving(u: Floats, v: Floats, px: Floats) -> Floats:
    x, y = u - 8.2, v - 4.0
    joint, stone = tiles(x, y, px, 0.62, 0.42, 0.02)
    base = rgb("b0a796") * (0.80 + 0.34 * stone)[:, None] + (stone[:, None] - 0.5) * vector(0.03, 0.0, -0.02)
    out = base * grain(51, x, y, 1.4, 0.16) * (1 - 0.62 * joint)[:, None]
    moss = np.clip(sample(55, x, y, 9.0, 5) * 0.8 - 0.9, 0, 1) * (0.35 + 0.65 * joint)
    out = out * (1 - 0.6 * moss[:, None]) + rgb("4a5a2c") * 0.6 * moss[:, None]
    near = 1 - 0.5 * np.exp(-(BACK - y) / 0.35) - 0.42 * np.exp(-np.maximum(x + 5.2, 0) / 0.4)
    near = near - 0.4 * np.exp(-np.maximum(4.35 - x, 0) / 0.3) * (y > 4.8) * (x < 4.35)
    return out * np.clip(near, 0.3, 1)[:, None]


def _facade(u: Floats, v: Floats, px: Floats) -> Floats:
    x = u - 8.2
    out = rgb("d8c4a0") * grain(61, x, v, 2.5, 0.075)
    streak = np.clip(sample(63, x * 6, v * 0.5, 20.0, 4), 0, 2) * np.exp(-v / 1.6)
    out = out * (1 - 0.10 * streak)[:, None]
    joint, stone = tiles(x, v, px, 0.7, 0.3, 0.015)
    plinth = rgb("8f887c") * (0.85 + 0.25 * stone)[:, None] * grain(65, x, v, 1, 0.14) * (1 - 0.5 * joint)[:, None]
    low = step(v, 0.62, px * 2)[:, None]
    out = plinth * (1 - low) + out * low
    sheet = Sheet(out, x, v, px)
    for window in _WINDOWS:
        _window(sheet, window)
    _door_paint(sheet)
    shade = (1 - 0.45 * np.exp(-v / 0.22)) * (1 - 0.35 * np.exp(-np.maximum(x + 5.2, 0) / 0.35))
    return sheet.out * shade[:, None]


_WINDOWS: tuple[Rect, ...] = (
    (0.75, 2.75, 1.06, 2.3),
    (-4.95, -3.95, 1.06, 2.3),
    (0.75, 2.75, 3.7, 5.2),
    (-4.95, -3.95, 3.7, 5.2),
    (-2.3, -1.3, 3.7, 5.2),
)


def _window(sheet: Sheet, rect: Rect) -> None:
    """Surround, frame, and two panes that show the sky and a curtain."""
    left, right, bottom, top = rect
    middle = (left + right) / 2

    def sky(x: Floats, v: Floats) -> Floats:
        height = ((v - bottom) / (top - bottom))[:, None]
        plain_sky = rgb("2b3a44") * (1 - height) + rgb("7f97a8") * height
        return np.maximum(plain_sky * (1 + 0.25 * sample(68, x, v, 3.0, 3)[:, None]), 0.01)

    def curtain(x: Floats, v: Floats, soft: Floats) -> Floats:
        outer = np.minimum(np.abs(x - left), np.abs(x - right)) - 0.07
        out: Floats = 0.35 * np.clip(1 - outer / 0.28, 0, 1)[:, None] ** 0.5
        return out

    surround = (left - 0.14, right + 0.14, bottom - 0.02, top + 0.14)
    sheet.lay(surround, lambda x, v: rgb("b9ad98") * grain(67, x, v, 1, 0.08))
    sheet.lay((left, right, top, top + 0.03), rgb("50483c"), 0.35)
    sheet.lay(rect, rgb("e9e4d8") * 0.92)
    for a, b in ((left + 0.07, middle - 0.04), (middle + 0.04, right - 0.07)):
        sheet.lay((a, b, bottom + 0.07, top - 0.07), sky)
        sheet.lay((a, b, bottom + 0.07, top - 0.07), rgb("d8d2c4"), curtain)


def _windows_glow(u: Floats, v: Floats, px: Floats) -> Floats:
    """One window is lit at night."""
    x = u - 8.2
    inside = within(x, v, px, (0.82, 1.71, 1.13, 2.23)) + within(x, v, px, (1.79, 2.68, 1.13, 2.23))
    shape = 0.55 + 0.45 * np.exp(-(((x - 1.75) / 0.9) ** 2) - ((v - 1.9) / 0.7) ** 2)
    fold = 1 + 0.12 * np.sin(x * 38) * (np.abs(x - 1.75) > 0.55)
    return (inside * (shape * fold)[:, None] * vector(0.95, 0.58, 0.22)).astype(np.float32)


def _door_paint(sheet: Sheet) -> None:
    """Surround, four panels, a light above them, a brass handle."""
    left, right, top = DOOR

    def blue(light: float) -> Callable[[Floats, Floats], Floats]:
        return lambda x, v: rgb("3d6a6e") * light * grain(72, x * 3, v * 0.6, 1.0, 0.10)

    sheet.lay((left - 0.18, right + 0.18, 0, top + 0.18), lambda x, v: rgb("b5aa97") * grain(71, x, v, 1, 0.09))
    sheet.lay((left, right, 0, top), blue(0.9))
    for bottom, high in ((0.32, 0.95), (1.08, 1.55)):
        for a in (left + 0.13, left + 0.59):
            sheet.lay((a, a + 0.38, bottom, high), blue(0.62))
            sheet.lay((a + 0.035, a + 0.36, bottom + 0.02, high - 0.03), blue(1.08))
    sheet.lay((left + 0.13, right - 0.13, 1.67, 2.03), rgb("35444c"))
    sheet.lay((right - 0.12, right - 0.06, 0.98, 1.10), rgb("d8b560"))


def _side_wall(u: Floats, v: Floats, px: Floats) -> Floats:
    out = rgb("c8b595") * grain(81, u, v, 2.5, 0.10)
    damp = np.clip(sample(83, u, v * 0.7, 6.0, 5) * 0.4 + 0.9 - v / 1.1, 0, 1)
    out = out * (1 - 0.28 * damp)[:, None]
    corner = 1 - 0.42 * np.exp(-np.maximum(BACK + 4 - u, 0) / 0.4) - 0.4 * np.exp(-v / 0.25)
    return out * np.clip(corner, 0.3, 1)[:, None]


def _brick(u: Floats, v: Floats, px: Floats) -> Floats:
    joint, stone = tiles(u, v, px, 0.24, 0.08, 0.012)
    base = rgb("94614a") * (0.75 + 0.45 * stone)[:, None] * grain(91, u, v, 1, 0.14)
    joint = joint[:, None]
    done: Floats = (base * (1 - joint) + rgb("a59a8a") * 0.8 * joint) * (1 - 0.4 * np.exp(-v / 0.3))[:, None]
    return done


class _Sway:
    """Wind in the crown: the picture is bent a little where the leaves are."""

    def __init__(self, cover: Floats, size: tuple[int, int]) -> None:
        rows, columns = np.flatnonzero(cover.max(axis=1) > 0.05), np.flatnonzero(cover.max(axis=0) > 0.05)
        self._window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        soft = cv2.GaussianBlur(np.clip(cover * 1.5, 0, 1), (0, 0), 2.5)[self._window]
        height, width = soft.shape
        self._y, self._x = np.mgrid[0:height, 0:width].astype(np.float32)
        reach = soft * np.linspace(1.0, 0.35, height, dtype=np.float32)[:, None] * size[0] / 960
        random = np.random.default_rng(4)
        self._fields = [
            reach
            * cv2.resize(
                random.standard_normal((5, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
            )
            for _ in range(2)
        ]
        self._reach = reach

    def apply(self, picture: Picture, at: float) -> None:
        turn = 2 * np.pi * at / 60
        gust = 0.55 + 0.45 * np.sin(turn * 3 + 1) * np.sin(turn * 7)
        lean = np.float32(0.7 * gust * np.sin(turn * 21))
        a, b = np.float32(0.55 * gust * np.sin(turn * 37)), np.float32(0.55 * gust * np.sin(turn * 29 + 2))
        x = self._x + self._reach * lean + self._fields[0] * a
        y = self._y + self._fields[1] * b
        picture[self._window] = cv2.remap(
            picture[self._window], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


class _Door:
    """The door leaf, that swings inward about its left edge."""

    def __init__(self, view: View) -> None:
        self._view = view
        left, right, top = DOOR
        self._quad = self._corners(right - left, 0.0)
        x, y = self._quad.min(axis=0), self._quad.max(axis=0)
        self._window = (slice(round(float(x[1])), round(float(y[1]))), slice(round(float(x[0])), round(float(y[0]))))
        self._top = top

    def _corners(self, across: float, inward: float) -> Floats:
        left, _, top = DOOR
        ends = [
            (left, BACK, top),
            (left + across, BACK + inward, top),
            (left + across, BACK + inward, 0.14),
            (left, BACK, 0.14),
        ]
        return self._view.project(ends)[:, :2]

    def draw(self, picture: Picture, depth: Floats, opened: float, day: float) -> None:
        """Show the hall behind the door and the leaf at an angle; what is inside may be seen through the doorway."""
        window = picture[self._window]
        leaf = window.copy()
        height, width = leaf.shape[:2]
        rise = np.linspace(1.0, 0.55, height, dtype=np.float32)[:, None, None]
        warm = vector(74, 54, 36) * day + vector(205, 142, 74) * (1 - day)
        across = (0.75 + 0.25 * np.linspace(0, 1, width, dtype=np.float32))[None, :, None]
        hall = (rise * across * warm).astype(np.uint8)
        angle = np.radians(82) * opened
        wide = DOOR[1] - DOOR[0]
        shift = vector(self._window[1].start, self._window[0].start)
        goal = self._corners(wide * float(np.cos(angle)), wide * float(np.sin(angle))) - shift
        turn = cv2.getPerspectiveTransform(self._quad - shift, goal.astype(np.float32))
        swung = cv2.warpPerspective(leaf, turn, (width, height), flags=cv2.INTER_LINEAR)
        mask = cv2.warpPerspective(np.full((height, width), 255, np.uint8), turn, (width, height))[
            ..., None
        ] / np.float32(255)
        window[:] = (hall * (1 - mask) + swung * mask * (1 - 0.45 * opened)).astype(np.uint8)
        depth[self._window] = 1e3


OUTFIT = Outfit(rgb("8a3b34"), rgb("39404f"), rgb("3a2a20"), bag=rgb("caa15a"))
_OUT = Path([(-1.8, 12.6), (-1.8, 11.0), (-1.75, 9.6), (-0.4, 7.2), (1.8, 5.0), (4.2, 3.4), (6.6, 2.2)])
_CAT = Path([(-6.2, 5.0), (-3.0, 5.2), (0.0, 5.6), (2.6, 4.4), (6.0, 3.2)])


def _opening(at: float) -> float:
    """How far the door is open, 0..1."""
    leaving = min(eased(at, 4.0, 4.9, 0.3), 1 - eased(at, 7.2, 8.2, 0.3))
    coming = min(eased(at, 48.8, 49.7, 0.3), 1 - eased(at, 50.9, 51.9, 0.3))
    return max(leaving, coming)


def _cast(at: float) -> list[Body]:
    """Who is in the yard."""
    out = []
    if 4.4 < at < 13.3:
        walked = eased(at, 4.4, 13.3, 0.04) * _OUT.length
        place, heading = _OUT.at(walked)
        out.append(figures.person(place, heading, walked, 1, OUTFIT))
    if 42.2 < at < 51.3:
        left = (1 - eased(at, 42.2, 51.3, 0.04)) * _OUT.length
        place, heading = _OUT.at(left)
        out.append(figures.person(place, -heading, -left, 1, OUTFIT))
    if 24.6 < at < 30.6:
        walked = eased(at, 24.6, 30.6, 0.03) * _CAT.length
        place, heading = _CAT.at(walked)
        out.append(figures.cat(place, heading, walked, rgb("2b221d")))
    return out

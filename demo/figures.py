"""Figures: people and a cat of tapered limbs, walking. What has wheels is in `car.py`, what stands is in the scenes.

A body is a list of limbs in space; `paint` draws it into a picture as round, shaded solids that hide each other
and are hidden by the set. The gait comes from the distance walked, so feet do not slide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from demo.light import tone
from demo.space import Floats, Light, Picture, View, unit, vector

FINE = 2
"""Figures are drawn at this many times the picture's size, then reduced."""


@dataclass(frozen=True)
class Body:
    """Limbs from `a` (n, 3) to `b` (n, 3) with radii `ra`, `rb` (n,) in metres and linear RGB `color` (n, 3)."""

    a: Floats
    b: Floats
    ra: Floats
    rb: Floats
    color: Floats

    def moved(self, change: Callable[[Floats], Floats]) -> Body:
        """The same limbs with their ends put elsewhere."""
        return Body(change(self.a), change(self.b), self.ra, self.rb, self.color)


class Builder:
    """Collects limbs."""

    def __init__(self) -> None:
        self._limbs: list[tuple[Floats, Floats, float, float, Floats]] = []

    def limb(self, a: Floats, b: Floats, ra: float, rb: float, color: Floats) -> None:
        self._limbs.append((a, b, ra, rb, color))

    def body(self) -> Body:
        a, b, ra, rb, color = zip(*self._limbs, strict=True)
        arrays = [np.array(part, np.float32) for part in (a, b, ra, rb, color)]
        return Body(*arrays)


class Path:
    """A walk along rounded corners: where somebody is after so many metres."""

    def __init__(self, points: Sequence[Sequence[float]], rounds: int = 3) -> None:
        line = np.array(points, np.float64)
        for _ in range(rounds):
            cut = [line[:1]]
            for p, q in pairwise(line):
                cut.append(np.stack([p * 0.75 + q * 0.25, p * 0.25 + q * 0.75]))
            line = np.concatenate([*cut, line[-1:]])
        self._line = line
        self._far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])

    @property
    def length(self) -> float:
        return float(self._far[-1])

    def at(self, metres: float) -> tuple[Floats, Floats]:
        """(place (2,), heading (2,)) after `metres`."""
        place = self._place(metres)
        ahead, behind = self._place(min(metres + 0.15, self.length)), self._place(max(metres - 0.15, 0))
        return place.astype(np.float32), unit(ahead - behind)

    def _place(self, metres: float) -> np.ndarray:
        return np.array([np.interp(metres, self._far, self._line[:, i]) for i in range(2)])


def eased(t: float, start: float, end: float, ramp: float = 0.08) -> float:
    """Progress 0..1 from `start` to `end` with a gentle start and stop, each `ramp` of the time."""
    x = min(max((t - start) / (end - start), 0.0), 1.0)
    rate = 1 / (1 - ramp)
    if x < ramp:
        return rate * x * x / (2 * ramp)
    if x > 1 - ramp:
        return 1 - rate * (1 - x) ** 2 / (2 * ramp)
    return rate * (x - ramp / 2)


@dataclass(frozen=True)
class Outfit:
    """What a person wears; linear RGB."""

    coat: Floats
    trousers: Floats
    hair: Floats
    bag: Floats | None = None
    tall: float = 1.75
    long_coat: bool = False


SKIN = vector(0.50, 0.29, 0.20)
SHOES = vector(0.02, 0.02, 0.025)
STRIDE = 1.42
"""Metres of one full cycle: two steps."""


def person(place: Floats, heading: Floats, walked: float, gait: float, outfit: Outfit) -> Body:
    """A person at `place` (2,) who has walked so many metres; `gait` 0 stands, 1 walks."""
    size = outfit.tall / 1.75
    f = np.array([heading[0], heading[1], 0], np.float32)
    s = np.array([heading[1], -heading[0], 0], np.float32)
    z = vector(0, 0, 1)
    phase = 2 * np.pi * walked / (STRIDE * size)
    legs = [_leg(phase + np.pi * i, gait) for i in range(2)]
    hip = 0.08 - min(min(leg[1][1], leg[2][1]) for leg in legs)
    sway = 0.018 * gait * float(np.sin(phase))
    build = Builder()

    def at(side: float, ahead: float, up: float) -> Floats:
        out: Floats = s * side + f * ahead + z * up
        return out.astype(np.float32)

    for i, (knee, ankle, toe) in enumerate(legs):
        side = (-0.09, 0.09)[i] + sway
        points = [at(side, 0, hip - 0.02)] + [
            at(side * (0.9 if n else 1), p[0], hip + p[1]) for n, p in enumerate((knee, ankle))
        ]
        build.limb(points[0], points[1], 0.092, 0.066, outfit.trousers)
        build.limb(points[1], points[2], 0.064, 0.052, outfit.trousers * 0.95)
        heel = points[2] - z * 0.03 - f * 0.03
        build.limb(heel, at(side, toe[0], hip + toe[1]) + s * (-0.02, 0.02)[i], 0.047, 0.034, SHOES)
    _trunk(build, at, hip, sway, phase, gait, outfit)

    def put(points: Floats) -> Floats:
        out: Floats = points * size + np.array([place[0], place[1], 0], np.float32)
        return out

    return build.body().moved(put)


def _leg(p: float, gait: float) -> tuple[tuple[float, float], ...]:
    """Knee, ankle and toe (ahead, up) from the hip at phase `p`: the thigh swings forward where cos p > 0."""
    wrapped = (p + 0.3 + np.pi) % (2 * np.pi) - np.pi
    thigh = gait * (0.42 * np.sin(p) + 0.06)
    flex = gait * (0.09 + 0.98 * np.exp(-((wrapped / 0.78) ** 2))) + (1 - gait) * 0.03
    shin = thigh - flex
    foot = gait * (
        0.30 * np.exp(-((((p - 1.5 + np.pi) % (2 * np.pi) - np.pi) / 0.5) ** 2))
        - 0.75 * np.exp(-((((p + 1.05 + np.pi) % (2 * np.pi) - np.pi) / 0.6) ** 2))
    )
    knee = (0.44 * np.sin(thigh), -0.44 * np.cos(thigh))
    ankle = (knee[0] + 0.43 * np.sin(shin), knee[1] - 0.43 * np.cos(shin))
    toe = (ankle[0] + 0.17 * np.cos(foot), ankle[1] - 0.04 + 0.17 * np.sin(foot))
    return knee, ankle, toe


def _trunk(
    build: Builder,
    at: Callable[[float, float, float], Floats],
    hip: float,
    sway: float,
    phase: float,
    gait: float,
    outfit: Outfit,
) -> None:
    """Everything above the legs."""
    twist = 0.10 * gait * float(np.sin(phase))
    lean = 0.035 * gait
    chest = hip + 0.40
    coat = outfit.coat
    build.limb(at(sway, 0, hip + 0.02), at(sway * 0.5, lean * 0.6, hip + 0.20), 0.142, 0.146, coat)
    build.limb(at(sway * 0.5, lean * 0.6, hip + 0.20), at(0, lean, chest - 0.02), 0.150, 0.165, coat)
    build.limb(
        at(-0.13, lean + twist * 0.9, chest + 0.06), at(0.13, lean - twist * 0.9, chest + 0.06), 0.092, 0.092, coat
    )
    if outfit.long_coat:
        build.limb(at(sway, 0, hip), at(sway, -0.02, hip - 0.28), 0.155, 0.185, coat)
    build.limb(at(0, lean, chest + 0.10), at(0, lean + 0.02, chest + 0.24), 0.062, 0.055, SKIN)
    head = chest + 0.335
    build.limb(at(0, lean + 0.045, head - 0.045), at(0, lean + 0.03, head + 0.03), 0.080, 0.094, SKIN)
    build.limb(at(0, lean - 0.005, head + 0.005), at(0, lean + 0.018, head + 0.055), 0.097, 0.096, outfit.hair)
    for i, sign in enumerate((-1.0, 1.0)):
        # Arms swing against the leg of their side.
        swing = -0.42 * gait * float(np.sin(phase + np.pi * i)) + 0.03
        bend = 0.18 + gait * (0.22 + 0.22 * max(0.0, swing))
        shoulder = at(sign * 0.195, lean + twist * -sign * 0.9, chest + 0.045)
        elbow = shoulder + at(sign * 0.035, 0.29 * np.sin(swing), -0.29 * np.cos(swing))
        wrist = elbow + at(-sign * 0.02, 0.25 * np.sin(swing + bend), -0.25 * np.cos(swing + bend))
        build.limb(shoulder, elbow, 0.066, 0.052, coat * 0.96)
        build.limb(elbow, wrist, 0.051, 0.041, coat * 0.93)
        build.limb(wrist, wrist + (wrist - elbow) * 0.30, 0.037, 0.033, SKIN)
        if outfit.bag is not None and i == 0:
            hand = wrist + (wrist - elbow) * 0.2
            build.limb(hand - at(0.02, 0.11, 0.30), hand - at(0.02, -0.11, 0.30), 0.105, 0.105, outfit.bag)
            build.limb(hand, hand - at(0.02, 0, 0.22), 0.012, 0.012, outfit.bag * 0.5)


def cat(place: Floats, heading: Floats, walked: float, color: Floats) -> Body:
    """A cat that trots."""
    f = np.array([heading[0], heading[1], 0], np.float32)
    s = np.array([heading[1], -heading[0], 0], np.float32)
    z = vector(0, 0, 1)
    phase = 2 * np.pi * walked / 0.52
    build = Builder()

    def at(side: float, ahead: float, up: float) -> Floats:
        out: Floats = s * side + f * ahead + z * up
        return out.astype(np.float32)

    bob = 0.008 * float(np.sin(2 * phase))
    dark = color * 0.7
    for ahead, side, shift in (
        (0.15, -0.05, 0.0),
        (0.15, 0.05, np.pi),
        (-0.17, -0.05, np.pi * 0.9),
        (-0.17, 0.05, -0.1),
    ):
        swing, lift = float(np.sin(phase + shift)), max(0.0, float(np.cos(phase + shift)))
        knee = at(side, ahead + 0.04 * swing + (0.02 if ahead < 0 else -0.01), 0.13 + 0.015 * lift)
        build.limb(at(side, ahead, 0.22 + bob), knee, 0.045, 0.026, dark)
        build.limb(knee, at(side, ahead + 0.085 * swing, 0.03 + 0.045 * lift), 0.025, 0.018, dark)
    build.limb(at(0, -0.18, 0.245 + bob), at(0, 0.0, 0.235 + bob), 0.082, 0.078, color)
    build.limb(at(0, 0.0, 0.235 + bob), at(0, 0.17, 0.25 + bob), 0.078, 0.074, color)
    build.limb(at(0, 0.2, 0.27 + bob), at(0, 0.27, 0.325 + bob), 0.05, 0.045, color)
    build.limb(at(0, 0.28, 0.335 + bob), at(0, 0.335, 0.32 + bob), 0.060, 0.040, color)
    for side in (-0.033, 0.033):
        build.limb(at(side, 0.27, 0.375 + bob), at(side * 1.2, 0.265, 0.415 + bob), 0.018, 0.006, dark)
    curl = 0.05 * float(np.sin(phase * 0.5))
    tail = [at(0, -0.24, 0.27), at(curl * 0.4, -0.36, 0.30), at(curl, -0.43, 0.39), at(curl * 1.4, -0.46, 0.49)]
    for p, q in pairwise(tail):
        build.limb(p, q, 0.024, 0.021, color * 0.9)
    return _placed(build.body(), place)


def _placed(body: Body, place: Floats) -> Body:
    shift = np.array([place[0], place[1], 0], np.float32)
    return body.moved(lambda points: points + shift)


@dataclass(frozen=True)
class Stage:
    """What an actor is painted into: how it is seen, what hides it, and what lights it now."""

    view: View
    depth: Floats
    lights: Sequence[tuple[Light, float]]
    """Each light with its present strength."""
    exposure: float = 1.0

    def lit(self, points: Floats, normals: Floats) -> Floats:
        """Linear light on points."""
        total = np.zeros_like(points)
        for light, strength in self.lights:
            if strength > 0:
                total += light.shade(points, normals) * strength
        return total


def paint(picture: Picture, body: Body, stage: Stage, opacity: float = 1.0, fine: int = FINE) -> None:
    """Draw `body` into `picture` (h, w, 3), hidden where the set is nearer."""
    view = stage.view
    a, b = view.project(body.a), view.project(body.b)
    ra, rb = body.ra * view.focal / a[:, 2], body.rb * view.focal / b[:, 2]
    ends = np.concatenate([a[:, :2] - ra[:, None], b[:, :2] - rb[:, None]])
    tops = np.concatenate([a[:, :2] + ra[:, None], b[:, :2] + rb[:, None]])
    x0, y0 = np.maximum(np.floor(ends.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(tops.max(axis=0)).astype(int) + 2, view.size)
    if x0 >= x1 or y0 >= y1:
        return
    patch = _Patch(fine, (y1 - y0) * fine, (x1 - x0) * fine, stage.depth[y0:y1, x0:x1])
    corner = vector(x0, y0)
    order = np.argsort(np.minimum(a[:, 2], b[:, 2]))
    for i in order:
        patch.limb(
            (a[i, :2] - corner) * fine,
            (b[i, :2] - corner) * fine,
            ra[i] * fine,
            rb[i] * fine,
            (a[i, 2], b[i, 2]),
            body.color[i],
            float(body.ra[i]),
        )
    patch.finish(picture[y0:y1, x0:x1], stage, corner, opacity)


class _Patch:
    """A small enlarged picture with depth, into which limbs go."""

    def __init__(self, fine: int, height: int, width: int, hidden: Floats) -> None:
        self._fine = fine
        self.depth = cv2.resize(hidden, (width, height), interpolation=cv2.INTER_NEAREST)
        self.color = np.zeros((height, width, 3), np.float32)
        self.normal = np.zeros((height, width, 3), np.float32)
        self.cover = np.zeros((height, width), np.float32)

    def limb(
        self, a: Floats, b: Floats, ra: float, rb: float, depth: tuple[float, float], color: Floats, thick: float
    ) -> None:
        height, width = self.cover.shape
        x0, y0 = np.maximum(np.minimum(a - ra, b - rb).astype(int), 0)
        x1, y1 = np.minimum(np.maximum(a + ra, b + rb).astype(int) + 2, (width, height))
        if x0 >= x1 or y0 >= y1:
            return
        dx = np.arange(x0, x1, dtype=np.float32)[None, :] + 0.5 - a[0]
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - a[1]
        along = b - a
        share = np.clip((dx * along[0] + dy * along[1]) / max(float(along @ along), 1e-3), 0, 1)
        radius = ra + (rb - ra) * share
        nx, ny = (dx - share * along[0]) / radius, (dy - share * along[1]) / radius
        off = nx * nx + ny * ny
        nz = np.sqrt(np.maximum(1 - off, 0))
        here = depth[0] + (depth[1] - depth[0]) * share - nz * thick
        window = (slice(y0, y1), slice(x0, x1))
        mask = (off < 1) & (here < self.depth[window])
        self.depth[window][mask] = here[mask]
        self.color[window][mask] = color
        self.normal[window][mask] = np.stack([nx, ny, -nz], axis=-1)[mask]
        self.cover[window][mask] = 1

    def finish(self, picture: Picture, stage: Stage, corner: Floats, opacity: float) -> None:
        """Light what was drawn, reduce it, lay it over `picture`."""
        row, column = np.nonzero(self.cover)
        if not len(row):
            return
        view = stage.view
        slope = np.stack(
            [
                (column + 0.5) / self._fine + corner[0] - view.size[0] / 2,
                (row + 0.5) / self._fine + corner[1] - view.size[1] / 2,
            ],
            -1,
        )
        rays = np.concatenate([slope / view.focal, np.ones((len(row), 1))], axis=1).astype(np.float32)
        points = view.eye + (rays * self.depth[row, column, None]) @ view.basis
        normals = self.normal[row, column]
        light = stage.lit(points.astype(np.float32), normals @ view.basis)
        rim = 0.65 + 0.35 * -normals[:, 2:3]
        self.color[row, column] = tone(self.color[row, column] * light * rim, stage.exposure)
        size = (picture.shape[1], picture.shape[0])
        cover = cv2.resize(self.cover, size, interpolation=cv2.INTER_AREA)
        color = cv2.resize(self.color, size, interpolation=cv2.INTER_AREA)
        cover, color = cv2.GaussianBlur(cover, (3, 3), 0.6), cv2.GaussianBlur(color, (3, 3), 0.6)
        picture[:] = (picture * (1 - cover[..., None] * opacity) + color * opacity + 0.5).clip(0, 255).astype(np.uint8)


def shadow(mask: Floats, bodies: Sequence[Body], view: View, toward: Floats, strength: float = 1.0) -> None:
    """Add to `mask` (h, w) the shade that `bodies` throw on the ground under light from `toward`."""
    drawn = np.zeros(mask.shape, np.uint8)
    for body in bodies:
        ends = []
        for points in (body.a, body.b):
            ground = points - toward * (points[:, 2:3] / toward[2])
            ends.append(view.project(ground))
        _capsules(drawn, ends[0], ends[1], body.ra * view.focal / ends[0][:, 2], body.rb * view.focal / ends[1][:, 2])
    np.maximum(mask, drawn * np.float32(strength / 255), out=mask)


def _capsules(drawn: Picture, a: Floats, b: Floats, ra: Floats, rb: Floats) -> None:
    """Flat limbs, a little low because the ground is seen at a slant."""
    for p, q, r, t in zip(a, b, ra, rb, strict=True):
        thick = max(1, round(float(r + t) * 0.8))
        if max(abs(p[:2]).max(), abs(q[:2]).max()) > 4000:
            continue
        cv2.line(drawn, (int(p[0] * 8), int(p[1] * 8)), (int(q[0] * 8), int(q[1] * 8)), 255, thick, cv2.LINE_AA, 3)


def under(mask: Floats, body: Body, view: View, size: float = 0.33, strength: float = 0.5) -> None:
    """Add the soft dark spot that any body has under it."""
    middle = (body.a.mean(axis=0) + body.b.mean(axis=0)) / 2
    x, y, depth = view.project([middle[0], middle[1], 0])
    edge = view.project([middle[0], middle[1] - size, 0])
    axes = (size * view.focal / depth, max(abs(float(edge[1] - y)), 1.0))
    drawn = np.zeros(mask.shape, np.uint8)
    for share in (1.0, 0.75, 0.5):
        cv2.ellipse(
            drawn,
            (int(x * 8), int(y * 8)),
            (int(axes[0] * 8 * share), int(axes[1] * 8 * share)),
            0,
            0,
            360,
            int(255 * strength * (1.35 - share)),
            -1,
            cv2.LINE_AA,
            3,
        )
    np.maximum(mask, drawn.astype(np.float32) / 255, out=mask)


def darken(picture: Picture, mask: Floats, soft: float = 1.2) -> None:
    """Lay a shade over the picture: 1 in `mask` is black. Only the touched part is worked on."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    reach = int(soft * 3) + 1
    window = (
        slice(max(rows[0] - reach, 0), rows[-1] + reach + 1),
        slice(max(columns[0] - reach, 0), columns[-1] + reach + 1),
    )
    shade = cv2.GaussianBlur(mask[window], (0, 0), soft)
    picture[window] = (picture[window] * (1 - shade[..., None]) + 0.5).astype(np.uint8)

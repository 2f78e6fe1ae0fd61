"""Cars: a body lofted from rounded outlines, shaded facet by facet, with glass, wheels and working lamps.

Other solids are in `figures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from demo.figures import Stage
from demo.light import tone
from demo.space import Floats, Picture, View, unit, vector

FINE = 3
Points = Sequence[Sequence[float]] | Floats
"""Corners in the car's own metres: ahead, to the left, up."""

ROUND = 40
"""Points of an outline."""

# Height, rear end, front end, half width (metres from the middle of the car), squareness of the outline.
_BODY = (
    (0.17, -2.00, 2.00, 0.78, 6),
    (0.30, -2.13, 2.12, 0.86, 6),
    (0.52, -2.17, 2.18, 0.89, 6),
    (0.68, -2.17, 2.16, 0.90, 6),
    (0.80, -2.13, 2.08, 0.88, 6),
    (0.87, -2.05, 1.96, 0.84, 6),
    (0.905, -1.95, 1.80, 0.79, 6),
    (0.93, -1.80, 1.20, 0.70, 5),
)
_CABIN = (
    (0.89, -1.82, 1.05, 0.775, 7),
    (1.06, -1.68, 0.78, 0.735, 7),
    (1.22, -1.52, 0.50, 0.685, 7),
    (1.34, -1.36, 0.27, 0.635, 6),
    (1.40, -1.24, 0.12, 0.585, 5),
    (1.43, -1.05, -0.08, 0.48, 4),
    (1.44, -0.80, -0.30, 0.30, 3),
)
_GLASS_RINGS = 3
"""The lowest rings of the cabin are glass, between the pillars."""


@dataclass(frozen=True)
class Pose:
    """Where a car is and what its lamps and its driver's door do."""

    place: Floats
    heading: Floats
    color: Floats
    brake: float = 0.0
    reverse: float = 0.0
    head: float = 0.0
    door: float = 0.0
    """How far the driver's door is open, 0..1."""
    long: float = 1.0
    high: float = 1.0


def _outline(height: float, rear: float, front: float, half: float, square: float) -> Floats:
    turn = np.linspace(0, 2 * np.pi, ROUND, endpoint=False) + np.pi / ROUND
    c, s = np.cos(turn), np.sin(turn)
    x = (front + rear) / 2 + (front - rear) / 2 * np.sign(c) * np.abs(c) ** (2 / square)
    y = half * np.sign(s) * np.abs(s) ** (2 / square)
    return np.stack([x, y, np.full(ROUND, height)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class _Facets:
    """Quadrilaterals (n, 4, 3) with normals (n, 3), albedo (n, 3) and how much they mirror the sky (n,)."""

    corners: Floats
    normals: Floats
    albedo: Floats
    mirror: Floats


def _loft(rings: Sequence[Sequence[float]], albedo: Floats, mirror: float) -> _Facets:
    lines = np.stack([_outline(*ring) for ring in rings])
    ahead = np.roll(lines, -1, axis=1)
    corners = np.stack([lines[:-1], ahead[:-1], ahead[1:], lines[1:]], axis=2).reshape(-1, 4, 3)
    normals = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]) + 1e-9)
    count = len(corners)
    return _Facets(corners, normals, np.tile(albedo, (count, 1)), np.full(count, mirror, np.float32))


def _cap(ring: Sequence[float], albedo: Floats, mirror: float) -> _Facets:
    """The flat top of a lofted part: slices across, so that it is shaded with the rest."""
    line = _outline(*ring)
    half = ROUND // 2
    near, far = line[:half], line[::-1][:half]
    corners = np.stack([near[:-1], near[1:], far[1:], far[:-1]], axis=1)
    count = len(corners)
    normals = np.tile(vector(0, 0, 1), (count, 1))
    return _Facets(corners, normals, np.tile(albedo, (count, 1)), np.full(count, mirror, np.float32))


def _cabin(albedo: Floats) -> _Facets:
    facets = _loft(_CABIN, albedo, 0.35)
    turn = (np.arange(ROUND) + 1.0) / ROUND * 360
    pillar = np.zeros(ROUND, bool)
    for corner in (40, 140, 220, 320, 97, 263):
        pillar |= np.abs(turn - corner) < 5.5
    ring = np.arange(len(facets.albedo)) // ROUND
    glass = (ring < _GLASS_RINGS) & ~np.tile(pillar, len(_CABIN) - 1)
    facets.albedo[glass] = vector(0.012, 0.016, 0.02)
    facets.mirror[glass] = 1.0
    return facets


def _placed(points: Floats, pose: Pose) -> Floats:
    f = np.array([pose.heading[0], pose.heading[1], 0], np.float32)
    s = np.array([-pose.heading[1], pose.heading[0], 0], np.float32)
    base = np.array([pose.place[0], pose.place[1], 0], np.float32)
    out: Floats = (
        base + points[..., 0:1] * f * pose.long + points[..., 1:2] * s + points[..., 2:3] * vector(0, 0, pose.high)
    )
    return out


def _turned(normals: Floats, pose: Pose) -> Floats:
    f = np.array([pose.heading[0], pose.heading[1], 0], np.float32)
    s = np.array([-pose.heading[1], pose.heading[0], 0], np.float32)
    out: Floats = normals[:, 0:1] * f + normals[:, 1:2] * s + normals[:, 2:3] * vector(0, 0, 1)
    return out


def paint(picture: Picture, pose: Pose, stage: Stage, depth: Floats | None = None) -> None:
    """Draw a car, hidden where the set is nearer; `depth` (h, w), when given, learns where the car is."""
    view = stage.view
    ends = view.project(_placed(np.concatenate([_outline(*_BODY[2]), _outline(*_CABIN[4]), _outline(*_BODY[0])]), pose))
    x0, y0 = np.maximum(np.floor(ends[:, :2].min(axis=0)).astype(int) - 14, 0)
    x1, y1 = np.minimum(np.ceil(ends[:, :2].max(axis=0)).astype(int) + 14, view.size)
    if x0 >= x1 or y0 >= y1:
        return
    easel = _Easel(pose, stage, vector(x0, y0), ((x1 - x0) * FINE, (y1 - y0) * FINE))
    easel.solid(_loft(_BODY, pose.color, 0.3))
    easel.solid(_cap(_BODY[-1], pose.color, 0.3))
    easel.sides()
    easel.solid(_cabin(pose.color))
    easel.solid(_cap(_CABIN[-1], pose.color, 0.35))
    easel.door()
    easel.lamps()
    window = (slice(y0, y1), slice(x0, x1))
    easel.finish(picture[window], stage.depth[window], None if depth is None else depth[window])


class _Easel:
    """A small enlarged picture that a car is drawn into."""

    def __init__(self, pose: Pose, stage: Stage, corner: Floats, size: tuple[int, int]) -> None:
        self._pose, self._stage, self._corner = pose, stage, corner
        self._color = np.zeros((size[1], size[0], 3), np.uint8)
        self._depth = np.full((size[1], size[0]), 1e3, np.float32)
        self._glow = np.zeros((size[1], size[0], 3), np.uint8)

    def _flat(self, points: Floats) -> tuple[np.ndarray, Floats]:
        seen = self._stage.view.project(points)
        return np.round((seen[..., :2] - self._corner) * FINE * 16).astype(np.int32), seen[..., 2]

    def _fill(self, flat: np.ndarray, color: Sequence[float], depth: float) -> None:
        cv2.fillConvexPoly(self._color, flat, color, cv2.LINE_8, 4)
        cv2.fillConvexPoly(self._depth, flat, (depth,), cv2.LINE_8, 4)

    def solid(self, facets: _Facets) -> None:
        """A lofted part: the facets that face the camera, far ones first."""
        corners, normals = _placed(facets.corners, self._pose), _turned(facets.normals, self._pose)
        middles = corners.mean(axis=1)
        look = unit(middles - self._stage.view.eye)
        seen = np.flatnonzero(np.einsum("ij,ij->i", look, normals) < 0)
        corners, normals, middles, look = corners[seen], normals[seen], middles[seen], look[seen]
        light = self._stage.lit(middles, normals) * facets.albedo[seen]
        colors = tone(light + self._shine(look, normals, facets.mirror[seen]), self._stage.exposure)
        flat, depth = self._flat(corners)
        far = depth.mean(axis=1)
        order = np.argsort(-far)
        for points, color, here in zip(flat[order], colors[order].tolist(), far[order].tolist(), strict=True):
            self._fill(points, color, here)

    def _shine(self, look: Floats, normals: Floats, mirror: Floats) -> Floats:
        """The sky in paint and glass: bright above, dark at the horizon, stronger at a slant; and the sun's glint."""
        cosine = -np.einsum("ij,ij->i", look, normals)
        back = look + 2 * cosine[:, None] * normals
        strength = mirror * (0.08 + 0.92 * (1 - cosine) ** 4)
        sky = np.clip(back[:, 2] * 0.9 + 0.25, 0.05, 1)
        out: Floats = (strength * sky)[:, None] * vector(0.75, 0.9, 1.1)
        for light, power in self._stage.lights:
            toward = getattr(light, "toward", None)
            if toward is not None:
                glint = np.maximum(back @ toward, 0) ** 60 * power * (0.3 + 0.7 * mirror)
                out = out + glint[:, None] * vector(2.2, 1.9, 1.5)
        return out

    def _panel(self, points: Points, color: Floats, normal: Floats | None = None) -> bool:
        """A flat piece given in the car's own metres; drawn when it faces the camera."""
        placed = _placed(np.array(points, np.float32), self._pose)
        if normal is not None:
            turned = _turned(normal[None], self._pose)[0]
            if (self._stage.view.eye - placed.mean(axis=0)) @ turned <= 0:
                return False
        flat, depth = self._flat(placed)
        self._fill(
            cv2.convexHull(flat.reshape(-1, 1, 2)), tone(color, self._stage.exposure).tolist(), float(depth.mean())
        )
        return True

    def sides(self) -> None:
        """Wheels, sills and handles on the side that is seen."""
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        c, s = np.cos(turn), np.sin(turn)
        for side in (-1.0, 1.0):
            out = vector(0, side, 0)
            for x in (-1.33, 1.36):

                def disc(radius: float, across: float, x: float = x, side: float = side) -> np.ndarray:
                    return np.stack(
                        [x + radius * c, np.full(20, side * across), np.maximum(0.31 + radius * s, 0.0)], axis=1
                    )

                if self._panel(disc(0.365, 0.885), vector(0.012, 0.012, 0.014), out):
                    self._panel(disc(0.305, 0.90), vector(0.020, 0.020, 0.022), out)
                    self._panel(disc(0.20, 0.905), vector(0.30, 0.30, 0.31), out)
                    self._panel(disc(0.15, 0.905), vector(0.12, 0.12, 0.125), out)
                    self._panel(disc(0.05, 0.905), vector(0.35, 0.35, 0.36), out)
            dark = self._pose.color * 0.25
            self._panel(
                [
                    (-0.97, side * 0.885, 0.24),
                    (0.99, side * 0.885, 0.24),
                    (0.99, side * 0.885, 0.30),
                    (-0.97, side * 0.885, 0.30),
                ],
                dark,
                out,
            )
            for x in (-0.42, 0.86):
                self._panel(
                    [
                        (x, side * 0.905, 0.34),
                        (x + 0.02, side * 0.905, 0.34),
                        (x + 0.02, side * 0.885, 0.86),
                        (x, side * 0.885, 0.86),
                    ],
                    dark,
                    out,
                )

    def door(self) -> None:
        """The driver's door when it stands open: a panel and its window frame, hinged in front."""
        if self._pose.door <= 0.02:
            return
        angle = np.radians(62) * self._pose.door
        hinge, wide = 0.86, 1.12
        x, y = hinge - wide * float(np.cos(angle)), 0.9 + wide * float(np.sin(angle))
        hole = [(hinge, 0.9, 0.34), (hinge - wide, 0.9, 0.34), (hinge - wide, 0.9, 0.88), (hinge, 0.9, 0.88)]
        self._panel(hole, vector(0.02, 0.02, 0.022), vector(0, 1, 0))
        self._panel([(hinge, 0.9, 0.34), (x, y, 0.34), (x, y, 0.88), (hinge, 0.9, 0.88)], self._pose.color * 0.55)
        self._panel(
            [(hinge - 0.25, 0.98, 0.88), (x, y, 0.88), (x + 0.1, y - 0.14, 1.3), (hinge - 0.62, 0.98, 1.3)],
            vector(0.05, 0.06, 0.07),
        )

    def lamps(self) -> None:
        """Head, tail, brake and reversing lamps, and the number plates."""
        pose, ahead, behind = self._pose, vector(1, 0, 0), vector(-1, 0, 0)
        for side in (-1.0, 1.0):

            def quad(
                x: float, a: float, b: float, low: float, high: float, slant: float = 0.0, side: float = side
            ) -> list[tuple[float, ...]]:
                return [
                    (x, side * a, low),
                    (x - slant, side * b, low),
                    (x - slant, side * b, high),
                    (x, side * a, high),
                ]

            self._lamp(
                quad(2.17, 0.45, 0.80, 0.58, 0.72, 0.12),
                vector(0.55, 0.57, 0.6) + pose.head * 3,
                ahead,
                vector(255, 246, 225) * pose.head,
            )
            red = vector(0.22, 0.008, 0.008) * (1 - pose.brake) + vector(2.6, 0.10, 0.06) * pose.brake
            self._lamp(quad(-2.18, 0.48, 0.82, 0.60, 0.76, -0.12), red, behind, vector(255, 40, 24) * pose.brake)
            white = vector(0.35, 0.33, 0.33) + pose.reverse * 3
            self._lamp(quad(-2.18, 0.36, 0.48, 0.62, 0.72), white, behind, vector(255, 250, 240) * pose.reverse)
        for x, way in ((2.19, ahead), (-2.19, behind)):
            self._panel(
                [(x, -0.26, 0.38), (x, 0.26, 0.38), (x, 0.26, 0.49), (x, -0.26, 0.49)], vector(0.75, 0.75, 0.72), way
            )
        self._panel(
            [(2.19, -0.4, 0.54), (2.19, 0.4, 0.54), (2.17, 0.4, 0.68), (2.17, -0.4, 0.68)],
            vector(0.02, 0.02, 0.022),
            ahead,
        )

    def _lamp(self, points: Points, color: Floats, normal: Floats, glow: Floats) -> None:
        if self._panel(points, color, normal) and glow.max() > 1:
            flat, _ = self._flat(_placed(np.array(points, np.float32), self._pose))
            cv2.fillConvexPoly(self._glow, cv2.convexHull(flat.reshape(-1, 1, 2)), glow.tolist(), cv2.LINE_8, 4)

    def finish(self, picture: Picture, hidden: Floats, depth: Floats | None) -> None:
        """Reduce what was drawn and lay it over `picture`."""
        size = (picture.shape[1], picture.shape[0])
        far: Floats = cv2.resize(self._depth, size, interpolation=cv2.INTER_NEAREST)
        if depth is not None:
            np.minimum(depth, far, out=depth)
        cover: Floats = cv2.resize((self._depth < 900).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        color: Floats = cv2.resize(self._color, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        # The soft edge of the car has the depth of its nearest neighbour.
        hide = (cv2.erode(far, np.ones((3, 3), np.uint8)) < hidden + 0.25).astype(np.float32)
        cover, color = cv2.GaussianBlur(cover, (3, 3), 0.6), cv2.GaussianBlur(color, (3, 3), 0.6)
        out: Floats = picture * (1 - cover * hide)[..., None] + color * hide[..., None]
        if self._glow.any():
            glow = cv2.resize(self._glow, size, interpolation=cv2.INTER_AREA).astype(np.float32)
            out += cv2.GaussianBlur(glow, (0, 0), 4) * 1.1 + cv2.GaussianBlur(glow, (0, 0), 1.2) * 0.5
        picture[:] = (out + 0.5).clip(0, 255).astype(np.uint8)


def shadow(mask: Floats, pose: Pose, view: View, toward: Floats, strength: float) -> None:
    """Add to `mask` (h, w) the shade a car throws on the ground, and the darkness below it."""
    drawn = np.zeros(mask.shape, np.uint8)
    parts = [[_BODY[1], _BODY[4], _BODY[6]], [_BODY[6], _CABIN[3], _CABIN[5]]]
    for rings in parts:
        points = _placed(np.concatenate([_outline(*ring) for ring in rings]), pose)
        ground = points - toward * (points[:, 2:3] / toward[2])
        _hull(drawn, view, ground, int(255 * strength))
    wheels = _placed(
        np.concatenate([_outline(*_BODY[1]) * vector(1, 1, 0), _outline(*_BODY[0]) * vector(1, 1, 0)]), pose
    )
    _hull(drawn, view, wheels, int(255 * min(1.0, strength + 0.22)))
    np.maximum(mask, drawn.astype(np.float32) / 255, out=mask)


def _hull(drawn: Picture, view: View, ground: Floats, value: int) -> None:
    flat = np.round(view.project(ground)[:, :2] * 16).astype(np.int32)
    cv2.fillConvexPoly(drawn, cv2.convexHull(flat.reshape(-1, 1, 2)), value, cv2.LINE_AA, 4)

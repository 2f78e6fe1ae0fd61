"""Space: a pinhole camera and the flat surfaces it sees. Their looks are in `texture.py`, light in `light.py`.

Metres, x to the right, y away, z up. Colours are linear RGB. A still set (walls, ground, boxes) is traced once;
what moves is painted over it by `figures.py` and `car.py`, hidden by the set through its depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""Always float32 here; OpenCV's stubs know no element types."""
Picture = NDArray[Any]
"""Bytes (h, w, 3), RGB."""
Paint = Callable[[Floats, Floats, Floats], Floats]
"""(u, v in metres on a surface, metres per pixel there), each (n,) -> linear RGB (n, 3)."""

BAND = 48
"""Rows traced at a time: small enough to stay in the processor's cache."""


def vector(*values: float) -> Floats:
    """A point or direction as float32."""
    return np.array(values, np.float32)


def unit(value: Any) -> Floats:
    """`value` with length 1 along its last axis."""
    given = np.asarray(value, np.float32)
    out: Floats = given / np.linalg.norm(given, axis=-1, keepdims=True)
    return out


@dataclass(frozen=True)
class View:
    """A camera at `eye` that looks at `target`; `fov` is its horizontal angle in degrees, `size` its picture (w, h)."""

    eye: Floats
    target: Floats
    fov: float
    size: tuple[int, int]

    @cached_property
    def focal(self) -> float:
        """Pixels per unit of slope."""
        return self.size[0] / 2 / float(np.tan(np.radians(self.fov / 2)))

    @cached_property
    def basis(self) -> Floats:
        """Rows: right, down, forward; unit vectors of the picture in space."""
        forward = unit(self.target - self.eye)
        right = unit(np.cross(forward, vector(0, 0, 1)))
        return np.stack([right, np.cross(forward, right), forward]).astype(np.float32)

    def project(self, points: Any) -> Floats:
        """Points (..., 3) in space -> (..., 3): x, y in pixels and depth in metres. Depth is kept above 5 cm."""
        seen = (np.asarray(points, np.float32) - self.eye) @ self.basis.T
        depth = np.maximum(seen[..., 2], 0.05)
        x = seen[..., 0] / depth * self.focal + self.size[0] / 2
        y = seen[..., 1] / depth * self.focal + self.size[1] / 2
        out: Floats = np.stack([x, y, depth], axis=-1).astype(np.float32)
        return out


@dataclass(frozen=True)
class Surface:
    """A rectangle: a corner, two edges at right angles, and its paint.

    `emits` adds light of its own to the named layers, whatever shines on it. A surface with a `cutout` is there only
    where that gives True for (u, v).
    """

    corner: Floats
    u: Floats
    v: Floats
    paint: Paint
    emits: Mapping[str, Paint] = field(default_factory=dict)
    cutout: Callable[[Floats, Floats], NDArray[np.bool_]] | None = None

    @cached_property
    def normal(self) -> Floats:
        return unit(np.cross(self.u, self.v))

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """Metres along u and along v."""
        return float(np.linalg.norm(self.u)), float(np.linalg.norm(self.v))

    @cached_property
    def corners(self) -> Floats:
        """The four corners, (4, 3)."""
        return np.stack([self.corner, self.corner + self.u, self.corner + self.v, self.corner + self.u + self.v])


def box(low: Sequence[float], high: Sequence[float], paint: Paint) -> list[Surface]:
    """The five sides of an upright box that can be seen from above."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    dx, dy, dz = vector(x1 - x0, 0, 0), vector(0, y1 - y0, 0), vector(0, 0, z1 - z0)
    sides = [
        (vector(x0, y0, z0), dx, dz),
        (vector(x1, y1, z0), -dx, dz),
        (vector(x0, y1, z0), -dy, dz),
        (vector(x1, y0, z0), dy, dz),
        (vector(x0, y0, z1), dx, dy),
    ]
    return [Surface(corner, u, v, paint) for corner, u, v in sides]


class Light(Protocol):
    """Anything that lights a set or an actor."""

    def shade(self, points: Floats, normals: Floats) -> Floats:
        """Light that falls on points (n, 3) with normals (n, 3): linear RGB (n, 3)."""


@dataclass(frozen=True)
class Still:
    """A traced set: one linear picture (h, w, 3) per layer of light, and the depth (h, w) in metres."""

    layers: dict[str, Floats]
    depth: Floats


def trace(view: View, surfaces: Sequence[Surface], lights: Mapping[str, Sequence[Light]], fine: int = 2) -> Still:
    """Look at `surfaces` under each group of lights, `fine` x `fine` rays per pixel."""
    width, height = view.size
    layers = {name: np.zeros((height, width, 3), np.float32) for name in lights}
    depth = np.full((height, width), 1e3, np.float32)
    for top in range(0, height, BAND):
        rows = min(BAND, height - top)
        far, shades = _band(view, surfaces, lights, fine, top, rows)
        depth[top : top + rows] = far[fine // 2 :: fine, fine // 2 :: fine]
        for name, shade in shades.items():
            cv2.resize(shade, (width, rows), dst=layers[name][top : top + rows], interpolation=cv2.INTER_AREA)
    return Still(layers, depth)


def _band(
    view: View, surfaces: Sequence[Surface], lights: Mapping[str, Sequence[Light]], fine: int, top: int, rows: int
) -> tuple[Floats, dict[str, Floats]]:
    """Depth (rows * fine, w * fine) and light of some rows of the picture."""
    width, height = view.size
    xs = ((np.arange(width * fine, dtype=np.float32) + 0.5) / fine - width / 2) / view.focal
    ys = ((np.arange(rows * fine, dtype=np.float32) + 0.5) / fine + top - height / 2) / view.focal
    far = np.full((len(ys), len(xs)), 1e3, np.float32)
    owner = np.full(far.shape, -1, np.int16)
    for number, surface in enumerate(surfaces):
        window = _window(view, surface, fine, top, rows)
        if window is not None:
            _nearer(view, surface, number, (xs[window[1]], ys[window[0]]), far[window], owner[window])
    shades = {name: np.zeros((*far.shape, 3), np.float32) for name in lights}
    for number in np.unique(owner[owner >= 0]):
        row, column = np.nonzero(owner == number)
        at = far[row, column]
        for name, shade in _lit(view, surfaces[number], lights, xs[column], ys[row], at).items():
            shades[name][row, column] = shade
    return far, shades


def _window(view: View, surface: Surface, fine: int, top: int, rows: int) -> tuple[slice, slice] | None:
    """The part of a band where `surface` may be seen; None where it cannot."""
    width = view.size[0]
    ahead = (surface.corners - view.eye) @ view.basis[2]
    if ahead.max() < 0.1:
        return None
    if ahead.min() < 0.1:
        return slice(0, rows * fine), slice(0, width * fine)
    flat = view.project(surface.corners)
    x0, x1 = max(int(flat[:, 0].min() * fine) - 2, 0), min(int(flat[:, 0].max() * fine) + 3, width * fine)
    y0, y1 = (
        max(int((flat[:, 1].min() - top) * fine) - 2, 0),
        min(int((flat[:, 1].max() - top) * fine) + 3, rows * fine),
    )
    return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None


def _nearer(
    view: View, surface: Surface, number: int, slopes: tuple[Floats, Floats], far: Floats, owner: NDArray[np.int16]
) -> None:
    """Put `surface` into `far` and `owner`, in place, where it is the nearest so far."""
    right, down, forward = view.basis
    xs, ys = slopes
    normal = surface.normal
    across = (xs * (right @ normal))[None, :] + (ys * (down @ normal) + forward @ normal)[:, None]
    with np.errstate(divide="ignore"):
        at = np.float32((surface.corner - view.eye) @ normal) / across
    row, column = np.nonzero((at > 0.05) & (at < far))
    at = at[row, column]
    u, v = (_along(view, surface.corner, edge, xs[column], ys[row], at) for edge in (surface.u, surface.v))
    inside = (u >= 0) & (v >= 0) & (u <= surface.lengths[0]) & (v <= surface.lengths[1])
    if surface.cutout is not None:
        inside &= surface.cutout(u, v)
    row, column = row[inside], column[inside]
    far[row, column] = at[inside]
    owner[row, column] = number


def _lit(
    view: View, surface: Surface, lights: Mapping[str, Sequence[Light]], x: Floats, y: Floats, at: Floats
) -> dict[str, Floats]:
    """Light that comes from points of `surface` to the eye, per layer: linear RGB (n, 3)."""
    points = view.eye + at[:, None] * (np.stack([x, y, np.ones_like(x)], axis=1) @ view.basis)
    u, v = (_along(view, surface.corner, edge, x, y, at) for edge in (surface.u, surface.v))
    toward = np.float32(np.sign((view.eye - surface.corner) @ surface.normal))
    normals = np.broadcast_to(surface.normal * toward, points.shape)
    albedo = surface.paint(u, v, at / view.focal)
    out = {}
    for name, group in lights.items():
        shade = np.zeros_like(points)
        for light in group:
            shade += light.shade(points, normals)
        shade *= albedo
        if name in surface.emits:
            shade += surface.emits[name](u, v, at / view.focal)
        out[name] = shade
    return out


def _along(view: View, corner: Floats, edge: Floats, x: Floats, y: Floats, at: Floats) -> Floats:
    """Metres along `edge` from `corner`, where rays of slope (x, y) are after `at` metres."""
    right, down, forward = view.basis @ unit(edge)
    out: Floats = at * (x * right + y * down + forward) + np.float32((view.eye - corner) @ unit(edge))
    return out

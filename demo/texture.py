"""Textures: grain for plaster, stone, asphalt and wood, made of noise. Paints take metres and give linear RGB."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from demo.space import Floats, Paint, vector

TILE = 512


@cache
def cloud(seed: int, octaves: int = 6, roughness: float = 0.55, coarsest: int = 4) -> Floats:
    """A picture (512, 512) of fractal noise that repeats without a seam; mean 0, deviation 1.

    Its largest spots are a `coarsest`-th of it.
    """
    random = np.random.default_rng(seed)
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(octaves):
        cells = coarsest << octave
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        grid = np.pad(grid, 2, mode="wrap")
        scale = TILE // cells
        big = cv2.resize(grid, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += roughness**octave * big[2 * scale : -2 * scale, 2 * scale : -2 * scale]
    out: Floats = (total - total.mean()) / total.std()
    return out


def sample(seed: int, u: Floats, v: Floats, metres: float, octaves: int = 6, coarsest: int = 4) -> Floats:
    """Noise at (u, v), repeating every `metres`."""
    scale = TILE / metres
    pad = -len(u) % 1024
    x = np.pad((u * scale) % TILE, (0, pad)).astype(np.float32).reshape(-1, 1024)
    y = np.pad((v * scale) % TILE, (0, pad)).astype(np.float32).reshape(-1, 1024)
    return cv2.remap(
        cloud(seed, octaves, coarsest=coarsest), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    ).reshape(-1)[: len(u)]


def step(x: Floats, at: Floats | float, soft: Floats | float) -> Floats:
    """0 below `at`, 1 above, with a smooth change `soft` wide."""
    t = np.clip((x - at) / soft + 0.5, 0, 1)
    out: Floats = t * t * (3 - 2 * t)
    return out


def grain(seed: int, u: Floats, v: Floats, size: float = 2.0, depth: float = 0.1) -> Floats:
    """A factor around 1, (n, 1), to multiply a colour with: large stains and fine grain."""
    large, fine = sample(seed, u, v, size * 4, 4), sample(seed + 1, u, v, size)
    out: Floats = (1 + depth * (0.5 * large + 0.5 * fine))[:, None]
    return np.maximum(out, 0.05)


def plain(color: Floats, seed: int = 1, depth: float = 0.1, size: float = 2.0) -> Paint:
    """One colour with grain."""
    return lambda u, v, px: color * grain(seed, u, v, size, depth)


def rgb(text: str) -> Floats:
    """A display colour `rrggbb` as linear RGB (gamma 2, as `light.tone` develops)."""
    return vector(*(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))) ** 2


def tiles(
    u: Floats, v: Floats, px: Floats, width: float, height: float, joint: float, shift: float = 0.5
) -> tuple[Floats, Floats]:
    """Courses of stones: (how much a point lies in a joint 0..1, a random number 0..1 per stone)."""
    row = np.floor(v / height)
    along = u / width + shift * (row % 2)
    column = np.floor(along)
    edge = np.minimum(
        np.minimum(along - column, 1 - along + column) * width,
        np.minimum(v / height - row, 1 - v / height + row) * height,
    )
    in_joint = 1 - step(edge, joint / 2, np.maximum(joint * 0.8, px * 1.5))
    # A joint thinner than a pixel fades into the stone instead of flickering.
    in_joint = in_joint * np.clip(joint * 1.5 / np.maximum(px, 1e-4), 0, 1)
    number = np.sin(row * 127.1 + column * 311.7) * 43758.547
    return in_joint.astype(np.float32), (number - np.floor(number)).astype(np.float32)


Rect = tuple[float, float, float, float]
"""Left, right, bottom, top in metres on a surface."""


def within(u: Floats, v: Floats, soft: Floats, rect: Rect) -> Floats:
    """1 inside `rect`, 0 outside, with edges `soft` metres wide: (n, 1)."""
    left, right, bottom, top = rect
    out: Floats = step(u, left, soft) * (1 - step(u, right, soft)) * step(v, bottom, soft) * (1 - step(v, top, soft))
    return out[:, None]


class Sheet:
    """A painted surface that gets rectangles laid on it: frames, panes, leaves of doors, papers."""

    def __init__(self, base: Floats, u: Floats, v: Floats, soft: Floats) -> None:
        self.out = base
        self._u, self._v, self._soft = u, v, soft
        self._reach = float(soft.max())

    def lay(
        self,
        rect: Rect,
        color: Floats | Callable[[Floats, Floats], Floats],
        cover: Callable[[Floats, Floats, Floats], Floats] | float = 1.0,
    ) -> None:
        """Lay `rect` in one colour or in one that depends on (u, v); `cover` (0..1) may depend on (u, v, softness)."""
        left, right, bottom, top = rect
        reach, u, v = self._reach, self._u, self._v
        near = np.flatnonzero((u > left - reach) & (u < right + reach) & (v > bottom - reach) & (v < top + reach))
        if not len(near):
            return
        u, v, soft = u[near], v[near], self._soft[near]
        share = within(u, v, soft, rect) * (cover(u, v, soft) if callable(cover) else cover)
        self.out[near] = self.out[near] * (1 - share) + (color(u, v) if callable(color) else color) * share

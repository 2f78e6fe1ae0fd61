"""Foliage: crowns and shrubs of many small leaves, laid over a traced set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from demo.space import Floats, Light, Still, View, unit

FINE = 3


@dataclass(frozen=True)
class Leaves:
    """Leaf centres (n, 3), outward normals (n, 3), linear RGB (n, 3), and the size of a leaf in metres."""

    places: Floats
    normals: Floats
    colors: Floats
    size: float


def crown(middle: Floats, radii: Floats, count: int, color: Floats, size: float, seed: int, clumps: int = 14) -> Leaves:
    """A crown of `clumps` round bunches within an ellipsoid; leaves deep inside are darker, outer ones catch light."""
    random = np.random.default_rng(seed)
    hearts = unit(random.standard_normal((clumps, 3))) * random.uniform(0.35, 0.8, (clumps, 1))
    which = random.integers(0, clumps, count)
    out = unit(random.standard_normal((count, 3)))
    reach = random.uniform(0.2, 1.0, (count, 1)) ** 0.5
    local = hearts[which] + out * reach * random.uniform(0.34, 0.5, (clumps, 1))[which]
    places = middle + local * radii
    normals = unit(out * 0.7 + unit(local) * 0.5 + random.standard_normal((count, 3)) * 0.35)
    deep = np.clip(0.25 + 0.75 * np.linalg.norm(local, axis=1, keepdims=True) * (0.45 + 0.55 * reach), 0.2, 1.1)
    below = np.clip(0.75 + 0.35 * local[:, 2:3], 0.45, 1.1)
    tint = 1 + random.standard_normal((count, 1)) * 0.14
    warm = 1 + random.standard_normal((count, 1)) * np.array([0.10, 0.0, -0.05])
    colors = color * deep * below * tint * warm
    return Leaves(places.astype(np.float32), normals, np.maximum(colors, 0.002).astype(np.float32), size)


def plant(still: Still, view: View, leaves: Leaves, lights: Mapping[str, Sequence[Light]]) -> Floats:
    """Lay `leaves` over the set, in place; returns their cover (h, w), 0..1."""
    width, height = view.size
    flat = view.project(leaves.places)
    order = np.argsort(-flat[:, 2])
    owner = np.full((height * FINE, width * FINE), -1, np.float32)
    random = np.random.default_rng(5)
    turn = random.uniform(0, 180, len(flat))
    slim = random.uniform(0.35, 0.8, len(flat))
    for i in order:
        x, y, depth = flat[i]
        reach = max(leaves.size * view.focal / depth * FINE, 0.8)
        cv2.ellipse(
            owner, (round(float(x) * FINE * 16), round(float(y) * FINE * 16)),
            (round(reach * 16), round(reach * slim[i] * 16)), float(turn[i]), 0, 360, float(i), -1, cv2.LINE_8, 4,
        )  # fmt: skip
    seen = owner >= 0
    far = np.full(owner.shape, 1e3, np.float32)
    far[seen] = flat[owner[seen].astype(int), 2]
    nearer = far < cv2.resize(still.depth, (width * FINE, height * FINE), interpolation=cv2.INTER_NEAREST)
    seen &= nearer
    cover = cv2.resize(seen.astype(np.float32), view.size, interpolation=cv2.INTER_AREA)
    ids = owner[seen].astype(int)
    for name, group in lights.items():
        shade = sum((light.shade(leaves.places, leaves.normals) for light in group), np.zeros_like(leaves.places))
        picture = np.zeros((*owner.shape, 3), np.float32)
        picture[seen] = (leaves.colors * shade)[ids]
        layer = still.layers[name]
        layer *= 1 - cover[..., None]
        layer += cv2.resize(picture, view.size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(far, view.size, interpolation=cv2.INTER_NEAREST)
    np.minimum(still.depth, np.where(cover > 0.5, small, 1e3), out=still.depth)
    return cover

"""Light: sky, sun and lamps, and how a camera turns linear light into a picture.

The same lights shade the still set and the actors, so that both belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.space import Floats, Picture, unit, vector


@dataclass(frozen=True)
class Sky:
    """Light from everywhere, more from above. `ground` is the share that comes back from below."""

    color: Floats
    ground: float = 0.45

    def shade(self, points: Floats, normals: Floats) -> Floats:
        up = 0.5 + 0.5 * normals[:, 2:3]
        out: Floats = self.color * (self.ground + (1 - self.ground) * up)
        return out


Block = tuple[Sequence[float], Sequence[float]]
"""An upright box that throws a shadow: its low and high corner."""


class Sun:
    """Parallel light. `toward` points to the sun; `blocks` throw hard shadows, `leaves` (centres (n, 3)) soft ones."""

    def __init__(
        self,
        toward: Floats,
        color: Floats,
        blocks: Sequence[Block] = (),
        leaves: Floats | None = None,
        leaf: float = 0.2,
    ) -> None:
        self.toward = unit(toward)
        self.color = color
        self._blocks = [(vector(*low), vector(*high)) for low, high in blocks]
        self._side = unit(np.cross(self.toward, vector(0, 0, 1)))
        self._rise = np.cross(self.toward, self._side).astype(np.float32)
        self._leaves = None if leaves is None else self._leaf_map(leaves, leaf)

    def shade(self, points: Floats, normals: Floats) -> Floats:
        facing = np.maximum(normals @ self.toward, 0)
        ask = np.flatnonzero(facing > 0)
        if len(ask):
            facing[ask] *= self.visible(points[ask])
        out: Floats = facing[:, None] * self.color
        return out

    def visible(self, points: Floats) -> Floats:
        """How much of the sun reaches points (n, 3), 0..1."""
        seen = np.ones(len(points), np.float32)
        x, y, z = (np.ascontiguousarray(points[:, i]) for i in range(3))
        for low, high in self._blocks:
            seen[self._behind(x, y, z, low, high)] = 0
        if self._leaves is not None:
            seen *= 1 - self._under_leaves(points)
        return seen

    def _behind(self, x: Floats, y: Floats, z: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
        """Which points have the box between them and the sun. The sun is above, so what is above the box is free."""
        enter, leave = np.float32(0.01), (high[2] - z) / self.toward[2]
        enter = np.maximum((low[2] - z) / self.toward[2], enter)
        for i, place in ((0, x), (1, y)):
            a, b = (low[i] - place) / self.toward[i], (high[i] - place) / self.toward[i]
            enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
        out: NDArray[np.bool_] = enter < leave
        return out

    def _leaf_map(self, leaves: Floats, leaf: float) -> tuple[Floats, float, float, float]:
        """The crown as the sun sees it: 25 pixels per metre, softened as a half shadow is."""
        a, b = leaves @ self._side, leaves @ self._rise
        left, top, scale = float(a.min()) - 1, float(b.min()) - 1, 25.0
        size = (int((b.max() + 1 - top) * scale), int((a.max() + 1 - left) * scale))
        mask = np.zeros(size, np.uint8)
        for x, y in zip((a - left) * scale, (b - top) * scale, strict=True):
            cv2.circle(mask, (int(x), int(y)), int(leaf * scale), 255, -1)
        return cv2.GaussianBlur(mask, (0, 0), 1.6).astype(np.float32) / 255, left, top, scale

    def _under_leaves(self, points: Floats) -> Floats:
        assert self._leaves is not None
        mask, left, top, scale = self._leaves
        a, b = ((points @ self._side) - left) * scale, ((points @ self._rise) - top) * scale
        rows = _rows(a, b)
        return cv2.remap(mask, *rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).reshape(-1)[: len(points)]


def _rows(a: Floats, b: Floats, width: int = 1024) -> tuple[Floats, Floats]:
    """Two lists as pictures of `width` columns, because `remap` allows no side above 32767."""
    pad = -len(a) % width
    return (
        np.pad(a.astype(np.float32), (0, pad)).reshape(-1, width),
        np.pad(b.astype(np.float32), (0, pad)).reshape(-1, width),
    )


@dataclass(frozen=True)
class Lamp:
    """A small warm light at a place. With `aim` it shines into a soft cone; `reach` is its size in metres."""

    place: Floats
    color: Floats
    aim: Floats | None = None
    spread: float = 0.3
    reach: float = 0.5

    def shade(self, points: Floats, normals: Floats) -> Floats:
        to = self.place - points
        far2 = np.einsum("ij,ij->i", to, to)
        far = np.sqrt(far2)
        facing = np.maximum(np.einsum("ij,ij->i", to, normals) / far * 0.85 + 0.15, 0)
        strength = facing / (far2 + self.reach**2)
        if self.aim is not None:
            cone = -(to @ unit(self.aim)) / far
            strength = strength * np.clip((cone - self.spread) / (1 - self.spread), 0, 1) ** 1.5
        out: Floats = strength[:, None].astype(np.float32) * self.color
        return out


GREYING = 0.16
"""How far a small sensor mixes its colours."""

_MIX = np.eye(3, dtype=np.float32) * np.float32(1 - GREYING) + np.float32(GREYING / 3)
_BRIGHTEST = 8.0
"""Linear light above this is white."""


def tone(linear: Floats, exposure: float = 1.0) -> Floats:
    """Linear light (..., 3) -> 0..255 as a camera develops it: soft shoulder, soft toe, gamma 2."""
    return _curve(np.maximum((linear @ _MIX) * exposure, 0))


def _curve(x: Floats) -> Floats:
    out: Floats = np.sqrt(np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)) * 255
    return out


@cache
def _table() -> Picture:
    """`_curve` as bytes, by the square root of the light in 4096 steps."""
    return (_curve((np.linspace(0, 1, 4096, dtype=np.float32) ** 2) * _BRIGHTEST) + 0.5).astype(np.uint8)


def develop(layers: Sequence[tuple[Floats, Floats | float]], exposure: float = 1.0) -> Picture:
    """`tone` of a sum of layers (h, w, 3), each with its strength, as bytes."""
    total = np.zeros_like(layers[0][0])
    for layer, strength in layers:
        total += cv2.transform(layer, _MIX * (exposure * np.asarray(strength, np.float32)))
    root = cv2.sqrt(np.maximum(cv2.GaussianBlur(total, (3, 3), 0.55), 0))
    place = np.minimum(root * np.float32(4095 / np.sqrt(_BRIGHTEST)), 4095).astype(np.uint16)
    out: Picture = _table().take(place)
    return out

"""Drawn scenes with labels that try a motion detector where the recorded clips do not. Drawing only; no detector.

Each scene is 640x360, 10 pictures a second, grey, with sensor noise, and knows when something really moves.
They are drawn, not filmed: they guard against fitting a detector to a few recordings, they do not replace them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]

WIDTH, HEIGHT, FPS = 640, 360, 10


@dataclass(frozen=True)
class Walker:
    """A box with texture that crosses the picture in a straight line; `contrast` in grey levels to the ground."""

    start: float
    end: float
    size: tuple[int, int]
    path: tuple[float, float, float, float]
    contrast: float = 60.0


@dataclass(frozen=True)
class Scene:
    """A name, seconds, and how the picture of a moment comes about: ground, walkers, weather, sensor."""

    name: str
    seconds: float
    walkers: tuple[Walker, ...]
    ground: Callable[[float], Field]
    weather: Callable[[Field, float, np.random.Generator], Field] = lambda picture, at, dice: picture
    noise: float = 2.0
    seed: int = 1

    @property
    def motion(self) -> list[list[float]]:
        """Labelled intervals in seconds."""
        return [[walker.start, walker.end] for walker in self.walkers]

    def pictures(self) -> Iterator[tuple[float, Picture]]:
        """Seconds and picture, uint8 (360, 640), full range."""
        dice = np.random.default_rng(self.seed)
        speckle = dice.normal(0.0, 1.0, (HEIGHT + 64, WIDTH + 64)).astype(np.float32)
        for index in range(int(self.seconds * FPS)):
            at = index / FPS
            picture = self.ground(at).astype(np.float32)
            for walker in self.walkers:
                if walker.start <= at <= walker.end:
                    draw(picture, walker, at)
            picture = self.weather(picture, at, dice)
            y, x = dice.integers(0, 64, 2)
            picture += np.float32(self.noise) * speckle[y : y + HEIGHT, x : x + WIDTH]
            yield at, np.clip(picture, 0, 255).astype(np.uint8)


def draw(picture: Field, walker: Walker, at: float) -> None:
    """Add the walker at its place of the moment, with a lighter upper part so that it is no plain block."""
    part = (at - walker.start) / (walker.end - walker.start)
    x0, y0, x1, y1 = walker.path
    w, h = walker.size
    x, y = int(x0 + part * (x1 - x0)), int(y0 + part * (y1 - y0))
    picture[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] += walker.contrast
    picture[max(y, 0) : max(y + h // 3, 0), max(x, 0) : max(x + w, 0)] -= 0.4 * walker.contrast


def texture(seed: int, grain: float, contrast: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Field:
    """Smooth random texture, mean 0, standard deviation `contrast`, blobs of about `grain` pixels."""
    dice = np.random.default_rng(seed)
    field = cv2.GaussianBlur(dice.normal(0.0, 1.0, size).astype(np.float32), (0, 0), grain)
    return np.asarray(field * np.float32(contrast / field.std()), np.float32)


def yard(seed: int, mean: float = 110.0, contrast: float = 1.0) -> Field:
    """A still ground with walls, edges and texture."""
    field = mean + contrast * (texture(seed, 60, 12) + texture(seed + 1, 6, 5) + texture(seed + 2, 1.5, 5))
    dice = np.random.default_rng(seed)
    for _ in range(14):
        x, y = int(dice.integers(0, WIDTH - 80)), int(dice.integers(0, HEIGHT - 60))
        w, h = int(dice.integers(20, 160)), int(dice.integers(15, 120))
        field[y : y + h, x : x + w] += contrast * float(dice.normal(0, 22))
    return np.asarray(field, np.float32)


GRID_X, GRID_Y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))


def swaying(
    still: Field, leaves: Field, where: Field, reach: float, gust: Callable[[float], float]
) -> Callable[[float], Field]:
    """Ground whose `leaves` move to and fro by up to `reach` pixels where `where` (0..1) says so."""
    phase = texture(77, 25, 2.0)

    def ground(at: float) -> Field:
        swing = reach * gust(at)
        dx = swing * (np.sin(2 * np.pi * 0.7 * at + phase) + 0.5 * np.sin(2 * np.pi * 1.9 * at + 2 * phase))
        dy = 0.5 * swing * np.sin(2 * np.pi * 1.1 * at + 1.5 * phase)
        moved = cv2.remap(
            leaves,
            (GRID_X + dx).astype(np.float32),
            (GRID_Y + dy).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        return np.asarray(still * (1 - where) + moved * where, np.float32)

    return ground


def grass() -> Scene:
    still = yard(3)
    where = np.clip((GRID_Y - 150) / 20, 0, 1).astype(np.float32)
    leaves = 100 + texture(11, 3, 16) + texture(12, 1.2, 10)
    return Scene(
        "swaying grass",
        60,
        (
            Walker(24, 30, (26, 66), (-20, 200, 420, 180)),
            Walker(44, 52, (10, 24), (500, 140, 330, 170), -55),
        ),
        swaying(still, leaves, where, 3.0, lambda at: 0.6 + 0.4 * np.sin(2 * np.pi * at / 11)),
    )


def tree() -> Scene:
    still = yard(5)
    where = np.clip((130 - np.hypot(GRID_X - 470, GRID_Y - 130)) / 20, 0, 1).astype(np.float32)
    leaves = 90 + texture(21, 6, 26) + texture(22, 2, 12)

    def gust(at: float) -> float:
        return 0.35 + 0.65 * float(np.clip(np.sin(2 * np.pi * at / 23) * 2, 0, 1))

    return Scene(
        "tree in gusts",
        75,
        (Walker(36, 41, (24, 60), (20, 240, 330, 260)), Walker(60, 64, (22, 58), (560, 270, 300, 250), -50)),
        swaying(still, leaves, where, 7.0, gust),
    )


def snow() -> Scene:
    still = yard(7, mean=120)

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        for _ in range(90):
            x, y = int(dice.integers(0, WIDTH)), int(dice.integers(0, HEIGHT))
            size = int(dice.choice([1, 1, 2, 2, 3, 7], p=[0.2, 0.2, 0.25, 0.2, 0.13, 0.02]))
            cv2.line(picture, (x, y), (x + size, y + 4 * size), 215, size)
        return picture

    return Scene(
        "snowfall",
        60,
        (Walker(25, 31, (24, 62), (60, 200, 400, 220), -60), Walker(46, 51, (50, 30), (600, 280, 150, 290), 70)),
        lambda at: still,
        weather,
    )


def night_snow() -> Scene:
    still = yard(8, mean=45, contrast=0.5)

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        for _ in range(12):
            x, y = int(dice.integers(0, WIDTH)), int(dice.integers(0, HEIGHT))
            size = int(dice.integers(2, 9))
            cv2.line(picture, (x, y), (x + 2 * size, y + 5 * size), 170, size)
        return picture

    return Scene(
        "night snow in infrared",
        60,
        (Walker(30, 36, (26, 64), (60, 200, 420, 220), 35),),
        lambda at: still,
        weather,
        noise=5.0,
    )


def clouds() -> Scene:
    still = yard(9, mean=120)
    shade = texture(31, 90, 1.0, (HEIGHT, WIDTH * 7))
    shade = np.asarray(np.clip(shade * 1.5, -1, 1), np.float32)

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        x = int(at * 60)
        return np.asarray(picture * (1 + 0.25 * shade[:, x : x + WIDTH]), np.float32)

    return Scene(
        "cloud shadows",
        60,
        (Walker(25, 28, (60, 34), (-50, 250, 600, 240)), Walker(44, 52, (11, 28), (300, 130, 420, 160), -50)),
        lambda at: still,
        weather,
    )


def night() -> Scene:
    still = yard(13, mean=30, contrast=0.25)

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        if 10 < at < 22:
            picture[60:140, 380:480] += 14 * float(dice.integers(0, 2))
        return picture

    return Scene(
        "dim at night, a lamp that flickers",
        60,
        (
            Walker(30, 37, (22, 56), (100, 180, 380, 200), 14),
            Walker(48, 56, (12, 30), (520, 150, 330, 170), 20),
        ),
        lambda at: still,
        weather,
        noise=7.0,
    )


def lamps() -> Scene:
    still = yard(15, mean=100)
    glow = np.exp(-(((GRID_X - 180) / 150) ** 2) - ((GRID_Y - 160) / 120) ** 2).astype(np.float32)
    edge = np.where(GRID_X + 0.5 * GRID_Y < 420, 1.0, 0.35).astype(np.float32)  # a shadow's border in the glow
    states = [(8.0, 1), (14.0, 0), (20.0, 1), (33.0, 0), (47.0, 1), (52.0, 0)]

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        level, since = 0, 0.0
        for when, state in states:
            if at >= when:
                level, since = state, when
        lit = picture * (1 + 1.1 * level * glow * edge)
        settle = 0.18 * (1 if level else -1) * np.exp(-(at - since) / 0.8) if since else 0.0
        return np.asarray(lit * (1 + settle), np.float32)

    return Scene(
        "lamps on and off, exposure follows",
        60,
        (Walker(31, 37, (40, 110), (540, 200, 250, 210), -60), Walker(54, 58, (30, 80), (100, 200, 330, 210), 50)),
        lambda at: still,
        weather,
    )


def clock() -> Scene:
    still = yard(17, mean=90)

    def weather(picture: Field, at: float, dice: np.random.Generator) -> Field:
        text = f"2026-03-29 01:{58 + int(at) // 60:02d}:{int(at) % 60:02d}"
        ink = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.putText(ink, text, (12, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
        if int(at * 2) % 2:
            cv2.circle(ink, (610, 24), 12, 255, -1)
        picture[ink > 0] = 250
        return picture

    return Scene(
        "clock overlay, small far walkers",
        75,
        (
            Walker(30, 38, (9, 22), (200, 90, 330, 100), 55),
            Walker(50, 60, (7, 15), (420, 80, 300, 84), -60),
        ),
        lambda at: still,
        weather,
    )


def shake() -> Scene:
    still = cv2.copyMakeBorder(yard(19), 8, 8, 8, 8, cv2.BORDER_REFLECT)
    dice = np.random.default_rng(5)
    offsets = dice.normal(0, 1.5, (800, 2))

    def ground(at: float) -> Field:
        shaken = 12 < at < 30 or 45 < at < 60
        dx, dy = offsets[int(at * FPS)] if shaken else (0.0, 0.0)
        move = np.array([[1, 0, dx - 8], [0, 1, dy - 8]], np.float32)
        return np.asarray(cv2.warpAffine(still, move, (WIDTH, HEIGHT)), np.float32)

    return Scene(
        "camera shaken by wind",
        70,
        (Walker(35, 39, (50, 32), (-40, 240, 500, 230)), Walker(52, 57, (26, 64), (500, 220, 200, 230), -60)),
        ground,
    )


def all_scenes() -> tuple[Scene, ...]:
    return (grass(), tree(), snow(), night_snow(), clouds(), night(), lamps(), clock(), shake())

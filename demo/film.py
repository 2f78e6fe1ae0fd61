"""Film: turns a scene into an H.264 file as an IP camera would send it. What is to be seen belongs to the scenes.

Here are the lens (vignette), the sensor (noise), the overlay (name and a running clock), the encoder, and the care
that a file is either whole or not there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np

from demo.corridor import Corridor
from demo.courtyard import Courtyard
from demo.parking import Parking
from demo.space import Picture

LOOP = 60.0
"""Seconds until a scene begins again."""
FPS = 10
SIZE = (960, 540)
KEY_EVERY = 20
"""Pictures from one key frame to the next: 2 s."""

Progress = Callable[[float], None]


class Scene(Protocol):
    """A set with actors, made for pictures of one size (w, h)."""

    title: str
    schedule: tuple[tuple[float, float], ...]
    """When something moves: (start, end) in seconds."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Build the set; takes a second or two."""

    def frame(self, at: float) -> Picture:
        """RGB (h, w, 3) at `at` seconds, 0..LOOP. The caller may write into it."""

    def gain(self, at: float) -> float:
        """How much the sensor amplifies: 1 by day, more in the dark."""


def load(name: str) -> type[Scene]:
    """The scene called `name`. Raises KeyError for an unknown one."""
    scenes: dict[str, type[Scene]] = {"courtyard": Courtyard, "corridor": Corridor, "parking": Parking}
    return scenes[name]


class Camera:
    """Everything between the scene and the encoder."""

    def __init__(self, scene: Scene, size: tuple[int, int], seed: int = 7) -> None:
        self._scene = scene
        self._size = size
        self._random = np.random.default_rng(seed)
        self._vignette = _vignette(size)
        self._noise = _noise(size, self._random)

    def picture(self, at: float) -> Picture:
        """YUV 4:2:0 planes, BT.601, limited range: (h * 3 / 2, w)."""
        scene, (width, height) = self._scene, self._size
        rgb = cv2.multiply(scene.frame(at), self._vignette, scale=1 / 255)
        planes: Picture = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        y, x = (int(self._random.integers(0, 64)) for _ in range(2))
        grain = self._noise[y : y + height, x : x + width]
        gain = scene.gain(at)
        luma = planes[:height]
        cv2.addWeighted(luma, 1, grain, gain, -128 * gain, dst=luma)
        overlay(luma, planes[height:], scene.title, at)
        return planes


def _vignette(size: tuple[int, int]) -> Picture:
    width, height = size
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    fall = 1 - 0.22 * np.clip((x * x + y * y * 0.8) / 1.8, 0, 1) ** 1.3
    out: Picture = np.repeat((fall * 255)[..., None], 3, axis=2).astype(np.uint8)
    return out


def _noise(size: tuple[int, int], random: np.random.Generator) -> Picture:
    """Grain around 128 with a little breadth, larger than the picture so that each frame sees another part."""
    grain = random.standard_normal((size[1] + 64, size[0] + 64)).astype(np.float32)
    grain = grain * 0.75 + cv2.GaussianBlur(grain, (0, 0), 0.9) * 1.0
    out: Picture = np.clip(128 + grain * (1.5 / grain.std()), 0, 255).astype(np.uint8)
    return out


# Five columns, seven rows, two hex digits a row: the look of the overlays that cameras burn in.
_GLYPHS = {
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010608101f",
    "3": "0e11010601110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    ":": "00040400040400",
    "A": "0e11111f111111",
    "C": "0e11101010110e",
    "D": "1e11111111111e",
    "G": "0e11101711110e",
    "I": "0e04040404040e",
    "K": "11121418141211",
    "N": "11191513111111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "R": "1e11111e141211",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "Y": "11110a04040404",
}


def overlay(luma: Picture, chroma: Picture, title: str, at: float) -> None:
    """Burn the name (top left) and the clock of the scene (top right) into the planes, small, with a dark rim."""
    height, width = luma.shape
    seconds = int(at)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    dot = max(1, round(height / 360))
    for text, right in ((title.upper(), False), (clock, True)):
        mask = _letters(text, dot)
        rows, columns = mask.shape
        top, left = 6 * dot, width - columns - 6 * dot if right else 6 * dot
        window = luma[top : top + rows, left : left + columns]
        rim = cv2.dilate(mask, np.ones((dot * 2 + 1, dot * 2 + 1), np.uint8))
        window[rim > 0] = window[rim > 0] // 3 + 10
        window[mask > 0] = 225
        # Letters are grey: both chroma planes lie below the luma, two half rows to a row.
        planes = chroma.reshape(2, height // 2, width // 2)
        planes[:, top // 2 : (top + rows) // 2, left // 2 : (left + columns) // 2] = 128


def _letters(text: str, dot: int) -> Picture:
    pad = 2 * dot
    out = np.zeros((7 * dot + 2 * pad, len(text) * 6 * dot + 2 * pad), np.uint8)
    for place, letter in enumerate(text):
        bits = (
            np.array(
                [[row >> (4 - column) & 1 for column in range(5)] for row in bytes.fromhex(_GLYPHS[letter])], np.uint8
            )
            * 255
        )
        left = pad + place * 6 * dot
        out[pad : pad + 7 * dot, left : left + 5 * dot] = bits.repeat(dot, axis=0).repeat(dot, axis=1)
    return out


def shoot(
    scene: Scene, path: Path, progress: Progress | None = None, size: tuple[int, int] = SIZE, seconds: float = LOOP
) -> None:
    """Film `scene`, made for pictures of `size`, into `path` (mp4).

    The file appears when it is whole; whatever stops this leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        _encode(scene, part, progress or (lambda share: None), round(seconds * FPS), size)
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _encode(scene: Scene, path: Path, progress: Progress, count: int, size: tuple[int, int]) -> None:
    camera = Camera(scene, size)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        context = stream.codec_context
        context.gop_size, context.max_b_frames = KEY_EVERY, 0
        context.thread_count = 1
        # What OpenCV's conversion makes: BT.601 matrix, limited range.
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 6, 6, 6, 1
        context.options = {
            # The cheapest preset, with the two tools back that its pictures miss most in the dark.
            "preset": "ultrafast",
            "crf": "27",
            "maxrate": "750k",
            "bufsize": "1500k",
            "x264-params": f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:no-deblock=0:deblock=0,0:aq-mode=1",
        }
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(camera.picture(number / FPS), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            frame.colorspace, frame.color_range = 6, 1
            container.mux(stream.encode(frame))
            if number % FPS == 0:
                progress(number / count)
        container.mux(stream.encode(None))
    progress(1.0)

"""Small clips for tests: a square moves over a textured, lightly noisy wall, and each picture carries its number.

The number stands in a strip of black and white cells along the lower edge, which survives H.264, JPEG and shrinking:
`burn` writes it, `read_number` reads it back from the luma of any size. How clips are sent belongs to the servers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

Picture = npt.NDArray[np.uint8]

NUMBERS = 1 << 14
"""Frame numbers start again at this many."""
CELLS = 20  # white, black, 14 bits of number, 4 bits of checksum
CHECKED = 0b1010  # so that a strip of one colour is no number
ENCODERS = {"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg"}


@dataclass(frozen=True, slots=True)
class Clip:
    """A recorded file and what is known about it. `numbered`: each picture carries its index in the clip."""

    path: Path
    codec: str
    width: int
    height: int
    fps: float
    frames: int
    numbered: bool = True


ClipMaker = Callable[..., Clip]
"""What the fixture `make_clip` gives: `render` with its folder filled in."""


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Makes clips, each kind once in a session."""
    return partial(render, tmp_path_factory.mktemp("clips"))


def render(
    folder: Path,
    codec: str = "h264",
    size: tuple[int, int] = (320, 240),
    *,
    fps: int = 10,
    seconds: float = 4,
    gop: int = 10,
    b_frames: int = 0,
    moving: bool = True,
    numbered: bool = True,
    seed: int = 1,
) -> Clip:
    """A clip in `folder`, made if it is not there yet. `codec`: h264, hevc or mjpeg; `size`: even width and height."""
    width, height = size
    frames = round(seconds * fps)
    traits = f"{codec}-{width}x{height}-{fps}fps-{frames}-gop{gop}-b{b_frames}-{moving:d}{numbered:d}-{seed}"
    path = folder / f"{traits}.{'avi' if codec == 'mjpeg' else 'mp4'}"
    if not path.exists():
        pictures = draw(size, frames, moving=moving, numbered=numbered, seed=seed)
        encode(path, pictures, codec, size, fps, gop=gop, b_frames=b_frames)
    return Clip(path, codec, width, height, fps, frames, numbered)


def draw(
    size: tuple[int, int], frames: int, *, moving: bool = True, numbered: bool = True, seed: int = 1
) -> Iterator[Picture]:
    """The pictures of a clip, BGR (h, w, 3)."""
    width, height = size
    random = np.random.default_rng(seed)
    coarse = random.integers(70, 170, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    wall = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    side = height // 4
    path = width - side
    for index in range(frames):
        picture = np.clip(wall + random.normal(0, 2, wall.shape), 0, 255).astype(np.uint8)
        if moving:
            x = abs(round(index * width / 30) % (2 * path) - path)
            picture[height // 3 : height // 3 + side, x : x + side] = (40, 60, 220)
        if numbered:
            burn(picture, index)
        yield picture


def encode(
    path: Path,
    pictures: Iterator[Picture],
    codec: str,
    size: tuple[int, int],
    fps: int,
    *,
    gop: int = 30,
    b_frames: int = 0,
    bit_rate: int | None = None,
    preset: str = "veryfast",
) -> None:
    """Write BGR `pictures` to `path`, whole or not at all."""
    options = {
        "h264": {"preset": preset, "x264-params": "scenecut=0:open-gop=0"},
        "hevc": {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=0:scenecut=0:pools=1"},
        "mjpeg": {"huffman": "default", "qmin": "3", "qmax": "5"},  # RTP carries no Huffman tables
    }[codec]
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    with av.open(str(draft), "w", format="avi" if codec == "mjpeg" else "mp4") as container:
        stream = container.add_stream(ENCODERS[codec], rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.gop_size = gop
        if codec != "mjpeg":
            stream.codec_context.max_b_frames = b_frames
        if bit_rate:
            stream.bit_rate = bit_rate
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    draft.rename(path)


def burn(picture: Picture, number: int) -> None:
    """Write `number` into the lower edge of `picture`, (h, w) or (h, w, 3), in place."""
    height, width = picture.shape[:2]
    top = height - _strip(height)
    for cell, bit in enumerate(_bits(number)):
        picture[top:, cell * width // CELLS : (cell + 1) * width // CELLS] = 235 if bit else 20


def read_number(luma: npt.NDArray[Any]) -> int | None:
    """The number burnt into the picture with this luma (h, w), or None where no whole number can be read."""
    height, width = luma.shape
    strip = _strip(height)
    rows = slice(height - strip + strip // 4, max(height - strip // 4, height - strip + strip // 4 + 1))
    edge = max(1, width // CELLS // 4)
    means = [
        float(luma[rows, cell * width // CELLS + edge : max((cell + 1) * width // CELLS - edge, 1)].mean())
        for cell in range(CELLS)
    ]
    white, black = means[0], means[1]
    if white - black < 60:
        return None
    bits = [mean > (white + black) / 2 for mean in means]
    number = sum(bit << (13 - place) for place, bit in enumerate(bits[2:16]))
    return number if bits == _bits(number) else None


def _strip(height: int) -> int:
    """How high the strip of cells is, in pixels."""
    return max(4, height // 12)


def _bits(number: int) -> list[bool]:
    number %= NUMBERS
    check = CHECKED
    for shift in (0, 4, 8, 12):
        check ^= number >> shift & 0b1111
    word = 0b10 << 18 | number << 4 | check
    return [bool(word >> (CELLS - 1 - place) & 1) for place in range(CELLS)]

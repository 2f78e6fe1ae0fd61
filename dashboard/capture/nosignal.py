"""The picture that stands where a camera has none: dark, with a few lines of text that the caller chooses."""

from __future__ import annotations

import functools
import unicodedata

import cv2
import numpy as np
import simplejpeg

BACKGROUND = (16, 13, 11)  # blue, green, red
TITLE = (196, 188, 180)
REST = (134, 126, 118)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALLEST, LARGEST = 32, 3840


def no_signal(width: int, height: int, lines: tuple[str, ...], quality: int = 80) -> bytes:
    """A JPEG of `width` x `height` pixels with `lines` in its middle, the first one brighter; made once for each."""
    width, height = (min(max(side, SMALLEST), LARGEST) for side in (width, height))
    return _draw(width, height, tuple(_plain(line) for line in lines if line), quality)


@functools.lru_cache(maxsize=128)
def _draw(width: int, height: int, lines: tuple[str, ...], quality: int) -> bytes:
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    step = height / 14
    top = height / 2 - step * (len(lines) - 1) / 2
    for number, line in enumerate(lines):
        scale = _scale(line, width * 0.86, step * (0.62 if number == 0 else 0.5))
        (across, up), _ = cv2.getTextSize(line, FONT, scale, 1)
        place = round((width - across) / 2), round(top + number * step + up / 2)
        colour = TITLE if number == 0 else REST
        cv2.putText(picture, line, place, FONT, scale, colour, max(1, round(scale * 1.4)), cv2.LINE_AA)
    return bytes(simplejpeg.encode_jpeg(picture, quality, "BGR", "444"))


def _scale(line: str, widest: float, highest: float) -> float:
    """How large the font may be for this line to fit."""
    (across, up), _ = cv2.getTextSize(line, FONT, 1.0, 1)
    return min(widest / max(across, 1), highest / max(up, 1))


def _plain(line: str) -> str:
    """`line` in the letters that the font has: accents go, other scripts become question marks."""
    letters = unicodedata.normalize("NFKD", line.replace("ß", "ss").replace("\u2013", "-").replace("\u2014", "-"))
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode()[:120]

"""A small JPEG of a JPEG, for lists of events. Read at a fraction of its size, which is much cheaper than whole."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH = 320
"""Pixels: sharp on a phone's two columns, 12 KB or so."""
QUALITY = 80


def thumbnail(jpeg: bytes) -> bytes:
    """`jpeg` at most `WIDTH` pixels wide. Raises ValueError when it is no JPEG."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_COLOR_2) if jpeg else None
    if picture is None:
        raise ValueError("not a JPEG")
    height, width = picture.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, small = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return small.tobytes()

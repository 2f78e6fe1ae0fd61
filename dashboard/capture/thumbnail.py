"""A small JPEG of a JPEG, for lists of snapshots."""

from __future__ import annotations

from dashboard.capture import jpeg
from dashboard.capture.frame import JpegFrame, Stamp
from dashboard.errors import SourceError

WIDTH = 320
QUALITY = 75


def thumbnail(data: bytes) -> bytes:
    """`data` at most 320 pixels wide. Raises ValueError when it is no JPEG that can be read."""
    head = jpeg.whole(data)
    if head is None:
        raise ValueError("not a whole JPEG")
    try:
        return JpegFrame(Stamp("", 0, 0.0, 0.0), head.width, head.height, data).jpeg(WIDTH, QUALITY)
    except SourceError as error:
        raise ValueError(str(error)) from None

"""Cameras plugged into this machine, by cv2.VideoCapture. Retrying belongs to camera.py.

On Linux a camera that can compress is read as JPEGs, which are handed on without decoding. The tests drive this
with a stand-in for cv2.VideoCapture; no USB hardware was at hand when it was written.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from dashboard.capture import jpeg
from dashboard.capture.source import Packet, Pixels, Spec
from dashboard.errors import SourceError

TIME_BASE = Fraction(1, 1000)
DAMAGED_IN_A_ROW = 50
"""So many pictures that are none, and the device is opened anew."""

Opener = Callable[..., Any]
"""What makes a cv2.VideoCapture."""

_WORDS = {
    errno.ENOENT: "there is no such device",
    errno.ENODEV: "there is no such device",
    errno.ENXIO: "there is no such device",
    errno.EACCES: "this user may not open the device (on Linux: group video)",
    errno.EPERM: "this user may not open the device (on Linux: group video)",
    errno.EBUSY: "another program uses the device",
}


class DeviceSource:
    """An open device, by index or by a path as /dev/v4l/by-id/..."""

    def __init__(self, spec: Spec, opener: Opener = cv2.VideoCapture) -> None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # each retry would print a warning
        device = spec.device if spec.device is not None else 0
        self._path = f"/dev/video{device}" if isinstance(device, int) else device
        linux = sys.platform.startswith("linux")
        if linux and (reason := _refusal(self._path)):
            raise SourceError(reason)
        # V4L2 by name: the way through FFmpeg holds a lock for the whole process while it opens.
        self._capture = opener(device, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if not self._capture.isOpened():
            self.close()
            raise SourceError("the device does not open; another program may be using it")
        self._compressed = self._configure(spec, linux)
        self._damaged = 0

    def read(self) -> Packet | Pixels | None:
        """The next picture; waits for it as long as the driver does."""
        try:
            good, picture = self._capture.read()
        except cv2.error:
            good, picture = False, None
        if not good or picture is None:
            raise SourceError(_refusal(self._path) or "the device stopped sending pictures")
        taken_at, at = time.time(), time.monotonic()
        if self._compressed and picture.dtype == np.uint8 and (picture.ndim == 1 or 1 in picture.shape[:2]):
            data = picture.tobytes()
            if jpeg.whole(data) is None:
                self._damaged += 1
                if self._damaged > DAMAGED_IN_A_ROW:
                    raise SourceError("the device sends pictures that cannot be read")
                return None
            self._damaged = 0
            return Packet(data, True, "mjpeg", round(at * 1000), None, TIME_BASE, taken_at, at)
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise SourceError("the device sends pictures in a format that is not supported")
        return Pixels(picture, taken_at, at)

    def close(self) -> None:
        """Give the device back."""
        try:
            self._capture.release()
        except cv2.error:
            pass  # it is gone either way

    def _configure(self, spec: Spec, linux: bool) -> bool:
        """Ask for size, rate and compression; whether pictures come as JPEGs. A device may grant other values."""
        wanted = cv2.VideoWriter.fourcc(*"MJPG")
        if linux:
            self._capture.set(cv2.CAP_PROP_FOURCC, wanted)
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, spec.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, spec.height),
            (cv2.CAP_PROP_FPS, spec.fps),
        ):
            if value:
                self._capture.set(prop, value)
        if not linux or int(self._capture.get(cv2.CAP_PROP_FOURCC)) != wanted:
            return False
        return bool(self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))


def _refusal(path: str) -> str | None:
    """Why the device node cannot be opened, in words; None when it can."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        return _WORDS.get(error.errno or 0, "the device does not open")
    return None

"""A picture of a camera: gives its small luma and its JPEG, each made at most once and only when asked.

Three kinds share that face: `JpegFrame` (the camera sent a JPEG), `YuvFrame` (a decoder gave planes), `BgrFrame`
(a device gave pixels). Colour is settled here: JPEG means BT.601 at full range, cameras send BT.601 or BT.709,
mostly at limited range. When a picture is decoded, and for whom, belongs to decoder.py and camera.py.

CPU for one noisy 1280x720 picture, measured on one busy core (ms); decoding H.264 takes 3.5:
                        planes (BT.601 / BT.709)    BGR and cv2.imencode    a camera's JPEG    cv2.imdecode
    luma, 160 wide      0.08                        0.5                     0.5                1.1
    JPEG, full size     1.3 / 1.6                   1.9                     0                  0
    JPEG, 480 wide      0.7                         2.6                     1.4                6.5
"""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from dashboard.errors import SourceError

if TYPE_CHECKING:
    import av

Plane = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height, in pixels."""

MAX_PIXELS = 40_000_000
"""Larger pictures are refused: 8K has 33 million, and 64 of these already take 8 GB when decoded."""


class Counts:
    """What was done for one camera since the start. Encoding happens in the threads of viewers, hence the lock."""

    def __init__(self) -> None:
        self.decoded = 0
        """Pictures that a decoder made; written by the capture thread alone."""
        self.damaged = 0
        """Pictures that could not be read."""
        self._encoded = 0
        self._lock = threading.Lock()

    @property
    def encoded(self) -> int:
        """JPEGs that were made; a camera's own JPEG passed through is none."""
        return self._encoded

    def encode(self) -> None:
        """Count one JPEG made."""
        with self._lock:
            self._encoded += 1


class Stamp(NamedTuple):
    """When and as what a picture came. `taken_at`: seconds since the epoch; `at`: seconds, monotonic."""

    camera: str
    number: int
    taken_at: float
    at: float


class Frame(ABC):
    """One picture of a camera, `width` x `height` pixels. Safe to ask from any thread."""

    def __init__(self, stamp: Stamp, width: int, height: int, counts: Counts | None = None) -> None:
        self.camera = stamp.camera
        self.number = stamp.number
        """Counts up over the whole life of the camera, across reconnects."""
        self.taken_at = stamp.taken_at
        """Seconds since the epoch, UTC: when the picture reached this machine."""
        self.at = stamp.at
        """The same moment on the monotonic clock, for durations."""
        self.width = width
        self.height = height
        self._counts = counts
        self._lock = threading.Lock()
        self._lumas: dict[int, Plane] = {}
        self._jpegs: dict[tuple[int, int], bytes] = {}

    def size_at(self, width: int | None) -> Size:
        """The size of the picture when it is asked for at `width`: its shape kept, never enlarged."""
        if width is None or width >= self.width:
            return self.width, self.height
        width = max(1, width)
        return width, max(1, round(self.height * width / self.width))

    def luma(self, width: int = 160) -> Plane:
        """Brightness, uint8 (height, width), 0 black to 255 white, read-only. Raises `SourceError` when damaged."""
        size = self.size_at(width)
        with self._lock:
            luma = self._lumas.get(size[0])
            if luma is None:
                luma = self._make_luma(size)
                luma.setflags(write=False)
                self._lumas[size[0]] = luma
            return luma

    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes:
        """The picture as JPEG, `width` pixels wide or as it is. Raises `SourceError` when damaged."""
        size = self.size_at(width)
        with self._lock:
            ready = self._ready_jpeg(size)
            if ready is not None:
                return ready
            key = size[0], quality
            jpeg = self._jpegs.get(key)
            if jpeg is None:
                jpeg = self._make_jpeg(size, quality)
                self._jpegs[key] = jpeg
                if self._counts is not None:
                    self._counts.encode()
            return jpeg

    def _ready_jpeg(self, size: Size) -> bytes | None:
        """A JPEG of this size that needs no encoding, if there is one."""
        return None

    @abstractmethod
    def _make_luma(self, size: Size) -> Plane:
        """Full range luma of this size, an array of its own."""

    @abstractmethod
    def _make_jpeg(self, size: Size, quality: int) -> bytes:
        """Encode at this size."""


class JpegFrame(Frame):
    """A JPEG as the camera made it; at full size it is handed on untouched, whatever quality is asked."""

    def __init__(self, stamp: Stamp, width: int, height: int, data: bytes, counts: Counts | None = None) -> None:
        super().__init__(stamp, width, height, counts)
        self._data = data

    def _ready_jpeg(self, size: Size) -> bytes | None:
        return self._data if size == (self.width, self.height) else None

    def _make_luma(self, size: Size) -> Plane:
        # libjpeg shrinks by eighths while it decodes, which averages; only the rest is left to do.
        return shrink(self._decode("GRAY", size)[..., 0], size, own=True)

    def _make_jpeg(self, size: Size, quality: int) -> bytes:
        pixels = shrink(self._decode("BGR", size), size)
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "BGR", "420"))

    def _decode(self, colours: str, size: Size) -> Plane:
        """Pixels of at least this size, (h, w, channels)."""

        def decode(strict: bool) -> Plane:
            pixels: Plane = simplejpeg.decode_jpeg(
                self._data,
                colours,
                fastdct=True,
                fastupsample=True,
                min_width=size[0],
                min_height=size[1],
                strict=strict,
            )
            return pixels

        try:
            return decode(strict=True)
        except ValueError as error:
            # Many cameras send harmless extra bytes; what ends too early has a grey rest that looks like motion.
            if "premature end" in str(error).lower():
                raise SourceError("the picture is damaged") from None
        try:
            return decode(strict=False)
        except ValueError:
            raise SourceError("the picture is damaged") from None


class BgrFrame(Frame):
    """Pixels (height, width, 3) in the order blue, green, red, uint8, as devices give them."""

    def __init__(self, stamp: Stamp, pixels: Plane, counts: Counts | None = None) -> None:
        super().__init__(stamp, pixels.shape[1], pixels.shape[0], counts)
        self._pixels = pixels

    def _make_luma(self, size: Size) -> Plane:
        return np.asarray(cv2.cvtColor(shrink(self._pixels, size), cv2.COLOR_BGR2GRAY), np.uint8)

    def _make_jpeg(self, size: Size, quality: int) -> bytes:
        pixels = np.ascontiguousarray(shrink(self._pixels, size))
        return bytes(simplejpeg.encode_jpeg(pixels, quality, "BGR", "420"))


class YuvFrame(Frame):
    """A decoded picture: the decoder's planes, seen without a copy for as long as the frame lives."""

    def __init__(self, stamp: Stamp, picture: av.VideoFrame, counts: Counts | None = None) -> None:
        super().__init__(stamp, picture.width, picture.height, counts)
        self._picture = picture

    def _make_luma(self, size: Size) -> Plane:
        planes = self._planes()
        return planes.colours.luma(shrink(planes.y, size, own=True))

    def _make_jpeg(self, size: Size, quality: int) -> bytes:
        planes = self._planes()
        y, u, v = shrink(planes.y, size), planes.u, planes.v
        if u is not None and v is not None:
            # Chroma keeps its share of the luma, as in 4:2:0 where it has half of it, rounded up.
            across, down = (-(-whole // part) for whole, part in zip(planes.y.shape, u.shape, strict=True))
            # across and down are the shares of rows and columns.
            chroma = -(-size[0] // down), -(-size[1] // across)
            u, v = shrink(u, chroma), shrink(v, chroma)
            y, u, v = planes.colours.to_jpeg(y, u, v)
        else:
            y = planes.colours.luma(y)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality))

    def _planes(self) -> _Planes:
        picture = self._picture
        colours = _colours_of(picture)
        if picture.format.name not in _READABLE:
            # More than 8 bits, or an order of bytes that is rare. RGB becomes what JPEG wants.
            if picture.format.is_rgb:
                picture = picture.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
                colours = Colours.of("bt601", limited=False)
            else:
                picture = picture.reformat(format="yuv420p")
        return _READABLE[picture.format.name](picture, colours)


@dataclass(frozen=True, slots=True)
class _Planes:
    """8-bit planes; `u` and `v` are None when the picture has no colour."""

    y: Plane
    u: Plane | None
    v: Plane | None
    colours: Colours


def _plane(picture: av.VideoFrame, index: int, width: int, height: int, channels: int = 1) -> Plane:
    """A view of one plane, without the padding at the end of its lines."""
    plane = picture.planes[index]
    lines: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[:height, : width * channels]


def _planar(across: int, down: int) -> Callable[[av.VideoFrame, Colours], _Planes]:
    def planes(picture: av.VideoFrame, colours: Colours) -> _Planes:
        width, height = -(-picture.width // across), -(-picture.height // down)
        return _Planes(
            _plane(picture, 0, picture.width, picture.height),
            _plane(picture, 1, width, height),
            _plane(picture, 2, width, height),
            colours,
        )

    return planes


def _interleaved(first: int) -> Callable[[av.VideoFrame, Colours], _Planes]:
    def planes(picture: av.VideoFrame, colours: Colours) -> _Planes:
        width, height = -(-picture.width // 2), -(-picture.height // 2)
        both = _plane(picture, 1, width, height, channels=2)
        return _Planes(
            _plane(picture, 0, picture.width, picture.height),
            np.ascontiguousarray(both[:, first::2]),
            np.ascontiguousarray(both[:, 1 - first :: 2]),
            colours,
        )

    return planes


def _grey(picture: av.VideoFrame, colours: Colours) -> _Planes:
    return _Planes(_plane(picture, 0, picture.width, picture.height), None, None, colours)


_READABLE: dict[str, Callable[[av.VideoFrame, Colours], _Planes]] = {
    "yuv420p": _planar(2, 2),
    "yuvj420p": _planar(2, 2),
    "yuv422p": _planar(2, 1),
    "yuvj422p": _planar(2, 1),
    "yuv444p": _planar(1, 1),
    "yuvj444p": _planar(1, 1),
    "nv12": _interleaved(0),
    "nv21": _interleaved(1),
    "gray": _grey,
}

# What colours are made of: the shares of red and blue in the luma, by the number of the matrix in a stream.
_MATRICES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
_MATRICES |= {9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_BT709 = (0.2126, 0.0722)
_FULL = 2  # colour range "JPEG"


def _colours_of(picture: av.VideoFrame) -> Colours:
    """What the stream says of its colours; where it is silent, what is usual: BT.709 from 720 lines on."""
    usual = _BT709 if picture.height >= 720 else _BT601
    shares = _MATRICES.get(int(picture.colorspace), usual)
    limited = int(picture.color_range) != _FULL and not picture.format.name.startswith("yuvj")
    return Colours.with_shares(*shares, limited=limited)


@dataclass(frozen=True)
class Colours:
    """How to make JPEG's colours (BT.601, full range) out of a stream's: weights for cv2.addWeighted, which saturates.

    Brightness needs a share of both chromas when the matrix differs. It is worked out at the size of the chroma
    and enlarged as one plane: 0.4 ms for 1280x720, where swscale's way from YUV to YUV takes 1.7.
    """

    scale: float  # of luma
    black: float  # luma of black
    colour: float  # scale of chroma
    y_from: tuple[float, float]  # added to luma, from u and v; both 0 when the matrix is the same
    u_from: tuple[float, float]
    v_from: tuple[float, float]

    @staticmethod
    def of(name: str, *, limited: bool) -> Colours:
        """For "bt601" or "bt709"."""
        return Colours.with_shares(*{"bt601": _BT601, "bt709": _BT709}[name], limited=limited)

    @staticmethod
    @functools.cache
    def with_shares(red: float, blue: float, *, limited: bool) -> Colours:
        """For the matrix with these shares of red and blue in the luma."""
        change = _matrix(*_BT601) @ np.linalg.inv(_matrix(red, blue))
        colour = 255 / 224 if limited else 1.0
        y_from, u_from, v_from = ((float(row[1] * colour), float(row[2] * colour)) for row in change)
        if (red, blue) == _BT601:
            y_from = (0.0, 0.0)
        return Colours(255 / 219 if limited else 1.0, 16.0 if limited else 0.0, colour, y_from, u_from, v_from)

    def luma(self, y: Plane) -> Plane:
        """Full range brightness."""
        if self.black == 0:
            return y
        return np.asarray(cv2.addWeighted(y, self.scale, y, 0, -self.black * self.scale), np.uint8)

    def to_jpeg(self, y: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
        """The same three planes in JPEG's colours."""
        if self.y_from == (0.0, 0.0):
            if self.black == 0:
                return y, u, v
            around = 128 - 128 * self.colour
            return self.luma(y), _weigh(u, self.colour, u, 0, around), _weigh(v, self.colour, v, 0, around)
        shift = _weigh(u, self.y_from[0], v, self.y_from[1], 128 - 128 * sum(self.y_from))
        if shift.shape != y.shape:
            shift = np.asarray(cv2.resize(shift, y.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        # Into the same array: another one of this size costs more to get from the system than to fill.
        cv2.addWeighted(y, self.scale, shift, 1, -self.black * self.scale - 128, dst=shift)
        return (
            shift,
            _weigh(u, self.u_from[0], v, self.u_from[1], 128 - 128 * sum(self.u_from)),
            _weigh(u, self.v_from[0], v, self.v_from[1], 128 - 128 * sum(self.v_from)),
        )


def _weigh(a: Plane, of_a: float, b: Plane, of_b: float, plus: float) -> Plane:
    return np.asarray(cv2.addWeighted(a, of_a, b, of_b, plus), np.uint8)


def _matrix(red: float, blue: float) -> npt.NDArray[np.float64]:
    """From RGB to luma and the two chromas."""
    shares = np.array([red, 1 - red - blue, blue])
    to_u = (np.array([0, 0, 1]) - shares) / (2 * (1 - blue))
    to_v = (np.array([1, 0, 0]) - shares) / (2 * (1 - red))
    return np.stack([shares, to_u, to_v])


def shrink(pixels: Plane, size: Size, *, own: bool = False) -> Plane:
    """`pixels` (h, w) or (h, w, 3) averaged down to `size`; the same array when it has that size, unless `own`.

    More than halved, it is first drawn at twice the size from the nearest four pixels and then averaged: a fifth of
    the time of averaging all pixels, and no difference that a detector or an eye could use.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels.copy() if own else pixels
    if width > 2 * size[0] and height > 2 * size[1]:
        pixels = np.asarray(cv2.resize(pixels, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def acceptable(width: int, height: int) -> bool:
    """Whether a picture of this size is decoded at all."""
    return 0 < width * height <= MAX_PIXELS

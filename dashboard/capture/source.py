"""What a source is, what capture reads of a camera's configuration, and which kind of camera has which source.

How each kind is opened and read stands in network.py, device.py and replay.py; keeping one open in camera.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING, Protocol

from dashboard.errors import SourceError, SourceRefused

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Packet", "Pixels", "Source", "SourceError", "SourceRefused", "Spec", "open_source"]


class Spec(Protocol):
    """What capture needs to know of a camera. Frozen, and equal when nothing changed."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str:
        """ "network", "device" or "replay"."""

    @property
    def enabled(self) -> bool: ...
    @property
    def timeout(self) -> float:
        """Seconds without an answer or a picture after which a connection counts as lost."""

    @property
    def transport(self) -> str:
        """ "tcp" or "udp", for RTSP."""

    @property
    def device(self) -> int | str | None: ...
    @property
    def replay(self) -> str | PathLike[str] | None: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def fps(self) -> float | None:
        """What is asked of a device; of every camera, at most so many pictures a second are published."""

    @property
    def substream(self) -> str | None:
        """The address of the small stream, if the camera has one."""

    def connect_url(self, substream: bool = False) -> str:
        """The URL, or that of the small stream, with percent-encoded credentials; never shown to anybody."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One compressed picture as the camera sent it. `pts`, `dts` count in `time_base` and may be missing."""

    data: bytes
    key: bool
    """Decoding can begin here."""
    codec: str
    """FFmpeg's name: "h264", "hevc", "mjpeg", ..."""
    pts: int | None
    dts: int | None
    time_base: Fraction
    taken_at: float
    """Seconds since the epoch, UTC: when it reached this machine."""
    at: float
    """The same moment on the monotonic clock."""
    extradata: bytes | None = None
    """What a decoder or a file needs before the first packet; the same object for the whole stream."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """One picture (height, width, 3), BGR, from a device that does not compress; times as in `Packet`."""

    pixels: npt.NDArray[np.uint8]
    taken_at: float
    at: float


class Source(Protocol):
    """An open camera. Used by one thread."""

    def read(self) -> Packet | Pixels | None:
        """The next picture; None when there is none yet: ask again. Raises `SourceError` when it is over."""

    def close(self) -> None:
        """Let go of connection or device. Raises nothing; may be called twice."""


def open_source(spec: Spec) -> Source:
    """Open the camera. Raises `SourceError`, or `SourceRefused` when the camera answers no; both in words.

    Each library is loaded when a camera of its kind is opened, so that a machine can do without the others.
    """
    if spec.kind == "network":
        from dashboard.capture.network import open_network

        return open_network(spec)
    if spec.kind == "device":
        from dashboard.capture.device import DeviceSource

        return DeviceSource(spec)
    if spec.kind == "replay":
        from dashboard.capture.replay import ReplaySource

        return ReplaySource(spec)
    raise SourceError("this kind of camera is not known")

"""What live pictures need of the cameras: shapes only. Who keeps them is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from dashboard.channel import Channel


class Status(Protocol):
    """How a camera is right now; `since`: epoch seconds, `frame_age_s` None before the first picture."""

    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def fps(self) -> float: ...
    @property
    def frame_age_s(self) -> float | None: ...
    @property
    def codec(self) -> str | None:
        """FFmpeg's name of what the camera sends; None before the first picture."""


class Camera(Protocol):
    """A camera: its pictures, its state, and, as `spec`, its name and whether it is enabled.

    `small` gives pictures good enough for small tiles; it is `frames` itself when the camera has no small stream.
    `video` gives the camera's own video in fragments, and nothing when it sends none; likewise `small_video`.
    """

    @property
    def id(self) -> str: ...
    @property
    def spec(self) -> Any: ...
    @property
    def frames(self) -> Channel[Any]: ...
    @property
    def small(self) -> Channel[Any]: ...
    @property
    def video(self) -> Channel[Any]: ...
    @property
    def small_video(self) -> Channel[Any]: ...

    def status(self) -> Status: ...


class Cameras(Protocol):
    """The cameras of now, in the order of the file."""

    def get(self, camera: str, /) -> Camera | None: ...
    def __iter__(self) -> Iterator[Camera]: ...


class Seen(Protocol):
    """What the motion detector sees. `boxes`: (x, y, w, h), each 0..1; `area`: % of the picture; `at`: epoch."""

    @property
    def at(self) -> float: ...
    @property
    def moving(self) -> bool: ...
    @property
    def area(self) -> float: ...
    @property
    def boxes(self) -> Sequence[Sequence[float]]: ...

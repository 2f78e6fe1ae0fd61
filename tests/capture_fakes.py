"""Small stand-ins that the tests of capture share: a camera's configuration, and sources that do as they are told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike

import numpy as np
import simplejpeg

from dashboard.capture.source import Packet, Pixels
from dashboard.errors import SourceError


@dataclass(frozen=True)
class FakeSpec:
    """A camera's configuration as capture sees it."""

    id: str = "door"
    kind: str = "network"
    url: str = ""
    enabled: bool = True
    timeout: float = 5.0
    transport: str = "tcp"
    device: int | str | None = None
    replay: str | PathLike[str] | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    substream: str | None = None
    name: str = "Door"

    def connect_url(self, substream: bool = False) -> str:
        return (self.substream or "") if substream else self.url


def picture(seed: int = 1, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small JPEG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, 80, "RGB", "420"))


PICTURE = picture()


def jpeg_packet(data: bytes = PICTURE) -> Packet:
    """A JPEG that came now."""
    return Packet(data, True, "mjpeg", None, None, Fraction(1, 1000), time.time(), time.monotonic())


@dataclass
class FakeSource:
    """Gives what is put into it: packets, pixels, errors to raise; a callable is called and its answer given."""

    items: queue.Queue[Packet | Pixels | Exception | Callable[[], Packet | None]] = field(default_factory=queue.Queue)
    closed: bool = False

    def put(self, *items: Packet | Pixels | Exception | Callable[[], Packet | None]) -> None:
        for item in items:
            self.items.put(item)

    def read(self) -> Packet | Pixels | None:
        try:
            item = self.items.get(timeout=0.02)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item() if callable(item) else item

    def close(self) -> None:
        self.closed = True


class Sources:
    """An opener that hands out sources one after the other and remembers them; an error is raised instead."""

    def __init__(self) -> None:
        self.opened: list[FakeSource] = []
        self.specs: list[object] = []
        self.errors: list[Exception] = []
        self.tries = 0
        self._more = threading.Condition()

    def __call__(self, spec: object) -> FakeSource:
        with self._more:
            self.tries += 1
            self._more.notify_all()
            if self.errors:
                raise self.errors.pop(0)
            source = FakeSource()
            self.opened.append(source)
            self.specs.append(spec)
            self._more.notify_all()
            return source

    def wait(self, count: int = 1, seconds: float = 20) -> FakeSource:
        """The source that was opened as number `count`."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.opened) >= count, seconds)
            return self.opened[count - 1]


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


GONE = SourceError("gone")

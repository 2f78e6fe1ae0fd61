"""No hardware here: a stand-in for cv2.VideoCapture behaves as V4L2 does, as far as that is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dashboard.capture import device
from dashboard.capture.device import DeviceSource
from dashboard.capture.source import Packet, Pixels
from dashboard.errors import SourceError
from tests.capture_fakes import PICTURE, FakeSpec

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
YUYV = cv2.VideoWriter.fourcc(*"YUYV")


class FakeCapture:
    """Grants compression if `compresses`; `pictures` are what it gives, then it has stopped."""

    def __init__(self, *pictures: Any, compresses: bool = True, opens: bool = True) -> None:
        self.pictures = list(pictures)
        self.compresses, self.opens = compresses, opens
        self.properties: dict[int, float] = {cv2.CAP_PROP_FOURCC: YUYV}
        self.released = False
        self.asked: tuple[Any, ...] = ()

    def __call__(self, *asked: Any) -> FakeCapture:
        self.asked = asked
        return self

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return self.opens

    def set(self, prop: int, value: float) -> bool:
        if prop == cv2.CAP_PROP_FOURCC and not self.compresses:
            return False
        self.properties[prop] = value
        return True

    def get(self, prop: int) -> float:
        return self.properties.get(prop, 0.0)

    def read(self) -> tuple[bool, Any]:
        if not self.pictures:
            return False, None
        picture = self.pictures.pop(0)
        if isinstance(picture, Exception):
            raise picture
        return True, picture

    def release(self) -> None:
        self.released = True


@pytest.fixture(autouse=True)
def _linux_with_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(device, "_refusal", lambda path: None)


def source(fake: FakeCapture, **spec: Any) -> DeviceSource:
    return DeviceSource(FakeSpec(kind="device", **{"device": 0, **spec}), opener=fake)


def as_row(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.uint8).reshape(1, -1)


def test_compressed_pictures_are_handed_on_untouched() -> None:
    fake = FakeCapture(as_row(PICTURE), np.frombuffer(PICTURE, np.uint8))
    opened = source(fake, width=640, height=480, fps=15)
    for _ in range(2):
        packet = opened.read()
        assert isinstance(packet, Packet)
        assert (packet.codec, packet.key, packet.data) == ("mjpeg", True, PICTURE)
    assert fake.asked == (0, cv2.CAP_V4L2)
    assert fake.properties[cv2.CAP_PROP_FRAME_WIDTH] == 640
    assert fake.properties[cv2.CAP_PROP_FRAME_HEIGHT] == 480
    assert fake.properties[cv2.CAP_PROP_FPS] == 15
    assert fake.properties[cv2.CAP_PROP_CONVERT_RGB] == 0
    opened.close()
    assert fake.released


def test_a_device_without_compression_gives_pixels() -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    fake = FakeCapture(pixels, compresses=False)
    item = source(fake).read()
    assert isinstance(item, Pixels)
    assert item.pixels is pixels
    assert cv2.CAP_PROP_CONVERT_RGB not in fake.properties


def test_a_path_is_taken_as_it_is() -> None:
    fake = FakeCapture(as_row(PICTURE))
    source(fake, device="/dev/v4l/by-id/usb-camera-index0")
    assert fake.asked[0] == "/dev/v4l/by-id/usb-camera-index0"


def test_elsewhere_the_system_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    fake = FakeCapture(np.zeros((48, 64, 3), np.uint8))
    assert isinstance(source(fake, device=1).read(), Pixels)
    assert fake.asked == (1, cv2.CAP_ANY)


def test_damaged_pictures_are_left_out_and_many_of_them_end_it() -> None:
    opened = source(FakeCapture(as_row(PICTURE[:100]), as_row(PICTURE), *[as_row(bytes(50))] * 60))
    assert opened.read() is None
    assert isinstance(opened.read(), Packet)
    assert [opened.read() for _ in range(50)] == [None] * 50
    with pytest.raises(SourceError, match="cannot be read"):
        opened.read()


@pytest.mark.parametrize("end", [(), (cv2.error("gone"),)])
def test_a_device_that_stops(end: tuple[Exception, ...]) -> None:
    with pytest.raises(SourceError, match="stopped sending pictures"):
        source(FakeCapture(*end)).read()


def test_pictures_of_an_unknown_kind() -> None:
    with pytest.raises(SourceError, match="not supported"):
        source(FakeCapture(np.zeros((48, 64, 2), np.uint8), compresses=False)).read()


def test_a_device_that_does_not_open_is_let_go() -> None:
    fake = FakeCapture(opens=False)
    with pytest.raises(SourceError, match="another program"):
        source(fake)
    assert fake.released


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="device nodes are Linux's")
def test_missing_and_forbidden_nodes_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    for missing in (63, str(tmp_path / "video0")):
        with pytest.raises(SourceError, match="there is no such device"):
            source(FakeCapture(), device=missing)

    def busy(path: str, flags: int) -> int:
        raise OSError(16, "busy")

    monkeypatch.setattr("dashboard.capture.device.os.open", busy)
    with pytest.raises(SourceError, match="another program uses the device"):
        source(FakeCapture())


def test_pulled_out_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = source(FakeCapture())
    monkeypatch.setattr(device, "_refusal", lambda path: "there is no such device")
    with pytest.raises(SourceError, match="there is no such device"):
        opened.read()

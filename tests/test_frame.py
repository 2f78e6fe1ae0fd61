from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg

from dashboard.capture.frame import BgrFrame, Counts, Frame, JpegFrame, Stamp, YuvFrame, shrink
from dashboard.errors import SourceError

Array = npt.NDArray[np.uint8]
STAMP = Stamp("door", 7, 1_700_000_000.0, 12.5)
BARS = [(235, 235, 235), (200, 40, 40), (40, 180, 60), (50, 60, 200), (210, 200, 40), (30, 190, 200), (128, 128, 128)]


def bars(width: int, height: int) -> Array:
    """Vertical bars of colour, RGB, the lower third a ramp of grey."""
    picture = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate(BARS):
        picture[:, index * width // len(BARS) : (index + 1) * width // len(BARS)] = colour
    picture[height * 2 // 3 :] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    return picture


def yuv(rgb: Array, pixels: str, matrix: str, full: bool) -> av.VideoFrame:
    """`rgb` as swscale turns it into YUV, labelled as it is."""
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=pixels, dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG"
    )
    picture.colorspace = {"ITU709": 1, "ITU601": 5}[matrix]
    picture.color_range = 2 if full else 1
    return picture


def rgb_of(jpeg: bytes) -> Array:
    return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB"))


def off(a: Array, b: Array) -> float:
    """Median difference of two pictures: the edges between bars do not count."""
    return float(np.median(np.abs(a.astype(int) - b.astype(int)), axis=(0, 1)).max())


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["ITU601", "ITU709"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le"])
def test_colours_are_those_of_the_source(pixels: str, matrix: str, full: bool) -> None:
    rgb = bars(700, 300)
    frame = YuvFrame(STAMP, yuv(rgb, pixels, matrix, full))
    assert off(rgb_of(frame.jpeg(quality=95)), rgb) <= 3
    small = cv2.resize(rgb, (350, 150), interpolation=cv2.INTER_AREA)
    assert off(rgb_of(frame.jpeg(350, quality=95)), np.asarray(small, np.uint8)) <= 3


@pytest.mark.parametrize("matrix", ["ITU601", "ITU709"])
def test_colours_agree_with_swscale(matrix: str) -> None:
    picture = yuv(bars(640, 360), "yuv420p", matrix, full=False)
    reference = picture.reformat(format="rgb24", src_colorspace=matrix, src_color_range="MPEG").to_ndarray()
    mine = rgb_of(YuvFrame(STAMP, picture).jpeg(quality=97))
    assert np.abs(mine.astype(int) - reference.astype(int)).mean() < 2.5


def test_a_stream_that_does_not_say_is_bt709_from_720_lines_on() -> None:
    for height, matrix in ((720, "ITU709"), (480, "ITU601")):
        rgb = bars(700, height)
        picture = yuv(rgb, "yuv420p", matrix, full=False)
        picture.colorspace, picture.color_range = 2, 0
        assert off(rgb_of(YuvFrame(STAMP, picture).jpeg(quality=95)), rgb) <= 3


def test_yuvj_is_full_range_even_if_unlabelled() -> None:
    rgb = bars(320, 240)
    picture = yuv(rgb, "yuvj420p", "ITU601", full=True)
    picture.color_range = 0
    assert off(rgb_of(YuvFrame(STAMP, picture).jpeg(quality=95)), rgb) <= 3


def test_grey_and_rgb_pictures() -> None:
    rgb = bars(320, 240)
    assert off(rgb_of(YuvFrame(STAMP, av.VideoFrame.from_ndarray(rgb, format="rgb24")).jpeg(quality=95)), rgb) <= 3
    grey = av.VideoFrame.from_ndarray(rgb[..., 0].copy(), format="gray")
    grey.color_range = 2
    frame = YuvFrame(STAMP, grey)
    assert off(rgb_of(frame.jpeg(quality=95))[..., 0], rgb[..., 0]) <= 3
    assert frame.jpeg(160)


@pytest.mark.parametrize(
    ("pixels", "size"),
    [("yuv420p", size) for size in [(178, 100), (177, 101), (1, 1), (35, 17), (1279, 719)]]
    + [(pixels, size) for pixels in ("yuv422p", "nv12") for size in [(178, 100), (34, 17), (1278, 719)]],
)
def test_odd_sizes_and_padded_lines(pixels: str, size: tuple[int, int]) -> None:
    frame = YuvFrame(STAMP, yuv(bars(*size), pixels, "ITU709", full=False))
    assert rgb_of(frame.jpeg()).shape == (size[1], size[0], 3)
    width, height = frame.size_at(31)
    assert rgb_of(frame.jpeg(31)).shape == (height, width, 3)
    assert frame.luma(31).shape == (height, width)


def test_cropped_pictures_show_their_window() -> None:
    """H.264 codes 16 lines at a time: 360 and 1080 are cropped by the decoder."""
    rgb = bars(700, 362)
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 700, 362, "yuv420p", Fraction(10)
    encoder.time_base = encoder.framerate**-1
    encoder.options = {"preset": "ultrafast", "crf": "10"}
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p"))]
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    picture = next(picture for packet in [*packets, None] for picture in decoder.decode(packet))
    frame = YuvFrame(STAMP, picture)
    assert (frame.width, frame.height) == (700, 362)
    assert off(rgb_of(frame.jpeg(quality=95)), rgb) <= 4


def all_kinds(rgb: Array) -> list[Frame]:
    height, width = rgb.shape[:2]
    return [
        JpegFrame(STAMP, width, height, simplejpeg.encode_jpeg(rgb, 95, "RGB", "444")),
        YuvFrame(STAMP, yuv(rgb, "yuv420p", "ITU601", full=False)),
        BgrFrame(STAMP, np.ascontiguousarray(rgb[..., ::-1])),
    ]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["jpeg", "yuv", "bgr"])
@pytest.mark.parametrize("width", [1, 100, 160, 333, 640])
def test_luma_is_the_average_at_full_range(kind: int, width: int) -> None:
    rgb = bars(640, 360)
    frame = all_kinds(rgb)[kind]
    luma = frame.luma(width)
    expected = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), frame.size_at(width), interpolation=cv2.INTER_AREA)
    assert luma.dtype == np.uint8
    assert luma.shape == expected.shape
    assert np.abs(luma.astype(int) - expected.astype(int)).mean() < 4 if width > 1 else True
    assert frame.luma(width) is luma
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 1


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["jpeg", "yuv", "bgr"])
def test_never_enlarges(kind: int) -> None:
    frame = all_kinds(bars(320, 180))[kind]
    assert frame.size_at(None) == frame.size_at(5000) == (320, 180)
    assert frame.size_at(160) == (160, 90)
    assert frame.size_at(0) == (1, 1)
    assert frame.luma(5000).shape == (180, 320)
    assert frame.jpeg(5000) is frame.jpeg() is frame.jpeg(320)
    assert rgb_of(frame.jpeg(5000)).shape == (180, 320, 3)


def test_a_camera_jpeg_is_handed_on_untouched() -> None:
    data = simplejpeg.encode_jpeg(bars(320, 180), 60, "RGB", "420")
    counts = Counts()
    frame = JpegFrame(STAMP, 320, 180, data, counts)
    assert frame.jpeg() is data
    assert frame.jpeg(quality=10) is data
    assert counts.encoded == 0
    assert frame.jpeg(100) is not data
    assert counts.encoded == 1


def test_each_form_is_made_once_however_many_ask() -> None:
    counts = Counts()
    frame = YuvFrame(STAMP, yuv(bars(640, 360), "yuv420p", "ITU709", full=False), counts)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(frame.jpeg(320, 70))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({id(jpeg) for jpeg in found}) == 1
    assert counts.encoded == 1
    frame.jpeg(320, 71)
    frame.jpeg()
    assert counts.encoded == 3


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xd9"


def with_extra_bytes(data: bytes) -> bytes:
    return data[:-2] + b"\x00\x00\x00\x00" + data[-2:]


@pytest.mark.parametrize(("spoil", "readable"), [(cut_in_half, False), (with_extra_bytes, True)])
def test_a_jpeg_that_ends_too_early_is_damaged(spoil: Callable[[bytes], bytes], readable: bool) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
    frame = JpegFrame(STAMP, 160, 90, spoil(simplejpeg.encode_jpeg(noise, 85, "RGB", "420")))
    if readable:
        assert frame.luma(80).shape == (45, 80)
        return
    with pytest.raises(SourceError, match="damaged"):
        frame.luma(80)
    with pytest.raises(SourceError, match="damaged"):
        frame.jpeg(80)


def test_times_and_number_are_those_of_the_stamp() -> None:
    frame = BgrFrame(STAMP, bars(64, 48))
    assert (frame.camera, frame.number, frame.taken_at, frame.at) == STAMP
    assert (frame.width, frame.height) == (64, 48)


def test_shrink_returns_what_already_fits() -> None:
    picture = bars(64, 48)
    assert shrink(picture, (64, 48)) is picture
    assert shrink(picture, (64, 48), own=True) is not picture

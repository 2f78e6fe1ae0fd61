from __future__ import annotations

import numpy as np
import pytest
import simplejpeg

from dashboard.capture.nosignal import no_signal


@pytest.mark.parametrize("size", [(1280, 720), (480, 270), (160, 90), (240, 640), (32, 32)])
def test_dark_with_words_in_the_middle(size: tuple[int, int]) -> None:
    lines = ("no signal since 14:02:11", "connection refused")
    picture = simplejpeg.decode_jpeg(no_signal(*size, lines), "GRAY")[..., 0]
    assert picture.shape == size[::-1]
    assert np.median(picture) < 20
    assert picture[: size[1] // 4].max() < 40
    if size[0] >= 160:
        assert picture[size[1] // 3 : size[1] * 2 // 3].max() > 90


def test_made_once_for_each_text_and_size() -> None:
    first = no_signal(320, 180, ("no signal",))
    assert no_signal(320, 180, ("no signal",)) is first
    assert no_signal(320, 180, ("no signal", "")) is first
    assert no_signal(320, 180, ("no picture",)) is not first
    assert no_signal(322, 180, ("no signal",)) is not first


@pytest.mark.parametrize("line", ["", "Straße – Tür", "カメラ", "x" * 5000, "\n\t"])
def test_any_text_can_be_drawn(line: str) -> None:
    assert simplejpeg.decode_jpeg_header(no_signal(320, 180, (line, "gone")))[:2] == (180, 320)


def test_sizes_are_kept_within_reason() -> None:
    assert simplejpeg.decode_jpeg_header(no_signal(0, -5, ("x",)))[:2] == (32, 32)
    assert simplejpeg.decode_jpeg_header(no_signal(100_000, 90, ("x",)))[:2] == (90, 3840)

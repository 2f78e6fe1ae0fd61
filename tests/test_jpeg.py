from __future__ import annotations

import random

import numpy as np
import pytest
import simplejpeg

from dashboard.capture import jpeg
from dashboard.capture.jpeg import JpegCutter
from dashboard.capture.thumbnail import thumbnail


def picture(seed: int = 1, size: tuple[int, int] = (64, 48)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, 80, "RGB", "420"))


A, B, C = picture(1), picture(2), picture(3)
THUMBNAIL = b"\xff\xe1" + (len(A) + 2).to_bytes(2, "big") + A  # a JPEG inside a segment of another
NOISE = random.Random(1).randbytes(3000)


def part(body: bytes, length: int | None = None) -> bytes:
    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body + b"\r\n"


STREAMS = {
    "plain": (A + B + C, [A, B, C], 0),
    "multipart": (part(A) + part(B) + part(C), [A, B, C], 0),
    "wrong lengths": (part(A, 5) + part(B, 999999) + part(C, 0), [A, B, C], 0),
    "garbage between": (part(A) + part(NOISE) + NOISE + part(B), [A, B], 0),
    "truncated": (part(A[:700]) + part(B) + part(C[:300]) + part(A), [B, A], 2),
    "only the start marker": (b"\xff\xd8\xff" + part(B), [B], 1),
    "a thumbnail inside": (A[:2] + THUMBNAIL + A[2:] + B, [A[:2] + THUMBNAIL + A[2:], B], 0),
    "fill bytes": (A[:2] + b"\xff\xff" + A[2:] + B, [A[:2] + b"\xff\xff" + A[2:], B], 0),
    "nothing": (NOISE, [], 0),
}


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_cuts_pictures_whatever_surrounds_them(name: str, step: int) -> None:
    stream, expected, damaged = STREAMS[name]
    cutter = JpegCutter()
    found = [cut for place in range(0, len(stream), step) for cut in cutter.feed(stream[place : place + step])]
    assert found == expected
    assert cutter.damaged == damaged


def test_a_picture_is_given_as_soon_as_it_is_whole() -> None:
    assert JpegCutter().feed(part(A)[:-2]) == [A]


def bomb(side: int) -> bytes:
    """A picture that claims to be larger than it is."""
    place = A.index(b"\xff\xc0")
    return A[: place + 5] + side.to_bytes(2, "big") * 2 + A[place + 9 :]


def test_huge_pictures_are_refused_and_the_next_one_comes() -> None:
    cutter = JpegCutter()
    assert cutter.feed(bomb(8192) + B) == [B]
    assert cutter.too_large == (8192, 8192)
    assert jpeg.whole(bomb(8192)) is None


def test_endless_pictures_are_given_up() -> None:
    cutter = JpegCutter()
    zeros = bytes(1 << 20)
    cutter.feed(A[:700])
    for _ in range(20):
        assert cutter.feed(zeros) == []
    assert cutter.damaged == 1
    assert len(cutter._buffer) <= jpeg.MAX_BYTES
    assert cutter.feed(B) == [B]


def test_random_bytes_never_raise() -> None:
    source = random.Random(4)
    cutter = JpegCutter()
    for _ in range(300):
        spoiled = bytearray(A + B)
        for _ in range(source.randrange(20)):
            spoiled[source.randrange(len(spoiled))] = source.randrange(256)
        cutter.feed(bytes(spoiled[: source.randrange(len(spoiled))]))
    assert cutter.feed(C)[-1] == C


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", A[:-2], A[1:], NOISE, b"\xff\xd8\xff\xd9", bomb(0)])
def test_what_is_no_whole_jpeg(data: bytes) -> None:
    assert jpeg.whole(data) is None


def test_whole_tells_the_size() -> None:
    head = jpeg.whole(A + bytes(100))  # devices pad their buffers
    assert head is not None
    assert (head.width, head.height, head.tables) == (64, 48, True)


def without_tables(data: bytes) -> bytes:
    kept, place = data[:2], 2
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        kept += b"" if data[place + 1] == 0xC4 else data[place:end]
        place = end
    return kept + data[place:]


def test_missing_huffman_tables_are_filled_in() -> None:
    bare = without_tables(A)
    head = jpeg.whole(bare)
    assert head is not None
    assert not head.tables
    full = jpeg.with_tables(bare, head)
    assert np.array_equal(simplejpeg.decode_jpeg(full), simplejpeg.decode_jpeg(A))
    again = jpeg.whole(full)
    assert again is not None
    assert jpeg.with_tables(full, again) is full


def test_thumbnails() -> None:
    large = picture(1, (1000, 500))
    assert simplejpeg.decode_jpeg_header(thumbnail(large))[:2] == (160, 320)
    assert thumbnail(A) == A
    for bad in (b"", NOISE, A[:-2], large[: len(large) // 2] + b"\xff\xd9"):
        with pytest.raises(ValueError, match=r"whole|damaged"):
            thumbnail(bad)

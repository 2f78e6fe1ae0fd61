"""What a viewer may wish, the bytes of a part, and when the last picture still counts."""

from __future__ import annotations

import pytest

from dashboard.live.feed import QUALITIES, WIDTHS, Pace, Picture
from dashboard.live.mjpeg import BadWish, Wish, fallback, part, patience, read_wish


@pytest.mark.parametrize(
    ("query", "wish"),
    [
        ({}, Wish(None, None, 85)),
        ({"width": "320"}, Wish(320, None, 85)),
        ({"width": "321"}, Wish(480, None, 85)),
        ({"width": "16"}, Wish(160, None, 85)),
        ({"width": "3840"}, Wish(3840, None, 85)),
        ({"fps": "0.1"}, Wish(None, 0.1, 85)),
        ({"fps": "30", "quality": "20"}, Wish(None, 30.0, 30)),
        ({"quality": "95"}, Wish(None, None, 95)),
        ({"unknown": "whatever"}, Wish()),
    ],
)
def test_wishes(query: dict[str, str], wish: Wish) -> None:
    assert read_wish(query) == wish


HOSTILE = ["", " ", "-1", "0", "15", "3841", "1e3", "1e309", "nan", "inf", "-inf", "NaN", "0x10", "1_000", "٣٢٠", "+ 5"]
HOSTILE += [
    "320 ",
    " 320",
    "320\n",
    "320;ls",
    "320'",
    '"',
    "\x00",
    "9" * 5000,
    "null",
    "true",
    "[]",
    "{}",
    "320,5",
    "½",
]


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in ("width", "fps", "quality") for value in HOSTILE if (key, value) != ("fps", "15")],
)
def test_hostile_values_are_refused_in_a_sentence(key: str, value: str) -> None:
    with pytest.raises(BadWish, match=f"^{key} must be a .*number from"):
        read_wish({key: value})


def test_every_wish_falls_on_a_step() -> None:
    for width in range(16, 3841, 7):
        assert read_wish({"width": str(width)}).width in WIDTHS
    for quality in range(20, 96):
        assert read_wish({"quality": str(quality)}).quality in QUALITIES


def test_a_part_ends_with_the_next_boundary_so_that_it_is_shown_at_once() -> None:
    assert part(b"JPEG", 1.5) == (
        b"Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Timestamp: 1.500\r\n\r\nJPEG\r\n--frame\r\n"
    )
    assert b"X-Timestamp" not in part(b"JPEG", None), "a drawn picture was never taken"


def shot(at: float) -> Picture:
    return Picture(1, 0.0, at, b"")


@pytest.mark.parametrize(
    ("last", "state", "now", "shown"),
    [
        (None, "live", 100, False),
        (shot(99), "live", 100, True),
        (shot(90.1), "live", 100, True),
        (shot(90), "live", 100, False),
        (shot(99), "stalled", 100, True),
        (shot(99), "offline", 100, False),
        (shot(99), "disabled", 100, False),
        (shot(99), "connecting", 100, True),
    ],
)
def test_no_picture_older_than_ten_seconds_passes_as_live(
    last: Picture | None, state: str, now: float, shown: bool
) -> None:
    assert fallback(last, state, now) == (last if shown else None)


def test_patience_ends_when_the_picture_gets_too_old() -> None:
    assert patience(None, 100) == 3
    assert patience(shot(100), 100) == 3
    assert patience(shot(92), 100) == 2
    assert patience(shot(80), 100) == 3, "then the drawn picture is repeated slowly"


@pytest.mark.parametrize(
    ("camera_fps", "wanted", "expected"),
    [(25, 10, 10), (15, 10, 10), (10, 10, 10), (10, 30, 10), (30, 1, 1), (500, 30, 30), (12, None, 12), (30, 0.5, 0.5)],
)
@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_pace_keeps_the_wanted_rate_on_average(
    camera_fps: float, wanted: float | None, expected: float, jitter: float
) -> None:
    pace, taken = Pace(wanted), 0
    for number in range(int(camera_fps * 20)):
        now = 1000 + (number + jitter * (number % 3 - 1)) / camera_fps
        if pace.wait(now) == 0:
            pace.took(now)
            taken += 1
    assert taken / 20 == pytest.approx(expected, rel=0.06, abs=0.06)


def test_pace_does_not_catch_up_after_a_pause() -> None:
    pace = Pace(10)
    pace.took(0.0)
    taken = 0
    for hundredth in range(100):
        now = 60 + hundredth / 100
        if pace.wait(now) == 0:
            pace.took(now)
            taken += 1
    assert taken <= 11

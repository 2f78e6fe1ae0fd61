"""The generated scenes: their files are sound, and what moves in them is what their schedule says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import demo
from dashboard.motion.detect import detect
from demo import film

SMALL = (320, 180)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def scenes() -> dict[str, film.Scene]:
    """Each scene, built small."""
    return {name: film.load(name)(SMALL) for name in demo.SCENES}


class Ball:
    """A scene that costs nothing: a disc that crosses. It may fail at a moment."""

    title = "Yard"
    schedule = ((0.0, 2.0),)

    def __init__(self, size: tuple[int, int], fails_at: float = 1e9) -> None:
        self._size, self._fails_at = size, fails_at

    def frame(self, at: float) -> film.Picture:
        if at >= self._fails_at:
            raise RuntimeError("the lamp fell over")
        picture = np.full((self._size[1], self._size[0], 3), 90, np.uint8)
        cv2.circle(picture, (int(40 * at), 90), 20, (200, 60, 40), -1)
        return picture

    def gain(self, at: float) -> float:
        return 1.0


def test_a_film_is_what_a_camera_sends(tmp_path: Path) -> None:
    path = tmp_path / "ball.mp4"
    shares: list[float] = []
    film.shoot(Ball(SMALL), path, shares.append, SMALL, seconds=5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (*SMALL, "h264")
        assert stream.average_rate == film.FPS
        assert stream.codec_context.pix_fmt == "yuv420p"
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert len(packets) == 5 * film.FPS
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 20, 40]
    assert all(packet.pts == packet.dts for packet in packets), "no B-frames: pictures come in the order they are seen"
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat"), "starts before it is loaded"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_tags_say_how_colours_were_made(tmp_path: Path) -> None:
    path = tmp_path / "ball.mp4"
    film.shoot(Ball(SMALL), path, None, SMALL, seconds=0.2)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (6, 1)
        back = frame.to_ndarray(format="rgb24")[120:160, 200:300].reshape(-1, 3).mean(axis=0)
    assert np.abs(back - 90).max() < 8  # the grey of the ground, less a little for the edge of the lens


def test_the_same_code_makes_the_same_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (first, second):
        film.shoot(Ball(SMALL), path, None, SMALL, seconds=1)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", demo.SCENES)
def test_a_scene_is_the_same_each_time(name: str, scenes: dict[str, film.Scene]) -> None:
    again = film.load(name)(SMALL)
    for at in (0.0, 9.0, 30.0):
        assert np.array_equal(scenes[name].frame(at), again.frame(at)), at


def test_what_stops_a_film_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lamp fell"):
        film.shoot(Ball(SMALL, fails_at=0.8), tmp_path / "ball.mp4", None, SMALL, seconds=2)
    assert list(tmp_path.iterdir()) == []


def test_a_film_replaces_an_older_one_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "ball.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        film.shoot(Ball(SMALL, fails_at=0.5), path, None, SMALL, seconds=1)
    assert path.read_bytes() == b"old"


def test_schedules_leave_room_for_quiet() -> None:
    for name in demo.SCENES:
        times = demo.schedule(name)
        assert len(times) >= 2, name
        assert 2 < times[0][0] < 15, f"{name}: a newcomer sees the first event soon"
        around = [*times, (times[0][0] + film.LOOP, 0.0)]
        for (_, end), (start, _) in pairwise(around):
            assert start - end >= 12, f"{name}: quiet from {end} to {start}"


@pytest.mark.parametrize("name", demo.SCENES)
def test_things_move_when_the_schedule_says_so(name: str, scenes: dict[str, film.Scene]) -> None:
    scene = scenes[name]
    times = scene.schedule
    for start, end in times:
        assert max(_change(scene, start + (end - start) * share) for share in (0.3, 0.5, 0.7)) > 0.3, (start, end)
    for (_, end), (start, _) in zip(times, [*times[1:], (film.LOOP, 0.0)], strict=True):
        for at in np.linspace(end + 1.0, start - 0.6, 7):
            assert _change(scene, float(at)) < 0.15, at


@pytest.mark.parametrize("name", demo.SCENES)
def test_the_loop_has_no_seam(name: str, scenes: dict[str, film.Scene]) -> None:
    last, first = (scenes[name].frame(at).astype(int) for at in (film.LOOP - 1 / film.FPS, 0.0))
    assert np.abs(last - first).mean() < 0.6


def _change(scene: film.Scene, at: float) -> float:
    """Share of the picture, in %, that differs clearly from the one 0.4 s before, beyond a pixel of sway."""
    before, now = (cv2.blur(scene.frame(t), (5, 5)).mean(axis=2) for t in (at - 0.4, at))
    return float((np.abs(now - before) > 12).mean() * 100)


def test_the_overlay_tells_the_time() -> None:
    luma, chroma = np.full((180, 320), 90, np.uint8), np.full((90, 320), 100, np.uint8)
    film.overlay(luma, chroma, "Yard", 12.9)
    again = np.full((180, 320), 90, np.uint8)
    film.overlay(again, chroma, "Yard", 13.0)
    rows, columns = np.nonzero(luma != again)
    assert 0 < len(rows) < 60, "one digit changes, no more"
    assert luma.max() == 225
    assert columns.min() > 160


def test_unknown_scenes_are_refused(tmp_path: Path) -> None:
    for call in (demo.file_name, demo.schedule, lambda name: demo.render(name, tmp_path / "x.mp4")):
        with pytest.raises(KeyError):
            call("beach")


def test_a_disk_that_refuses_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "load", lambda name: Ball)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(demo.RenderError, match="courtyard could not be filmed"):
        demo.render("courtyard", tmp_path / "file" / "x.mp4")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(scene: film.Scene, path: Path, *rest: object) -> None:
        path.write_bytes(b"half")
        raise av.FFmpegError(28, "No space left on device")

    monkeypatch.setattr(film, "load", lambda name: Ball)
    monkeypatch.setattr(film, "_encode", encode)
    with pytest.raises(demo.RenderError, match="No space left"):
        demo.render("courtyard", tmp_path / "x.mp4")
    assert list(tmp_path.iterdir()) == []


@dataclass
class FakeCrews:
    """Stands in for the processes: writes what they would."""

    rounds: int = 0

    def __call__(self, missing: dict[str, Path], progress: object) -> None:
        self.rounds += 1
        for path in missing.values():
            path.write_bytes(b"film")


def test_only_what_is_missing_is_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crews = FakeCrews()
    monkeypatch.setattr(demo, "_render_all", crews)
    old, mine = tmp_path / "courtyard-0123456789.mp4", tmp_path / "courtyard.mp4"
    stale, fresh = tmp_path / ".parking-abc.part", tmp_path / ".parking-def.part"
    for path in (old, mine, stale, fresh):
        path.write_bytes(b"x")
    _age(stale, 3600)
    files = demo.render_missing(tmp_path)
    assert files == {name: tmp_path / demo.file_name(name) for name in demo.SCENES}
    assert not old.exists()
    assert mine.exists(), "only films of this package are removed"
    assert not stale.exists()
    assert fresh.exists(), "somebody may still write to it"
    assert demo.render_missing(tmp_path) == files
    assert crews.rounds == 1
    files["parking"].unlink()
    demo.render_missing(tmp_path)
    assert crews.rounds == 2


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_failed_crew_says_why(tmp_path: Path) -> None:
    with pytest.raises(demo.RenderError, match=r"beach could not be filmed: usage"):
        demo._render_all({"beach": tmp_path / "x.mp4"}, lambda share: None)
    assert list(tmp_path.iterdir()) == []


def test_a_crew_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    crew = demo._Crew("corridor", tmp_path / "x.mp4")
    deadline = time.monotonic() + 60
    while crew.busy and crew.share == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert crew.busy
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    crew.stop()
    assert not crew.busy
    assert list(tmp_path.iterdir()) == []


def test_the_demo_stands_alone() -> None:
    code = "import sys, demo.film; sys.exit(any(name.split('.')[0] == 'dashboard' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@dataclass(frozen=True)
class Settings:
    """The detector's defaults."""

    threshold: int = 30
    min_area: float = 0.3
    mask: tuple[()] = ()
    minimum_motion_frames: int = 2
    event_gap: float = 5.0


@dataclass(frozen=True)
class Still:
    """A decoded picture, as the detector wants it."""

    at: float
    grey: np.ndarray

    def luma(self, width: int = 160) -> np.ndarray:
        return self.grey


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_detector_finds_what_the_schedule_says_and_nothing_else(tmp_path: Path) -> None:
    shares: list[float] = []
    files = demo.render_missing(tmp_path, shares.append)
    assert shares[-1] == 1.0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(demo.file_name(name) for name in demo.SCENES)
    for name, path in files.items():
        assert path.stat().st_size < 6_000_000
        found = detect(_twice(path), Settings()).events
        expected = [(start + turn, end + turn) for turn in (0.0, film.LOOP) for start, end in demo.schedule(name)]
        assert len(found) == len(expected), (name, found)
        for event, (start, end) in zip(found, expected, strict=True):
            assert start - 1 < event.start < start + 4, (name, event, start)
            assert end - 4 < event.end < end + 1, (name, event, end)


def _twice(path: Path) -> Iterator[Still]:
    """The pictures of a film played twice, so that its seam is seen."""
    for turn in (0.0, film.LOOP):
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                grey = cv2.resize(frame.to_ndarray(format="gray"), (160, 90), interpolation=cv2.INTER_AREA)
                yield Still(float(frame.time or 0) + turn, grey)

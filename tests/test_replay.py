from __future__ import annotations

import itertools
import time
from contextlib import closing
from pathlib import Path

import av
import pytest

from dashboard.capture import replay
from dashboard.capture.replay import ReplaySource, read_file
from dashboard.capture.source import Packet, open_source
from dashboard.errors import SourceError
from tests.capture_fakes import FakeSpec
from tests.servers.clips import ClipMaker, draw, encode, read_number


class Clock:
    """Stands in for the module time: passes only when somebody sleeps, or when the test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.5
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replay, "time", clock)
    return clock


def take(source: ReplaySource, count: int) -> list[Packet]:
    found: list[Packet] = []
    while len(found) < count:
        packet = source.read()
        if packet is not None:
            found.append(packet)
    return found


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0), ("mjpeg", 0)])
def test_plays_at_its_own_speed_round_after_round(
    make_clip: ClipMaker, clock: Clock, codec: str, b_frames: int
) -> None:
    clip = make_clip(codec, b_frames=b_frames)
    with closing(ReplaySource(FakeSpec(kind="replay", replay=clip.path))) as source:
        packets = take(source, 3 * clip.frames)
    steps = [after.at - before.at for before, after in itertools.pairwise(packets)]
    assert max(steps) == pytest.approx(0.1, abs=0.02)
    assert min(steps) == pytest.approx(0.1, abs=0.02)
    stamps = [packet.dts for packet in packets if packet.dts is not None]
    assert stamps == sorted(set(stamps))
    assert {packet.codec for packet in packets} == {codec}
    assert packets[clip.frames].key
    assert packets[clip.frames].data == packets[0].data
    shown = sorted(packet.pts for packet in packets if packet.pts is not None)
    assert len(set(shown)) == len(shown) == 3 * clip.frames


def test_a_short_hiccup_is_caught_up_and_a_long_one_is_not(make_clip: ClipMaker, clock: Clock) -> None:
    with closing(ReplaySource(FakeSpec(kind="replay", replay=make_clip("h264").path))) as source:
        start = take(source, 1)[0].at
        clock.now += 0.75
        assert take(source, 9)[-1].at == pytest.approx(start + 0.9, abs=0.01)
        clock.now += 60
        late = take(source, 30)
        assert late[0].at == clock.now - 2.9 == pytest.approx(late[-1].at - 2.9, abs=0.01)
        assert late[1].at - late[0].at == pytest.approx(0.1, abs=0.01)


def test_waits_are_short_so_that_it_can_be_stopped(make_clip: ClipMaker, clock: Clock) -> None:
    clip = make_clip("h264", fps=1, seconds=3)
    with closing(ReplaySource(FakeSpec(kind="replay", replay=str(clip.path)))) as source:
        assert source.read() is not None
        assert source.read() is None
        assert source.read() is not None


def test_files_with_one_picture_are_played(make_clip: ClipMaker, clock: Clock) -> None:
    clip = make_clip("mjpeg", fps=10, seconds=0.1)
    with closing(ReplaySource(FakeSpec(kind="replay", replay=clip.path))) as source:
        assert len(take(source, 5)) == 5


@pytest.mark.parametrize("fps", [1000, 90_000])
def test_nonsense_rates_do_not_matter(tmp_path: Path, clock: Clock, fps: int) -> None:
    path = tmp_path / "fast.mp4"
    encode(path, draw((320, 240), 30), "h264", (320, 240), fps)
    with closing(ReplaySource(FakeSpec(kind="replay", replay=path))) as source:
        packets = take(source, 70)
    assert packets[-1].at - packets[0].at == pytest.approx(69 / 25, abs=0.05)
    stamps = [packet.dts for packet in packets]
    assert stamps == list(range(70))
    assert [frame.at for frame in read_file(path)][-1] == pytest.approx(29 / 25)


NO_VIDEO = {
    "text.mp4": b"hello " * 1000,
    "empty.mp4": b"",
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
    "list.txt": b"ffconcat version 1.0\nfile 'clip.mp4'\n",
    "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", NO_VIDEO)
def test_what_is_no_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(NO_VIDEO[name])
    with pytest.raises(SourceError, match="not a video"):
        open_source(FakeSpec(kind="replay", replay=path))
    with pytest.raises(SourceError, match="not a video"):
        next(read_file(path))


@pytest.mark.parametrize(
    "path", ["/nowhere/clip.mp4", "http://127.0.0.1:1/clip.mp4", "concat:/etc/passwd|/etc/hosts", "data:x", "/", ""]
)
def test_what_is_no_file(path: str) -> None:
    with pytest.raises(SourceError, match=r"no such file|no file is given"):
        open_source(FakeSpec(kind="replay", replay=path or None))
    with pytest.raises(SourceError, match="no such file"):
        next(read_file(Path(path)))


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for packet in stream.encode(None):
            container.mux(packet)
    with pytest.raises(SourceError):
        open_source(FakeSpec(kind="replay", replay=path))


def test_a_file_that_was_cut_off_plays_what_there_is(make_clip: ClipMaker, tmp_path: Path, clock: Clock) -> None:
    data = make_clip("mjpeg").path.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(data[: len(data) * 2 // 3])
    with closing(ReplaySource(FakeSpec(kind="replay", replay=path))) as source:
        assert len(take(source, 60)) == 60
    assert 10 < len(list(read_file(path))) < 40


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0), ("mjpeg", 0)])
def test_read_once_as_fast_as_it_goes(make_clip: ClipMaker, codec: str, b_frames: int) -> None:
    clip = make_clip(codec, b_frames=b_frames)
    start = time.monotonic()
    frames = list(read_file(clip.path))
    assert time.monotonic() - start < 3
    assert [read_number(frame.luma(320)) for frame in frames] == list(range(clip.frames))
    assert [frame.at for frame in frames] == pytest.approx([index / clip.fps for index in range(clip.frames)])
    assert [frame.number for frame in frames] == list(range(1, clip.frames + 1))


@pytest.mark.clips
def test_labelled_footage_can_be_read(clips: Path) -> None:
    first = next(read_file(clips / "pedestrians_hevc.mp4"))
    assert (first.width, first.height) == (768, 576)
    first = next(read_file(clips / "waving_tree_mjpeg.avi"))
    assert (first.width, first.height) == (320, 240)

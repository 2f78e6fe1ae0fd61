"""Packets into fragmented MP4: what a decoder makes of it, where a viewer begins, and how odd stamps are placed."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from dashboard.capture.fragments import TICKS, Fragment, Fragments, Timeline
from dashboard.capture.nal import describe, has_lengths, units, with_lengths
from dashboard.capture.source import Packet
from tests.servers.clips import ClipMaker, read_number

BASE = Fraction(1, 90_000)


def packets(path: str, annex_b: bool = True) -> list[Packet]:
    """The packets of a file; as cameras send them, with start codes and the parameter sets in front of key frames."""
    found = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        filter = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream) if annex_b else None
        for packet in container.demux(stream):
            for piece in filter.filter(packet) if filter and packet.size else [packet]:
                if piece.size:
                    at = float((piece.dts or 0) * (piece.time_base or BASE))
                    extradata = None if annex_b else stream.codec_context.extradata
                    found.append(
                        Packet(bytes(piece), piece.is_keyframe, codec, piece.pts, piece.dts,
                               piece.time_base or BASE, 1000 + at, at, extradata)
                    )  # fmt: skip
    return found


def written(fragments: list[Fragment]) -> bytes:
    return fragments[0].opening.data + b"".join(fragment.data for fragment in fragments)


def numbers(file: bytes) -> list[int | None]:
    with av.open(io.BytesIO(file)) as container:
        return [read_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0)])
@pytest.mark.parametrize("annex_b", [True, False])
def test_every_picture_comes_out_once_and_in_order(
    make_clip: ClipMaker, codec: str, b_frames: int, annex_b: bool
) -> None:
    clip = make_clip(codec, (320, 240), fps=10, seconds=3, gop=10, b_frames=b_frames)
    fragments, got = Fragments(), []
    with fragments.channel.subscribe() as viewer:
        for packet in packets(str(clip.path), annex_b):
            fragments.take(packet)
            while (fragment := viewer.poll()) is not None:
                got.append(fragment)
    assert len(got) == clip.frames
    assert [fragment.key for fragment in got] == [place % 10 == 0 for place in range(clip.frames)]
    assert numbers(written(got)) == list(range(clip.frames))
    assert (got[0].opening.width, got[0].opening.height) == (320, 240)
    assert got[0].opening.name.startswith({"h264": "avc1.", "hevc": "hvc1."}[codec])
    assert len({id(fragment.opening) for fragment in got}) == 1


def test_who_comes_late_begins_at_the_newest_key_frame(make_clip: ClipMaker) -> None:
    sent = packets(str(make_clip("h264", (320, 240), fps=10, seconds=3, gop=10).path))
    fragments = Fragments()
    for packet in sent[:15]:
        fragments.take(packet)
    assert fragments.channel.newest is None, "nothing is written while nobody follows"
    first = fragments.channel.subscribe(since=lambda fragment: fragment.key)
    for packet in sent[15:27]:
        fragments.take(packet)
    got = [fragment for _ in range(30) if (fragment := first.poll())]
    assert numbers(written(got)) == list(range(10, 27))
    second = fragments.channel.subscribe(since=lambda fragment: fragment.key)
    fragments.take(sent[27])
    got = [fragment for _ in range(30) if (fragment := second.poll())]
    assert numbers(written(got)) == list(range(20, 28))
    first.close()
    second.close()
    fragments.take(sent[28])
    third = fragments.channel.subscribe(since=lambda fragment: fragment.key)
    fragments.take(sent[29])
    assert third.poll() is None, "what was written for others is gone; the next key frame begins anew"
    third.close()


def test_a_long_group_is_given_up_instead_of_filling_the_memory(make_clip: ClipMaker) -> None:
    sent = packets(str(make_clip("h264", (320, 240), fps=10, seconds=3, gop=10).path))
    fragments = Fragments()
    fragments.take(replace(sent[0], data=sent[0].data + b"\x00" * (5 << 20)))
    fragments.take(replace(sent[1], data=sent[1].data + b"\x00" * (5 << 20)))
    with fragments.channel.subscribe() as viewer:
        fragments.take(sent[2])
        assert viewer.poll() is None
        fragments.take(sent[10])
        assert viewer.poll() is not None


def test_parameter_sets_are_needed_and_left_out_of_the_pictures(make_clip: ClipMaker) -> None:
    first = packets(str(make_clip("h264", (320, 240), fps=10, seconds=3, gop=10).path))[0]
    assert not has_lengths(first)
    kinds = [unit[0] & 0x1F for unit in units(first.data)]
    assert {7, 8, 5} <= set(kinds)
    bare = b"".join(b"\x00\x00\x00\x01" + unit for unit in units(first.data) if unit[0] & 0x1F == 5)
    assert describe(replace(first, data=bare)) is None
    announced = b"".join(b"\x00\x00\x00\x01" + unit for unit in units(first.data) if unit[0] & 0x1F in (7, 8))
    assert describe(replace(first, data=bare, extradata=announced)) == describe(first)
    assert with_lengths(first)[4] & 0x1F not in (7, 8)


def stamped(pts: int | None, dts: int | None, at: float) -> Packet:
    return Packet(b"", False, "h264", pts, dts, BASE, at, at)


@pytest.mark.parametrize(
    ("stamps", "decode", "shift"),
    [
        ([(0, 0, 0.0), (9000, 9000, 0.1), (18000, 18000, 0.2)], [0, 9000, 18000], [0, 0, 0]),
        ([(None, None, 0.0), (None, None, 0.1), (None, None, 0.3)], [0, 9000, 27000], [0, 0, 0]),
        ([(0, 0, 0.0), (900_000_000, 900_000_000, 0.1)], [0, 9000], [0, 0]),  # a clock that was set
        ([(9000, 9000, 0.0), (9000, 9000, 0.1)], [0, 9000], [0, 0]),  # repeated
        ([(9000, 0, 0.0), (36000, 9000, 0.1), (18000, 18000, 0.2)], [0, 9000, 18000], [9000, 27000, 0]),  # B-frames
        ([(0, 0, 0.0), (9000, 9000, 0.0), (18000, 18000, 0.0)], [0, 9000, 18000], [0, 0, 0]),  # came in one burst
    ],
)
def test_times_only_grow(
    stamps: list[tuple[int | None, int | None, float]], decode: list[int], shift: list[int]
) -> None:
    timeline = Timeline()
    placed = [timeline.place(stamped(*one)) for one in stamps]
    assert [at for _, at, _ in placed] == decode
    assert [late for _, _, late in placed] == shift
    assert all(0 < lasts <= 5 * TICKS for lasts, _, _ in placed)


def test_a_pause_does_not_make_the_picture_after_it_last() -> None:
    timeline = Timeline()
    placed = [timeline.place(stamped(round(at * TICKS), round(at * TICKS), at)) for at in (0, 0.1, 0.2, 2.2, 2.3)]
    assert placed[3][1] == round(2.2 * TICKS)
    assert max(lasts for lasts, _, _ in placed) <= 0.2 * TICKS

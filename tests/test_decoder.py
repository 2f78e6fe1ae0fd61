from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from dashboard.capture import decoder as decoders
from dashboard.capture.decoder import Decoder
from dashboard.capture.frame import Counts, Frame
from dashboard.capture.source import Packet
from tests.servers.clips import Clip, ClipMaker, read_number


def packets(clip: Clip) -> list[Packet]:
    """Every packet of a clip; packet number n comes at n seconds."""
    with av.open(str(clip.path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        return [
            Packet(
                bytes(packet),
                packet.is_keyframe,
                context.name,
                packet.pts,
                packet.dts,
                stream.time_base or Fraction(1, 1),
                1000.0 + index,
                float(index),
                context.extradata,
            )
            for index, packet in enumerate(packet for packet in container.demux(stream) if packet.size)
        ]


class Bench:
    """A decoder and what came of it."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.decoder = Decoder("door", itertools.count(1), self.counts)
        self.frames: list[Frame] = []

    def push(self, packet: Packet, wanted: bool = True) -> int | None:
        """The number burnt into the picture that comes of this packet."""
        frame = self.decoder.push(packet, wanted)
        if frame is None:
            return None
        self.frames.append(frame)
        return read_number(frame.luma(320))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.decoder.close()


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_every_picture_comes_once_and_in_order(make_clip: ClipMaker, bench: Bench, codec: str) -> None:
    stream = packets(make_clip(codec))
    shown = [bench.push(packet) for packet in stream]
    assert [number for number in shown if number is not None] == list(range(40))[: len(shown)]
    assert bench.counts.decoded == 40
    assert [frame.number for frame in bench.frames] == list(range(1, 41))
    assert [frame.at for frame in bench.frames] == [packet.at for packet in stream]
    assert {frame.camera for frame in bench.frames} == {"door"}


def test_times_never_go_back_when_pictures_are_sent_out_of_order(make_clip: ClipMaker, bench: Bench) -> None:
    shown = [bench.push(packet) for packet in packets(make_clip("h264", b_frames=2))]
    numbers = [number for number in shown if number is not None]
    assert numbers == sorted(numbers)
    times = [frame.at for frame in bench.frames]
    assert times == sorted(times)
    assert all(frame.taken_at - frame.at == 1000 for frame in bench.frames)


def test_nothing_is_decoded_while_nobody_looks(make_clip: ClipMaker, bench: Bench) -> None:
    for codec in ("h264", "mjpeg"):
        assert [bench.push(packet, wanted=False) for packet in packets(make_clip(codec))] == [None] * 40
    assert bench.counts.decoded == 0


def test_who_comes_between_key_frames_gets_the_newest_at_once(make_clip: ClipMaker, bench: Bench) -> None:
    stream = packets(make_clip("h264", gop=10))
    for packet in stream[:17]:
        bench.push(packet, wanted=False)
    assert bench.push(stream[17]) == 17
    assert bench.counts.decoded == 8  # 10 to 17
    assert len(bench.frames) == 1


def test_no_picture_is_decoded_twice_when_somebody_goes_and_comes_back(make_clip: ClipMaker, bench: Bench) -> None:
    stream = packets(make_clip("h264", gop=20))
    shown = [bench.push(packet, wanted=index // 3 % 2 == 0) for index, packet in enumerate(stream)]
    wanted = [index for index in range(40) if index // 3 % 2 == 0]
    assert [number for number in shown if number is not None] == wanted
    assert bench.counts.decoded <= 40


def test_joins_at_the_next_key_frame(make_clip: ClipMaker, bench: Bench) -> None:
    shown = [bench.push(packet) for packet in packets(make_clip("h264", gop=10))[5:]]
    assert shown[:5] == [None] * 5
    assert shown[5:] == list(range(10, 40))
    assert bench.counts.damaged == 0


def test_damage_ends_at_the_next_key_frame(make_clip: ClipMaker, bench: Bench) -> None:
    stream = packets(make_clip("h264", gop=10))
    stream[13] = replace(stream[13], data=b"\x00\x00\x00\x20" + bytes(40))
    shown = [bench.push(packet) for packet in stream]
    assert shown[:13] == list(range(13))
    assert shown[13:20] == [None] * 7
    assert shown[20:] == list(range(20, 40))
    assert bench.counts.damaged == 1


def test_a_stream_without_marked_key_frames_is_decoded_after_a_while(make_clip: ClipMaker, bench: Bench) -> None:
    stream = [replace(packet, key=False) for packet in packets(make_clip("h264", gop=10))]
    shown = [bench.push(packet) for packet in stream]
    assert shown[:11] == [None] * 11
    assert shown[-1] == 39


def test_what_waits_is_bounded(make_clip: ClipMaker, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "MAX_WAITING", 5)
    stream = packets(make_clip("h264", gop=10))
    for packet in stream[:9]:
        bench.push(packet, wanted=False)
    assert len(bench.decoder._waiting) <= 5
    assert bench.push(stream[9]) is None  # what it needs was dropped
    assert bench.push(stream[10]) == 10
    monkeypatch.setattr(decoders, "MAX_WAITING_BYTES", 1)
    bench.push(stream[20], wanted=False)
    assert bench.decoder._waiting_bytes == 0


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_another_resolution_in_the_middle(make_clip: ClipMaker, bench: Bench, codec: str) -> None:
    small, large = packets(make_clip(codec)), packets(make_clip(codec, (640, 368)))
    for packet in [*small[:10], *large[:10], *small[:10]]:
        bench.push(replace(packet, extradata=packet.extradata if codec == "mjpeg" else None, data=annex_b(packet)))
    sizes = [(frame.width, frame.height) for frame in bench.frames]
    assert sizes == [(320, 240)] * 10 + [(640, 368)] * 10 + [(320, 240)] * 10
    assert bench.counts.damaged == 0


def annex_b(packet: Packet) -> bytes:
    """H.264 as a camera sends it, with the parameters before each key frame."""
    if packet.codec != "h264":
        return packet.data
    units, data = [], packet.data
    if packet.key and packet.extradata:
        place = 6
        for _ in range(2):  # one SPS, one PPS
            size = int.from_bytes(packet.extradata[place : place + 2], "big")
            units.append(packet.extradata[place + 2 : place + 2 + size])
            place += 3 + size
    while data:
        size = int.from_bytes(data[:4], "big")
        units.append(data[4 : 4 + size])
        data = data[4 + size :]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


def test_truncated_jpegs_are_dropped_and_counted(make_clip: ClipMaker, bench: Bench) -> None:
    stream = packets(make_clip("mjpeg"))
    half = replace(stream[1], data=stream[1].data[: len(stream[1].data) // 2])
    assert [bench.push(packet) for packet in (stream[0], half, stream[2])] == [0, None, 2]
    assert (bench.counts.decoded, bench.counts.damaged) == (2, 1)


def test_frames_outlive_the_decoder(make_clip: ClipMaker, bench: Bench) -> None:
    for packet in packets(make_clip("h264")):
        bench.push(packet)
    bench.decoder.close()
    assert bench.frames[0].jpeg()[:2] == b"\xff\xd8"
    assert read_number(bench.frames[3].luma(320)) == 3

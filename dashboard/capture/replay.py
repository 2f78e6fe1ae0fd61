"""Recorded files: played in a loop at their own speed as if live, or read once as fast as it goes.

A file is opened as a file and as nothing else: no network, no playlist, no list of further files.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.stream

from dashboard.capture import jpeg
from dashboard.capture.decoder import new_codec, to_av
from dashboard.capture.frame import Frame, JpegFrame, Stamp, YuvFrame, acceptable
from dashboard.capture.network import demux
from dashboard.capture.source import Packet, Spec
from dashboard.errors import SourceError

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,flv,h264,hevc,mjpeg,mpeg,ogg"
WAIT = 0.5  # seconds after which a reader comes back to see whether it is to stop
TOO_LATE = 1.0
"""Seconds of delay that are caught up; after a longer one the clip goes on from where it is."""
USUAL_FPS = 25.0  # where a file does not tell, or tells nonsense
MOST_FPS = 240.0


class ReplaySource:
    """A clip without end: its timestamps keep rising from round to round."""

    def __init__(self, spec: Spec) -> None:
        if spec.replay is None:
            raise SourceError("no file is given")
        self._path = Path(spec.replay)
        self._container = _open(self._path)
        self._packets = _demux(self._container)
        self._next: Packet | None = None
        self._start: float | None = None  # monotonic time of the clip's time 0
        self._shift = 0.0  # seconds that the rounds before took
        self._length = 0.0  # of this round so far, with the last picture's own time
        self._first: float | None = None  # the clip's own time of its first picture
        self._interval = 1 / USUAL_FPS
        self._paced = _rate(self._container) is None  # times are counted, not read
        self._count = itertools.count()

    def read(self) -> Packet | None:
        """The next picture when it is due; None when none is due within half a second."""
        packet = self._next
        if packet is None:
            packet = self._next = self._take()
        time_base = packet.time_base
        due = self._due(packet)
        now = time.monotonic()
        if now < due:
            time.sleep(min(WAIT, due - now))
            now = time.monotonic()
            if now < due:
                return None
        elif now - due > TOO_LATE and self._start is not None:
            self._start += now - due
        self._next = None
        ticks = round(self._shift / time_base)
        return replace(
            packet,
            pts=None if packet.pts is None else packet.pts + ticks,
            dts=None if packet.dts is None else packet.dts + ticks,
            taken_at=time.time(),
            at=now,
        )

    def close(self) -> None:
        """Close the file."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def _take(self) -> Packet:
        packet = _step(self._packets)
        if packet is None:
            if self._first is None:
                raise SourceError("the file has no picture")
            self._rewind()
            packet = _step(self._packets)
            if packet is None:
                raise SourceError("the file has no picture")
        if self._paced:
            packet = replace(packet, pts=None, dts=next(self._count), time_base=Fraction(1, int(USUAL_FPS)))
        self._measure(packet)
        return packet

    def _rewind(self) -> None:
        self._shift += self._length
        self._length = 0.0
        self._count = itertools.count()
        self.close()
        self._container = _open(self._path)
        self._packets = _demux(self._container)

    def _measure(self, packet: Packet) -> None:
        """Note how long the clip is so far."""
        seconds = self._seconds(packet)
        if self._first is None:
            self._first = seconds
        place = seconds - self._first
        step = place + self._interval - self._length
        if place > 0 and 0 < step < 10:
            self._interval = step
        self._length = max(self._length, place + self._interval)

    def _due(self, packet: Packet) -> float:
        place = self._shift + self._seconds(packet) - (self._first or 0.0)
        if self._start is None:
            self._start = time.monotonic() - place
        return self._start + place

    def _seconds(self, packet: Packet) -> float:
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None:
            return (self._first or 0.0) + self._length
        return float(stamp * packet.time_base)


def read_file(path: Path) -> Iterator[Frame]:
    """Every picture of a recorded file, as fast as it can be decoded; `at` and `taken_at` are index / fps, in seconds.

    Raises `SourceError` when there is no such file or no video in it; a picture that cannot be decoded is left out.
    """
    container = _open(path)
    try:
        packets = _demux(container)
        fps = _rate(container) or USUAL_FPS
        for index, frame in enumerate(_frames(packets, path.stem)):
            frame.at = frame.taken_at = index / fps
            yield frame
    finally:
        container.close()


def _frames(packets: Iterator[Packet], name: str) -> Iterator[Frame]:
    codec: av.VideoCodecContext | None = None
    number = 0

    def decode(packet: av.Packet[av.stream.Stream] | None) -> Iterator[Frame]:
        nonlocal number
        assert codec is not None
        try:
            pictures = codec.decode(packet)
        except av.error.FFmpegError:
            return
        for picture in pictures:
            if acceptable(picture.width, picture.height):
                number += 1
                yield YuvFrame(Stamp(name, number, 0.0, 0.0), picture)

    while (packet := _step(packets)) is not None:
        if packet.codec == "mjpeg":
            head = jpeg.whole(packet.data)
            if head:
                number += 1
                data = jpeg.with_tables(packet.data, head)
                yield JpegFrame(Stamp(name, number, 0.0, 0.0), head.width, head.height, data)
            continue
        codec = codec or new_codec(packet)
        yield from decode(to_av(packet))
    if codec is not None:
        yield from decode(None)


def _rate(container: av.container.InputContainer) -> float | None:
    """Pictures a second as the file tells; None where it tells nothing, or nonsense."""
    stream = container.streams.video[0]
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0 < rate <= MOST_FPS else None


def _open(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise SourceError("there is no such file")
    try:
        options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
        return av.open(f"file:{path.absolute()}", options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise SourceError("the file may not be read") from None
        raise SourceError("the file is not a video that can be read") from None


def _demux(container: av.container.InputContainer) -> Iterator[Packet]:
    try:
        return demux(container)
    except BaseException:
        container.close()
        raise


def _step(packets: Iterator[Packet]) -> Packet | None:
    try:
        return next(packets, None)
    except (av.error.FFmpegError, OSError):
        return None  # a file that was cut off ends where it can no longer be read

"""A camera's compressed pictures as fragmented MP4, each picture one fragment, made once for all who watch.

Written here and not by a library because a library holds each picture back until the next one comes, to know how long
it lasts, and wants an encoder for the description of the stream. Nothing is decoded. What units are, see nal.py; who
gets the fragments, and when somebody is too late, belongs to the live side.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from io import BytesIO

import av
import av.error

from dashboard.capture.nal import PLAYABLE, Description, describe, with_lengths
from dashboard.capture.source import Packet
from dashboard.channel import Channel

TICKS = 90_000
"""Of the time in fragments, a second."""
MAX_BYTES = 8 << 20
MAX_PICTURES = 1000
"""Bounds of what is kept since the last key frame; a stream with fewer key frames is begun at the next one."""
LONGEST_STEP = 5.0  # s: a longer one between two pictures is a clock that was set
DEPTH = 2 * MAX_PICTURES


@dataclass(frozen=True, slots=True)
class Opening:
    """What a player needs first: `data` (ftyp and moov), `name` of the codec (RFC 6381), sizes in pixels."""

    data: bytes
    name: str
    codec: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One picture (moof and mdat). `start`: s on the stream's own timeline; `taken_at` epoch, `at` monotonic, s."""

    data: bytes
    opening: Opening
    key: bool
    start: float
    number: int
    taken_at: float
    at: float


class Fragments:
    """Packets in, fragments out on `channel`, which begins at a key frame and keeps the last two groups of pictures.

    While nobody follows, only the packets since the last key frame are kept; who comes then gets them at the next
    packet. Called in the camera's thread.
    """

    def __init__(self) -> None:
        self.channel: Channel[Fragment] = Channel(depth=DEPTH)
        self._group: deque[Packet] = deque()  # since the last key frame, while not yet written
        self._size = 0
        self._timeline = Timeline()
        self._opening: Opening | None = None
        self._described: Description | None = None
        self._number = 0
        self._written = 0  # fragments since the last key frame

    def take(self, packet: Packet) -> None:
        """The next packet of the camera."""
        if packet.codec not in PLAYABLE:
            return
        if packet.key:
            self._group.clear()
            self._size = 0
        elif not self._group and not self._written:
            return  # nothing to begin with
        self._group.append(packet)
        self._size += len(packet.data)
        if self.channel.followers:
            while self._group:
                self._write(self._group.popleft())
            self._size = 0
        else:
            if self._written:
                self._rest(packet)
            if self._size > MAX_BYTES or len(self._group) > MAX_PICTURES:
                self.forget()

    def forget(self) -> None:
        """The connection ended: what comes next begins anew."""
        self._group.clear()
        self._size = self._written = 0
        self._described = None
        self._timeline = Timeline()
        self.channel.clear()

    def _rest(self, packet: Packet) -> None:
        """Nobody follows any more. What was written cannot be had again, so the next one begins at a key frame."""
        self._written = 0
        self.channel.clear()
        if not packet.key:
            self._group.clear()
            self._size = 0

    def _write(self, packet: Packet) -> None:
        if packet.key:
            self._describe(packet)
            self.channel.trim(self._written)
            self._written = 0
        if self._opening is None or self._described is None:
            return
        self._number += 1
        self._written += 1
        step, decode, shift = self._timeline.place(packet)
        body = with_lengths(packet)
        data = moof(self._number, decode, step, shift, len(body), packet.key) + box(b"mdat", body)
        start = (decode + shift) / TICKS
        fragment = Fragment(data, self._opening, packet.key, start, self._number, packet.taken_at, packet.at)
        self.channel.publish(fragment)
        if self._written > MAX_PICTURES:
            self.channel.trim(MAX_PICTURES)

    def _describe(self, packet: Packet) -> None:
        found = describe(packet)
        if found is None or found == self._described:
            self._described = found or self._described
            return
        self._described = found
        body = with_lengths(packet)
        first = moof(1, 0, TICKS, 0, len(body), key=True) + box(b"mdat", body)
        width, height = size_of(opening(found, 16, 16) + first)
        self._opening = Opening(opening(found, width, height), found.name, found.codec, width, height)


class Timeline:
    """Places pictures in time by the camera's clock where that makes sense, else by when they came.

    Players want decoding times that only grow; cameras leave out stamps, repeat them, and set their clocks.
    """

    def __init__(self) -> None:
        self._decode = 0
        self._last: Packet | None = None
        self._lasts = TICKS // 15

    def place(self, packet: Packet) -> tuple[int, int, int]:
        """How long the picture lasts by guess, when it is decoded, and how much later it is shown, in ticks."""
        if self._last is not None:
            step = self._since(self._last, packet)
            self._decode += step
            # After a pause a step says nothing of how long a picture lasts, and players would take it to be there.
            self._lasts = min(step, 2 * self._lasts)
        self._last = packet
        shift = 0
        if packet.pts is not None and packet.dts is not None:
            late = (packet.pts - packet.dts) * packet.time_base
            shift = round(late * TICKS) if 0 < late < LONGEST_STEP else 0
        return self._lasts, self._decode, shift

    @staticmethod
    def _since(last: Packet, packet: Packet) -> int:
        if last.dts is not None and packet.dts is not None:
            step = float((packet.dts - last.dts) * packet.time_base)
            if 0 < step < LONGEST_STEP:
                return max(1, round(step * TICKS))
        return max(1, round(min(packet.at - last.at, LONGEST_STEP) * TICKS))


def size_of(file: bytes) -> tuple[int, int]:
    """Width and height in pixels of the picture in a file of one; asked once for a stream."""
    try:
        with av.open(BytesIO(file), format="mp4") as container:
            video = container.streams.video[0]
            return video.width, video.height
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        return 16, 16  # players read it from the parameter sets anyway


# --- boxes: ISO/IEC 14496-12 ----------------------------------------------------------------------------------------

MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
KEY, OTHER = 0x02000000, 0x01010000
"""Flags of a sample: others depend on it not, or it is none to begin with."""


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def opening(found: Description, width: int, height: int) -> bytes:
    """The beginning of a file of one track of video without an end."""
    entry, config = (b"avc1", b"avcC") if found.codec == "h264" else (b"hvc1", b"hvcC")
    visual = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 0x18, -1)
    empty = struct.pack(">I", 0)
    table = box(
        b"stbl",
        full(b"stsd", 0, 0, struct.pack(">I", 1), box(entry, visual, box(config, found.box))),
        *(full(kind, 0, 0, empty) for kind in (b"stts", b"stsc", b"stco")),
        full(b"stsz", 0, 0, struct.pack(">II", 0, 0)),
    )
    media = box(
        b"mdia",
        full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, TICKS, 0, 0x55C4, 0)),
        full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"video\x00"),
        box(
            b"minf",
            full(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", full(b"dref", 0, 0, struct.pack(">I", 1), full(b"url ", 0, 1))),
            table,
        ),
    )
    track = full(
        b"tkhd", 0, 3, struct.pack(">IIIII8xHHH2x", 0, 0, 1, 0, 0, 0, 0, 0), MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )  # fmt: skip
    movie = full(
        b"mvhd", 0, 0, struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100), MATRIX, bytes(24), struct.pack(">I", 2)
    )
    extends = box(b"mvex", full(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0)))
    head = box(b"ftyp", b"iso5", struct.pack(">I", 512), b"iso5iso6mp41")
    return head + box(b"moov", movie, box(b"trak", track, media), extends)


def moof(number: int, decode: int, step: int, shift: int, size: int, key: bool) -> bytes:
    """The head of a fragment with one picture; `decode`, `step`, `shift` in ticks."""
    flags = 0x1 | 0x4 | 0x100 | 0x200 | 0x800  # data offset, first sample's flags, duration, size, shift
    place = 8 + 16 + 8 + 16 + 20 + 36 + 8
    track = box(
        b"traf",
        full(b"tfhd", 0, 0x20000, struct.pack(">I", 1)),
        full(b"tfdt", 1, 0, struct.pack(">Q", decode)),
        full(b"trun", 1, flags, struct.pack(">IIIIIi", 1, place, KEY if key else OTHER, step, size, shift)),
    )
    return box(b"moof", full(b"mfhd", 0, 0, struct.pack(">I", number & 0xFFFFFFFF)), track)

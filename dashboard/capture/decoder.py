"""Packets in, frames out, and no work while nobody looks. Where packets come from belongs to the sources.

While no pixels are wanted, the packets since the last key frame are kept, so that decoding can begin at once when
somebody comes; what was decoded before is not decoded again. After damage it waits for the next key frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import cast

import av
import av.error
import av.stream

from dashboard.capture import jpeg
from dashboard.capture.frame import MAX_PIXELS, Counts, Frame, JpegFrame, Stamp, YuvFrame, acceptable
from dashboard.capture.source import Packet

MAX_WAITING_BYTES = 8 << 20
MAX_WAITING = 1000
PATIENCE = 10.0
"""Seconds without a key frame after which decoding begins anyway: some cameras never mark one."""


class Decoder:
    """Decodes one stream of one camera in the thread that calls it. `numbers` numbers the frames."""

    def __init__(self, camera: str, numbers: Iterator[int], counts: Counts) -> None:
        self._camera = camera
        self._numbers = numbers
        self._counts = counts
        self._codec: av.VideoCodecContext | None = None
        self._waiting: deque[Packet] = deque()  # not yet decoded, in order
        self._waiting_bytes = 0
        self._synced = False  # whether decoding may go on without a key frame
        self._unsynced_since: float | None = None
        self._newest = 0.0, float("-inf")  # taken_at and at of the newest frame

    def push(self, packet: Packet, wanted: bool) -> Frame | None:
        """Take the next packet; the newest picture that comes of it, if pixels are wanted now and there is one."""
        if packet.codec == "mjpeg":
            return self._wrap(packet) if wanted else None
        if packet.key:
            self._forget_waiting()
            self._synced = True
            if not wanted:
                self._codec = None  # what it remembers is of no use after a key frame, and takes memory
        if not self._ready(packet):
            return None
        self._waiting.append(packet)
        self._waiting_bytes += len(packet.data)
        if wanted:
            return self._decode_waiting()
        if self._waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING:
            self._lose_sync()
        return None

    def close(self) -> None:
        """Let go of the decoder's memory; frames that were made stay good."""
        self._codec = None
        self._forget_waiting()

    def _wrap(self, packet: Packet) -> Frame | None:
        """A JPEG needs no decoding here, only to be whole."""
        head = jpeg.whole(packet.data)
        if head is None:
            self._counts.damaged += 1
            return None
        self._counts.decoded += 1
        data = jpeg.with_tables(packet.data, head)
        return JpegFrame(self._stamp(packet.taken_at, packet.at), head.width, head.height, data, self._counts)

    def _ready(self, packet: Packet) -> bool:
        """Whether decoding may go on, or has waited for a key frame long enough."""
        if self._synced:
            self._unsynced_since = None
            return True
        if self._unsynced_since is None:
            self._unsynced_since = packet.at
        self._synced = packet.at - self._unsynced_since > PATIENCE
        return self._synced

    def _decode_waiting(self) -> Frame | None:
        newest: Frame | None = None
        while self._waiting:
            packet = self._waiting.popleft()
            self._waiting_bytes -= len(packet.data)
            try:
                newest = self._decode(packet) or newest
            except av.error.FFmpegError:
                # Its text is of no use to anybody, and it can come for each packet of a bad stream.
                self._counts.damaged += 1
                self._lose_sync()
        return newest

    def _decode(self, packet: Packet) -> Frame | None:
        codec = self._codec = self._codec or new_codec(packet)
        compressed = to_av(packet)
        compressed.opaque = packet.taken_at, packet.at
        newest: Frame | None = None
        for picture in codec.decode(compressed):
            if picture.is_corrupt or not acceptable(picture.width, picture.height):
                self._counts.damaged += 1
                continue
            self._counts.decoded += 1
            # Pictures that were sent out of order (B-frames) came in another order than they are shown: never go back.
            taken_at, at = cast("tuple[float, float]", picture.opaque or (packet.taken_at, packet.at))
            if at > self._newest[1]:
                self._newest = taken_at, at
            newest = YuvFrame(self._stamp(*self._newest), picture, self._counts)
        return newest

    def _stamp(self, taken_at: float, at: float) -> Stamp:
        return Stamp(self._camera, next(self._numbers), taken_at, at)

    def _lose_sync(self) -> None:
        self._codec = None
        self._synced = False
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0


def new_codec(packet: Packet) -> av.VideoCodecContext:
    """A decoder for the stream of this packet, not yet open."""
    codec = av.CodecContext.create(packet.codec, "r")
    assert isinstance(codec, av.VideoCodecContext)
    codec.extradata = packet.extradata
    # One thread: with more, each camera would hold a picture for each of them, and there are cameras enough.
    codec.thread_count = 1
    codec.thread_type = "SLICE"
    codec.copy_opaque = True
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    return codec


def to_av(packet: Packet) -> av.Packet[av.stream.Stream]:
    """The packet as PyAV's decoders take it."""
    compressed = av.Packet(packet.data)
    compressed.pts, compressed.dts, compressed.time_base = packet.pts, packet.dts, packet.time_base
    return compressed

"""A clip cut into RTP packets: H.264 (RFC 6184), HEVC (RFC 7798), JPEG (RFC 2435). Pure; sending belongs to rtsp.py."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av

from tests.servers.clips import Clip

CLOCK = 90_000  # RTP ticks a second, for every kind of video
PAYLOAD = 1400  # bytes: a packet fits one Ethernet frame
DYNAMIC, JPEG = 96, 26  # payload types


@dataclass(frozen=True, slots=True)
class Unit:
    """One picture as it is sent. `ahead`: seconds by which it is shown later than it is decoded (B-frames)."""

    pieces: tuple[bytes, ...]  # NAL units without start codes, or one whole JPEG
    ahead: float


@dataclass(frozen=True, slots=True)
class Reel:
    """A clip ready to be sent: its units in decoding order, `fps` of them a second."""

    codec: str
    fps: float
    units: tuple[Unit, ...]

    @property
    def payload_type(self) -> int:
        """As in the SDP and in each packet."""
        return JPEG if self.codec == "mjpeg" else DYNAMIC


def load(clip: Clip) -> Reel:
    """Read the clip's packets; nothing is decoded."""
    with av.open(str(clip.path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        if clip.codec != "mjpeg":
            split = av.BitStreamFilterContext(f"{clip.codec}_mp4toannexb", stream)
            packets = [out for packet in packets for out in split.filter(packet)]
        units = []
        for packet in packets:
            data = bytes(packet)
            pieces = (data,) if clip.codec == "mjpeg" else tuple(nal_units(data))
            ahead = 0.0
            if packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                ahead = float((packet.pts - packet.dts) * packet.time_base)
            units.append(Unit(pieces, ahead))
    return Reel(clip.codec, clip.fps, tuple(units))


def nal_units(annexb: bytes) -> Iterator[bytes]:
    """The NAL units of an access unit that is divided by start codes."""
    for part in annexb.split(b"\0\0\1"):
        if nal := part.rstrip(b"\0"):
            yield nal


def sdp(reel: Reel, framerate: str | None) -> str:
    """The session description; `framerate` is what the camera claims, true or not (None: it does not say)."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    lines.append(f"m=video 0 RTP/AVP {reel.payload_type}")
    first = reel.units[0].pieces
    if reel.codec == "h264":
        sets = [nal for nal in first if nal[0] & 31 in (7, 8)]
        sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
        lines.append(f"a=rtpmap:{DYNAMIC} H264/{CLOCK}")
        lines.append(
            f"a=fmtp:{DYNAMIC} packetization-mode=1;profile-level-id={sets[0][1:4].hex()};sprop-parameter-sets={sprop}"
        )
    elif reel.codec == "hevc":
        named = {kind: next(nal for nal in first if nal[0] >> 1 & 63 == kind) for kind in (32, 33, 34)}
        sprop = ";".join(
            f"sprop-{name}={base64.b64encode(named[kind]).decode()}"
            for name, kind in (("vps", 32), ("sps", 33), ("pps", 34))
        )
        lines += [f"a=rtpmap:{DYNAMIC} H265/{CLOCK}", f"a=fmtp:{DYNAMIC} {sprop}"]
    else:
        lines.append(f"a=rtpmap:{JPEG} JPEG/{CLOCK}")
    if framerate is not None:
        lines.append(f"a=framerate:{framerate}")
    lines.append("a=control:trackID=0")
    return "\r\n".join(lines) + "\r\n"


def payloads(codec: str, unit: Unit) -> list[bytes]:
    """The payloads of the packets that carry one unit, in order."""
    cut = {"h264": _cut_h264, "hevc": _cut_hevc, "mjpeg": _cut_jpeg}[codec]
    return [payload for piece in unit.pieces for payload in cut(piece)]


def header(kind: int, last: bool, number: int, timestamp: int, source: int) -> bytes:
    """An RTP header; `last`: the packet ends its picture."""
    return struct.pack("!BBHII", 0x80, last << 7 | kind, number & 0xFFFF, timestamp & 0xFFFFFFFF, source)


def sender_report(source: int, epoch: float, timestamp: int, packets: int, octets: int) -> bytes:
    """An RTCP sender report: the wall clock (`epoch`, s since 1970) that belongs to an RTP timestamp."""
    ntp = epoch + 2_208_988_800
    whole = int(ntp)
    fraction = int((ntp - whole) * (1 << 32))
    return struct.pack(
        "!BBHIIIIII", 0x80, 200, 6, source, whole, fraction, timestamp & 0xFFFFFFFF, packets, octets & 0xFFFFFFFF
    )


def _cut_h264(nal: bytes) -> Iterator[bytes]:
    if len(nal) <= PAYLOAD:
        yield nal
        return
    indicator, kind = nal[0] & 0xE0 | 28, nal[0] & 31  # FU-A
    yield from _fragments(nal[1:], lambda flags: bytes((indicator, flags | kind)))


def _cut_hevc(nal: bytes) -> Iterator[bytes]:
    if len(nal) <= PAYLOAD:
        yield nal
        return
    head, layer, kind = nal[0] & 0x81 | 49 << 1, nal[1], nal[0] >> 1 & 63  # FU
    yield from _fragments(nal[2:], lambda flags: bytes((head, layer, flags | kind)))


def _fragments(body: bytes, prefix: Callable[[int], bytes]) -> Iterator[bytes]:
    for start in range(0, len(body), PAYLOAD):
        flags = (0x80 if start == 0 else 0) | (0x40 if start + PAYLOAD >= len(body) else 0)
        yield prefix(flags) + body[start : start + PAYLOAD]


def _cut_jpeg(picture: bytes) -> Iterator[bytes]:
    """Only what RFC 2435 can carry: baseline, 4:2:0 or 4:2:2, the standard Huffman tables."""
    tables, kind, width, height, scan, restart = b"", 1, 0, 0, b"", b""
    at = 2
    while at + 4 <= len(picture):
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        body = picture[at + 4 : at + 2 + length]
        if marker == 0xDB:
            for table in range(0, len(body), 65):
                tables += body[table + 1 : table + 65]
        elif marker == 0xC0:
            height, width = struct.unpack("!HH", body[1:5])
            kind = 1 if body[7] == 0x22 else 0
        elif marker == 0xDD:
            restart = body + b"\xff\xff"  # the packets are not aligned to the restart markers
        elif marker == 0xDA:
            scan = picture[at + 2 + length :].removesuffix(b"\xff\xd9")
            break
        at += 2 + length
    if len(tables) == 64:
        tables *= 2  # the format wants one for luma and one for colour
    if restart:
        kind |= 64
    for start in range(0, len(scan), PAYLOAD):
        main = struct.pack("!B3sBBBB", 0, start.to_bytes(3, "big"), kind, 255, width // 8, height // 8)
        quantization = struct.pack("!BBH", 0, 0, len(tables)) + tables if start == 0 else b""
        yield main + restart + quantization + scan[start : start + PAYLOAD]

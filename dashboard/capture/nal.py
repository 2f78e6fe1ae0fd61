"""H.264 and HEVC as MP4 wants them: units with their length in front, and a box that describes the stream.

Cameras send units after start codes and the parameter sets among the pictures; recorded files have both ready-made.
Boxes and times belong to fragments.py.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.capture.source import Packet

START = re.compile(rb"\x00*\x00\x00\x01")
H264_SETS = (7, 8)  # SPS, PPS
HEVC_SETS = (32, 33, 34)  # VPS, SPS, PPS
PLAYABLE = frozenset({"h264", "hevc"})
"""What can be put into MP4 here."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a player needs before the first picture: `box` is the content of avcC or hvcC."""

    codec: str
    box: bytes
    name: str
    """As browsers know it, RFC 6381: "avc1.64001f", "hvc1.1.6.L93.B0"."""


def units(data: bytes) -> list[bytes]:
    """The units of a picture in the form with start codes."""
    return [unit for unit in START.split(data) if unit]


def has_lengths(packet: Packet) -> bool:
    """Whether units have their length in front, as in recorded files. The data does not tell: 00 00 01 begins both."""
    return (packet.extradata or b"")[:1] == b"\x01"


def describe(packet: Packet) -> Description | None:
    """The description of the stream by a key frame's packet; None when its parameter sets are nowhere to be found."""
    ready = packet.extradata or b""
    if has_lengths(packet):
        return _avc(ready) if packet.codec == "h264" else _hevc(ready)
    wanted = H264_SETS if packet.codec == "h264" else HEVC_SETS
    # Those among the pictures are newer than those that were announced: a camera whose size was changed.
    for source in (packet.data, ready):
        found = [unit for unit in units(source) if _kind(unit, packet.codec) in wanted]
        sets = {kind: [unit for unit in found if _kind(unit, packet.codec) == kind] for kind in wanted}
        if all(sets.values()):
            return _avc(_avc_box(sets)) if packet.codec == "h264" else _hevc(_hevc_box(sets))
    return None


def with_lengths(packet: Packet) -> bytes:
    """The picture with lengths in front of its units; parameter sets, which stand in the description, are left out."""
    if has_lengths(packet):
        return packet.data
    left_out = H264_SETS if packet.codec == "h264" else HEVC_SETS
    return _joined(unit for unit in units(packet.data) if _kind(unit, packet.codec) not in left_out)


def _joined(all_units: Iterable[bytes]) -> bytes:
    return b"".join(piece for unit in all_units for piece in (struct.pack(">I", len(unit)), unit))


def _kind(unit: bytes, codec: str) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def _avc(box: bytes) -> Description:
    return Description("h264", box, "avc1." + box[1:4].hex())


def _avc_box(sets: dict[int, list[bytes]]) -> bytes:
    """AVCDecoderConfigurationRecord, ISO/IEC 14496-15."""
    first = sets[7][0]
    head = bytes((1, first[1], first[2], first[3], 0xFF, 0xE0 | min(31, len(sets[7]))))
    sps = b"".join(struct.pack(">H", len(unit)) + unit for unit in sets[7][:31])
    pps = b"".join(struct.pack(">H", len(unit)) + unit for unit in sets[8][:255])
    return head + sps + bytes((min(255, len(sets[8])),)) + pps


def _hevc(box: bytes) -> Description:
    """Its name has the bits of compatibility in reverse, and the constraints without zeros at the end."""
    tier, profile = "LH"[box[1] >> 5 & 1], box[1] & 0x1F
    compatible = int(f"{int.from_bytes(box[2:6]):032b}"[::-1], 2)
    constraints = box[6:12].rstrip(b"\x00")
    tail = "".join(f".{byte:X}" for byte in constraints)
    return Description("hevc", box, f"hvc1.{profile}.{compatible:X}.{tier}{box[12]}{tail}")


def _hevc_box(sets: dict[int, list[bytes]]) -> bytes:
    """HEVCDecoderConfigurationRecord, ISO/IEC 14496-15. Profile, tier and level stand in the SPS."""
    profile = sets[33][0][2:].replace(b"\x00\x00\x03", b"\x00\x00")[1:13]
    depth = 2 if profile[0] & 0x1F == 2 else 0  # Main 10
    head = b"\x01" + profile + struct.pack(">HBBBBHBB", 0xF000, 0xFC, 0xFD, 0xF8 | depth, 0xF8 | depth, 0, 0x0F, 3)
    arrays = (
        struct.pack(">BH", 0x80 | kind, len(found)) + b"".join(struct.pack(">H", len(unit)) + unit for unit in found)
        for kind, found in sets.items()
    )
    return head + b"".join(arrays)

"""Where a JPEG begins and ends, and how large its picture is, from its bytes alone. Nothing is decoded here.

`JpegCutter` cuts JPEGs out of any stream of bytes. It believes neither boundaries nor lengths of the parts around
them, because cameras get both wrong; a JPEG itself says where it ends. So a part of garbage, a wrong
Content-Length or a truncated picture costs that picture and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.capture.frame import acceptable

MAX_BYTES = 16 << 20
"""A JPEG longer than this is given up."""
MAX_HEAD = 1 << 20  # bytes before the first scan; a thumbnail and an ICC profile fit many times

START = b"\xff\xd8"
END = b"\xff\xd9"
_BARE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a length
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers that tell the size
_TABLES = 0xC4
_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the picture's data. `scan`: where the first scan begins; `tables`: Huffman tables are in."""

    width: int
    height: int
    scan: int
    tables: bool


def read_head(data: bytes | bytearray, start: int = 0) -> Head | None:
    """The head of the JPEG at `start`; None when it is not yet complete. Raises ValueError when there is none."""
    width = height = 0
    tables = False
    place = start + 2
    while True:
        if len(data) < place + 4:
            return None
        if data[place] != 0xFF:
            raise ValueError("not a JPEG")
        marker = data[place + 1]
        if marker == 0xFF or marker in _BARE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker < 0xC0 or marker in (0xD8, 0xD9):
            raise ValueError("not a JPEG")
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if length < 2:
            raise ValueError("not a JPEG")
        if marker == _SCAN:
            if not width:
                raise ValueError("a JPEG without a size")
            return Head(width, height, place, tables)
        if marker in _SIZES:
            if len(data) < place + 9:
                return None
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            width = int.from_bytes(data[place + 7 : place + 9], "big")
        tables = tables or marker == _TABLES
        place += 2 + length
        if place - start > MAX_HEAD:
            raise ValueError("not a JPEG")


def whole(data: bytes) -> Head | None:
    """The head of `data` if it is one JPEG with beginning, acceptable size and end, else None."""
    if data[:2] != START:
        return None
    try:
        head = read_head(data)
    except ValueError:
        return None
    # Devices pad their buffers behind the end.
    if head is None or not acceptable(head.width, head.height) or data.rfind(END, head.scan) < 0:
        return None
    return head


def with_tables(data: bytes, head: Head) -> bytes:
    """`data` with the standard Huffman tables if it has none, as JPEGs of many USB cameras and in AVI files."""
    return data if head.tables else data[: head.scan] + STANDARD_TABLES + data[head.scan :]


class JpegCutter:
    """Takes bytes as they come, gives JPEGs as they are complete. `damaged`: how many were begun and given up."""

    def __init__(self) -> None:
        self.damaged = 0
        self.too_large: tuple[int, int] | None = None
        """The size of a picture that was refused for it, the last one."""
        self._buffer = bytearray()
        self._searched = 0  # so far no end was found in the picture at the beginning of the buffer

    def feed(self, data: bytes) -> list[bytes]:
        """The JPEGs that these bytes complete, oldest first."""
        self._buffer += data
        pictures: list[bytes] = []
        while self._step(pictures):
            pass
        return pictures

    def _step(self, pictures: list[bytes]) -> bool:
        """Cut or drop what stands first in the buffer; False when more bytes are needed."""
        buffer = self._buffer
        start = buffer.find(START + b"\xff")
        if start < 0:
            self._drop(max(0, len(buffer) - 2))
            return False
        if start:
            self._drop(start)
        try:
            head = read_head(buffer)
        except ValueError:
            return self._give_up(2)
        if head is None:
            return False
        if not acceptable(head.width, head.height):
            self.too_large = head.width, head.height
            return self._give_up(head.scan)
        begin = max(head.scan, self._searched)
        end = buffer.find(END, begin)
        again = buffer.find(START, begin, end if end >= 0 else len(buffer))
        if again >= 0:  # the next picture begins before this one has ended
            return self._give_up(again)
        if end < 0:
            self._searched = len(buffer) - 1
            return len(buffer) > MAX_BYTES and self._give_up(len(buffer))
        pictures.append(bytes(buffer[: end + 2]))
        self._drop(end + 2)
        return True

    def _give_up(self, size: int) -> bool:
        self.damaged += 1
        self._drop(size)
        return True

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._searched = 0


def _standard_tables() -> bytes:
    """The typical Huffman tables of the JPEG standard (ITU-T T.81, K.3), as one DHT segment."""
    dc_values = bytes(range(12))
    tables = (
        (0x00, "00010501010101010100000000000000", dc_values),
        (0x01, "00030101010101010101010000000000", dc_values),
        (0x10, "0002010303020403050504040000017d", bytes.fromhex(_AC_LUMA)),
        (0x11, "00020102040403040705040400010277", bytes.fromhex(_AC_CHROMA)),
    )
    body = b"".join(bytes([kind]) + bytes.fromhex(counts) + values for kind, counts, values in tables)
    return b"\xff\xc4" + (len(body) + 2).to_bytes(2, "big") + body


_AC_LUMA = (
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a343536373839"
    "3a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7"
    "a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_AC_CHROMA = (
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a3536373839"
    "3a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6"
    "a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
STANDARD_TABLES = _standard_tables()

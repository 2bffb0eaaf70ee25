"""Reads AEDAT 4 files of the DV software: a header, then packets of stream number, size and a size-prefixed flatbuffer.

Packets may be compressed with LZ4 or Zstandard. The decoder on PyPI aborts the process on many damaged files, so it is
not used.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import MissingDependencyError
from spikeport.pipeline.data.readers.event_columns import check_size, damaged, from_columns, unknown_layout
from spikeport.pipeline.data.readers.event_streams import content_of

_EVENT = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
_PLAIN, _LZ4, _ZSTD = (0,), (1, 2), (3, 4)  # of the header's compression, with its degrees
_PIECE = 1 << 20
_NODE = re.compile(r'<node name="(\d+)"')
_KIND = re.compile(r'<attr key="typeIdentifier"[^>]*>([^<]*)<')


def read_aedat4(path: Path) -> np.ndarray:
    """Events of the first event stream.

    Args:
        path: the file.

    Returns:
        EVENT_DTYPE `[N]`.

    Raises:
        EventFileError: the file is damaged or has another layout.
        MissingDependencyError: the decompressor is not installed.
    """
    content = content_of(path)
    start = content.find(b"\n", 0, 100) + 1
    if not content.startswith(b"#!AER-DAT4") or not start:
        raise damaged("it does not begin as AEDAT 4")
    try:
        (size,) = struct.unpack_from("<I", content, start)
        start += 4 + size
        head = content[start - size : start]
        if len(head) < size:
            raise damaged("its header is cut short")
        packing, end, kinds = _header(head)
        stream = min((number for number, kind in kinds.items() if kind == "EVTS"), default=None)
        if stream is None:
            raise unknown_layout(
                f"no stream of events, only {', '.join(sorted(kinds.values())) or 'none'}",
                "record it with its events, or remove it",
                "AEDAT 4 with a stream of events (EVTS)",
            )
        end = end if 0 < end <= len(content) else len(content)  # where the table of packets begins, if there is one
        return from_columns(_events(content, start, end, stream, _unpacker(packing, path, len(content))))
    except struct.error as error:
        raise damaged(f"a number in it leads beyond its end ({error})") from None


def _events(content: bytes, at: int, end: int, stream: int, unpack: Callable[[bytes], bytes]) -> np.ndarray:
    found = [np.empty(0, _EVENT)]
    total = 0
    while at < end:
        number, size = struct.unpack_from("<iI", content, at)
        at += 8 + size
        if at > end:
            raise damaged(f"a packet of {size:,} bytes goes beyond its end; the file is cut short")
        if number == stream:
            packet = unpack(content[at - size : at])
            total += len(packet)
            check_size(total, len(content))
            found.append(_packet(packet))
    return np.concatenate(found)


def _header(head: bytes) -> tuple[int, int, dict[int, str]]:
    """Compression, end of the packets, and kind of each stream, from the header's flatbuffer."""
    table = struct.unpack_from("<I", head)[0]
    packing = struct.unpack_from("<i", head, at)[0] if (at := _field(head, table, 0)) else 0
    end = struct.unpack_from("<q", head, at)[0] if (at := _field(head, table, 1)) else -1
    words = ""
    if at := _field(head, table, 2):
        at += struct.unpack_from("<I", head, at)[0]
        length = struct.unpack_from("<I", head, at)[0]
        words = head[at + 4 : at + 4 + length].decode("utf-8", "replace")
    nodes = [(found.start(), int(found[1])) for found in _NODE.finditer(words)]
    kinds: dict[int, str] = {}
    for found in _KIND.finditer(words):
        before = [number for at, number in nodes if at < found.start()]
        if before:
            kinds.setdefault(before[-1], found[1])
    return packing, end, kinds


def _packet(packet: bytes) -> np.ndarray:
    """The vector of structs in a size-prefixed flatbuffer."""
    table = 4 + struct.unpack_from("<I", packet, 4)[0]
    at = _field(packet, table, 0)
    if not at:
        return np.empty(0, _EVENT)
    at += struct.unpack_from("<I", packet, at)[0]
    (count,) = struct.unpack_from("<I", packet, at)
    if at + 4 + count * _EVENT.itemsize > len(packet):
        raise damaged(f"a packet states {count:,} events and is too short for them")
    return np.frombuffer(packet, _EVENT, count, at + 4)


def _field(data: bytes, table: int, number: int) -> int:
    """Position of a field in a flatbuffer's table; 0 if it is absent."""
    if table < 0:
        raise struct.error("a negative offset")
    index = table - struct.unpack_from("<i", data, table)[0]
    if index < 0:
        raise struct.error("a negative offset")
    if struct.unpack_from("<H", data, index)[0] < 6 + 2 * number:
        return 0
    offset = struct.unpack_from("<H", data, index + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _unpacker(packing: int, path: Path, stored: int) -> Callable[[bytes], bytes]:
    """Function that decompresses a packet; bounded by the size of one recording."""
    if packing in _PLAIN:
        return bytes
    try:
        import lz4.frame
        import zstandard
    except ImportError:
        raise MissingDependencyError(
            "reading a packed .aedat4 needs lz4 and zstandard", where=str(path), hint="pip install lz4 zstandard"
        ) from None
    if packing in _LZ4:
        machine = lz4.frame.LZ4FrameDecompressor

        def pieces(data: bytes) -> Iterator[bytes]:
            one = machine()
            yield one.decompress(data, _PIECE)
            while not one.eof and not one.needs_input:
                yield one.decompress(b"", _PIECE)
            if not one.eof:
                raise damaged("a packed packet is cut short")

    elif packing in _ZSTD:

        def pieces(data: bytes) -> Iterator[bytes]:
            yield from iter(partial(zstandard.ZstdDecompressor().stream_reader(data).read, _PIECE), b"")

    else:
        raise unknown_layout(f"packets packed in way {packing}", "write it with LZ4, ZSTD or none", "AEDAT 4 of DV")

    def unpack(data: bytes) -> bytes:
        out = bytearray()
        for piece in pieces(data):
            out += piece
            check_size(len(out), stored)
        return bytes(out)

    return unpack

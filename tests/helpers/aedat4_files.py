"""AEDAT 4 as the DV software writes it. Imported only where flatbuffers and the decompressors are installed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

flatbuffers = pytest.importorskip("flatbuffers", reason="onnxruntime brings flatbuffers; it writes the test's files")
zstandard = pytest.importorskip("zstandard", reason="AEDAT 4 is unpacked with the extra aedat4")
lz4_frame = pytest.importorskip("lz4.frame", reason="AEDAT 4 is unpacked with the extra aedat4")

PACKINGS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lz4_frame.compress,
    2: lambda data: lz4_frame.compress(data, compression_level=9),
    3: zstandard.ZstdCompressor().compress,
    4: zstandard.ZstdCompressor(level=15).compress,
}


def packet(events: list[tuple[int, int, int, int]]) -> bytes:
    """A size-prefixed flatbuffer: a table whose first field is a vector of (time, x, y, polarity), 16 bytes each."""
    builder = flatbuffers.Builder()
    builder.StartVector(16, len(events), 8)
    for t, x, y, p in reversed(events):
        builder.Prep(8, 16)
        builder.Pad(3)
        builder.PrependBool(bool(p))
        builder.PrependInt16(y)
        builder.PrependInt16(x)
        builder.PrependInt64(t)
    vector = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.FinishSizePrefixed(builder.EndObject(), b"EVTS")
    return bytes(builder.Output())


def write(path: Path, packets: list[tuple[int, bytes]], packing: int = 1, kinds: tuple[str, ...] = ("EVTS",)) -> Path:
    """Streams of `kinds` by number, and packets of (stream, bytes); ends with a table that is no packet."""
    nodes = "".join(
        f'<node name="{n}" path="/{n}/"><attr key="typeIdentifier" type="string">{kind}</attr></node>'
        for n, kind in enumerate(kinds)
    )
    body = b"".join(struct.pack("<iI", stream, len(data)) + data for stream, data in packets)

    def header(end: int) -> bytes:
        builder = flatbuffers.Builder()
        text = builder.CreateString(f'<dv version="2.0"><node name="outInfo">{nodes}</node></dv>')
        builder.StartObject(3)
        builder.ForceDefaults(True)
        builder.PrependInt32Slot(0, packing, 0)
        builder.PrependInt64Slot(1, end, -1)
        builder.PrependUOffsetTRelativeSlot(2, text, 0)
        builder.FinishSizePrefixed(builder.EndObject(), b"IOHE")
        return b"#!AER-DAT4.0\r\n" + bytes(builder.Output())

    start = header(0)
    path.write_bytes(header(len(start) + len(body)) + body + b"a table of packets")
    return path

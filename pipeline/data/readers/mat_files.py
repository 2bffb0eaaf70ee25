"""Reads MATLAB files of version 5 to 7 as far as events need it: numeric arrays by name.

scipy aborts the process on some damaged files, so it is not used. Sizes are checked before memory is allocated.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.readers.event_columns import check_size, damaged, unknown_layout

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_KINDS = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8",
    10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "opaque",
}  # fmt: skip
_NUMERIC = range(6, 16)
_HEAD = 1 << 12  # of an unpacked variable: its kind, shape and name


@dataclass(frozen=True)
class Variable:
    """An array of a file.

    Attributes:
        kind: its type, as MATLAB calls it.
        shape: its shape.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    numeric: bool
    body: bytes  # the matrix's own bytes, or packed what they lie in
    packed: bool
    order: str  # "<" or ">"

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape))} {self.kind}"

    def values(self, stored: int) -> np.ndarray:
        """The array, in the type that the file stores, which may be smaller than `kind`.

        Args:
            stored: size of the file in bytes, which bounds the size of the array.

        Raises:
            EventFileError: it is too large, or damaged.
        """
        try:
            body = _unpacked(self.body, 8 * math.prod(self.shape) + _HEAD, stored)[8:] if self.packed else self.body
            at, _, _, _ = _described(body, self.order)
            kind, start, size, _ = _tag(body, at, self.order)
            dtype = np.dtype(self.order + _TYPES[kind])
            if size != math.prod(self.shape) * dtype.itemsize or start + size > len(body):
                raise ValueError(f"{self.name} states {self} and holds {size} bytes of {dtype}")
            return np.frombuffer(body, dtype, size // dtype.itemsize, start).reshape(self.shape, order="F")
        except _FAULTS as error:
            raise damaged(str(error)) from None


_FAULTS = (struct.error, ValueError, KeyError, zlib.error)


def variables(content: bytes) -> Iterator[Variable]:
    """The variables of a MATLAB file, in order.

    Args:
        content: the bytes of the file.

    Raises:
        EventFileError: the file has another version, or is damaged.
    """
    if content.startswith(b"MATLAB 7.3"):
        raise unknown_layout("a MATLAB file of version 7.3", 'save it with "-v7"', "MATLAB files of version 5 to 7")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or not content.startswith(b"MATLAB"):
        raise damaged("it does not begin as a MATLAB file of version 5 to 7")
    at = 128
    while at < len(content):
        try:
            kind, start, size, at = _tag(content, at, order)
            if start + size > len(content):
                raise ValueError(f"a variable of {size:,} bytes goes beyond the end; the file is cut short")
            body, packed = content[start : start + size], kind == _COMPRESSED
            head = body[:_HEAD]
            if packed:
                at = start + size  # these are not filled up to eight bytes
                head = zlib.decompressobj().decompress(body, _HEAD)
                kind, start, _, _ = _tag(head, 0, order)
                head = head[start:]
            if kind == _MATRIX:
                _, number, shape, name = _described(head, order)
                yield Variable(
                    name, _KINDS.get(number, f"kind {number}"), shape, number in _NUMERIC, body, packed, order
                )
        except _FAULTS as error:
            raise damaged(str(error)) from None


def _tag(data: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Type of the element at a position, start and number of its bytes, and start of the next element."""
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # up to four bytes, in the tag itself
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError(f"a tag holds {size} bytes")
        return kind, at + 4, size, at + 8
    return kind, at + 8, size, at + 8 + -(-size // 8) * 8


def _described(body: bytes, order: str) -> tuple[int, int, tuple[int, ...], str]:
    """Of a matrix: start of its values, type number, shape and name."""
    _, start, _, at = _tag(body, 0, order)
    number = struct.unpack_from(order + "I", body, start)[0] & 0xFF
    _, start, size, at = _tag(body, at, order)
    if size > 128:
        raise ValueError(f"a variable has {size // 4} axes")
    shape = struct.unpack_from(f"{order}{size // 4}i", body, start)
    if min(shape, default=-1) < 0:
        raise ValueError(f"a variable has the shape {shape}")
    _, start, size, at = _tag(body, at, order)
    return at, number, shape, body[start : start + size].decode("utf-8", "replace")


def _unpacked(packed: bytes, most: int, stored: int) -> bytes:
    """Decompresses an element.

    Raises:
        EventFileError: it may be larger than one recording.
        ValueError: it is larger than `most`.
    """
    check_size(most, stored)
    machine, out = zlib.decompressobj(), bytearray()
    while packed and not machine.eof:
        out += machine.decompress(packed, 1 << 20)
        if len(out) > most:
            raise ValueError(f"a packed variable holds more than the {most:,} bytes that its shape needs")
        packed = machine.unconsumed_tail
    if not machine.eof:
        raise ValueError("a packed variable is cut short")
    return bytes(out)

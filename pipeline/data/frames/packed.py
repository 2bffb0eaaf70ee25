"""Frames kept as bits: an eighth of the memory, unpacked for the rows that are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np


class PackedFrames:
    """Frames `[N, ...]` of 0 and 1 behind `bits` `[N, row_bytes]` uint8, which may be a mapped file.

    Indexed as an array is, it gives uint8 arrays: `frames[rows]`, `frames[3]`, `frames[5:9, 0]`. The first index
    chooses the rows that are unpacked; `np.asarray(frames)` unpacks all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, bits: np.ndarray, shape: tuple[int, ...]) -> None:
        if bits.dtype != np.uint8 or bits.shape != (shape[0], row_bytes(shape[1:])):
            raise ValueError(f"{bits.dtype} {bits.shape} cannot hold the bits of frames {shape}")
        self.bits, self.shape = bits, shape

    @classmethod
    def pack(cls, frames: np.ndarray) -> PackedFrames:
        """`frames` `[N, ...]`, where what is not 0 counts as 1."""
        flat = frames.reshape(len(frames), int(np.prod(frames.shape[1:])))
        return cls(np.packbits(flat, axis=1), frames.shape)

    def take(self, rows: np.ndarray) -> PackedFrames:
        """The frames of these rows, as bits."""
        return PackedFrames(self.bits[rows], (len(rows), *self.shape[1:]))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if first is None or first is Ellipsis:
            raise IndexError("the first index of packed frames chooses rows")
        bits = self.bits[first]
        if bits.ndim != 1 + (not isinstance(first, int | np.integer)):
            raise IndexError("the first index of packed frames is a number, a slice, or an array of one axis")
        pixels = int(np.prod(self.shape[1:]))
        found = np.unpackbits(bits, axis=-1, count=pixels).reshape(*bits.shape[:-1], *self.shape[1:])
        if not rest:
            return found
        return found[rest] if bits.ndim == 1 else found[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("packed frames become an array by being copied")
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)


def row_bytes(shape: tuple[int, ...]) -> int:
    """Bytes that the bits of one row of this shape take."""
    return -(-int(np.prod(shape)) // 8)

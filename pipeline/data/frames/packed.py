"""Frames stored as bits: an eighth of the memory; rows are unpacked when they are indexed."""

from __future__ import annotations

from typing import Any

import numpy as np


class PackedFrames:
    """Frames of 0 and 1, stored as bits and indexed like an array.

    The first index selects the rows that are unpacked: `frames[rows]`, `frames[3]`, `frames[5:9, 0]`;
    `np.asarray(frames)` unpacks all.

    Args:
        bits: uint8 `[N, row_bytes]`, which may be a mapped file.
        shape: `[N, ...]` of the frames.

    >>> PackedFrames.pack(np.array([[0, 7, 0], [1, 1, 0]]))[1].tolist()
    [1, 1, 0]
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, bits: np.ndarray, shape: tuple[int, ...]) -> None:
        if bits.dtype != np.uint8 or bits.shape != (shape[0], row_bytes(shape[1:])):
            raise ValueError(f"{bits.dtype} {bits.shape} cannot hold the bits of frames {shape}")
        self.bits, self.shape = bits, shape

    @classmethod
    def pack(cls, frames: np.ndarray) -> PackedFrames:
        """Packs frames to one bit a value; every value other than 0 becomes 1.

        Args:
            frames: `[N, ...]`.
        """
        flat = frames.reshape(len(frames), int(np.prod(frames.shape[1:])))
        return cls(np.packbits(flat, axis=1), frames.shape)

    def take(self, rows: np.ndarray) -> PackedFrames:
        """The frames of the given rows, still packed.

        Args:
            rows: indices of the samples.
        """
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
    """Number of bytes of a packed row of this shape.

    Args:
        shape: shape of one sample.

    >>> row_bytes((3, 3))
    2
    """
    return -(-int(np.prod(shape)) // 8)

"""Frames of an opened file, checked as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.values import Shape


class FrameReader:
    """Frames of a file, read when they are indexed, for example `reader[3:7]`.

    Indexing raises UserError, with the number of the sample, for values outside lowest..limit.

    Args:
        stored: the memory-mapped array.
        input_shape: shape of one frame.
        limit: largest input of the network.
        where, clip: the file, for errors; whether values outside are clipped to the limits.
        lowest: smallest input of the network.

    Attributes:
        dtype: uint8, or int16 where inputs may be negative or above 255.
        shape: `(N, T, *input_shape)`.
        clipped: number of events, or units of values, removed by clipping, over all reads.
    """

    def __init__(
        self,
        stored: np.ndarray,
        input_shape: Shape,
        limit: int,
        where: str,
        clip: bool = False,
        *,
        lowest: int = 0,
    ) -> None:
        self._clip, self.clipped = clip, 0
        self._lowest, self.dtype = lowest, np.dtype(np.int16 if lowest < 0 or limit > 255 else np.uint8)
        self._stored = stored.view(np.uint8) if stored.dtype.kind == "b" else stored
        self._limit, self._where = limit, where
        self.shape = (stored.shape[0], stored.shape[1], *input_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def stored(self) -> np.ndarray:
        """The array in the file, unchecked; a memory map if the file is not compressed."""
        return self._stored

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            samples, *rest = key or (slice(None),)
            block = self[samples]
            return block[tuple(rest)] if block.ndim < self.ndim else block[(slice(None), *rest)]
        one = isinstance(key, (int, np.integer))
        numbers = np.atleast_1d(np.arange(len(self))[key])
        values = np.asarray(self._stored[key])
        values = values.reshape(len(numbers), *self.shape[1:])
        if self._clip:
            within = np.minimum(values, min(self._limit, np.iinfo(values.dtype).max))
            if self._lowest < 0:
                within = np.maximum(within, max(self._lowest, np.iinfo(values.dtype).min))
            self.clipped += int(np.abs(values.astype(np.int64) - within).sum()) if np.any(values != within) else 0
            values = within
        self._check(values, numbers)
        values = values.astype(self.dtype)
        return values[0] if one else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def _check(self, values: np.ndarray, numbers: np.ndarray) -> None:
        if not values.size or (values.min() >= self._lowest and values.max() <= self._limit):
            return
        flat = values.reshape(len(values), -1)
        at = int(np.argmax((flat.min(axis=1) < self._lowest) | (flat.max(axis=1) > self._limit)))
        spikes, most = self._limit == 1, int(values.max())
        graded = f", or export with --message-bits {most.bit_length()} (Loihi 2)" if spikes and 1 < most < 256 else ""
        if self._limit & (self._limit + 1):  # not a number of message bits: input neurons with a weight and a bias
            graded = "; or export the .net file with --scaled-frames if the frames are its drive already"
        raise UserError(
            f"frames of sample {numbers[at]} hold values from {flat[at].min()} to {flat[at].max()}",
            where=self._where,
            cause="the network takes spikes of 0 and 1, and netx would silently make counts binary" if spikes
            else f"the network takes {'values' if self._lowest else 'counts'} of {self._lowest} to {self._limit}",
            hint=f"clip them: --clip, or frames.clip({self._lowest}, {self._limit})" + graded,
        )  # fmt: skip

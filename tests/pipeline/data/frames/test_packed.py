"""Packed frames give what the same index gives on a plain array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.pipeline.data.frames.packed import PackedFrames

SHAPE = (7, 3, 2, 5, 4)  # 120 pixels; and 105 below: no whole number of bytes


@pytest.mark.parametrize("shape", [SHAPE, (7, 3, 7, 5)])
@pytest.mark.parametrize(
    "key",
    [
        0, -1, np.int64(3), slice(None), slice(1, 6, 2), slice(4, 4), [5, 0, 5], np.array([6, 2]),
        np.arange(7) % 2 == 0,
        (2, 1), (slice(0, 3), 1), ([4, 1], slice(None), -1), (slice(None), ..., 2), (np.array([1, 3]), 0, 1, 2),
    ],
)  # fmt: skip
def test_indices_mean_what_they_mean_on_an_array(shape: tuple[int, ...], key: Any) -> None:
    plain = np.random.default_rng(2).integers(0, 2, shape, dtype=np.uint8)
    packed = PackedFrames.pack(plain)
    found = packed[key]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, plain[key], strict=True)


def test_it_looks_like_its_array() -> None:
    plain = np.random.default_rng(3).integers(0, 2, SHAPE, dtype=np.uint8)
    packed = PackedFrames.pack(plain)
    assert (packed.shape, packed.dtype, packed.ndim, len(packed)) == (plain.shape, plain.dtype, 5, 7)
    np.testing.assert_array_equal(np.asarray(packed), plain, strict=True)
    assert np.asarray(packed, np.float32).dtype == np.float32
    assert [row.tolist() for row in packed] == plain.tolist()
    assert packed.bits.nbytes == 7 * 15
    with pytest.raises(IndexError):
        packed[7]


@pytest.mark.parametrize("key", [None, ..., np.zeros((2, 2), int)])
def test_indices_that_choose_no_rows_are_refused(key: Any) -> None:
    with pytest.raises(IndexError, match="first index of packed frames"):
        PackedFrames.pack(np.zeros(SHAPE, np.uint8))[key]


def test_bits_that_do_not_fit_the_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        PackedFrames(np.zeros((7, 14), np.uint8), SHAPE)


def test_rows_are_taken_as_bits() -> None:
    frames = np.random.default_rng(3).integers(0, 2, (6, 3, 2, 5, 7)).astype(np.uint8)
    rows = np.array([4, 0, 4])
    taken = PackedFrames.pack(frames).take(rows)
    assert taken.bits.dtype == np.uint8
    assert taken.bits.nbytes == 3 * -(-3 * 2 * 5 * 7 // 8)
    np.testing.assert_array_equal(np.asarray(taken), frames[rows])

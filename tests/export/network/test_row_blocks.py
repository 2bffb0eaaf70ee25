"""Blocks of rows cover a matrix once, and distinct weights are those of NumPy, across blocks too."""

from __future__ import annotations

import numpy as np
import pytest

from spikeport.export.network.fixed_point import distinct
from spikeport.export.network.row_blocks import BLOCK, row_blocks


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, BLOCK), (5, BLOCK + 1), (1000, 333), (BLOCK + 7, 1), (0, 4)])
def test_every_row_is_in_one_block(rows, columns):
    blocks = list(row_blocks(rows, columns))
    assert np.array_equal(np.concatenate([np.arange(rows)[block] for block in blocks] or [[]]), np.arange(rows))
    assert all(0 < (block.stop - block.start) * columns <= max(BLOCK, columns) for block in blocks)


@pytest.mark.parametrize("span", [3, 254, 1 << 20])
def test_distinct_weights_of_a_matrix_of_several_blocks(span):
    rng = np.random.default_rng(span)
    weight = rng.integers(-span, span + 1, (300, 700), dtype=np.int32)
    weight[299, 699] = span + 5  # seen in the last block only
    assert weight.size > 2 * BLOCK
    assert np.array_equal(distinct(weight), np.unique(weight))


def test_distinct_weights_of_nothing():
    assert distinct(np.zeros((0, 4), dtype=np.int32)).size == 0

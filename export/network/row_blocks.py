"""Blocks of the rows of a large matrix, so that temporary arrays stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 1 << 16  # elements of a block, 512 KiB as float64


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices that cover all rows of a matrix in order, each of at least one row and about `BLOCK` elements.

    Args:
        rows: number of rows.
        columns: number of columns.
    """
    step = max(1, BLOCK // max(1, columns))
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))

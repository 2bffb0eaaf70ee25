"""Reads named values and the rows of ragged arrays of an HDF5 file, in the child process of `safe_hdf5`.

Rows of ragged arrays lie in a heap of the file and are never compressed, so that they cannot be longer than the file.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from spikeport.export.formats.hdf5_tree import EXPANSION, FREE_BYTES, LeafHeader, Reader, RefusedError

BLOCK_BYTES = 8 << 20  # of the file for each answer, on average
MOST_ROWS = 4096  # in each answer


def member_headers(file: Any, names: list[str], reader: Reader) -> dict[str, LeafHeader]:
    """Headers of named values, `["ragged", dtype, shape]` for ragged arrays of numbers.

    Args:
        file: the open file.
        names: paths of data sets in the file.
        reader: reads the values of those that are not ragged.

    Raises:
        RefusedError: one is missing, is a link, or has its values in other files.
    """
    headers: dict[str, LeafHeader] = {}
    for name in names:
        item = _member(file, name)
        inner = h5py.check_vlen_dtype(item.dtype)  # a kind of text for text, which is none of ours
        if inner is None or h5py.check_string_dtype(item.dtype) is not None:
            headers[name] = reader.dataset(item.id, name)
        else:
            headers[name] = ["ragged", np.dtype(inner).str, [int(length) for length in item.shape]]
    return headers


def row_block(file: Any, names: list[str], first: int, size: int) -> tuple[int, list[str], list[bytes]]:
    """The next rows of ragged arrays of one length, about BLOCK_BYTES of them.

    Args:
        file: the open file.
        names: paths of the arrays in the file.
        first: number of the first row.
        size: bytes of the file.

    Returns:
        (rows in all, dtypes, arrays); the arrays are, by name, int64 lengths `[rows]` and the values of all rows.

    Raises:
        RefusedError: an array is not ragged, the lengths differ, or there is more data than the file can hold.
    """
    items = [_member(file, name) for name in names]
    kinds = [h5py.check_vlen_dtype(item.dtype) for item in items]
    for item, kind, name in zip(items, kinds, names, strict=True):
        if kind is None or np.dtype(kind).kind not in "biuf" or item.ndim != 1:
            raise RefusedError(f"{name} is {item.dtype} {list(item.shape)}, not a ragged array of numbers")
        if len(item) != len(items[0]):
            raise RefusedError(f"{names[0]} has {len(items[0])} recordings, {name} has {len(item)}")
    total = len(items[0])
    if total * items[0].dtype.itemsize > FREE_BYTES + EXPANSION * size:
        raise RefusedError(f"{names[0]} declares {total} recordings, far more than the file can hold")
    stop = min(total, first + max(1, min(MOST_ROWS, BLOCK_BYTES * total // max(size, 1))))
    arrays: list[bytes] = []
    for item, kind, name in zip(items, kinds, names, strict=True):
        rows = item[first:stop] if first < stop else []
        lengths = np.array([len(row) for row in rows], np.int64)
        if int(lengths.sum()) * np.dtype(kind).itemsize > size:
            raise RefusedError(f"recordings {first} to {stop - 1} of {name} are longer than the file")
        arrays += [lengths.tobytes(), b"".join(row.data for row in rows)]
    return total, [np.dtype(kind).str for kind in kinds], arrays


def _member(file: Any, name: str) -> Any:
    """The data set of this path, stored in the file itself."""
    found = file
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or part not in found:
            raise RefusedError(f"there is no {name} in it")
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise RefusedError(f"it has a link in place of {part!r}")
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.shape is None or found.is_virtual or found.external:
        raise RefusedError(f"{name} is not a data set with values in the file itself")
    return found

"""Reads named values and ragged arrays of HDF5 files in the child process of `safe_hdf5`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.safe_hdf5 import Leaf, ask, leaf_of


@dataclass(frozen=True)
class Ragged:
    """A ragged array of numbers, without its values.

    Attributes:
        dtype: of its values.
        shape: number of its rows, for each axis.
    """

    dtype: np.dtype
    shape: tuple[int, ...]


def read_members(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, Leaf | Ragged]:
    """Reads some values of an HDF5 file.

    Args:
        path: the file.
        names: paths of data sets in the file.

    Returns:
        The values by name, without those of ragged arrays.

    Raises:
        UserError: the file is missing or damaged, crashes libhdf5 or takes too long; a value is missing, is a link, or
            is larger than the file can hold.
    """
    header, arrays = ask({"members": list(names)}, path)
    if "refused" in header:
        raise _refusal(path, header["refused"])
    left = iter(arrays)
    return {
        name: Ragged(np.dtype(leaf[1]), tuple(leaf[2])) if leaf[0] == "ragged" else leaf_of(leaf, left)
        for name, leaf in header["members"].items()
    }


def read_rows(path: str | os.PathLike[str], names: Sequence[str]) -> Iterator[tuple[np.ndarray, ...]]:
    """Reads the rows of ragged arrays in blocks of a few megabytes.

    Args:
        path: the file.
        names: paths of ragged arrays in the file, which have one length.

    Yields:
        A row of each array, in the order of the names. They cannot be written to.

    Raises:
        UserError: as `read_members`; an array is not ragged, or the lengths differ.
    """
    done, total = 0, None
    with ThreadPoolExecutor(1) as ahead:  # the child reads a block while the one before is used
        coming = ahead.submit(ask, {"rows": list(names), "first": 0}, path)
        while total is None or done < total:
            header, arrays = coming.result()
            if "refused" in header:
                raise _refusal(path, header["refused"])
            if total not in (None, header["total"]):
                raise _refusal(path, "it changed while it was read")
            total = header["total"]
            done += len(arrays[0]) // 8
            if done < total:
                coming = ahead.submit(ask, {"rows": list(names), "first": done}, path)
            columns = [
                _split(np.frombuffer(values, dtype), np.frombuffer(lengths, np.int64))
                for lengths, values, dtype in zip(arrays[::2], arrays[1::2], header["dtypes"], strict=True)
            ]
            yield from zip(*columns, strict=True)


def _split(values: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    ends = np.cumsum(lengths)
    for first, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True):
        yield values[first:end]


def _refusal(path: str | os.PathLike[str], cause: str) -> UserError:
    return UserError("this file cannot be read", where=str(path), cause=cause, hint="write or copy the file again")

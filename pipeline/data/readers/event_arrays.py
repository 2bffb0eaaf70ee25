"""Reads events from array files: .npy, .npz, .mat.

Declared sizes are compared with the file's size first; nothing is unpickled.
"""

from __future__ import annotations

import itertools
import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from spikeport.npy_header import read_npy_header
from spikeport.pipeline.data.readers import mat_files
from spikeport.pipeline.data.readers.event_columns import (
    Table,
    check_size,
    damaged,
    event_names,
    from_columns,
    list_members,
    unknown_layout,
)
from spikeport.pipeline.data.readers.event_streams import content_of
from spikeport.pipeline.data.readers.event_tables import events_member, events_of, from_table

_MOST_NAMES = 1_000  # of an archive that are looked at


def read_npy(path: Path, layout: Table) -> np.ndarray:
    """Reads a structured array, or `[N, 4]` with the column order that the recipe gives.

    Args:
        path: the file.
        layout: order of the columns of an array `[N, 4]`, and unit of the times.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        return events_of(_array(file, size, size), layout)


def read_npz(path: Path, layout: Table) -> np.ndarray:
    """Reads a structured array, an array `[N, 4]`, or one array for each column.

    Args:
        path: the file.
        layout: order of the columns of an array `[N, 4]`, and unit of the times.
    """
    stored = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if len(entries) < len(archive.infolist()):
            raise damaged("a name occurs in it twice")
        names = list(entries) if len(entries) == 1 else event_names(list(entries))
        if len(entries) > 1 and len(names) < 4:
            headers = {}
            for name in itertools.islice(entries, _MOST_NAMES):
                with archive.open(entries[name]) as file:
                    headers[name] = _header(file)
            known = {name: (each[0], each[1].names) for name, each in headers.items() if each}
            alone = events_member(known) if len(headers) == len(entries) else None
            if alone is None:
                others = {name: _stated(each) for name, each in itertools.islice(headers.items(), 8)}
                raise unknown_layout(
                    list_members(others), "save the events under these names: numpy.savez(file, t=t, x=x, y=y, p=p)"
                )
            names = [alone]
        check_size(sum(entries[name].file_size for name in names), stored)
        found = {}
        for name in names:
            with archive.open(entries[name]) as file:
                found[name] = _array(file, entries[name].file_size, stored)
    if len(found) == 1:
        return events_of(found[names[0]], layout)
    return from_columns(found, layout.time_unit)


def read_mat(path: Path, layout: Table) -> np.ndarray:
    """Reads the variables ts, x, y and p of a MATLAB file of version 5 to 7, or its one array `[N, 4]`.

    Args:
        path: the file.
        layout: order of the columns of an array `[N, 4]`, and unit of the times.
    """
    content = content_of(path)
    found = {each.name: each for each in mat_files.variables(content)}
    names = [name for name in event_names(list(found)) if found[name].numeric]
    if len(names) < 4:
        alone = events_member({name: (each.shape, None) for name, each in found.items() if each.numeric})
        if alone is not None:
            return from_table(found[alone].values(len(content)), layout)
        structs = [each.name for each in found.values() if each.kind == "struct"]
        fields = ", ".join(f"{f} = {structs[0]}.{f}" for f in ("ts", "x", "y", "p")) if structs else ""
        convert = f'in MATLAB: {fields}; save(file, "ts", "x", "y", "p", "-v7")' if structs else (
            "events that are not a camera's (touch, sound) cannot be read; else save ts, x, y and p"
        )  # fmt: skip
        there = {name: str(each) for name, each in found.items()}
        raise unknown_layout(
            list_members(there) if there else "no variable", convert, "the variables ts (in us), x, y and p"
        )
    check_size(sum(math.prod(found[name].shape) for name in names), len(content))  # of a byte at least
    arrays = {name: found[name].values(len(content)) for name in names}
    one = {name: each.reshape(-1) if max(each.shape) == each.size else each for name, each in arrays.items()}
    return from_columns(one, layout.time_unit)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and type that the header of a .npy file declares; None if it is no such file."""
    try:
        shape, _, dtype = read_npy_header(file)
    except ValueError:
        return None
    return shape, dtype


def _stated(header: tuple[tuple[int, ...], np.dtype] | None) -> str:
    """A header as text."""
    return "no array" if header is None else f"{str(header[1])[:60]} {list(header[0])}"


def _array(file: IO[bytes], size: int, stored: int) -> np.ndarray:
    """The array of an open .npy file of `size` bytes."""
    shape, fortran, dtype = read_npy_header(file)
    if dtype.hasobject:
        raise unknown_layout("Python objects, which are never unpickled", "save plain arrays of numbers")
    if any(type(length) is not int or length < 0 for length in shape) or not dtype.itemsize:
        raise damaged(f"its header states {dtype} {str(shape)[:100]}")
    count = math.prod(shape) * dtype.itemsize
    if count != size - file.tell():
        raise damaged(f"its header states {count:,} bytes, and it holds {size - file.tell():,}")
    check_size(count, stored)
    return np.frombuffer(file.read(count), dtype).reshape(shape, order="F" if fortran else "C")

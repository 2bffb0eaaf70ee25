"""Reads events from HDF5 files: columns, a table, Metavision's CD/events and DSEC's events.

Declared sizes are compared with the file's size first, and no other file is opened.
"""

from __future__ import annotations

import importlib
import itertools
import math
import os
from pathlib import Path
from typing import Any, cast

import numpy as np

from spikeport.errors import MissingDependencyError
from spikeport.pipeline.data.readers.event_columns import (
    Table,
    check_size,
    describe,
    event_names,
    from_columns,
    list_members,
    unknown_layout,
)
from spikeport.pipeline.data.readers.event_tables import events_member, events_of

_MOST_NAMES = 10_000  # of a file's members that are looked at
_ECF = 0x8ECF  # number of Prophesee's filter among HDF5's
_CONVERT = "convert it: write t, x, y and p as data sets into the group events"
_MANY = 'spike trains of many recordings (SHD, SSC) are read with data.source = "shd" or "ssc"; see spikeport data info'
_TAKEN = "data sets t (in us), x, y and p in the group events or at the top, or Metavision's CD/events"


def read_h5(path: Path, layout: Table) -> np.ndarray:
    """Reads columns in the root or in `events`, or a data set `events`, `CD/events` or of any name if it is alone.

    DSEC's files have columns in `events`. Their `t_offset` is not added: the first event of a recording is time zero.

    Args:
        path: the file.
        layout: order of the columns of an array `[N, 4]`, and unit of the times.

    Raises:
        EventFileError: the file is damaged or has another layout.
        MissingDependencyError: the decompressor of the file is not installed.
    """
    import h5py

    size = os.path.getsize(path)
    with h5py.File(path, "r") as file:
        found: Any = file
        if "events" in file:
            found = member_of(file, "events")
        elif "CD" in file and isinstance(group := member_of(file, "CD"), h5py.Group) and "events" in group:
            found = member_of(group, "events")  # Metavision's
        if isinstance(found, h5py.Dataset):
            return events_of(_values(found, size, path), layout)
        names = event_names([str(name) for name in itertools.islice(found, _MOST_NAMES)])
        items = {name: member_of(found, name) for name in names}
        sets = {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}
        if len(sets) < 4:
            return events_of(_values(_alone(file), size, path), layout)
        check_size(sum(_declared(item) for item in sets.values()), size)
        return from_columns({name: _values(item, size, path) for name, item in sets.items()}, layout.time_unit)


def member_of(group: Any, name: str) -> Any:
    """A member that is stored in the file itself.

    Args:
        group: the group.
        name: name of the member.

    Raises:
        EventFileError: it is a link.
    """
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise unknown_layout(f"a link in place of {name!r}", "store the events in the file itself (h5repack, or copy)")
    return group[name]


def _declared(item: Any) -> int:
    return math.prod(map(int, item.shape or ())) * item.dtype.itemsize


def _values(item: Any, size: int, path: Path) -> np.ndarray:
    """All values of a data set.

    Args:
        item: the data set.
        size: bytes of the file.
        path: the file, for error messages.
    """
    if item.is_virtual or item.external:
        raise unknown_layout(f"{item.name}, whose values lie in other files", "store the events in the file itself")
    dtype = item.dtype  # made anew each time
    if item.shape is None or dtype.hasobject:
        raise unknown_layout(f"{item.name} of type {dtype}", "store numbers")
    check_size(math.prod(map(int, item.shape)) * dtype.itemsize, size)
    try:
        return item[()]
    except OSError as error:
        if "filter" not in str(error) and "plugin" not in str(error):
            raise
    return _unpacked(item, path)


def _unpacked(item: Any, path: Path) -> np.ndarray:
    """All values of a data set whose filter is not part of the HDF5 library, as DSEC's Blosc is."""
    pack = item.id.get_create_plist()
    filters = {code: name for code, _, _, name in map(pack.get_filter, range(pack.get_nfilters()))}
    named = ", ".join(f"{code} ({name.decode('utf-8', 'replace')[:40]})" for code, name in filters.items())
    if _ECF in filters:
        raise unknown_layout(
            f"{item.name}, compressed with Prophesee's ECF, whose plugin HDF5 does not find",
            "install the plugin (github.com/prophesee-ai/hdf5_ecf) and set HDF5_PLUGIN_PATH to its folder, or convert "
            "the file with metavision_file_to_dat",
        )
    try:
        importlib.import_module("hdf5plugin")  # registers its filters
    except ImportError:
        raise MissingDependencyError(
            f"{item.name} is compressed with the HDF5 filter {named}",
            where=str(path),
            hint="pip install hdf5plugin, or repack it: h5repack -f GZIP=4",
        ) from None
    try:
        return item[()]
    except OSError as error:
        raise unknown_layout(
            f"{item.name}, compressed with the filter {named}, which this HDF5 library lacks ({error})",
            "repack it: h5repack -f GZIP=4",
        ) from None


def _alone(file: Any) -> Any:
    """The only data set of a file that can hold events, see `events_member`.

    Raises:
        EventFileError: it has none, or several.
    """
    import h5py

    there, sets = {}, {}
    for name in itertools.islice(file, _MOST_NAMES):
        item = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(item, h5py.Group):
            there[str(name)] = f"group of {', '.join(itertools.islice(map(str, item), 6)) or 'nothing'}"
        else:
            there[str(name)] = describe(cast("np.ndarray", item)) if isinstance(item, h5py.Dataset) else "link or type"
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                sets[str(name)] = (tuple(map(int, item.shape)), item.dtype.names)
    alone = events_member(sets)
    if alone is not None:
        return file[alone]
    convert = _MANY if {"spikes", "labels"} <= there.keys() else _CONVERT
    raise unknown_layout(list_members(there) if there else "nothing", convert, _TAKEN)

"""Reads the groups and values of an HDF5 file within limits, in the child process of `safe_hdf5`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import h5py
import h5py.h5l
import h5py.h5o
import numpy as np

DEEPEST = 32
MOST_OBJECTS = 250_000  # groups, values and attributes; a NIR node has about seven
OBJECTS_PER_SIGN = 100  # objects between two progress messages
ATTRIBUTE_BYTES = 1 << 20
LONGEST_NAME = 500
FREE_BYTES = 64 << 20  # a file may declare this many bytes of data, ...
EXPANSION = 32  # ... plus this factor times its size; more would be a decompression bomb

LeafHeader = list[Any]  # [dtype, shape, bytes], ["text", shape, lengths] or ["none", description]


class GroupHeader(TypedDict):
    """Header of a group: its structure without the bytes of its arrays."""

    members: dict[str, GroupHeader | LeafHeader]
    attributes: dict[str, LeafHeader]


class RefusedError(Exception):
    """The file is readable but exceeds a limit or uses features that networks do not need."""


class Reader:
    """Reads one file, object by object.

    `on_progress` is called after each hundred objects. The caller extends the time limit there, so that large intact
    files are read completely and damaged ones are not read forever.

    Attributes:
        budget: bytes that the rest of the file may declare.
        seen: file number and address of each object read.
        objects: number of objects read.
        arrays: bytes of the values, in the order of the header.
    """

    def __init__(self, size: int, on_progress: Callable[[], None] = lambda: None) -> None:
        self.budget = FREE_BYTES + EXPANSION * size
        self.seen: set[tuple[int, int]] = set()
        self.objects = 0
        self.arrays: list[bytes] = []
        self.on_progress = on_progress

    def group(self, group: Any, path: str = "", depth: int = 0) -> GroupHeader:
        """Header of a group and everything in it. `group` is h5py's low-level id.

        h5py's high-level objects would take three times as long, which matters for networks with thousands of nodes.
        """
        if depth > DEEPEST:
            raise RefusedError(f"its groups are nested more than {DEEPEST} deep")
        self._once(group, path or "/")
        members: dict[str, GroupHeader | LeafHeader] = {}
        links = group.links
        for encoded in group:
            name = _checked_name(encoded)
            where = f"{path}/{name}"
            if links.get_info(encoded).type != h5py.h5l.TYPE_HARD:
                raise RefusedError(f"{name!r} is a link to somewhere else")
            item = h5py.h5o.open(group, encoded)
            if isinstance(item, h5py.h5g.GroupID):
                members[name] = self.group(item, where, depth + 1)
            elif isinstance(item, h5py.h5d.DatasetID):
                self._once(item, where)
                members[name] = self.dataset(item, where)
            else:
                members[name] = ["none", "a named type"]
        return {"members": members, "attributes": self._attributes(group)}

    def _once(self, item: Any, path: str) -> None:
        info = h5py.h5o.get_info(item)
        if (info.fileno, info.addr) in self.seen:
            raise RefusedError(f"{path} is reached by more than one path")
        self.seen.add((info.fileno, info.addr))
        self._count()

    def _count(self) -> None:
        self.objects += 1
        if self.objects > MOST_OBJECTS:
            raise RefusedError(f"it holds more than {MOST_OBJECTS} objects")
        if self.objects % OBJECTS_PER_SIGN == 0:
            self.on_progress()

    def dataset(self, dataset: Any, path: str) -> list[Any]:
        """Header of a value: `[dtype, shape, bytes]`, `["text", shape, lengths]` or `["none", description]`."""
        made = dataset.get_create_plist()
        if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
            raise RefusedError(f"{path} keeps its values in other files")
        if dataset.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            return ["none", "empty"]
        return self._leaf(dataset, path, lambda: h5py.Dataset(dataset)[()])

    def _attributes(self, group: Any) -> dict[str, LeafHeader]:
        found: dict[str, LeafHeader] = {}
        if not h5py.h5a.get_num_attrs(group):
            return found
        attributes = h5py.AttributeManager(h5py.Group(group))
        for name in attributes:
            _checked_name(name)
            self._count()
            attribute = attributes.get_id(name)
            found[name] = self._leaf(attribute, f"attribute {name}", lambda name=name: attributes[name],
                                     ATTRIBUTE_BYTES)  # fmt: skip
        return found

    def _leaf(self, item: Any, name: str, read: Any, limit: int | None = None) -> list[Any]:
        try:
            dtype, shape = item.dtype, item.shape
        except (TypeError, ValueError, RuntimeError) as error:
            return ["none", f"of a type that NumPy lacks ({error})"]
        if shape is None:
            return ["none", "empty"]
        text = h5py.check_string_dtype(dtype)
        declared = dtype.itemsize
        for length in shape:
            declared *= max(int(length), 1)
        if declared > (self.budget if limit is None else limit):
            raise RefusedError(f"{name} declares {declared} bytes ({dtype}, {shape}), far more than the file can hold")
        self.budget -= declared
        if text is not None and text.length is None:
            return self._text(np.asarray(read(), dtype=object), shape)
        if dtype.kind not in "biufS" or (dtype.itemsize > 8 and dtype.kind != "S"):
            return ["none", f"of type {dtype}"]
        if limit is None:
            values = np.empty(shape, dtype)
            if values.size:
                item.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
        else:
            values = np.ascontiguousarray(np.asarray(read(), dtype=dtype))
        if values.size != int(np.prod(shape, dtype=object)):
            raise RefusedError(f"{name} declares shape {shape} and holds {values.shape}")
        data = values.tobytes()
        self.arrays.append(data)
        return [dtype.str, [int(length) for length in shape], len(data)]

    def _text(self, values: np.ndarray, shape: tuple[int, ...]) -> list[Any]:
        raw = [item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape")
               for item in values.reshape(-1)]  # fmt: skip
        try:
            for item in raw:
                item.decode("utf-8")
        except UnicodeDecodeError:
            return ["none", "text that is not UTF-8"]
        self.budget -= sum(map(len, raw))
        if self.budget < 0:
            raise RefusedError("its texts are far longer than the file can hold")
        self.arrays += raw
        return ["text", [int(length) for length in shape], [len(item) for item in raw]]


def _checked_name(name: bytes | str) -> str:
    try:
        encoded = name.encode("utf-8") if isinstance(name, str) else name
        decoded = encoded.decode("utf-8")
    except UnicodeError as error:
        raise RefusedError("a name in it is not UTF-8") from error
    if len(encoded) > LONGEST_NAME:
        raise RefusedError(f"a name in it has {len(encoded)} bytes")
    return decoded

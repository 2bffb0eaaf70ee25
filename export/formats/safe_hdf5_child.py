"""Child process of `safe_hdf5` that reads HDF5 files on request. It does not import other modules of Spikeport.

A request is a line of JSON with a path. An answer is eight bytes with the length of a JSON header, the header, and the
bytes of all arrays. Progress messages are eight bytes of ones. They are sent once after the start of the process, and
before the answer after each hundred objects.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypedDict

sys.path[:] = json.loads(sys.argv[1])  # the parent's path, where h5py was found; -I removed it

import h5py  # noqa: E402
import h5py.h5l  # noqa: E402
import h5py.h5o  # noqa: E402
import numpy as np  # noqa: E402

try:
    import resource
except ImportError:  # Windows has no such limits; only the parent's timeout applies
    resource = None  # type: ignore[assignment]

DEEPEST = 32
MOST_OBJECTS = 250_000  # groups, values and attributes; a NIR node has about seven
OBJECTS_PER_SIGN = 100  # objects between two progress messages
ALIVE = b"\xff" * 8
ATTRIBUTE_BYTES = 1 << 20
LONGEST_NAME = 500
FREE_BYTES = 64 << 20  # a file may declare this many bytes of data, ...
EXPANSION = 32  # ... plus this factor times its size; more would be a decompression bomb
CPU_S = 3  # for a hundred objects, which normally take 0.05 s
MEGABYTES_A_SECOND = 16


LeafHeader = list[Any]  # [dtype, shape, bytes], ["text", shape, lengths] or ["none", description]


class GroupHeader(TypedDict):
    """Header of a group: its structure without the bytes of its arrays."""

    members: dict[str, GroupHeader | LeafHeader]
    attributes: dict[str, LeafHeader]


class Answer(TypedDict, total=False):
    """Header of an answer: the file's root group, or the reason why it was not read."""

    tree: GroupHeader
    refused: str
    unreadable: str


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


def answer(path: str, alive: Callable[[], None]) -> tuple[Answer, list[bytes]]:
    """Reads a file.

    Args:
        path: the file.
        alive: function that sends a progress message.

    Returns:
        (header, arrays); the header has the reason if the file was not read.
    """

    def on_progress() -> None:
        _limit_time(size)
        alive()

    try:
        size = os.stat(path).st_size
        _limit_time(size)
        _limit_memory(size)
        reader = Reader(size, on_progress)
        with _opened(path) as file:
            tree = reader.group(file["/"].id)
        return {"tree": tree}, reader.arrays
    except RefusedError as error:
        return {"refused": str(error)}, []
    except MemoryError:
        return {"refused": "it takes more memory than a network of its size can need"}, []
    except Exception as error:  # h5py raises a dozen kinds on damaged files
        text = str(error).strip().splitlines()
        return {"unreadable": text[0] if text else type(error).__name__}, []


def _opened(path: str) -> Any:
    try:
        return h5py.File(path, "r", locking=False)
    except (TypeError, ValueError):  # this HDF5 library does not support the option
        return h5py.File(path, "r")


def _limit_time(size: int) -> None:
    """Limits the CPU time until the next progress message, for a file of `size` bytes."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_S + size // (MEGABYTES_A_SECOND << 20)
    _lower(resource.RLIMIT_CPU, seconds)


def _limit_memory(size: int) -> None:
    """Limits the memory for a file of `size` bytes."""
    if resource is None:
        return
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return  # the address space in use is unknown, so no limit can be computed
    _lower(resource.RLIMIT_AS, mapped + (256 << 20) + 3 * (FREE_BYTES + EXPANSION * size))


def _lower(kind: int, value: int) -> None:
    if resource is None:
        return
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _await_request(requests: BinaryIO, parent: int) -> bytes:
    """The next request; empty if the parent has ended, even if a forked process keeps the pipe open."""
    if os.name == "posix":
        while not select.select([requests], [], [], 5)[0]:
            if os.getppid() != parent:
                return b""
    return requests.readline()


def main() -> None:
    """Answers requests until the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = os.getppid()
    requests, answers = os.fdopen(0, "rb", buffering=0), os.fdopen(1, "wb")

    def alive() -> None:
        answers.write(ALIVE)
        answers.flush()

    alive()  # all modules are loaded
    while line := _await_request(requests, parent):
        header, arrays = answer(json.loads(line), alive)
        encoded = json.dumps(header).encode("ascii")
        answers.write(len(encoded).to_bytes(8, "little") + encoded)
        for data in arrays:
            answers.write(data)
        answers.flush()


if __name__ == "__main__":
    main()

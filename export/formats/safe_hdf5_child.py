"""Reads HDF5 files on request, in a process of its own; see `safe_hdf5`, which starts it. Imports nothing of ours.

A request is a line of JSON with a path. The answer is eight bytes with the length of a JSON header, the header, and
the bytes of all arrays one after the other. Before it come eight bytes of ones after each hundred objects: reading
goes on. They also come once at the beginning: this process has started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypedDict

sys.path[:] = json.loads(sys.argv[1])  # the parent's: it found h5py there, and -I left it out

import h5py  # noqa: E402
import numpy as np  # noqa: E402

try:
    import resource
except ImportError:  # Windows has no such limits; the parent's time-out remains
    resource = None  # type: ignore[assignment]

DEEPEST = 32
MOST_OBJECTS = 250_000  # groups, values and attributes; a node of NIR has about seven
OBJECTS_PER_SIGN = 100  # objects
ALIVE = b"\xff" * 8
ATTRIBUTE_BYTES = 1 << 20
LONGEST_NAME = 500
FREE_BYTES = 64 << 20  # what any file may declare, ...
EXPANSION = 32  # ... and this times its own size on top: more is a bomb, not a network
CPU_S = 3  # for a hundred objects, which take a twentieth of a second
MEGABYTES_A_SECOND = 16


LeafHeader = list[Any]  # [dtype, shape, bytes], ["text", shape, lengths] or ["none", description]


class GroupHeader(TypedDict):
    """A group without the bytes of its arrays."""

    members: dict[str, GroupHeader | LeafHeader]
    attributes: dict[str, LeafHeader]


class Answer(TypedDict, total=False):
    """The header of an answer: the file's root group, or why there is none."""

    tree: GroupHeader
    refused: str
    unreadable: str


class RefusedError(Exception):
    """The file is readable and asks for what no network needs."""


class Reader:
    """Reads one file, object by object. The header nests groups and values; `arrays` has the bytes of the values.

    `on_progress` is called after each hundred objects. The caller extends the time limit there, so that a large sound
    file is read to its end and a damaged one is not read for ever.
    """

    def __init__(self, size: int, on_progress: Callable[[], None] = lambda: None) -> None:
        self.budget = FREE_BYTES + EXPANSION * size
        self.seen: set[tuple[int, int]] = set()
        self.objects = 0
        self.arrays: list[bytes] = []
        self.on_progress = on_progress

    def group(self, group: Any, path: str = "", depth: int = 0) -> GroupHeader:
        """Everything in a group, given by h5py's low-level id: `{"members": ..., "attributes": ...}`.

        h5py's own objects would take three times as long, which tells where a network has thousands of nodes.
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
        """`[dtype, shape, bytes]`, `["text", shape, lengths]` or `["none", what it is]`."""
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
    """The header and arrays of the file at `path`, or a header that says what is wrong with it."""

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
    except (TypeError, ValueError):  # an HDF5 library that cannot choose
        return h5py.File(path, "r")


def _limit_time(size: int) -> None:
    """Processor time from now on, in which a file of `size` bytes must have gone on, where the system has the limit."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_S + size // (MEGABYTES_A_SECOND << 20)
    _lower(resource.RLIMIT_CPU, seconds)


def _limit_memory(size: int) -> None:
    """Memory for one file of `size` bytes, where the system has the limit."""
    if resource is None:
        return
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return  # the address space in use is not known here, so that no limit would be right
    _lower(resource.RLIMIT_AS, mapped + (256 << 20) + 3 * (FREE_BYTES + EXPANSION * size))


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _await_request(requests: BinaryIO, parent: int) -> bytes:
    """The next line; nothing where the parent is gone, even if somebody it forked still holds the pipe."""
    if os.name == "posix":
        while not select.select([requests], [], [], 5)[0]:
            if os.getppid() != parent:
                return b""
    return requests.readline()


def main() -> None:
    """Serves until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = os.getppid()
    requests, answers = os.fdopen(0, "rb", buffering=0), os.fdopen(1, "wb")

    def alive() -> None:
        answers.write(ALIVE)
        answers.flush()

    alive()  # what it needs is loaded
    while line := _await_request(requests, parent):
        header, arrays = answer(json.loads(line), alive)
        encoded = json.dumps(header).encode("ascii")
        answers.write(len(encoded).to_bytes(8, "little") + encoded)
        for data in arrays:
            answers.write(data)
        answers.flush()


if __name__ == "__main__":
    main()

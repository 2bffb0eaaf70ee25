"""Child process of `safe_hdf5` that reads HDF5 files on request. It imports little, so that it starts quickly.

A request is a line of JSON, see `Request`. An answer is eight bytes with the length of a JSON header, the header, and
the bytes of all arrays. Progress messages are eight bytes of ones. They are sent once after the start of the process,
and before the answer after each hundred objects.
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

from spikeport.export.formats.hdf5_ragged import member_headers, row_block  # noqa: E402
from spikeport.export.formats.hdf5_tree import (  # noqa: E402
    EXPANSION,
    FREE_BYTES,
    GroupHeader,
    LeafHeader,
    Reader,
    RefusedError,
)

try:
    import resource
except ImportError:  # Windows has no such limits; only the parent's timeout applies
    resource = None  # type: ignore[assignment]

ALIVE = b"\xff" * 8
CPU_S = 3  # for a hundred objects, which normally take 0.05 s
MEGABYTES_A_SECOND = 16


class Request(TypedDict, total=False):
    """What is read of a file: `members`, a block of the ragged arrays `rows`, or without both the whole file.

    Attributes:
        path: the file.
        members: paths of values in the file.
        rows: paths of ragged arrays of one length.
        first: the row that the block begins with.
    """

    path: str
    members: list[str]
    rows: list[str]
    first: int


class Answer(TypedDict, total=False):
    """Header of an answer: what the request asked for, or the reason why it was not read.

    Attributes:
        tree: the root group.
        members: values by path.
        total: rows of each ragged array in all.
        dtypes: of the ragged arrays.
        sizes: bytes of each array that follows the header.
        refused: why a readable file was not read.
        unreadable: why the file cannot be read.
    """

    tree: GroupHeader
    members: dict[str, LeafHeader]
    total: int
    dtypes: list[str]
    sizes: list[int]
    refused: str
    unreadable: str


def answer(request: Request, alive: Callable[[], None]) -> tuple[Answer, list[bytes]]:
    """Reads a file.

    Args:
        request: the file, and what is read of it.
        alive: function that sends a progress message.

    Returns:
        (header, arrays); the header has the reason if the file was not read.
    """

    def on_progress() -> None:
        _limit_time(size)
        alive()

    try:
        size = os.stat(request["path"]).st_size
        _limit_time(size)
        _limit_memory(FREE_BYTES + (1 if "rows" in request else EXPANSION) * size)
        reader = Reader(size, on_progress)
        with _opened(request["path"]) as file:
            if "rows" in request:
                total, dtypes, arrays = row_block(file, request["rows"], request["first"], size)
                return {"total": total, "dtypes": dtypes}, arrays
            if "members" in request:
                return {"members": member_headers(file, request["members"], reader)}, reader.arrays
            return {"tree": reader.group(file["/"].id)}, reader.arrays
    except RefusedError as error:
        return {"refused": str(error)}, []
    except MemoryError:
        return {"refused": "it takes more memory than a file of its size can need"}, []
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
    """Limits the memory for values of `size` bytes."""
    if resource is None:
        return
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return  # the address space in use is unknown, so no limit can be computed
    _lower(resource.RLIMIT_AS, mapped + (256 << 20) + 3 * size)


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
        header["sizes"] = [len(data) for data in arrays]
        encoded = json.dumps(header).encode("ascii")
        answers.write(len(encoded).to_bytes(8, "little") + encoded)
        for data in arrays:
            answers.write(data)
        answers.flush()


if __name__ == "__main__":
    main()

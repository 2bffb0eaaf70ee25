"""Reads HDF5 files in a child process, since libhdf5 crashes or hangs on some damaged files.

The child is started at the first file and reused for the next ones (a few milliseconds each). It has limits on memory
and CPU time if the system supports them. It is replaced after a crash and ends with this process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.child_watch import Watch
from spikeport.export.formats.foreign_files import not_hdf5

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from spikeport.export.formats.hdf5_tree import GroupHeader, LeafHeader
    from spikeport.export.formats.safe_hdf5_child import Answer, Request

_HANGS, _ENDLESS = "libhdf5 hangs on it", "libhdf5 does not come to an end on it"
TIMEOUT_S = 60.0  # between two progress messages; large files get more time
_ALIVE = (1 << 64) - 1
_MEGABYTES_A_SECOND = 8
_PIPE_BYTES = 1 << 20
_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Unsupported:
    """A value of a type that networks do not use (a reference, a compound, text that is not UTF-8).

    Attributes:
        what: description of the value.
    """

    what: str


Leaf = np.ndarray | Unsupported


@dataclass(frozen=True)
class Tree:
    """An HDF5 group.

    Attributes:
        members: groups and values by name. Text is an object array of str.
        attributes: values by name.
    """

    members: dict[str, Tree | Leaf] = field(default_factory=dict)
    attributes: dict[str, Leaf] = field(default_factory=dict)


def read_tree(path: str | os.PathLike[str]) -> Tree:
    """Reads a whole HDF5 file.

    Args:
        path: the file.

    Returns:
        The root group.

    Raises:
        UserError: the file is missing or damaged, crashes libhdf5, takes too long, links to other files or to itself,
            or declares far more data than its size can hold.
    """
    header, arrays = ask({}, path)
    if "refused" in header:
        hint = "write or copy the file again"
        raise UserError("holds features that networks do not use", where=str(path), cause=header["refused"], hint=hint)
    return _tree(header["tree"], iter(arrays))


def ask(request: Request, path: str | os.PathLike[str]) -> tuple[Answer, list[bytes]]:
    """The child's answer.

    Args:
        request: what is read of the file.
        path: the file.

    Returns:
        (header, arrays); the header may be a refusal.

    Raises:
        UserError: the file is missing or damaged, crashes libhdf5, or takes too long.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError("no such file", where=str(file), hint="check the name")
    try:
        foreign = not_hdf5(file)
    except OSError as error:
        raise UserError("cannot be read", where=str(file), cause=error.strerror or str(error)) from error
    if foreign is not None:
        raise UserError("is not a readable HDF5 file", where=str(file), cause=foreign[0], hint=foreign[1])
    with _lock:
        header, arrays = _ask({**request, "path": str(file.resolve())}, str(file))
    if "unreadable" in header:
        why = header["unreadable"]
        if "truncated" in why or "unable to lock" in why:
            why = f"it was not written to the end ({why})"
        raise UserError("is not a readable HDF5 file", where=str(file), cause=why, hint="write or copy the file again")
    return header, arrays


def text_of(value: Tree | Leaf | None) -> str | None:
    """The text of a value, the first one if there are several; None if it is not text.

    Args:
        value: a member or an attribute of a group.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "OSU" or not value.size:
        return None
    first = value.reshape(-1)[0]
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


class _Child:
    """The process and its pipes."""

    def __init__(self) -> None:
        paths = json.dumps([entry for entry in sys.path if os.path.isabs(entry)])
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process; a pipe might fill
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("safe_hdf5_child.py")), paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            env={**os.environ, **_SINGLE_THREAD}, start_new_session=True,
        )  # fmt: skip
        if fcntl and self.process.stdout and hasattr(fcntl, "F_SETPIPE_SZ"):  # fewer changes between the processes
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.owner = os.getpid()
        self.started = False
        self.files = 0

    def ask(self, request: Request, timeout_s: float) -> tuple[Answer, list[bytes]] | str:
        """The answer for one file, or a text with the reason why there is none; then the child has ended."""
        watch = Watch(self.process, timeout_s)
        try:
            requests, answers = self.process.stdin, self.process.stdout
            assert requests
            assert answers
            requests.write(json.dumps(request).encode("ascii") + b"\n")
            requests.flush()
            while (length := int.from_bytes(_exactly(answers, 8), "little")) == _ALIVE:
                self.started = True
                watch.again()
            header = json.loads(_exactly(answers, length))
            arrays = [_exactly(answers, size) for size in header["sizes"]]
            self.files += 1
            return header, arrays
        except (OSError, EOFError):
            self.close()
            return _HANGS if watch.late else _cause_of_death(self.process.returncode)
        except BaseException:  # after Ctrl-C the pipe holds the rest of this answer, so the child cannot be reused
            self.close()
            raise
        finally:
            watch.over()

    def close(self) -> None:
        """Ends the process. After a fork, where another process owns it, only closes the pipes."""
        mine = self.owner == os.getpid()
        if mine:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        if mine:
            self.process.wait()

    def last_line(self) -> str:
        """Last line that the child wrote to stderr."""
        self._complaints.seek(0)
        lines = self._complaints.read(1 << 20).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


_lock = threading.Lock()
_child: _Child | None = None


def _ask(request: Request, where: str) -> tuple[Answer, list[bytes]]:
    """The child's answer. If a reused child fails, the file is tried again in a new process."""
    global _child
    timeout_s = TIMEOUT_S + os.stat(request["path"]).st_size / (_MEGABYTES_A_SECOND << 20)
    while True:
        if _child is None or _child.owner != os.getpid() or _child.process.poll() is not None:
            _child = _Child()
        fresh = _child.files == 0
        answer = _child.ask(request, timeout_s)
        if not isinstance(answer, str):
            return answer
        lost, _child = _child, None
        if not lost.started and answer != _HANGS:
            raise UserError(
                "the process that reads HDF5 files does not start",
                where=where,
                cause=f"{answer.removeprefix('the process that reads it ')}; {lost.last_line()}",
                hint=f"see whether `{sys.executable} -c 'import h5py'` works, and whether there is memory",
            )
        if fresh or answer in (_HANGS, _ENDLESS):
            raise UserError(
                "is not a readable HDF5 file", where=where, cause=answer, hint="write or copy the file again"
            )


def _cause_of_death(returncode: int) -> str:
    if returncode >= 0:
        return f"the process that reads it ended with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return _ENDLESS if name == "SIGXCPU" else f"libhdf5 crashed on it ({name})"


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _tree(node: GroupHeader, arrays: Iterator[bytes]) -> Tree:
    members: dict[str, Tree | Leaf] = {
        name: _tree(value, arrays) if isinstance(value, dict) else leaf_of(value, arrays)
        for name, value in node["members"].items()
    }
    return Tree(members, {name: leaf_of(value, arrays) for name, value in node["attributes"].items()})


def leaf_of(leaf: LeafHeader, arrays: Iterator[bytes]) -> Leaf:
    """A value of an answer.

    Args:
        leaf: its header.
        arrays: the arrays of the answer that are left.
    """
    if leaf[0] == "none":
        return Unsupported(leaf[1])
    kind, shape, sizes = leaf
    if kind == "text":
        texts = np.empty(len(sizes), dtype=object)
        texts[:] = [next(arrays).decode("utf-8") for _ in sizes]
        return texts.reshape(shape)
    data = next(arrays)
    if np.dtype(kind).kind == "b":  # a damaged file may have bytes other than 0 and 1
        return (np.frombuffer(data, dtype=np.uint8) != 0).reshape(shape)
    return np.frombuffer(bytearray(data), dtype=kind).reshape(shape)


def _release_child() -> None:
    """Ends the child. In a forked process closes the pipes, which would keep the child alive."""
    global _child
    if _child is not None:
        _child.close()
    _child = None


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that is not in this process may hold it
    _release_child()


atexit.register(_release_child)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

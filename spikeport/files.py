"""Atomic writing of files: a file is complete or absent. Errors of the disk become one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import CannotWriteError, UserError
from spikeport.temporaries import drop, temporary_file, temporary_folder

_discarded_folders: list[Path] = []

# What a disk says that takes no more. The libraries that write for us hand it on as a number, or only in words.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_ERROR_NUMBER = re.compile(r"(?:os error|errno =|\[Errno) *(\d+)", re.IGNORECASE)
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # NumPy's word for a write that stopped
_NO_ROOM = 1 << 16  # bytes


@contextlib.contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """Replaces the errors of a full or broken disk within the block by CannotWriteError. Other errors pass unchanged.

    Args:
        target: the file or folder that the block writes.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
    """
    try:
        yield
    except CannotWriteError:
        raise
    except Exception as error:
        reason = why_unwritten(error, target)
        if reason is None:
            raise
        raise cannot_write(target, reason) from error


def cannot_write(target: str | os.PathLike[str], why: str) -> CannotWriteError:
    """The error to raise where `target` cannot be written.

    Args:
        target: the file or folder.
        why: the reason, as `why_unwritten` gives it.
    """
    hint = "make room there, or choose another folder with --out"
    return CannotWriteError("cannot write here", where=os.fspath(target), cause=why, hint=hint)


def why_unwritten(error: BaseException, target: str | os.PathLike[str] | None = None) -> str | None:
    """Whether an error was caused by the disk, and which fault of the disk.

    Args:
        error: the error, with its causes.
        target: the file or folder that was written. For an error without a number, the free space of its disk decides.

    Returns:
        The fault of the disk; None for any other error.
    """
    at: BaseException | None = error
    while at is not None:
        number = _number(at)
        if number in _FULL or (number and target is not None and _is_about(at, target)):
            return os.strerror(number)
        if _SHORT_WRITE.search(str(at)):
            return "the disk took less than was written"
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    if target is not None and not isinstance(error, UserError):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(Path(target).parent).free < _NO_ROOM:
                return os.strerror(errno.ENOSPC)
    return None


def _number(error: BaseException) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, UserError):  # its words may quote anything
        return 0
    number = _ERROR_NUMBER.search(str(error))
    return int(number[1]) if number else 0


def _is_about(error: BaseException, target: str | os.PathLike[str]) -> bool:
    """Whether the error is about `target` or about a temporary file beside it."""
    name = getattr(error, "filename", None)
    if not isinstance(name, (str, os.PathLike)):
        return False
    return Path(name) == Path(target) or Path(name).parent == Path(target).parent


@contextlib.contextmanager
def discard_writes(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Discards what this process writes into `folder` within the block; another process writes the same files.

    Args:
        folder: the folder.
    """
    _discarded_folders.append(Path(folder).resolve())
    try:
        yield
    finally:
        _discarded_folders.pop()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block succeeds and is removed otherwise.

    The temporary path has the suffix of `path`, since some writers depend on it.

    Args:
        path: the file to write.

    Yields:
        The temporary path.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
    """
    target = Path(path)
    if any(target.resolve().is_relative_to(folder) for folder in _discarded_folders):
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere) / target.name
        return
    with writing(target):
        with _own(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_file(target.parent, target.suffix)
        try:
            yield temporary
            with _own(target):
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
                _open_to_others(temporary, 0o666)
                os.replace(temporary, target)
        finally:
            drop(temporary)


@contextlib.contextmanager
def atomic_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder, whose files are moved into `folder` if the block succeeds. Otherwise nothing changes.

    Args:
        folder: the folder to write into; created if it does not exist.

    Yields:
        The temporary folder.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
    """
    target = Path(folder)
    with writing(target):
        with _own(target):
            there = target.is_dir()
            beside = target if there else target.parent  # on the same disk as what it becomes
            beside.mkdir(parents=True, exist_ok=True)
            temporary = temporary_folder(beside)
        try:
            yield temporary
            with _own(target):
                if there:
                    for file in sorted(temporary.iterdir()):
                        os.replace(file, target / file.name)
                else:
                    _open_to_others(temporary, 0o777)
                    temporary.rename(target)
        except CannotWriteError as error:  # of a file in it: the temporary's name says nothing to anybody
            raise cannot_write(target, error.cause) from error
        finally:
            drop(temporary)


@contextlib.contextmanager
def _own(target: Path) -> Iterator[None]:
    """Our own steps around a write: whatever stops them, `target` cannot be written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(target, error.strerror or str(error)) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file as UTF-8, completely or not at all.

    Args:
        path: the file.
        text: its content.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as indented JSON, completely or not at all.

    Args:
        path: the file.
        value: JSON values.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
        ValueError: the value contains NaN or infinity.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_npz(path: str | os.PathLike[str], **arrays: np.ndarray) -> None:
    """Writes a compressed .npz without pickles, completely or not at all.

    Args:
        path: the file.
        **arrays: arrays by name.

    Raises:
        CannotWriteError: the disk is full, read-only or broken.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"{name} holds Python objects, which .npz could only pickle")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:  # to a name NumPy would add .npz
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _open_to_others(temporary: Path, mode: int) -> None:
    current = os.umask(0)
    os.umask(current)
    with contextlib.suppress(OSError):  # some disks know no modes
        os.chmod(temporary, mode & ~current)

"""Opens regular files only: reading a pipe may never end, and reading a device may have effects."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from spikeport.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading. Links are followed.

    Args:
        path: the file.

    Raises:
        UserError: the path is not a regular file, or cannot be opened.
    """
    try:
        return _open(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_small(path: Path, most: int = 2**20) -> bytes:
    """The content of a settings file.

    Args:
        path: the file; links are followed.
        most: largest size in bytes.

    Raises:
        OSError: as `open` does.
        UserError: `path` is not a regular file, or it is larger than `most`.
    """
    with _open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        why = f"it has more than {most:,} bytes"
        raise UserError("this is too large to be settings", where=str(path), cause=why, hint="name another file")
    return content


def _open(path: Path) -> BinaryIO:
    _check(path, os.stat(path))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        _check(path, os.fstat(handle))  # it may be another by now
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path) -> None:
    """Checks that a path is a regular file or a link to one.

    Args:
        path: the file.

    Raises:
        UserError: the path is not a regular file, or is missing.
    """
    try:
        _check(path, os.stat(path))
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    why = "the link leads nowhere" if path.is_symlink() and not path.exists() else error.strerror or str(error)
    hint = "remove it, or place it there again"
    return UserError("this file cannot be read", where=str(path), cause=why, hint=hint)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UserError(
            "only files are read",
            where=str(path),
            cause=f"this is {_KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}",
            hint="remove it, or place a file there",
        )

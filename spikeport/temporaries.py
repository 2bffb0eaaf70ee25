"""Temporary files and folders, and the removal of those that killed processes left behind.

A name contains the machine and the process that writes it. Other processes can therefore distinguish a file that is
being written from an abandoned one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\.spikeport-([0-9a-f]{8})-(\d+)-")
_ELSEWHERE_S = 86_400  # a process of another machine cannot be looked for: what it began a day ago is left behind
_ours: set[str] = set()  # names of what this process is writing


def temporary_file(folder: Path, suffix: str = "") -> Path:
    """Creates an empty temporary file, which is written and then moved. `drop` removes it.

    Args:
        folder: the folder of the file.
        suffix: end of its name.

    Raises:
        OSError: the file cannot be created.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(), suffix=suffix, dir=folder)
    os.close(handle)
    return _registered(Path(name))


def temporary_folder(folder: Path) -> Path:
    """Creates a temporary folder. `drop` removes it.

    Args:
        folder: the folder that contains it.

    Raises:
        OSError: the folder cannot be created.
    """
    return _registered(Path(tempfile.mkdtemp(prefix=_prefix(), dir=folder)))


def drop(temporary: Path) -> None:
    """Removes a file of `temporary_file` or a folder of `temporary_folder`, if it still exists.

    Args:
        temporary: the file or folder.
    """
    _remove(temporary)
    _ours.discard(temporary.name)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A scratch folder, removed after the block. Abandoned ones of killed processes are removed first."""
    place = Path(tempfile.gettempdir())
    sweep_temporaries(place)
    folder = temporary_folder(place)
    try:
        yield folder
    finally:
        drop(folder)


def sweep_temporaries(folder: Path) -> None:
    """Removes temporary files in `folder` whose processes have ended. Files that cannot be removed stay.

    Args:
        folder: the folder.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.match(entry.name)
            if found and entry.name not in _ours and _is_left(entry, found[1], int(found[2])):
                _remove(Path(entry.path))


def _is_left(entry: os.DirEntry, machine: str, process: int) -> bool:
    if machine != _machine():
        with contextlib.suppress(OSError):
            return time.time() - entry.stat(follow_symlinks=False).st_mtime > _ELSEWHERE_S
        return False
    if process == os.getpid():  # an earlier process had our number: in a container the first one always has
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        pass
    return False


def _prefix() -> str:
    return f".spikeport-{_machine()}-{os.getpid()}-"


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _registered(temporary: Path) -> Path:
    _ours.add(temporary.name)
    return temporary


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

"""A real disk that is full: a small tmpfs, where it may be mounted, filled up to what is asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FILLER = "filler"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of `size` at `folder`; skips where this process may not mount one."""
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("a small disk needs Linux's tmpfs")
    folder.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", f"size={size}", "spikeport-test", str(folder)]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs may not be mounted here (it takes root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path, left: int) -> None:
    """Fills `disk` with a file until `left` bytes are free."""
    empty(disk)
    free = shutil.disk_usage(disk).free
    with open(disk / FILLER, "wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(1, free - left))


def empty(disk: Path) -> None:
    """Takes the filler away."""
    (disk / FILLER).unlink(missing_ok=True)


def read_only(disk: Path) -> None:
    """Lets nobody write on `disk` any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hardware_profiles.errors import UserError

_left_alone: list[Path] = []


@contextlib.contextmanager
def left_alone(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Within it this process changes nothing in `folder`: what it writes there is thrown away, for another process
    writes the same."""
    _left_alone.append(Path(folder).resolve())
    try:
        yield
    finally:
        _left_alone.pop()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it there when the block ends well, removes it otherwise.

    The temporary keeps the suffix, for writers that look at it. Raises UserError where the folder cannot be written.
    """
    target = Path(path)
    if any(target.resolve().is_relative_to(folder) for folder in _left_alone):
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere) / target.name
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise UserError(
            "cannot write here", where=str(target), why=error.strerror or str(error), mend="choose another folder"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_npz(path: str | os.PathLike[str], **arrays: np.ndarray) -> None:
    """Writes a compressed .npz without pickles, whole or not at all."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"{name} holds Python objects, which .npz could only pickle")
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

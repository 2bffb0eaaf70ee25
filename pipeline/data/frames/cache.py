"""Binned frames on disk: one bit a pixel (a byte for counts), mapped into memory, under a hash of their origin.

A file is a header (mark, key, sizes, checksum), FACTS `[N]` of the recordings, and the rows of bits. A damaged file is
noticed and replaced.

The key depends on the content of the event files. To avoid reading them each time, a record beside the frames maps a
digest of file names, sizes and times to that content hash: a file whose size, modification time and change time are the
same is taken as unchanged, unless `verify` is set.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from spikeport.errors import CannotWriteError
from spikeport.files import atomic_path, write_json
from spikeport.notes import warning
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.temporaries import sweep_temporaries

FORMAT = 3  # change it whenever reading, binning or this file's layout changes: old caches are then never read
_HEAD = struct.Struct("<8s32sQQQ")  # mark, key, recordings, bytes of a row, checksum
_MARK = b"SPKFRAME"
_warned: set[Path] = set()  # folders of which it was said that nothing can be kept there
_REST_NS = 2_000_000_000  # a file system's clock may be this coarse


def cache_folder() -> Path:
    """Folder of binned frames between runs: SPIKEPORT_CACHE, else the user's cache folder."""
    named = os.environ.get("SPIKEPORT_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikeport"


def cached_frames(folder: Path, content: str, count: int, binning: Binning, build: Callable[[], Frames]) -> Frames:
    """Frames that are mapped from the cache, or built and stored.

    Args:
        folder: the cache.
        content: hash of all that `build` reads, and of all its parameters except `binning`.
        count: number of recordings.
        binning: size and number of frames.
        build: makes the frames.
    """
    key = _key(content, count, binning)
    path = folder / f"frames-{key}.bits"
    found = _read(path, key, count, binning)
    if found is None:
        found = build()
        with _or_without(folder):
            _write(path, key, found)
    return found


def stored_frames(folder: Path, content: str, count: int, binning: Binning) -> Frames | None:
    """Frames that `cached_frames` stored, memory-mapped; None if there are none.

    Args:
        folder: folder of the cache.
        content: digest of the recordings.
        count: number of recordings.
        binning: settings of the binning.
    """
    key = _key(content, count, binning)
    return _read(folder / f"frames-{key}.bits", key, count, binning)


def mtime_digest_of(words: Iterable[str], numbers: array) -> str:
    """Digest of listed files, which begins with the newest of their times in ns.

    Args:
        words: names of the files.
        numbers: int64; size, mtime_ns and ctime_ns of each file.
    """
    newest = max(max(numbers[1::3], default=0), max(numbers[2::3], default=0))
    listed = numbers.tobytes() + "\0".join(words).encode("utf-8", "surrogateescape")
    return f"{newest}-{hashlib.sha256(listed).hexdigest()}"


def known_content_hash(folder: Path, mtime_digest: str, content: Callable[[], str], *, verify: bool = False) -> str:
    """The content hash of listed files, from a record in the cache if these files were read before.

    Files that were written less than two seconds ago are not recorded: a later change might not change their times.

    Args:
        folder: the cache.
        mtime_digest: digest of the listing, see `mtime_digest_of`; "" for none.
        content: reads the files and computes the hash.
        verify: read the files in any case.
    """
    if not mtime_digest:
        return content()
    newest, digest = mtime_digest.split("-")
    path = folder / f"content-{digest[:32]}.json"
    known = None if verify else _known(path, mtime_digest)
    if known is None:
        at_rest = time.time_ns() - int(newest) > _REST_NS
        known = content()
        with _or_without(folder):
            if at_rest:
                write_json(path, {"mtime_digest": mtime_digest, "content": known, "check": _check(mtime_digest, known)})
            else:
                path.unlink(missing_ok=True)
    return known


@contextlib.contextmanager
def _or_without(folder: Path) -> Iterator[None]:
    """A block that writes to the cache; if that fails, it warns once, and work continues."""
    try:
        yield
    except (CannotWriteError, OSError) as error:
        if folder not in _warned:
            why = error.cause if isinstance(error, CannotWriteError) else error.strerror
            warning(
                f"{folder}: frames cannot be kept here ({why}), so the next command bins them again; SPIKEPORT_CACHE "
                "names another folder"
            )
        _warned.add(folder)


def _known(path: Path, mtime_digest: str) -> str | None:
    try:
        record = json.loads(path.read_bytes())
        known = record["content"]
        return (
            known if record["mtime_digest"] == mtime_digest and record["check"] == _check(mtime_digest, known) else None
        )
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged
        return None


def _check(mtime_digest: str, content: str) -> str:
    return hashlib.sha256(f"{mtime_digest} {content}".encode()).hexdigest()


def _key(content: str, count: int, binning: Binning) -> str:
    parts = [FORMAT, content, count, *binning.shape, binning.step_us]
    if binning.windows > 1:
        parts += [f"{binning.windows} windows"]
    elif binning.window != "first":
        parts += [binning.window]
    parts += [f"counts to {binning.counts}"] if binning.counts else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _write(path: Path, key: str, frames: Frames) -> None:
    bits = frames.rows
    facts = np.ascontiguousarray(frames.facts.astype(FACTS)).view(np.uint8)
    head = _HEAD.pack(_MARK, key.encode(), *bits.shape, _checksum(facts, bits))
    sweep_temporaries(path.parent)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(head)
        file.write(facts.data)
        file.write(np.ascontiguousarray(bits).data)


def _read(path: Path, key: str, count: int, binning: Binning) -> Frames | None:
    """The stored frames, or None if there are none, or they are damaged."""
    width, rows = binning.row_bytes, count * binning.windows
    try:
        stored = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError):  # none yet, or of no length
        return None
    start = _HEAD.size + FACTS.itemsize * rows
    if len(stored) != start + rows * width:
        return None
    facts, bits = stored[_HEAD.size : start], stored[start:].reshape(rows, width)
    if stored[: _HEAD.size].tobytes() != _HEAD.pack(_MARK, key.encode(), rows, width, _checksum(facts, bits)):
        return None
    return Frames.stored(np.asarray(bits), np.array(facts).view(FACTS), binning)


def _checksum(facts: np.ndarray, bits: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(bits).data, zlib.crc32(facts.data))

"""Frames on disk: one bit for each pixel, under the hash of what they were made from.

A file that is damaged or holds something else is noticed and made again, never trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export.files import write_npz
from pipeline.data.framing import Binning, Frames

FORMAT = 1  # change it whenever binning or this file's layout changes: old caches are then never read


def cached_frames(folder: Path, content: str, count: int, binning: Binning, build: Callable[[], Frames]) -> Frames:
    """The frames of `count` recordings, read from `folder` if they are there whole, else built and stored.

    `content`: a hash of all that `build` reads and of every parameter but `binning`.
    """
    path = folder / f"frames-{_key(content, count, binning)}.npz"
    found = _read(path, count, binning)
    if found is None:
        found = build()
        _write(path, found)
    return found


def _key(content: str, count: int, binning: Binning) -> str:
    parts = [FORMAT, content, count, *binning.shape, binning.step_us]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _write(path: Path, frames: Frames) -> None:
    bits = np.packbits(frames.frames.reshape(len(frames.frames), -1), axis=1)
    events = frames.events.astype(np.int64)
    write_npz(path, bits=bits, events=events, checksum=_checksum(bits, events))


def _read(path: Path, count: int, binning: Binning) -> Frames | None:
    """The stored frames, or None where there are none or they are not what was stored."""
    pixels = int(np.prod(binning.shape))
    try:
        with np.load(path, allow_pickle=False) as archive:
            bits, events, checksum = archive["bits"], archive["events"], archive["checksum"]
    except Exception:  # a damaged archive raises what it likes, from zlib.error to NotImplementedError
        return None
    if bits.dtype != np.uint8 or bits.shape != (count, -(-pixels // 8)) or events.shape != (count,):
        return None
    if not np.array_equal(checksum, _checksum(bits, events)):
        return None
    frames = np.unpackbits(bits, axis=1, count=pixels)
    return Frames(frames=frames.reshape(count, *binning.shape), events=events)


def _checksum(bits: np.ndarray, events: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(bits.tobytes() + events.astype("<i8").tobytes()).digest()
    return np.frombuffer(digest, np.uint8)

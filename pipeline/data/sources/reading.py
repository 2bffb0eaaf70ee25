"""Reads event files of a data set, and computes the digests that the cache uses."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.frames.cache import mtime_digest_of
from spikeport.pipeline.data.readers.recordings import Reading, read_events, read_recording
from spikeport.pipeline.data.sources.event_files import EventFile, hash_files
from spikeport.progress import NamedProgress

Change = Callable[[np.ndarray, str], np.ndarray]  # events as a file has them, the file -> events on the sensor


def labels_of(files: list[EventFile]) -> np.ndarray:
    """Class number of each file, int64 `[N]`.

    Args:
        files: the recordings.
    """
    return np.array([file.label for file in files], np.int64)


def read_one(
    file: EventFile,
    sensor: tuple[int, int],
    change: Change | None = None,
    decode: Callable[[Path], np.ndarray] | None = None,
) -> Recording:
    """Reads one recording.

    Args:
        file: the recording.
        sensor: height and width of the sensor after `change`.
        change: transforms events as stored in the file into events of that sensor.
        decode: reads a file whose extension does not select a reader.

    Raises:
        UserError: the file is damaged, or does not fit the sensor.
    """
    events = read_events(file.path, decode)
    if change:
        events = change(events, str(file.path))
    return Recording(events=events, sensor=sensor, label=file.label, key=file.key, origin=str(file.path))


def recordings(files: list[EventFile], sensor: tuple[int, int], reading: Reading) -> Iterator[Recording]:
    """Reads recordings in order.

    Args:
        files: the recordings.
        sensor: height and width of the sensor.
        reading: settings of the reading.
    """
    for file in files:
        yield read_recording(file.path, sensor, label=file.label, key=file.key, reading=reading)


def mtime_digest_of_paths(paths: Sequence[Path]) -> str:
    """Digest of names, sizes and times of files.

    Args:
        paths: the files.
    """
    numbers = array("q")
    for path in paths:
        status = path.stat()
        numbers.extend((status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return mtime_digest_of([str(path.absolute()) for path in paths], numbers)


def mtime_digest_with(mtime_digests: list[str], *facts: object) -> str:
    """One digest for several listings and further facts.

    Args:
        mtime_digests: digests of listings.
        *facts: values that change the events, such as settings of the reading.
    """
    newest = max(int(mtime_digest.split("-")[0]) for mtime_digest in mtime_digests)
    return f"{newest}-{hashlib.sha256(repr((mtime_digests, facts)).encode()).hexdigest()}"


def content_hash_with(files: list[EventFile], *facts: object, progress: NamedProgress | None = None) -> str:
    """Hash of content, names and folders of files, and of further facts.

    Args:
        files: the files.
        *facts: values that change the events, such as settings of the reading.
        progress: called with (files read, files in all, what is done).
    """
    return hashlib.sha256(repr((facts, hash_files(files, progress))).encode()).hexdigest()

"""Bins event files. Files in .bin format are binned by compiled code, with the same result as readers and
`bin_recording`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.frames.binning import Binning, Frames, empty_frames, fill
from spikeport.pipeline.data.readers.recordings import AS_STORED, Reading, read_recording
from spikeport.progress import NamedProgress

COMPILED = ".bin"


def bin_files(
    paths: Sequence[Path],
    sensor: tuple[int, int],
    binning: Binning,
    progress: NamedProgress | None = None,
    reading: Reading = AS_STORED,
) -> Frames:
    """Frames of event files, in their order; raises as `read_recording` and `bin_recording` do.

    Args:
        paths: the files.
        sensor: height and width of the sensor.
        binning: size and number of frames.
        progress: called after each file.
        reading: how the files are read.
    """
    found = empty_frames(len(paths), binning)
    bits, numbers = found.rows, found.facts.view(np.int64).reshape(len(found.facts), -1)
    as_stored = reading.orientation == AS_STORED.orientation and reading.view is None
    first = binning.window == "first" and binning.windows == 1 and not binning.counts
    fast = as_stored and first and any(path.suffix.lower() == COMPILED for path in paths)
    compiled = _Compiled(sensor, binning) if fast else None
    for row, path in enumerate(paths):
        count = compiled(path, bits[row], numbers[row]) if compiled and path.suffix.lower() == COMPILED else -1
        if count < 0:
            recording = read_recording(path, sensor, label=0, key=path.stem, reading=reading)
            fill(found, row, recording, binning)
        if progress:
            progress(row + 1, len(paths), "binning events")
    return found


class _Compiled:
    """Bins .bin files with compiled code and one buffer."""

    def __init__(self, sensor: tuple[int, int], binning: Binning) -> None:
        from spikeport.pipeline.data.readers.nmnist_kernel import bin_bytes  # numba takes half a second to import

        self._bin = bin_bytes
        self._fits = sensor[0] <= binning.height and sensor[1] <= binning.width
        self._numbers = (*sensor, binning.steps, binning.step_us, binning.height, binning.width)
        self._buffer = np.empty(1 << 20, np.uint8)

    def __call__(self, path: Path, bits: np.ndarray, facts: np.ndarray) -> int:
        """Sets the bits and facts of a recording and returns its number of events; -1 if it has to be read the other
        way.
        """
        if not self._fits:
            return -1
        try:
            length = self._read(path)
        except OSError:
            return -1
        return self._bin(self._buffer, length, *self._numbers, bits, facts)

    def _read(self, path: Path) -> int:
        with open(path, "rb", buffering=0) as file:
            length = 0
            while got := file.readinto(self._buffer[length:].data):
                length += got
                if length == len(self._buffer):
                    self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        return length

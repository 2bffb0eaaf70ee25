"""Frames of the 1,000 real N-MNIST recordings: ours, uncached and cached, against tonic's ToFrame, in one run.

    python benchmarks/framing.py [--root ../shared/data] [--repeats 7]

All ways must give the same frames, or nothing is printed. Two questions: events in memory -> frames, and files ->
frames. The ways take turns within each repeat; the medians and their ratios are printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tonic
from tonic.io import read_mnist_file
from tonic.transforms import ToFrame

from pipeline.data.cache import cached_frames
from pipeline.data.dataset import Recording
from pipeline.data.events import EVENT_DTYPE
from pipeline.data.framing import Binning, Frames, bin_recordings
from pipeline.data.recordings import read_recording
from pipeline.data.sources.class_folders import find_events, hash_files

BINNING = Binning(steps=10, step_us=30_000, height=34, width=34)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--root", type=Path, default=Path("../shared/data"))
    words.add_argument("--repeats", type=int, default=7)
    options = words.parse_args()
    _, files = find_events(options.root / "NMNIST/Train")
    paths = [file.path for file in files]

    def tonic_frames(events: Iterable[np.ndarray]) -> np.ndarray:
        """ToFrame counts over as many whole bins as lie before `end_time`; ours are binary."""
        frames = np.zeros((len(paths), *BINNING.shape), np.uint8)
        for row, one in enumerate(events):
            end = one["t"][0] + BINNING.steps * BINNING.step_us
            to_frame = ToFrame(sensor_size=(34, 34, 2), time_window=BINNING.step_us, end_time=end)
            frames[row] = to_frame(one) > 0
        return frames

    def recording(events: np.ndarray) -> Recording:
        return Recording(events=events, sensor=(34, 34), label=0, key="in memory")

    def cached(folder: Path) -> np.ndarray:
        content = hash_files(find_events(options.root / "NMNIST/Train")[1])
        return cached_frames(folder, content, len(paths), BINNING, uncached).frames

    def uncached() -> Frames:
        found = (read_recording(file.path, (34, 34), label=file.label, key=file.key) for file in files)
        return bin_recordings(found, len(files), BINNING)

    in_memory = [read_mnist_file(str(path), dtype=EVENT_DTYPE) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        cached(Path(folder))
        memory: dict[str, Callable[[], np.ndarray]] = {
            "tonic ToFrame": lambda: tonic_frames(in_memory),
            "spikeport": lambda: bin_recordings(map(recording, in_memory), len(paths), BINNING).frames,
        }
        disk: dict[str, Callable[[], np.ndarray]] = {
            "tonic reader + ToFrame": lambda: tonic_frames(read_mnist_file(str(p), dtype=EVENT_DTYPE) for p in paths),
            "spikeport, uncached": lambda: uncached().frames,
            "spikeport, cached": lambda: cached(Path(folder)),
        }
        results = [_compare(ways, options.repeats) for ways in (memory, disk)]
    print("command:", "python", " ".join(sys.argv))
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    print(f"versions: numpy {np.__version__}, tonic {tonic.__version__}; {len(paths)} recordings, 34 x 34, 10 x 30 ms")
    for title, medians in zip(("events in memory -> frames", "files -> frames"), results, strict=True):
        print(title)
        base = next(iter(medians.values()))
        for name, seconds in medians.items():
            print(f"  {name:24} {seconds * 1e3:8.1f} ms   {base / seconds:5.1f} x")


def _compare(ways: dict[str, Callable[[], np.ndarray]], repeats: int) -> dict[str, float]:
    """Median seconds of each way; the frames of each are compared with the first's."""
    expected = next(iter(ways.values()))()
    assert expected.any()
    for name, way in ways.items():
        np.testing.assert_array_equal(way(), expected, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()

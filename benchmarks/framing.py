"""Time to make frames of 1,000 real N-MNIST recordings: Spikeport uncached and cached, and tonic's ToFrame.

    python benchmarks/framing.py [--root ../shared/data] [--repeats 7]

All ways must give the same frames, otherwise nothing is printed. Two tasks are timed: events in memory to frames, and
files to uint8 frames, for all recordings. The ways alternate within each repeat; medians and their ratios are printed.
"cached" lists the folder, identifies files by size and times, maps and verifies the stored bits, and unpacks them.
"mapped" is the same, but unpacks only a batch of 20. "verified" reads and hashes every file. The last part has a line
for each format of event files, see `framing_formats.py`.
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

import framing_formats
import numpy as np
import tonic
from tonic.io import read_mnist_file
from tonic.transforms import ToFrame

from spikeport._startup import keep_freed_memory
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, Frames, bin_recordings
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.frames.cache import cached_frames, known_content_hash
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.sources.event_files import hash_files, list_events

BINNING = Binning(steps=10, step_us=30_000, height=34, width=34)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--root", type=Path, default=Path("../shared/data"))
    words.add_argument("--repeats", type=int, default=7)
    options = words.parse_args()
    memory_kept = keep_freed_memory()
    folder = options.root / "NMNIST/Train"
    files = list_events(folder).files()
    paths = [file.path for file in files]

    def tonic_frames(events: Iterable[np.ndarray]) -> np.ndarray:
        """Frames of tonic. ToFrame counts events over the whole bins before `end_time`; ours are binary."""
        frames = np.zeros((len(paths), *BINNING.shape), np.uint8)
        for row, one in enumerate(events):
            end = one["t"][0] + BINNING.steps * BINNING.step_us
            to_frame = ToFrame(sensor_size=(34, 34, 2), time_window=BINNING.step_us, end_time=end)
            frames[row] = to_frame(one) > 0
        return frames

    def recording(events: np.ndarray) -> Recording:
        return Recording(events=events, sensor=(34, 34), label=0, key="in memory")

    def cached(cache: Path, verify: bool = False) -> PackedFrames:
        listing = list_events(folder)
        content = known_content_hash(cache, listing.mtime_digest, lambda: hash_files(listing.files()), verify=verify)
        return cached_frames(cache, content, len(paths), BINNING, uncached).frames

    def uncached() -> Frames:
        return bin_files(paths, (34, 34), BINNING)

    batch = np.random.default_rng(0).permutation(len(paths))[:20]

    in_memory = [read_mnist_file(str(path), dtype=EVENT_DTYPE) for path in paths]
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary)
        cached(cache)
        memory: Ways = {
            "tonic ToFrame": lambda: tonic_frames(in_memory),
            "spikeport": lambda: bin_recordings(map(recording, in_memory), len(paths), BINNING).frames[:],
        }
        disk: Ways = {
            "tonic reader + ToFrame": lambda: tonic_frames(read_mnist_file(str(p), dtype=EVENT_DTYPE) for p in paths),
            "spikeport, uncached": lambda: uncached().frames[:],
            "spikeport, cached": lambda: cached(cache)[:],
            "spikeport, verified": lambda: cached(cache, verify=True)[:],
        }
        mapped = {"spikeport, mapped": lambda: cached(cache)[batch]}
        results = [_compare(memory, {}, options.repeats), _compare(disk, mapped, options.repeats)]
    print("command:", "python", " ".join(sys.argv))
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    print(f"versions: numpy {np.__version__}, tonic {tonic.__version__}; {len(paths)} recordings, 34 x 34, 10 x 30 ms")
    print(f"freed memory is {'kept, as in training' if memory_kept else 'given back'}")
    for title, medians in zip(("events in memory -> frames", "files -> frames"), results, strict=True):
        print(title)
        base = next(iter(medians.values()))
        for name, seconds in medians.items():
            print(f"  {name:24} {seconds * 1e3:8.1f} ms   {base / seconds:5.1f} x")
    framing_formats.report(options.root, options.repeats)


Ways = dict[str, Callable[[], np.ndarray]]


def _compare(ways: Ways, parts: Ways, repeats: int) -> dict[str, float]:
    """Median seconds of each way, whole and in part; the frames of each way are compared with those of the first."""
    expected = next(iter(ways.values()))()
    assert expected.any()
    for name, way in ways.items():
        np.testing.assert_array_equal(way(), expected, err_msg=name)
    everything = ways | parts
    times: dict[str, list[float]] = {name: [] for name in everything}
    for _ in range(repeats):
        for name, way in everything.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()

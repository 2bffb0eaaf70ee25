"""Events a second from files to frames by format, beside NumPy's reading of the same bytes, and tonic.

A part of `framing.py`. One thread, and its CPU time, which other work on the machine disturbs little. The events of a
real recording (539,481 in EVT 2.0), moved to a sensor of 346 x 260, are written in each format; `.bin` are 1,000 real
recordings of N-MNIST, and ".raw, camera" the cameras' own files. "scaled" are frames of 48 x 64 pixels
(`data.sensor`), "full size" those of the sensor, and "short" are files of 4,000 events, scaled. All are compared with
the frames of plain NumPy before anything is timed. "NumPy" only reads the bytes (fromfile, load, loadtxt, h5py,
scipy.io.loadmat). "tonic" is its reader where it has one for the format, else ours (NumPy's for text), and then
ToFrame at full size. The ways alternate within each repeat; the fastest time counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import framing_files
import numpy as np
from tonic.io import make_structured_array, read_davis_346, read_mnist_file
from tonic.transforms import ToFrame

from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.readers.recordings import Reading, read_events
from spikeport.pipeline.data.readers.sensor_view import SensorView

SCALED = (48, 64)  # height and width
SHORT, COPIES = 4_000, 40
TARGET = 5.0  # million events a second


@dataclass(frozen=True)
class Case:
    """Files of one format.

    Attributes:
        paths: the files.
        sensor: height and width of the sensor.
        columns: order of the columns of a table without names.
        short: a file of SHORT events.
        numpy: reads one file's bytes and does no more.
        tonic: reads one file to a structured array, as tonic or NumPy do.
    """

    paths: list[Path]
    sensor: tuple[int, int]
    numpy: Callable[[Path], object]
    tonic: Callable[[Path], np.ndarray]
    columns: str = ""
    short: Path | None = None
    steps: tuple[int, int] = (10, 5_000)


def report(root: Path, repeats: int) -> None:
    """Prints a line for each format.

    Args:
        root: folder of the real recordings.
        repeats: how often each way is timed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        cases = _cases(root, Path(temporary))
        print("files -> frames, million events a second of CPU time, one thread")
        print(
            f"  {'format':22} {'scaled':>8} {'full size':>10} {'short':>8} {'tonic':>8} {'NumPy':>8}   x tonic  x NumPy"
        )
        low = []
        for name, case in cases.items():
            scaled, full, tonic, numpy, *short = _speeds(case, repeats)
            cell = f"{short[0]:8.1f}" if short else " " * 8
            line = f"  {name:22} {scaled:8.1f} {full:10.1f} {cell} {tonic:8.1f} {numpy:8.1f}"
            print(f"{line}  {full / tonic:8.1f} {full / numpy:8.3f}", flush=True)
            if min(scaled, full, *short[:1]) < TARGET:
                low.append(f"{name} (NumPy alone reads {short[1]:.1f} of the short files)" if short else name)
    print(f"  below {TARGET:g} million: {', '.join(low) or 'none'}")


def _speeds(case: Case, repeats: int) -> list[float]:
    steps, step_us = case.steps
    full = Binning(steps=steps, step_us=step_us, height=case.sensor[0], width=case.sensor[1])
    scaled = Binning(steps=steps, step_us=step_us, height=SCALED[0], width=SCALED[1])
    as_stored = Reading(columns=case.columns)
    view = SensorView.of((case.sensor[1], case.sensor[0]), (), SCALED)
    small = Reading(columns=case.columns, view=view)
    events = [read_events(path, reading=as_stored) for path in case.paths]
    counts = [sum(map(len, events))] * 4
    for binning, reading, size in ((full, as_stored, case.sensor), (scaled, small, SCALED)):
        found = bin_files(case.paths, size, binning, reading=reading).frames
        for row in range(0, len(events), 97):
            np.testing.assert_array_equal(found[row], _plain(events[row], case.sensor, binning))

    def tonic() -> None:
        for path in case.paths:
            one = case.tonic(path)
            end = one["t"][0] + steps * step_us
            ToFrame(sensor_size=(case.sensor[1], case.sensor[0], 2), time_window=step_us, end_time=end)(one)

    ways: list[Callable[[], object]] = [
        lambda: bin_files(case.paths, SCALED, scaled, reading=small),
        lambda: bin_files(case.paths, case.sensor, full, reading=as_stored),
        tonic,
        lambda: [case.numpy(path) for path in case.paths],
    ]
    if short := case.short:
        few = read_events(short, reading=as_stored)
        found = bin_files([short], SCALED, scaled, reading=small).frames
        np.testing.assert_array_equal(found[0], _plain(few, case.sensor, scaled))
        ways.append(lambda: bin_files([short] * COPIES, SCALED, scaled, reading=small))
        ways.append(lambda: [case.numpy(short) for _ in range(COPIES)])
        counts += [len(few) * COPIES] * 2
    times = [float("inf")] * len(ways)
    for _ in range(2 * repeats):
        for number, way in enumerate(ways):
            start = time.process_time()
            way()
            times[number] = min(times[number], time.process_time() - start)
    return [count / seconds * 1e-6 for count, seconds in zip(counts, times, strict=True)]


def _plain(events: np.ndarray, sensor: tuple[int, int], binning: Binning) -> np.ndarray:
    """Frames by NumPy's own indexing."""
    step = (events["t"] - events["t"][0]) // binning.step_us
    inside = step < binning.steps
    row = events["y"].astype(int) * binning.height // sensor[0]
    column = events["x"].astype(int) * binning.width // sensor[1]
    frames = np.zeros(binning.shape, np.uint8)
    frames[step[inside], events["p"][inside], row[inside], column[inside]] = 1
    return frames


def _cases(root: Path, folder: Path) -> dict[str, Case]:
    camera = root / "prophesee/evt2_sample.raw"
    events = framing_files.moved(read_events(camera), framing_files.WIDTH, framing_files.HEIGHT)
    written = framing_files.write_all(events, folder)
    (folder / "short").mkdir()
    few = framing_files.write_all(events[:SHORT], folder / "short")
    size = (framing_files.HEIGHT, framing_files.WIDTH)
    bins = sorted((root / "NMNIST/Train").glob("*/*.bin"))

    def plain(path: Path) -> np.ndarray:
        return read_events(path, reading=Reading(columns="txyp"))

    def text(path: Path) -> np.ndarray:
        first = path.read_text()[:1].isdigit()
        table = np.loadtxt(
            path, np.float64, delimiter="," if path.suffix == ".csv" else None, skiprows=0 if first else 1
        )
        return make_structured_array(*(table[:, n] for n in (1, 2, 0, 3)), dtype=EVENT_DTYPE)

    def fromfile(path: Path) -> object:
        return np.fromfile(path, np.uint8)

    def davis(path: Path) -> np.ndarray:
        return read_davis_346(str(path))[2]

    cases = {
        ".bin N-MNIST": Case(
            bins, (34, 34), fromfile, lambda path: read_mnist_file(str(path), dtype=EVENT_DTYPE), steps=(10, 30_000)
        ),
        ".raw EVT 2.0, camera": Case([camera], _sensor_of(camera), fromfile, plain),
        ".raw EVT 3.0, camera": Case([root / "prophesee/evt3_sample.raw"], (720, 1280), fromfile, plain),
    }
    for name, (path, numpy) in written.items():
        reader = {".aedat 2.0": davis, ".csv": text, ".txt": text}.get(name, plain)
        cases[name] = Case([path], size, numpy, reader, columns="txyp", short=few[name][0])
    return cases


def _sensor_of(path: Path) -> tuple[int, int]:
    events = read_events(path)
    return int(events["y"].max()) + 1, int(events["x"].max()) + 1

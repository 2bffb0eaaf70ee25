"""Trains a small student on recordings of large sensors, from event files to the check in Lava.

    python benchmarks/big_sensors.py [CASE ...]

Each case is one `spikeport run` in its own process. Its recordings are made here, three classes that differ in what
moves (an upright bar, a flat bar, a disc), and written as a camera stores them: `.aedat4` of a DAVIS346, `.raw` in EVT
3.0 and Metavision's `.h5` of a sensor of 1280 x 720. Printed are the time, the largest memory of a process of the run,
the accuracies, and the mismatches of the integer reference with the quantized student and with Lava. The task is easy
on purpose; what counts is that the path is whole.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import framing_files
import h5py
import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE

CLASSES = ("disc", "flat", "upright")
DURATION_US = 200_000


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        suffix: format of the files.
        sensor: width and height of the sensor.
        frame: width and height of the frames.
        channels: of the student.
        events: events of a recording.
        recordings: training and test recordings of each class.
        lava: samples that Lava simulates.
    """

    suffix: str
    sensor: tuple[int, int]
    frame: tuple[int, int]
    channels: tuple[int, ...]
    events: int
    recordings: tuple[int, int] = (16, 8)
    lava: int = 3


CASES = {
    "davis346-scaled": Case("aedat4", (346, 260), (64, 48), (8, 16), 30_000),
    "davis346": Case("aedat4", (346, 260), (346, 260), (4, 8, 16, 16, 16), 30_000),
    "hd-scaled": Case("h5", (1280, 720), (128, 72), (8, 16, 16), 150_000),
    "hd": Case("raw", (1280, 720), (1280, 720), (2, 4, 8, 16, 16, 16), 150_000, (8, 4), 2),
}


def events_of(label: int, seed: int, sensor: tuple[int, int], count: int) -> np.ndarray:
    """Events of something that moves over a sensor for DURATION_US, with a tenth of noise.

    Args:
        label: number of the class in CLASSES.
        seed: equal seeds give equal events.
        sensor: width and height.
        count: number of events.

    Returns:
        EVENT_DTYPE `[count]`, sorted by time.
    """
    draws = np.random.default_rng((seed, label))
    t = np.sort(draws.integers(0, DURATION_US, count))
    width, height = sensor
    moved = 0.25 + 0.5 * t / DURATION_US + draws.uniform(-0.1, 0.1)
    edge = draws.integers(0, 2, count)
    along, thick = draws.uniform(0.2, 0.8, count), draws.normal(0, 0.004, count) + 0.06 * (2 * edge - 1)
    if label == 0:
        angle = draws.uniform(0, 2 * np.pi, count)
        edge = (np.cos(angle) > 0).astype(np.int64)
        x, y = moved + 0.15 * np.cos(angle), 0.5 + 0.15 * np.sin(angle) * width / height
    else:
        x, y = (along, moved + thick) if label == 1 else (moved + thick, along)
    noise = draws.random(count) < 0.1
    x, y = (np.where(noise, draws.random(count), each) for each in (x, y))
    out = np.empty(count, EVENT_DTYPE)
    out["t"], out["p"] = t, edge
    out["x"] = np.clip(x * width, 0, width - 1).astype(np.int16)
    out["y"] = np.clip(y * height, 0, height - 1).astype(np.int16)
    return out


def write_recording(path: Path, events: np.ndarray, sensor: tuple[int, int]) -> None:
    """Writes events as the camera's files hold them.

    Args:
        path: the file, .aedat4, .h5 or .raw.
        events: EVENT_DTYPE `[N]`.
        sensor: width and height, which .raw states.
    """
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    if path.suffix == ".aedat4":
        path.write_bytes(framing_files.aedat4_bytes(events))
    elif path.suffix == ".raw":
        head = f"% evt 3.0\n% geometry {sensor[0]}x{sensor[1]}\n% end\n"
        path.write_bytes(head.encode() + framing_files.evt3_bytes(t, x, y, p))
    else:
        fields = np.empty(len(t), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        for name in "txyp":
            fields[name] = events[name]
        with h5py.File(path, "w") as file:
            file.create_dataset("CD/events", data=fields, compression="gzip")


def write_case(case: Case, root: Path) -> Path:
    """Writes the recordings and the recipe of a case, and returns the recipe's file.

    Args:
        case: what to write.
        root: an empty folder.
    """
    for part, count, first in (("train", case.recordings[0], 0), ("test", case.recordings[1], 1000)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for n in range(count):
                events = events_of(label, first + n, case.sensor, case.events)
                write_recording(folder / f"{n:02}.{case.suffix}", events, case.sensor)
    sensor = "" if case.frame == case.sensor else f"sensor = [{case.sensor[0]}, {case.sensor[1]}]\n"
    recipe = root / "recipe.toml"
    recipe.write_text(f"""
name = "big"
[data]
source = "class-folders"
root = {json.dumps(str(root))}
events = "train"
test_events = "test"
split = "official"
{sensor}width = {case.frame[0]}
height = {case.frame[1]}
steps = 5
step_us = 40_000
validation = {case.recordings[0] * 3 // 4}
test = 0
[student]
channels = [{", ".join(map(str, case.channels))}]
kernel = 5
[training]
epochs = 10
batch = 6
lr = 4e-3
[distillation]
method = "baseline"
[quantization]
epochs = 4
lr = 5e-4
[check]
samples = {case.lava}
""")
    return recipe


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("cases", nargs="*", default=list(CASES))
    options = words.parse_args()
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    for name in options.cases:
        with tempfile.TemporaryDirectory() as temporary:
            _run(name, CASES[name], Path(temporary))


def _run(name: str, case: Case, root: Path) -> None:
    recipe = write_case(case, root)
    size = sum(path.stat().st_size for path in root.rglob(f"*.{case.suffix}"))
    environment = {**os.environ, "SPIKEPORT_CACHE": str(root / "cache")}
    command = [sys.executable, "-m", "spikeport", "run", str(recipe), "--out", str(root / "out")]
    start = time.perf_counter()
    with open(root / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    sides, frame = (f"{width} x {height}" for width, height in (case.sensor, case.frame))
    count = len(CLASSES) * sum(case.recordings)
    print(f"{name}: {count} recordings, {size / 2**20:.0f} MiB of .{case.suffix}, sensor {sides}, frames {frame}")
    print(
        f"  {seconds:.0f} s, {used.ru_maxrss / 2**20:.1f} GiB, exit code {os.waitstatus_to_exitcode(status)}",
        flush=True,
    )
    if status:
        print("  " + (root / "log").read_text().splitlines()[-1])
        return
    report = json.loads((root / "out/report.json").read_text())
    accuracy = {key: found["value"] for key, found in report["accuracy"].items() if found.get("value") is not None}
    print("  accuracy: " + ", ".join(f"{key} {value:.2f}" for key, value in accuracy.items()))
    for pair, found in report["equivalence"]["comparisons"].items():
        compared = f"{found['entries_compared']:,} entries of {found['samples']} recordings"
        print(f"  {pair}: {found['mismatches']} mismatches in {compared}")
    stages = json.loads((root / "out/manifest.json").read_text())["stages"]
    print("  seconds: " + ", ".join(f"{stage} {done['seconds']:.0f}" for stage, done in stages.items()), flush=True)


if __name__ == "__main__":
    main()

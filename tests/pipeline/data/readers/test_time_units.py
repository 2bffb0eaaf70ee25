"""Files in s, ms, ns and us give the same events, in every format of columns."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from data_folders import CLASSES, data
from scipy.io import savemat

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.readers.recordings import Reading, read_events

US = np.array([1_700_000_000_000_003, 1_700_000_000_000_004, 1_700_000_000_750_009, 1_700_000_002_000_000])
X, Y, P = np.array([3, 0, 7, 5]), np.array([1, 2, 0, 4]), np.array([1, 0, 0, 1])
SHORT = US - US[0]  # float64 holds microseconds of an epoch in s, float text does not


def write(path: Path, times: np.ndarray) -> Path:
    columns = {"t": times, "x": X, "y": Y, "p": P}
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".npy":
        np.save(path, np.stack([times, X, Y, P], axis=1))
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, column in columns.items():
                file[f"events/{name}"] = column
    elif path.suffix == ".mat":
        savemat(path, {"ts": times, "x": X, "y": Y, "p": P})
    else:
        rows = [f"{t!r},{x},{y},{p}" for t, x, y, p in zip(times.tolist(), X, Y, P, strict=True)]
        path.write_text("\n".join(["t,x,y,p", *rows, ""]))
    return path


@pytest.mark.parametrize("extension", [".npy", ".npz", ".h5", ".mat", ".csv", ".txt"])
@pytest.mark.parametrize("unit", ["us", "ms", "ns", "s"])
def test_every_unit_gives_the_same_microseconds(tmp_path: Path, extension: str, unit: str) -> None:
    times = {"us": SHORT, "ms": SHORT / 1e3, "ns": 1000 * SHORT + 7, "s": SHORT / 1e6}[unit]
    reading = Reading(columns="txyp", time_unit=unit)
    events = read_events(write(tmp_path / f"a{extension}", times), reading=reading)
    assert events["t"].tolist() == SHORT.tolist()
    assert [events[name].tolist() for name in "xyp"] == [X.tolist(), Y.tolist(), P.tolist()]


@pytest.mark.parametrize(
    ("unit", "times"), [("us", US), ("ns", 1000 * US + 999), ("ms", US // 1000), ("s", US // 10**6)]
)
def test_whole_numbers_of_an_epoch_stay_exact(tmp_path: Path, unit: str, times: np.ndarray) -> None:
    events = read_events(write(tmp_path / "a.npz", times), reading=Reading(time_unit=unit))
    wanted = {"us": US, "ns": US, "ms": US // 1000 * 1000, "s": US // 10**6 * 10**6}[unit]
    assert events["t"].tolist() == wanted.tolist()


def test_times_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"correct data\.time_unit"):
        read_events(write(tmp_path / "a.npz", US), reading=Reading(time_unit="s"))


def test_a_format_that_states_its_unit_takes_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes([1, 2, 128, 0, 5]))
    with pytest.raises(UserError, match=r"\.bin files state their times in microseconds"):
        read_events(tmp_path / "a.bin", reading=Reading(time_unit="ms"))


def test_a_recipe_in_seconds_makes_the_frames_of_one_in_microseconds(tmp_path: Path) -> None:
    found = []
    for unit, factor in (("us", 1), ("s", 1e-6)):
        for name in CLASSES:
            (tmp_path / unit / "events" / name).mkdir(parents=True)
            for number in range(8):
                write(tmp_path / unit / "events" / name / f"{number}.csv", (SHORT + number * 10**5 * (X > 3)) * factor)
        settings = data(tmp_path / unit, time_unit=unit, steps=3, step_us=500_000)
        found.append(load_dataset(settings, cache=tmp_path / "cache"))
    assert np.array_equal(found[0].train.frames[:], found[1].train.frames[:])
    assert np.asarray(found[0].train.frames[:]).any(axis=(0, 2, 3, 4)).sum() > 1
    with pytest.raises(ValueError, match="time_unit is for source class-folders"):
        data(tmp_path, source="digits", time_unit="ms")

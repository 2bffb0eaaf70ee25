"""Sensors that are larger than the frame: scaled and cropped, with every event where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_folders import CLASSES, data

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset


def write(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = np.arange(len(x))
    np.savez(path, t=count * 50 // len(x), x=x, y=y, p=count % 2)


def sets(root: Path, width: int, height: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Eight recordings in each of three classes; 200 random events of a sensor each, with events in all corners."""
    rng, found = np.random.default_rng(width), {}
    for name in CLASSES:
        for number in range(8):
            x, y = rng.integers(0, width, 200), rng.integers(0, height, 200)
            x[:4], y[:4] = [0, 0, width - 1, width - 1], [0, height - 1, 0, height - 1]
            write(root / "events" / name / f"{number}.npz", x, y)
            found[f"{name}/{number}"] = x, y
    return found


@pytest.mark.parametrize(
    ("sensor", "crop"),
    [((346, 260), ()), ((1280, 720), ()), ((346, 260), (30, 7, 250, 200)), ((13, 11), (2, 3, 9, 6))],
)
def test_each_event_is_in_the_pixel_of_its_share(tmp_path: Path, sensor, crop) -> None:
    """Column floor((x - left) 9 / width) of a frame of 6 x 9, in ten lines of NumPy; events outside are left out."""
    events = sets(tmp_path, *sensor)
    found = load_dataset(data(tmp_path, sensor=sensor, crop=crop), cache=tmp_path / "cache")
    left, top, width, height = crop or (0, 0, *sensor)
    for part in (found.train, found.validation, found.test):
        for frames, key in zip(np.asarray(part.frames[:]), part.keys, strict=True):
            wanted = np.zeros((2, 6, 9), np.uint8)
            for number, (x, y) in enumerate(zip(*events[key], strict=True)):
                if left <= x < left + width and top <= y < top + height:
                    wanted[number % 2, (y - top) * 6 // height, (x - left) * 9 // width] = 1
            assert np.array_equal(frames.max(axis=0), wanted), key
    assert f"sensor of {sensor[0]} x {sensor[1]} pixels" in found.description


def test_a_sensor_that_stood_on_its_side_is_turned_before_it_is_cropped(tmp_path: Path) -> None:
    """Stored as 5 wide and 8 high, mounted rotated: upright it is 8 x 5."""
    for name in CLASSES:
        for number in range(8):
            write(tmp_path / "events" / name / f"{number}.npz", np.array([4, 0]), np.array([0, 7]))
    settings = {"orientation": "rotate-90", "sensor": (8, 5), "crop": (6, 3, 2, 2), "width": 2, "height": 2}
    found = load_dataset(data(tmp_path, **settings), cache=tmp_path / "cache")
    frames = np.asarray(found.train.frames[:])
    # rotate-90: (x, y) becomes (8 - 1 - y, x): (4, 0) -> (7, 4), in the crop (1, 1); (0, 7) -> (0, 0), outside
    assert frames.sum() == len(frames)
    assert frames[:, :, :, 1, 1].sum() == len(frames)


def test_an_event_outside_the_stated_sensor_is_named(tmp_path: Path) -> None:
    sets(tmp_path, 20, 12)
    with pytest.raises(UserError, match="outside the sensor"):
        load_dataset(data(tmp_path, sensor=(20, 11)), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"crop": (0, 0, 9, 6)}, r"crop needs sensor = \[width, height\]"),
        ({"sensor": (20, 12), "crop": (12, 0, 9, 6)}, "crop ends at x 21, y 6, outside the sensor of 20 x 12"),
        ({"sensor": (8, 12)}, "frames of width 9 and height 6 are larger than the 8 x 12 pixels that are used"),
    ],
)
def test_views_that_do_not_fit_are_refused(tmp_path: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        data(tmp_path, **more)

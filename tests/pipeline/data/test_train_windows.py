"""Training recordings are cut into the windows that NumPy slices from their events; validation and test have one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_folders import with_pictures

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.describe import describe
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.sections.data import Data

CLASSES = ("ball", "cube", "ring")
STEPS, STEP_US, HEIGHT, WIDTH = 4, 25, 7, 9
EACH = 5
LENGTHS_US = (60, 100, 101, 333, 1_000)  # shorter than the window of 100 us, as long, and longer


def events_of(label: int, number: int) -> np.ndarray:
    """A structured array whose times begin at 40 us."""
    rng = np.random.default_rng([label, number])
    count = 90 + 7 * number
    events = np.zeros(count, [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"] = 40 + np.sort(rng.integers(0, LENGTHS_US[number], count))
    events["t"][0], events["t"][-1] = 40, 40 + LENGTHS_US[number] - 1
    events["x"], events["y"], events["p"] = (rng.integers(0, size, count) for size in (WIDTH, HEIGHT, 2))
    return events


def recipe(root: Path, **settings: object) -> Data:
    for label, name in enumerate(CLASSES):
        (root / "events" / name).mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            path = root / "events" / name / f"{number}.npy"
            if not path.exists():
                np.save(path, events_of(label, number))
    values: dict[str, object] = {
        "source": "class-folders", "root": str(root), "events": "events", "steps": STEPS, "step_us": STEP_US,
        "height": HEIGHT, "width": WIDTH, "validation": 3, "test": 3,
    }  # fmt: skip
    return Data.model_validate(values | settings)


def loaded(root: Path, **settings: object) -> Dataset:
    return load_dataset(recipe(root, **settings), cache=root / "cache")


def sliced(events: np.ndarray, start: int) -> np.ndarray:
    """Frames of the events from `start` on, by NumPy."""
    frames = np.zeros((STEPS, 2, HEIGHT, WIDTH), np.uint8)
    for step in range(STEPS):
        begin = start + step * STEP_US
        one = events[(events["t"] >= begin) & (events["t"] < begin + STEP_US)]
        frames[step, one["p"], one["y"], one["x"]] = 1
    return frames


def starts(events: np.ndarray, windows: int) -> list[int]:
    """From the first event to where a window ends with the last event, evenly, rounded down."""
    last = max(int(events["t"][-1]) + 1 - STEPS * STEP_US, int(events["t"][0]))
    return [int(np.floor(start)) for start in np.linspace(int(events["t"][0]), last, windows)]


@pytest.mark.parametrize("windows", [2, 3, 5])
@pytest.mark.parametrize("window", ["first", "last"])
def test_windows_are_the_slices_of_the_events(tmp_path: Path, windows: int, window: str) -> None:
    one = loaded(tmp_path, window=window)
    for _ in range(2):  # made, and from the cache
        many = loaded(tmp_path, window=window, train_windows=windows)
        assert many.train.keys == tuple(f"{key}#{n + 1}" for key in one.train.keys for n in range(windows))
        assert len(many.train.frames) == len(one.train) * windows == 9 * windows
        assert many.train.labels.tolist() == np.repeat(one.train.labels, windows).tolist()
        for row, key in enumerate(many.train.keys):
            name, number = key.partition("#")[0].split("/")
            events = events_of(CLASSES.index(name), int(number))
            expected = sliced(events, starts(events, windows)[row % windows])
            np.testing.assert_array_equal(many.train.frames[row], expected, err_msg=key)
        for part in ("validation", "test"):  # as without the setting
            assert getattr(many, part).keys == getattr(one, part).keys
            np.testing.assert_array_equal(getattr(many, part).frames, getattr(one, part).frames)
    assert many.fingerprint != one.fingerprint


def test_no_window_of_a_held_out_recording_is_trained_on(tmp_path: Path) -> None:
    found = loaded(tmp_path, train_windows=4, folds=3, fold=1)
    trained = {key.partition("#")[0] for key in found.train.keys}
    held_out = {*found.validation.keys, *found.test.keys}
    assert len(trained) == 7
    assert len(held_out) == 8
    assert not trained & held_out


def test_facts_are_of_recordings_and_windows_are_counted(tmp_path: Path) -> None:
    one, many = (describe(loaded(tmp_path, train_windows=windows)) for windows in (1, 3))
    assert "windows" not in one["splits"]["train"]
    assert many["splits"]["train"] == one["splits"]["train"] | {
        "windows": 27, "active_share": many["splits"]["train"]["active_share"],
    }  # fmt: skip
    assert many["description"].endswith("; 3 windows of each training recording")
    for name in ("duration_us", "box", "on"):
        assert many["window"][name] == one["window"][name]
    assert many["window"]["inside"] > one["window"]["inside"]
    short = sum(key.endswith(("/0", "/1")) for key in loaded(tmp_path).train.keys)
    assert f"{short} of 9 training recordings are not longer than the window of 100 us" in str(many["window"])


def test_each_window_keeps_the_image_of_its_recording(tmp_path: Path) -> None:
    data = with_pictures(tmp_path).model_copy(update={"step_us": 4})
    one, many = (load_dataset(data.model_copy(update={"train_windows": w}), cache=tmp_path / "c") for w in (1, 3))
    assert one.train.paired_images is not None
    assert many.train.paired_images is not None
    assert many.train.paired_images.keys == tuple(np.repeat(one.train.paired_images.keys, 3))
    np.testing.assert_array_equal(many.static.images, one.static.images)
    assert (np.asarray(many.train.frames[0]) != np.asarray(many.train.frames[2])).any()


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the longest training recording lasts .* us, and a window 2 ms"):
        loaded(tmp_path, train_windows=2, step_us=500)
    for settings in ({"window": "whole"}, {"without_recordings": True}):
        with pytest.raises(UserError, match="train_windows"):
            parse_recipe({"data": {"train_windows": 2, **settings}}, where="r")
    digits = Data(source="digits", height=16, width=18, steps=4, step_us=100_000, train_windows=2, train=20, test=20)
    with pytest.raises(UserError, match="there is no recording to cut into windows"):
        load_dataset(digits, cache=tmp_path / "cache")


def framed(data: Data) -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(3)
    return [(rng.integers(0, 2, (STEPS, 2, HEIGHT, WIDTH)), row % 3) for row in range(15)]


def test_a_data_set_of_ready_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(UserError, match=r"data\.train_windows: .*its items are frames"):
        loaded(tmp_path, source="test_train_windows:framed", events="", train_windows=2)

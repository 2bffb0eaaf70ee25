"""The Heidelberg spiking data sets: frames as of tonic and of a plain equation, published parts, speakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loaded_sets import found
from set_folders import SETS
from spike_trains import spoken, tonics, write_part, write_trains
from tonic.transforms import ToFrame

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.sections.data import Data


def test_test_frames_equal_tonics(tmp_path: Path) -> None:
    """tonic counts spikes, and its frames are as many as the recording has steps; here they are 0 and 1, and T."""
    data = SETS["shd"](tmp_path).model_copy(update={"steps": 23, "step_us": 25_000})
    test = load_dataset(data, cache=tmp_path / "cache").test
    counted = load_dataset(data.model_copy(update={"counts": 3}), cache=tmp_path / "cache").test
    assert test.frames.shape == (8, 23, 700)
    whole = ToFrame(sensor_size=(700, 1, 1), time_window=25_000, include_incomplete=True)
    several = 0
    for row, (frames, label) in enumerate(tonics(tmp_path, "test", transform=whole)):
        counts = np.zeros((23, 700), np.int64)
        counts[: min(23, len(frames))] = frames[:23, 0]
        several += int((counts > 1).sum())
        np.testing.assert_array_equal(test.frames[row], counts > 0)
        np.testing.assert_array_equal(counted.frames[row], np.minimum(counts, 3))
        assert test.labels[row] == label
    assert several > 50


def test_frames_follow_the_equation(tmp_path: Path) -> None:
    """F[k, c] = 1 where a spike of channel c has k * step <= t - t0 < (k + 1) * step; channels of 140 join five."""
    write_part(tmp_path / "SHD" / "shd_train.h5", (0, 1), 2)
    trains = [spoken(word, 9, 77) for word in range(4)]
    write_trains(tmp_path / "SHD" / "shd_test.h5", trains, [0, 1, 2, 3], [9] * 4)
    for channels in (700, 140):
        data = settings(tmp_path, "shd", channels=channels, steps=31, step_us=17_000, validation=0)
        test = load_dataset(data, cache=tmp_path / "cache").test
        for row, (times, units) in enumerate(trains):
            t = np.floor(times.astype(np.float64) * 1e6)
            expected = np.zeros((31, channels), np.uint8)
            for k in range(31):
                inside = (t - t[0] >= k * 17_000) & (t - t[0] < (k + 1) * 17_000)
                expected[k, units[inside].astype(int) * channels // 700] = 1
            np.testing.assert_array_equal(test.frames[row], expected)


def settings(root: Path, source: str, **more: object) -> Data:
    return Data.model_validate(
        {"source": source, "root": str(root), "channels": 700, "split": "official", "test": 0, **more}
    )


def test_shd_tests_the_published_part_and_names_the_speakers(tmp_path: Path) -> None:
    data = SETS["shd"](tmp_path)
    dataset = load_dataset(data, cache=tmp_path / "cache")
    assert sorted(dataset.test.keys) == [f"test/speaker{1 + row // 4 % 2:02}/{row:06}" for row in range(8)]
    assert {key.split("/")[0] for key in (*dataset.train.keys, *dataset.validation.keys)} == {"train"}
    assert len(dataset.train.keys) + len(dataset.validation.keys) == 24
    assert "1 of the 2 speakers of the test part are in no other part" in dataset.description
    assert dataset.classes == ("rise", "fall", "fork", "hold")
    assert not len(dataset.static)


def test_a_random_split_keeps_speakers_whole(tmp_path: Path) -> None:
    data = SETS["shd"](tmp_path).model_copy(update={"split": "random", "test": 8, "validation": 8})
    dataset = load_dataset(data, cache=tmp_path / "cache")
    people = [{key.split("/")[1] for key in part.keys} for part in (dataset.train, dataset.validation, dataset.test)]
    assert [len(each) for each in people] == [1, 1, 1]
    assert len(set.union(*people)) == 3


def test_ssc_validates_on_the_published_part(tmp_path: Path) -> None:
    data = SETS["ssc"](tmp_path)
    dataset = load_dataset(data, cache=tmp_path / "cache")
    parts = [sorted(part.keys) for part in (dataset.train, dataset.validation, dataset.test)]
    assert [len(part) for part in parts] == [18, 6, 6]
    assert parts[0] == [f"train/{row:06}" for row in range(18)]
    assert {key.split("/")[0] for key in parts[1]} == {"valid"}
    assert parts[2] == [f"test/{row:06}" for row in range(6)]
    none = load_dataset(data.model_copy(update={"validation": 0}), cache=tmp_path / "cache")
    assert sorted(none.train.keys) == parts[0]  # the published validation part is not trained on
    with pytest.raises(UserError, match="13 were asked, 12 are left"):
        load_dataset(data.model_copy(update={"validation": 13}), cache=tmp_path / "cache")


@pytest.mark.parametrize(("changes", "words"), [
    ({"images": "x"}, "Spiking Heidelberg Digits has no images"),
    ({"channels": None}, r"recordings of shd have 700 channels\. Hint: set data\.channels = 700"),
    ({"channels": 701}, r"data\.channels: recordings of shd have 700 channels"),
    ({"source": "nmnist"}, r"recordings of nmnist have height and width\. Hint: leave channels out"),
])  # fmt: skip
def test_what_does_not_fit_the_set_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    data = SETS["shd"](tmp_path)
    with pytest.raises(UserError, match=words):
        load_dataset(data.model_copy(update=changes), cache=tmp_path / "cache")


def test_files_of_other_classes_are_refused(tmp_path: Path) -> None:
    data = SETS["shd"](tmp_path)
    write_part(tmp_path / "SHD" / "shd_test.h5", (1,), 1, 3)
    with pytest.raises(UserError, match=r"shd_test\.h5: its classes are not those of shd_train\.h5: rise, fall, fork "):
        found(data)


def test_times_that_run_backwards_are_refused_or_sorted(tmp_path: Path) -> None:
    data = SETS["shd"](tmp_path).model_copy(update={"test": 2})
    times, units = spoken(2, 1, 5)
    mixed = np.random.default_rng(0).permutation(len(times))
    write_trains(tmp_path / "SHD" / "shd_test.h5", [(times, units), (times[mixed], units[mixed])], [2, 2], [1, 1])
    with pytest.raises(UserError, match=r"shd_test\.h5, test/speaker01/000001: time runs backwards: .*data\.sort"):
        load_dataset(data, cache=tmp_path / "cache")
    test = load_dataset(data.model_copy(update={"sort": True}), cache=tmp_path / "cache").test
    np.testing.assert_array_equal(test.frames[0], test.frames[1])
    assert test.facts is not None
    assert test.facts["late_us"][0] == 0
    assert test.facts["late_us"][1] > 100_000


def test_frames_are_made_again_when_a_file_changes(tmp_path: Path) -> None:
    data = SETS["shd"](tmp_path)
    first = load_dataset(data, cache=tmp_path / "cache")
    write_part(tmp_path / "SHD" / "shd_test.h5", (5, 6), 1)
    other = load_dataset(data, cache=tmp_path / "cache")
    assert (np.asarray(first.test.frames) != np.asarray(other.test.frames)).any()
    np.testing.assert_array_equal(first.validation.frames, other.validation.frames)


def test_keys_of_the_sensor_are_refused_beside_channels() -> None:
    with pytest.raises(ValueError, match="channels are one-dimensional: leave height out"):
        Data(source="shd", channels=700, height=35)
    with pytest.raises(ValueError, match="sort is for source class-folders"):
        Data(source="nmnist", sort=True)
    assert Data(source="shd", channels=700).frame_shape == (700,)
    assert Data(height=5, width=7).frame_shape == (2, 5, 7)


def test_training_recordings_are_cut_into_windows_of_channels(tmp_path: Path) -> None:
    """Two windows of 0.2 s: the first as without cuts, the last ends with the last spike."""
    data = SETS["shd"](tmp_path).model_copy(update={"steps": 8, "step_us": 25_000})
    whole = load_dataset(data, cache=tmp_path / "cache").train
    cut = load_dataset(data.model_copy(update={"train_windows": 2}), cache=tmp_path / "cache").train
    assert cut.frames.shape == (2 * len(whole), 8, 700)
    np.testing.assert_array_equal(np.asarray(cut.frames)[::2], np.asarray(whole.frames))
    assert np.asarray(cut.frames)[1::2, -1].any(axis=1).all()

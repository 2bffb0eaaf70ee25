"""DVS Gesture, from tiny folders written as the real files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loaded_sets import found
from set_folders import SETS

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset


def test_dvsgesture_tests_on_people_who_are_not_trained_on(tmp_path: Path) -> None:
    dataset = load_dataset(SETS["dvsgesture"](tmp_path), cache=tmp_path / "cache")
    people = [{key.split("/")[1] for key in part.keys} for part in (dataset.train, dataset.validation, dataset.test)]
    assert people[2] == {"user24_fluorescent_led"}
    assert not people[2] & (people[0] | people[1])
    assert [len(part.keys) for part in (dataset.train, dataset.validation, dataset.test)] == [22, 11, 11]
    assert dataset.static.keys == ()


def test_dvsgesture_milliseconds_become_microseconds(tmp_path: Path) -> None:
    data = SETS["dvsgesture"](tmp_path)
    table = np.load(tmp_path / "DVSGesture" / "ibmGestureTrain" / "user02_fluorescent_led" / "5.npy")
    recording = next(r for r in found(data).read() if r.key == "train/user02_fluorescent_led/5")
    np.testing.assert_array_equal(recording.events["t"], 1000 * table[:, 3])
    np.testing.assert_array_equal(recording.events["x"], table[:, 0] // 8)  # 128 pixels on 16
    np.testing.assert_array_equal(recording.events["p"], table[:, 2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"split": "random", "test": 5}, "one person would be in training and in test"), ({"images": "x"}, "no images")],
)
def test_dvsgesture_refuses_what_would_mislead(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        found(SETS["dvsgesture"](tmp_path), **changes)


def test_damaged_gestures_are_named(tmp_path: Path) -> None:
    data = SETS["dvsgesture"](tmp_path)
    path = tmp_path / "DVSGesture" / "ibmGestureTrain" / "user02_fluorescent_led" / "5.npy"
    np.save(path, np.array([[0, 0, 0, 0.00033]]))
    with pytest.raises(UserError, match=r"5\.npy: this event file cannot be read: .*number of us"):
        list(found(data).read())
    np.save(path, np.array([[128, 0, 0, 5]]))
    with pytest.raises(UserError, match=r"5\.npy: an event lies outside the sensor"):
        list(found(data).read())
    path.rename(path.with_name("11.npy"))
    with pytest.raises(UserError, match=r"11\.npy: this is not a recording of DVS Gesture"):
        found(data)

"""A data set from outside the package: a toy, one of torch, one of tonic, in a folder that is on the path."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.recipe import Recipe

STEPS, HEIGHT, WIDTH = 3, 4, 6
DATA = {
    "height": HEIGHT, "width": WIDTH, "steps": STEPS, "step_us": 100, "train": 8, "validation": 2, "test": 2,
}  # fmt: skip

MODULE = """
    import numpy as np
    import tonic
    import torch

    EVENTS = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])

    def events(index):
        # one event for each step: column index % 6, row 1, OFF in even recordings
        return np.array([(index % 6, 1, 100 * step, index % 2) for step in range(3)], EVENTS)

    class Toy:
        classes = ("ant", "bee")

        def __len__(self):
            return 12

        def __getitem__(self, index):
            return events(index), self.classes[index % 2]

    def toy(data):
        return Toy()

    def with_images(data):
        toy = Toy()
        return [(*toy[i], np.full((3, 2, 5), i, np.uint8)) for i in range(len(toy))]

    class Frames(torch.utils.data.Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, index):
            frames = torch.zeros(3, 2, 4, 6, dtype=torch.int64)
            frames[index % 3, index % 2, 2, index % 6] = 7
            return frames, torch.tensor(index % 2)

    def frames(data):
        return Frames()

    class Camera(tonic.Dataset):
        # a sensor of twice the size, on which an event in row 3 and column 2 c + 1 becomes row 1 and column c
        sensor_size = (12, 8, 2)
        classes = ["ant", "bee"]

        def __init__(self, length):
            super().__init__("unused")
            self.length = length

        def __len__(self):
            return self.length

        def __getitem__(self, index):
            found = events(index)
            found["x"], found["y"] = 2 * found["x"] + 1, 2 * found["y"] + 1
            return found, index % 2

    def camera(data):
        return Camera(12)

    def parts(data):
        return {"train": Camera(10), "test": Camera(4)}

    class Cochlea(tonic.Dataset):
        # as tonic.datasets.SHD: no row, polarity 1; 12 channels, of which two are one with data.channels = 6
        sensor_size = (12, 1, 1)
        dtype = np.dtype([("t", int), ("x", int), ("p", int)])

        def __init__(self):
            super().__init__("unused")

        def __len__(self):
            return 12

        def __getitem__(self, index):
            return np.array([(100 * step, index, 1) for step in range(3)], self.dtype), index % 2

    def cochlea(data):
        return Cochlea()

    def rasters(data):
        return [(np.eye(12, dtype=int)[[i, i, i]], i % 2) for i in range(12)]

    def number(data):
        return 3

    def broken(data):
        raise RuntimeError("no disk")

    def empty(data):
        return []

    def single(data):
        return [1, 2]

    def other_size(data):
        return [(np.zeros((3, 2, 4, 5)), 0), (np.zeros((3, 2, 4, 5)), 1)]

    def outside(data):
        return [(np.array([(0, 9, 0, 0)], EVENTS), i % 2) for i in range(12)]
"""


@pytest.fixture(autouse=True)
def module(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "owndata.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "owndata", raising=False)


def loaded(name: str, cache: Path, **changes: object) -> Dataset:
    recipe = Recipe.model_validate({"data": {**DATA, "source": f"owndata:{name}", **changes}})
    return load_dataset(recipe, cache=cache)


def expected(index: int) -> np.ndarray:
    frames = np.zeros((STEPS, 2, HEIGHT, WIDTH), np.uint8)
    frames[:, index % 2, 1, index % 6] = 1
    return frames


@pytest.mark.parametrize("name", ["toy", "camera"])
def test_events_become_frames_of_their_label(tmp_path: Path, name: str) -> None:
    dataset = loaded(name, tmp_path)
    assert dataset.classes == ("ant", "bee")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [8, 2, 2]
    seen = []
    for part in (dataset.train, dataset.validation, dataset.test):
        for key, (frames, label) in zip(part.keys, part, strict=True):
            np.testing.assert_array_equal(frames, expected(int(key)))
            assert label == int(key) % 2
            seen.append(int(key))
    assert sorted(seen) == list(range(12))


def test_frames_of_a_torch_dataset_become_0_and_1(tmp_path: Path) -> None:
    dataset = loaded("frames", tmp_path)
    assert dataset.classes == ("0", "1")
    for key, (frames, label) in zip(dataset.train.keys, dataset.train, strict=True):
        index = int(key)
        assert label == index % 2
        assert np.argwhere(frames).tolist() == [[index % 3, index % 2, 2, index % 6]]
        assert frames.max() == 1


def test_images_pair_by_item(tmp_path: Path) -> None:
    dataset = loaded("with_images", tmp_path)
    for key, (frames, label, image) in zip(dataset.test.keys, dataset.test, strict=True):
        assert (frames.shape, image.shape, label) == ((STEPS, 2, HEIGHT, WIDTH), (3, 2, 5), int(key) % 2)
        assert (image == int(key)).all()
    hidden = {*dataset.test.keys, *dataset.validation.keys}
    assert set(dataset.static.keys) == set(dataset.train.keys)
    assert not hidden & set(dataset.static.keys)


def test_an_own_test_part_is_the_official_one(tmp_path: Path) -> None:
    dataset = loaded("parts", tmp_path, split="official", train=0, test=0)
    assert dataset.test.keys == tuple(f"test/{row:06d}" for row in range(4))
    assert len(dataset.train) == 8


def test_the_cache_knows_the_content(tmp_path: Path) -> None:
    first = loaded("toy", tmp_path)
    assert loaded("toy", tmp_path).fingerprint == first.fingerprint
    assert loaded("frames", tmp_path).fingerprint != first.fingerprint


def test_a_part_feeds_a_data_loader_of_torch(tmp_path: Path) -> None:
    dataset = loaded("with_images", tmp_path)
    frames, labels, images = next(iter(DataLoader(dataset.train, batch_size=5)))
    assert (frames.shape, frames.dtype) == ((5, STEPS, 2, HEIGHT, WIDTH), torch.uint8)
    assert labels.tolist() == dataset.train.labels[:5].tolist()
    assert images.shape == (5, 3, 2, 5)
    with pytest.raises(IndexError, match="8 is not in a part of 8 recordings"):
        dataset.train[8]
    assert "EventSplit(8 recordings of 3 x 2 x 4 x 6, with images)" in repr(dataset)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "data.source: owndata:number returned a int.*Hint: factory"),
        ("broken", r"owndata:broken\(.*failed: RuntimeError: no disk.*Hint"),
        ("empty", "owndata:empty is empty"),
        ("single", "item 000000 is not a tuple of two or three values"),
        ("other_size", r"item 000000 of shape \[3, 2, 4, 5\] is neither.*\[3, 2, 4, 6\]"),
        ("outside", "recording 000000: an event lies outside the sensor"),
        ("lacking", "cannot be imported"),
    ],
)
def test_what_is_no_data_set_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UserError, match=text):
        loaded(name, tmp_path)


CHANNELS = {"steps": STEPS, "step_us": 100, "train": 8, "validation": 2, "test": 2}


@pytest.mark.parametrize(("name", "channels"), [("cochlea", 12), ("cochlea", 6), ("rasters", 12)])
def test_one_dimensional_items_become_frames_of_channels(tmp_path: Path, name: str, channels: int) -> None:
    data = {**CHANNELS, "source": f"owndata:{name}", "channels": channels}
    dataset = load_dataset(Recipe.model_validate({"data": data}), cache=tmp_path)
    assert dataset.train.frames.shape == (8, STEPS, channels)
    for key, (frames, label) in zip(dataset.test.keys, dataset.test, strict=True):
        expected = np.zeros((STEPS, channels), np.uint8)
        expected[:, int(key) * channels // 12] = 1
        np.testing.assert_array_equal(frames, expected)
        assert label == int(key) % 2


@pytest.mark.parametrize(("name", "text"), [
    ("rasters", r"item 000000 of shape \[3, 12\] is neither.*\[T, N\] = \[3, 9\]. Hint: correct data.steps, data.ch"),
    ("toy", r"an event lies outside the sensor: event 0 is at x = 0, y = 1; the sensor is 9 wide and 1 high"),
    ("with_images", "an event lies outside the sensor"),
])  # fmt: skip
def test_items_that_are_not_of_the_channels_are_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UserError, match=text):
        load_dataset(
            Recipe.model_validate({"data": {**CHANNELS, "source": f"owndata:{name}", "channels": 9}}), cache=tmp_path
        )

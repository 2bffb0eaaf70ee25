"""The named sets, from tiny folders written as the real files are: who is paired with whom, and who sees whom."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loaded_sets import found, image_of
from set_folders import CALTECH, SETS

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.sources.resizing import fill, shrink
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.sections.data import Data


def union(data: Data, key: str) -> np.ndarray:
    """Where a recording has any event in any step, `[2, H, W]`."""
    recording = next(r for r in found(data).read() if r.key == key)
    seen = np.zeros((2, data.height, data.width), bool)
    seen[recording.events["p"], recording.events["y"], recording.events["x"]] = True
    return seen


# N-MNIST


def test_nmnist_pairs_each_part_with_its_own_images(tmp_path: Path) -> None:
    """Recording 00004 of Train is of training image 3, of Test of test image 3; both are sevens' neighbors, 3."""
    collection = found(SETS["nmnist"](tmp_path))
    for part, count in (("train", 12), ("test", 6)):
        images = np.random.default_rng(count).integers(0, 256, (count + 2, 28, 28))
        np.testing.assert_array_equal(image_of(collection, f"{part}/3/00004")[0], images[3])
        np.testing.assert_array_equal(image_of(collection, f"{part}/7/00003")[0], images[2])
    assert collection.classes == ("0", "3", "7")
    assert collection.official_test is not None
    assert [key[:4] for key, test in zip(collection.keys, collection.official_test, strict=True) if test] == [
        "test"
    ] * 6
    assert sorted(key for key in collection.images.keys if key.startswith("image:")) == [
        "image:train/12",
        "image:train/13",
    ]


def test_no_image_of_an_official_test_part_is_trained_on_drawn_or_not(tmp_path: Path) -> None:
    data = SETS["nmnist"](tmp_path).model_copy(update={"test": 3, "train": 6})
    dataset = load_dataset(data, cache=tmp_path / "cache")
    assert [len(part.keys) for part in (dataset.train, dataset.validation, dataset.test)] == [6, 3, 3]
    assert all(key.startswith("test/") for key in dataset.test.keys)
    assert all(key.startswith("train/") for key in (*dataset.train.keys, *dataset.validation.keys))
    assert not [key for key in dataset.static.keys if "test/" in key]
    assert len(dataset.static.keys) == 14 - 3


def test_nmnist_without_its_test_part_splits_at_random_only(tmp_path: Path) -> None:
    data = SETS["nmnist"](tmp_path)
    shutil.rmtree(tmp_path / "NMNIST" / "Test")
    assert len(found(data, split="random").keys) == 12
    with pytest.raises(
        MissingDependencyError, match=r"NMNIST/Test: .*spikeport data download nmnist --root.*unpack test\.zip"
    ):
        found(data)


def test_real_recordings_are_the_same_through_either_source(shared_data, tmp_path: Path) -> None:
    sizes = {"root": str(shared_data), "train": 20, "validation": 10, "test": 30, "static_limit": 50}
    named = load_dataset(Data(source="nmnist", **sizes), cache=tmp_path)
    folders = {"events": "NMNIST/Train", "images": "MNIST/raw", "image_id_offset": -1}
    general = load_dataset(Data(source="class-folders", **folders, **sizes), cache=tmp_path)
    assert tuple(key.removeprefix("train/") for key in named.test.keys) == general.test.keys
    np.testing.assert_array_equal(named.test.frames, general.test.frames)
    assert named.test.paired_images is not None
    assert general.test.paired_images is not None
    np.testing.assert_array_equal(named.test.paired_images.images, general.test.paired_images.images)
    assert "1,000 of the 60,000 train recordings" in named.description


# N-Caltech101


def test_ncaltech101_holds_out_the_last_tenth_and_the_image_of_its_first_recording(tmp_path: Path) -> None:
    """10, 11 and 12 recordings: a tenth, rounded down, is the last of each. The published code's range of images
    ended one late, and so held the original of each first test recording.
    """
    data = SETS["ncaltech101"](tmp_path).model_copy(update={"test_share": 0.1, "test": 0})
    dataset = load_dataset(data, cache=tmp_path / "cache")
    last = tuple(f"{name}/image_{10 + label:04}" for label, name in enumerate(CALTECH))
    assert dataset.test.keys == last
    expected = {f"{name}/image_{n:04}" for label, name in enumerate(CALTECH) for n in range(1, 10 + label)}
    assert set(dataset.train.keys) | set(dataset.validation.keys) == expected
    assert set(dataset.static.keys) == expected - set(dataset.validation.keys)
    stored = {image.tobytes() for image in dataset.static.images}
    assert dataset.test.paired_images is not None
    assert not stored & {image.tobytes() for image in dataset.test.paired_images.images}


def test_ncaltech101_never_reads_the_photographs_of_faces_twice(tmp_path: Path) -> None:
    collection = found(SETS["ncaltech101"](tmp_path))
    assert collection.classes == CALTECH
    assert len(collection.images.keys) == len(collection.keys) == 33


def test_recordings_of_many_sizes_are_brought_to_one(tmp_path: Path) -> None:
    """By the bytes of the file: x, y, then polarity in the highest bit of the third."""
    data = SETS["ncaltech101"](tmp_path)
    content = np.fromfile(tmp_path / "NCALTECH101" / "Caltech101" / "accordion" / "image_0003.bin", np.uint8).reshape(
        -1, 5
    )
    seen = np.zeros((2, 12, 16), bool)
    for x, y, third, _, _ in content.tolist():
        seen[third >> 7, y * 12 // 23, x * 16 // 33] = True  # that recording has 23 rows of 33 pixels
    np.testing.assert_array_equal(union(data, "accordion/image_0003"), seen)


# CEP-DVS


def test_cepdvs_pairs_by_number_where_words_sort_otherwise(tmp_path: Path) -> None:
    """Of files sorted as words, 10.mat is third; of pictures, 002.png is. Recording 10 is of picture 010."""
    collection = found(SETS["cepdvs"](tmp_path))
    assert [key for key in collection.keys if key.startswith("trees/")][2] == "trees/10"
    for key in collection.keys:
        name, number = key.split("/")
        value = 80 * ("fish", "trees", "vehicles_1").index(name) + 6 * int(number)
        assert image_of(collection, key)[:, 0, 0].tolist() == [value, value // 2, 255 - value]


def test_cepdvs_splits_in_order_of_numbers(tmp_path: Path) -> None:
    """15 to train and 6 to validate of 3 classes are numbers 0 to 6 of each, 9 to test are 7 to 9; two are unused."""
    dataset = load_dataset(SETS["cepdvs"](tmp_path), cache=tmp_path / "cache")
    names = ("fish", "trees", "vehicles_1")
    assert set(dataset.test.keys) == {f"{name}/{n}" for name in names for n in (7, 8, 9)}
    assert {*dataset.train.keys, *dataset.validation.keys} == {f"{name}/{n}" for name in names for n in range(7)}
    assert not set(dataset.static.keys) & {*dataset.test.keys, *dataset.validation.keys}
    assert len(dataset.static.keys) == 36 - 9 - 6


# All


@pytest.mark.parametrize(
    ("name", "gone", "words"),
    [
        ("nmnist", "NMNIST/Train", ["train.zip", "20959b8e626244a1b502305a9e6e2031", "/<digit>/<id>.bin"]),
        ("nmnist", "MNIST/raw/t10k-labels-idx1-ubyte.gz", ["place t10k-labels-idx1-ubyte.gz in"]),
        ("ncaltech101", "NCALTECH101", ["N-Caltech101-archive.zip and then Caltech101.zip", "image_0001.bin"]),
        ("ncaltech101", "Caltech101", ["caltech-101.zip and then 101_ObjectCategories.tar.gz", "image_0001.jpg"]),
        ("cifar10dvs", "CIFAR10DVS", ["CIFAR10DVS.zip and then airplane.zip", ".aedat4"]),
        ("cifar10dvs", "CIFAR10", ["cifar-10-binary.tar.gz", "data_batch_1.bin"]),
        ("cepdvs", "CEP-DVS/events", ["ask its authors", "<class>/<n>.mat"]),
        ("cepdvs", "CEP-DVS/images", ["ask its authors", "<class>/<n>.png"]),
        ("dvsgesture", "DVSGesture/ibmGestureTrain", ["ibmGestureTrain.tar.gz", "user01_fluorescent/0.npy"]),
        ("shd", "SHD/shd_test.h5", ["shd_test.h5.zip", "1503a5064faa34311c398fb0a1ed0a6f", "SHD/shd_test.h5"]),
        ("ssc", "SSC/ssc_valid.h5", ["ssc_valid.h5.zip", "SSC/ssc_valid.h5"]),
        ("dvsgesture", "DVSGesture/ibmGestureTest", ["ibmGestureTest.tar.gz", "ibmGestureTest"]),
        ("ncars", "NCARS", ["Prophesee_Dataset_n_cars.zip and then n-cars_train.zip", "train/cars/obj_000001_td.dat"]),
        ("ncars", "NCARS/test", ["NCARS/test", "553ce464d6e5e617b3c21ce27c19368e"]),
        ("asldvs", "ASLDVS", ["ASLDVS.zip and then Yin*.zip", "33f8b87bf45edc0bfed0de41822279b9", "<letter>/<n>.mat"]),
        ("pokerdvs", "POKERDVS", ["pips_train.tar.gz", "412bcfb96826e4fcb290558e8c150aae", "cl/0.npy"]),
    ],
)
def test_what_is_gone_is_said_with_what_to_place_where(tmp_path: Path, name: str, gone: str, words: list[str]) -> None:
    data = SETS[name](tmp_path)
    path = tmp_path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(MissingDependencyError) as caught:
        found(data)
    message = str(caught.value)
    for word in [str(tmp_path), *words, *([] if name == "cepdvs" else [f"spikeport data download {name} --root"])]:
        assert word in message


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_events_shrink_as_floor_division_says(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(2, 128)), data.draw(st.integers(2, 128))
    target = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    places = data.draw(
        st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)), min_size=1, max_size=9)
    )
    events = np.zeros(len(places), EVENT_DTYPE)
    events["y"], events["x"] = zip(*places, strict=True)
    out = shrink(events, "f", sensor=(height, width), target=target)
    expected = [(y * target[0] // height, x * target[1] // width) for y, x in places]
    assert list(zip(out["y"].tolist(), out["x"].tolist(), strict=True)) == expected
    filled = fill(events, "f", target=target)
    for field, size in (("y", target[0]), ("x", target[1])):
        spread = int(events[field].max()) - int(events[field].min()) + 1
        assert filled[field].min() == 0
        assert filled[field].max() == (spread - 1) * size // spread


def test_a_target_larger_than_the_sensor_is_refused() -> None:
    with pytest.raises(UserError, match="frames of 9 x 4 are larger than this sensor"):
        shrink(np.zeros(1, EVENT_DTYPE), "f", sensor=(8, 8), target=(9, 4))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"split": "first", "folds": 3}, 'split must be "random", not "first"'),
        ({"test_share": 0.1}, 'test_share needs split = "first"'),
        ({"split": "second"}, "random"),
    ],
)
def test_a_recipe_whose_split_contradicts_itself_is_refused(values: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_recipe({"data": values}, where="r.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"split": "official", "train": 3, "test": 2, "validation": 1},
            r"events has no official test part\. Hint: name the folder of your test part, data\.test_events; or state",
        ),
        ({"split": "first", "test": 0, "validation": 1}, "how many to test on"),
        (
            {"split": "first", "test": 9, "train": 15, "validation": 3},
            "a class has 8, its share of train and validation is 6",
        ),
        ({"split": "first", "test": 21, "validation": 3}, "nothing is left to train on"),
        ({"split": "first", "test": 6, "validation": 30}, "30 were asked, 18 are left for it"),
        ({"split": "first", "test": 3, "train": 2, "without_recordings": True}, "without_recordings is true, train 2"),
    ],
)
def test_sizes_that_no_split_has_are_refused(tmp_path: Path, changes: dict, words: str) -> None:
    from data_folders import with_pictures

    with pytest.raises(UserError, match=words):
        load_dataset(with_pictures(tmp_path).model_copy(update=changes), cache=tmp_path / "cache")


def test_first_without_recordings_trains_on_none(tmp_path: Path) -> None:
    from data_folders import with_pictures

    data = with_pictures(tmp_path).model_copy(update={"split": "first", "test": 6, "without_recordings": True})
    with pytest.raises(UserError, match="no static image is left"):
        load_dataset(data.model_copy(update={"validation": 18}), cache=tmp_path / "cache")
    dataset = load_dataset(data, cache=tmp_path / "cache")
    assert [len(part.keys) for part in (dataset.train, dataset.validation, dataset.test)] == [0, 3, 6]

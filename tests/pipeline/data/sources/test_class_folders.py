"""Class folders: pairing, splits, and which files are read."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest
from data_folders import (
    CLASSES,
    HEIGHT,
    WIDTH,
    data,
    with_idx,
    with_pictures,
    write_picture,
    write_recording,
)

from spikeport.errors import UserError
from spikeport.pipeline.data.describe import describe
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.preview import preview
from spikeport.pipeline.data.readers.idx_files import read_idx
from spikeport.pipeline.data.readers.recordings import AS_STORED
from spikeport.pipeline.data.sources import reading
from spikeport.pipeline.data.sources.class_folders import load
from spikeport.pipeline.data.sources.event_files import list_events
from spikeport.pipeline.data.splits.split import split_by_class
from spikeport.pipeline.run.sections.data import Data


def test_pictures_are_paired_by_class_and_id(tmp_path: Path) -> None:
    found = load(with_pictures(tmp_path))
    assert found.classes == CLASSES
    assert found.keys[:2] == ("ant/000", "ant/001")
    assert len(found.keys) == 24
    rows = {key: row for row, key in enumerate(found.images.keys)}
    for key, label in zip(found.keys, found.labels, strict=True):
        picture = found.images.images[rows[key]]
        assert picture.shape == (3, 4, 5)
        first = 10 * int(key[-3:]) + 80 * label
        assert picture[:, 0, 0].tolist() == [first, first + 1, first + 2]  # channels first, red first


def test_idx_images_are_paired_by_id_and_offset(tmp_path: Path) -> None:
    """Recording 00007 was made from image 6; images of no recording keep a key that no recording has."""
    found = load(with_idx(tmp_path))
    assert found.classes == ("2", "5", "11")  # numbers count, so 11 is last
    images = np.arange(30 * 3 * 4).reshape(30, 3, 4) % 251
    assert found.images.images.shape == (30, 1, 3, 4)
    rows = {key: row for row, key in enumerate(found.images.keys)}
    for key, label in zip(found.keys, found.labels, strict=True):
        row = rows[key]
        assert row == int(key.split("/")[1]) - 1
        assert found.images.labels[row] == label
        np.testing.assert_array_equal(found.images.images[row, 0], images[row])
    assert sum(key.startswith("image:") for key in found.images.keys) == 6


def test_all_real_labels_agree_with_their_images(shared_data) -> None:
    """Each recording is paired with the MNIST image of its id less one, of its class, by an independent count."""
    options = {"source": "class-folders", "root": str(shared_data), "events": "NMNIST/Train", "images": "MNIST/raw"}
    found = load(Data(**options, image_id_offset=-1))
    labels = read_idx(shared_data / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz")
    assert (len(found.keys), len(found.images.keys)) == (1000, 60_000)
    for key, label in zip(found.keys, found.labels, strict=True):
        folder, identity = key.split("/")
        assert labels[int(identity) - 1] == label == int(folder)
        assert found.images.keys[int(identity) - 1] == key
    with pytest.raises(UserError, match="the labels of recording and image disagree"):
        load(Data(**options, image_id_offset=0))


def test_real_data_splits_as_the_recipe_says(shared_data, tmp_path: Path) -> None:
    from spikeport.pipeline.run.recipe_file import load_recipe

    shipped = Path(__file__).parents[4] / "recipes" / "nmnist-small.toml"
    recipe = load_recipe(shipped, [f'data.root="{shared_data}"', "data.static_limit=0"])
    dataset = load_dataset(recipe.data, cache=tmp_path)
    assert [len(part.keys) for part in (dataset.train, dataset.validation, dataset.test)] == [700, 100, 200]
    assert dataset.train.frames.shape == (700, 10, 2, 34, 34)
    assert dataset.static.images.shape == (59_700, 1, 28, 28)
    assert dataset.static.images.dtype == np.uint8
    assert not dataset.simulated
    everyone = np.bincount(np.concatenate([p.labels for p in (dataset.train, dataset.validation, dataset.test)]))
    assert (np.abs(np.bincount(dataset.test.labels) - everyone / 5) < 1).all()


@pytest.mark.parametrize("train", [10, 20, 50, 100])
def test_a_few_real_recordings_train_and_all_others_test(shared_data, train: int) -> None:
    """As the learning curve asks: a class has its share of `train` to less than one, and never none."""
    names = [int(path.parent.name) for path in sorted((shared_data / "NMNIST" / "Train").glob("*/*.bin"))]
    labels = np.array(names)
    for seed in range(5):
        split = split_by_class(labels, train=train, validation=0, test=0, seed=seed)
        each = np.bincount(labels[split.train], minlength=10)
        assert len(split.test) == 1000 - train
        assert each.sum() == train
        assert each.min() >= 1
        assert (np.abs(each - np.bincount(labels) * train / 1000) < 1).all()


def test_a_split_may_lack_validation_or_training(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    few = load_dataset(options.model_copy(update={"train": 3, "validation": 0, "test": 0}), cache=tmp_path / "cache")
    assert [len(part.keys) for part in (few.train, few.validation, few.test)] == [3, 0, 21]
    assert few.validation.frames.shape == (0, 5, 2, HEIGHT, WIDTH)
    assert few.validation.paired_images is not None
    assert few.validation.paired_images.images.shape == (0, 3, 4, 5)
    assert set(few.static.keys) == set(few.train.keys)
    write_picture(tmp_path / "pictures" / "ant" / "extra.png", 9)
    alone = options.model_copy(update={"without_recordings": True, "validation": 0, "test": 0})
    none = load_dataset(alone, cache=tmp_path / "cache")
    assert [len(part.keys) for part in (none.train, none.validation, none.test)] == [0, 0, 24]
    assert none.train.frames.shape == (0, 5, 2, HEIGHT, WIDTH)
    assert none.static.keys == ("image:ant/extra",)
    facts = json.loads(json.dumps(describe(none), allow_nan=False))
    assert facts["splits"]["train"] == {
        "recordings": 0, "by_class": [0, 0, 0], "events_per_recording": None, "active_share": None
    }  # fmt: skip
    preview(none, tmp_path / "look.png", 2)
    assert (tmp_path / "look.png").stat().st_size > 1000


def test_pictures_of_many_sizes_are_brought_to_the_sensor(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    write_picture(tmp_path / "pictures" / "bee" / "003.png", 200, size=(20, 30))
    found = load(options)
    assert found.images.images.shape == (24, 3, 6, 9)
    odd = found.images.keys.index("bee/003")
    assert (found.images.images[odd].reshape(3, -1).T == [200, 201, 202]).all()


def test_grey_pictures_become_rgb(tmp_path: Path) -> None:
    from PIL import Image

    options = with_pictures(tmp_path)
    Image.new("L", (5, 4), 77).save(tmp_path / "pictures" / "ant" / "000.png")
    images = load(options).images
    assert (images.images[images.keys.index("ant/000")] == 77).all()


def test_class_pairing_knows_no_paired_images_but_still_keeps_the_same_id_apart(tmp_path: Path) -> None:
    options = with_pictures(tmp_path).model_copy(update={"pairing": "class"})
    write_picture(tmp_path / "pictures" / "ant" / "extra.png", 9)
    (tmp_path / "pictures" / "bee" / "000.png").unlink()
    dataset = load_dataset(options, cache=tmp_path / "cache")
    assert dataset.train.paired_images is None
    held_out = {*dataset.validation.keys, *dataset.test.keys}
    assert not held_out & set(dataset.static.keys)
    assert "image:ant/extra" in dataset.static.keys
    assert len(dataset.static.keys) == 24 - len(held_out - {"bee/000"})


def test_a_changed_event_file_is_binned_again(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    first = load_dataset(options, cache=tmp_path / "cache")
    write_recording(tmp_path / "events" / "cat" / "007.npz", 12345)
    assert load_dataset(options, cache=tmp_path / "cache").fingerprint != first.fingerprint
    assert len(list((tmp_path / "cache").glob("frames-*"))) == 2


def test_files_at_rest_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one is written, comes or goes; a change that hides from size and times is found by verifying."""
    options, cache = with_pictures(tmp_path), tmp_path / "cache"
    read: list[int] = []
    hashing = reading.hash_files
    monkeypatch.setattr(reading, "hash_files", lambda *call: read.append(1) or hashing(*call))
    later = time.time_ns() + 10**10
    monkeypatch.setattr("spikeport.pipeline.data.frames.cache.time.time_ns", lambda: later)
    first = load_dataset(options, cache=cache)
    assert load_dataset(options, cache=cache).fingerprint == first.fingerprint
    assert len(read) == 1
    file = tmp_path / "events" / "bee" / "002.npz"
    file.touch()  # the same bytes: read again, not binned again
    assert load_dataset(options, cache=cache).fingerprint == first.fingerprint
    assert len(read) == 2
    assert len(list(cache.glob("frames-*"))) == 1
    write_recording(file, 4321)
    changed = load_dataset(options, cache=cache)
    assert changed.fingerprint != first.fingerprint
    assert len(read) == 3
    mtime_digest = reading.mtime_digest_with([list_events(tmp_path / "events").mtime_digest], AS_STORED)
    [record] = [p for p in cache.glob("content-*") if mtime_digest in p.read_text()]
    other = next(p for p in cache.glob("content-*") if p != record)
    foreign = json.loads(other.read_text())["content"]
    stale = json.loads(record.read_text())
    check = hashlib.sha256(f"{stale['mtime_digest']} {foreign}".encode()).hexdigest()
    record.write_text(json.dumps({**stale, "content": foreign, "check": check}))  # as if the bytes had changed unseen
    assert load_dataset(options, cache=cache).fingerprint == first.fingerprint
    assert load_dataset(options, cache=cache, verify=True).fingerprint == changed.fingerprint
    assert load_dataset(options, cache=cache).fingerprint == changed.fingerprint


def test_a_recording_behind_a_link_to_nothing_is_missed(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    (tmp_path / "events" / "ant" / "zzz.npz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"zzz\.npz: this file cannot be read: the link leads nowhere"):
        load(options)


def test_hidden_files_are_not_recordings(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    (tmp_path / "events" / "ant" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "events" / ".cache").mkdir()
    assert len(load(options).keys) == 24


def test_events_without_images_have_no_static_side(tmp_path: Path) -> None:
    for label, name in enumerate(CLASSES):
        for number in range(8):
            write_recording(tmp_path / "events" / name / f"{number}.npz", 100 * label + number)
    found = load_dataset(data(tmp_path), cache=tmp_path / "cache")
    assert len(found.static.labels) == 0
    assert found.train.paired_images is None
    assert found.description.endswith("from events, without images")


def with_test_folder(root: Path, **more: object) -> Data:
    """Recordings 000 to 007 of three classes to train on, and 000 and 001 of two of them to test."""
    for label, name in enumerate(CLASSES):
        for number in range(8):
            write_recording(root / "events" / name / f"{number:03}.npz", 100 * label + number)
    for label, name in ((1, "bee"), (2, "cat")):
        for number in range(2):
            write_recording(root / "tests" / name / f"{number:03}.npz", 500 + 100 * label + number)
    return data(root, test_events="tests", split="official", test=0, **more)


def test_a_folder_of_its_own_is_the_test_part(tmp_path: Path) -> None:
    """Its classes are those of the training folder, also where one has no test recording."""
    found = load_dataset(with_test_folder(tmp_path), cache=tmp_path / "cache")
    assert found.test.keys == ("test/bee/000", "test/bee/001", "test/cat/000", "test/cat/001")
    assert found.test.labels.tolist() == [1, 1, 2, 2]
    assert len(found.train.keys) + len(found.validation.keys) == 24
    assert not any(key.startswith("test/") for key in (*found.train.keys, *found.validation.keys))
    write_recording(tmp_path / "tests" / "dog" / "000.npz", 9)
    with pytest.raises(UserError, match="the test part has a class dog that the training part lacks"):
        load_dataset(with_test_folder(tmp_path), cache=tmp_path / "cache")


def test_images_of_test_recordings_are_held_out_where_ids_are_shared(tmp_path: Path) -> None:
    """By class, bee/000 may show a training or a test recording: it is not trained on. By id it would be ambiguous."""
    for label, name in enumerate(CLASSES):
        for number in range(8):
            write_picture(tmp_path / "pictures" / name / f"{number:03}.png", 10 * number + 80 * label)
    settings = with_test_folder(tmp_path, images="pictures", pairing="class", validation=0)
    found = load_dataset(settings, cache=tmp_path / "cache")
    assert len(found.static.labels) == 24 - 4
    assert not {"test/bee/000", "test/cat/001"} & set(found.static.keys)
    with pytest.raises(UserError, match="two recordings claim one image"):
        load_dataset(with_test_folder(tmp_path, images="pictures"), cache=tmp_path / "cache")


def test_small_classes_are_left_out_on_request(tmp_path: Path) -> None:
    """Bees lose all but two recordings; cats become class 1, with their own files and images."""
    settings = with_pictures(tmp_path).model_copy(update={"validation": 2, "test": 4})
    for number in range(2, 8):
        (tmp_path / "events/bee" / f"00{number}.npz").unlink()
    with pytest.raises(UserError, match=r"class 'bee' has 2 of 18 .* data\.drop_small_classes = 3 \(class-folders"):
        load_dataset(settings.model_copy(update={"test": 14}), cache=tmp_path / "cache")
    every, found = (load(settings.model_copy(update={"drop_small_classes": least})) for least in (2, 3))
    assert every.classes == CLASSES
    assert (found.classes, len(found.keys)) == (("ant", "cat"), 16)
    assert every.content_hash() != found.content_hash()
    assert every.mtime_digest != found.mtime_digest
    assert [found.labels[row] for row, key in enumerate(found.keys) if key.startswith("cat/")] == [1] * 8
    assert found.description.endswith("; without the classes bee (data.drop_small_classes)")
    recorded = {one.key: one.events for one in every.read()}
    for one in found.read():
        np.testing.assert_array_equal(one.events, recorded[one.key])
    assert {key.partition("/")[0] for key in found.images.keys} == {"ant", "cat"}
    with pytest.raises(UserError, match=r"data\.drop_small_classes: .*0 have 9 recordings"):
        load(settings.model_copy(update={"drop_small_classes": 9}))


def test_small_classes_are_left_out_of_the_test_folder(tmp_path: Path) -> None:
    settings = with_pictures(tmp_path)
    for name in CLASSES:
        write_recording(tmp_path / "held" / name / "000.npz", 5)
    (tmp_path / "events/ant/007.npz").unlink()
    changes = {
        "images": "",
        "test_events": "held",
        "split": "official",
        "test": 0,
        "validation": 2,
        "drop_small_classes": 8,
    }
    found = load_dataset(settings.model_copy(update=changes), cache=tmp_path / "cache")
    assert found.classes == ("bee", "cat")
    assert found.test.keys == ("test/bee/000", "test/cat/000")
    assert found.test.labels.tolist() == [0, 1]

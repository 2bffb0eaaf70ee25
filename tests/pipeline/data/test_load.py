"""What holds for every data source: no leak, the same bytes again, facts and pictures that fit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_folders import with_idx, with_pictures
from set_folders import SETS, WITHOUT_IMAGES

from spikeport.errors import UserError
from spikeport.export.network.sampling import draw
from spikeport.pipeline.data import preview as look
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.describe import describe, list_sources
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.preview import preview
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.sections.data import Data


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="session")
def digits_data() -> Data:
    data = load_recipe(Path(__file__).parents[3] / "recipes" / "digits.toml").data
    return data.model_copy(update={"train": 1197, "validation": 200})


# Every way into every source; a new source gets its line here.
WAYS: dict[str, Callable[[pytest.FixtureRequest, Path], Data]] = {
    "digits": lambda request, _: request.getfixturevalue("digits_data"),
    "class-folders, pictures": lambda _, folder: with_pictures(folder),
    "class-folders, idx": lambda _, folder: with_idx(folder),
    "class-folders, by class": lambda _, folder: with_pictures(folder).model_copy(update={"pairing": "class"}),
    **{name: lambda _, folder, make=make: make(folder) for name, make in SETS.items()},
    "nmnist, random": lambda _, folder: SETS["nmnist"](folder).model_copy(update={"split": "random", "test": 5}),
    "cifar10dvs, by class": lambda _, folder: SETS["cifar10dvs"](folder).model_copy(
        update={"pairing": "class", "pairs": ""}
    ),
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    return WAYS[request.param](request, tmp_path / "root")


@pytest.fixture
def load(digits_cache: Path) -> Callable[[Data], Dataset]:
    return lambda data: load_dataset(data, cache=digits_cache)


def shape_of(way: Data) -> tuple[int, ...]:
    return {"shd": (700,), "ssc": (140,)}.get(way.source, (2, way.height, way.width))


def test_every_source_is_among_the_ways() -> None:
    assert {name.split(",")[0] for name in WAYS} == set(SOURCES) == {entry["name"] for entry in list_sources()}


def test_no_paired_image_of_a_held_out_recording_can_be_trained_on(way: Data, load: Callable[[Data], Dataset]) -> None:
    """By key, and by pixels where all images differ."""
    dataset = load(way)
    parts = [dataset.train, dataset.validation, dataset.test]
    keys = [set(part.keys) for part in parts]
    assert len(set.union(*keys)) == sum(len(part.keys) for part in parts)
    held_out = keys[1] | keys[2]
    assert not held_out & set(dataset.static.keys)
    for part in parts:
        if part.paired_images is None:
            continue
        assert part.paired_images.keys == part.keys
        np.testing.assert_array_equal(part.paired_images.labels, part.labels)
    if dataset.train.paired_images is not None:
        assert set(dataset.train.keys) <= set(dataset.static.keys)
        seen = {image.tobytes() for image in dataset.static.images}
        hidden = {image.tobytes() for part in parts[1:] for image in part.paired_images.images}
        assert not seen & hidden


def test_shapes_and_kinds(way: Data, load: Callable[[Data], Dataset]) -> None:
    dataset = load(way)
    assert (len(dataset.validation.keys), len(dataset.test.keys)) == (way.validation, way.test)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.frames.shape == (len(part.keys), way.steps, *shape_of(way))
        assert part.frames.dtype == np.uint8
        frames = np.asarray(part.frames)
        assert set(np.unique(frames)) == {0, 1}
        assert part.labels.dtype == np.int64
        assert part.events is not None
        assert (part.events >= frames.reshape(len(frames), -1).sum(axis=1)).all()  # a bit needs an event
    assert dataset.static.images.dtype == np.uint8
    assert dataset.dt_s == way.step_us * 1e-6
    assert set(dataset.train.labels.tolist()) == set(range(len(dataset.classes)))


def test_training_frames_stay_bits(way: Data, load: Callable[[Data], Dataset]) -> None:
    """An eighth of the memory; a batch is unpacked when it is asked for."""
    part = load(way).train
    assert isinstance(part.frames, PackedFrames)
    rows = np.array([2, 0, 1])
    np.testing.assert_array_equal(part.frames[rows], np.asarray(part.frames)[rows])


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_another_split(way: Data, tmp_path: Path) -> None:
    first = load_dataset(way, cache=tmp_path / "one")
    again = load_dataset(way, cache=tmp_path / "two")
    cached = load_dataset(way, cache=tmp_path / "one")
    assert first.fingerprint == again.fingerprint == cached.fingerprint
    np.testing.assert_array_equal(first.test.frames, cached.test.frames)
    other = load_dataset(way.model_copy(update={"split_seed": 1}), cache=tmp_path / "one")
    parts = "test" if way.split == "random" else "validation"  # elsewhere the test part is not drawn
    assert set(getattr(other, parts).keys) != set(getattr(first, parts).keys)
    assert other.fingerprint != first.fingerprint
    frames = {key: frame.tobytes() for part in (other.train, other.validation, other.test)
              for key, frame in zip(part.keys, part.frames, strict=True)}  # fmt: skip
    for key, frame in zip(first.test.keys, first.test.frames, strict=True):
        assert frames[key] == frame.tobytes()


def test_folds_reach_the_dataset(way: Data, load: Callable[[Data], Dataset]) -> None:
    """The three folds' test keys are all keys of the set, each once."""
    if way.source == "dvsgesture":
        pytest.skip("split by people only")
    options = {"split": "random", "train": 0, "folds": 3}
    folds = [load(way.model_copy(update={**options, "fold": fold})) for fold in range(3)]
    tested = [key for dataset in folds for key in dataset.test.keys]
    everything = {key for part in (folds[0].train, folds[0].validation, folds[0].test) for key in part.keys}
    assert sorted(tested) == sorted(everything)
    assert not set(folds[1].test.keys) & set(folds[1].static.keys)


def test_simulated_frames_tell_the_digit(digits_data: Data, load: Callable[[Data], Dataset]) -> None:
    """A linear classifier on the frames finds 96 % of the test digits; chance is 10 %."""
    from sklearn.linear_model import RidgeClassifier

    dataset = load(digits_data)
    parts = (np.asarray(part.frames) for part in (dataset.train, dataset.test))
    train, test = (frames.reshape(len(frames), -1).astype(np.float32) for frames in parts)
    assert RidgeClassifier(300.0).fit(train, dataset.train.labels).score(test, dataset.test.labels) > 0.9


def test_a_static_limit_holds(way: Data, load: Callable[[Data], Dataset]) -> None:
    assert len(load(way.model_copy(update={"static_limit": 7})).static.keys) == (
        0 if way.source in WITHOUT_IMAGES else 7
    )


def test_the_fingerprint_is_that_of_all_pixels_in_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are unpacked at a time, and by hashlib over whole arrays."""
    import spikeport.pipeline.data.load

    dataset = load_dataset(with_pictures(tmp_path), cache=tmp_path / "cache")
    splits, static = (dataset.train, dataset.validation, dataset.test), dataset.static
    digest = hashlib.sha256()
    for part, pixels in [*((split, np.asarray(split.frames)) for split in splits), (static, static.images)]:
        digest.update(repr((pixels.shape, part.keys)).encode() + pixels.tobytes() + part.labels.astype("<i8").tobytes())
    assert dataset.fingerprint == digest.hexdigest()
    monkeypatch.setattr(spikeport.pipeline.data.load, "HASHED_ROWS", 2)
    assert len(dataset.train.keys) > 2
    assert spikeport.pipeline.data.load._fingerprint(splits, static) == dataset.fingerprint


def test_the_fingerprint_sees_every_part(tmp_path: Path) -> None:
    from spikeport.pipeline.data.load import _fingerprint

    dataset = load_dataset(with_pictures(tmp_path), cache=tmp_path / "cache")
    splits = (dataset.train, dataset.validation, dataset.test)
    assert _fingerprint(splits, dataset.static) == dataset.fingerprint
    for part in range(3):
        for field, value in (
            ("frames", np.asarray(splits[part].frames) ^ 1),
            ("labels", splits[part].labels[::-1] + 1),
            ("keys", splits[part].keys[::-1]),
        ):
            changed = tuple(
                dataclasses.replace(split, **{field: value}) if row == part else split
                for row, split in enumerate(splits)
            )
            assert _fingerprint(changed, dataset.static) != dataset.fingerprint
    other = dataclasses.replace(dataset.static, images=dataset.static.images ^ 1)
    assert _fingerprint(splits, other) != dataset.fingerprint


def test_an_unknown_source_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'mnits' is not a data source.*use one of digits, class-folders"):
        load_dataset(Data(source="mnits"), cache=tmp_path)


def test_facts_are_plain_and_right(way: Data, load: Callable[[Data], Dataset]) -> None:
    dataset = load(way)
    facts = json.loads(json.dumps(describe(dataset), allow_nan=False))
    sizes = (way.steps, *shape_of(way))
    assert facts["frames"] == dict(zip(("steps", "channels", "height", "width"), sizes, strict=False))
    test = facts["splits"]["test"]
    assert test["recordings"] == way.test == sum(test["by_class"])
    assert test["events_per_recording"]["max"] == max(dataset.test.events.tolist())
    assert test["active_share"] == pytest.approx(dataset.test.frames.sum() / dataset.test.frames.size)
    assert facts["static"]["images"] == len(dataset.static.keys) == sum(facts["static"]["by_class"])
    assert facts["paired"] == (way.pairing == "id" and way.source not in WITHOUT_IMAGES)
    assert facts["simulated"] == (way.source == "digits")


@pytest.mark.parametrize("count", [1, 5])
def test_the_preview_shows_the_frames(way: Data, load: Callable[[Data], Dataset], tmp_path: Path, count: int) -> None:
    """As many rows as asked, and the colors of ON and OFF are on the picture; channels have no OFF."""
    from PIL import Image

    path = tmp_path / "pictures" / "look.png"
    preview(load(way), path, count)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert picture.height > count * 40
    on, off = [255, 153, 38], [64, 140, 242]
    for color in (on, off) if way.channels is None else (on,):
        assert (np.abs(pixels.astype(int) - color).max(axis=1) <= 1).sum() > 20
    assert [file.name for file in path.parent.iterdir()] == ["look.png"]


def test_the_preview_draws_by_class_with_a_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = load_dataset(Data(source="digits"), cache=tmp_path)
    labels, drawn = dataset.train.labels, []
    image_of = look._image_of
    monkeypatch.setattr(look, "_image_of", lambda data, part, row: drawn.append(row) or image_of(data, part, row))
    preview(dataset, tmp_path / "look.png", 10)
    assert sorted(drawn) == draw(10, len(labels), labels, seed=0).rows.tolist()
    assert labels[drawn].tolist() == list(range(10))
    firsts = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    assert drawn != firsts


def test_importing_the_data_stage_loads_nothing_heavy() -> None:
    code = (
        "import sys, spikeport.pipeline.data.load, spikeport.pipeline.data.describe, spikeport.pipeline.data.preview; "
        "heavy = {'torch', 'matplotlib', 'sklearn', 'tonic', 'PIL', 'h5py', 'expelliarmus'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

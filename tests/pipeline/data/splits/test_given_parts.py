"""Parts that a user states, and groups that are never on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_folders import CLASSES, EACH, data, write_recording

from spikeport.errors import UserError
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.sections.data import Data

PEOPLE = ("ann", "bob", "cy", "dee")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """24 recordings <class>/<person>_<number>, two of each person in each class, without images."""
    for label, name in enumerate(CLASSES):
        for row in range(EACH):
            write_recording(tmp_path / "events" / name / f"{PEOPLE[row % 4]}_{row}.npz", 100 * label + row)
    return tmp_path


def keys() -> list[str]:
    return [f"{name}/{PEOPLE[row % 4]}_{row}" for name in CLASSES for row in range(EACH)]


def people(part) -> set[str]:
    return {key.split("/")[1].split("_")[0] for key in part.keys}


def loaded(settings: Data, tmp_path: Path):
    return load_dataset(settings, cache=tmp_path / "cache")


@pytest.mark.parametrize("seed", range(6))
def test_a_pattern_names_people_who_are_never_on_both_sides(root: Path, seed: int) -> None:
    found = loaded(data(root, group=r"/(\w+?)_", split_seed=seed, validation=5, test=6), root)
    parts = [people(part) for part in (found.train, found.validation, found.test)]
    assert set.union(*parts) == set(PEOPLE)
    assert sum(map(len, parts)) == len(PEOPLE), "each person is in one part"
    assert [len(part.keys) for part in (found.train, found.validation, found.test)] == [12, 6, 6]
    assert sorted((*found.train.keys, *found.validation.keys, *found.test.keys)) == sorted(keys())


def test_folds_of_groups_test_everyone_once(root: Path) -> None:
    tested = []
    for fold in range(4):
        found = loaded(data(root, group=r"/(\w+?)_", folds=4, fold=fold, validation=0), root)
        assert not people(found.test) & people(found.train)
        tested += found.test.keys
    assert sorted(tested) == sorted(keys())


def written(root: Path, rows: list[str], head: str = "recording,part") -> Data:
    (root / "splits.csv").write_text("\n".join([head, *rows, ""]))
    return data(root, splits="splits.csv", validation=3, test=0)


def test_a_file_states_the_part_of_each_recording(root: Path) -> None:
    """In any order, with file extensions or without; unused recordings are in no part."""
    rng = np.random.default_rng(0)
    names = ["train"] * 12 + ["validation"] * 4 + ["test"] * 6 + ["unused"] * 2
    order = rng.permutation(24)
    part_of = dict(zip([keys()[row] for row in order], names, strict=True))
    settings = written(root, [f"{key}{'.npz' * (row % 2)}, {part}" for row, (key, part) in enumerate(part_of.items())])
    found = loaded(settings.model_copy(update={"validation": 4}), root)
    for name, part in (("train", found.train), ("validation", found.validation), ("test", found.test)):
        assert sorted(part.keys) == sorted(key for key, own in part_of.items() if own == name)
    with pytest.raises(UserError, match=r"data\.validation is 3, and the file states 4 recordings"):
        loaded(settings, root)


def test_validation_is_drawn_from_training_groups_if_the_file_has_none(root: Path) -> None:
    rows = [f"{key},{'test' if '/ann' in key else 'train'},{key.split('/')[1].split('_')[0]}" for key in keys()]
    found = loaded(written(root, rows, "recording,part,group"), root)
    assert people(found.test) == {"ann"}
    assert len(people(found.validation)) == 1
    assert not people(found.validation) & (people(found.train) | {"ann"})


def test_a_file_of_groups_alone_leaves_the_parts_to_chance(root: Path) -> None:
    rows = [f"{key},{key.split('/')[1].split('_')[0]}" for key in keys()]
    settings = written(root, rows, "recording,group").model_copy(update={"test": 6})
    by_pattern = data(root, group=r"/(\w+?)_", validation=3, test=6)
    assert loaded(settings, root).test.keys == loaded(by_pattern, root).test.keys


@pytest.mark.parametrize(
    ("change", "head", "words"),
    [
        (lambda rows: rows[:-2], "recording,part", "2 of 24 recordings are not in this file, the first cat/cy_6"),
        (lambda rows: [*rows, rows[3]], "recording,part", "lines 5 and 26 name the same recording, ant/dee_3"),
        (lambda rows: ["dog/x_1,train", *rows], "recording,part", "line 2 names 'dog/x_1', which is no recording"),
        (lambda rows: [*rows[:-1], "cat/dee_7,tests"], "recording,part", "line 25: 'tests' is no part"),
        (lambda rows: [f"{row},g" for row in rows[:-1]] + [f"{rows[-1]},"], "recording,part,group", "has no group"),
        (lambda rows: [f"{row},g" for row in rows], "recording,part,group", "group 'g' is trained on and held out"),
        (lambda rows: [row.replace("test", "unused") for row in rows], "recording,part", "has the part test"),
        (lambda rows: rows, "file,part", "its columns are file, part"),
        (lambda rows: ["\udcff"], "recording,part", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(root: Path, change, head: str, words: str) -> None:
    rows = [f"{key},{'test' if row % 3 == 0 else 'train'}" for row, key in enumerate(keys())]
    text = "\n".join([head, *change(rows), ""])
    (root / "splits.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=words):
        loaded(data(root, splits="splits.csv", validation=3, test=0), root)


def test_names_without_a_group_and_too_few_groups_are_named(root: Path) -> None:
    with pytest.raises(UserError, match="ant/ann_0 has no group: user is nowhere in its name"):
        loaded(data(root, group="user"), root)
    with pytest.raises(UserError, match="too few groups"):
        loaded(data(root, group=r"/(\w+?)_", test=20), root)
    with pytest.raises(UserError, match="5 folds need a group each: 4 groups are here"):
        loaded(data(root, group=r"/(\w+?)_", folds=5, validation=0), root)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"group": "(", "test": 6}, "group is no regular expression"),
        ({"group": "a", "splits": "s.csv"}, "splits has the groups in a column"),
        ({"group": "a", "split": "first"}, 'group needs split = "random"'),
        ({"splits": "s.csv", "folds": 3}, "splits states the parts"),
        ({"splits": "s.csv", "train": 5}, "with splits, train is all that validation and test leave"),
        ({"test_events": "tests"}, 'test_events is the test part: set split = "official"'),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        data(tmp_path, **more)

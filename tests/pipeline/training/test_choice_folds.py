"""Folds of the recordings in which candidates compete: what is held out, and what may be trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from learning_data import tiny_dataset, tiny_recipe

from spikeport.pipeline.data.dataset import EventSplit
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.run.sections.distillation import Auto
from spikeport.pipeline.training.choice_folds import (
    ENOUGH,
    fold_dataset,
    fold_recipe,
    folds_of,
    held_out,
    known_recordings,
)


def part(labels: list[int], groups: list[int] | None = None) -> EventSplit:
    return EventSplit(
        frames=np.zeros((len(labels), 2, 2, 3, 4), np.uint8),
        labels=np.array(labels),
        keys=tuple(f"r{n}" for n in range(len(labels))),
        paired_images=None,
        groups=None if groups is None else np.array(groups),
    )


def test_each_recording_is_held_out_once_in_a_cut_and_classes_are_dealt_evenly():
    labels = [0] * 9 + [1] * 5 + [2] * 6
    folds = folds_of(part(labels), Auto(folds=4, trainings=8), seed=3)
    assert [(fold.number, fold.again) for fold in folds] == [(n, n // 4) for n in range(8)]
    for cut in (folds[:4], folds[4:]):
        assert sorted(row for fold in cut for row in fold.held) == list(range(20))
        counts = [np.bincount(np.array(labels)[fold.held], minlength=3).tolist() for fold in cut]
        assert np.ptp(counts, axis=0).max() <= 1
    assert any(list(a.held) != list(b.held) for a, b in zip(folds[:4], folds[4:], strict=True))
    for fold in folds:
        assert sorted([*fold.train, *fold.held]) == list(range(20))


def test_folds_are_added_until_enough_recordings_are_answered():
    many = part([n % 3 for n in range(401)])
    folds = folds_of(many, Auto(folds=4, trainings=8), seed=1)
    assert len(folds) == 2  # of 100 or 101 recordings
    assert sum(len(fold.held) for fold in folds) >= ENOUGH
    assert len(folds_of(many, Auto(folds=4, trainings=1), seed=1)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_recordings_of_a_group_are_never_on_both_sides(seed):
    groups = np.repeat(np.arange(7), [3, 1, 4, 2, 5, 1, 4])
    known = part([n % 2 for n in range(20)], groups.tolist())
    folds = folds_of(known, Auto(folds=3, trainings=6), seed)
    assert len(folds) == 6
    for fold in folds:
        assert len(fold.held)
        assert not set(groups[fold.train]) & set(groups[fold.held])
    two = folds_of(part([0, 1, 0, 1], [5, 5, 9, 9]), Auto(folds=4, trainings=9), seed)
    assert {tuple(fold.held) for fold in two} == {(0, 1), (2, 3)}


def test_a_class_that_a_fold_does_not_train_on_is_not_answered():
    """Groups of one class each, and class 2 in two groups: only these two can answer for each other."""
    labels, groups = [0, 0, 0, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 5, 6, 6]
    folds = folds_of(part(labels, groups), Auto(folds=4, trainings=8), seed=2)
    assert [(fold.number, fold.again) for fold in folds] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    for fold in folds:
        group = np.array(groups)[fold.held]
        assert set(np.array(labels)[fold.held]) == {2}
        assert not set(group) & set(np.array(groups)[fold.train])
    assert sorted(row for fold in folds[:2] for row in fold.held) == [5, 6, 7]
    assert folds_of(part(labels[:5], groups[:5]), Auto(folds=2, trainings=8), seed=2) == []


def test_a_rest_of_a_group_is_neither_trained_on_nor_answered():
    """Class 1 is in the first group alone: its recordings are left out where that group is held out."""
    folds = folds_of(part([0, 1, 1, 0, 0], [7, 7, 7, 8, 9]), Auto(folds=3, trainings=3), seed=1)
    assert sorted((*fold.train, -1, *fold.held) for fold in folds) == [
        (0, 1, 2, 3, -1, 4), (0, 1, 2, 4, -1, 3), (3, 4, -1, 0),
    ]  # fmt: skip


def test_recordings_of_one_group_cannot_be_cut():
    assert folds_of(part([0, 1, 0], [4, 4, 4]), Auto(), seed=1) == []


def test_windows_of_a_recording_stay_together():
    data = tiny_dataset(train=12)
    keys = tuple(f"rec#{n // 3}#{n % 3 + 1}" for n in range(12))
    data = replace(data, train=replace(data.train, keys=keys, windows=3))
    known = known_recordings(data)
    assert known.keys[:12] == tuple(f"rec#{n // 3}" for n in range(12))
    for fold in folds_of(known, Auto(folds=3, trainings=3), seed=2):
        names = np.array(known.keys)
        assert not set(names[fold.train]) & set(names[fold.held])


@pytest.mark.parametrize("packed", [False, True])
def test_known_recordings_are_those_of_training_and_validation(packed):
    data = tiny_dataset(train=8, paired_images=True)
    frames = np.concatenate([data.train.frames, data.validation.frames])
    if packed:
        data = replace(data, train=replace(data.train, frames=PackedFrames.pack(data.train.frames)))
    known = known_recordings(data)
    assert np.array_equal(np.asarray(known.frames), frames)
    assert known.labels.tolist() == [*data.train.labels, *data.validation.labels]
    assert known.paired_images is not None
    assert known.paired_images.keys == known.keys == (*data.train.keys, *data.validation.keys)
    fold = folds_of(known, Auto(folds=4), seed=4)[1]
    seen = fold_dataset(data, known, fold, images=0, seed=1)
    assert np.array_equal(np.asarray(seen.train.frames), frames[fold.train])
    assert seen.train.paired_images is not None
    assert seen.train.paired_images.keys == seen.train.keys == tuple(known.keys[row] for row in fold.train)


def test_a_fold_has_no_image_of_what_it_holds_out_and_no_other_recordings():
    data = tiny_dataset(train=8)
    images = data.static
    data = replace(data, static=replace(images, keys=(*data.train.keys, *images.keys[8:])))
    known = known_recordings(data)
    for fold in folds_of(known, Auto(folds=4, trainings=4), seed=4):
        held = {known.keys[row] for row in fold.held}
        seen = fold_dataset(data, known, fold, images=0, seed=1)
        assert len(seen.validation) == len(seen.test) == 0
        assert seen.test.frames.shape[1:] == data.test.frames.shape[1:]
        assert not held & {*seen.static.keys, *seen.train.keys}
        assert len(seen.static) == len(images) - len(held & set(data.train.keys))
        few = fold_dataset(data, known, fold, images=7, seed=1)
        assert len(few.static) == 7
        assert np.ptp(np.bincount(few.static.labels, minlength=3)) <= 1


def test_a_fold_trains_without_stopping_early_and_a_new_cut_has_other_weights():
    recipe = tiny_recipe(training={"patience": 3, "logger": "csv", "callbacks": ("a.b:C",)})
    known = known_recordings(tiny_dataset(train=8))
    folds = folds_of(known, Auto(folds=2, trainings=3), seed=4)
    first, second, third = (fold_recipe(recipe, fold) for fold in folds)
    assert first.seed == second.seed == recipe.seed != third.seed
    assert (first.training.patience, first.training.logger, first.training.callbacks) == (0, "none", ())
    assert first.training.epochs == recipe.training.epochs


@pytest.mark.parametrize(("recordings", "possible"), [(7, False), (8, True)])
def test_windows_of_a_recording_are_one_answer(recordings: int, *, possible: bool) -> None:
    data = tiny_dataset(train=3 * recordings)
    names = np.repeat([f"r{number}" for number in range(recordings)], 3)
    keys = tuple(f"{name}#{place}" for place, name in enumerate(names))
    labels = np.repeat(np.arange(recordings) % 2, 3)
    train = replace(data.train, labels=labels, keys=keys, windows=3)
    none = replace(
        data.validation, frames=np.asarray(data.validation.frames)[:0], labels=labels[:0], keys=(),
        paired_images=None, events=None, facts=None,
    )  # fmt: skip
    held = held_out(replace(data, train=train, validation=none), tiny_recipe(distillation={"method": "auto"}))
    assert bool(held.obstacle) != possible
    if not possible:
        assert held.obstacle.startswith("only 7 of 7 recordings can be answered")

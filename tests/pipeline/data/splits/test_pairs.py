"""Splits keep class proportions and exact sizes, and no paired image of a held-out recording can be trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import StaticImages
from spikeport.pipeline.data.splits.pairs import paired_images_of, static_pool
from spikeport.pipeline.data.splits.split import split_by_class
from spikeport.pipeline.run.sections.data import Data

LABELS = np.array([0] * 40 + [1] * 20 + [2] * 10)


def test_proportions_and_sizes_by_hand() -> None:
    """70 recordings in 4:2:1; 14 for test are 8:4:2, 7 for validation 4:2:1, the rest trains."""
    split = split_by_class(LABELS, train=0, validation=7, test=14, seed=5)
    assert np.bincount(LABELS[split.test]).tolist() == [8, 4, 2]
    assert np.bincount(LABELS[split.validation]).tolist() == [4, 2, 1]
    assert np.bincount(LABELS[split.train]).tolist() == [28, 14, 7]
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together.tolist()) == list(range(70))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=6), st.data())
def test_any_split_is_exact_disjoint_and_in_proportion(sizes: list[int], data: st.DataObject) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = len(labels)
    test = data.draw(st.integers(1, count // 3))
    validation = data.draw(st.integers(1, count // 3))
    train = data.draw(st.integers(count // 4, count - test - validation))
    try:
        split = split_by_class(labels, train=train, validation=validation, test=test, seed=1)
    except UserError:
        reject()  # a tiny class went wholly to the held-out parts; refused, as tested below
    assert (len(split.train), len(split.validation), len(split.test)) == (train, validation, test)
    together = np.concatenate([split.train, split.validation, split.test])
    assert len(set(together.tolist())) == train + validation + test
    exact = np.array(sizes) * test / count
    assert (np.abs(np.bincount(labels[split.test], minlength=len(sizes)) - exact) < 1).all()


def test_the_seed_decides() -> None:
    first, again, other = (split_by_class(LABELS, train=0, validation=7, test=14, seed=seed) for seed in (5, 5, 6))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert set(first.test) != set(other.test)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=6), st.integers(2, 7), st.integers(0, 3))
def test_over_all_folds_every_recording_is_tested_once(sizes: list[int], folds: int, seed: int) -> None:
    """And each fold is stratified: of a class and of all, it has the floor or the ceiling of its K-th part."""
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(len(sizes)), sizes))
    tested = []
    for fold in range(min(folds, len(labels))):
        try:
            split = split_by_class(labels, train=0, validation=2, test=999, seed=seed, folds=folds, fold=fold)
        except UserError:
            reject()  # a tiny class is wholly held out
        together = np.concatenate([split.train, split.validation, split.test])
        assert sorted(together.tolist()) == list(range(len(labels)))
        assert len(split.validation) == 2
        for part, whole in ((np.bincount(labels[split.test], minlength=len(sizes)), np.array(sizes)),
                            (len(split.test), len(labels))):  # fmt: skip
            assert (np.abs(part - whole / folds) < 1).all()
        tested += split.test.tolist()
    assert sorted(tested) == list(range(len(labels)))


def test_a_fold_s_validation_and_train_keep_proportions() -> None:
    """5 folds of 40 + 20 + 10: 8, 4, 2 to test; of the 32, 16, 8 left, 7 validate (4, 2, 1) and 28 train (16, 8, 4)."""
    split = split_by_class(LABELS, train=28, validation=7, test=1, seed=3, folds=5, fold=4)
    assert np.bincount(LABELS[split.test]).tolist() == [8, 4, 2]
    assert np.bincount(LABELS[split.validation]).tolist() == [4, 2, 1]
    assert np.bincount(LABELS[split.train]).tolist() == [16, 8, 4]


def test_the_seed_decides_the_folds() -> None:
    first, again, other = (
        split_by_class(LABELS, train=0, validation=7, test=14, seed=seed, folds=5, fold=2).test for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


@pytest.mark.parametrize(
    ("folds", "fold", "words"), [(1, 0, "0 .off. or at least 2"), (3, 3, "below folds, which is 3"), (0, 1, "below")]
)
def test_a_fold_that_is_none_of_them_is_refused(folds: int, fold: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Data(folds=folds, fold=fold)


def test_more_folds_than_recordings_are_refused() -> None:
    with pytest.raises(UserError, match=r"5 folds need a recording each: 4 recordings are here"):
        split_by_class(np.array([0, 0, 1, 1]), train=0, validation=1, test=1, seed=0, folds=5, fold=0)


def test_too_few_recordings_are_counted_in_the_message() -> None:
    with pytest.raises(UserError, match=r"train 50 \+ validation 7 \+ test 14 were asked, 70 are here"):
        split_by_class(LABELS, train=50, validation=7, test=14, seed=0)
    with pytest.raises(UserError, match=r"train at least 1 \+ validation 56 \+ test 14"):
        split_by_class(LABELS, train=0, validation=56, test=14, seed=0)


def test_a_class_without_training_recordings_is_refused() -> None:
    labels = np.array([0] * 30 + [1])
    with pytest.raises(UserError, match=r"class 1 has 1 of 31 recordings, train gets 2 of .* move its folder out"):
        split_by_class(labels, train=2, validation=5, test=5, seed=0)
    with pytest.raises(UserError, match="class 'rare' has 1 of 31 recordings"):
        split_by_class(labels, train=2, validation=5, test=5, seed=0, classes=("often", "rare"))


def test_few_to_train_on_and_all_others_to_test_on() -> None:
    """7 of 70 recordings in 4:2:1 train; test 0 takes the other 63, as does test 63."""
    split = split_by_class(LABELS, train=7, validation=0, test=0, seed=5)
    assert np.bincount(LABELS[split.train]).tolist() == [4, 2, 1]
    assert np.bincount(LABELS[split.test]).tolist() == [36, 18, 9]
    assert split.validation.shape == (0,)
    assert not set(split.train) & set(split.test)
    message = split_by_class(LABELS, train=7, validation=0, test=63, seed=5)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(message, part), getattr(split, part))


def test_without_recordings_nothing_is_trained_on() -> None:
    split = split_by_class(LABELS, train=0, validation=7, test=0, seed=5, without_recordings=True)
    assert split.train.shape == (0,)
    assert np.bincount(LABELS[split.validation]).tolist() == [4, 2, 1]
    assert sorted([*split.validation, *split.test]) == list(range(70))
    everything = split_by_class(LABELS, train=0, validation=0, test=0, seed=5, without_recordings=True)
    assert everything.test.tolist() == list(range(70))


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="without_recordings is true, train 7"):
        split_by_class(LABELS, train=7, validation=0, test=0, seed=0, without_recordings=True)
    with pytest.raises(UserError, match="train and test cannot both be all the rest"):
        split_by_class(LABELS, train=0, validation=3, test=0, seed=0)
    with pytest.raises(UserError, match=r"train 60 \+ validation 10 \+ test at least 1 were asked, 70 are here"):
        split_by_class(LABELS, train=60, validation=10, test=0, seed=0)
    with pytest.raises(UserError, match=r"train 0 \+ validation 70 \+ test at least 1 were asked"):
        split_by_class(LABELS, train=0, validation=70, test=0, seed=0, without_recordings=True)


def pool() -> StaticImages:
    images = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1)
    return StaticImages(images=images, labels=LABELS, keys=tuple(f"k{row}" for row in range(70)))


def test_the_pool_holds_no_held_out_key() -> None:
    held_out = {"k3", "k41", "k69", "unknown"}
    static = static_pool(pool(), held_out, limit=0, seed=0)
    assert len(static.keys) == 67
    assert not held_out & set(static.keys)
    for image, label, key in zip(static.images, static.labels, static.keys, strict=True):
        assert key == f"k{image.item()}"
        assert label == LABELS[image.item()]


def test_a_pool_without_images_is_refused() -> None:
    with pytest.raises(UserError, match="no static image is left to train on"):
        static_pool(pool(), set(pool().keys), limit=0, seed=0)


def test_a_limited_pool_keeps_proportions_and_the_seed_decides() -> None:
    first, again, other = (static_pool(pool(), {"k0"}, limit=14, seed=seed) for seed in (1, 1, 2))
    assert np.bincount(first.labels).tolist() == [8, 4, 2]
    assert first.keys == again.keys
    assert first.keys != other.keys
    assert "k0" not in first.keys


def test_paired_images_are_found_by_key_not_by_position() -> None:
    paired_images = paired_images_of(pool(), ("k60", "k2", "k33"))
    assert paired_images.images.ravel().tolist() == [60, 2, 33]
    assert paired_images.labels.tolist() == [2, 0, 0]

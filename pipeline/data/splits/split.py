"""Splits recordings into training, validation and test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.sampling import shares
from spikeport.pipeline.data.natural_order import natural
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.splits.group_split import stated_split
from spikeport.pipeline.data.splits.split_file import given_parts
from spikeport.pipeline.run.sections.data import Data


@dataclass(frozen=True, kw_only=True)
class Split:
    """Sorted row numbers of each part. No row is in two parts.

    Attributes:
        train: int64, rows of training recordings.
        validation: int64, rows of validation recordings.
        test: int64, rows of test recordings.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_by_class(
    labels: np.ndarray,
    *,
    train: int,
    validation: int,
    test: int,
    seed: int,
    folds: int = 0,
    fold: int = 0,
    without_recordings: bool = False,
    classes: Sequence[str] = (),
) -> Split:
    """A random split with the asked sizes, classes in proportion (to less than one recording).

    Args:
        labels: int64 `[N]`.
        train: training recordings; 0: all that are left.
        validation: validation recordings; 0: none.
        test: test recordings; 0: all that are left, if `train` is given.
        seed: seed of the split.
        folds: number of folds; 0: off. With folds, `test` is not used.
        fold: which fold is the test part; over all folds each recording is tested once.
        without_recordings: train on none; `test` 0 takes all.
        classes: names of the classes, for errors.

    Raises:
        UserError: there are too few recordings, or a class has none in the training part.
    """
    count = len(labels)
    if folds > count:
        raise UserError(
            f"{folds} folds need a recording each",
            where="data.folds",
            cause=f"{count} recordings are here",
            hint="lower data.folds",
        )
    if folds:
        test = len(range(fold, count, folds))
    if without_recordings and train:
        _refuse_both(train)
    if not test and not train and not without_recordings:
        raise UserError("train and test cannot both be all the rest", where="data", hint="give one a number")
    if count < (train or not without_recordings) + validation + (test or 1):
        least = train or (0 if without_recordings else "at least 1")
        asked = [f"train {least}", f"validation {validation}", f"test {test or 'at least 1'}"]
        raise UserError(
            "too few recordings",
            where="data",
            cause=f"{' + '.join(asked)} were asked, {count} are here",
            hint="lower data.train, data.validation or data.test, or add recordings",
        )
    test = test or count - train - validation
    train = train or (0 if without_recordings else count - test - validation)
    generator = np.random.default_rng(seed)
    pools = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    if folds:
        # Dealt out one by one, class after class: folds differ by one recording at most, in all and in each class.
        tested = np.sort(np.concatenate(pools)[fold::folds])
        pools = [pool[~np.isin(pool, tested)] for pool in pools]
    else:
        tested = _draw(pools, test)
    validated, trained = _draw(pools, validation), _draw(pools, train)
    _check_classes(labels, trained, classes)
    return Split(train=trained, validation=validated, test=tested)


def split_recordings(found: RawDataset, data: Data) -> tuple[Split, np.ndarray]:
    """The split that a recipe asks for.

    `data.splits` and `data.group` state parts and groups, see `group_split`. Else "random" is `split_by_class`.
    "official" draws test rows from the published test part (`test` 0: all of it). "first" takes of each class, in order
    of keys with numbers compared as numbers, first training and validation rows, then test rows (`train` 0: all but the
    last `test`). Validation rows are drawn from the published validation part where "official" has one, else from
    training rows, never from test rows.

    Args:
        found: all recordings.
        data: the recipe's section [data].

    Returns:
        The split, and the rows whose images may not be trained on: validation, test, and all of an official test part.

    Raises:
        UserError: there are too few recordings, or there is no official test part.
    """
    labels = found.labels
    given = given_parts(found, data)
    if given.parts is not None or given.groups is not None:
        train, validation, test = stated_split(labels, given, data)
        _check_classes(labels, train, found.classes)
        return Split(train=train, validation=validation, test=test), np.concatenate([validation, test])
    if data.split == "random":
        split = split_by_class(
            labels,
            train=data.train,
            validation=data.validation,
            test=data.test,
            seed=data.split_seed,
            folds=data.folds,
            fold=data.fold,
            without_recordings=data.without_recordings,
            classes=found.classes,
        )
        return split, np.concatenate([split.validation, split.test])
    if data.without_recordings and data.train:
        _refuse_both(data.train)
    generator = np.random.default_rng(data.split_seed)
    if data.split == "official":
        if found.official_test is None or not found.official_test.any():
            raise UserError(
                f"{found.name} has no official test part" + ("" if found.official_test is None else " here"),
                where="data.split",
                hint=_without_test_part(data.source)
                + ("" if found.official_test is None else ", or add its test part"),
            )
        test_rows = np.flatnonzero(found.official_test)
        tested = _drawn(labels, test_rows, data.test, generator, "data.test")
        training = np.flatnonzero(~found.official_test)
    else:
        training, tested = _first_and_next(labels, found.keys, data)
        test_rows = tested
    pool = training
    if data.split == "official" and found.official_validation is not None:
        pool = np.flatnonzero(found.official_validation)
        training = np.setdiff1d(training, pool)
    validated = trained = np.empty(0, np.int64)
    if data.validation:
        validated = _drawn(labels, pool, data.validation, generator, "data.validation")
    if not data.without_recordings:
        trained = _drawn(labels, np.setdiff1d(training, validated), data.train, generator, "data.train")
        if not len(trained):
            raise UserError("nothing is left to train on", where="data.validation", hint="lower data.validation")
    _check_classes(labels, trained, found.classes)
    return Split(train=trained, validation=validated, test=tested), np.concatenate([validated, test_rows])


def _without_test_part(source: str) -> str:
    """What to do without an official test part."""
    hint = 'set data.split = "random"'
    if source != "class-folders":
        return hint
    return f"name the folder of your test part, data.test_events; or state parts in a file, data.splits; or {hint}"


def _first_and_next(labels: np.ndarray, keys: tuple[str, ...], data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each class in order of keys: those of training and validation, then those of test."""
    order = np.array(sorted(range(len(keys)), key=lambda row: natural(keys[row])), np.int64)
    pools = [order[labels[order] == label] for label in np.unique(labels)]
    sizes = np.array([len(pool) for pool in pools])
    if not data.test and not data.test_share:
        raise UserError("how many to test on?", where="data", hint="give data.test or data.test_share")
    tests = np.floor(sizes * data.test_share + 1e-9).astype(int) if data.test_share else shares(sizes, data.test)
    trains = shares(sizes, data.train + data.validation) if data.train else sizes - tests
    if (tests + trains > sizes).any() or (trains < 0).any() or tests.sum() == 0:
        bad = int(np.argmax(tests + trains - sizes))
        raise UserError(
            "too few recordings",
            where="data",
            cause=f"a class has {sizes[bad]}, its share of train and validation is {trains[bad]}, of test {tests[bad]}",
            hint="lower data.train, data.validation or data.test, or add recordings",
        )
    training = [pool[:n] for pool, n in zip(pools, trains, strict=True)]
    tested = [pool[n : n + m] for pool, n, m in zip(pools, trains, tests, strict=True)]
    return np.sort(np.concatenate(training)), np.sort(np.concatenate(tested))


def _drawn(labels: np.ndarray, rows: np.ndarray, size: int, generator: np.random.Generator, where: str) -> np.ndarray:
    """`size` of `rows` (0: all), classes in proportion, sorted."""
    if size > len(rows):
        raise UserError(
            "too few recordings",
            where=where,
            cause=f"{size} were asked, {len(rows)} are left for it",
            hint=f"lower {where}, or add recordings",
        )
    if not len(rows):
        return rows
    pools = [generator.permutation(rows[labels[rows] == label]) for label in np.unique(labels[rows])]
    return _draw(pools, size or len(rows))


def _draw(pools: list[np.ndarray], size: int) -> np.ndarray:
    """Removes `size` rows from `pools`, the first of each in proportion, and returns them sorted."""
    counts = shares(np.array([len(pool) for pool in pools]), size)
    taken = np.sort(np.concatenate([pool[:n] for pool, n in zip(pools, counts, strict=True)]))
    pools[:] = [pool[n:] for pool, n in zip(pools, counts, strict=True)]
    return taken


def _check_classes(labels: np.ndarray, trained: np.ndarray, names: Sequence[str] = ()) -> None:
    missing = np.setdiff1d(labels, labels[trained])
    if not len(trained) or not len(missing):
        return
    counts = np.bincount(labels)
    rare = int(missing[np.argmin(counts[missing])])
    name = repr(names[rare]) if names else str(rare)
    raise UserError(
        "a class has no recording left to train on",
        where="data",
        cause=f"class {name} has {counts[rare]} of {len(labels)} recordings, train gets {len(trained)} of all classes",
        hint="add recordings to that class, raise data.train, lower data.validation and data.test, or leave the class "
        f"out: data.drop_small_classes = {counts[rare] + 1} (class-folders), or move its folder out of the data set",
    )


def _refuse_both(train: int) -> None:
    raise UserError(
        "nothing is to be trained on, and something is",
        where="data",
        cause=f"without_recordings is true, train {train}",
        hint="set data.train = 0, or data.without_recordings = false",
    )

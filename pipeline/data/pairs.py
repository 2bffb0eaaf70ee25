"""Who may be seen by whom: the split of recordings, and the images that are no twin of a held-out
recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware_profiles.errors import UserError
from pipeline.data.dataset import StaticImages


@dataclass(frozen=True, kw_only=True)
class Split:
    """Sorted row numbers of the recordings in each part; no row is in two."""

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
) -> Split:
    """Parts of exactly the asked sizes, each with the classes in their own proportions (to less than one
    recording).

    `train` 0 takes all that is left; so does `test` 0 where `train` says a number. `validation` 0 gives an empty
    part. `without_recordings`: nothing is trained on, and `test` 0 takes all. With `folds`, `test` is not read: the
    test part is fold `fold`, and over all folds of one seed each recording is tested once. Raises UserError where
    there are too few recordings, or a class without any in a training part that is not empty.
    """
    count = len(labels)
    if folds > count:
        raise UserError(
            f"{folds} folds need a recording each",
            where="data.folds",
            why=f"{count} recordings are here",
            mend="lower data.folds",
        )
    if folds:
        test = len(range(fold, count, folds))
    if without_recordings and train:
        raise UserError(
            "nothing is to be trained on, and something is",
            where="data",
            why=f"without_recordings is true, train {train}",
            mend="set data.train = 0, or data.without_recordings = false",
        )
    if not test and not train and not without_recordings:
        raise UserError("train and test cannot both be all the rest", where="data", mend="give one a number")
    if count < (train or not without_recordings) + validation + (test or 1):
        trained = train or (0 if without_recordings else "at least 1")
        asked = [f"train {trained}", f"validation {validation}", f"test {test or 'at least 1'}"]
        raise UserError(
            "too few recordings",
            where="data",
            why=f"{' + '.join(asked)} were asked, {count} are here",
            mend="lower data.train, data.validation or data.test, or add recordings",
        )
    test = test or count - train - validation
    train = train or (0 if without_recordings else count - test - validation)
    generator = np.random.default_rng(seed)
    pools = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    parts, sizes = {}, [("test", test), ("validation", validation), ("train", train)]
    if folds:
        # Dealt out one by one, class after class: folds differ by one recording at most, in all and in each class.
        parts["test"] = np.sort(np.concatenate(pools)[fold::folds])
        pools = [pool[~np.isin(pool, parts["test"])] for pool in pools]
        sizes.remove(("test", test))
    for part, size in sizes:
        shares = _shares(np.array([len(pool) for pool in pools]), size)
        parts[part] = np.sort(np.concatenate([pool[:n] for pool, n in zip(pools, shares, strict=True)]))
        pools = [pool[n:] for pool, n in zip(pools, shares, strict=True)]
    if train and len(np.unique(labels[parts["train"]])) < len(pools):
        smallest = int(np.bincount(np.unique(labels, return_inverse=True)[1]).min())
        raise UserError(
            "a class has no recording left to train on",
            where="data",
            why=f"the smallest class has {smallest} of {count} recordings, train gets {len(parts['train'])}",
            mend="raise data.train, lower data.validation and data.test, or add recordings to that class",
        )
    return Split(**parts)


def _shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """`total` divided in proportion to `sizes` by largest remainders; never more than a size. Ties: first
    class.
    """
    if not total:
        return np.zeros_like(sizes)
    exact = sizes * total
    shares, remainders = exact // sizes.sum(), exact % sizes.sum()
    shares[np.argsort(-remainders, kind="stable")[: total - shares.sum()]] += 1
    return shares


def static_pool(images: StaticImages, held_out: set[str], *, limit: int, seed: int) -> StaticImages:
    """`images` without those whose key is in `held_out`; at most `limit` of them (0: all), classes in proportion.

    Raises UserError where none is left.
    """
    rows = np.array([row for row, key in enumerate(images.keys) if key not in held_out], np.int64)
    if not len(rows):
        raise UserError(
            "no static image is left to train on",
            where="data",
            why="each is the twin of a validation or test recording",
            mend="add images, or lower data.validation and data.test",
        )
    if limit and limit < len(rows):
        labels = images.labels[rows]
        generator = np.random.default_rng([seed, limit])
        pools = [generator.permutation(rows[labels == label]) for label in np.unique(labels)]
        shares = _shares(np.array([len(pool) for pool in pools]), limit)
        rows = np.sort(np.concatenate([pool[:n] for pool, n in zip(pools, shares, strict=True)]))
    return take_images(images, rows)


def take_images(images: StaticImages, rows: np.ndarray) -> StaticImages:
    """The images of these rows, in this order."""
    return StaticImages(
        images=images.images[rows], labels=images.labels[rows], keys=tuple(images.keys[row] for row in rows)
    )


def twins_of(images: StaticImages, keys: tuple[str, ...]) -> StaticImages:
    """The image of each key, in the order of `keys`."""
    rows = {key: row for row, key in enumerate(images.keys)}
    return take_images(images, np.array([rows[key] for key in keys], np.int64))

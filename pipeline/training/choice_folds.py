"""Held-out folds of the training and validation recordings, in which the candidates of "auto" compete."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikeport.pipeline.data.dataset import Dataset, EventSplit, StaticImages
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.splits.pairs import static_pool, take_images
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import Auto
from spikeport.pipeline.run.seeding import derived_seed

ENOUGH = 200  # answers of each candidate, after which no fold is added
FEWEST = 8  # recordings that are answered; fewer decide nothing, however many times they are answered


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One training of each candidate.

    Attributes:
        number: number of the fold, from 0.
        again: how often the recordings were cut into folds before, with other random numbers.
        train: int64, rows that are trained on.
        held: int64, rows that are answered; their classes are among those that are trained on.
    """

    number: int
    again: int
    train: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What candidates compete on.

    Attributes:
        known: training and validation recordings.
        folds: the folds, or one, the validation part.
        validated: whether it is the validation part.
        obstacle: why candidates cannot compete; nothing where they can.
    """

    known: EventSplit
    folds: list[Fold]
    validated: bool
    obstacle: str


def held_out(dataset: Dataset, recipe: Recipe) -> HeldOut:
    """What the candidates of "auto" compete on: a validation part that is large enough, else folds.

    Args:
        dataset: the data set.
        recipe: the recipe.
    """
    known, validated = known_recordings(dataset), len(dataset.validation) >= ENOUGH
    folds = [validation_fold(dataset)] if validated else folds_of(known, recipe.distillation.auto, recipe.seed)
    answered = len({known.keys[row] for fold in folds for row in fold.held})  # windows of a recording are one
    obstacle = ""
    if not len(dataset.static.labels):
        obstacle = "the data set has no static images"
    elif not folds:
        obstacle = "the recordings cannot be cut into folds"
    elif answered < FEWEST:
        obstacle = (
            f"only {answered} of {len(set(known.keys))} recordings can be answered by a student that knows their class "
            f"and neither them nor their group, and a choice takes {FEWEST}"
        )
    return HeldOut(known=known, folds=folds, validated=validated, obstacle=obstacle)


def known_recordings(dataset: Dataset) -> EventSplit:
    """The training and validation recordings as one part; test recordings are not read.

    Args:
        dataset: the data set.

    Returns:
        The recordings. The key of a window is that of its recording.
    """
    train, validation = dataset.train, dataset.validation
    if isinstance(train.frames, PackedFrames):
        packed = PackedFrames.pack(np.asarray(validation.frames))
        shape = (len(train) + len(validation), *train.frames.shape[1:])
        frames: np.ndarray | PackedFrames = PackedFrames(np.concatenate([train.frames.bits, packed.bits]), shape)
    else:
        frames = np.concatenate([train.frames, np.asarray(validation.frames)])
    groups = None
    if train.groups is not None and validation.groups is not None:
        groups = np.concatenate([train.groups, validation.groups])
    names = train.keys if train.windows == 1 else tuple(key.rpartition("#")[0] for key in train.keys)
    return EventSplit(
        frames=frames,
        labels=np.concatenate([train.labels, validation.labels]),
        keys=names + validation.keys,
        paired_images=_joined(train.paired_images, validation.paired_images),
        groups=groups,
    )


def folds_of(known: EventSplit, auto: Auto, seed: int) -> list[Fold]:
    """The folds that candidates are trained in: until `ENOUGH` recordings are answered, at most `auto.trainings`.

    Classes are dealt in proportion. Windows of one recording, and recordings of one group, stay together. Where all
    folds are used, the recordings are cut again with other random numbers. A recording whose class is not trained on
    in a fold, as with few groups of one class each, is not answered: nothing can be learned of a class from other
    classes, and the student itself has recordings of all.

    Args:
        known: training and validation recordings.
        auto: `[distillation.auto]`.
        seed: seed of the run.

    Returns:
        The folds; none where the recordings cannot be cut into parts with the same classes.
    """
    units = np.unique(known.keys, return_inverse=True)[1] if known.groups is None else known.groups
    count = min(auto.folds, len(np.unique(units)))
    if count < 2:
        return []
    found: list[Fold] = []
    answers = 0
    for cut in range(auto.trainings):
        if answers >= ENOUGH:
            break
        again, number = divmod(cut, count)
        held = _cut(known.labels, units, count, derived_seed(seed, "folds of the choice", again))[number]
        train = np.setdiff1d(np.arange(len(known)), held)
        held = held[np.isin(known.labels[held], known.labels[train])]
        if len(held):
            found.append(Fold(number=len(found), again=again, train=train, held=held))
            answers += len(held)
    return found


def validation_fold(dataset: Dataset) -> Fold:
    """The one fold of a data set whose validation part is large enough: it is held out, as in the run itself.

    Args:
        dataset: the data set.
    """
    train = np.arange(len(dataset.train))
    return Fold(number=0, again=0, train=train, held=len(train) + np.arange(len(dataset.validation)))


def fold_dataset(dataset: Dataset, known: EventSplit, fold: Fold, images: int, seed: int) -> Dataset:
    """A data set that trains on one fold's recordings, without validation and test recordings.

    Images of its held-out recordings are left out.

    Args:
        dataset: the data set of the run.
        known: its training and validation recordings, from `known_recordings`.
        fold: the fold.
        images: most static images; 0: all.
        seed: seed of the drawn images.

    Raises:
        UserError: no image is left.
    """
    nothing = _rows(known, np.empty(0, np.int64))
    return replace(
        dataset,
        train=_rows(known, fold.train),
        validation=nothing,
        test=nothing,
        static=static_pool(dataset.static, {known.keys[row] for row in fold.held}, limit=images, seed=seed),
        fingerprint=f"{dataset.fingerprint}, fold {fold.number}",
    )


def fold_recipe(recipe: Recipe, fold: Fold) -> Recipe:
    """A recipe for the training of one fold: without choice of an epoch, logger and callbacks.

    Where the recordings were cut again, weights and shuffles are others too.

    Args:
        recipe: the recipe of a candidate.
        fold: the fold.
    """
    seed = derived_seed(recipe.seed, "choice", fold.again) if fold.again else recipe.seed
    training = recipe.training.model_copy(update={"patience": 0, "logger": "none", "callbacks": ()})
    synthesis = recipe.synthesis.model_copy(update={"cached_views": 0})
    return recipe.model_copy(update={"seed": seed, "training": training, "synthesis": synthesis})


def _joined(first: StaticImages | None, second: StaticImages | None) -> StaticImages | None:
    if first is None or second is None:
        return None
    return StaticImages(
        images=np.concatenate([first.images, second.images]),
        labels=np.concatenate([first.labels, second.labels]),
        keys=first.keys + second.keys,
    )


def _rows(part: EventSplit, rows: np.ndarray) -> EventSplit:
    return EventSplit(
        frames=part.frames.take(rows) if isinstance(part.frames, PackedFrames) else part.frames[rows],
        labels=part.labels[rows],
        keys=tuple(part.keys[row] for row in rows),
        paired_images=None if part.paired_images is None else take_images(part.paired_images, rows),
    )


def _cut(labels: np.ndarray, units: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Rows of each of `count` folds, sorted. Rows of one unit stay together; units are dealt class after class, by the
    first class that a unit has."""
    _, first, number = np.unique(units, return_index=True, return_inverse=True)
    generator = np.random.default_rng(seed)
    pools = [generator.permutation(np.flatnonzero(labels[first] == label)) for label in np.unique(labels[first])]
    dealt = np.concatenate(pools)
    return [np.flatnonzero(np.isin(number, dealt[fold::count])) for fold in range(count)]

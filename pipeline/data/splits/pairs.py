"""Pairs recordings with the images they were made from, and removes the images of held-out recordings from training."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.sampling import shares
from spikeport.pipeline.data.dataset import StaticImages


def static_pool(images: StaticImages, held_out: set[str], *, limit: int, seed: int) -> StaticImages:
    """The images that may be trained on.

    Args:
        images: all images.
        held_out: keys of recordings whose images are removed.
        limit: largest number of images, classes in proportion; 0: all.
        seed: seed of the drawn images.

    Raises:
        UserError: there are images, but none is left.
    """
    if not len(images.keys):
        return images
    rows = np.array([row for row, key in enumerate(images.keys) if key not in held_out], np.int64)
    if not len(rows):
        raise UserError(
            "no static image is left to train on",
            where="data",
            cause="each is paired with a validation or test recording",
            hint="add images, or lower data.validation and data.test",
        )
    if limit and limit < len(rows):
        labels = images.labels[rows]
        generator = np.random.default_rng([seed, limit])
        pools = [generator.permutation(rows[labels == label]) for label in np.unique(labels)]
        counts = shares(np.array([len(pool) for pool in pools]), limit)
        rows = np.sort(np.concatenate([pool[:n] for pool, n in zip(pools, counts, strict=True)]))
    return take_images(images, rows)


def take_images(images: StaticImages, rows: np.ndarray) -> StaticImages:
    """The images of these rows, in this order.

    Args:
        images: all images.
        rows: row numbers.
    """
    return StaticImages(
        images=images.images[rows], labels=images.labels[rows], keys=tuple(images.keys[row] for row in rows)
    )


def paired_images_of(images: StaticImages, keys: tuple[str, ...]) -> StaticImages:
    """The image of each key, in the order of `keys`.

    Args:
        images: all images.
        keys: keys of recordings; each has an image.
    """
    rows = {key: row for row, key in enumerate(images.keys)}
    return take_images(images, np.array([rows[key] for key in keys], np.int64))

"""Steps of the optimizer: how many an epoch has, and epochs that few recordings or few images need."""

from __future__ import annotations

from spikeport.pipeline.run.recipe import Recipe


def batches_of(samples: int, batch: int) -> int:
    """Number of batches of an epoch, which are made as equal as possible.

    Args:
        samples: rows of the training data.
        batch: rows of a batch.
    """
    return max(1, round(samples / batch))


def epochs_on_recordings(recipe: Recipe, recordings: int, *, pretrained: bool) -> int:
    """Epochs in which a student is trained on recordings: as many as the recipe says, or `training.min_steps` take.

    Args:
        recipe: the recipe.
        recordings: number of training recordings, 1 or more.
        pretrained: whether the student is pretrained.

    >>> epochs_on_recordings(Recipe(training={"epochs": 30, "batch": 20, "min_steps": 400}), 50, pretrained=False)
    200
    """
    epochs = recipe.synthesis.finetune_epochs if pretrained else recipe.training.epochs
    return max(epochs, -(-recipe.training.min_steps // batches_of(recordings, recipe.training.batch)))


def epochs_on_images(recipe: Recipe, images: int) -> int:
    """Epochs in which a student is pretrained on synthetic events: as many as the recipe says, or
    `synthesis.pretrain_min_steps` take.

    Args:
        recipe: the recipe.
        images: number of static images, 1 or more.

    >>> epochs_on_images(Recipe(synthesis={"pretrain_epochs": 4, "pretrain_batch": 32, "pretrain_min_steps": 900}), 320)
    90
    """
    synthesis = recipe.synthesis
    return max(
        synthesis.pretrain_epochs, -(-synthesis.pretrain_min_steps // batches_of(images, synthesis.pretrain_batch))
    )

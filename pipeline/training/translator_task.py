"""The task that trains a translator from images to events, and the one that does it on pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.checkpoints import recipe_identity
from spikeport.pipeline.training.steps import batches_of
from spikeport.pipeline.training.task import TrainingTask


class TranslatorTask(TrainingTask):
    """Training of a translator. A subclass gives the loss, whose negative on validation recordings is the score.

    Args:
        recipe: the recipe.
        dataset: recordings and images.
        noise: random numbers that the translator sees in each rendering.
        least: recordings of an epoch, at least, which has each equally often.

    Raises:
        UserError: there are no recordings.
    """

    model: Translator
    score_is_loss = True

    def __init__(self, recipe: Recipe, dataset: Dataset, noise: int = 0, least: int = 1) -> None:
        count = len(dataset.train.labels)
        if not count:
            raise UserError(
                "a translator needs training recordings, and there are none",
                where="synthesis.kind",
                hint='use synthesis.kind = "simulator"',
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(recipe.seed, "translator"))
            model = Translator(dataset.train.frames.shape[1], recipe.synthesis.width, recipe.synthesis.kernel, noise)
        samples = count * -(-least // count)
        super().__init__(
            model,
            stage="synthesis",
            samples=samples,
            batch=recipe.synthesis.batch,
            epochs=-(-recipe.synthesis.updates // batches_of(samples, recipe.synthesis.batch)),
            lr=recipe.synthesis.lr,
            weight_decay=0.0,
            warmup_epochs=0,
            seed=recipe.seed,
            identity=recipe_identity(recipe, dataset, "synthesis") | ({"noise": noise} if noise else {}),
            epochs_key=EPOCHS_KEYS["synthesis"],
        )
        self.recipe, self.train_split, self.validation = recipe, dataset.train, dataset.validation
        self.static = dataset.static


class PairedTask(TranslatorTask):
    """Training by binary cross entropy between the translator's logits and the frames of the recordings.

    Args:
        recipe: the recipe.
        dataset: recordings with their images.
    """

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self._cross_entropy(self.model, self.train_split, rows), {}

    def score(self, model: nn.Module) -> float | None:
        if self.validation.paired_images is None or not len(self.validation.labels):
            return None
        with torch.no_grad():
            self.validated = len(self.validation.labels)
            rows = torch.arange(self.validated)
            return -float(self._cross_entropy(model, self.validation, rows))

    def _cross_entropy(self, model: nn.Module, split: EventSplit, rows: Tensor) -> Tensor:
        assert split.paired_images is not None
        images = resize_to(split.paired_images.images[rows.numpy()], *split.frames.shape[3:])
        frames = torch.from_numpy(split.frames[rows.numpy()]).to(self.device).float()
        logits = model(torch.from_numpy(images).to(self.device))
        return nn.functional.binary_cross_entropy_with_logits(logits, frames)

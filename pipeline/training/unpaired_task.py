"""The task that trains a translator on recordings and images that have their classes in common, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.data.event_synthesis.energy_distance import (
    energy_distance,
    filter_responses,
    random_filters,
)
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.affine import random_affine
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.streams import StaticPool
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.translator_task import PairedTask, TranslatorTask

NOISE = 8  # random numbers of a rendering, which give it a motion
IMAGES = 2  # renderings for each recording, so that there are two of each class
EPOCH = 320  # recordings of an epoch, of which each comes equally often; an epoch is saved and scored
SCORED = 64  # validation recordings that are compared, at most
COUNTED = 500  # recordings whose rates the translator begins with, at most


class UnpairedTask(TranslatorTask):
    """Training by the energy distance between recordings and renderings of images of the same class.

    They are compared by what random filters see at several scales in space and time (`filter_responses`), which are
    drawn anew for each step. The loss is the energy coefficient, the mean over scales of (2 E|X - Y| - E|X - X'| -
    E|Y - Y'|) / 2 E|X - Y|: 0 for one distribution, 1 where nothing is alike. Gradients reach the probabilities of
    events straight through the draws of events. Scored by the negative of the loss on the validation recordings, with
    the same filters and random numbers after each epoch.

    Args:
        recipe: the recipe.
        dataset: recordings, and static images of their classes.

    Raises:
        UserError: a class of the recordings has no image.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        train, labels = dataset.train, dataset.validation.labels
        super().__init__(recipe, dataset, noise=NOISE, least=EPOCH)
        self.affine, self.size = recipe.synthesis.affine, train.frames.shape[3:]
        self.pool = StaticPool(dataset.static, dataset.classes, train.labels)
        known = torch.from_numpy(np.flatnonzero(self.pool.counts[labels]))
        self.scored = known[torch.randperm(len(known), generator=self.generator("scored"))[:SCORED]]
        rates = train.frames[np.arange(min(COUNTED, len(train.labels)))].mean((0, 3, 4), dtype=np.float64)
        last = self.model.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():  # as many events as in the recordings, so that there is a gradient everywhere
            last.bias.copy_(torch.from_numpy(rates.clip(1e-3, 0.5)).logit().flatten())

    def rows_of_epoch(self, generator: torch.Generator) -> Tensor:
        count = len(self.train_split.labels)
        return torch.cat([torch.randperm(count, generator=generator) for _ in range(self.samples // count)])

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        draws = partial(self.generator, "translator", self.current_epoch, index)
        return self._coefficient(self.model, self.train_split, rows, draws), {}

    def score(self, model: nn.Module) -> float | None:
        if not len(self.scored):
            return None
        self.validated = len(self.scored)
        with torch.no_grad():
            draws = partial(self.generator, "translator's score")
            return -float(self._coefficient(model, self.validation, self.scored, draws))

    def _coefficient(
        self, model: nn.Module, split: EventSplit, rows: Tensor, draws: Callable[[int], torch.Generator]
    ) -> Tensor:
        """The loss on some recordings; `draws` gives the generators of images, events and filters."""
        assert isinstance(model, Translator)
        real, made = split.labels[rows.numpy()], np.repeat(split.labels[rows.numpy()], IMAGES)
        of_images, of_events, of_filters = (draws(number) for number in range(3))
        images = resize_to(self.static.images[self.pool.draw(made, of_images)], *self.size)
        seen = random_affine(torch.from_numpy(images).to(self.device), self.affine, of_images)
        frames = torch.from_numpy(split.frames[rows.numpy()]).to(self.device).float().transpose(0, 1)
        filters = random_filters(of_filters).to(self.device)
        responses = [filter_responses(each, filters) for each in (frames, model.sample(seen, of_events))]
        found = []
        for first, second in zip(*responses, strict=True):
            total = torch.zeros(2, device=self.device)
            for label in np.unique(real):
                here, there = np.flatnonzero(real == label), np.flatnonzero(made == label)
                total = total + len(here) * energy_distance(first[here], second[there])
            found.append(total[0] / (2 * total[1].detach()).clamp(min=1e-9))
        return torch.stack(found).mean()


def translator_task(recipe: Recipe, dataset: Dataset) -> TranslatorTask:
    """The task for a data set: on pairs where the image of each recording is known, else on images of the same classes.

    Args:
        recipe: the recipe.
        dataset: the data set.

    Raises:
        UserError: there are no recordings, or a class of theirs has no image.
    """
    return (UnpairedTask if dataset.train.paired_images is None else PairedTask)(recipe, dataset)

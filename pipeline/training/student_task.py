"""Tasks that train a student: on recordings and images, by the losses of a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import classify
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.distillation.losses.base import StepInputs
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import Objective, uses_teacher
from spikeport.pipeline.distillation.streams import NO_TEACHER, Clip, Streams, concat_clips, run_streams
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.inference import run_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.checkpoints import recipe_identity
from spikeport.pipeline.training.evaluate import correct_share
from spikeport.pipeline.training.loss_sizes import loss_sizes
from spikeport.pipeline.training.reverse_path import ReversePath
from spikeport.pipeline.training.task import TRAINING_ACCURACY, TrainingTask

# Purposes that seeds are derived from: another word would draw other numbers.
SYNTHETIC_ROWS, OBJECTIVE, LOSSES = "bridged", "objective", "terms"


def check_losses(recipe: Recipe, dataset: Dataset, spec: MethodSpec, student: Student, teacher: Teacher | None) -> None:
    """Checks that the losses of a method can act on networks, which need not be trained yet.

    Args:
        recipe: the recipe.
        dataset: the data set.
        spec: losses of the method.
        student: the student.
        teacher: the teacher; None if there is none.

    Raises:
        UserError: an input of a loss is missing.
    """
    sizes = loss_sizes(recipe, dataset, student, teacher if uses_teacher(spec) else None)
    with torch.random.fork_rng(devices=[]):
        Objective(spec, sizes).check(sizes)


class StudentTask(TrainingTask):
    """Training of a student by the losses of a method. Its rows are recordings.

    A method with a hybrid stream pairs each recording with a static image; one with a synthetic stream adds
    `synthesis.images_per_recording` images for each recording.

    Args:
        recipe: the recipe.
        dataset: recordings and static images.
        student: the network that is trained.
        spec: the losses.
        teacher: the teacher; None for methods without one.
        synthesizer: renders events of static images; None for methods without synthetic events.
        stage: name of the training.
        epochs: number of epochs.
        lr: learning rate.
        weight_decay: weight decay.
        warmup_epochs: epochs in which the learning rate rises.
        sections: sections of the recipe that a checkpoint is tied to.
        samples: number of rows; None: one for each training recording.
        batch: rows of a batch; None: `training.batch`.
        epochs_key: the recipe key with the number of epochs.

    Raises:
        UserError: a loss cannot act on these networks, or the method needs a teacher and there is none.
    """

    model: Student

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        student: Student,
        spec: MethodSpec,
        *,
        teacher: Teacher | None = None,
        synthesizer: EventSynthesizer | CachedViews | None = None,
        stage: str,
        epochs: int,
        lr: float,
        weight_decay: float,
        warmup_epochs: int,
        sections: tuple[str, ...],
        samples: int | None = None,
        batch: int | None = None,
        epochs_key: str = "",
    ) -> None:
        super().__init__(
            student,
            stage=stage,
            samples=samples or len(dataset.train.labels),
            batch=batch or recipe.training.batch,
            epochs=epochs,
            lr=lr,
            weight_decay=weight_decay,
            warmup_epochs=warmup_epochs,
            seed=recipe.seed,
            identity=recipe_identity(recipe, dataset, *sections),
            ema_decay=recipe.training.ema_decay,
            epochs_key=epochs_key,
        )
        self.row_weights: Tensor | None = None
        if recipe.training.sampling == "balanced" and samples is None:  # else rows are images
            labels = torch.as_tensor(dataset.train.labels)
            self.row_weights = 1 / torch.bincount(labels).double()[labels]
        if not uses_teacher(spec):
            teacher = None
        elif teacher is None:
            raise UserError(f"{stage} needs a teacher", where="distillation.method", hint=NO_TEACHER)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(recipe.seed, OBJECTIVE))
            self.objective = Objective(spec, loss_sizes(recipe, dataset, student, teacher))
        self.recipe, self.training_recordings, self.validation = recipe, dataset.train, dataset.validation
        self.streams = Streams(recipe, dataset, synthesizer)
        reverse_lr = recipe.distillation.reverse_lr
        self.reverse = ReversePath(teacher, reverse_lr) if teacher is not None and reverse_lr else None
        # In a tuple, so that Lightning neither trains nor saves it.
        self._teacher = (self.reverse.teacher if self.reverse else None if teacher is None else teacher.eval(),)

    @property
    def teacher(self) -> Teacher | None:
        """The teacher that the losses ask, or its copy that learns; None if they need none."""
        return self._teacher[0]

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = self.step(rows, index)
        loss = self.objective(inputs)
        stream = inputs.streams["event" if "event" in inputs.streams else "synthetic"]
        return loss.total, {**loss.parts, TRAINING_ACCURACY: correct_share(stream.logits, stream.labels)}

    def step(self, rows: Tensor, index: int) -> StepInputs:
        """Runs student and teacher on a batch.

        Args:
            rows: row numbers of the samples `[B]`.
            index: number of the batch in the epoch.

        Returns:
            The streams, as the losses read them.
        """
        progress = self.progress_at(index)
        clips = self.clips(rows, index, progress)
        found = run_streams(self.model, clips, self.objective, self._teacher[0], progress, self.draws(index, LOSSES))
        if self.reverse:
            self.reverse.see(clips, found)
        return found

    def on_train_batch_end(self, outputs: object, number: int, *more: object) -> None:
        super().on_train_batch_end(outputs, number, *more)
        if self.reverse:
            self._parts[-1]["teacher"] = self.reverse.learn().to(self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.reverse:
            checkpoint["reverse"] = self.reverse.to_tree()

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        super().restore(checkpoint)
        if self.reverse:
            self.reverse.load_tree(checkpoint["reverse"])

    def clips(self, rows: Tensor, index: int, progress: float) -> dict[str, Clip]:
        """Frames, labels and images of each stream.

        Args:
            rows: row numbers of the samples `[B]`.
            index: number of the batch in the epoch.
            progress: share of the training that is over, 0 to 1.
        """
        clips = {"event": self.events(rows, index, progress)}
        if "hybrid" in self.objective.streams:
            clips["hybrid"] = self.streams.hybrid(clips["event"], progress, lambda what: self.draws(index, what))
        if "synthetic" in self.objective.streams:
            count = max(1, round(self.recipe.synthesis.images_per_recording * len(rows)))
            clips["synthetic"] = self.synthetic(
                self.some(count, len(self.streams.static.labels), index, SYNTHETIC_ROWS), index
            )
        return clips

    def events(self, rows: Tensor, index: int, progress: float) -> Clip:
        """The event stream: recordings, with images if a loss needs the teacher at this point.

        Args:
            rows: row numbers of the recordings `[B]`.
            index: number of the batch in the epoch.
            progress: share of the training that is over, 0 to 1.
        """
        images = self.objective.needs_teacher("event", progress)
        return self.streams.events(rows, lambda what: self.draws(index, what), self.device, images=images)

    def synthetic(self, rows: Tensor, index: int) -> Clip:
        """Static images rendered as events.

        Args:
            rows: row numbers of the images `[B]`.
            index: number of the batch in the epoch.
        """
        return self.streams.synthetic(rows, lambda what: self.draws(index, what), self.device)

    def draws(self, index: int, what: str) -> torch.Generator:
        """The random generator for one purpose in a batch of this epoch.

        Args:
            index: number of the batch in the epoch.
            what: the purpose.
        """
        return self.generator(what, self.current_epoch, index)

    def rows_of_epoch(self, generator: torch.Generator) -> Tensor:
        """Rows of an epoch: each recording once, or, with balanced sampling, drawn so that classes are equally likely.

        Args:
            generator: source of the order.
        """
        if self.row_weights is None:
            return super().rows_of_epoch(generator)
        return torch.multinomial(self.row_weights, self.samples, replacement=True, generator=generator)

    def some(self, count: int, of: int, index: int, what: str) -> Tensor:
        """Draws row numbers with replacement.

        Args:
            count: number of draws.
            of: number of rows.
            index: number of the batch in the epoch.
            what: the purpose.

        Returns:
            int64 `[count]`.
        """
        return torch.randint(of, (count,), generator=self.draws(index, what))

    def score(self, model: nn.Module) -> float | None:
        assert isinstance(model, Student)
        if not len(self.validation.labels):
            return None
        output = run_student(model, self.validation.frames)
        answers = compare_with_labels(self.validation.labels, classify(output.spikes))
        self.validated, self.silent, self.rates = len(answers), answers.silent_count, output.rates
        return float(np.mean(answers.correct))


class PretrainTask(StudentTask):
    """Pretraining of a student on synthetic events. Its rows are static images.

    Attributes:
        recordings: real recordings that join each batch, each with the image that it was made from.
    """

    recordings = 0

    def draws(self, index: int, what: str) -> torch.Generator:
        # Other numbers than those of the stage "pretrain". A part of the derived seed: keep the text as it is.
        return super().draws(index, f"{what}, camera" if self.stage == "simulator" else what)

    def clips(self, rows: Tensor, index: int, progress: float) -> dict[str, Clip]:
        images, known = self.synthetic(rows, index), len(self.streams.labels)
        if not self.recordings or not known:
            return {"synthetic": images}
        drawn = self.some(-(-self.recordings // self.parts), known, index, "recordings")
        real = self.streams.events(drawn, lambda what: self.draws(index, what), self.device, images=True)
        return {"synthetic": concat_clips(images, real)}


class QatTask(PretrainTask):
    """QAT of a pretrained student on synthetic events: each row is a static image drawn at random."""

    def synthetic(self, rows: Tensor, index: int) -> Clip:
        return super().synthetic(self.some(len(rows), len(self.streams.static.labels), index, SYNTHETIC_ROWS), index)

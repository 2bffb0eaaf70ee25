"""A training task: a model, a loss, a score, and the rows of each step, on any number of processes.

All random numbers come from (seed, purpose, epoch, batch), never from the state of a generator. So a training that is
killed and resumed at an epoch ends in the same weights as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.run import distributed, health
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.best_weights import BestWeights
from spikeport.pipeline.training.checkpoints import CHECKPOINT
from spikeport.pipeline.training.ema import ExponentialMovingAverage
from spikeport.pipeline.training.epoch_line import epoch_line
from spikeport.pipeline.training.epoch_log import write_metrics
from spikeport.pipeline.training.optim import build_optimizer, lr_lambda, set_lr_of_step
from spikeport.pipeline.training.results import EpochRow
from spikeport.pipeline.training.steps import batches_of
from spikeport.progress import LineProgress, NamedProgress

TRAINING_ACCURACY, TRAINING_AGREEMENT = "training_accuracy", "training_agreement"  # parts of a loss that are none


class TrainingTask(pl.LightningModule):
    """A model with its loss and its validation score, as Lightning trains it. Run one with `fit`.

    The rows of the training data are shuffled every epoch and split into batches, one for each optimizer step. The
    weights with the best validation score are kept (`BestWeights`). A subclass gives `loss` and `score`. A progress
    callback that is a `LineProgress` gets a line an epoch, and signs of a network that does not learn.

    Args:
        model: the network that is trained.
        stage: name of the training, in the log and in errors.
        samples: number of rows.
        batch: rows of a batch; batches are made as equal as possible.
        epochs: number of epochs.
        lr: learning rate.
        weight_decay: weight decay.
        warmup_epochs: epochs in which the learning rate rises.
        seed: seed of all random numbers.
        identity: what a checkpoint is tied to, as JSON values.
        ema_decay: decay of the moving average of the weights that is scored and kept; 0: the weights themselves.
        epochs_key: the recipe key with the number of epochs, which may grow between a checkpoint and the resume.

    Attributes:
        settings: the section [training] of the recipe.
        score_start: whether the weights before training take part in the choice, as epoch 0.
        best: the weights that are kept.
        history: the log of all epochs so far.
        score_is_loss: whether the score is the negative of a loss, and not an accuracy.
        validated: number of validation samples at the last score; None where they are not counted.
        silent: validation recordings without an output spike at the last score; None where they are not counted.
        rates: spikes per neuron and step by layer at the last score; None where they are not counted.
        report: progress callback, called as (steps done, steps in all, stage).
        folder: where the checkpoint is written.
        metrics: file of the log.
    """

    score_is_loss: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        *,
        stage: str,
        samples: int,
        batch: int,
        epochs: int,
        lr: float,
        weight_decay: float,
        warmup_epochs: int,
        seed: int,
        identity: Mapping[str, object],
        ema_decay: float = 0.0,
        epochs_key: str = "",
    ) -> None:
        super().__init__()
        self.model = model
        self.stage, self.samples, self.epochs, self.epochs_key, self.seed = stage, samples, epochs, epochs_key, seed
        self.batches = batches_of(samples, batch)
        self.lr, self.weight_decay, self.warmup_epochs = lr, weight_decay, warmup_epochs
        self.ema = ExponentialMovingAverage(model, ema_decay) if ema_decay else None
        self.identity: dict[str, object] = {"stage": stage, **identity}
        self.settings, self.score_start = Training(), False
        self.best = BestWeights()
        self.history: list[EpochRow] = []
        self.validated: int | None = None
        self.silent: int | None = None
        self.rates: Mapping[str, float] | None = None
        self.report: NamedProgress | None = None
        self.folder: Path | None = None
        self.metrics: Path | None = None
        self._rows: tuple[Tensor, ...] = ()
        self._parts: list[dict[str, Tensor]] = []
        self._started = 0.0
        self._gradient: float | None = None

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss on some rows.

        Args:
            rows: row numbers, int64 on the CPU.
            index: number of the part of the batch, unique within an epoch.

        Returns:
            The scalar to minimize, a mean over the rows, and its parts for the log, without gradient. Among them may be
            TRAINING_ACCURACY or TRAINING_AGREEMENT.
        """
        raise NotImplementedError

    def score(self, model: nn.Module) -> float | None:
        """The validation score of a network, higher is better; None without validation data: the last epoch is kept.

        Args:
            model: the trained network, or its moving average.
        """
        raise NotImplementedError

    def generator(self, purpose: str, *numbers: int) -> torch.Generator:
        """A new random generator on the CPU, the same for the same purpose and numbers.

        Args:
            purpose: name of the purpose.
            *numbers: such as the epoch.
        """
        return torch.Generator().manual_seed(derived_seed(self.seed, purpose, *numbers))

    @property
    def parts(self) -> int:
        """Number of parts that a batch is computed in: accumulated parts times processes."""
        return self.settings.accumulate * distributed.world_size(self.settings)

    def progress_at(self, index: int) -> float:
        """Share of the training that is over when a batch of this epoch starts, in [0, 1).

        Args:
            index: number of the batch in the epoch.
        """
        return (self.current_epoch * self.batches + index // self.parts) / (self.epochs * self.batches)

    def update_best_weights(self, epoch: int) -> float | None:
        """Scores the current weights, and keeps them if no earlier score was higher.

        Args:
            epoch: number of the epoch.

        Returns:
            The score; None without validation data.
        """
        model = self.ema.module if self.ema else self.model
        score = distributed.broadcast(self.score(model) if distributed.is_rank_zero() else None)
        self.best.update(epoch, score, model, score_start=self.score_start)
        return score

    @property
    def ended(self) -> bool:
        """Whether all epochs are over, or the last `patience` of them brought no rise."""
        return len(self.history) >= self.epochs or self._stops_after(len(self.history))

    def _stops_after(self, epoch: int) -> bool:
        """Whether `patience` ends the training with this epoch, before its last."""
        return 0 < self.settings.patience <= epoch - self.best.risen and epoch < self.epochs

    def write_metrics(self) -> None:
        """Writes the log of all epochs to the metrics file."""
        if self.metrics and distributed.is_rank_zero():
            write_metrics(self.metrics, self.stage, self.history)

    # Lightning's hooks

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        optimizer = build_optimizer(self.settings, trained, self.lr, self.weight_decay)
        factor = lr_lambda(
            self.settings, steps=self.epochs * self.batches, warm_steps=self.warmup_epochs * self.batches
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> list[int]:
        return list(range(self.batches * self.settings.accumulate))  # on a resume, the epoch is not known yet

    def on_fit_start(self) -> None:
        if self.settings.threads:  # here, since Lightning sets its own number for several processes
            torch.set_num_threads(self.settings.threads)

    def on_train_start(self) -> None:
        if self.score_start and not self.best.weights:
            self.update_best_weights(0)
        set_lr_of_step(self.lr_schedulers())

    def on_train_epoch_start(self) -> None:
        self._rows = self.rows_of_epoch(self.generator("shuffle", self.current_epoch)).tensor_split(self.batches)
        self._parts, self._gradient, self._started = [], None, time.perf_counter()

    def rows_of_epoch(self, generator: torch.Generator) -> Tensor:
        """Rows of an epoch in the order of training, int64 `[samples]`: each once, drawn by `generator`."""
        return torch.randperm(self.samples, generator=generator)

    def training_step(self, number: int, _: int) -> Tensor:
        batch, turn = divmod(number, self.settings.accumulate)
        part = turn * self.trainer.world_size + self.global_rank
        rows = self._rows[batch].tensor_split(self.parts)[part]
        total, parts = self.loss(rows, batch * self.parts + part)
        # Gradients are averaged over the parts, and a part is weighted by its number of samples.
        share = len(rows) * self.parts / len(self._rows[batch])
        finite = torch.isfinite(total.detach()).float()
        if not self.trainer.strategy.reduce(finite, reduce_op="sum") == self.trainer.world_size:
            raise UserError(
                f"the loss is no longer finite in epoch {self.current_epoch + 1}",
                where=self.stage,
                hint="lower the learning rate (training.lr, teacher.lr), or student.v_threshold where it is huge",
            )
        self._parts.append({name: value * share for name, value in {"loss": total.detach(), **parts}.items()})
        if self.report and distributed.is_rank_zero() and turn == self.settings.accumulate - 1:
            self.report(self.current_epoch * self.batches + batch + 1, self.epochs * self.batches, self.stage)
        return total * share

    def on_before_optimizer_step(self, _: torch.optim.Optimizer) -> None:
        if self._gradient:  # the first step with a gradient is enough to see that there is one
            return
        there = [weight.grad for weight in self.parameters() if weight.grad is not None]
        largest = float(torch.nn.utils.get_total_norm(there, float("inf")))
        self._gradient = largest if math.isfinite(largest) else self._gradient

    def on_train_batch_end(self, outputs: object, number: int, *_: object) -> None:
        if self.ema and number % self.settings.accumulate == self.settings.accumulate - 1:
            self.ema.update_parameters(self.model)

    def score_epoch(self) -> None:
        """Scores the epoch that has ended, and adds its row to the log."""
        losses: dict[str, Any] = {}
        for name in self._parts[0]:
            mean = torch.stack([part[name].float() for part in self._parts]).mean(0)
            losses[name] = self.trainer.strategy.reduce(mean, reduce_op="mean").tolist()
        score = self.update_best_weights(self.current_epoch + 1)
        best_score, sign = self.best.kept_score(self.current_epoch + 1), -1 if self.score_is_loss else 1
        shares = {name: losses.pop(name, None) for name in (TRAINING_ACCURACY, TRAINING_AGREEMENT)}
        row = EpochRow(
            stage=self.stage,
            epoch=self.current_epoch + 1,
            losses=losses,
            **shares,
            validation_accuracy=None if self.score_is_loss else score,
            validation_loss=-score if self.score_is_loss and score is not None else None,
            validation_count=self.validated,
            validation_silent=self.silent,
            kept_epoch=self.best.chosen.epoch,
            kept_validation=None if best_score is None else sign * best_score,
            rates=self.rates,
            gradient=self._gradient,
            lr=self.trainer.optimizers[0].param_groups[0]["lr"],
            seconds=round(time.perf_counter() - self._started, 3),
            planned_epochs=self.epochs if self._stops_after(self.current_epoch + 1) else None,
        )
        self.history.append(row)
        if self.settings.callbacks:  # in `trainer.callback_metrics`, where callbacks find it
            self.log_dict(row.numbers(), logger=False)

    def on_train_epoch_end(self) -> None:
        if self.folder:
            self.trainer.save_checkpoint(self.folder / CHECKPOINT)
        self.write_metrics()
        for logger in self.trainer.loggers if self.trainer.is_global_zero else ():
            logger.log_metrics(self.history[-1].numbers(), self.history[-1].epoch)
            logger.save()
        self._print()
        self.trainer.should_stop = self.trainer.should_stop or self.ended

    def _print(self) -> None:
        """Prints the epoch, and signs of a network that does not learn, where the progress callback takes lines."""
        if isinstance(self.report, LineProgress) and distributed.is_rank_zero():
            self.report.log_epoch(epoch_line(self.history, self.epochs))
            earlier = self.history[: -max(1, -(-health.SETTLED_STEPS // self.batches))][-1:]
            rows = [row.learning() for row in (*earlier, self.history[-1])]
            for finding in health.of_epoch(self.stage, rows, last=self.ended):
                self.report.log_once(health.line(finding), key=(finding.kind, self.stage))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        history = [row.to_json() for row in self.history]
        checkpoint.update(identity=self.identity, history=history, **self.best.to_tree())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.restore(checkpoint)

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Restores the log and the best weights from the content of a checkpoint."""
        self.history = [EpochRow.from_json(row) for row in checkpoint["history"]]
        self.best.load_tree(checkpoint)

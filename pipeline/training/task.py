"""What a training is: a model, a loss, a score, and which rows each step sees, on however many processes.

All randomness comes from (seed, purpose, epoch, batch) and never from a stream that a kill could cut, so that
a training resumed at an epoch ends in the very weights of one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.run import distributed, health
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.ema import ExponentialMovingAverage
from spikeport.pipeline.training.epoch_log import TensorBoardWriter, write_metrics
from spikeport.pipeline.training.optim import build_optimizer, lr_lambda

Progress = Callable[[int, int, str], None]  # done, total, what
CHECKPOINT = "checkpoint.safetensors"
SCORE_EPOCHS = 5


class TrainingTask(pl.LightningModule):
    """A model, what it descends (`loss`) and how good it is on validation data (`score`).

    `samples` rows are shuffled every epoch and dealt into batches of about `batch`, one for each step of the
    optimizer. A batch is computed in `parts`: as many for each process as the recipe's `accumulate` says. With
    `ema_decay`, what is scored and kept is a moving average of the weights that keeps this share of itself a step (less
    while it is young, see `ExponentialMovingAverage`).
    Kept are the weights that stand best on validation (see `consider`); among equals the later ones.
    """

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
        identity: dict[str, Any],
        ema_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.stage, self.samples, self.epochs, self.seed = stage, samples, epochs, seed
        self.batches = max(1, round(samples / batch))
        self.lr, self.weight_decay, self.warmup_epochs = lr, weight_decay, warmup_epochs
        self.ema = ExponentialMovingAverage(model, ema_decay) if ema_decay else None
        self.identity = {"stage": stage, **identity}
        self.settings = Training()
        self.history: list[dict[str, Any]] = []
        self.scores: list[float] = []
        self.silent: int | None = None  # validation recordings without an answer when last scored, where counted
        self.best: dict[str, Any] = {}
        self.report: Progress | None = None
        self.folder: Path | None = None
        self.metrics: Path | None = None
        self.tensorboard: TensorBoardWriter | None = None
        self.score_start = False
        self._rows: tuple[Tensor, ...] = ()
        self._parts: list[dict[str, Tensor]] = []
        self._started = 0.0
        self.signs: dict[str, Any] = {}  # what `score` saw of the network beside its accuracy, for the metrics
        self._gradient: float | None = None

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend on these rows (int64, on the CPU), a mean over them, and its detached parts.

        `index` is another one for each part of each batch of an epoch.
        """
        raise NotImplementedError

    def score(self, model: nn.Module) -> float | None:
        """Share of validation samples that `model`, this training's model or its average, gets right; None where
        there are none, and the last epoch is kept."""
        raise NotImplementedError

    def generator(self, purpose: str, *numbers: int) -> torch.Generator:
        """A fresh generator on the CPU for one purpose at one place."""
        return torch.Generator().manual_seed(derived_seed(self.seed, purpose, *numbers))

    @property
    def parts(self) -> int:
        """Into how many parts a batch is cut."""
        return self.settings.accumulate * distributed.world_size(self.settings)

    def progress_at(self, index: int) -> float:
        """x in [0, 1): how far the training is when the batch of part `index` of this epoch starts."""
        return (self.current_epoch * self.batches + index // self.parts) / (self.epochs * self.batches)

    def update_best_weights(self, epoch: int) -> float | None:
        """Scores the weights as they are now and keeps them if none before stood better. Returns the score.

        They stand by the mean score of the last few epochs: one score of a small validation part is mostly luck.
        Without a score they always stand best; those of the start, where they count, stand against any that score less.
        """
        model = self.ema.module if self.ema else self.model
        score, smoothed_score = distributed.broadcast(self.score(model) if distributed.is_rank_zero() else None), None
        if score is not None:
            self.scores.append(score)
            smoothed_score = float(np.mean(self.scores[-SCORE_EPOCHS:]))
        falls = score is not None and self.score_start and score < self.scores[0]
        if not self.best or smoothed_score is None or (smoothed_score >= self.best["score"] and not falls):
            weights = {key: tensor.detach().cpu().clone() for key, tensor in model.state_dict().items()}
            self.best = {"epoch": epoch, "score": smoothed_score, "weights": weights}
        return score

    @property
    def ended(self) -> bool:
        """Whether all epochs are over, or `patience` of them have passed since the best."""
        done, patience = len(self.history), self.settings.patience
        return done >= self.epochs or bool(patience and done - self.best.get("epoch", 0) >= patience)

    def write_metrics(self) -> None:
        """Puts the history of all epochs into the metrics file."""
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
        # Only numbers: on a resume Lightning asks for them before it knows the epoch.
        return list(range(self.batches * self.settings.accumulate))

    def on_fit_start(self) -> None:
        if self.settings.threads:  # here, for Lightning sets its own number where several processes train
            torch.set_num_threads(self.settings.threads)

    def on_train_start(self) -> None:
        if self.score_start and not self.best:
            self.update_best_weights(0)

    def on_train_epoch_start(self) -> None:
        order = torch.randperm(self.samples, generator=self.generator("shuffle", self.current_epoch))
        self._rows = order.tensor_split(self.batches)
        self._parts, self._gradient, self._started = [], None, time.perf_counter()

    def training_step(self, number: int, _: int) -> Tensor:
        batch, turn = divmod(number, self.settings.accumulate)
        part = turn * self.trainer.world_size + self.global_rank
        rows = self._rows[batch].tensor_split(self.parts)[part]
        total, parts = self.loss(rows, batch * self.parts + part)
        # Gradients are averaged over the parts; a part counts for as many samples as it has.
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
        if self._gradient:  # one step of an epoch that moves something is enough to know
            return
        there = [weight.grad for weight in self.parameters() if weight.grad is not None]
        largest = float(torch.nn.utils.get_total_norm(there, float("inf")))
        self._gradient = largest if math.isfinite(largest) else self._gradient

    def on_train_batch_end(self, outputs: object, number: int, *_: object) -> None:
        if self.ema and number % self.settings.accumulate == self.settings.accumulate - 1:
            self.ema.update_parameters(self.model)

    def on_train_epoch_end(self) -> None:
        row: dict[str, Any] = {"stage": self.stage, "epoch": self.current_epoch + 1}
        for name in self._parts[0]:
            own = torch.stack([part[name].float() for part in self._parts]).mean(0)
            row[name] = self.trainer.strategy.reduce(own, reduce_op="mean").tolist()
        row["validation_accuracy"] = self.update_best_weights(self.current_epoch + 1)
        if self.silent is not None:
            row["validation_silent"] = self.silent
        row |= self.signs | {"gradient": self._gradient}
        row["lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.perf_counter() - self._started, 3)
        self.history.append(row)
        if self.folder:
            self.trainer.save_checkpoint(self.folder / CHECKPOINT)
        self.write_metrics()
        if self.tensorboard:
            self.tensorboard.write(row)
        for finding in health.of_epoch(self.stage, self.history, last=self.ended):
            self._warn(finding)
        self.trainer.should_stop = self.ended

    def _warn(self, finding: health.Finding) -> None:
        say_once = getattr(self.report, "say_once", None)
        if say_once is not None and distributed.is_rank_zero():
            say_once(health.line(finding), key=(finding.kind, self.stage))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.update(identity=self.identity, history=self.history, scores=self.scores, best=self.best)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history, self.scores, self.best = (checkpoint[key] for key in ("history", "scores", "best"))

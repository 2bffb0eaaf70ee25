"""One training from start to end with Lightning: seeded, checkpointed every epoch, exactly resumable.

All randomness comes from (seed, purpose, epoch, batch) and never from a stream that a kill could cut, so that
a training resumed at an epoch ends in the very weights of one that was never stopped.
"""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from export.files import write_text
from hardware_profiles.errors import UserError
from pipeline.checkpoints import SafeCheckpointIO, read_tree
from pipeline.recipe import Training

Progress = Callable[[int, int, str], None]  # done, total, what
CHECKPOINT = "checkpoint.safetensors"
STANDING_EPOCHS = 5


def derived_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A seed for one purpose at one place of a run, independent of every other."""
    words = [seed % 2**64, zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


class Trainee(pl.LightningModule):
    """A model, what it descends (`loss`) and how good it is on validation data (`score`).

    `samples` rows are shuffled every epoch and dealt into batches of about `batch`. AdamW; the learning rate
    rises over `warmup_epochs` and falls to zero along a cosine. With `average`,
    what is scored and kept is a moving average of the weights that keeps this share of itself a step. Kept are
    the weights that stand best on validation (see `consider`); among equals the later ones.
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
        average: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.stage, self.samples, self.epochs, self.seed = stage, samples, epochs, seed
        self.batches = max(1, round(samples / batch))
        self.lr, self.weight_decay, self.warmup_epochs = lr, weight_decay, warmup_epochs
        self.average: AveragedModel | None = None
        if average:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)
        self.identity = {"stage": stage, **identity}
        self.history: list[dict[str, Any]] = []
        self.scores: list[float] = []
        self.best: dict[str, Any] = {}
        self.report: Progress | None = None
        self.folder: Path | None = None
        self.metrics: Path | None = None
        self._rows: tuple[Tensor, ...] = ()
        self._parts: list[dict[str, Tensor]] = []
        self._started = 0.0

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend on these rows (int64, on the CPU), and its detached parts."""
        raise NotImplementedError

    def score(self, model: nn.Module) -> float | None:
        """Share of validation samples that `model`, this training's model or its average, gets right; None where
        there are none, and the last epoch is kept."""
        raise NotImplementedError

    def generator(self, purpose: str, *numbers: int) -> torch.Generator:
        """A fresh generator on the CPU for one purpose at one place."""
        return torch.Generator().manual_seed(derived_seed(self.seed, purpose, *numbers))

    def progress_at(self, index: int) -> float:
        """x in [0, 1): how far the training is when batch `index` of this epoch starts."""
        return (self.current_epoch * self.batches + index) / (self.epochs * self.batches)

    def consider(self, epoch: int) -> float | None:
        """Scores the weights as they are now and keeps them if none before stood better. Returns the score.

        They stand by the mean score of the last few epochs: one score of a small validation part is mostly luck.
        Without a score they always stand best.
        """
        model = self.average.module if self.average else self.model
        score, standing = self.score(model), None
        if score is not None:
            self.scores.append(score)
            standing = float(np.mean(self.scores[-STANDING_EPOCHS:]))
        if not self.best or standing is None or standing >= self.best["score"]:
            weights = {key: tensor.detach().cpu().clone() for key, tensor in model.state_dict().items()}
            self.best = {"epoch": epoch, "score": standing, "weights": weights}
        return score

    def write_metrics(self) -> None:
        """Puts the history of all epochs into the metrics file."""
        if self.metrics:
            write_metrics(self.metrics, self.stage, self.history)

    # Lightning's hooks

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [weight for name, weight in self.named_parameters() if not name.startswith("average.")]
        optimiser = torch.optim.AdamW(trained, lr=self.lr, weight_decay=self.weight_decay)
        total, warm = self.epochs * self.batches, self.warmup_epochs * self.batches

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / warm) if warm else 1.0
            return rise * (1 + math.cos(math.pi * min(1.0, step / total))) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> list[int]:
        # Only the batches' numbers: on a resume Lightning asks for them before it knows the epoch.
        return list(range(self.batches))

    def on_train_epoch_start(self) -> None:
        order = torch.randperm(self.samples, generator=self.generator("shuffle", self.current_epoch))
        self._rows = order.tensor_split(self.batches)
        self._parts, self._started = [], time.perf_counter()

    def training_step(self, batch: int, index: int) -> Tensor:
        total, parts = self.loss(self._rows[index], index)
        if not torch.isfinite(total):
            raise UserError(
                f"the loss is no longer finite in epoch {self.current_epoch + 1}",
                where=self.stage,
                mend="lower the learning rate",
            )
        self._parts.append({"loss": total.detach(), **parts})
        if self.report:
            done = self.current_epoch * self.batches + index + 1
            self.report(done, self.epochs * self.batches, self.stage)
        return total

    def on_train_batch_end(self, *_: object) -> None:
        if self.average:
            self.average.update_parameters(self.model)

    def on_train_epoch_end(self) -> None:
        row: dict[str, Any] = {"stage": self.stage, "epoch": self.current_epoch + 1}
        for name in self._parts[0]:
            row[name] = torch.stack([part[name].float().cpu() for part in self._parts]).mean(0).tolist()
        row["validation_accuracy"] = self.consider(self.current_epoch + 1)
        row["lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(time.perf_counter() - self._started, 3)
        self.history.append(row)
        if self.folder:
            self.trainer.save_checkpoint(self.folder / CHECKPOINT)
        self.write_metrics()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.update(identity=self.identity, history=self.history, scores=self.scores, best=self.best)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history, self.scores, self.best = (checkpoint[key] for key in ("history", "scores", "best"))


def fit(
    trainee: Trainee,
    folder: Path,
    training: Training,
    *,
    progress: Progress | None = None,
    metrics: Path | None = None,
    score_start: bool = False,
) -> dict[str, Any]:
    """Trains, or goes on from the checkpoint in `folder`, and leaves the best epoch's weights in the model.

    Each epoch adds a line to `metrics` (default: metrics.jsonl in `folder`); lines of other stages stay.
    `score_start`: the untrained model takes part in the choice, as epoch 0.
    Returns {"epoch", "score"} of the choice, the score None where there was nothing to choose by.
    Raises UserError where the checkpoint is unreadable or from
    another recipe, or where the loss stops being finite.
    """
    if training.threads:
        torch.set_num_threads(training.threads)
    trainee.report, trainee.folder, trainee.metrics = progress, folder, metrics or folder / "metrics.jsonl"
    checkpoint = folder / CHECKPOINT
    resume = checkpoint.exists()
    if resume:
        _check_identity(trainee, checkpoint)
    if not resume and score_start:
        trainee.consider(0)
    if trainee.epochs:
        _run(trainee, checkpoint, training, resume)
        trainee.model.load_state_dict(trainee.best["weights"])
        trainee.write_metrics()  # a kill may have come between the last checkpoint and its line
    trainee.model.to("cpu").eval()
    return {key: trainee.best.get(key) for key in ("epoch", "score")}


def _run(trainee: Trainee, checkpoint: Path, training: Training, resume: bool) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    gpu = training.accelerator == "gpu" or (training.accelerator == "auto" and torch.cuda.is_available())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        try:
            trainer = pl.Trainer(
                accelerator="gpu" if gpu else "cpu",
                devices=1,
                max_epochs=trainee.epochs,
                plugins=[SafeCheckpointIO()],
                deterministic="warn" if gpu else None,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
        except MisconfigurationException as error:
            raise UserError(
                "there is no GPU that torch can use", where="training.accelerator", mend="set it to cpu or auto"
            ) from error
        try:
            trainer.fit(trainee, ckpt_path=checkpoint if resume else None)
        except SystemExit as left:  # what Lightning makes of Ctrl-C
            if isinstance(left.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _check_identity(trainee: Trainee, checkpoint: Path) -> None:
    saved = read_tree(checkpoint)
    saved = saved.get("identity") if isinstance(saved, dict) else None
    if saved != trainee.identity:
        raise UserError(
            "this checkpoint belongs to another recipe, data set or stage",
            where=str(checkpoint),
            mend="resume with the recipe it was made with, or choose another folder",
        )


def write_metrics(path: Path, stage: str, rows: list[dict[str, Any]]) -> None:
    """Rewrites the JSON lines of `stage` in `path` as `rows`; lines of other stages stay."""
    others = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        others = [line for line in lines if json.loads(line).get("stage") != stage]
    own = [json.dumps(row, allow_nan=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in [*others, *own]))

"""One training from start to end with Lightning: seeded, checkpointed every epoch, exactly resumable."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from spikeport.allocation import keep_freed_memory
from spikeport.errors import UserError
from spikeport.pipeline.models.sync_batch_norm import sync_batch_norm
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import SafeCheckpointIO
from spikeport.pipeline.training.epoch_log import TensorBoardWriter
from spikeport.pipeline.training.precision import autocast_forwards, precision_plugin
from spikeport.pipeline.training.task import CHECKPOINT, Progress, TrainingTask

# What of [training] every training obeys, the teacher's and the fine-tuning's too, and what a checkpoint is tied to.
ENGINE = (
    "accumulate",
    "gradient_clip_norm",
    "patience",
    "precision",
    "optimizer",
    "schedule",
    "warmup_start_factor",
    "min_lr_factor",
)


def fit(
    task: TrainingTask,
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
    Raises UserError where the checkpoint is unreadable or from another recipe, where the loss stops being finite, or
    where the recipe asks for what this machine does not have.
    """
    keep_freed_memory()
    task.settings, task.score_start = training, score_start
    task.identity |= {"engine": training.model_dump(include=set(ENGINE))}
    task.report, task.folder, task.metrics = progress, folder, metrics or folder / "metrics.jsonl"
    if task.samples // task.batches < task.parts:
        raise UserError(
            f"batches of {task.samples // task.batches} cannot be cut into {task.parts} parts",
            where=task.stage,
            hint="lower training.accumulate or training.devices, or take larger batches",
        )
    checkpoint = folder / CHECKPOINT
    resume = checkpoint.exists()
    if resume:
        task.on_load_checkpoint(_checked(task, checkpoint))
    elif not task.epochs and score_start:
        task.update_best_weights(0)
    if task.epochs:
        if not task.ended:
            _run(task, checkpoint, training, resume)
        task.model.load_state_dict(task.best["weights"])
        task.write_metrics()  # a kill may have come between the last checkpoint and its line
    task.model.to("cpu").eval()
    return {key: task.best.get(key) for key in ("epoch", "score")}


def _run(task: TrainingTask, checkpoint: Path, training: Training, resume: bool) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    gpu = training.accelerator == "gpu" or (training.accelerator == "auto" and torch.cuda.is_available())
    device, alone = "cuda" if gpu else "cpu", distributed.world_size(training) == 1
    with warnings.catch_warnings(), contextlib.ExitStack() as within:
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        try:
            trainer = pl.Trainer(
                accelerator="gpu" if gpu else "cpu",
                devices=training.devices,
                num_nodes=training.nodes,
                # Not every weight has a gradient in every objective (the static head under `baseline`).
                strategy="auto" if alone else DDPStrategy(find_unused_parameters=True, broadcast_buffers=False),
                max_epochs=task.epochs,
                accumulate_grad_batches=training.accumulate,
                gradient_clip_val=training.gradient_clip_norm or None,
                plugins=[SafeCheckpointIO(), precision_plugin(training.precision, device), *_place()],
                deterministic="warn" if gpu else None,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            distributed.check_gpus(training)
            raise UserError("this machine cannot train so", where="training", cause=str(error)) from error
        if training.tensorboard and trainer.is_global_zero and task.metrics:
            folder = task.metrics.parent / "tensorboard" / task.stage
            task.tensorboard = TensorBoardWriter(folder, len(task.history))
            within.callback(task.tensorboard.close)
        within.enter_context(autocast_forwards(task.model, training.precision, device))
        if not alone:
            within.enter_context(sync_batch_norm(task))
        _leave_signals_alone(trainer)
        try:
            trainer.fit(task, ckpt_path=checkpoint if resume else None)
        except SystemExit as left:  # what Lightning makes of Ctrl-C
            if isinstance(left.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _place() -> list[ClusterEnvironment]:
    """A batch script of SLURM's has the numbers of tasks that it never started; Lightning would believe them."""
    return [LightningEnvironment()] if "SLURM_NTASKS" in os.environ and not distributed.from_srun() else []


def _leave_signals_alone(trainer: pl.Trainer) -> None:
    """Whoever runs this decides what SIGTERM does: Lightning's answer leaves with 0, as if all were done."""
    register = trainer._signal_connector.register_signal_handlers
    before = signal.getsignal(signal.SIGTERM)

    def without_sigterm() -> None:
        register()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    trainer._signal_connector.register_signal_handlers = without_sigterm  # type: ignore[method-assign]


def _checked(task: TrainingTask, checkpoint: Path) -> dict[str, Any]:
    saved = read_tree(checkpoint)
    if not isinstance(saved, dict) or saved.get("identity") != task.identity:
        raise UserError(
            "this checkpoint belongs to another recipe, data set or stage",
            where=str(checkpoint),
            hint="resume with the recipe it was made with, or choose another folder",
        )
    return saved

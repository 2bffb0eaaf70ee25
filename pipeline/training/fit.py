"""One training from start to end with Lightning: seeded, checkpointed every epoch, exactly resumable."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from spikeport._startup import keep_freed_memory
from spikeport.errors import UserError
from spikeport.pipeline.models.sync_batch_norm import sync_batch_norm
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.checkpoints import CHECKPOINT, SafeCheckpointIO, read_checkpoint
from spikeport.pipeline.training.epoch_log import METRICS
from spikeport.pipeline.training.plugins import build_callbacks, build_logger, check_plugins, close_logger
from spikeport.pipeline.training.precision import autocast_forwards, precision_plugin
from spikeport.pipeline.training.results import BestEpoch
from spikeport.pipeline.training.task import TrainingTask
from spikeport.progress import NamedProgress

# Keys of [training] that every training follows, also of the teacher and of QAT. Checkpoints are tied to them.
ENGINE_KEYS = (
    "accumulate",
    "gradient_clip_norm",
    "patience",
    "precision",
    "optimizer",
    "schedule",
    "warmup_start_factor",
    "min_lr_factor",
)


class _ScoreEpoch(pl.Callback):
    """Scores each epoch before the callbacks of the recipe see its end."""

    def on_train_epoch_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        assert isinstance(task, TrainingTask)
        task.score_epoch()


def fit(
    task: TrainingTask,
    folder: Path,
    training: Training,
    *,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
    score_start: bool = False,
) -> BestEpoch:
    """Runs a training task, or resumes it from its checkpoint. The model ends with the weights of the best epoch.

    Args:
        task: what is trained. Its model ends on the CPU, in eval mode.
        folder: where the checkpoint is.
        training: the section [training] of the recipe.
        progress: called after each optimizer step as (steps done, steps in all, stage).
        metrics: file that gets a line an epoch; lines of other stages stay. None: metrics.jsonl in `folder`.
        score_start: whether the weights before training take part in the choice, as epoch 0.

    Returns:
        The epoch whose weights are kept.

    Raises:
        UserError: the checkpoint cannot be read or belongs to another recipe, the loss is not finite, the machine lacks
            what the recipe needs, or a callback or logger failed.
    """
    keep_freed_memory()
    check_plugins(training)
    task.settings, task.score_start = training, score_start
    task.identity |= {"engine": training.model_dump(include=set(ENGINE_KEYS))}
    task.report, task.folder, task.metrics = progress, folder, metrics or folder / METRICS
    if task.samples // task.batches < task.parts:
        raise UserError(
            f"batches of {task.samples // task.batches} cannot be cut into {task.parts} parts",
            where=task.stage,
            hint="lower training.accumulate or training.devices, or take larger batches",
        )
    checkpoint = folder / CHECKPOINT
    resume = checkpoint.exists()
    if resume:
        task.restore(read_checkpoint(checkpoint, task.identity, task.epochs_key))
    elif not task.epochs and score_start:
        task.update_best_weights(0)
    if task.epochs:
        if not task.ended:
            _run(task, checkpoint, training, resume)
        task.model.load_state_dict(task.best.weights)
        task.write_metrics()  # the training may have been killed between the last checkpoint and its line
    task.model.to("cpu").eval()
    return task.best.chosen


def _run(task: TrainingTask, checkpoint: Path, training: Training, resume: bool) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    gpu = training.accelerator == "gpu" or (training.accelerator == "auto" and torch.cuda.is_available())
    device, alone = "cuda" if gpu else "cpu", distributed.world_size(training) == 1
    with warnings.catch_warnings(), contextlib.ExitStack() as within:
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        logger, callbacks = None, [_ScoreEpoch(), *build_callbacks(training)]
        if training.logger != "none" and task.metrics:
            done = [(row.epoch, row.numbers()) for row in task.history]
            logger = build_logger(training, task.metrics.parent, task.stage, done, task.identity)
            within.push(partial(close_logger, logger))
        try:
            trainer = pl.Trainer(
                accelerator="gpu" if gpu else "cpu",
                devices=training.devices,
                num_nodes=training.nodes,
                # Not every method gives every weight a gradient (the static head under `baseline`).
                strategy="auto" if alone else DDPStrategy(find_unused_parameters=True, broadcast_buffers=False),
                max_epochs=task.epochs,
                accumulate_grad_batches=training.accumulate,
                gradient_clip_val=training.gradient_clip_norm or None,
                plugins=[SafeCheckpointIO(), precision_plugin(training.precision, device), *_cluster()],
                deterministic="warn" if gpu else None,
                logger=logger or False,
                callbacks=callbacks,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            distributed.check_gpus(training)
            raise UserError("Lightning refuses these settings", where="training", cause=str(error)) from error
        within.enter_context(autocast_forwards(task.model, training.precision, device))
        if not alone:
            within.enter_context(sync_batch_norm(task))
        _keep_sigterm_handler(trainer)
        try:
            trainer.fit(task, ckpt_path=checkpoint if resume else None)
        except SystemExit as left:  # Lightning's answer to Ctrl-C
            if isinstance(left.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _cluster() -> list[ClusterEnvironment]:
    """The plain environment inside a batch script of SLURM, which has numbers of tasks that it did not start."""
    return [LightningEnvironment()] if "SLURM_NTASKS" in os.environ and not distributed.from_srun() else []


def _keep_sigterm_handler(trainer: pl.Trainer) -> None:
    """Keeps the caller's handler of SIGTERM: Lightning's own ends the process with 0, as if all were done."""
    register = trainer._signal_connector.register_signal_handlers
    before = signal.getsignal(signal.SIGTERM)

    def without_sigterm() -> None:
        register()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    trainer._signal_connector.register_signal_handlers = without_sigterm  # type: ignore[method-assign]

"""The recipe's sections [training], [augmentation] and [quantization]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spikeport.pipeline.run.sections.fields import (
    Batch,
    Degrees,
    Epochs,
    EpochsOrZero,
    ExpandedPath,
    Fraction,
    FractionBelowOne,
    NotNegative,
    PositiveFloat,
    Processes,
    ProcessesOrZero,
    Section,
    SideOrZero,
)

# Keys of [training] that say where it runs and what is written: a resumed training may have others.
PLACEMENT_KEYS = ("accelerator", "devices", "nodes", "threads", "logger")

# The recipe key with the number of epochs of each kind of training. Its checkpoint is good for any larger number.
EPOCHS_KEYS = {
    "teacher": "teacher.epochs",
    "simulator": "synthesis.simulator_pretrain_epochs",
    "synthesis": "synthesis.updates",
    "pretrain": "synthesis.pretrain_epochs",
    "student": "training.epochs",
    "pretrained student": "synthesis.finetune_epochs",
    "quantized": "quantization.epochs",
}


class Training(Section):
    """Training of the student in float; the keys from `optimizer` on apply to every training of a run.

    See docs/reference/training.md.
    """

    epochs: Epochs = Field(default=30, description="training epochs")
    batch: Batch = Field(default=20, description="samples of one step of the optimizer, on all devices together")
    min_steps: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        default=0,
        description="least steps of the optimizer on recordings: with few recordings, more epochs than `epochs` or "
        "synthesis.finetune_epochs",
    )
    lr: PositiveFloat = Field(default=2e-3, description="learning rate")
    weight_decay: NotNegative = Field(default=1e-2, description="weight decay of the optimizer")
    warmup_epochs: EpochsOrZero = Field(default=1, description="epochs in which the learning rate rises")
    init_from: ExpandedPath = Field(
        default="", description="folder of a run whose float student, and teacher if it fits, this run starts from"
    )
    ema_decay: FractionBelowOne = Field(
        default=0.0, description="decay of the exponential moving average of the weights; 0: off"
    )
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="AdamW, or SGD with momentum 0.9")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="learning rate after the warm-up: a falling cosine, or constant"
    )
    warmup_start_factor: Fraction = Field(
        default=0.0, description="learning rate at the start of the warm-up, as a factor of `lr`"
    )
    min_lr_factor: Fraction = Field(
        default=0.0, description="learning rate at the end of the cosine, as a factor of `lr`"
    )
    gradient_clip_norm: NotNegative = Field(default=0.0, description="largest norm of all gradients; 0: off")
    sampling: Literal["shuffle", "balanced"] = Field(
        default="shuffle",
        description="recordings of an epoch: each once, or drawn so that all classes are equally likely",
    )
    accumulate: Batch = Field(
        default=1, description="parts in which a batch is computed one after the other, for less memory"
    )
    patience: EpochsOrZero = Field(
        default=0, description="early stopping: epochs without a rise of validation that end a training; 0: off"
    )
    precision: Literal["32", "bf16-mixed", "16-mixed"] = Field(default="32", description="floating-point precision")
    logger: str = Field(
        default="none",
        description='"csv", "tensorboard", "wandb", or "package.module:factory" of a Lightning logger; "none": only '
        "metrics.jsonl",
    )
    callbacks: tuple[str, ...] = Field(
        default=(), description='callbacks of Lightning, each "package.module:Class", for every training'
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field(default="auto", description="device that trains")
    devices: Processes = Field(default=1, description="processes per machine; with GPUs, one GPU each")
    nodes: Processes = Field(default=1, description="machines that train together")
    threads: ProcessesOrZero = Field(default=0, description="threads of each process; 0: torch's default")


PLANE = ("mix", "flip", "rotation", "scale")  # augmentations of frames with height and width


class Augmentation(Section):
    """Random transforms of the frames of every training batch, for every method; 0 or false: off."""

    shift: SideOrZero = Field(default=2, description="largest shift in pixels or channels, in both directions and axes")
    event_drop: Fraction = Field(default=0.1, description="largest share of events that are dropped from a sample")
    rotation: Degrees = Field(default=0.0, description="largest rotation in degrees, in both directions")
    scale: FractionBelowOne = Field(default=0.0, description="change of size; 0.1: from 0.9 to 1.1 times")
    flip: bool = Field(default=False, description="mirror half of the samples; only where labels do not change by it")
    time_shift: Annotated[int, Field(ge=0, le=1024)] = Field(
        default=0, description="largest shift in time steps, in both directions"
    )
    time_jitter: Fraction = Field(default=0.0, description="share of events that move by one time step")
    noise: Fraction = Field(default=0.0, description="added events, as a share of all pixels and time steps")
    mix: Fraction = Field(
        default=0.0, description="share of samples that take a box in time and space from another of their class"
    )


class Quantization(Section):
    """Quantization-aware fine-tuning in Loihi arithmetic."""

    epochs: EpochsOrZero = Field(default=8, description="epochs; 0: the rounded student is used as it is")
    lr: PositiveFloat = Field(default=5e-4, description="learning rate")
    method: Literal["baseline", "same"] = Field(
        default="baseline", description="losses: TET on recordings alone, or those that trained the student"
    )

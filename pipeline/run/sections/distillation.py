"""The recipe's sections [distillation] and [synthesis]: losses, streams, and events made of static images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from spikeport.pipeline.run.sections.fields import (
    Batch,
    BatchOrZero,
    Count,
    Epochs,
    EpochsOrZero,
    ExpandedPath,
    NotNegative,
    OddKernel,
    Options,
    PositiveFloat,
    Section,
)
from spikeport.pipeline.run.sections.networks import Affine


class Schedule(Section):
    """Factor of a loss over the training; the shapes are those of `pipeline.distillation.schedules`."""

    shape: Literal["constant", "cosine", "logistic", "step", "rise"] = Field(
        default="constant", description="constant 1, falling from 1 to 0, or rising from 0 to 1"
    )
    start: NotNegative = Field(default=0.42, description="where the change starts, as a share of the training")
    end: NotNegative = Field(default=0.58, description="where the change ends, as a share of the training")

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if self.end < self.start:
            raise ValueError("end must not be before start")
        return self


class LossSpec(Section):
    """One loss on one stream."""

    loss: str = Field(description='name of the loss, or "package.module:class" for an own one')
    stream: Literal["event", "hybrid", "synthetic"] = Field(default="event", description="input that it acts on")
    weight: NotNegative = Field(default=1.0, description="factor of the loss")
    schedule: Schedule = Field(default=Schedule(), description="factor of the loss over the training")
    options: Options = Field(default={}, description="options of the loss")


# Keys of [distillation] that belong to a method; a recipe that gives them has its own.
OF_METHOD: dict[str, dict[str, object]] = {
    "ckd-events": {"static": "synthetic", "shared_head": True},
    "tmkt": {"replacement_unit": "suffix_share"},
}
AUTO = "auto"  # the method that a run chooses itself


class Auto(Section):
    """What `method = "auto"` chooses from, and how.

    The candidates are trained on a part of the training and validation recordings and answer the rest. One of them
    replaces the baseline only where its answers are better beyond noise.
    """

    candidates: tuple[str, ...] = Field(
        default=("baseline", "synthetic-events", "ckd-events"), description="methods that compete; the baseline always"
    )
    options: Options = Field(
        default={"ckd-events": {"pretrain": True}}, description="options of a candidate, a table by its name"
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.8, description="one-sided confidence with which a candidate must be better than the baseline"
    )
    folds: Annotated[int, Field(ge=2, le=100)] = Field(
        default=4, description="parts that the recordings are cut into, of which one is held out"
    )
    trainings: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=8, description="most trainings of each candidate; fewer where 200 recordings are answered earlier"
    )
    images: Count = Field(
        default=4000, description="most static images that each of these trainings has; 0: all, as the student itself"
    )


class Distillation(Section):
    """Losses that train the student. A run also trains the same student with `baseline`, for comparison."""

    method: str = Field(
        default="ckd",
        description='published method, a list of losses, or "auto", which chooses; see '
        "docs/explanation/distillation.md",
    )
    options: Options = Field(default={}, description="options of the method")
    losses: tuple[LossSpec, ...] = Field(default=(), description="losses that are added to the method's")
    train_baseline: bool = Field(default=True, description="also train the student without distillation")
    static: Literal["value", "synthetic"] = Field(
        default="value", description="first input of the hybrid stream: images in the value channel, or as events"
    )
    replacement_power: PositiveFloat = Field(
        default=3.0, description="a sample of the hybrid stream is events with probability x^power at progress x"
    )
    replacement_unit: Literal["clip", "suffix", "suffix_share", "never"] = Field(
        default="clip",
        description="what is replaced by events: whole samples, the steps from one on (suffix_share: x^power of all "
        "steps on average), or nothing",
    )
    shared_head: bool = Field(default=False, description="one output layer for all streams")
    reverse_lr: NotNegative = Field(
        default=0.0,
        description="learning rate of a copy of the teacher that learns from the student after each step; 0: none does",
    )
    initialize: bool = Field(default=False, description="start from the teacher's weights where shapes allow it")
    auto: Auto = Auto()

    @model_validator(mode="before")
    @classmethod
    def _of_method(cls, given: Any) -> Any:
        method = given.get("method") if isinstance(given, dict) else None
        return {**OF_METHOD[method], **given} if isinstance(method, str) and method in OF_METHOD else given


class Synthesis(Section):
    """Synthetic events from static images, for methods with a synthetic stream.

    They come from a translator that is trained on the recordings and their images, or, where these are not known one by
    one, on images of the same classes; from a camera before which images move as in the recordings ("motion", fitted
    without labels or pairs); or from the simulator of N-MNIST's saccades. The student is pretrained on events of the
    simulator for `simulator_pretrain_epochs`, then of the chosen kind for `pretrain_epochs`, before it is trained on
    recordings.
    """

    kind: Literal["translator", "motion", "simulator"] = Field(
        default="translator",
        description="network trained on recordings and images, fitted motion, or N-MNIST's saccades",
    )
    motion_generations: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="generations of the search that fits the motion"
    )
    simulator_pretrain_epochs: EpochsOrZero = Field(
        default=0, description="epochs over all static images with the simulator, before `pretrain_epochs`"
    )
    simulator_weights: ExpandedPath = Field(
        default="", description="safetensors file of a student that replaces `simulator_pretrain_epochs`"
    )
    width: Annotated[int, Field(ge=1, le=1024)] = Field(default=16, description="channels of the translator")
    kernel: OddKernel = Field(default=5, description="side of the translator's kernels")
    updates: Epochs = Field(default=1200, description="optimizer steps that train the translator")
    batch: Batch = Field(default=16, description="recordings of one step of the translator's optimizer")
    lr: PositiveFloat = Field(default=4e-3, description="learning rate of the translator")
    pretrain_epochs: EpochsOrZero = Field(default=2, description="epochs over all static images")
    pretrain_min_steps: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        default=0, description="least steps of the pretraining: with few images, more epochs than pretrain_epochs"
    )
    pretrain_batch: Batch = Field(default=32, description="images of one step of the optimizer")
    pretrain_lr: PositiveFloat = Field(default=1e-2, description="learning rate of the pretraining")
    pretrain_recordings: BatchOrZero = Field(default=2, description="recordings that are added to each of its batches")
    finetune_epochs: EpochsOrZero = Field(
        default=0, description="epochs over the recordings after the pretraining, in place of training.epochs"
    )
    finetune_lr: PositiveFloat = Field(default=1e-3, description="learning rate of these, in place of training.lr")
    images_per_recording: Annotated[float, Field(gt=0, le=8)] = Field(
        default=1.0, description="synthetic samples for each recording of a batch"
    )
    affine: Affine = Field(default=Affine(), description="random transform of the images")
    cached_views: BatchOrZero = Field(
        default=0, description="renderings of each image that are kept on disk; 0: a new one for every batch"
    )

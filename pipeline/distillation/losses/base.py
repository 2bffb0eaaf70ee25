"""What a distillation loss is: its base class, the tensors that it can ask for, and the options of its constructor.

To add a loss, write one file here with a subclass of `DistillationLoss` and add one line to `LOSSES` in
`pipeline.distillation.losses.table`:

- The keyword arguments of its constructor are its options in a recipe. Their types are checked strictly, and
  `Annotated[float, Field(gt=0)]` or pydantic's `PositiveFloat` bound a number.
- The parameters of its `forward` are the tensors that it needs, named by type: `StudentLogits`, `TeacherMaps` and the
  others below. A network that lacks one of them is refused before training starts. A loss with a `Teacher...`
  parameter needs a teacher.

A loss of another package needs no line: `loss = "package.module:Class"` in `[[distillation.losses]]` names its class.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from spikeport.errors import UserError

WHERE = "distillation.losses"  # key of a recipe that names losses


@dataclass(frozen=True, kw_only=True)
class TeacherTargets:
    """Outputs of a teacher for the images of a stream, without gradient. A spiking teacher's have T in front.

    Attributes:
        logits: `[B, K]`, or `[T, B, K]`.
        maps: `[B, C, H, W]`, or `[T, B, C, H, W]`: its last feature maps; None where it has none.
        embedding: `[B, D]`, or `[T, B, D]`: input of its classifier; None where it is not known.
        head: its frozen classifier, from embedding to logits; None where it is not known.
        head_weight: `[K, D]`: weights of a linear classifier; None for other classifiers.
        stages: `[B, C, H, W]` each, or `[T, B, C, H, W]`: what its stages give; None where they are not known.
        tail: the frozen rest of the network, from a stage and `[N, C, H, W]` to logits `[N, K]`; None where it is not
            known.
        weight_pairs: weights of student and teacher that have one shape (the first layers may differ in colors and
            polarities); empty in quantization-aware training, None where no layers fit.
    """

    logits: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None
    head: Callable[[Tensor], Tensor] | None = None
    head_weight: Tensor | None = None
    stages: tuple[Tensor, ...] | None = None
    tail: Callable[[int, Tensor], Tensor] | None = None
    weight_pairs: tuple[tuple[Tensor, Tensor], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Outputs of the student for one stream of a training step, and the targets that belong to them.

    Attributes:
        logits: `[T, B, K]`: output spikes summed up to each step.
        features: `[T, B, ...]`: membrane potentials of the backbone's last neurons after reset.
        labels: int64 `[B]`.
        maps: `[T, B, C, H, W]`: spikes of the last layer that has height and width; None where there is none.
        embedding: `[T, B, D]`: input of the classifier; None where it is not known.
        teacher: the teacher's outputs, None where no loss needs them now.
        replaced: bool `[T, B]`: frames of a hybrid stream that are events; None for other streams.
        stages: `[T, B, C, H, W]` each: spikes of the last layer of each size (H, W); None where there is none.
    """

    logits: Tensor
    features: Tensor
    labels: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None
    teacher: TeacherTargets | None = None
    replaced: Tensor | None = None
    stages: tuple[Tensor, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """One training step as losses see it.

    Attributes:
        streams: the student's outputs by the name of the stream.
        progress: share of the training that is over, 0 to 1.
        generator: source of random numbers for losses that draw, on the CPU.
        notes: values that one loss computes for others, such as "event_weights" `[T]`; they are logged.
    """

    streams: Mapping[str, Stream]
    progress: float
    generator: torch.Generator
    notes: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of data and networks, for losses that hold weights. Shapes are without T and B.

    Attributes:
        steps: T.
        classes: K.
        v_threshold: threshold of the student's neurons.
        student_map: `(C, H, W)` of the student's maps; None where it has none, as for all that follow.
        student_embedding: D of the student's embedding.
        teacher_map: `(C, H, W)` of the teacher's maps.
        teacher_embedding: D of the teacher's embedding.
        student_stages: `(C, H, W)` of what the student's stages give, in order.
        teacher_stages: `(C, H, W)` of what the teacher's stages give, in order.
        teacher_weight_pairs: number of layers of one shape in both networks.
        teacher_tail: True if the rest of the teacher behind a stage can be computed by itself.
    """

    steps: int
    classes: int
    v_threshold: float
    student_map: tuple[int, int, int] | None = None
    student_embedding: int | None = None
    teacher_map: tuple[int, int, int] | None = None
    teacher_embedding: int | None = None
    student_stages: tuple[tuple[int, int, int], ...] | None = None
    teacher_stages: tuple[tuple[int, int, int], ...] | None = None
    teacher_tail: Literal[True] | None = None
    teacher_weight_pairs: int | None = None


@dataclass(frozen=True)
class Source:
    """Where an input of a loss comes from.

    Attributes:
        owner: the stream of the loss, its teacher targets, or the event stream, to which the hybrid one is aligned.
        name: the field of the owner.
        optional: whether the input may be None.
    """

    owner: Literal["student", "teacher", "event"]
    name: str
    optional: bool = False

    def find(self, stream: Stream, step: StepInputs) -> Any:
        """The value of the input in a step; None if there is none.

        Args:
            stream: the stream of the loss.
            step: all streams of the batch.
        """
        holder = {"student": stream, "teacher": stream.teacher, "event": step.streams.get("event")}[self.owner]
        return getattr(holder, self.name, None)

    def size(self, sizes: Sizes) -> Any:
        """Size of the input before training; None only if a network certainly lacks it.

        Args:
            sizes: sizes of student and teacher.
        """
        known = {"maps": "map", "embedding": "embedding", "stages": "stages", "tail": "tail"}
        known["weight_pairs"] = "weight_pairs"
        return getattr(sizes, f"{self.owner}_{known[self.name]}", True) if self.name in known else True


# Types of `forward`'s parameters; shapes as in `Stream` and `TeacherTargets`.
StudentLogits = Annotated[Tensor, Source("student", "logits")]
StudentFeatures = Annotated[Tensor, Source("student", "features")]
StudentMaps = Annotated[Tensor, Source("student", "maps")]
StudentEmbedding = Annotated[Tensor, Source("student", "embedding")]
StudentStages = Annotated[tuple[Tensor, ...], Source("student", "stages")]
Labels = Annotated[Tensor, Source("student", "labels")]
Replaced = Annotated[Tensor | None, Source("student", "replaced", optional=True)]
ReplacedFrames = Annotated[Tensor, Source("student", "replaced")]
EventFeatures = Annotated[Tensor, Source("event", "features")]
TeacherLogits = Annotated[Tensor, Source("teacher", "logits")]
TeacherMaps = Annotated[Tensor, Source("teacher", "maps")]
TeacherEmbedding = Annotated[Tensor, Source("teacher", "embedding")]
TeacherHead = Annotated[Callable[[Tensor], Tensor], Source("teacher", "head")]
TeacherStages = Annotated[tuple[Tensor, ...], Source("teacher", "stages")]
TeacherTail = Annotated[Callable[[int, Tensor], Tensor], Source("teacher", "tail")]
WeightPairs = Annotated[tuple[tuple[Tensor, Tensor], ...], Source("teacher", "weight_pairs")]
TeacherHeadWeight = Annotated[Tensor, Source("teacher", "head_weight")]

Inputs = Mapping[str, Source | None]  # of each parameter of `forward`; None: the whole StepInputs


class DistillationLoss(nn.Module):
    """Base of all losses: a module whose `forward` returns a scalar.

    A subclass's constructor takes `sizes: Sizes` and its options as keyword arguments. Its parameters, if it has any,
    are trained along with the student and dropped afterwards.

    Attributes:
        streams: names of the streams that it may act on; None: any.
        early: whether it writes notes, so that it is computed before losses that read them, also with zero weight.
        inputs: where the arguments of `forward` come from, by name. An instance may replace the ones that its class's
            annotations give.
    """

    streams: ClassVar[tuple[str, ...] | None] = None
    early: ClassVar[bool] = False
    inputs: Inputs

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.inputs = inputs_of(type(self))

    @property
    def needs_teacher(self) -> bool:
        """Whether it reads outputs of a teacher."""
        return _reads_teacher(self.inputs)

    def compute(self, stream: Stream, step: StepInputs) -> Tensor:
        """The loss of one stream.

        Args:
            stream: the stream that the loss acts on. All that `missing` names must be there.
            step: the whole step.

        Returns:
            A scalar.

        Raises:
            UserError: `forward` did not return a scalar.
        """
        values = {name: step if source is None else source.find(stream, step) for name, source in self.inputs.items()}
        loss = self(**values)
        if not isinstance(loss, Tensor) or loss.ndim:
            raise UserError(
                f"{type(self).__name__}.forward returned {_described(loss)}, not a scalar tensor", where=WHERE
            )
        return loss

    def missing(self, stream: Stream, step: StepInputs) -> Source | None:
        """The first input that a step lacks; None if it has all.

        Args:
            stream: the stream of the loss.
            step: all streams of the batch.
        """
        needed = (source for source in self.inputs.values() if source is not None and not source.optional)
        return next((source for source in needed if source.find(stream, step) is None), None)

    def missing_before_training(self, sizes: Sizes) -> Source | None:
        """The first input that the networks lack; None if they have all.

        Args:
            sizes: sizes of student and teacher.
        """
        needed = (source for source in self.inputs.values() if source is not None and not source.optional)
        return next((source for source in needed if source.size(sizes) is None), None)


def inputs_of(loss: type[DistillationLoss]) -> Inputs:
    """The inputs of a loss, from the annotations of its `forward`.

    Args:
        loss: class of the loss.

    Raises:
        UserError: a parameter has neither one of the types above nor `StepInputs`.
    """
    hints = typing.get_type_hints(loss.forward, include_extras=True)
    found: dict[str, Source | None] = {}
    for name in list(inspect.signature(loss.forward).parameters)[1:]:
        sources = [extra for extra in getattr(hints.get(name), "__metadata__", ()) if isinstance(extra, Source)]
        if not sources and hints.get(name) is not StepInputs:
            raise UserError(
                f"parameter {name!r} of {loss.__name__}.forward is not annotated with an input of losses",
                where=WHERE,
                hint="annotate it with a type of spikeport.pipeline.distillation.losses.base, such as StudentLogits",
            )
        found[name] = sources[0] if sources else None
    return found


def class_needs_teacher(loss: type[DistillationLoss]) -> bool:
    """Whether losses of a class read outputs of a teacher.

    Args:
        loss: class of the loss.
    """
    return _reads_teacher(inputs_of(loss))


def _reads_teacher(inputs: Inputs) -> bool:
    return any(source is not None and source.owner == "teacher" for source in inputs.values())


def _described(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"

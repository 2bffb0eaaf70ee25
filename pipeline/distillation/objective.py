"""The loss that trains a student: the weighted sum of a method's losses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    Sizes,
    Source,
    StepInputs,
    Stream,
    class_needs_teacher,
)
from spikeport.pipeline.distillation.losses.precision import at_least_float32
from spikeport.pipeline.distillation.losses.table import build_loss, check_loss, loss_class
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.schedules import scheduled
from spikeport.pipeline.run.sections.distillation import LossSpec


@dataclass(frozen=True)
class LossValue:
    """Result of `Objective`.

    Attributes:
        total: the scalar that is minimized.
        parts: values for the log by name, without gradient: "<stream>.<loss>" before its weight,
            "<stream>.<loss>.weight" where a schedule changes it, "<stream>.replaced", and notes of losses.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """The weighted sum of a method's losses. Its parameters are trained along with the student and dropped afterwards.

    Losses with zero weight are skipped, and the teacher is not evaluated for them, unless other losses read their notes
    (`DistillationLoss.early`). Losses of a stream that a step does not have are skipped too.

    Args:
        spec: the losses with their streams, weights and schedules.
        sizes: sizes of data and networks.

    Raises:
        UserError: a loss is unknown, cannot act on its stream, or has a wrong option.
    """

    def __init__(self, spec: MethodSpec, sizes: Sizes) -> None:
        super().__init__()
        self.spec = spec
        built = [(recipe, _built(recipe, sizes)) for recipe in spec.losses]
        built.sort(key=lambda pair: not pair[1].early)  # stable: losses that write notes come first
        self._recipes = [recipe for recipe, _ in built]
        self.losses = nn.ModuleList(loss for _, loss in built)

    def check(self, sizes: Sizes) -> None:
        """Checks that networks have all inputs of the losses.

        Args:
            sizes: sizes of student and teacher.

        Raises:
            UserError: an input is missing. The message names the loss and the input.
        """
        for recipe, loss in self._pairs():
            if (source := loss.missing_before_training(sizes)) is not None:
                raise _lacks(recipe, source)

    @property
    def streams(self) -> frozenset[str]:
        """Names of the streams that a step needs."""
        return self.spec.streams

    def on(self, stream: str) -> list[tuple[LossSpec, DistillationLoss]]:
        """The losses of a stream in the order in which they are computed, each with its settings.

        Args:
            stream: name of the stream.
        """
        return [pair for pair in self._pairs() if pair[0].stream == stream]

    def weight(self, recipe: LossSpec, progress: float) -> float:
        """The weight of a loss at a point of the training.

        Args:
            recipe: settings of the loss.
            progress: share of the training that is over, 0 to 1.
        """
        return recipe.weight * scheduled(progress, recipe.schedule.shape, recipe.schedule.start, recipe.schedule.end)

    def needs_teacher(self, stream: str, progress: float) -> bool:
        """Whether a loss of a stream needs the teacher at a point of the training.

        Args:
            stream: name of the stream.
            progress: share of the training that is over, 0 to 1.
        """
        return any(
            recipe.stream == stream and loss.needs_teacher and self.weight(recipe, progress) > 0
            for recipe, loss in self._pairs()
        )

    def forward(self, step: StepInputs) -> LossValue:
        device = next(iter(step.streams.values())).logits.device
        with torch.autocast(device.type, enabled=False):  # half precision is for networks, not for their losses
            in_float32 = replace(step, streams={name: _to_float32(each) for name, each in step.streams.items()})
            return self._sum(in_float32, device)

    def _sum(self, step: StepInputs, device: torch.device) -> LossValue:
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=device)
        for recipe, loss in self._pairs():
            name = f"{recipe.stream}.{recipe.loss}"
            weight, stream = self.weight(recipe, step.progress), step.streams.get(recipe.stream)
            value = torch.zeros((), device=device)
            if (weight or loss.early) and stream is not None:
                if (source := loss.missing(stream, step)) is not None:
                    raise _lacks(recipe, source)
                value = loss.compute(stream, step)
                total = total + weight * value
            parts[name] = parts.get(name, 0) + value.detach()
            if recipe.schedule.shape != "constant":
                parts[f"{name}.weight"] = torch.tensor(weight)
        for name, stream in step.streams.items():
            if stream.replaced is not None:
                parts[f"{name}.replaced"] = stream.replaced.float().mean()
        parts.update({name: note.detach() for name, note in step.notes.items()})
        return LossValue(total, parts)

    def _pairs(self) -> list[tuple[LossSpec, DistillationLoss]]:
        pairs = zip(self._recipes, self.losses, strict=True)
        return [(recipe, loss) for recipe, loss in pairs if isinstance(loss, DistillationLoss)]


def uses_teacher(spec: MethodSpec) -> bool:
    """Whether a method ever needs a teacher.

    Args:
        spec: losses of the method.
    """
    return any(recipe.weight > 0 and class_needs_teacher(loss_class(recipe.loss)) for recipe in spec.losses)


def check_spec(spec: MethodSpec) -> None:
    """Checks the losses of a method before any network exists.

    Args:
        spec: losses of the method.

    Raises:
        UserError: a loss is unknown, cannot act on its stream, or has a wrong option.
    """
    for recipe in spec.losses:
        _check_stream(recipe)
        check_loss(recipe.loss, recipe.options)


def _built(recipe: LossSpec, sizes: Sizes) -> DistillationLoss:
    _check_stream(recipe)
    return build_loss(recipe.loss, recipe.options, sizes)


def _check_stream(recipe: LossSpec) -> None:
    allowed = loss_class(recipe.loss).streams
    if allowed is not None and recipe.stream not in allowed:
        raise UserError(
            f"the loss {recipe.loss!r} cannot act on the stream {recipe.stream!r}",
            where=WHERE,
            hint="use the stream " + " or ".join(allowed),
        )


def _to_float32(stream: Stream) -> Stream:
    """The student's half precision tensors as float32."""
    tensors = {name: getattr(stream, name) for name in ("logits", "features", "maps", "embedding")}
    halves = {name: one.float() for name, one in tensors.items() if one is not None and one.element_size() < 4}
    stages = None if stream.stages is None else tuple(at_least_float32(each) for each in stream.stages)
    return replace(stream, stages=stages, **halves)


def _lacks(recipe: LossSpec, source: Source) -> UserError:
    if source.owner == "event":
        return UserError(f"the loss {recipe.loss!r} needs the event stream, and this step has none", where=WHERE)
    if source == Source("teacher", "logits"):  # every teacher has logits
        return UserError(f"the loss {recipe.loss!r} needs a teacher, and there is none", where=WHERE)
    return UserError(
        f"the loss {recipe.loss!r} needs {source.name} of the {source.owner}, and this {source.owner} has none",
        where=WHERE,
        hint=f"use another {source.owner} network, or remove the loss",
    )

"""What a student is trained on: the weighted sum of a plan's terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Sizes,
    StepInputs,
    Stream,
    loss_class,
    loss_settings,
)
from spikeport.pipeline.distillation.methods import MethodSpec
from spikeport.pipeline.distillation.schedules import scheduled
from spikeport.pipeline.run.sections.distillation import LossSpec


@dataclass(frozen=True)
class Loss:
    """The scalar to descend and its detached parts, for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """Maps `StepInputs` to a `Loss`; its parameters, if any, are trained along with the student and dropped afterwards.

    Losses with zero weight are skipped, and the teacher is not evaluated for them (`needs_teacher`) unless others
    need their notes (`early`). A stream that a step does not have adds nothing. Raises UserError where a loss cannot
    act on its stream.
    """

    def __init__(self, spec: MethodSpec, sizes: Sizes) -> None:
        super().__init__()
        self.spec = spec
        built = [(recipe, _built(recipe, sizes)) for recipe in spec.losses]
        built.sort(key=lambda pair: not pair[1].early)  # stable: what others need comes first
        self.recipes = [recipe for recipe, _ in built]
        self.losses = nn.ModuleList(loss_module for _, loss_module in built)

    def check(self, sizes: Sizes) -> None:
        """Raises UserError where a term, whenever it counts, will need what a network has not."""
        known = {
            "maps": sizes.student_map,
            "embedding": sizes.student_embedding,
            "teacher.maps": sizes.teacher_map,
            "teacher.embedding": sizes.teacher_embedding,
        }
        for recipe, loss_module in self._pairs():
            for need in loss_module.needs:
                if need in known and known[need] is None:
                    raise _lacks(recipe, need)

    @property
    def streams(self) -> frozenset[str]:
        """The streams that a step must show."""
        return self.spec.streams

    def weight(self, recipe: LossSpec, progress: float) -> float:
        """What a term counts now."""
        return recipe.weight * scheduled(progress, recipe.schedule.shape, recipe.schedule.start, recipe.schedule.end)

    def needs_teacher(self, stream: str, progress: float) -> bool:
        """Whether a term of this stream needs the teacher now."""
        return any(
            recipe.stream == stream and _listens(type(loss_module)) and self.weight(recipe, progress) > 0
            for recipe, loss_module in self._pairs()
        )

    def forward(self, step: StepInputs) -> Loss:
        device = next(iter(step.streams.values())).logits.device
        with torch.autocast(device.type, enabled=False):  # half precision is for networks, not for their losses
            return self._sum(replace(step, streams={name: _wide(each) for name, each in step.streams.items()}), device)

    def _sum(self, step: StepInputs, device: torch.device) -> Loss:
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=device)
        for recipe, loss_module in self._pairs():
            name = f"{recipe.stream}.{recipe.loss}"
            weight, stream = self.weight(recipe, step.progress), step.streams.get(recipe.stream)
            value = torch.zeros((), device=device)
            if (weight or loss_module.early) and stream is not None:
                _complete(recipe, loss_module, stream)
                value = loss_module(stream, step)
                total = total + weight * value
            parts[name] = parts.get(name, 0) + value.detach()
            if recipe.schedule.shape != "constant":
                parts[f"{name}.weight"] = torch.tensor(weight)
        for name, stream in step.streams.items():
            if stream.replaced is not None:
                parts[f"{name}.replaced"] = stream.replaced.float().mean()
        parts.update({name: note.detach() for name, note in step.notes.items()})
        return Loss(total, parts)

    def _pairs(self) -> list[tuple[LossSpec, DistillationLoss]]:
        return [
            (recipe, loss_module)
            for recipe, loss_module in zip(self.recipes, self.losses, strict=True)
            if isinstance(loss_module, DistillationLoss)
        ]


def _wide(stream: Stream) -> Stream:
    """The student's half precision tensors as float32."""
    seen = {name: getattr(stream, name) for name in ("logits", "features", "maps", "embedding")}
    halves = {name: one.float() for name, one in seen.items() if one is not None and one.element_size() < 4}
    return replace(stream, **halves) if halves else stream


def uses_teacher(spec: MethodSpec) -> bool:
    """Whether any term of the plan ever needs a teacher."""
    return any(loss_module.weight > 0 and _listens(loss_class(loss_module.loss)) for loss_module in spec.losses)


def check_spec(spec: MethodSpec) -> None:
    """Raises UserError where a term's loss, stream or options cannot be, before anything is trained."""
    for recipe in spec.losses:
        _checked(recipe)
        loss_settings(recipe.loss, recipe.options)


def _built(recipe: LossSpec, sizes: Sizes) -> DistillationLoss:
    return _checked(recipe)(loss_settings(recipe.loss, recipe.options), sizes)


def _checked(recipe: LossSpec) -> type[DistillationLoss]:
    kind = loss_class(recipe.loss)
    if kind.streams is not None and recipe.stream not in kind.streams:
        raise UserError(
            f"the loss {recipe.loss!r} cannot act on the stream {recipe.stream!r}",
            where="distillation.losses",
            hint="use the stream " + " or ".join(kind.streams),
        )
    return kind


def _listens(kind: type[DistillationLoss]) -> bool:
    return any(need.partition(".")[0] == "teacher" for need in kind.needs)


def _complete(recipe: LossSpec, loss_module: DistillationLoss, stream: Stream) -> None:
    for need in loss_module.needs:
        found: object = stream
        for part in need.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise _lacks(recipe, need)


def _lacks(recipe: LossSpec, need: str) -> UserError:
    what = "teacher" if need.startswith("teacher") else "student"
    return UserError(
        f"the loss {recipe.loss!r} needs {need.rpartition('.')[2]!r} of the {what}, which this {what} has not",
        where="distillation.losses",
        hint=f"take another {what} network, or leave the term out",
    )

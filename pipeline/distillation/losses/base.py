"""What a training step shows, and what a term of the objective is: one loss on one stream of the student.

A new term is one file with a class like those in `LOSSES`, and one line there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from spikeport.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TeacherTargets:
    """What a teacher says of a stream's images, never with a gradient.

    `logits` `[B, K]` (`[T, B, K]` from a spiking teacher). `maps` `[B, C, H, W]`: its last feature maps. `embedding`
    `[B, D]`: what its head sees. `head`: its frozen classifier, embedding to logits; `head_weight` `[K, D]`: that
    classifier's weights where it is linear.
    """

    logits: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None
    head: Callable[[Tensor], Tensor] | None = None
    head_weight: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One pass of the student. `logits` `[T, B, K]`; `features` `[T, B, ...]`: membranes of the backbone's last cells
    after reset; `maps` `[T, B, C, H, W]`: the last spikes that still have places; `embedding` `[T, B, D]`: what the
    head sees; `labels` `[B]` int64. `replaced` bool `[T, B]`: the frames of a hybrid stream that are events.
    """

    logits: Tensor
    features: Tensor
    labels: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None
    teacher: TeacherTargets | None = None
    replaced: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """One training step: the student's streams by name, how far training is (0 to 1), and a generator (CPU) for
    whatever a term draws. `notes`: what a term leaves for others, such as "event_weights" `[T]`."""

    streams: Mapping[str, Stream]
    progress: float
    generator: torch.Generator
    notes: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a term may need to know before training. Shapes without T and B; None where a network has no such thing."""

    steps: int
    classes: int
    v_threshold: float
    student_map: tuple[int, int, int] | None = None
    student_embedding: int | None = None
    teacher_map: tuple[int, int, int] | None = None
    teacher_embedding: int | None = None


class Options(BaseModel):
    """A term's settings: strict, frozen, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DistillationLoss(nn.Module):
    """A loss on a stream: `forward` gives a scalar. Its parameters, if any, are trained along with the student and
    dropped afterwards. `needs`: fields of Stream and TeacherTargets that must be there ("teacher", "teacher.maps").
    `streams`: those that it may act on, None for any. `early`: it leaves notes, so it is computed before others."""

    Settings: ClassVar[type[Options]] = Options
    needs: ClassVar[frozenset[str]] = frozenset()
    streams: ClassVar[tuple[str, ...] | None] = None
    early: ClassVar[bool] = False

    def __init__(self, settings: Any, sizes: Sizes) -> None:
        super().__init__()
        self.settings, self.sizes = settings, sizes

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        raise NotImplementedError


LOSSES: dict[str, str] = {  # name in a recipe -> file:class
    "tet": "tet:Tet",
    "logit_kd": "logit_kd:LogitKd",
    "adaptive_kl": "reconstructions.adaptive_kl:AdaptiveKl",
    "noisy_logit_kd": "noisy_logit_kd:NoisyLogitKd",
    "spectral_logit": "reconstructions.spectral_logit:SpectralLogit",
    "self_temporal_kd": "self_temporal_kd:SelfTemporalKd",
    "cam_kd": "cam_kd:CamKd",
    "feature_kd": "feature_kd:FeatureKd",
    "relation_kd": "reconstructions.relation_kd:RelationKd",
    "sliced_w2": "reconstructions.sliced_w2:SlicedW2",
    "teacher_head_kd": "teacher_head_kd:TeacherHeadKd",
    "cka_alignment": "alignment:CkaAlignmentLoss",
    "mmd_alignment": "alignment:MmdAlignmentLoss",
}


def loss_class(name: str) -> type[DistillationLoss]:
    """The term of that name. Raises UserError listing the choices."""
    if name not in LOSSES:
        raise UserError(
            f"{name!r} is no loss", where="distillation.losses", hint="use one of " + ", ".join(sorted(LOSSES))
        )
    module, _, attribute = LOSSES[name].partition(":")
    found: type[DistillationLoss] = getattr(
        import_module(f"spikeport.pipeline.distillation.losses.{module}"), attribute
    )
    return found


def loss_settings(name: str, options: Mapping[str, Any]) -> Options:
    """`options` as that term's validated settings. Raises UserError naming the key."""
    kind = loss_class(name).Settings
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        known = ", ".join(kind.model_fields) or "none at all"
        raise UserError(
            f"{key} = {fault['input']!r}: {fault['msg']}",
            where=f"options of the loss {name!r} in distillation.losses",
            hint=f"its options are {known}",
        ) from None

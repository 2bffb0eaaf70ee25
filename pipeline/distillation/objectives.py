"""What a student is trained on. A new objective is a class like these and one line in `OBJECTIVES`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hardware_profiles.errors import UserError
from pipeline.distillation.alignment import CkaAlignment
from pipeline.distillation.logits import logit_kd
from pipeline.distillation.schedules import phased_weight
from pipeline.distillation.tet import tet
from pipeline.recipe import Distillation


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A stream's `logits` `[T, B, K]` and alignment `features` `[T, B, ...]`."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one training step shows an objective. `progress` in [0, 1]; `replaced`: the frames of the hybrid
    stream that are events, bool `[T, B]`; `teacher` logits `[B, K]`, None where `teacher_weight` is 0. The
    last three are None for objectives that do not distil."""

    event: Branch
    labels: Tensor
    progress: float
    hybrid: Branch | None = None
    replaced: Tensor | None = None
    teacher: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """The scalar to descend and its detached parts, for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """Maps a `Step` to a `Loss`; its parameters, if any, are trained along with the student."""

    distils: bool  # asks for a teacher and the hybrid stream

    def __init__(self, recipe: Distillation, *, steps: int, v_threshold: float) -> None:
        super().__init__()
        self.recipe, self.steps, self.target = recipe, steps, v_threshold

    def teacher_weight(self, progress: float) -> float:
        """What the teacher's logits count now; 0 lets the trainer skip the teacher."""
        return 0.0


class NoDistillation(Objective):
    """TET on the event branch alone."""

    distils = False

    def forward(self, step: Step) -> Loss:
        loss = tet(step.event.logits, step.labels, lam=self.recipe.tet_lambda, target=self.target)
        return Loss(loss, {"cls_e": loss.detach()})


class Ckd(Objective):
    """The objective of CKD (Ye et al., ICME 2025, arXiv 2507.09269), where open as in the specification.

    L = tet(hybrid) + w(x) kd_weight KD(hybrid, teacher) + tet(event; 1 - a_t) + da_weight L_DA(hybrid,
    event). Indirect: the teacher, who sees images, pulls on the hybrid stream only, and only while w(x) > 0.
    """

    distils = True

    def __init__(self, recipe: Distillation, *, steps: int, v_threshold: float) -> None:
        super().__init__(recipe, steps=steps, v_threshold=v_threshold)
        self.alignment = CkaAlignment(
            steps,
            coefficients="learnable" if recipe.da_learnable else None,
            max_alpha=recipe.max_alpha,
            debiased=recipe.da_debiased,
            measure=recipe.da_measure,
            sigma=recipe.da_sigma,
        )

    def teacher_weight(self, progress: float) -> float:
        recipe = self.recipe
        return recipe.kd_weight * phased_weight(progress, recipe.phase_start, recipe.phase_end, recipe.phase_shape)

    def forward(self, step: Step) -> Loss:
        recipe = self.recipe
        if step.hybrid is None or step.replaced is None:
            raise UserError("ckd needs the hybrid stream", where="distillation.method")
        hybrid = step.hybrid.logits
        weight = self.teacher_weight(step.progress)
        if weight:
            if step.teacher is None:
                raise UserError("ckd needs a teacher", where="distillation.method", mend="train one first")
            unreplaced = 1 - step.replaced.to(hybrid).mean(0) if recipe.mask_replaced else None
            kd = logit_kd(hybrid, step.teacher, tau=recipe.tau, mode=recipe.kd_mode, sample_weight=unreplaced)
        else:
            kd = torch.zeros((), device=hybrid.device)
        alignment = self.alignment(step.hybrid.features, step.event.features)
        static = tet(hybrid, step.labels, lam=recipe.tet_lambda, target=self.target)
        event = tet(
            step.event.logits,
            step.labels,
            lam=recipe.tet_lambda,
            target=self.target,
            step_weights=alignment.event_weights,
        )
        total = static + weight * kd + event + recipe.da_weight * alignment.loss
        parts = {"cls_s": static, "kd": kd, "cls_e": event, "da": alignment.loss}
        parts = {name: part.detach() for name, part in parts.items()}
        parts["kd_w"] = torch.tensor(weight)
        parts["P"] = step.replaced.float().mean()
        parts["alpha"] = torch.ones(len(hybrid)) if alignment.alphas is None else alignment.alphas.detach()
        return Loss(total, parts)


OBJECTIVES: dict[str, type[Objective]] = {"none": NoDistillation, "ckd": Ckd}


def build_objective(method: str, recipe: Distillation, *, steps: int, v_threshold: float) -> Objective:
    """The objective of that name for students of `steps` time steps. Raises UserError listing the choices."""
    if method not in OBJECTIVES:
        raise UserError(
            f"{method!r} is no distillation method",
            where="distillation.method",
            mend="use one of " + ", ".join(OBJECTIVES),
        )
    return OBJECTIVES[method](recipe, steps=steps, v_threshold=v_threshold)

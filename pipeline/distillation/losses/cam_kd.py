"""Saliency-scaled activation maps (SAMD of CKDSNN; Liu et al., AAAI 2026, arXiv 2511.06902): where the student fires
against where the teacher looks.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
from spikeport.pipeline.distillation.losses.logit_kd import kl

Normalize = Literal["minmax", "none", "rate", "minmax_batch"]
SPIKE_FLOOR, TEACHER_FLOOR = 1.0, 1e-3  # least range that a map is divided by: one spike; a trace of activation


def cam_kd(
    features: Tensor,
    teacher_map: Tensor,
    *,
    tau_map: float = 2.0,
    tau_square: bool = True,
    normalize: Normalize = "minmax",
    skip_empty: bool = True,
) -> Tensor:
    """tau^2 mean_b KL(softmax(M_t / tau) || softmax(M_s / tau)) over the places of each map, a scalar.

    `features` `[T, B, C, H, W]`: student's spikes, summed over T and C. `teacher_map` `[B, h, w]`, such as
    `class_activation_map`; the larger map is averaged down to the smaller. "minmax" scales each sample's map to 0..1,
    "rate" divides by T C (the teacher's by its largest value), "none" (paper's text) leaves both, "minmax_batch"
    (released code) scales over the batch; ranges count as constants. `tau_square=False`: without tau^2, as the code.
    `skip_empty`: samples whose teacher map is zero count nothing. No gradient reaches the teacher.
    """
    if not tau_map > 0:
        raise UserError(f"temperature {tau_map} is not positive", where="tau_map", hint="use a value such as 2")
    if features.ndim != 5 or teacher_map.ndim != 3 or features.shape[1] != len(teacher_map) or not features.numel():
        raise UserError(
            f"features {tuple(features.shape)} and teacher maps {tuple(teacher_map.shape)} do not fit",
            cause="[T, B, C, H, W] and [B, H, W] of one batch are needed",
        )
    wide = torch.float64 if features.dtype == torch.float64 else torch.float32
    own, said = features.to(wide).sum((0, 2)), teacher_map.detach().to(wide)
    there = said.flatten(1).abs().amax(1) > 0
    size = (min(own.shape[1], said.shape[1]), min(own.shape[2], said.shape[2]))
    own, said = (functional.adaptive_avg_pool2d(one[:, None], size).flatten(1) for one in (own, said))
    if normalize == "rate":
        own = own / (features.shape[0] * features.shape[2])
        said = said / said.amax(1, keepdim=True).clamp(min=TEACHER_FLOOR)
    elif normalize == "minmax":
        own, said = _minmax(own, SPIKE_FLOOR), _minmax(said, TEACHER_FLOOR)
    elif normalize == "minmax_batch":
        own, said = _minmax_batch(own), _minmax_batch(said)
    log_p, log_q = (torch.log_softmax(one / tau_map, dim=1) for one in (said, own))
    loss = kl(log_p, log_q)
    weight = there.to(loss) if skip_empty else torch.ones_like(loss)
    return (tau_map**2 if tau_square else 1.0) * (weight * loss).sum() / weight.sum().clamp(min=1)


def class_activation_map(maps: Tensor, head_weight: Tensor, classes: Tensor) -> Tensor:
    """ReLU(sum_d W[c_b, d] F[b, d]), `[B, H, W]`, of feature maps `[B, D, H, W]` and a linear head's weight `[K, D]`;
    a head over all places `[K, D H W]` weighs each place by itself."""
    batch, depth, height, width = maps.shape
    if head_weight.shape[1] == depth:
        rows = head_weight[classes][:, :, None, None]
    elif head_weight.shape[1] == depth * height * width:
        rows = head_weight[classes].view(batch, depth, height, width)
    else:
        raise UserError(
            f"a head of {head_weight.shape[1]} inputs does not belong to maps of {tuple(maps.shape[1:])}",
            hint="take a teacher whose head sees its last maps, averaged or flattened",
        )
    return (rows * maps).sum(1).clamp(min=0)


def grad_cam(maps: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """ReLU(sum_d w_d F_d), w_d the mean over places of d logit_c / d F_d: `[B, H, W]`, no gradient. `logits` must come
    from `maps` by a graph (any head; behind a mean over places and a linear head it is CAM over H W)."""
    chosen = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, maps, retain_graph=True)
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).clamp(min=0).detach()


class CamKd(DistillationLoss):
    """`cam_kd` on a stream: its last spike maps against the teacher's class activation map."""

    class Settings(Options):
        tau_map: float = Field(2.0, gt=0)
        tau_square: bool = True
        normalize: Normalize = "minmax"
        skip_empty: bool = True
        target_class: Literal["label", "teacher"] = "label"

    needs = frozenset({"maps", "teacher", "teacher.maps", "teacher.head_weight"})

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        said, settings = stream.teacher, self.settings
        assert said is not None
        assert said.maps is not None
        assert said.head_weight is not None
        assert stream.maps is not None
        maps, logits = (one.mean(0) if said.logits.ndim == 3 else one for one in (said.maps, said.logits))  # spiking
        classes = stream.labels if settings.target_class == "label" else logits.argmax(-1)
        wanted = class_activation_map(maps.detach(), said.head_weight.detach(), classes)
        if settings.target_class == "teacher":  # a spiking teacher that said nothing points nowhere
            wanted = wanted * logits.any(-1)[:, None, None]
        return cam_kd(stream.maps, wanted, **settings.model_dump(exclude={"target_class"}))


def _minmax(flat: Tensor, floor: float) -> Tensor:
    low, high = flat.detach().amin(1, keepdim=True), flat.detach().amax(1, keepdim=True)
    return (flat - low) / (high - low).clamp(min=floor)


def _minmax_batch(flat: Tensor) -> Tensor:
    flat = flat - flat.detach().amin()
    return flat / (flat.detach().amax() + TEACHER_FLOOR)

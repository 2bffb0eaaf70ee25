"""Distillation of activation maps (SAMD of CKDSNN): the student's spikes against the teacher's class activation map."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Labels,
    Sizes,
    StudentMaps,
    TeacherHeadWeight,
    TeacherLogits,
    TeacherMaps,
)
from spikeport.pipeline.distillation.losses.logit_kd import kl
from spikeport.pipeline.distillation.losses.precision import at_least_float32

Normalize = Literal["minmax", "none", "rate", "minmax_batch"]
SPIKE_FLOOR, TEACHER_FLOOR = 1.0, 1e-3  # smallest range that a map is divided by: one spike; a trace of activation


def cam_kd(
    features: Tensor,
    teacher_map: Tensor,
    *,
    tau_map: float = 2.0,
    tau_square: bool = True,
    normalize: Normalize = "minmax",
    skip_empty: bool = True,
) -> Tensor:
    """Saliency-scaled activation map distillation (Liu et al., AAAI 2026, arXiv 2511.06902).

    L = tau^2 mean_b KL(softmax(M_t / tau) || softmax(M_s / tau)) over the places of each map, tau = `tau_map`. The
    larger map is averaged down to the smaller. The ranges that maps are divided by count as constants.

    Args:
        features: spikes of the student `[T, B, C, H, W]`; M_s is their sum over T and C.
        teacher_map: M_t `[B, h, w]`, such as `class_activation_map`. It gets no gradient.
        tau_map: temperature, above 0.
        tau_square: whether the factor tau^2 is there; the released code leaves it out.
        normalize: "minmax" scales each sample's map to 0..1, "rate" divides by T C (the teacher's by its largest
            value), "none" (text of the paper) leaves both, "minmax_batch" (released code) scales over the batch.
        skip_empty: whether samples whose teacher map is zero have no weight.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or tau is not positive.
    """
    if not tau_map > 0:
        raise UserError(f"temperature {tau_map} is not positive", where="tau_map", hint="use a value such as 2")
    if features.ndim != 5 or teacher_map.ndim != 3 or features.shape[1] != len(teacher_map) or not features.numel():
        raise UserError(
            f"features {tuple(features.shape)} and teacher maps {tuple(teacher_map.shape)} do not fit",
            cause="[T, B, C, H, W] and [B, H, W] of one batch are needed",
        )
    student = at_least_float32(features).sum((0, 2))
    teacher = teacher_map.detach().to(student.dtype)
    there = teacher.flatten(1).abs().amax(1) > 0
    size = (min(student.shape[1], teacher.shape[1]), min(student.shape[2], teacher.shape[2]))
    student, teacher = (functional.adaptive_avg_pool2d(one[:, None], size).flatten(1) for one in (student, teacher))
    if normalize == "rate":
        student = student / (features.shape[0] * features.shape[2])
        teacher = teacher / teacher.amax(1, keepdim=True).clamp(min=TEACHER_FLOOR)
    elif normalize == "minmax":
        student, teacher = _minmax(student, SPIKE_FLOOR), _minmax(teacher, TEACHER_FLOOR)
    elif normalize == "minmax_batch":
        student, teacher = _minmax_batch(student), _minmax_batch(teacher)
    log_p, log_q = (torch.log_softmax(one / tau_map, dim=1) for one in (teacher, student))
    loss = kl(log_p, log_q)
    weight = there.to(loss) if skip_empty else torch.ones_like(loss)
    return (tau_map**2 if tau_square else 1.0) * (weight * loss).sum() / weight.sum().clamp(min=1)


def class_activation_map(maps: Tensor, head_weight: Tensor, classes: Tensor) -> Tensor:
    """CAM (Zhou et al., CVPR 2016, arXiv 1512.04150): ReLU(sum_d W[c_b, d] F[b, d]).

    Args:
        maps: F `[B, D, H, W]`.
        head_weight: W `[K, D]` of a linear head behind a mean over places, or `[K, D H W]` of a head over all places,
            which weighs each place by itself.
        classes: c, int64 `[B]`.

    Returns:
        `[B, H, W]`.

    Raises:
        UserError: the head does not fit the maps.
    """
    batch, depth, height, width = maps.shape
    if head_weight.shape[1] == depth:
        rows = head_weight[classes][:, :, None, None]
    elif head_weight.shape[1] == depth * height * width:
        rows = head_weight[classes].view(batch, depth, height, width)
    else:
        raise UserError(
            f"a head of {head_weight.shape[1]} inputs does not belong to maps of {tuple(maps.shape[1:])}",
            hint="use a teacher whose head sees its last maps, averaged or flattened",
        )
    return (rows * maps).sum(1).clamp(min=0)


def grad_cam(maps: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al., ICCV 2017, arXiv 1610.02391): ReLU(sum_d w_d F_d), w_d = mean d logit_c / d F_d.

    Args:
        maps: F `[B, D, H, W]`.
        logits: `[B, K]`, computed from `maps` with gradient by any head. Behind a mean over places and a linear head
            the result is `class_activation_map` divided by H W.
        classes: c, int64 `[B]`.

    Returns:
        `[B, H, W]`, without gradient.
    """
    chosen = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, maps, retain_graph=True)
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).clamp(min=0).detach()


class CamKd(DistillationLoss):
    """`cam_kd` on a stream: spikes of the student's last maps against the teacher's class activation map.

    Args:
        sizes: sizes of data and networks.
        tau_map: temperature.
        tau_square: whether the factor tau^2 is there.
        normalize: "minmax", "none", "rate" or "minmax_batch".
        skip_empty: whether samples whose teacher map is zero have no weight.
        target_class: class of the activation map: the "label", or the class that the "teacher" predicts.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau_map: PositiveFloat = 2.0,
        tau_square: bool = True,
        normalize: Normalize = "minmax",
        skip_empty: bool = True,
        target_class: Literal["label", "teacher"] = "label",
    ) -> None:
        super().__init__(sizes)
        self.tau_map, self.tau_square = tau_map, tau_square
        self.normalize: Normalize = normalize
        self.skip_empty, self.target_class = skip_empty, target_class

    def forward(
        self, student: StudentMaps, labels: Labels, maps: TeacherMaps, weight: TeacherHeadWeight, logits: TeacherLogits
    ) -> Tensor:
        if logits.ndim == 3:  # of a spiking teacher
            maps, logits = maps.mean(0), logits.mean(0)
        classes = labels if self.target_class == "label" else logits.argmax(-1)
        target = class_activation_map(maps.detach(), weight.detach(), classes)
        if self.target_class == "teacher":  # a spiking teacher without an output spike predicts no class
            target = target * logits.any(-1)[:, None, None]
        return cam_kd(
            student,
            target,
            tau_map=self.tau_map,
            tau_square=self.tau_square,
            normalize=self.normalize,
            skip_empty=self.skip_empty,
        )


def _minmax(flat: Tensor, floor: float) -> Tensor:
    low, high = flat.detach().amin(1, keepdim=True), flat.detach().amax(1, keepdim=True)
    return (flat - low) / (high - low).clamp(min=floor)


def _minmax_batch(flat: Tensor) -> Tensor:
    flat = flat - flat.detach().amin()
    return flat / (flat.detach().amax() + TEACHER_FLOOR)

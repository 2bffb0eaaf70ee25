"""Shapes and options that losses refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from loss_inputs import seeded
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.feature_kd import feature_distance
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import noisy_logit_kd
from spikeport.pipeline.distillation.losses.reconstructions.sliced_w2 import sliced_w2
from spikeport.pipeline.distillation.losses.similarity import cka, mmd
from spikeport.pipeline.distillation.losses.table import check_loss
from spikeport.pipeline.distillation.losses.tet import tet

T, B, K, C, H, W = 3, 5, 4, 6, 2, 7


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


LOGITS, TEACHER = randn(0, T, B, K), randn(1, B, K)


REFUSED: dict[str, tuple[Callable[[], Tensor], str]] = {
    "tet of no step": (lambda: tet(LOGITS[:0], torch.arange(B), mse_weight=0.1, target=1.0), "do not fit"),
    "tet of other labels": (lambda: tet(LOGITS, torch.arange(B - 1), mse_weight=0.1, target=1.0), "do not fit"),
    "tet without time": (lambda: tet(TEACHER, torch.arange(B), mse_weight=0.1, target=1.0), "do not fit"),
    "tet's step weights": (
        lambda: tet(LOGITS, torch.zeros(B).long(), mse_weight=0.1, target=1.0, step_weights=torch.ones(1)),
        "do not fit 3 steps",
    ),
    "sample weights": (lambda: logit_kd(LOGITS, TEACHER, sample_weight=torch.ones(1)), "do not fit a batch of 5"),
    "teacher not finite": (
        lambda: logit_kd(LOGITS, TEACHER * math.inf, check_finite=True),
        "teacher's logits are not all finite",
    ),
    "student not finite": (
        lambda: logit_kd(LOGITS * math.nan, TEACHER, check_finite=True),
        "student's logits are not all finite",
    ),
    "all noise": (
        lambda: noisy_logit_kd(LOGITS, TEACHER, generator=seeded(), space="prob", noise_weight=1.0),
        "noise of weight 1.0",
    ),
    "noise below zero": (
        lambda: noisy_logit_kd(LOGITS, TEACHER, generator=seeded(), noise_weight=-0.1),
        "noise of weight -0.1",
    ),
    "noise elsewhere": (
        lambda: noisy_logit_kd(LOGITS, TEACHER, generator=seeded(), space="odds"),
        "no noise in 'odds'",
    ),
    "features of one sample": (lambda: feature_distance(TEACHER, TEACHER[:1]), "do not fit"),
    "features of none": (lambda: feature_distance(TEACHER[:0], TEACHER[:0]), "do not fit"),
    "attention of other places": (
        lambda: feature_distance(torch.ones(2, 3, 4, 5), torch.ones(2, 3, 5, 4), "attention"),
        "do not fit",
    ),
    "cka of no sample": (lambda: cka(LOGITS[:, :0], LOGITS[:, :0]), "without an empty axis"),
    "cka of other samples": (lambda: cka(LOGITS, LOGITS[:, 1:]), "not of the same steps and samples"),
    "mmd of no sample": (lambda: mmd(LOGITS[:, :0], LOGITS), "without an empty axis"),
    "sets without a point": (lambda: sliced_w2(LOGITS[:, :0], LOGITS, generator=seeded()), "do not fit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    loss, words = REFUSED[case]
    with pytest.raises(UserError, match=words):
        loss()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tet", {"mse_weight": 1.5}),
        ("logit_kd", {"tau": 0.0}),
        ("adaptive_kl", {"head_mass": 0.0}),
        ("noisy_logit_kd", {"noise_weight": -0.1}),
        ("cam_kd", {"tau_map": 0.0}),
        ("self_temporal_kd", {"tau": -1.0}),
        ("selective_kd", {"min_confidence": 1.5}),
        ("teacher_head_kd", {"tau": 0.0}),
        ("sliced_w2", {"directions": 0}),
        ("feature_kd", {"blur": 1.0}),
        ("stage_attention_kd", {"width": 0}),
        ("stage_self_kd", {"stage": -1}),
        ("cka_alignment", {"max_alpha": 1.5}),
        ("cka_alignment", {"coefficients": -1.0}),
        ("cka_alignment", {"smoothing": 1.0}),
        ("cka_alignment", {"gain": 0.0}),
        ("mmd_alignment", {"coefficients": "closed_loop"}),
        ("mmd_alignment", {"sigma": 0.0}),
    ],
)
def test_options_out_of_range_are_said_before_training(name: str, options: dict) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        check_loss(name, options)

"""Sliding replacement: the hybrid stream starts as static images and ends as events.

Source: He et al., AAAI 2024 (arXiv 2303.13077). The units "suffix" and "suffix_share" follow the time-step mix-up of
TMKT (arXiv 2509.12959): an image becomes events at a random step, and "suffix_share" sets the probability by the
expected share of events, as there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.schedules import replacement_probability, switch_probability

Unit = Literal["clip", "suffix", "suffix_share"]


def sliding_replacement(
    static: Tensor,
    events: Tensor,
    x: float,
    *,
    generator: torch.Generator,
    power: float = 3.0,
    unit: Unit = "clip",
    labels: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Replaces static samples by event samples of the same class, with probability P = `replacement_probability`(x).

    Masks of one state of the generator are nested: what is replaced at x is replaced at any larger x.

    Args:
        static: `[T, B, C, H, W]`.
        events: `[T, B, C, H, W]`; sample b has the class of sample b of `static`.
        x: share of the training that is over.
        generator: source of the random numbers u in [0, 1), on the CPU.
        power: exponent of P.
        unit: "clip" replaces whole samples where u < P: none at x = 0, all at x = 1. "suffix" draws u for each step,
            and a sample is events from the first step with u < P on. "suffix_share" draws with the probability
            `switch_probability` in place of P, so that P is the expected share of frames that are events.
        labels: labels of both, to check that they are equal.

    Returns:
        The hybrid stream `[T, B, C, H, W]`, and its frames that are events, bool `[T, B]`.

    Raises:
        UserError: shapes or labels differ, or the unit is unknown.
    """
    if static.shape != events.shape:
        raise UserError(f"static clips {tuple(static.shape)} and events {tuple(events.shape)} have different shapes")
    if labels is not None and not torch.equal(*labels):
        raise UserError("a static image and the recording it is paired with have different classes")
    steps, batch = events.shape[:2]
    probability = replacement_probability(x, power)
    if unit == "clip":
        mask = (torch.rand(batch, generator=generator) < probability).expand(steps, batch)
    elif unit in ("suffix", "suffix_share"):
        probability = probability if unit == "suffix" else switch_probability(probability, steps)
        mask = (torch.rand(steps, batch, generator=generator) < probability).cummax(0).values
    else:
        raise UserError(f"{unit!r} is not a unit of replacement", hint="use clip, suffix or suffix_share")
    mask = mask.to(events.device)
    return torch.where(mask[:, :, None, None, None], events, static), mask


def static_clip(values: Tensor, steps: int) -> Tensor:
    """Direct coding: images as frames that are equal in both channels and all steps.

    Args:
        values: `[B, H, W]` in 0..1.
        steps: number of time steps T.

    Returns:
        `[T, B, 2, H, W]`.
    """
    return values[None, :, None].expand(steps, -1, 2, -1, -1)

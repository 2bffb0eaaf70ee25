"""Sliding replacement: the hybrid stream starts as static clips and ends as events.

Source: He et al., AAAI 2024 (arXiv 2303.13077); the suffix unit follows TMKT's time-step mix-up (arXiv
2509.12959).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.schedules import replacement_probability

Unit = Literal["clip", "suffix"]


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
    """The hybrid stream `[T, B, C, H, W]` and which frames of it are events, bool `[T, B]`.

    Slot b of the hybrid is slot b of `events` where it is replaced, else of `static`; both have the same
    class there (checked where `labels` of both are given). unit "clip": a whole sample with probability P(x)
    (strictly u < P, so none at x = 0 and all at x = 1). unit "suffix": a sample turns into events at the
    first step whose u < P. The draws come from `generator` (on the CPU) alone, so masks of one generator
    state are nested in x.
    """
    if static.shape != events.shape:
        raise UserError(f"static clips {tuple(static.shape)} and events {tuple(events.shape)} have different shapes")
    if labels is not None and not torch.equal(*labels):
        raise UserError("a static image and the recording it is paired with have different classes")
    steps, batch = events.shape[:2]
    probability = replacement_probability(x, power)
    if unit == "clip":
        mask = (torch.rand(batch, generator=generator) < probability).expand(steps, batch)
    elif unit == "suffix":
        mask = (torch.rand(steps, batch, generator=generator) < probability).cummax(0).values
    else:
        raise UserError(f"{unit!r} is no unit of replacement", hint="use clip or suffix")
    mask = mask.to(events.device)
    return torch.where(mask[:, :, None, None, None], events, static), mask


def static_clip(values: Tensor, steps: int) -> Tensor:
    """Direct coding: value channels `[B, H, W]` of 0..1 as `[T, B, 2, H, W]`, the same in both channels and
    all steps."""
    return values[None, :, None].expand(steps, -1, 2, -1, -1)

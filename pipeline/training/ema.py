"""A moving average of a training's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Holder = dict[str, Any]  # a module's parameters, or its buffers


class ExponentialMovingAverage(AveragedModel):
    """`model`'s parameters and buffers, averaged: each update keeps `share` of the average, but only
    (1 + n) / (10 + n) after n updates, for else the weights of the first step, as good as random, would be there for
    thousands of steps. Whole numbers are copied.

    AveragedModel walks through all modules at every update, which takes longer than the update; here it is done once.
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        super().__init__(model, use_buffers=True)
        self.share = share
        self.requires_grad_(False)
        self._held: tuple[nn.Module | None, list[tuple[Holder, Holder, str]]] = (None, [])

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        if self._held[0] is not model:
            self._held = model, _pairs(self.module, model)
        done = int(self.n_averaged)
        kept = min(self.share, (1 + done) / (10 + done)) if done else 0.0
        floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        for averages, values, name in self._held[1]:
            average, value = averages[name], values[name]
            if done and average.is_floating_point():
                floats[0].append(average)
                floats[1].append(value)
            else:
                average.copy_(value)
        if done:
            torch._foreach_lerp_(*floats, 1 - kept)
        self.n_averaged += 1


def _pairs(average: nn.Module, model: nn.Module) -> list[tuple[Holder, Holder, str]]:
    """Where each tensor is held, in both modules, one that several share once: a held one may be replaced later."""
    found, known = [], set()
    for own, other in zip(average.modules(), model.modules(), strict=True):
        for averages, values in ((own._parameters, other._parameters), (own._buffers, other._buffers)):
            for name, tensor in averages.items():
                if tensor is not None and id(tensor) not in known:
                    known.add(id(tensor))
                    found.append((averages, values, name))
    return found

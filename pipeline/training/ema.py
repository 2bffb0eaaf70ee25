"""Exponential moving average of weights."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Holder = MutableMapping[str, Any]  # a module's parameters, or its buffers


class ExponentialMovingAverage(AveragedModel):
    """Exponential moving average (EMA) of a network's parameters and buffers.

    average = d average + (1 - d) value, d = min(decay, (1 + n) / (10 + n)) after n updates: with the full decay, the
    weights of the first steps, which are nearly random, would stay for thousands of steps. Integers are copied.

    AveragedModel walks through all modules at every update, which takes longer than the update; here it is done once.

    Args:
        model: the network.
        decay: d of later updates, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay
        self.requires_grad_(False)
        self._pairs_of: tuple[nn.Module | None, list[tuple[Holder, Holder, str]]] = (None, [])

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        if self._pairs_of[0] is not model:
            self._pairs_of = model, _pairs(self.module, model)
        done = int(self.n_averaged)
        decay = min(self.decay, (1 + done) / (10 + done)) if done else 0.0
        floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        for ema_tensors, values, name in self._pairs_of[1]:
            ema_tensor, value = ema_tensors[name], values[name]
            if done and ema_tensor.is_floating_point():
                floats[0].append(ema_tensor)
                floats[1].append(value)
            else:
                ema_tensor.copy_(value)
        if done:
            torch._foreach_lerp_(*floats, 1 - decay)
        self.n_averaged += 1


def _pairs(ema_tensor: nn.Module, model: nn.Module) -> list[tuple[Holder, Holder, str]]:
    """The dictionaries that hold each tensor, in both modules, and its name; a shared tensor once.

    Not the tensors themselves: they may be replaced later.
    """
    found: list[tuple[Holder, Holder, str]] = []
    known = set()
    for ours, theirs in zip(ema_tensor.modules(), model.modules(), strict=True):
        for ema_tensors, values in ((ours._parameters, theirs._parameters), (ours._buffers, theirs._buffers)):
            for name, tensor in ema_tensors.items():
                if tensor is not None and id(tensor) not in known:
                    known.add(id(tensor))
                    found.append((ema_tensors, values, name))
    return found

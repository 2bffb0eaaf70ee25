"""Neurons of a NIR graph in float, with the reset that their network was trained with."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.export.lowering.discretize import EulerStep

SourceReset = Literal["zero", "subtract", "subtract-late", "subtract-many"]


class SourceNeurons(nn.Module):
    """A layer of neurons, each with its own parameters, as NIR's equations in Euler steps.

    With I the currents and s the spikes, both `[T, B, ...]`:

        i[t] = (1 - i_decay) i[t-1] + I[t] + W_rec s[t-1] + b_rec
        v[t] = (1 - v_decay) v'[t-1] + gain i[t] + drive
        s[t] = 1 where v[t] > threshold (or >= threshold), else 0
        v'[t] = 0 where s[t] = 1 ("zero"), or v[t] - threshold s[t] ("subtract")

    With "subtract-late" the threshold is subtracted in the next step, before the comparison. With "subtract-many" a
    neuron fires s[t] = floor(v[t] / threshold) spikes in a step, up to 255.

    Args:
        step: parameters of one step; a threshold of infinity is a neuron that never fires.
        reset: what a spike does to v.
        recurrent: (weights `[N, N]`, biases `[N]`) from the layer's own spikes of the step before; None without.
        fires_at: comparison of v with the threshold.
    """

    def __init__(
        self,
        step: EulerStep,
        reset: SourceReset,
        recurrent: tuple[np.ndarray, np.ndarray] | None = None,
        fires_at: str = ">",
    ) -> None:
        super().__init__()
        self.reset, self.fires_at = reset, fires_at
        for key in ("i_decay", "v_decay", "gain", "threshold", "drive"):
            self.register_buffer(key, torch.as_tensor(np.asarray(getattr(step, key)), dtype=torch.float32))
        weight, bias = recurrent if recurrent is not None else (None, None)
        self.register_buffer("weight_rec", None if weight is None else torch.as_tensor(weight, dtype=torch.float32))
        self.register_buffer("bias_rec", None if bias is None else torch.as_tensor(bias, dtype=torch.float32))

    i_decay: Tensor
    v_decay: Tensor
    gain: Tensor
    threshold: Tensor
    drive: Tensor
    weight_rec: Tensor | None
    bias_rec: Tensor | None

    def forward(self, currents: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset, both `[T, B, ...]`.

        Args:
            currents: `[T, B, ...]`.
        """
        spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
        current = v = fired = torch.zeros_like(currents[0])
        spent = torch.where(torch.isfinite(self.threshold), self.threshold, 0.0)  # neurons that never fire lose nothing
        for t, entering in enumerate(currents):
            current = (1 - self.i_decay) * current + entering
            if self.weight_rec is not None and self.bias_rec is not None:
                current = current + fired @ self.weight_rec.T + self.bias_rec
            v = (1 - self.v_decay) * v + self.gain * current + self.drive
            if self.reset == "subtract-late":
                v = v - spent * fired
            reached = v >= self.threshold if self.fires_at == ">=" else v > self.threshold
            fired = reached.to(v.dtype)
            if self.reset == "subtract-many":
                fired = fired * torch.floor(v / self.threshold).clamp(1, 255)
            spikes[t], membranes[t] = fired, v
            if self.reset == "zero":
                v = torch.where(fired > 0, torch.zeros_like(v), v)
            elif self.reset != "subtract-late":
                v = v - spent * fired
        return spikes, membranes

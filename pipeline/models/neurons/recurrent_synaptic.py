"""Recurrent neurons of a dense layer whose synaptic current decays too, in float or in Loihi's integer arithmetic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.neurons.base import SLOPE, UNIT, Numerics, current_wraps
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic


class LoihiRecurrentSynaptic(LoihiSynaptic):
    """`LoihiSynaptic` that also receives its own spikes of the step before.

    With V = `recurrent.weight` `[N, N]` and otherwise as in `LoihiSynaptic`, all `[T, B, N]`:

        u[t] = alpha u[t-1] + I[t] + V s[t-1]
        v[t] = beta v[t-1] (1 - s[t-1]) + u[t] + bias
        s[t] = 1 where v[t] > threshold, else 0

    In integers, round(I[t]) + round(V) s[t-1] takes the place of round(I[t]). Source: `export.network.fixed_point`.

    Args:
        size: number of neurons N.
        alpha: share of the synaptic current that a step leaves, 0 to 1.
        beta: share of the membrane that a step leaves, 0 to 1.
        threshold: the membrane must exceed it to fire.
        numerics: see `LoihiNeuron`.
        scale: see `LoihiNeuron`.
    """

    recurrent: nn.Linear

    def __init__(
        self,
        size: int,
        alpha: float,
        beta: float,
        threshold: float = 1.0,
        *,
        numerics: Numerics = "float",
        scale: float = 1.0,
    ) -> None:
        super().__init__(size, alpha, beta, threshold, numerics=numerics, scale=scale)
        self.recurrent = nn.Linear(size, size, bias=False)

    @property
    def recurrent_synapse(self) -> nn.Linear:
        """Weights from the layer's own spikes of the step before."""
        return self.recurrent

    def forward(self, currents: Tensor, syn: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset; all states are 0 before the first step.

        Args:
            currents: `[T, B, N]`, in units of the threshold.
            syn: unused, for the signature of snnTorch.
            mem: unused, for the signature of snnTorch.

        Returns:
            Spikes and membranes, both `[T, B, N]`.

        Raises:
            UserError: a synaptic current is so large that Loihi's 24-bit current would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        numbers = float(self.alpha), float(self.beta), float(self.threshold), scale
        return _RecurrentSynapticFunction.apply(currents, self.recurrent.weight, self.bias, numbers)


class _RecurrentSynapticFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, weight: Tensor, bias: Tensor, numbers: tuple[float, float, float, float | None]
    ) -> tuple[Tensor, Tensor]:
        run = _integrate if numbers[3] is None else _integrate_loihi
        spikes, membranes = run(currents, weight, bias, *numbers)
        ctx.save_for_backward(membranes, spikes, weight)
        ctx.set_materialize_grads(False)
        ctx.numbers = numbers
        return spikes, membranes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spk: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None]:
        """With m the membrane before reset, s the spike, g the surrogate, and D[t] = dL/dI[t]:

        dL/ds[t] = direct part + V^T D[t+1] - m[t] beta dL/dm[t+1];
        dL/dm[t] = direct part + dL/ds[t] g[t] + (1 - s[t]) beta dL/dm[t+1]; D[t] = dL/dm[t] + alpha D[t+1];
        dL/dV = sum_t D[t] s[t-1]^T; dL/dbias = sum_t dL/dm[t].
        """
        membranes, spikes, weight = ctx.saved_tensors
        alpha, beta, threshold, _ = ctx.numbers
        gradient = torch.zeros_like(membranes)
        slopes = ((membranes - threshold).abs() * SLOPE + 1).pow(-2)
        later = arriving = torch.zeros_like(membranes[0])
        of_bias = torch.zeros_like(membranes[0])
        for t in reversed(range(len(membranes))):
            mem = beta * later
            of_spike = arriving @ weight - membranes[t] * mem
            if grad_spk is not None:
                of_spike = of_spike + grad_spk[t]
            later = of_spike * slopes[t] + (1 - spikes[t]) * mem
            if grad_mem is not None:
                later = later + grad_mem[t]
            arriving = later + alpha * arriving
            gradient[t] = arriving
            of_bias = of_bias + later
        of_weight = gradient[1:].flatten(0, -2).T @ spikes[:-1].flatten(0, -2)
        return gradient, of_weight, of_bias.sum(0), None


def _integrate(
    currents: Tensor, weight: Tensor, bias: Tensor, alpha: float, beta: float, threshold: float, _: float | None
) -> tuple[Tensor, Tensor]:
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    syn = mem = spike = torch.zeros_like(currents[0])
    for t, current in enumerate(currents):
        syn = alpha * syn + current + spike @ weight.T
        membrane = beta * mem + syn + bias
        spike = (membrane > threshold).to(currents.dtype)
        mem = membrane * (1 - spike)
        spikes[t], membranes[t] = spike, membrane
    return spikes, membranes


def _integrate_loihi(
    currents: Tensor, weight: Tensor, bias: Tensor, alpha: float, beta: float, threshold: float, scale: float | None
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the integer neuron. Float64 holds every sum and product exactly (24 + 12 bits)."""
    assert scale is not None
    factor_u, factor_v = (1.0 - round(DECAY_ONE * (1.0 - factor)) / DECAY_ONE for factor in (alpha, beta))
    limit = UNIT * round(threshold * scale)
    w_rec = (weight.double() * scale).round().T
    shift = (bias.double() * scale).round() * UNIT
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    syn = mem = spike = torch.zeros_like(currents[0], dtype=torch.float64)
    largest = torch.zeros((), dtype=torch.float64, device=currents.device)
    for t, current in enumerate(currents):
        drive = (current.double() * scale).round() + spike @ w_rec
        syn = (syn * factor_u).trunc() + UNIT * drive
        largest = torch.maximum(largest, syn.abs().amax())
        state = ((mem * factor_v).trunc() + syn + shift).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        spike = (state > limit).double()
        mem = state * (1 - spike)
        spikes[t], membranes[t] = spike, state / (UNIT * scale)
    if float(largest) >= STATE_LIMIT:
        raise current_wraps(float(largest) / UNIT)
    return spikes, membranes

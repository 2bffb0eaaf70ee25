"""A dense layer of cells that also see each other's spikes of the step before, in float or in Loihi's arithmetic."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.neurons.leaky import DRIVE_LIMIT, SLOPE, UNIT, LoihiNeuron, Numerics, too_large


class LoihiRecurrent(LoihiNeuron, snntorch.RLeaky):
    """`snntorch.RLeaky` (all to all, no bias, reset to zero, no reset delay) over a whole sequence: currents
    `[T, B, N]` to spikes.

    v[t] = beta * v[t-1] + current[t] + V spikes[t-1]; a spike where v > threshold; v = 0 after a spike. V is
    `recurrent.weight` `[N, N]`. `numerics="loihi"`: see `LoihiLeaky`; V is then integers over `scale`.
    """

    recurrent: nn.Linear

    def __init__(
        self, size: int, beta: float, threshold: float = 1.0, *, numerics: Numerics = "float", scale: float = 1.0
    ) -> None:
        super().__init__(
            beta=beta,
            linear_features=size,
            threshold=threshold,
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),
            reset_mechanism="zero",
            reset_delay=False,
        )
        snntorch.SpikingNeuron.instances.remove(self)  # see LoihiLeaky
        self.recurrent = nn.Linear(size, size, bias=False)  # the layer before it has a bias
        self.numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, currents: Tensor, spk: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset, both `[T, B, N]`. Both start at zero.

        Raises UserError where a current is so large that Loihi's would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _RecurrentFunction.apply(currents, self.recurrent.weight, float(self.beta), float(self.threshold), scale)


class _RecurrentFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, weight: Tensor, beta: float, threshold: float, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        if scale is None:
            spikes, membranes = _integrate(currents, weight, beta, threshold)
        else:
            spikes, membranes = _integrate_loihi(currents, weight, beta, threshold, scale)
        ctx.save_for_backward(membranes, spikes, weight)
        ctx.set_materialize_grads(False)
        ctx.beta, ctx.threshold = beta, threshold
        return spikes, membranes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spk: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor, Tensor, None, None, None]:
        """With m the membrane before reset, s the spike, g the surrogate:

        dL/ds[t] = direct part + V^T dL/dm[t+1] - m[t] beta dL/dm[t+1];
        dL/dm[t] = direct part + dL/ds[t] g[t] + (1 - s[t]) beta dL/dm[t+1]; dL/dV = sum_t dL/dm[t] s[t-1]^T.
        """
        membranes, spikes, weight = ctx.saved_tensors
        gradient = torch.zeros_like(membranes)
        slopes = ((membranes - ctx.threshold).abs() * SLOPE + 1).pow(-2)
        later = torch.zeros_like(membranes[0])
        for t in reversed(range(len(membranes))):
            mem = ctx.beta * later
            of_spike = later @ weight - membranes[t] * mem
            if grad_spk is not None:
                of_spike = of_spike + grad_spk[t]
            later = of_spike * slopes[t] + (1 - spikes[t]) * mem
            if grad_mem is not None:
                later = later + grad_mem[t]
            gradient[t] = later
        of_weight = gradient[1:].flatten(0, -2).T @ spikes[:-1].flatten(0, -2)
        return gradient, of_weight, None, None, None


def _integrate(currents: Tensor, weight: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    mem = spike = torch.zeros_like(currents[0])
    for t, current in enumerate(currents):
        membrane = beta * mem + current + spike @ weight.T
        spike = (membrane > threshold).to(currents.dtype)
        mem = membrane * (1 - spike)
        spikes[t], membranes[t] = spike, membrane
    return spikes, membranes


def _integrate_loihi(
    currents: Tensor, weight: Tensor, beta: float, threshold: float, scale: float
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the integer neuron. Float64 holds every sum and product exactly (24 + 12 bits)."""
    decay_factor = 1.0 - round(DECAY_ONE * (1.0 - beta)) / DECAY_ONE
    limit = UNIT * round(threshold * scale)
    loop = (weight.double() * scale).round().T
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    mem = spike = torch.zeros_like(currents[0], dtype=torch.float64)
    largest = torch.zeros((), dtype=torch.float64, device=currents.device)
    for t, current in enumerate(currents):
        drive = (current.double() * scale).round() + spike @ loop
        largest = torch.maximum(largest, drive.abs().amax())
        state = (mem * decay_factor).trunc() + UNIT * drive
        state = state.clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        spike = (state > limit).double()
        mem = state * (1 - spike)
        spikes[t], membranes[t] = spike, state / (UNIT * scale)
    if float(largest) * UNIT >= DRIVE_LIMIT:
        raise too_large(float(largest))
    return spikes, membranes

"""Cells whose current decays slowly too, in float or in Loihi's integer arithmetic, and the norm before them.

The chip adds a bias to the voltage, never to the current, so here it does not pass through the current's decay either:
it belongs to the cell, the synapse before has none, and the norm before scales without shifting. Float, Loihi and netx
are then one equation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.neurons import synaptic_kernels as kernels
from spikeport.pipeline.models.neurons.kernel_dispatch import compiles, rows, rows_like, run
from spikeport.pipeline.models.neurons.leaky import SLOPE, UNIT, LoihiNeuron, Numerics

MOMENTUM, EPSILON = 0.1, 1e-5  # as batch norm's


class LoihiSynaptic(LoihiNeuron, snntorch.Synaptic):
    """`snntorch.Synaptic` (reset to zero, no reset delay) with a bias of the membrane, over a whole sequence: currents
    `[T, B, N, ...]` to spikes.

    u[t] = alpha u[t-1] + current[t]; v[t] = beta v[t-1] + u[t] + bias; a spike where v > threshold; v = 0 after a
    spike, u stays. `bias` `[N]`: one a channel, or a neuron of a dense layer. `numerics="loihi"`: see `LoihiLeaky`; u
    is integers over 64 * scale too, and decays by `alpha`, a multiple of 1/4096 there.
    """

    alpha: Tensor

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
        super().__init__(
            alpha=alpha,
            beta=beta,
            threshold=threshold,
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),
            reset_mechanism="zero",
            reset_delay=False,
        )
        snntorch.SpikingNeuron.instances.remove(self)  # see LoihiLeaky
        self.bias = nn.Parameter(torch.zeros(size))
        self.numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    @property
    def i_decay(self) -> int:
        """What a step takes from the current, in 4096ths."""
        return round(DECAY_ONE * (1.0 - float(self.alpha)))

    def forward(self, currents: Tensor, syn: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset, both as `currents`. Both states start at zero.

        Raises UserError where Loihi's current would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _SynapticFunction.apply(
            currents, self.bias, float(self.alpha), float(self.beta), float(self.threshold), scale
        )


class BatchRMSNorm(nn.Module):
    """y = weight x / sqrt(mean of x^2 + 1e-5) by channel, axis 1: batch norm without its shift.

    In training the mean is the batch's (`summed`: over all processes), else a moving average of them.
    """

    mean_square: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean_square", torch.ones(channels))

    def gain(self, mean_square: Tensor) -> Tensor:
        """y / x of each channel."""
        return self.weight.to(mean_square.dtype) * torch.rsqrt(mean_square + EPSILON)

    def forward(self, x: Tensor, all_reduce: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean_square = self.mean_square
        if self.training:
            mean_square = x.float().square().mean([0, *range(2, x.ndim)])
            if all_reduce is not None:
                count = torch.full_like(mean_square[:1], x.numel() / x.shape[1])
                total = all_reduce(torch.cat([mean_square * count, count]))
                mean_square = total[:-1] / total[-1].detach()
            with torch.no_grad():
                self.mean_square.lerp_(mean_square, MOMENTUM)
        return (x * self.gain(mean_square).view(shape)).to(x.dtype)


class _SynapticFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, bias: Tensor, alpha: float, beta: float, threshold: float, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        spread = bias.view(-1, *[1] * (currents.ndim - 3)).expand(currents.shape[1:])
        if scale is None:
            spikes, membranes = _integrate(currents, spread, alpha, beta, threshold)
        else:
            spikes, membranes = _integrate_loihi(currents, spread, alpha, beta, threshold, scale)
        ctx.save_for_backward(membranes, spikes)
        ctx.set_materialize_grads(False)
        ctx.decays, ctx.threshold = (alpha, beta), threshold
        return spikes, membranes

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_spk: Tensor | None, grad_mem: Tensor | None
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        """With m the membrane before reset, s the spike, g the surrogate:

        dL/dm[t] = dL/ds[t] g + direct part + beta dL/dm[t+1] (1 - s - m g), which is dL/dbias of that step, and
        dL/dcurrent[t] = dL/dm[t] + alpha dL/dcurrent[t+1].
        """
        membranes, spikes = ctx.saved_tensors
        (alpha, beta), threshold = ctx.decays, ctx.threshold
        gradient, of_bias = torch.empty_like(membranes), torch.zeros_like(membranes[0])
        if compiles(membranes):
            given = [rows_like(of, membranes) for of in (grad_spk, grad_mem)]
            numbers = [np.float32(value) for value in (alpha, beta, threshold, SLOPE)]
            run(kernels.gradients, rows(membranes), rows(spikes), *given, *numbers, rows(gradient), _places(of_bias))
        else:
            after = later = torch.zeros_like(of_bias)
            for t in reversed(range(len(membranes))):
                slope = ((membranes[t] - threshold).abs() * SLOPE + 1).pow(-2)
                after = beta * after * (1 - spikes[t] - membranes[t] * slope)
                if grad_spk is not None:
                    after = after + grad_spk[t] * slope
                if grad_mem is not None:
                    after = after + grad_mem[t]
                later = after + alpha * later
                gradient[t] = later
                of_bias += after
        return gradient, of_bias.sum([0, *range(2, of_bias.ndim)]), None, None, None, None


def _integrate(currents: Tensor, bias: Tensor, alpha: float, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    if compiles(currents):
        numbers = [np.float32(value) for value in (alpha, beta, threshold)]
        pushed = torch.empty_like(currents[0]).copy_(bias)
        run(kernels.integrate, rows(currents), _places(pushed), *numbers, rows(spikes), rows(membranes))
        return spikes, membranes
    slow = mem = torch.zeros_like(currents[0])
    for t, current in enumerate(currents):
        slow = alpha * slow + current
        membrane = beta * mem + (slow + bias)
        spikes[t] = membrane > threshold
        membranes[t] = membrane
        mem = membrane * (1 - spikes[t])
    return spikes, membranes


def _integrate_loihi(
    currents: Tensor, bias: Tensor, alpha: float, beta: float, threshold: float, scale: float
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the integer neuron. Float64 holds every sum and product exactly (24 + 12 bits)."""
    factor_u, factor_v = (1.0 - round(DECAY_ONE * (1.0 - factor)) / DECAY_ONE for factor in (alpha, beta))
    limit = float(UNIT * round(threshold * scale))
    pushed = (bias.double() * scale).round() * UNIT
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    if compiles(currents):
        ordered = torch.empty_like(currents[0], dtype=torch.float64).copy_(pushed)
        peaks = np.empty(ordered.numel())
        run(
            kernels.integrate_loihi, rows(currents), _places(ordered), factor_u, factor_v, limit, scale, float(UNIT),
            float(STATE_LIMIT - 1), rows(spikes), rows(membranes), peaks,
        )  # fmt: skip
        largest = float(peaks.max())
    else:
        slow = mem = torch.zeros_like(currents[0], dtype=torch.float64)
        peak = torch.zeros((), dtype=torch.float64, device=currents.device)
        for t, current in enumerate(currents):
            drive = (current.double() * scale).round() * UNIT
            slow = (slow * factor_u).trunc() + drive
            if drive.numel():
                peak = torch.stack([peak, drive.abs().amax(), slow.abs().amax()]).amax()
            state = ((mem * factor_v).trunc() + slow + pushed).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
            fired = (state > limit).double()
            mem = state * (1 - fired)
            spikes[t], membranes[t] = fired, state / (UNIT * scale)
        largest = float(peak)
    if largest >= STATE_LIMIT:
        raise UserError(
            f"a neuron's current reaches {largest / UNIT:.0f} weight units, and Loihi's wraps at {STATE_LIMIT // UNIT}",
            hint="use a network with fewer inputs per neuron, or a smaller student.alpha",
        )
    return spikes, membranes


def _places(values: Tensor) -> np.ndarray:
    """`[N]`, a view of one step of dense currents, neurons as `fused.rows` has them."""
    return rows(values.unsqueeze(0))[0]

"""Leaky integrate-and-fire cells over folded time, in float or in Loihi's integer arithmetic.

Convolutions see all T * B samples at once; only the cell walks through time, in one autograd function: a compiled
loop (`neuron_kernels`) for float32 on the processor, else three torch operations a step. It follows snnTorch 1.0's
`Leaky` with `reset_mechanism="zero"` and `reset_delay=False`, and so does its gradient: the reset is not detached
there, so it is not detached here.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.pipeline.models.neurons import leaky_kernels as kernels
from spikeport.pipeline.models.neurons.kernel_dispatch import compiles, rows, rows_like, run

Numerics = Literal["float", "loihi"]
SLOPE = 3.0  # of the fast-sigmoid surrogate 1 / (SLOPE * |v - threshold| + 1)^2
UNIT = 1 << STATE_SHIFT  # membrane units in one weight unit
# Below it the 24-bit current cannot wrap, whatever part of the drive is bias.
DRIVE_LIMIT = STATE_LIMIT - UNIT * BIAS_LIMIT


class LoihiNeuron(nn.Module):
    """What every layer of cells here is: `currents` `[T, B, ...]` to spikes and membranes before reset, in either
    numerics. `scale` (a power of two: S, times q^2 behind an average pool of q x q) is a buffer, so that it is saved
    with the weights."""

    scale: Tensor
    beta: Tensor
    threshold: Tensor
    numerics: Numerics

    @property
    def v_decay(self) -> int:
        """What a step takes from the voltage, in 4096ths."""
        return round(DECAY_ONE * (1.0 - float(self.beta)))

    @property
    def vth_mant(self) -> int:
        """The threshold in weight units."""
        return round(float(self.threshold) * float(self.scale))


class LoihiLeaky(LoihiNeuron, snntorch.Leaky):
    """`snntorch.Leaky` (reset to zero, no reset delay) over a whole sequence: currents `[T, B, ...]` to
    spikes.

    v[t] = beta * v[t-1] + current[t]; a spike where v > threshold; v = 0 after a spike.

    `numerics="loihi"` computes the same in integers as the chip does: currents and threshold are integers
    over `scale`, the state integers over 64 * scale, and the decay is truncated toward zero
    (`export.network.fixed_point`); the gradient is that of the float equations. There `beta` must be a multiple of
    1/4096.
    """

    def __init__(
        self, beta: float, threshold: float = 1.0, *, numerics: Numerics = "float", scale: float = 1.0
    ) -> None:
        super().__init__(
            beta=beta,
            threshold=threshold,
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),
            reset_mechanism="zero",
            reset_delay=False,
        )
        # snnTorch lists every cell in a class attribute for hidden states, which would keep all of them
        # alive.
        snntorch.SpikingNeuron.instances.remove(self)
        self.numerics: Numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, currents: Tensor, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset, both `[T, B, ...]`. The state starts at zero.

        Raises UserError where a current is so large that Loihi's would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _LeakyFunction.apply(currents, float(self.beta), float(self.threshold), scale)


class _LeakyFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, beta: float, threshold: float, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        if scale is None:
            spikes, membranes = _integrate(currents, beta, threshold)
        else:
            spikes, membranes = _integrate_loihi(currents, beta, threshold, scale)
        ctx.save_for_backward(membranes, spikes)
        ctx.set_materialize_grads(False)
        ctx.beta, ctx.threshold = beta, threshold
        return spikes, membranes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spk: Tensor | None, grad_mem: Tensor | None) -> tuple[Tensor, None, None, None]:
        """With G[t] = dL/dv after reset, g the surrogate, m the membrane before reset and s the spike:

        dL/dm[t] = dL/ds[t] g + direct part + G[t] (1 - s - m g), and G[t-1] = beta dL/dm[t].
        """
        membranes, spikes = ctx.saved_tensors
        gradient = torch.empty_like(membranes)
        if compiles(membranes):
            given = [rows_like(of, membranes) for of in (grad_spk, grad_mem)]
            numbers = [np.float32(value) for value in (ctx.beta, ctx.threshold, SLOPE)]
            run(kernels.gradients, rows(membranes), rows(spikes), *given, *numbers, rows(gradient))
            return gradient, None, None, None
        slope, through = torch.empty_like(membranes[0]), torch.empty_like(membranes[0])
        threshold = torch.full((), ctx.threshold, dtype=membranes.dtype, device=membranes.device)
        offset = torch.full_like(threshold, 1 / SLOPE)
        after: Tensor | None = None
        for t in reversed(range(len(membranes))):
            now, membrane = gradient[t], membranes[t]
            # g = (1 + SLOPE |d|)^-2 = SLOPE^-2 (1 / SLOPE + |d|)^-2
            torch.sub(membrane, threshold, out=slope).abs_().add_(offset).pow_(-2)
            if grad_spk is None:
                now.zero_()
            else:
                torch.mul(grad_spk[t], slope, out=now).mul_(SLOPE**-2)
            if grad_mem is not None:
                now.add_(grad_mem[t])
            if after is not None:
                torch.addcmul(spikes[t], membrane, slope, value=SLOPE**-2, out=through)
                now.add_(after, alpha=ctx.beta).addcmul_(after, through, value=-ctx.beta)
            after = now
        return gradient, None, None, None


def too_large(current: float) -> UserError:
    """What to say of a current of so many weight units."""
    return UserError(
        f"a neuron's input current reaches {current:.0f} weight units, "
        f"and Loihi's current wraps at {STATE_LIMIT // UNIT}",
        hint="use a network with fewer inputs per neuron",
    )


# Each loop works on one step at a time, small enough for a processor's cache; and spikes are floats
# throughout, for torch computes with booleans several times more slowly.


def _integrate(currents: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    if compiles(currents):
        numbers = np.float32(beta), np.float32(threshold)
        run(kernels.integrate, rows(currents), *numbers, rows(spikes), rows(membranes))
        return spikes, membranes
    mem = torch.zeros_like(currents[0])
    limit = torch.full((), threshold, dtype=currents.dtype, device=currents.device)
    for current, membrane, spike in zip(currents, membranes, spikes, strict=True):
        torch.add(current, mem, alpha=beta, out=membrane)
        torch.gt(membrane, limit, out=spike)
        torch.addcmul(membrane, membrane, spike, value=-1.0, out=mem)
    return spikes, membranes


def _integrate_loihi(currents: Tensor, beta: float, threshold: float, scale: float) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the integer neuron. Float64 holds every product exactly (24 + 12 bits)."""
    decay_factor = 1.0 - round(DECAY_ONE * (1.0 - beta)) / DECAY_ONE
    limit = UNIT * round(threshold * scale)
    largest = float(currents.abs().amax()) * scale if currents.numel() else 0.0
    if largest * UNIT >= DRIVE_LIMIT:
        raise too_large(largest)
    saturates = largest * UNIT * len(currents) >= STATE_LIMIT
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    if compiles(currents):
        run(
            kernels.integrate_loihi, rows(currents), decay_factor, float(limit), scale, float(UNIT),
            float(STATE_LIMIT - 1), rows(spikes), rows(membranes),
        )  # fmt: skip
        return spikes, membranes
    state, mem, fired = (torch.zeros_like(currents[0], dtype=torch.float64) for _ in range(3))
    for current, membrane, spike in zip(currents, membranes, spikes, strict=True):
        # On the grid this is an integer; rounding removes what a GPU's convolution algorithm may have added.
        torch.mul(current, scale, out=state).round_().mul_(UNIT)
        state.add_(mem.mul_(decay_factor).trunc_())
        if saturates:
            state.clamp_(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        torch.gt(state, limit, out=fired)
        torch.addcmul(state, state, fired, value=-1.0, out=mem)
        spike.copy_(fired)
        torch.mul(state, 1 / (UNIT * scale), out=membrane)
    return spikes, membranes

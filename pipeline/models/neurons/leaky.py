"""Leaky integrate-and-fire neurons over folded time, in float or in Loihi's integer arithmetic.

Convolutions process all T * B samples at once; only the neurons loop over time, in one autograd function: a compiled
loop (`leaky_kernels`) for float32 on the CPU, three torch operations a step elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.neurons import leaky_kernels as kernels
from spikeport.pipeline.models.neurons.base import (
    DRIVE_LIMIT,
    SLOPE,
    UNIT,
    LoihiNeuron,
    NeuronModel,
    Numerics,
    current_wraps,
)
from spikeport.pipeline.models.neurons.kernel_dispatch import compiles, rows, rows_like, run
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe


class LoihiLeaky(LoihiNeuron, snntorch.Leaky):
    """Leaky integrate-and-fire neurons: `snntorch.Leaky` with reset to zero, without reset delay, over all steps.

    With I the currents, v the membranes before reset and s the spikes, all `[T, B, ...]`:

        v[t] = beta v[t-1] (1 - s[t-1]) + I[t]
        s[t] = 1 where v[t] > threshold, else 0

    In integers (`numerics="loihi"`; x is the value of x times `scale`, V counts 1/64 of a weight unit, a decay is in
    4096ths, and division truncates toward zero):

        V[t] = clamp(trunc(V[t-1] (1 - s[t-1]) (4096 - v_decay) / 4096) + 64 round(I[t]), -2^23 + 1, 2^23 - 1)
        s[t] = 1 where V[t] > 64 vth_mant, else 0

    The gradient is that of the float equations with the fast-sigmoid surrogate; the reset is not detached. `beta` must
    be a multiple of 1/4096 in integers. Sources: snnTorch 1.0 `Leaky`; `export.network.fixed_point`.

    Args:
        beta: share of the membrane that a step leaves, 0 to 1.
        threshold: the membrane must exceed it to fire.
        numerics: see `LoihiNeuron`.
        scale: see `LoihiNeuron`.
    """

    def __init__(
        self, beta: float, threshold: float = 1.0, *, numerics: Numerics = "float", scale: float = 1.0
    ) -> None:
        super().__init__(
            beta=beta,
            threshold=threshold,
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),  # pyright: ignore[reportArgumentType]
            reset_mechanism="zero",
            reset_delay=False,
        )
        # snnTorch lists every neuron in a class attribute, which would keep all of them alive.
        snntorch.SpikingNeuron.instances.remove(self)
        self.numerics: Numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, currents: Tensor, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset; the membrane is 0 before the first step.

        Args:
            currents: `[T, B, ...]`, in units of the threshold.
            mem: unused, for the signature of snnTorch.

        Returns:
            Spikes and membranes, both `[T, B, ...]`.

        Raises:
            UserError: a current is so large that Loihi's 24-bit current would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _LeakyFunction.apply(currents, float(self.beta), float(self.threshold), scale)


class Leaky(NeuronModel):
    """`neuron = "leaky"`."""

    summary = "leaky integrate-and-fire; a current acts in its own step only"
    snntorch_type = snntorch.Leaky

    def make(self, recipe: StudentRecipe, size: int) -> LoihiLeaky:
        return LoihiLeaky(recipe.beta, recipe.v_threshold)

    def adopt(self, neuron: Any, size: int) -> LoihiLeaky:
        return LoihiLeaky(float(neuron.beta), float(neuron.threshold))


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


# Each loop works on one step at a time, which fits a CPU's cache. Spikes are floats throughout, because torch computes
# with booleans several times more slowly.


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
        raise current_wraps(largest)
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

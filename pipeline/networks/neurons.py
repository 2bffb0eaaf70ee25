"""Leaky integrate-and-fire cells over folded time, in float or in Loihi's integer arithmetic.

Convolutions see all T * B samples at once; only the cell walks through time, in one autograd function whose
loop holds three operations a step forwards and one backwards. Both follow snnTorch 1.0's `Leaky` with
`reset_mechanism="zero"` and `reset_delay=False`, and so does the gradient: the reset is not detached there,
so it is not detached here.
"""

from __future__ import annotations

from typing import Any, Literal

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor
from torch.autograd.function import once_differentiable

from export.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from hardware_profiles.errors import UserError

Numerics = Literal["float", "loihi"]
SLOPE = 3.0  # of the fast-sigmoid surrogate 1 / (SLOPE * |v - threshold| + 1)^2
UNIT = 1 << STATE_SHIFT  # membrane units in one weight unit
# Below it the 24-bit current cannot wrap, whatever part of the drive is bias.
DRIVE_LIMIT = STATE_LIMIT - UNIT * BIAS_LIMIT


class LoihiLeaky(snntorch.Leaky):
    """`snntorch.Leaky` (reset to zero, no reset delay) over a whole sequence: currents `[T, B, ...]` to
    spikes.

    v[t] = beta * v[t-1] + current[t]; a spike where v > threshold; v = 0 after a spike.

    `numerics="loihi"` computes the same in integers as the chip does: currents and threshold are integers
    over `scale`, the state integers over 64 * scale, and the decay is truncated toward zero
    (`export.fixed_point`); the gradient is that of the float equations. `scale` (S, times q^2 behind an
    average pool of q x q) is a buffer, so that it is saved with the weights. There `beta` must be a multiple
    of 1/4096.
    """

    scale: Tensor
    beta: Tensor
    threshold: Tensor

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

    @property
    def v_decay(self) -> int:
        """What a step takes from the voltage, in 4096ths."""
        return round(DECAY_ONE * (1.0 - float(self.beta)))

    @property
    def vth_mant(self) -> int:
        """The threshold in weight units."""
        return round(float(self.threshold) * float(self.scale))

    def forward(self, currents: Tensor, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset, both `[T, B, ...]`. The state starts at zero.

        Raises UserError where a current is so large that Loihi's would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _Leak.apply(currents, float(self.beta), float(self.threshold), scale)


class _Leak(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, beta: float, threshold: float, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        if scale is None:
            membranes = _integrate(currents, beta, threshold)
            spikes = (membranes > threshold).to(currents.dtype)
        else:
            spikes, membranes = _integrate_loihi(currents, beta, threshold, scale)
        ctx.save_for_backward(membranes, spikes)
        ctx.beta, ctx.threshold = beta, threshold
        return spikes, membranes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_spikes: Tensor, of_membranes: Tensor) -> tuple[Tensor, None, None, None]:
        """With G[t] = dL/dv after reset, g the surrogate, m the membrane before reset and s the spike:

        dL/dm[t] = dL/ds[t] g + direct part + G[t] (1 - s - m g), and G[t-1] = beta dL/dm[t].
        """
        membranes, spikes = ctx.saved_tensors
        slope = (membranes - ctx.threshold).abs_().mul_(SLOPE).add_(1.0).pow_(-2)
        gradient = torch.addcmul(of_membranes, of_spikes, slope)
        carry = slope.mul_(membranes).add_(spikes).neg_().add_(1.0).mul_(ctx.beta)
        for t in range(len(gradient) - 2, -1, -1):
            gradient[t].addcmul_(carry[t], gradient[t + 1])
        return gradient, None, None, None


def _integrate(currents: Tensor, beta: float, threshold: float) -> Tensor:
    membranes = torch.empty_like(currents)
    kept = torch.zeros_like(currents[0])
    for t, membrane in enumerate(membranes.unbind()):
        torch.add(currents[t], kept, alpha=beta, out=membrane)
        torch.mul(membrane, membrane <= threshold, out=kept)
    return membranes


def _integrate_loihi(currents: Tensor, beta: float, threshold: float, scale: float) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of the integer neuron. Float64 holds every product exactly (24 + 12 bits)."""
    kept_share = 1.0 - round(DECAY_ONE * (1.0 - beta)) / DECAY_ONE
    # On the grid these are integers; rounding removes what a GPU's convolution algorithm may have added.
    drive = (currents.double() * scale).round_().mul_(UNIT)
    largest = float(drive.abs().amax()) if drive.numel() else 0.0
    if largest >= DRIVE_LIMIT:
        raise UserError(
            f"a neuron's input current reaches {largest / UNIT:.0f} weight units, "
            f"and Loihi's current wraps at {STATE_LIMIT // UNIT}",
            mend="use a network with fewer inputs per neuron",
        )
    saturates = largest * len(drive) >= STATE_LIMIT
    limit = UNIT * round(threshold * scale)
    kept = torch.zeros_like(drive[0])
    fired = torch.empty_like(drive, dtype=torch.bool)
    for t, membrane in enumerate(drive.unbind()):
        membrane.add_(kept.mul_(kept_share).trunc_())
        if saturates:
            membrane.clamp_(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        torch.gt(membrane, limit, out=fired[t])
        torch.mul(membrane, ~fired[t], out=kept)
    return fired.to(currents.dtype), drive.div_(UNIT * scale).to(currents.dtype)

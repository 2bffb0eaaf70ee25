"""Recurrent leaky neurons of a dense layer, in float or in Loihi's integer arithmetic."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.neurons.base import (
    DRIVE_LIMIT,
    SLOPE,
    UNIT,
    LoihiNeuron,
    NeuronModel,
    Numerics,
    Place,
    current_wraps,
)
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe


class LoihiRecurrent(LoihiNeuron, snntorch.RLeaky):
    """Recurrent leaky neurons: `snntorch.RLeaky`, all to all, with reset to zero, without reset delay, over all steps.

    With I the currents, v the membranes before reset and s the spikes, all `[T, B, N]`, and V = `recurrent.weight`
    `[N, N]`, which has no bias because the layer before has one:

        v[t] = beta v[t-1] (1 - s[t-1]) + I[t] + V s[t-1]
        s[t] = 1 where v[t] > threshold, else 0

    The integer form is that of `LoihiLeaky` with `round(I[t]) + round(V) s[t-1]` as the drive. Sources: snnTorch 1.0
    `RLeaky`; `export.network.fixed_point`.

    Args:
        size: number of neurons N.
        beta: share of the membrane that a step leaves, 0 to 1.
        threshold: the membrane must exceed it to fire.
        numerics: see `LoihiNeuron`.
        scale: see `LoihiNeuron`.
    """

    recurrent: nn.Linear

    def __init__(
        self, size: int, beta: float, threshold: float = 1.0, *, numerics: Numerics = "float", scale: float = 1.0
    ) -> None:
        super().__init__(
            beta=beta,
            linear_features=size,
            threshold=threshold,
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),  # pyright: ignore[reportArgumentType]
            reset_mechanism="zero",
            reset_delay=False,
        )
        snntorch.SpikingNeuron.instances.remove(self)  # see LoihiLeaky
        self.recurrent = nn.Linear(size, size, bias=False)  # the layer before it has a bias
        self.numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, currents: Tensor, spk: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset; both are 0 before the first step.

        Args:
            currents: `[T, B, N]`, in units of the threshold.
            spk: unused, for the signature of snnTorch.
            mem: unused, for the signature of snnTorch.

        Returns:
            Spikes and membranes, both `[T, B, N]`.

        Raises:
            UserError: a current is so large that Loihi's 24-bit current would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _RecurrentFunction.apply(currents, self.recurrent.weight, float(self.beta), float(self.threshold), scale)

    @property
    def recurrent_synapse(self) -> nn.Linear:
        return self.recurrent


class Recurrent(NeuronModel):
    """`neuron = "recurrent"`: hidden dense layers are recurrent; convolutions and the output layer stay leaky."""

    summary = "leaky, and hidden dense layers also receive their own spikes of the step before"
    places: frozenset[Place] = frozenset({"dense"})
    snntorch_type = snntorch.RLeaky

    def make(self, recipe: StudentRecipe, size: int) -> LoihiRecurrent:
        return LoihiRecurrent(size, recipe.beta, recipe.v_threshold)

    def adopt(self, neuron: Any, size: int) -> LoihiRecurrent:
        if not isinstance(neuron.recurrent, nn.Linear) or neuron.recurrent.bias is not None:
            raise UserError(
                "the recurrence of this RLeaky is not a dense layer without bias",
                hint="use RLeaky(..., linear_features=N) and set its recurrent layer to nn.Linear(N, N, bias=False)",
            )
        if neuron.recurrent.in_features != size:
            raise UserError(
                f"it has {neuron.recurrent.in_features} recurrent features, and the layer before has {size} outputs"
            )
        adopted = LoihiRecurrent(size, float(neuron.beta), float(neuron.threshold))
        adopted.recurrent = neuron.recurrent
        return adopted


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
    w_rec = (weight.double() * scale).round().T
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    mem = spike = torch.zeros_like(currents[0], dtype=torch.float64)
    largest = torch.zeros((), dtype=torch.float64, device=currents.device)
    for t, current in enumerate(currents):
        drive = (current.double() * scale).round() + spike @ w_rec
        largest = torch.maximum(largest, drive.abs().amax())
        state = (mem * decay_factor).trunc() + UNIT * drive
        state = state.clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        spike = (state > limit).double()
        mem = state * (1 - spike)
        spikes[t], membranes[t] = spike, state / (UNIT * scale)
    if float(largest) * UNIT >= DRIVE_LIMIT:
        raise current_wraps(float(largest))
    return spikes, membranes

"""Leaky neurons whose synaptic current decays too, in float or in Loihi's integer arithmetic.

The chip adds a bias to the membrane, never to the current. Therefore the bias belongs to the neurons here, the synapse
before them has none, and the norm between them scales without shifting (`batch_rms_norm`). Float, Loihi and netx are
then one equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT
from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.neurons import synaptic_kernels as kernels
from spikeport.pipeline.models.neurons.base import (
    SLOPE,
    UNIT,
    LoihiNeuron,
    NeuronModel,
    Numerics,
    Synapse,
    current_wraps,
)
from spikeport.pipeline.models.neurons.kernel_dispatch import compiles, rows, rows_like, run
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe


class LoihiSynaptic(LoihiNeuron, snntorch.Synaptic):
    """Leaky neurons with a synaptic current: `snntorch.Synaptic` with reset to zero, without reset delay, over all
    steps, and with a bias of the membrane.

    With I the currents, u the synaptic currents, v the membranes before reset and s the spikes, all `[T, B, N, ...]`:

        u[t] = alpha u[t-1] + I[t]
        v[t] = beta v[t-1] (1 - s[t-1]) + u[t] + bias
        s[t] = 1 where v[t] > threshold, else 0

    In integers (see `LoihiLeaky`; U counts 1/64 of a weight unit):

        U[t] = trunc(U[t-1] (4096 - i_decay) / 4096) + 64 round(I[t])
        V[t] = clamp(trunc(V[t-1] (1 - s[t-1]) (4096 - v_decay) / 4096) + U[t] + 64 round(bias), -2^23 + 1, 2^23 - 1)
        s[t] = 1 where V[t] > 64 vth_mant, else 0

    `alpha` and `beta` must be multiples of 1/4096 there. Sources: snnTorch 1.0 `Synaptic`;
    `export.network.fixed_point`.

    Args:
        size: number of neurons N of a dense layer, or of channels; the length of `bias`.
        alpha: share of the synaptic current that a step leaves, 0 to 1.
        beta: share of the membrane that a step leaves, 0 to 1.
        threshold: the membrane must exceed it to fire.
        numerics: see `LoihiNeuron`.
        scale: see `LoihiNeuron`.
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
            spike_grad=surrogate.fast_sigmoid(slope=SLOPE),  # pyright: ignore[reportArgumentType]
            reset_mechanism="zero",
            reset_delay=False,
        )
        snntorch.SpikingNeuron.instances.remove(self)  # see LoihiLeaky
        self.bias = nn.Parameter(torch.zeros(size))
        self.numerics = numerics
        self.register_buffer("scale", torch.tensor(float(scale)))

    @property
    def i_decay(self) -> int:
        """Share of the synaptic current that a step removes, in 4096ths."""
        return round(DECAY_ONE * (1.0 - float(self.alpha)))

    def bias_owner(self, synapse: Synapse) -> nn.Module:
        return self

    def round_decays(self) -> None:
        super().round_decays()
        self.alpha.copy_(1 - torch.tensor(self.i_decay / DECAY_ONE))

    def forward(self, currents: Tensor, syn: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Spikes of 0 and 1 and membranes before reset; both states are 0 before the first step.

        Args:
            currents: `[T, B, N, ...]`, in units of the threshold.
            syn: unused, for the signature of snnTorch.
            mem: unused, for the signature of snnTorch.

        Returns:
            Spikes and membranes, both `[T, B, N, ...]`.

        Raises:
            UserError: a synaptic current is so large that Loihi's 24-bit current would wrap.
        """
        scale = float(self.scale) if self.numerics == "loihi" else None
        return _SynapticFunction.apply(
            currents, self.bias, float(self.alpha), float(self.beta), float(self.threshold), scale
        )


class Synaptic(NeuronModel):
    """`neuron = "synaptic"`."""

    summary = "leaky, and the synaptic current decays by alpha"
    owns_bias = True
    snntorch_type = snntorch.Synaptic

    def make(self, recipe: StudentRecipe, size: int) -> LoihiSynaptic:
        assert recipe.alpha is not None  # the recipe checks it
        return LoihiSynaptic(size, recipe.alpha, recipe.beta, recipe.v_threshold)

    def adopt(self, neuron: Any, size: int) -> LoihiSynaptic:
        return LoihiSynaptic(size, float(neuron.alpha), float(neuron.beta), float(neuron.threshold))

    def make_norm(self, channels: int, batch_norm: type[nn.Module]) -> nn.Module:
        return BatchRMSNorm(channels)


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
            run(kernels.gradients, rows(membranes), rows(spikes), *given, *numbers, rows(gradient), _step_row(of_bias))
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
        shift = torch.empty_like(currents[0]).copy_(bias)
        run(kernels.integrate, rows(currents), _step_row(shift), *numbers, rows(spikes), rows(membranes))
        return spikes, membranes
    syn = mem = torch.zeros_like(currents[0])
    for t, current in enumerate(currents):
        syn = alpha * syn + current
        membrane = beta * mem + (syn + bias)
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
    shift = (bias.double() * scale).round() * UNIT
    spikes, membranes = torch.empty_like(currents), torch.empty_like(currents)
    if compiles(currents):
        ordered = torch.empty_like(currents[0], dtype=torch.float64).copy_(shift)
        peaks = np.empty(ordered.numel())
        run(
            kernels.integrate_loihi, rows(currents), _step_row(ordered), factor_u, factor_v, limit, scale, float(UNIT),
            float(STATE_LIMIT - 1), rows(spikes), rows(membranes), peaks,
        )  # fmt: skip
        largest = float(peaks.max())
    else:
        syn = mem = torch.zeros_like(currents[0], dtype=torch.float64)
        peak = torch.zeros((), dtype=torch.float64, device=currents.device)
        for t, current in enumerate(currents):
            drive = (current.double() * scale).round() * UNIT
            syn = (syn * factor_u).trunc() + drive
            if drive.numel():
                peak = torch.stack([peak, drive.abs().amax(), syn.abs().amax()]).amax()
            state = ((mem * factor_v).trunc() + syn + shift).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
            fired = (state > limit).double()
            mem = state * (1 - fired)
            spikes[t], membranes[t] = fired, state / (UNIT * scale)
        largest = float(peak)
    if largest >= STATE_LIMIT:
        raise current_wraps(largest / UNIT, "use a network with fewer inputs per neuron, or a smaller student.alpha")
    return spikes, membranes


def _step_row(values: Tensor) -> np.ndarray:
    """`[N]`, a view of one step of dense currents, with neurons in the order of `rows`."""
    return rows(values.unsqueeze(0))[0]

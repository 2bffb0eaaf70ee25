"""Recurrent neurons with a synaptic current against autograd through the equations, and integer NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeport.errors import UserError
from spikeport.pipeline.models.neurons.membrane import LoihiMembrane, LoihiSynapticMembrane
from spikeport.pipeline.models.neurons.recurrent_synaptic import LoihiRecurrentSynaptic

T, B, N = 7, 3, 5


class Surrogate(torch.autograd.Function):
    """A step whose gradient is 1 / (3 |v - threshold| + 1)^2."""

    @staticmethod
    def forward(ctx, distance):
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (distance,) = ctx.saved_tensors
        return gradient / (3 * distance.abs() + 1) ** 2


def drawn(seed: int = 0) -> tuple[LoihiRecurrentSynaptic, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    neurons = LoihiRecurrentSynaptic(N, 0.5, 0.75, 0.75).double()
    with torch.no_grad():
        neurons.recurrent.weight.copy_(0.5 * torch.randn(N, N, generator=generator))
        neurons.bias.copy_(0.1 * torch.randn(N, generator=generator))
    currents = torch.randn(T, B, N, generator=generator, dtype=torch.float64)
    return neurons, currents.requires_grad_()


def test_values_and_gradients_are_those_of_the_equations() -> None:
    neurons, currents = drawn()
    spikes, membranes = neurons(currents)
    slow = state = fired = torch.zeros(B, N, dtype=torch.float64)
    expected, states = [], []
    for current in currents:
        slow = 0.5 * slow + current + fired @ neurons.recurrent.weight.T
        before = 0.75 * state + slow + neurons.bias
        fired = Surrogate.apply(before - 0.75)
        expected.append(fired)
        states.append(before)
        state = before * (1 - fired)
    generator = torch.Generator().manual_seed(1)
    by_spike, by_state = torch.randn(2, T, B, N, generator=generator, dtype=torch.float64)
    trained = (currents, neurons.recurrent.weight, neurons.bias)
    found = torch.autograd.grad((spikes * by_spike + membranes * by_state).sum(), trained)
    wanted = torch.autograd.grad((torch.stack(expected) * by_spike + torch.stack(states) * by_state).sum(), trained)
    assert 0.1 < float(spikes.detach().mean()) < 0.9
    assert torch.equal(spikes, torch.stack(expected))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)  # float64, sums in another order


def test_integers_are_those_of_the_chip() -> None:
    """u <- trunc(u 2048/4096) + 64 (I + V s); v <- trunc(v 3072/4096) + u + 64 b; fires above 64 theta."""
    rng = np.random.default_rng(2)
    weight, bias = 2 * rng.integers(-20, 21, (N, N)), rng.integers(-9, 10, N)
    currents = rng.integers(-40, 60, (T, B, N))
    neurons = LoihiRecurrentSynaptic(N, 0.5, 0.75, 50 / 64, numerics="loihi", scale=64.0)
    with torch.no_grad():
        neurons.recurrent.weight.copy_(torch.tensor(weight / 64))
        neurons.bias.copy_(torch.tensor(bias / 64))
        spikes, membranes = neurons(torch.tensor(currents / 64, dtype=torch.float32))
    u = v = fired = np.zeros((B, N), dtype=np.int64)
    expected = []
    for current in currents:
        u = np.trunc(u * 2048 / 4096).astype(np.int64) + 64 * (current + fired @ weight.T)
        v = np.trunc(v * 3072 / 4096).astype(np.int64) + u + 64 * bias
        fired = (v > 64 * 50).astype(np.int64)
        expected.append((fired, v))
        v = v * (1 - fired)
    assert 0.05 < float(spikes.mean()) < 0.95
    assert np.array_equal(spikes.numpy(), np.array([s for s, _ in expected]))
    assert np.array_equal(membranes.numpy() * 64 * 64, np.array([v for _, v in expected]))


def test_a_current_that_wraps_is_an_error() -> None:
    neurons = LoihiRecurrentSynaptic(1, 0.5, 0.75, numerics="loihi")
    with pytest.raises(UserError, match="wraps"):
        neurons(torch.full((3, 1, 1), 90_000.0))


@pytest.mark.parametrize("numerics", ["float", "loihi"])
def test_membranes_that_are_read_out_never_reset(numerics) -> None:
    """v = 0.75 v + u + b over u = 0.5 u + I, also where v is far above any threshold. All values are dyadic, and 64
    steps of a unit, so that integers lose nothing in three steps."""
    currents = torch.tensor([4.0, -8.0, 16.0]).view(3, 1, 1)
    plain = LoihiMembrane(0.75)
    slow = LoihiSynapticMembrane(1, 0.5, 0.75)
    with torch.no_grad():
        slow.bias.fill_(1.0)
        for each in (plain, slow):
            each.numerics = numerics
        spikes, membranes = plain(currents)
        assert membranes.flatten().tolist() == [4.0, -5.0, 12.25]
        assert not spikes.any()
        assert slow(currents)[1].flatten().tolist() == [5.0, -1.25, 13.0625]
    assert float(plain.threshold) == 1.0

"""Recurrent neurons against snnTorch's own loop (float) and against ten lines of integer NumPy (loihi)."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.pipeline.models.neurons.recurrent import LoihiRecurrent


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_float_numerics_are_snntorchs_loop(beta: float) -> None:
    """Same spikes, same membranes after reset, same gradients of currents and recurrent weights, through both outputs.

    Float64: sums in another order differ in the last bits, which 1e-12 covers and no random membrane hits. The
    gradient's tolerance is larger since snnTorch's surrogate returns float32.
    """
    generator = torch.Generator().manual_seed(3)
    currents = torch.randn(7, 2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight_spikes, weight_membranes = torch.randn(2, 7, 2, 5, generator=generator, dtype=torch.float64)
    cell = LoihiRecurrent(5, beta, 0.8).double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.randn(5, 5, generator=generator))
    plain = snntorch.RLeaky(
        beta=beta, linear_features=5, threshold=0.8, spike_grad=cell.spike_grad, reset_mechanism="zero",
        reset_delay=False,
    ).double()  # fmt: skip
    plain.recurrent = cell.recurrent

    spikes, membranes = cell(currents)
    after_reset = membranes * (1 - spikes)
    loss = (spikes * weight_spikes + after_reset * weight_membranes).sum()
    gradients = torch.autograd.grad(loss, (currents, cell.recurrent.weight))

    spike = state = torch.zeros_like(currents[0])
    loop_spikes, loop_states = [], []
    for current in currents:
        spike, state = plain(current, spike.double(), state)
        loop_spikes.append(spike)
        loop_states.append(state)
    loop_loss = (torch.stack(loop_spikes) * weight_spikes + torch.stack(loop_states) * weight_membranes).sum()
    loop_gradients = torch.autograd.grad(loop_loss, (currents, cell.recurrent.weight))

    assert 0.05 < float(spikes.detach().mean()) < 0.6
    assert torch.equal(spikes, torch.stack(loop_spikes))
    torch.testing.assert_close(after_reset, torch.stack(loop_states), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradients, loop_gradients, atol=1e-5, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    v_decay=st.integers(0, 4096),
    vth_mant=st.one_of(st.integers(1, 400), st.integers(401, 131071)),
    scale=st.sampled_from([2.0**k for k in range(0, 13, 3)]),
    spread=st.sampled_from([3, 300, 20_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_loihi_numerics_are_the_integer_neuron(
    v_decay: int, vth_mant: int, scale: float, spread: int, seed: int
) -> None:
    """Spikes equal exactly, and membranes equal integers over 64 S."""
    rng = np.random.default_rng(seed)
    drive, loop = rng.integers(-spread, spread + 1, (6, 2, 5)), 2 * rng.integers(-127, 128, (5, 5))
    cell = LoihiRecurrent(5, 1 - v_decay / 4096, vth_mant / scale, numerics="loihi", scale=scale).double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.from_numpy(loop / scale))
    spikes, membranes = cell(torch.from_numpy(drive / scale))
    v, fired = np.zeros((2, 5), dtype=np.int64), np.zeros((2, 5), dtype=np.int64)
    for t in range(6):
        v = np.sign(v) * ((np.abs(v) * (4096 - v_decay)) >> 12) + 64 * (drive[t] + fired @ loop.T)
        v = np.clip(v, -(2**23) + 1, 2**23 - 1)
        fired = (v > 64 * vth_mant).astype(np.int64)
        assert np.array_equal(membranes[t].detach().numpy() * 64 * scale, v)
        assert np.array_equal(spikes[t].detach().numpy(), fired)
        v = np.where(fired, 0, v)


def test_by_hand() -> None:
    """Two neurons: the first driven once, excites the second, which inhibits the first. No leak, threshold 1."""
    cell = LoihiRecurrent(2, 1.0, 1.0)
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.tensor([[0.0, -0.75], [1.5, 0.25]]))
    currents = torch.zeros(4, 1, 2)
    currents[0, 0, 0] = 2.0
    spikes, membranes = cell(currents)
    assert spikes[:, 0].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    assert membranes[:, 0].tolist() == [[2, 0], [0, 1.5], [-0.75, 0.25], [-0.75, 0.25]]


def test_a_current_that_would_wrap_is_refused() -> None:
    """Neither half alone is too large: 100,000 from before and 300 of 127 by the loop."""
    cell = LoihiRecurrent(300, 0.0, 10.0, numerics="loihi")
    with torch.no_grad():
        cell.recurrent.weight.fill_(126)
    currents = torch.full((2, 1, 300), 100_000.0)
    cell(currents[:1])
    with pytest.raises(UserError, match=r"current reaches 137800 weight units.*wraps at 131072"):
        cell(currents)

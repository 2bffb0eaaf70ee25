"""Cells against snnTorch's own loop (float) and against ten lines of integer NumPy (loihi)."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_neurons import integer_neurons, loihi_leaky

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import STATE_LIMIT
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.75, 1.0])
def test_float_numerics_are_snntorchs_loop(beta: float) -> None:
    """Same spikes, same membranes after reset, same gradients, through both outputs.

    Float64: a fused multiply-add may differ in the last bit, which 1e-12 covers and no random membrane hits.
    The gradient's tolerance is larger since snnTorch's surrogate returns float32.
    """
    generator = torch.Generator().manual_seed(3)
    currents = torch.randn(7, 2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight_spikes, weight_membranes = torch.randn(2, 7, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    cell = LoihiLeaky(beta, 0.8).double()
    plain = snntorch.Leaky(
        beta=beta, threshold=0.8, spike_grad=cell.spike_grad, reset_mechanism="zero", reset_delay=False
    ).double()

    spikes, membranes = cell(currents)
    after_reset = membranes * (1 - spikes)
    (gradient,) = torch.autograd.grad((spikes * weight_spikes + after_reset * weight_membranes).sum(), currents)

    state, loop_spikes, loop_states = torch.zeros_like(currents[0]), [], []
    for current in currents:
        spike, state = plain(current, state)
        loop_spikes.append(spike)
        loop_states.append(state)
    loop_loss = (torch.stack(loop_spikes) * weight_spikes + torch.stack(loop_states) * weight_membranes).sum()
    (loop_gradient,) = torch.autograd.grad(loop_loss, currents)

    assert 0.05 < float(spikes.detach().mean()) < 0.5
    assert torch.equal(spikes, torch.stack(loop_spikes))
    torch.testing.assert_close(after_reset, torch.stack(loop_states), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, loop_gradient, atol=1e-6, rtol=0)


@settings(max_examples=150, deadline=None)
@given(
    v_decay=st.integers(0, 4096),
    vth_mant=st.one_of(st.integers(1, 400), st.integers(401, 131071)),
    scale=st.sampled_from([2.0**k for k in range(13)]),
    bias=st.integers(-4095, 4095),
    spread=st.sampled_from([3, 300, 20_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_loihi_numerics_are_the_integer_neuron(
    v_decay: int, vth_mant: int, scale: float, bias: int, spread: int, seed: int
) -> None:
    """Spikes equal exactly, and membranes equal integers over 64 S, for every decay, threshold and sign of
    state."""
    drive = np.random.default_rng(seed).integers(-spread, spread + 1, (6, 2, 3, 4, 5)) + bias
    expected_spikes, expected_voltages = integer_neurons(drive, v_decay, vth_mant)
    spikes, membranes = loihi_leaky(v_decay, vth_mant, scale)(torch.from_numpy(drive / scale))
    assert np.array_equal(spikes.numpy(), expected_spikes)
    assert np.array_equal(membranes.numpy() * 64 * scale, expected_voltages)


@settings(max_examples=40, deadline=None)
@given(v_decay=st.integers(0, 200), sign=st.sampled_from([-1, 1]), seed=st.integers(0, 2**32 - 1))
def test_loihi_voltage_saturates_where_24_bits_end(v_decay: int, sign: int, seed: int) -> None:
    """Currents just below the wrap drive the voltage into both limits; still the integer neuron."""
    drive = sign * np.random.default_rng(seed).integers(100_000, 126_000, (9, 3, 2))
    expected_spikes, expected_voltages = integer_neurons(drive, v_decay, 131071)
    spikes, membranes = loihi_leaky(v_decay, 131071, 1.0)(torch.from_numpy(drive.astype(np.float64)))
    assert np.array_equal(spikes.numpy(), expected_spikes)
    assert np.array_equal(membranes.numpy() * 64, expected_voltages)
    if sign < 0 and v_decay == 0:
        assert int(expected_voltages.min()) == -STATE_LIMIT + 1


def test_a_state_of_minus_one_decays_to_zero() -> None:
    """Truncation toward zero: -1/64 of a unit is gone after any decay, 4095/4096 or not."""
    state = torch.tensor([[-1.0], [0.0]], dtype=torch.float64)
    assert integer_neurons(np.array([[-1], [0]]), 1, 5)[1].ravel().tolist() == [-64, -63]
    _, membranes = loihi_leaky(1, 5, 1.0)(state)
    assert (membranes * 64).ravel().tolist() == [-64.0, -63.0]
    long = torch.zeros(200, 1, dtype=torch.float64)
    long[0] = -1.0
    _, membranes = loihi_leaky(512, 5, 1.0)(long)
    assert float(membranes[-1]) == 0.0  # rounding down would have stayed at -1 for ever
    assert (membranes[:20] < 0).all()


@pytest.mark.parametrize(("current", "fires"), [(199, 0.0), (200, 0.0), (201, 1.0)])
def test_a_voltage_on_the_threshold_does_not_fire(current: int, fires: float) -> None:
    for cell in (loihi_leaky(1024, 200, 64.0), LoihiLeaky(0.75, 200 / 64)):
        spikes, _ = cell(torch.full((1, 1, 1), current / 64))
        assert spikes.item() == fires


def test_a_current_that_would_wrap_is_refused() -> None:
    with pytest.raises(UserError, match=r"reaches 131000 weight units.*wraps at 131072.*Hint: use"):
        loihi_leaky(0, 5, 1.0)(torch.full((2, 1), -131000.0))


def test_loihi_gradient_is_straight_through() -> None:
    """On currents whose decays truncate nothing, both numerics have the same states, so the same gradient."""
    drive = torch.randint(-30, 60, (5, 2, 3), generator=torch.Generator().manual_seed(0)).double() * 64
    gradients = []
    for numerics in ("float", "loihi"):
        currents = (drive / 64).requires_grad_()
        cell = LoihiLeaky(0.5, 40.0, numerics=numerics, scale=64.0).double()
        spikes, membranes = cell(currents)
        (spikes.cumsum(0) + membranes**2).sum().backward()
        assert torch.equal(currents, drive / 64)  # the cell leaves its input alone
        gradients.append(currents.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert float(gradients[0].abs().min()) > 0


def test_cells_are_not_kept_alive_by_snntorch() -> None:
    before = len(snntorch.SpikingNeuron.instances)
    LoihiLeaky(0.5)
    assert len(snntorch.SpikingNeuron.instances) == before


@pytest.mark.parametrize("through", ["spikes", "membranes", "both"])
def test_compiled_loops_are_snntorchs_in_float32(through: str) -> None:
    """Spikes and membranes equal bit for bit; more neurons than one block of the loop holds, and none left over.

    Gradients to 1e-4 of the largest: the surrogate's operations come in another order.
    """
    generator = torch.Generator().manual_seed(5)
    currents = torch.randn(6, 2, 3, 13, 17, generator=generator, requires_grad=True)
    weight_spikes, weight_membranes = torch.randn(2, *currents.shape, generator=generator)
    weight_spikes = weight_spikes * (through != "membranes")
    weight_membranes = weight_membranes * (through != "spikes")
    cell = LoihiLeaky(0.7, 0.8)
    plain = snntorch.Leaky(
        beta=0.7, threshold=0.8, spike_grad=cell.spike_grad, reset_mechanism="zero", reset_delay=False
    )
    spikes, membranes = cell(currents)
    parts = {"spikes": weight_spikes * spikes, "membranes": weight_membranes * membranes * (1 - spikes)}
    loss = sum(part.sum() for name, part in parts.items() if through in (name, "both"))
    (gradient,) = torch.autograd.grad(loss, currents)

    state, loop_spikes, loop_states = torch.zeros_like(currents[0]), [], []
    for current in currents:
        spike, state = plain(current, state)
        loop_spikes.append(spike)
        loop_states.append(state)
    loop_loss = (torch.stack(loop_spikes) * weight_spikes + torch.stack(loop_states) * weight_membranes).sum()
    (loop_gradient,) = torch.autograd.grad(loop_loss, currents)
    assert torch.equal(spikes, torch.stack(loop_spikes))
    assert torch.equal(membranes * (1 - spikes), torch.stack(loop_states))
    torch.testing.assert_close(gradient, loop_gradient, atol=1e-4 * float(loop_gradient.abs().max()), rtol=0)


@settings(max_examples=30, deadline=None)
@given(v_decay=st.integers(0, 4096), spread=st.sampled_from([300, 20_000, 120_000]), seed=st.integers(0, 2**32 - 1))
def test_compiled_loihi_loop_is_the_integer_neuron(v_decay: int, spread: int, seed: int) -> None:
    """In float32, which the compiled loop takes: spikes equal, membranes equal once rounded to float32."""
    drive = np.random.default_rng(seed).integers(-spread, spread + 1, (7, 2, 3, 11, 19))
    expected_spikes, expected_voltages = integer_neurons(drive, v_decay, 9001)
    spikes, membranes = loihi_leaky(v_decay, 9001, 64.0)(torch.from_numpy(drive / 64).float())
    assert np.array_equal(spikes.numpy(), expected_spikes)
    assert np.array_equal(membranes.numpy(), (expected_voltages / 4096).astype(np.float32))

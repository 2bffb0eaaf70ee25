"""Synaptic currents against the loop of snnTorch (float numerics) and integer NumPy (Loihi numerics)."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic

DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 0.0)])


@DTYPES
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.3), (0.4, 0.75), (0.75, 0.4), (0.5, 1.0)])
def test_float_numerics_are_snntorchs_loop(alpha: float, beta: float, dtype: torch.dtype, tolerance: float) -> None:
    """Without a bias: same spikes and membranes after reset, in float32 (the compiled loops, with more neurons than one
    block of theirs) bit for bit, and the same gradient.

    Gradients are sums in another order, and snnTorch's surrogate returns float32.
    """
    generator = torch.Generator().manual_seed(3)
    currents, weight_spikes, weight_membranes = 0.6 * torch.randn(3, 7, 2, 3, 11, 17, generator=generator, dtype=dtype)
    currents.requires_grad_()
    cell = LoihiSynaptic(3, alpha, beta, 0.8).to(dtype)
    plain = snntorch.Synaptic(
        alpha=alpha, beta=beta, threshold=0.8, spike_grad=cell.spike_grad, reset_mechanism="zero", reset_delay=False
    ).to(dtype)

    spikes, membranes = cell(currents)
    after_reset = membranes * (1 - spikes)
    (gradient,) = torch.autograd.grad((spikes * weight_spikes + after_reset * weight_membranes).sum(), currents)

    slow = state = torch.zeros_like(currents[0])
    fired, states = [], []
    for current in currents:
        spike, slow, state = plain(current, slow, state)
        fired.append(spike)
        states.append(state)
    loop_loss = (torch.stack(fired) * weight_spikes + torch.stack(states) * weight_membranes).sum()
    (loop_gradient,) = torch.autograd.grad(loop_loss, currents)

    assert 0.05 < float(spikes.detach().mean()) < 0.6
    assert torch.equal(spikes, torch.stack(fired).to(dtype))
    torch.testing.assert_close(after_reset, torch.stack(states), atol=tolerance, rtol=0)
    torch.testing.assert_close(gradient, loop_gradient, atol=2e-5, rtol=1e-5)


@DTYPES
@pytest.mark.parametrize("through", ["spikes", "membranes", "both"])
def test_the_bias_joins_the_membrane(through: str, dtype: torch.dtype, tolerance: float) -> None:
    """The equations with a bias, and autograd through them, against currents that have channels last in memory, as
    convolutions give them. Tolerances as above; a bias's gradient sums 2,618."""
    generator = torch.Generator().manual_seed(4)
    currents, weight_spikes, weight_membranes = 0.6 * torch.randn(3, 7, 2, 3, 11, 17, generator=generator, dtype=dtype)
    currents.requires_grad_()
    cell = LoihiSynaptic(3, 0.75, 0.625, 0.875).to(dtype)
    with torch.no_grad():
        cell.bias.copy_(torch.tensor([-0.4, 0.03, 0.2]))

    def loss(spikes: torch.Tensor, membranes: torch.Tensor) -> torch.Tensor:
        parts = {"spikes": (spikes * weight_spikes).sum(), "membranes": (membranes * weight_membranes).sum()}
        return sum(parts.values()) if through == "both" else parts[through]

    u = after_reset = torch.zeros_like(currents[0])
    fired, states = [], []
    for current in currents:
        u = 0.75 * u + current
        v = 0.625 * after_reset + (u + cell.bias.view(3, 1, 1))
        spike = cell.spike_grad(v - 0.875).to(dtype)
        after_reset = v - spike * v
        fired.append(spike)
        states.append(v)
    expected = torch.autograd.grad(loss(torch.stack(fired), torch.stack(states)), (currents, cell.bias))

    spikes, membranes = cell(currents.movedim(2, -1).contiguous().movedim(-1, 2))
    assert torch.equal(spikes, torch.stack(fired))
    torch.testing.assert_close(membranes, torch.stack(states), atol=tolerance, rtol=0)
    found = torch.autograd.grad(loss(spikes, membranes), (currents, cell.bias))
    assert [each.shape for each in found] == [currents.shape, (3,)]
    torch.testing.assert_close(found[0], expected[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], expected[1], atol=2e-3, rtol=1e-5)


def integer_neurons(
    drive: np.ndarray, bias: np.ndarray, i_decay: int, v_decay: int, vth_mant: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Spikes, voltages before reset and the largest current of `drive` [T, B, N] (weight units)."""
    u, v, largest = np.zeros(drive.shape[1:], dtype=np.int64), np.zeros(drive.shape[1:], dtype=np.int64), 0
    spikes, voltages = np.zeros_like(drive), np.zeros_like(drive)
    for t in range(len(drive)):
        u = np.sign(u) * ((np.abs(u) * (4096 - i_decay)) >> 12) + 64 * drive[t]
        largest = max(largest, int(np.abs(u).max()))
        v = np.sign(v) * ((np.abs(v) * (4096 - v_decay)) >> 12) + u + 64 * bias
        v = np.clip(v, -(2**23) + 1, 2**23 - 1)
        voltages[t], spikes[t] = v, v > 64 * vth_mant
        v = np.where(v > 64 * vth_mant, 0, v)
    return spikes, voltages, largest


@settings(max_examples=150, deadline=None)
@given(
    i_decay=st.integers(0, 4096),
    v_decay=st.integers(0, 4096),
    vth_mant=st.one_of(st.integers(1, 400), st.integers(401, 131071)),
    scale=st.sampled_from([2.0**k for k in range(0, 13, 3)]),
    spread=st.sampled_from([3, 300, 20_000, 60_000]),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_loihi_numerics_are_the_integer_neuron(
    i_decay: int, v_decay: int, vth_mant: int, scale: float, spread: int, single: bool, seed: int
) -> None:
    """Spikes equal exactly, membranes equal integers over 64 S, compiled (float32) and not; or a current that would
    wrap is refused, and only then."""
    rng = np.random.default_rng(seed)
    drive, bias = rng.integers(-spread, spread + 1, (9, 2, 5)) + spread // 3, rng.integers(-4095, 4096, 5)
    spikes, voltages, largest = integer_neurons(drive, bias, i_decay, v_decay, vth_mant)
    cell = LoihiSynaptic(5, 1 - i_decay / 4096, 1 - v_decay / 4096, vth_mant / scale, numerics="loihi", scale=scale)
    with torch.no_grad():
        cell.bias.copy_(torch.from_numpy(bias / scale))
    currents = torch.from_numpy(drive / scale).to(torch.float32 if single else torch.float64)
    if largest >= 2**23:
        with pytest.raises(UserError, match=r"current reaches \d+ weight units, and Loihi's current wraps at 131072"):
            cell(currents)
    else:
        found, membranes = cell(currents)
        assert np.array_equal(found.detach().numpy(), spikes)
        assert np.array_equal(membranes.double().detach().numpy() * 64 * scale, voltages)


def test_by_hand() -> None:
    """One spike of weight 4 (256 in 64ths), both decays a half, bias -1, threshold 3: u 256, 128, 64, 32; v 192, not
    above 192, then 96 + 128 - 64 = 160, 80 + 64 - 64 = 80, 40 + 32 - 64 = 8."""
    for numerics in ("float", "loihi"):
        cell = LoihiSynaptic(1, 0.5, 0.5, 3.0, numerics=numerics)
        with torch.no_grad():
            cell.bias.fill_(-1.0)
        spikes, membranes = cell(torch.tensor([4.0, 0, 0, 0]).view(4, 1, 1))
        assert (membranes * 64).ravel().tolist() == [192, 160, 80, 8]
        assert not spikes.any()


def test_the_current_outlives_a_spike() -> None:
    cell = LoihiSynaptic(1, 0.5, 0.5, 3.0)
    spikes, membranes = cell(torch.tensor([8.0, 0, 0]).view(3, 1, 1))
    assert membranes.ravel().tolist() == [8, 4, 2]
    assert spikes.ravel().tolist() == [1, 1, 0]


def test_loihi_gradient_is_straight_through() -> None:
    """On currents whose decays truncate nothing both numerics have the same states, so the same gradients."""
    drive = torch.randint(-30, 60, (5, 2, 3), generator=torch.Generator().manual_seed(0)).double() * 64
    found = []
    for numerics in ("float", "loihi"):
        currents = (drive / 64).requires_grad_()
        cell = LoihiSynaptic(3, 0.5, 0.5, 40.0, numerics=numerics, scale=64.0).double()
        spikes, membranes = cell(currents)
        (spikes.cumsum(0) + membranes**2).sum().backward()
        found.append((currents.grad, cell.bias.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert float(found[0][0].abs().min()) > 0


def test_the_norm_scales_and_does_not_shift() -> None:
    """By its formula; the moving average takes a tenth of the batch's; zero stays zero; parts of a batch on several
    processes are one batch."""
    norm, x = BatchRMSNorm(3), torch.randn(5, 3, 2, 4, generator=torch.Generator().manual_seed(1)) + 0.7
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
    square = (x**2).mean((0, 2, 3))
    expected = x * (norm.weight / (square + 1e-5).sqrt()).view(1, 3, 1, 1)
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm.mean_square, 0.9 + 0.1 * square)
    total = torch.cat([(x**2).sum((0, 2, 3)), torch.tensor([40.0])])
    torch.testing.assert_close(norm(x[:2], all_reduce=lambda values: total), expected[:2])
    torch.testing.assert_close(norm.mean_square, 0.81 + 0.19 * square)
    norm.eval()
    torch.testing.assert_close(norm(x), x * (norm.weight / (norm.mean_square + 1e-5).sqrt()).view(1, 3, 1, 1))
    assert not norm(torch.zeros(2, 3)).any()

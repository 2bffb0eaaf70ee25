"""The compiled loops over any layout, any number of threads and in forked processes, against NumPy and torch's loop."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_neurons import integer_neurons, loihi_leaky
from torch import Tensor

from spikeport.pipeline.models.neurons import kernel_dispatch as fused
from spikeport.pipeline.models.neurons.base import SLOPE
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky

SHAPE = (6, 2, 3, 13, 17)  # more neurons than one block of the loops holds, and none left over


def leaky_neurons(currents: np.ndarray, beta: float, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes before reset in float32, one rounding a product and one a sum."""
    mem = np.zeros_like(currents[0])
    spikes, membranes = np.zeros_like(currents), np.zeros_like(currents)
    for t, current in enumerate(currents):
        membranes[t] = np.float32(beta) * mem + current
        spikes[t] = membranes[t] > np.float32(threshold)
        mem = np.where(spikes[t] > 0, np.float32(0), membranes[t])
    return spikes, membranes


def leaky_gradient(
    membranes: np.ndarray, spikes: np.ndarray, grad_spk: np.ndarray, grad_mem: np.ndarray, beta: float
) -> np.ndarray:
    """dL/dcurrent in float64: dL/dm[t] = ds g + dm + G (1 - s - m g), G[t-1] = beta dL/dm[t], threshold 0.8."""
    g = (1 + SLOPE * np.abs(membranes.astype(np.float64) - 0.8)) ** -2
    gradient, after = np.zeros(membranes.shape), np.zeros(membranes.shape[1:])
    for t in reversed(range(len(membranes))):
        gradient[t] = grad_spk[t] * g[t] + grad_mem[t] + after * (1 - spikes[t] - membranes[t] * g[t])
        after = beta * gradient[t]
    return gradient


def ordered(values: Tensor, order: tuple[int, ...]) -> Tensor:
    """The same values, its dimensions in `order` in memory."""
    back = [order.index(dimension) for dimension in range(values.ndim)]
    return values.permute(order).contiguous().permute(back)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


LAYOUTS = [(0, 1, 2, 3, 4), (0, 1, 3, 4, 2), (0, 4, 2, 1, 3), (1, 0, 2, 3, 4), (2, 3, 4, 1, 0)]


@pytest.mark.parametrize("of_layout", LAYOUTS[:4:3] + LAYOUTS[1:2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_bits(layout: tuple[int, ...], of_layout: tuple[int, ...]) -> None:
    """Channels last, time inside (which torch's loop takes) and whatever a loss gives back.

    Torch's loop may fuse the product with the sum: one rounding less, so its membranes to 2 ulp of the largest, 4.
    Gradients to 1e-5 of the largest: a float32 reciprocal and six products.
    """
    generator = torch.Generator().manual_seed(7)
    values, grad_spk, grad_mem = torch.randn(3, *SHAPE, generator=generator)
    currents = ordered(values, layout).requires_grad_()
    spikes, membranes = LoihiLeaky(0.7, 0.8)(currents)
    expected_spikes, expected_membranes = leaky_neurons(values.numpy(), 0.7, 0.8)
    assert np.array_equal(spikes.detach().numpy(), expected_spikes)
    if layout[0] == 0:
        assert np.array_equal(membranes.detach().numpy(), expected_membranes)
        assert membranes.stride() == spikes.stride() == currents.stride()
    else:
        np.testing.assert_allclose(membranes.detach().numpy(), expected_membranes, atol=2 * np.spacing(np.float32(4)))
    (gradient,) = torch.autograd.grad(
        (spikes, membranes), currents, (ordered(grad_spk, of_layout), ordered(grad_mem, of_layout))
    )
    expected = leaky_gradient(expected_membranes, expected_spikes, grad_spk.numpy(), grad_mem.numpy(), 0.7)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_gradients_that_are_one_value_spread_out_or_slices() -> None:
    """What `sum()` and slicing give: strides of 0, and steps that do not follow each other."""
    generator = torch.Generator().manual_seed(9)
    values, wide = torch.randn(SHAPE, generator=generator), torch.randn(6, 2, 5, 13, 17, generator=generator)
    currents = values.clone().requires_grad_()
    outputs = LoihiLeaky(0.7, 0.8)(currents)
    spread, slices = torch.tensor(0.5).expand(SHAPE), wide[:, :, 1:4]
    (gradient,) = torch.autograd.grad(outputs, currents, (spread, slices))
    spikes, membranes = leaky_neurons(values.numpy(), 0.7, 0.8)
    expected = leaky_gradient(membranes, spikes, spread.numpy(), slices.numpy(), 0.7)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(
    v_decay=st.integers(0, 4096),
    spread=st.sampled_from([300, 20_000, 120_000]),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**32 - 1),
)
def test_loihi_loop_in_every_layout(v_decay: int, spread: int, layout: tuple[int, ...], seed: int) -> None:
    """Compiled loop and torch's float64: both the int64 neuron, its membranes exact also in float32."""
    drive = np.random.default_rng(seed).integers(-spread, spread + 1, (7, 2, 3, 11, 19))
    expected_spikes, expected_voltages = integer_neurons(drive, v_decay, 9001)
    currents = ordered(torch.from_numpy(drive / 64), layout)
    for given_type in (torch.float32, torch.float64):
        spikes, membranes = loihi_leaky(v_decay, 9001, 64.0)(currents.to(given_type))
        assert np.array_equal(spikes.numpy(), expected_spikes)
        assert np.array_equal(membranes.double().numpy() * 4096, expected_voltages)


def many_neurons() -> tuple[np.ndarray, list[np.ndarray]]:
    """Currents of enough neurons for several threads, and what they give."""
    currents = np.random.default_rng(3).standard_normal((9, 5, 7, 41, 43), dtype=np.float32)
    return currents, list(leaky_neurons(currents, 0.9, 1.0))


def matches(currents: np.ndarray, expected: list[np.ndarray]) -> bool:
    outputs = LoihiLeaky(0.9, 1.0)(torch.from_numpy(currents))
    return all(np.array_equal(one.numpy(), other) for one, other in zip(outputs, expected, strict=True))


def test_threads_share_the_neurons(three_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three parts, which overlap nowhere and leave none out; called from several threads at once as well."""
    currents, expected = many_neurons()
    shares: list[range] = []

    def noting(begin: int, end: int, rows: np.ndarray) -> None:
        shares.append(range(begin, end))

    monkeypatch.setattr(fused, "_pool", None)
    fused.run(noting, currents.reshape(9, -1))
    assert len(shares) == 3
    assert sorted(neuron for share in shares for neuron in share) == list(range(currents[0].size))
    with ThreadPoolExecutor(4) as several:
        assert all(several.map(lambda _: matches(currents, expected), range(8)))


def test_one_thread_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_threads", lambda: pytest.fail("a thread was asked for"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert matches(*many_neurons())
    finally:
        torch.set_num_threads(before)


def in_child(currents: np.ndarray, expected: list[np.ndarray], answer: multiprocessing.SimpleQueue[bool]) -> None:
    torch.set_num_threads(2)
    answer.put(matches(currents, expected))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own(three_threads: None) -> None:
    """The parent's threads are running when the child starts, and are not the child's."""
    currents, expected = many_neurons()
    fused.run(lambda begin, end, rows: None, currents.reshape(9, -1))
    assert fused._pool is not None
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=in_child, args=(currents, expected, answer))
    child.start()
    child.join(60)
    if child.is_alive():
        child.terminate()
        pytest.fail("the child waits for threads that it does not have")
    assert answer.get()

"""Recurrent convolutions, and pools and factors that do not fold into a convolution, become matrices, exactly."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
import snntorch
import torch
from live_modules import DT, leaky, live_spikes, on_grid
from nir_oracle import run_nir
from torch import nn

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import one_chain
from spikeport.export.quantization.quantize import quantize

GRID = 64.0


def frames_of(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def recurrent_modules() -> list[tuple[str, nn.Module]]:
    """A recurrent convolution between convolutions; sizes differ everywhere."""
    loop = snntorch.RLeaky(beta=1.0, conv2d_channels=3, kernel_size=3, threshold=1.5, reset_mechanism="zero",
                           reset_delay=False)  # fmt: skip
    on_grid(loop.recurrent, 4, largest=12)
    return [
        ("conv1", on_grid(nn.Conv2d(2, 3, (3, 2), bias=False), 1)), ("loop", loop),
        ("conv2", on_grid(nn.Conv2d(3, 2, 2, stride=(1, 2)), 2)), ("lif", leaky(4096, 0.75)),
        ("flatten", nn.Flatten()), ("fc", on_grid(nn.Linear(2 * 3 * 2, 4), 3)), ("out", leaky(0, 1.0)),
    ]  # fmt: skip


def test_a_recurrent_convolution_of_snntorch() -> None:
    modules, frames = recurrent_modules(), frames_of(1, 13, 2, 6, 6)
    expected = live_spikes(modules, frames)
    assert 0 < expected.mean() < 1
    graph = to_spiking_graph(modules, (2, 6, 6), DT, scales=dict.fromkeys(("conv1", "conv2", "fc"), GRID))
    np.testing.assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    np.testing.assert_array_equal(run_nir(one_chain(graph).nir_graph, DT, frames), expected)
    network, _ = quantize(graph)
    np.testing.assert_array_equal(simulate(network, frames[None]).spikes[0], expected)
    shapes = [layer.weight.shape for layer in network.layers]
    assert shapes == [(60, 72), (12, 60), (4, 12)]
    assert network.layers[0].weight_rec.shape == (60, 60)
    notes = one_chain(graph).notes
    count = np.count_nonzero(network.layers[0].weight_rec)
    assert any(f"a recurrent matrix of 60 x 60 weights, {count:,} of them not 0" in note for note in notes)


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_lava_runs_a_recurrent_convolution() -> None:
    frames = frames_of(1, 13, 2, 6, 6)
    graph = to_spiking_graph(recurrent_modules(), (2, 6, 6), DT, scales=dict.fromkeys(("conv1", "conv2", "fc"), GRID))
    found = compare_backends(quantize(graph)[0], frames[None], ("reference", "lava"))
    assert found.comparison.mismatches == 0
    np.testing.assert_array_equal(found.trace.spikes[0], live_spikes(recurrent_modules(), frames))


def test_the_loop_is_kept_in_the_file(tmp_path) -> None:
    graph = to_spiking_graph(recurrent_modules(), (2, 6, 6), DT)
    graph.save(tmp_path / "g.nir")
    frames = frames_of(2, 9, 2, 6, 6)
    np.testing.assert_array_equal(
        run_nir(load_graph(tmp_path / "g.nir").nir_graph, DT, frames), run_nir(graph.nir_graph, DT, frames)
    )


def loop_graph(padding: int, size: int = 5) -> SpikingGraph:
    """A CubaLIF with a convolution from its spikes to its input."""
    rng = np.random.default_rng(3)
    shape = (2, size, size + 1)
    neuron = nir.CubaLIF(
        tau_syn=np.full(shape, 2 * DT), tau_mem=np.full(shape, 4 * DT), r=np.full(shape, 4.0), w_in=np.full(shape, 2.0),
        v_leak=np.zeros(shape), v_threshold=np.full(shape, 2.0), v_reset=np.zeros(shape),
    )  # fmt: skip
    nodes = {
        "input": nir.Input({"input": np.array(shape)}), "neuron": neuron,
        "conv": nir.Conv2d(shape[1:], rng.integers(-3, 6, (2, 2, 1, 1)).astype(float), 1, 0, 1, 1, np.zeros(2)),
        "back": nir.Conv2d(shape[1:], rng.integers(-2, 3, (2, 2, 3, 3)) / 4, 1, padding, 1, 1, np.zeros(2)),
        "output": nir.Output({"output": np.array(shape)}),
    }  # fmt: skip
    edges = [("input", "conv"), ("conv", "neuron"), ("neuron", "back"), ("back", "neuron"), ("neuron", "output")]
    return SpikingGraph(nir_graph=nir.NIRGraph(nodes, edges, type_check=False), dt_s=DT, input_shape=shape)


def test_a_convolution_around_currents_that_last() -> None:
    graph, frames = loop_graph(padding=1), frames_of(4, 15, 2, 5, 6)
    expected = run_nir(graph.nir_graph, DT, frames)
    assert 0 < expected.mean() < 1
    found = run_nir(one_chain(graph).nir_graph, DT, frames)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_loops_that_change_the_size_or_are_too_large_are_refused() -> None:
    with pytest.raises(UserError, match=r"back: leads \(2, 5, 6\) back as \(2, 3, 4\).*padding that keeps the size"):
        quantize(loop_graph(padding=0))
    with pytest.raises(UserError, match="would become a layer of 185286544 weights"):
        quantize(loop_graph(padding=1, size=82))


POOLS = {
    "padding not counted": nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "overlapping and padded": nn.AvgPool2d(3, stride=2, padding=1),
    "another divisor": nn.AvgPool2d(2, stride=1, divisor_override=3),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("behind", [True, False])
def test_padded_pools_beside_padded_convolutions(name: str, behind: bool) -> None:
    """Before and behind a convolution whose own padding reads outside the pool; float64 sums of few small numbers."""
    torch.manual_seed(1)
    pool = ("pool", POOLS[name])
    conv = ("conv2", on_grid(nn.Conv2d(3, 4, 3, padding=1), 6))
    middle = [conv, pool] if behind else [pool, conv]
    modules = [
        ("conv1", on_grid(nn.Conv2d(2, 3, 1), 5)), ("lif1", leaky(4096, 0.5)), *middle, ("lif2", leaky(0, 0.8137)),
    ]  # fmt: skip
    frames = frames_of(7, 11, 2, 6, 7)
    graph = to_spiking_graph(modules, (2, 6, 7), DT)
    wanted = run_nir(graph.nir_graph, DT, frames)
    np.testing.assert_array_equal(wanted, live_spikes(modules, frames))
    assert 0 < wanted.mean() < 1
    found = run_nir(one_chain(graph).nir_graph, DT, frames) if needs_layout(graph) else None
    if found is not None:
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
    else:
        assert name != "padding not counted"
    network, _ = quantize(replace(graph, scales={}))
    spikes = simulate(network, frames[None]).spikes[0]
    assert np.mean(spikes != wanted.reshape(len(frames), -1)) < 0.03  # 8 bits of weights, as everywhere

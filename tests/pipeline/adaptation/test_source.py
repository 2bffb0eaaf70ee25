"""Sources of NIR graphs in float against NIR's equations, and the networks that are trained against the compiler."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import nir
import numpy as np
import pytest
import torch
from nir_oracle import run_nir
from random_branches import RandomBranches
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.source import source_of_graph
from spikeport.pipeline.adaptation.source_neurons import SourceReset
from spikeport.pipeline.adaptation.student import student_of
from spikeport.pipeline.training.qat import convert, prepare_qat
from spikeport.pipeline.training.scaling import rescale

DT = 1e-3


def recurrent_graph(slow: bool) -> SpikingGraph:
    """Flatten, weights with bias, a recurrent layer, a pool-free convolution before them. Dyadic, so that float32 is
    exact: values are multiples of 1/8, decays are 1/2."""
    rng = np.random.default_rng(5)
    shape, hidden = (3, 3, 4), 6

    def eighths(*size: int) -> np.ndarray:
        return rng.integers(-8, 11, size) / 8

    two = np.full(hidden, 2 * DT)
    cuba = nir.CubaLIF(
        tau_syn=two, tau_mem=two, r=np.full(hidden, 2.0), v_leak=np.zeros(hidden), v_threshold=np.full(hidden, 2.0),
        v_reset=np.zeros(hidden), w_in=np.full(hidden, 2.0),
    )  # fmt: skip
    plain = nir.LIF(
        tau=two, r=np.full(hidden, 2.0), v_leak=np.zeros(hidden), v_threshold=np.arange(1, hidden + 1) / 2,
        v_reset=np.zeros(hidden),
    )  # fmt: skip
    nodes = {
        "input": nir.Input({"input": np.array((2, 5, 6))}),
        "conv": nir.Conv2d(
            input_shape=(5, 6), weight=eighths(3, 2, 3, 3), stride=1, padding=0, dilation=1, groups=1, bias=eighths(3)
        ),
        "first": lif(shape, tau=2e-3, r=2.0),
        "flat": nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1),
        "fc": nir.Affine(eighths(hidden, 36), eighths(hidden)),
        "second": cuba if slow else plain,
        "back": nir.Linear(eighths(hidden, hidden)),
        "output": nir.Output({"output": np.array((hidden,))}),
    }
    names = ["input", "conv", "first", "flat", "fc", "second"]
    edges = [*pairwise(names), ("second", "back"), ("back", "second"), ("second", "output")]
    return SpikingGraph(
        nir_graph=nir.NIRGraph(nodes, edges, type_check=False), dt_s=DT, input_shape=(2, 5, 6), bias="neuron"
    )


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_graph_runs_as_nirs_equations_say(reset, slow: bool) -> None:
    graph = recurrent_graph(slow)
    frames = (np.random.default_rng(6).random((7, 2, 5, 6)) < 0.3).astype(np.float64)
    expected = run_nir(graph.nir_graph, DT, frames, reset)
    source = source_of_graph(graph, reset)
    with torch.no_grad():
        found = source.network(torch.tensor(frames[:, None], dtype=torch.float32))
    assert 0.05 < expected.mean() < 0.95
    assert np.array_equal(found.output[:, 0].numpy(), expected)
    assert list(source.pairs) == ["first", "second"]
    assert bool(source.changes) == (reset == "subtract")


def test_neurons_of_each_type_have_their_own_reset() -> None:
    graph = recurrent_graph(slow=True)
    kinds: dict[str, SourceReset] = {"LIF": "subtract-many", "CubaLIF": "subtract"}
    frames = (np.random.default_rng(6).random((9, 2, 5, 6)) < 0.3).astype(np.float64)
    expected = run_nir(graph.nir_graph, DT, frames, lambda node: kinds[type(node).__name__])
    source = source_of_graph(graph, lambda node: kinds[type(node).__name__])
    with torch.no_grad():
        found = source.network(torch.tensor(frames[:, None], dtype=torch.float32))
    assert np.array_equal(found.output[:, 0].numpy(), expected)
    for reset in kinds.values():
        assert not np.array_equal(expected, run_nir(graph.nir_graph, DT, frames, reset))
    assert source.changes == (
        "reset by subtraction became reset to zero: second",
        "several spikes a step and reset by subtraction became reset to zero: first",
    )


@pytest.mark.parametrize("reset", get_args(SourceReset))
def test_every_reset_is_that_of_the_float_simulator(reset: SourceReset) -> None:
    """The frameworks' own resets, which that simulator has too: dyadic values, so that float32 is exact."""
    graph = recurrent_graph(slow=False)
    frames = (np.random.default_rng(7).random((4, 7, 2, 5, 6)) < 0.4).astype(np.uint8)
    expected = run_float(graph, frames, reset=reset, keep_layers=True)
    with torch.no_grad():
        found = source_of_graph(graph, reset).network(torch.from_numpy(frames).transpose(0, 1).float())
    assert expected.layer_spikes is not None
    assert np.array_equal(found.output.transpose(0, 1).numpy(), expected.spikes)
    assert np.array_equal(found.layers["first"].transpose(0, 1).numpy(), expected.layer_spikes[0])
    assert (expected.spikes.max() > 1) == (reset == "subtract-many")


def test_a_delay_is_refused() -> None:
    graph = graph_of(nir.Linear(np.eye(3)), nir.Delay(np.full(3, 2 * DT)), lif((3,)), shape=(3,))
    with pytest.raises(UserError, match="does not train delays"):
        source_of_graph(graph, "zero")


@pytest.mark.parametrize("seed", range(12))
def test_branches_run_in_torch_as_in_the_reference(seed: int) -> None:
    """Random graphs with branches: whole weights, so that float32, integers and the trained form agree exactly."""
    rng = np.random.default_rng([77, seed])
    drawn = RandomBranches(rng)
    graph = drawn.graph
    network, _ = quantize(graph)
    expected = simulate(network, drawn.frames[None], keep_layers=True)
    source = source_of_graph(graph, "zero")
    with torch.no_grad():
        found = source.network(torch.tensor(drawn.frames[:, None], dtype=torch.float32))
    assert np.array_equal(np.sort(found.output[:, 0].sum(0).numpy()), np.sort(expected.spikes[0].sum(0)))


@pytest.mark.parametrize("slow", [False, True])
def test_the_trained_network_is_what_runs(slow: bool) -> None:
    """Rounded, exported and quantized again, it gives the same spikes as the integer reference."""
    graph = recurrent_graph(slow)
    rng = np.random.default_rng(8)
    frames = (rng.random((5, 9, 2, 5, 6)) < 0.3).astype(np.uint8)
    changes: list[str] = []
    network = student_of(graph, changes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.tensor(rng.standard_normal(parameter.shape), dtype=torch.float32)
    rounded = rescale(network)
    prepare_qat(rounded)
    rounded = convert(rounded)
    with torch.no_grad():
        own = rounded(torch.from_numpy(frames).transpose(0, 1).float()).output.transpose(0, 1).numpy()
    integers, _ = quantize(rounded.graph())
    trace = simulate(integers, frames)
    assert 0.02 < own.mean() < 0.98
    assert np.array_equal(trace.spikes, own.astype(np.uint8))
    assert bool(changes) == slow  # the bias of its current


def test_a_membrane_that_is_read_out_is_the_references() -> None:
    rng = np.random.default_rng(9)
    nodes = (
        nir.Affine(rng.integers(-9, 10, (4, 6)) / 8, rng.integers(-3, 4, 4) / 8),
        lif((4,)),
        nir.Linear(rng.integers(-9, 10, (3, 4)) / 8),
        nir.LI(tau=np.full(3, 4 * DT), r=np.full(3, 4.0), v_leak=np.zeros(3)),
    )
    graph = graph_of(*nodes, shape=(6,))
    frames = (rng.random((5, 8, 6)) < 0.4).astype(np.uint8)
    rounded = rescale(student_of(graph, []))
    prepare_qat(rounded)
    rounded = convert(rounded)
    with torch.no_grad():
        own = rounded(torch.from_numpy(frames).transpose(0, 1).float()).output.transpose(0, 1).double().numpy()
    integers, _ = quantize(rounded.graph())
    trace = simulate(integers, frames)
    assert trace.membrane is not None
    scale = float(list(rounded.weight_layers())[-1].neurons.scale) * 64
    assert np.array_equal(trace.membrane, own * scale)
    assert np.ptp(trace.membrane) > 0

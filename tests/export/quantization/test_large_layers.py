"""Layers of more weights than one block of rows: rounding and report equal plain NumPy, in few copies of them."""

from __future__ import annotations

import tracemalloc

import nir
import numpy as np
import pytest

from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.row_blocks import BLOCK
from spikeport.export.quantization.quantize import quantize

DT = 1e-3


def chain(*nodes):
    """A graph of an input, these nodes one after the other, and an output."""
    shape = tuple(int(n) for n in nodes[0].input_type["input"])
    named: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(shape)})}
    named |= {str(index): node for index, node in enumerate(nodes)}
    named["output"] = nir.Output(nodes[-1].output_type)
    return SpikingGraph(
        nir_graph=nir.NIRGraph(named, list(zip(list(named)[:-1], list(named)[1:], strict=True)), type_check=False),
        dt_s=DT, reset="zero", input_shape=shape,
    )  # fmt: skip


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_layer_of_several_blocks_is_rounded_and_reported_as_in_numpy(recurrent):
    rng = np.random.default_rng(7)
    weight, weight_rec = rng.normal(size=(257, 601)), 0.5 * rng.normal(size=(257, 257))
    weight[200:] *= 1e-3  # rows that become 0
    weight_rec[200:] *= 1e-3
    assert weight.size > 2 * BLOCK
    one = np.ones(257)
    neurons = nir.LIF(tau=4 * DT * one, r=4 * one, v_leak=0 * one, v_threshold=9 * one)
    graph = chain(nir.Linear(weight), neurons)
    both = weight
    if recurrent:
        graph.nir_graph.nodes["back"] = nir.Linear(weight_rec)
        graph.nir_graph.edges.extend([("1", "back"), ("back", "1")])
        both = np.hstack([weight, weight_rec])
    network, (row,) = quantize(graph)
    scale = 254 / np.abs(both).max()
    rounded = 2 * np.rint(scale * both / 2)
    (layer,) = network.layers
    made = layer.weight if layer.weight_rec is None else np.hstack([layer.weight, layer.weight_rec])
    assert np.array_equal(made, rounded)
    difference = np.linalg.norm(rounded - scale * both, axis=1) / np.linalg.norm(scale * both, axis=1)
    assert row.weight_error == pytest.approx(np.linalg.norm(rounded - scale * both) / np.linalg.norm(scale * both))
    assert row.loss.zeroed == np.count_nonzero(rounded == 0)
    assert row.loss.dead_rows == 57
    assert row.loss.row_error == pytest.approx(difference.max())
    assert row.loss.worst_row == difference.argmax()
    assert row.accumulator_bound == np.abs(rounded).sum(axis=1).max()
    reach = np.maximum(rounded.clip(min=0).sum(axis=1), -rounded.clip(max=0).sum(axis=1)).max()
    assert row.current_bound == 64 * reach
    assert row.voltage_bound == 4 * 64 * reach  # the voltage keeps 3/4 of itself


def test_a_matrix_in_place_of_a_convolution_needs_few_copies_of_its_weights():
    """Thresholds of each neuron make (3, 20, 31) -> (5, 18, 29) a matrix of 2,610 x 1,860 float64."""
    rng = np.random.default_rng(5)
    weight = 2.0 * rng.integers(-60, 61, (5, 3, 3, 3))
    weight[0, 0, 0, 0] = 127.0
    shape = (5, 18, 29)
    threshold = rng.choice([300.0, 600.0], shape)
    conv = nir.Conv2d((20, 31), weight, stride=1, padding=0, dilation=1, groups=1, bias=np.zeros(5))
    graph = chain(conv, nir.IF(r=np.full(shape, 1 / DT), v_threshold=threshold))
    tracemalloc.start()
    network, _ = quantize(graph)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (layer,) = network.layers
    rows = layer.weight.reshape(*shape, 3, 20, 31)[:, 4, 11]  # they read rows 4 to 6 and columns 11 to 13
    factor = 600 / threshold[:, 4, 11].reshape(5, 1, 1, 1)
    assert np.array_equal(rows[:, :, 4:7, 11:14], 2 * np.rint(254 / 254 * factor * weight / 2))
    assert np.count_nonzero(rows) == np.count_nonzero(rows[:, :, 4:7, 11:14])
    matrix = 8 * layer.weight.size
    assert peak < 4.5 * matrix, f"{peak / matrix:.1f} times the weights"

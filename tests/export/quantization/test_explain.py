"""What --explain prints: every node once, its values, what became of it, and integers that are in the network."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import nir
import numpy as np
from more_graphs import FLATTEN, recurrent
from small_graphs import DT, graph_of, lif

from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.network.fixed_point import THRESHOLD_LIMIT
from spikeport.export.quantization.explain import explain, lines
from spikeport.export.quantization.quantize import quantize


def test_every_node_is_told_with_its_layer_and_integers():
    """Pool 1 x 2 (average), scale, convolution; flatten, delay, dense with a loop; dense on the host."""
    conv = nir.Conv2d(None, np.array([[[[0.5, -0.25]]]]), 1, 0, 1, 1, np.array([0.125]))
    nodes = [
        nir.AvgPool2d(*np.array([[1, 2], [1, 2], [0, 0]])),
        nir.Scale(np.array(2.0)),
        conv,
        lif((1, 1, 3)),
        FLATTEN,
        nir.Linear(np.array([[0.5, 1.0, -0.75]])),
        lif((1,), tau=3 * DT, r=3.0),
        nir.Linear(np.array([[2.0], [3.0]])),
    ]
    graph = recurrent(graph_of(*nodes, shape=(1, 1, 8)), "n6", nir.Linear(np.array([[-0.5]])))
    network, rows = quantize(graph)
    records = explain(graph, network, rows)
    assert [record.node for record in records] == [
        "the graph", "n0", "n1", "n2", "n3", "n4", "n5", "n6", "r0", "n7", "the read-out",
    ]  # fmt: skip
    assert [record.layer for record in records[1:-1]] == ["n2"] * 4 + [""] + ["n5"] * 3 + ["the host"]
    text = "\n".join(lines(records))
    for words in (
        "dt 0.001 s (the program that made the graph), reset zero",
        "n0 (AvgPool2d) -> n2\n  NIR       kernel_size (1, 2), stride (1, 2), padding (0, 0)\n"
        "  becomes   folded into n2, whose kernel is now 1 x 4 with stride (1, 2); instead of dividing, threshold and "
        "bias times 2",
        "n1 (Scale) -> n2\n  NIR       scale 2\n  becomes   multiplied into the weights of n2",
        f"weight {network.layers[0].weight.min()} to 254 (1, 1, 1, 4)",
        "the recurrent weights of n5, times gain times scale",
        f"vth_mant {network.layers[1].vth_mant}, threshold in weight steps {network.layers[1].vth_mant / 2:g}",
        f"error     v_decay {abs(round(4096 / 3) / 4096 - 1 / 3):.6g}, threshold (relative)",
        "n7 (Linear) -> the host",
        "the host multiplies the spike counts",
    ):  # fmt: skip
        assert words in text, words
    json.dumps([asdict(record) for record in records], allow_nan=False)


def test_origins_and_added_layers_are_reported(shared_data):
    graph = load_graph(shared_data / "nir" / "braille_noDelay_bias_zero.nir", reset="zero", bias="neuron")
    text = "\n".join(lines(explain(graph, *quantize(graph))))
    assert "dt 0.0001 s (inferred as tau/r), reset zero (given)" in text
    assert text.index("fc1.bias_neuron (added)") < text.index("\nfc1 (Affine)")
    assert "a neuron that always fires was added; its weights are the bias of fc2" in text
    assert "lif1.w_rec (Affine) -> fc1" in text


def test_a_graph_that_reads_voltages_says_so():
    li = nir.LI(tau=2 * DT * np.ones(3), r=2 * np.ones(3), v_leak=np.zeros(3))
    graph = replace(graph_of(nir.Linear(np.ones((3, 2))), li, shape=(2,)), readout="membrane-max")
    text = "\n".join(lines(explain(graph, *quantize(graph))))
    assert "which never fire: their voltage is read out" in text
    assert "the largest voltage (max over time)" in text


def test_neurons_whose_threshold_is_the_largest_still_fire():
    """The largest threshold mantissa belongs to neurons that fire rarely, too: only a read-out voltage never fires."""
    graph = graph_of(nir.Linear(np.array([[1e-3, 5e-4]])), lif((1,), threshold=0.9), shape=(2,))
    compiled = quantize(graph)
    assert int(compiled[0].layers[0].vth_mant) == THRESHOLD_LIMIT
    text = "\n".join(lines(explain(graph, *compiled)))
    assert "never fire" not in text
    assert "fires most" in text

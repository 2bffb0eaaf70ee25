"""Clones of neurons and row scales for finer weights: entries that differ from the float graph, and what it costs.

    python benchmarks/clones.py [--data ../shared/data] [--cases ../shared/cases] [--seed 0]

The Braille network of the NIR paper (trained, recurrent, with outlying weights), a convolutional network of snnTorch's
form with seeded weights at 8 and 4 bits, the same with two rows of each layer ten times as large, and graphs in which
one large weight rounds all others to 0. Frames are random (seeded) where none belong to a graph. "Differ" counts
(neuron, step) entries of the output, and of all layers, where relays are entries too. The worst weight error is that of
a layer, whose norm few large weights may hold.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from spikeport.export.calibration.float_comparison import compare_on_frames
from spikeport.export.formats.frames_file import open_frames
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.quantize import quantize

DT = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parent.parent.parent / "shared"
    parser.add_argument("--data", type=Path, default=root / "data")
    parser.add_argument("--cases", type=Path, default=root / "cases")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"clones of neurons, seed {options.seed}, numpy {np.__version__}, nir {nir.__version__}")
    braille = load_graph(options.data / "nir" / "braille_noDelay_bias_zero.nir", dt_s=1e-4, reset="zero", bias="neuron")
    frames = (rng.random((24, 100, *braille.input_shape)) < 0.1).astype(np.uint8)
    asked: list[Any] = [1, 2, 4, 8, {"input": 8}, {"input": 8, "fc1": 8}]
    _table("Braille (11-38 recurrent-7), 24 random samples of 100 steps", braille, frames, asked, 8)
    cnn = convolutional(rng)
    frames = (rng.random((8, 40, *cnn.input_shape)) < 0.1).astype(np.uint8)
    for bits in (8, 4):
        title = f"convolutions 6 and 12, matrix 10 (snnTorch's form), {bits} bits, 8 random samples of 40 steps"
        _table(title, cnn, frames, [1, 2, 4, 8, {"input": 4, "c0": 4, "c1": 4}], bits)
    asked = [1, {"input": 4, "c0": 4, "c1": 4}, "row scales 2", "row scales 3"]
    title = "the same with two rows of each layer ten times as large, 8 bits, 8 random samples of 40 steps"
    _table(title, with_large_rows(cnn), frames, asked, 8)
    for name in ("dead-row", "dead-outlier", "dead-channel"):
        graph = load_graph(options.cases / f"{name}.nir", dt_s=1e-3, reset="zero")
        given, _ = open_frames(options.cases / f"{name}.npz", graph.input_shape, limit=255)
        _table(
            f"{name}, its own frames", graph, np.asarray(given[: given.shape[0]]),
            [1, {"input": 4}, {"input": 16}, "row scales 2"], 8,
        )  # fmt: skip


def convolutional(rng: np.random.Generator) -> SpikingGraph:
    """conv, Leaky, average pool, twice, and a matrix with Leaky; uniform weights as torch's, three times as large."""

    def weight(*shape: int) -> np.ndarray:
        reach = 3 / np.sqrt(np.prod(shape[1:]))
        return rng.uniform(-0.8 * reach, reach, shape)

    def leaky(*shape: int) -> nir.LIF:
        tau = np.full(shape, DT / 0.1)
        return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=np.ones(shape), v_reset=0 * tau)

    two, zero = np.array([2, 2]), np.array([0, 0])
    nodes = {
        "input": nir.Input({"input": np.array((2, 16, 16))}),
        "c0": nir.Conv2d((16, 16), weight(6, 2, 3, 3), 1, 1, 1, 1, np.zeros(6)), "n0": leaky(6, 16, 16),
        "p0": nir.AvgPool2d(two, two, zero),
        "c1": nir.Conv2d((8, 8), weight(12, 6, 3, 3), 1, 1, 1, 1, np.zeros(12)), "n1": leaky(12, 8, 8),
        "p1": nir.AvgPool2d(two, two, zero),
        "flat": nir.Flatten({"input": np.array((12, 4, 4))}, start_dim=0, end_dim=-1),
        "f2": nir.Linear(3 * weight(10, 192)), "n2": leaky(10),
        "output": nir.Output({"output": np.array([10])}),
    }  # fmt: skip
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    return SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2, 16, 16))


def with_large_rows(graph: SpikingGraph) -> SpikingGraph:
    """The graph with the first two rows of each weight node ten times as large."""
    nodes = dict(graph.nir_graph.nodes)
    for name, node in nodes.items():
        if isinstance(node, (nir.Conv2d, nir.Linear)):
            factor = np.where(np.arange(len(node.weight)) < 2, 10.0, 1.0)
            nodes[name] = replace(node, weight=factor.reshape(-1, *[1] * (node.weight.ndim - 1)) * node.weight)
    return replace(graph, nir_graph=nir.NIRGraph(nodes, graph.nir_graph.edges, type_check=False))


def _table(title: str, graph: SpikingGraph, frames: np.ndarray, asked: list[Any], bits: int) -> None:
    """One line for each request: clones as `quantize` takes them, or "row scales K"."""
    print(f"\n{title}\n  {'clones':<34}{'neurons':>9}{'synapses':>11}{'worst weight error':>20}{'output differs':>16}"
          f"{'all layers':>12}")  # fmt: skip
    for each in asked:
        apart = isinstance(each, str)
        clones = 1 if apart else each
        given = replace(graph, row_scales=int(each.split()[-1])) if apart else graph
        network, rows = quantize(given, bits=bits, clones=clones)
        found = compare_on_frames(given, network, frames, "frames")
        output = found.layers[-1]
        differ, entries = sum(layer.mismatches for layer in found.layers), sum(layer.entries for layer in found.layers)
        words = ", ".join(f"{k}={v}" for k, v in clones.items()) if isinstance(clones, dict) else str(each)
        print(
            f"  {words:<34}{sum(layer.neurons for layer in network.layers):>9,}"
            f"{sum(int(np.count_nonzero(layer.weight)) for layer in network.layers):>11,}"
            f"{max(row.weight_error for row in rows):>20.4f}{output.mismatches / output.entries:>15.2%} "
            f"{differ / entries:>11.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()

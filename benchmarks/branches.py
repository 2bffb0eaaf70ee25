"""Random graphs with branches: every population fires the spikes of an independent execution, in integers and in Lava.

    python benchmarks/branches.py [--graphs 500] [--own 250] [--lava 50] [--seed 0]

Graph `index` of a seed is the same on every machine: shortcuts with and without stride, joins of up to three branches,
sums of spikes before a synapse, several inputs and outputs, recurrent populations, decays that differ between
populations. Weights are whole numbers and decays are 0 or 1, so that float64 and integers must agree. In the further
graphs of `--own` decays and thresholds also differ between the neurons of a population, so that populations are
computed in several layers; the independent execution has Loihi's integers in NumPy, node by node of the graph. The
first graphs of both also run in Lava, every layer compared. Stops at the first difference.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
from nir_oracle import run_integers, run_nodes
from random_branches import DT, KINDS, SCALE, RandomBranches, inputs_of, spikes_of

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.run.progress import ProgressPrinter

NETWORKS_PER_PROCESS = 25  # Lava keeps memory of every network that it ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", type=int, default=500)
    parser.add_argument("--own", type=int, default=250, help="number of graphs whose neurons have own decays")
    parser.add_argument("--lava", type=int, default=50, help="number of graphs of each kind that also run in Lava")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with ProgressPrinter() as progress:
        plain = _compared(options.graphs, options, progress, own=False)
        own = _compared(options.own, options, progress, own=True)
    print(
        f"{options.graphs} random graphs with branches, seed {options.seed}: {_equal(plain)}\n"
        f"{options.own} random graphs whose neurons have own decays: {_equal(own)}\n"
        f"{own['split']:,} populations of these became {own['parts']:,} parts, each with one set of decays"
    )


def _equal(counts: Counter[str]) -> str:
    return (
        f"0 differences in {counts['entries']:,} entries and {counts['spikes']:,} spikes of "
        f"{counts['populations']:,} populations\n"
        f"with {', '.join(f'{kind} {counts[kind]}' for kind in sorted(KINDS))}\n"
        f"{counts['conv']:,} convolutions, {counts['dense']:,} matrices, {counts['relays']:,} relays\n"
        f"{counts['lava']} of them in Lava 0.10.0 fixed_pt: 0 differences in {counts['lava spikes']:,} spikes"
    )


def _compared(graphs: int, options: argparse.Namespace, progress: ProgressPrinter, *, own: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    worker: LavaWorker | None = None
    for index in range(graphs):
        if index < options.lava and index % NETWORKS_PER_PROCESS == 0:
            if worker is not None:
                worker.close()
            worker = LavaWorker()
            worker.__enter__()
        _compare(index, options.seed, worker if index < options.lava else None, counts, own=own)
        progress(index + 1, graphs, "graphs with own decays" if own else "graphs")
    if worker is not None:
        worker.close()
    return counts


def _compare(index: int, seed: int, worker: LavaWorker | None, counts: Counter[str], *, own: bool) -> None:
    what = f"graph {index} of seed {seed}" + (" with own decays" if own else "")
    drawn = RandomBranches(np.random.default_rng((seed, index, 1) if own else (seed, index)), own=own)
    graph, frames = drawn.graph, drawn.frames
    laid, (network, _) = lay_out(graph), quantize(graph)
    trace = simulate(network, frames[None], keep_layers=True)
    assert trace.layer_spikes is not None
    layers = [layer[0] for layer in trace.layer_spikes]
    inputs = inputs_of(graph.nir_graph, frames)
    wanted = run_integers(graph.nir_graph, DT, inputs, SCALE) if own else run_nodes(graph.nir_graph, DT, inputs)
    for name, node in graph.nir_graph.nodes.items():
        if not isinstance(node, SPIKING):
            continue
        expected = wanted[name].reshape(len(frames), -1)
        if not np.array_equal(spikes_of(name, laid, layers, expected.shape[1]), expected):
            raise SystemExit(f"{what}: population {name} fires other spikes")
        counts.update(entries=expected.size, spikes=int(expected.sum()), populations=1)
    counts.update(drawn.kinds)
    counts.update(relays=sum(laid.relays), split=len(laid.parts), parts=sum(map(len, laid.parts.values())))
    counts.update(layer.kind for layer in network.layers)
    if worker is not None:
        lava = worker.simulate(network, frames[None], keep_layers=True, timeout_s=300)
        assert lava.layer_spikes is not None
        for ours, theirs in zip(trace.layer_spikes, lava.layer_spikes, strict=True):
            if not np.array_equal(np.reshape(theirs, ours.shape), ours):
                raise SystemExit(f"{what}: Lava fires other spikes")
        counts.update({"lava": 1, "lava spikes": sum(int(layer.sum()) for layer in trace.layer_spikes)})


if __name__ == "__main__":
    main()

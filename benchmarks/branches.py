"""Random graphs with branches: every population fires the spikes of an independent execution, in integers and in Lava.

    python benchmarks/branches.py [--graphs 500] [--lava 50] [--seed 0]

Graph `index` of a seed is the same on every machine: shortcuts with and without stride, joins of up to three branches,
sums of spikes before a synapse, several inputs and outputs, recurrent populations, decays that differ. Weights are
whole numbers and decays are 0 or 1, so that float64 and integers must agree. The first graphs also run in Lava, every
layer compared. Stops at the first difference.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
from nir_oracle import run_nodes
from random_branches import DT, KINDS, RandomBranches, inputs_of

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.run.progress import ProgressPrinter

NETWORKS_PER_PROCESS = 25  # Lava keeps memory of every network that it ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", type=int, default=500)
    parser.add_argument("--lava", type=int, default=50, help="number of graphs that also run in Lava")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    worker: LavaWorker | None = None
    with ProgressPrinter() as progress:
        for index in range(options.graphs):
            if index < options.lava and index % NETWORKS_PER_PROCESS == 0:
                if worker is not None:
                    worker.close()
                worker = LavaWorker()
                worker.__enter__()
            _compare(index, options.seed, worker if index < options.lava else None, counts)
            progress(index + 1, options.graphs, "graphs")
    if worker is not None:
        worker.close()
    print(
        f"{options.graphs} random graphs with branches, seed {options.seed}: 0 differences in {counts['entries']:,} "
        f"entries and {counts['spikes']:,} spikes of {counts['populations']:,} populations\n"
        f"with {', '.join(f'{kind} {counts[kind]}' for kind in sorted(KINDS))}\n"
        f"{counts['conv']:,} convolutions, {counts['dense']:,} matrices, {counts['relays']:,} relays\n"
        f"{counts['lava']} of them in Lava 0.10.0 fixed_pt: 0 differences in {counts['lava spikes']:,} spikes"
    )


def _compare(index: int, seed: int, worker: LavaWorker | None, counts: Counter[str]) -> None:
    drawn = RandomBranches(np.random.default_rng((seed, index)))
    graph, frames = drawn.graph, drawn.frames
    laid, (network, _) = lay_out(graph), quantize(graph)
    trace = simulate(network, frames[None], keep_layers=True)
    assert trace.layer_spikes is not None
    wanted = run_nodes(graph.nir_graph, DT, inputs_of(graph.nir_graph, frames))
    for name, (layer, places) in laid.places.items():
        expected = wanted[name].reshape(len(frames), -1)
        spikes = trace.layer_spikes[layer][0].reshape(len(frames), -1)[:, places.ravel()]
        if not np.array_equal(spikes, expected):
            raise SystemExit(f"graph {index} of seed {seed}: population {name} fires other spikes")
        counts.update(entries=expected.size, spikes=int(expected.sum()), populations=1)
    counts.update(drawn.kinds)
    counts.update(relays=sum(laid.relays))
    counts.update(layer.kind for layer in network.layers)
    if worker is not None:
        lava = worker.simulate(network, frames[None], keep_layers=True, timeout_s=300)
        assert lava.layer_spikes is not None
        for ours, theirs in zip(trace.layer_spikes, lava.layer_spikes, strict=True):
            if not np.array_equal(np.reshape(theirs, ours.shape), ours):
                raise SystemExit(f"graph {index} of seed {seed}: Lava fires other spikes")
        counts.update({"lava": 1, "lava spikes": sum(int(layer.sum()) for layer in trace.layer_spikes)})


if __name__ == "__main__":
    main()

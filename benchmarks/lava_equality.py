"""Random networks: the reference equals Lava in every layer, spike by spike.

    python benchmarks/lava_equality.py [--networks 500] [--seed 1]

Dense and convolution chains with stride, padding, dilation, groups and bias; decays 0 to 4096; thresholds; T and number
of samples. Stops at the first divergence and names it. About 0.4 s a network, most of it Lava.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from random_networks import random_frames, random_network

from export.lava.driver import LavaWorker
from export.reference import simulate
from pipeline.equivalence import compare
from pipeline.progress import Progress

PER_PROCESS = 200  # Lava keeps some memory of every network it ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    spikes = entries = mismatches = layers = 0
    reference_s = lava_s = 0.0
    with Progress() as progress:
        for start in range(0, options.networks, PER_PROCESS):
            with LavaWorker() as worker:
                for index in range(start, min(start + PER_PROCESS, options.networks)):
                    rng = np.random.default_rng([options.seed, index])
                    network = random_network(rng)
                    frames = random_frames(rng, network)
                    clock = time.perf_counter()
                    ours = simulate(network, frames, keep_layers=True).layer_spikes
                    reference_s += time.perf_counter() - clock
                    clock = time.perf_counter()
                    lavas = worker.simulate(network, frames, keep_layers=True, timeout_s=120).layer_spikes
                    lava_s += time.perf_counter() - clock
                    found = compare([layer.name for layer in network.layers], ours, lavas)
                    spikes += found.spikes_compared
                    entries += found.entries_compared
                    mismatches += found.mismatches
                    layers += len(network.layers)
                    if found.first_divergence:
                        sys.exit(f"network {index} of seed {options.seed} differs: {found.first_divergence}")
                    progress(index + 1, options.networks, "networks")
    print(f"{options.networks} networks, {layers} layers, seed {options.seed}, {time.monotonic() - began:.0f} s")
    print(f"{mismatches} mismatches in {spikes:,} spikes ({entries:,} places compared)")
    print(
        f"ratio: the reference took 1/{lava_s / reference_s:.0f} of Lava's time on these tiny networks, one at a time"
    )


if __name__ == "__main__":
    main()

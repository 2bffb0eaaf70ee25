"""Random integer networks, and networks written by SLAYER: the reference equals Lava in every layer and membrane.

    python benchmarks/lava_equality.py [--networks 2000] [--seed 2] [--workers 2] [--data ../shared/data/netx]

Networks with even numbers are dense and convolution chains with stride, padding, dilation, groups and bias, decays from
0 to 4096, and various thresholds, T and numbers of samples. Those with odd numbers also have recurrence, delays,
parameters and biases of each neuron, counts as input, and input neurons. The membrane of the last layer is compared
too. Network `index` of a seed is the same on every machine. Stops at the first divergence, prints it and saves a case
to replay.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
from random_networks import random_frames, random_network

from spikeport.export.backends.compare import compare_traces
from spikeport.export.backends.divergence_case import write_case
from spikeport.export.backends.lava.driver import NETWORKS_PER_PROCESS
from spikeport.export.backends.lava.driver import simulate as simulate_lava
from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.backends.table import BACKENDS
from spikeport.export.formats.netx.write import read_netx
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.pipeline.run.progress import ProgressPrinter

ROOT = Path(__file__).resolve().parent.parent
SLAYER = ("oxford", "mnist_slayer")
SLAYER_INPUTS, SLAYER_STEPS = 100, 25


class Workers:
    """One Lava process for each thread, replaced after many networks."""

    def __init__(self) -> None:
        self._of = threading.local()
        self._all: list[LavaWorker] = []

    def simulate(self, network: IntegerNetwork, frames: np.ndarray) -> tuple[SpikeTrace, float]:
        worker = getattr(self._of, "worker", None)
        if worker is None or worker.networks >= NETWORKS_PER_PROCESS:
            if worker is not None:
                worker.close()
            worker = self._of.worker = LavaWorker()
            self._all.append(worker)
            worker.__enter__()
        clock = time.perf_counter()
        trace = worker.simulate(network, frames, keep_layers=True, timeout_s=300)
        return trace, time.perf_counter() - clock

    def close(self) -> None:
        for worker in self._all:
            worker.close()


class Totals:
    """Numbers of what was compared, and seconds of each side."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reference_s = self.lava_s = 0.0

    def add(self, name: str, network: IntegerNetwork, frames: np.ndarray, lava: SpikeTrace, lava_s: float) -> None:
        """Compares the reference with Lava's trace; exits with a saved case if they differ."""
        clock = time.perf_counter()
        reference = simulate(network, frames, keep_layers=True)
        self.reference_s += time.perf_counter() - clock
        self.lava_s += lava_s
        found = compare_traces(network, reference, lava)
        if found.first_divergence:
            place = found.first_divergence
            row = slice(place.sample, place.sample + 1)
            case = write_case(ROOT / "runs" / "divergences", network, frames[row], place, [
                SpikeTrace(backend=trace.backend, spikes=trace.spikes[row],
                           layer_spikes=tuple(layer[row] for layer in trace.layer_spikes or ()),
                           membrane=None if trace.membrane is None else trace.membrane[row])
                for trace in (reference, lava)
            ], [BACKENDS["reference"], BACKENDS["lava"]])  # fmt: skip
            sys.exit(f"{name} differs: {place}; kept in {case.relative_to(ROOT)}")
        self.counts.update(spikes=found.spikes_compared, places=found.entries_compared, samples=len(frames),
                           layers=len(network.layers), mismatches=found.mismatches)  # fmt: skip
        for layer in network.layers:
            self.counts.update(
                recurrent=layer.weight_rec is not None,
                delayed=layer.max_delay > 0,
                vectors=any(np.ndim(getattr(layer, key)) > 0 for key in ("i_decay", "v_decay", "vth_mant")),
                driven=layer.kind == "input",
            )
        self.counts.update(counted=network.input_message_bits > 0)


def drawn(seed: int, index: int) -> tuple[IntegerNetwork, np.ndarray]:
    """Network `index` of a seed, with its membrane as readout, and its frames."""
    rng = np.random.default_rng([seed, index])
    network = random_network(rng, rich=index % 2 == 1)
    return replace(network, readout=Readout(kind="membrane")), random_frames(rng, network)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "netx")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*membrane read-out is meant for")  # these networks fire as they like
    began, totals, workers = time.monotonic(), Totals(), Workers()
    with ProgressPrinter() as progress, ThreadPoolExecutor(options.workers) as threads:
        try:
            answers = threads.map(lambda index: workers.simulate(*drawn(options.seed, index)), range(options.networks))
            for index, (trace, seconds) in enumerate(answers):
                totals.add(f"network {index} of seed {options.seed}", *drawn(options.seed, index), trace, seconds)
                progress(index + 1, options.networks, "networks")
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            workers.close()
    found = totals.counts
    print(
        f"{options.networks} networks, {found['layers']} layers, seed {options.seed}, {time.monotonic() - began:.0f} s"
    )
    print(
        f"of the layers {found['recurrent']} recurrent, {found['delayed']} with delays, {found['vectors']} with "
        f"parameters of each neuron, {found['driven']} input neurons; {found['counted']} networks with counts as input"
    )
    print(
        f"{found['mismatches']} mismatches in {found['spikes']:,} spikes "
        f"({found['places']:,} places compared, voltages of the last layers included)"
    )
    ratio = totals.lava_s / totals.reference_s
    print(f"ratio: the reference took 1/{ratio:.0f} of Lava's time on these tiny networks, one at a time")
    for name in SLAYER if options.data.is_dir() else ():
        network = read_netx(options.data / f"{name}.net")
        rng = np.random.default_rng([options.seed, *name.encode()])
        frames = (rng.random((SLAYER_INPUTS, SLAYER_STEPS, *network.input_shape)) < 0.1).astype(np.uint8)
        totals = Totals()
        clock = time.perf_counter()
        with ProgressPrinter() as progress:
            lava = simulate_lava(network, frames, keep_layers=True, workers=options.workers, timeout_s=3600,
                                 progress=lambda done, total, name=name: progress(done, total, name))  # fmt: skip
        totals.add(name, network, frames, lava, time.perf_counter() - clock)
        found = totals.counts
        print(f"{name}.net, {SLAYER_INPUTS} random inputs of {SLAYER_STEPS} steps: {found['mismatches']} mismatches in "
              f"{found['spikes']:,} spikes ({found['places']:,} places)")  # fmt: skip


if __name__ == "__main__":
    main()

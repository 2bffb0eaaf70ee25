"""Random sigma-delta networks: the reference equals Lava and independent equations, value by value.

    python benchmarks/sdnn.py [--networks 500] [--seed 0] [--workers 2]

Network `index` of a seed is the same on every machine: convolutions (stride, padding, dilation, groups) and matrices
(delays), biases, thresholds from 0 on, with and without a delta layer and a sigma, written to .net files. Networks are
drawn again where a sum passes 32 bits, since Lava's result is not defined there. Every difference is counted, and the
first one printed. Then both run a network of the shape of PilotNet, for the ratio of their times.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from lava_equality import Workers  # also makes tests/helpers importable
from random_sdnn import random_case

from spikeport.export.backends.compare import compare_traces
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.pipeline.run.progress import ProgressPrinter

PILOTNET_STEPS, REPEATS = 3, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    counts, workers, seconds = Counter[str](), Workers(), np.zeros(2)
    simulate(*random_case(np.random.default_rng(0))[:2])  # compiles the loops

    def in_lava(index: int) -> tuple[SpikeTrace, float]:
        network, frames, _ = random_case(np.random.default_rng((options.seed, index)))
        return workers.simulate(network, frames)

    with ProgressPrinter() as progress, ThreadPoolExecutor(options.workers) as threads:
        try:
            for index, (lava, lava_s) in enumerate(threads.map(in_lava, range(options.networks))):
                seconds += _compare(index, options.seed, lava, counts), lava_s
                progress(index + 1, options.networks, "networks")
            pilotnet = _pilotnet_times(workers, counts, np.random.default_rng(options.seed))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            workers.close()
    print(
        f"{options.networks} random sigma-delta networks, seed {options.seed}: {counts['layers']:,} layers, of them "
        f"{counts['conv']} convolutions, {counts['dense']} matrices ({counts['delayed']} with delays), "
        f"{counts['delta']} delta layers; {counts['sigma']} end in a sigma; {counts['biased']} layers with biases, "
        f"{counts['threshold 0']} with threshold 0"
    )
    print(
        f"reference against Lava 0.10.0 fixed_pt: {counts['mismatches']} mismatches in {counts['messages']:,} messages "
        f"({counts['entries']:,} values compared) of {counts['samples']:,} samples"
    )
    print(f"reference against the equations in plain NumPy: {counts['oracle']} mismatches in the same values")
    ratio = seconds[1] / seconds[0]
    print(f"ratio: the reference took 1/{ratio:.0f} of Lava's time on these tiny networks, one at a time")
    print(pilotnet)
    if counts["mismatches"] or counts["oracle"]:
        raise SystemExit("they differ")


def _compare(index: int, seed: int, lava: SpikeTrace, counts: Counter[str]) -> float:
    """Compares the reference with Lava and with the equations; returns the reference's seconds."""
    network, frames, expected = random_case(np.random.default_rng((seed, index)))
    clock = time.perf_counter()
    ours = simulate(network, frames, keep_layers=True)
    seconds = time.perf_counter() - clock
    found = compare_traces(network, ours, lava)
    if found.first_divergence is not None:
        print(f"network {index} of seed {seed}: {found.first_divergence.describe('reference', 'lava')}")
    assert ours.layer_values is not None
    for n, sample in enumerate(expected):
        counts["oracle"] += sum(
            int((values != kept[n]).sum()) for values, kept in zip(sample, ours.layer_values, strict=True)
        )
    counts.update(mismatches=found.mismatches, messages=found.spikes_compared, entries=found.entries_compared,
                  samples=len(frames), layers=len(network.layers))  # fmt: skip
    for layer in network.layers:
        counts.update({layer.neuron: 1, layer.kind: 1, "delayed": layer.max_delay > 0})
        counts.update({"biased": layer.bias is not None, "threshold 0": layer.vth_mant == 0})
    return seconds


def _pilotnet_times(workers: Workers, counts: Counter[str], rng: np.random.Generator) -> str:
    """Both on one sample of a network of PilotNet's shape; the reference also on many samples."""
    network = _pilotnet(rng)
    drift = rng.integers(-2, 3, (REPEATS, PILOTNET_STEPS, *network.input_shape)) * (
        rng.random((REPEATS, PILOTNET_STEPS, *network.input_shape)) < 0.2
    )
    drift[:, 0] = rng.integers(-32, 33, drift[:, 0].shape)
    frames = drift.cumsum(axis=1).astype(np.int16)
    lava, lava_s = workers.simulate(network, frames[:1])
    ours = simulate(network, frames[:1], keep_layers=True)
    found = compare_traces(network, ours, lava)
    counts.update(mismatches=found.mismatches)
    clock = time.perf_counter()
    simulate(network, frames)
    ours_s = (time.perf_counter() - clock) / REPEATS
    neurons = sum(layer.neurons for layer in network.layers)
    return (
        f"a network of PilotNet's shape ({neurons:,} neurons, {PILOTNET_STEPS} steps): {found.mismatches} mismatches "
        f"in {found.spikes_compared:,} messages; Lava took {lava_s / ours_s:.0f} times the reference's time a sample, "
        "its start included"
    )


def _pilotnet(rng: np.random.Generator) -> IntegerNetwork:
    """Frames of 3 x 33 x 100, five convolutions and four matrices; weights as small as after training."""
    shape: tuple[int, ...] = (3, 33, 100)
    layers = [
        IntegerLayer(name="input", kind="input", neuron="delta", weight=np.array([1]), bias=None, vth_mant=1,
                     i_decay=0, v_decay=0, input_shape=shape)
    ]  # fmt: skip
    for outputs, kernel, stride, padding in (
        (24, 3, (2, 2), (0, 0)), (36, 3, (2, 2), (0, 0)), (64, 3, (2, 2), (1, 0)), (64, 3, (2, 2), (1, 0)),
        (64, 3, (1, 1), (1, 1)),
    ):  # fmt: skip
        weight = 2 * rng.integers(-8, 9, (outputs, shape[0], kernel, kernel))
        layers.append(IntegerLayer(
            name=f"conv{len(layers)}", kind="conv", neuron="sigma-delta", weight=weight,
            bias=rng.integers(-20, 20, outputs), vth_mant=6, i_decay=0, v_decay=0, input_shape=shape, stride=stride,
            padding=padding,
        ))  # fmt: skip
        shape = layers[-1].output_shape
    for outputs in (100, 50, 10, 1):
        weight, last = 2 * rng.integers(-8, 9, (outputs, int(np.prod(shape)))), outputs == 1
        layers.append(IntegerLayer(
            name=f"dense{len(layers)}", kind="dense", neuron="sigma" if last else "sigma-delta", weight=weight,
            bias=None if last else rng.integers(-20, 20, outputs), vth_mant=6, i_decay=0, v_decay=0, input_shape=shape,
        ))  # fmt: skip
        shape = layers[-1].output_shape
    readout = Readout(kind="values", over_time="last")
    return IntegerNetwork(input_shape=layers[0].input_shape, layers=tuple(layers), readout=readout)


if __name__ == "__main__":
    main()

"""The batched reference against Lava: samples per second on the same network and inputs, with the same spikes.

    python benchmarks/reference.py [--run runs/nmnist-small] [--lava-samples 20]

With `--run`, the run's own student and test recordings; else a network of the nmnist-small student's shape with random
legal weights, and random frames as full as N-MNIST's. Lava's clock leaves out starting its process.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from export.frames_file import read_frames
from export.integer_network import IntegerLayer, IntegerNetwork
from export.lava.driver import LavaWorker
from export.netx import read_netx
from export.reference import simulate

REPEATS = 5
FULL = 0.06  # share of pixels with an event in a frame of 30 ms of N-MNIST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run folder")
    parser.add_argument("--lava-samples", type=int, default=20)
    options = parser.parse_args()
    network, frames = _from_run(options.run) if options.run else _like_nmnist_small()
    few = frames[: options.lava_samples]

    with LavaWorker() as worker:
        worker.simulate(network, few[:1])  # warm: files in memory, bytecode compiled
        began = time.perf_counter()
        lava = worker.simulate(network, few)
        lava_s = (time.perf_counter() - began) / len(few)

    simulate(network, frames[:100])
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        reference = simulate(network, frames)
        times.append((time.perf_counter() - began) / len(frames))
    reference_s = float(np.median(times))

    assert np.array_equal(reference.spikes[: len(few)], lava.spikes), "the spikes differ"
    print(f"network: {' -> '.join(str(layer.output_shape) for layer in network.layers)}, T={frames.shape[1]}")
    print(f"spikes equal on {len(few)} samples ({int(lava.spikes.sum())} output spikes)")
    print(f"Lava:      {1 / lava_s:10.2f} samples/s ({len(few)} samples)")
    print(
        f"reference: {1 / reference_s:10.1f} samples/s ({len(frames)} samples, counts included, {os.cpu_count()} cores)"
    )
    print(f"ratio:     {lava_s / reference_s:10.0f}x (first target 500x)")


def _from_run(run: Path) -> tuple[IntegerNetwork, np.ndarray]:
    network = read_netx(run / "student.net")
    frames, _ = read_frames(run / "test-frames.npz", network.input_shape)
    return network, frames


def _like_nmnist_small() -> tuple[IntegerNetwork, np.ndarray]:
    rng = np.random.default_rng(0)
    shape: tuple[int, ...] = (2, 34, 34)
    layers = []
    for index, channels in enumerate((16, 32, 64)):
        layers.append(
            IntegerLayer(
                name=f"conv{index}",
                kind="conv",
                weight=2 * rng.integers(-60, 64, (channels, shape[0], 3, 3)),
                bias=rng.integers(-20, 30, channels),
                i_decay=4096,
                v_decay=1024,
                vth_mant=200,
                input_shape=shape,
                stride=(2, 2),
                padding=(1, 1),
            )
        )
        shape = layers[-1].output_shape
    weight = 2 * rng.integers(-60, 62, (10, int(np.prod(shape))))
    layers.append(
        IntegerLayer(
            name="output",
            kind="dense",
            weight=weight,
            bias=None,
            i_decay=4096,
            v_decay=1024,
            vth_mant=400,
            input_shape=shape,
        )
    )
    frames = (rng.random((1000, 10, 2, 34, 34)) < FULL).astype(np.uint8)
    return IntegerNetwork(input_shape=(2, 34, 34), layers=tuple(layers)), frames


if __name__ == "__main__":
    main()

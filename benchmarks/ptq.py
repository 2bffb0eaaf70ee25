"""Post-training quantization at 8, 6, 4 and 3 bits: max-abs scale against the search of scales.

    python benchmarks/ptq.py [--data ../shared/data] [--calibration 30] [--test 200] [--seed 0]

Two networks made by other tools, neither trained for integers: the NIR paper's N-MNIST network (sinabs) on real
recordings binned at 1 ms, and a ReLU network of scikit-learn on its 8 x 8 digits, converted to integrate-and-fire
neurons with Bernoulli spikes as input. Scales are searched on calibration samples; all printed numbers are of other
samples. "Float" is the graph in float64 with reset to zero, on event counts; the integer networks get 0 and 1.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import nir
import numpy as np

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.calibration.float_simulator import FloatTrace, run_float
from spikeport.export.calibration.spike_distance import spike_distance
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.data.readers.recordings import read_events

BITS = (8, 6, 4, 3)
STEPS, STEP_US = 300, 1000  # N-MNIST's recordings last a little over 300 ms
DIGIT_STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=root)
    parser.add_argument("--calibration", type=int, default=30)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows: list[tuple[str, int, float, float]] = []
    print(f"seed {options.seed}; {options.calibration} calibration samples, {options.test} test samples, disjoint")
    file = options.data / "nir" / "cnn_sinabs.nir"
    if file.is_file():
        graph = load_graph(file, dt_s=1e-3, reset="zero", if_gain="per_step")
        rows += study("cnn_sinabs.nir on N-MNIST", graph, *nmnist(options))
    else:
        print(f"cnn_sinabs.nir is not at {file}: left out")
    for leaky in (False, True):
        graph, *samples = digits(options, leaky)
        rows += study(f"digits, {'leaky, tau 20 steps' if leaky else 'without leak'}", graph, *samples)
    helped = [row for row in rows if row[3] < row[2]]
    worse = [row for row in rows if row[3] > row[2]]
    print(f"\nOutput distance on the test samples, of {len(rows)} cases: smaller with the search in {len(helped)}, the "
          f"same in {len(rows) - len(helped) - len(worse)}, larger in {len(worse)}")  # fmt: skip
    for title, bits, plain, searched in worse:
        print(f"larger: {title}, {bits} bits: {plain:.4f} -> {searched:.4f}")


def study(
    title: str, graph: SpikingGraph, frames: np.ndarray, labels: np.ndarray, calibration: np.ndarray, test: np.ndarray
) -> list[tuple[str, int, float, float]]:
    """Calibrates one network on some samples and prints results of the others.

    Returns (title, bits, distance with the max-abs scale, distance after the search) of each case.
    """
    rows = []
    print(f"\n{title}: {frames.shape[1]} steps")
    clipped = np.minimum(frames, 1).astype(np.uint8)
    lost = int((frames.astype(np.int64) - clipped).sum())
    print(f"events above one a pixel and step: {lost:,} of {int(frames.sum(dtype=np.int64)):,} are lost to integers")
    wanted = run_float(graph, frames[test], keep_layers=True)
    classes = wanted.classes(quantize(graph)[0].readout)
    print(f"float: accuracy {100 * np.mean(classes == labels[test]):.2f} %, {int(wanted.spikes.sum()):,} output spikes")
    binary = run_float(graph, clipped[test])
    same = 100 * np.mean(binary.classes(quantize(graph)[0].readout) == labels[test])
    print(f"float on clipped events: accuracy {same:.2f} %, {_off(binary.spikes, wanted)}")
    for bits in BITS:
        plain, _ = quantize(graph, bits=bits)
        began = time.perf_counter()
        network, _, report = calibrate(
            graph, frames[calibration], labels[calibration], bits=bits, samples=len(calibration)
        )
        took = time.perf_counter() - began
        distances = []
        for name, one in (("max-abs", plain), ("search", network)):
            text, off = _result(one, clipped[test], labels[test], wanted, classes)
            print(f"{bits} bits, {name:7}: {text}", flush=True)
            distances.append(off)
        rows.append((title, bits, *distances))
        factors = " ".join(f"{row.scale / row.max_abs_scale:.3g}" for row in report.layers)
        weights = " ".join(str(row.clipped) for row in report.layers)
        print(f"        selected: {report.selected}; scales over max-abs {factors}; clipped {weights}; {took:.0f} s")
    return rows


def _result(
    network: IntegerNetwork, frames: np.ndarray, labels: np.ndarray, wanted: FloatTrace, classes: np.ndarray
) -> tuple[str, float]:
    """A line of results, and the distance of the outputs."""
    trace = simulate(network, frames, keep_layers=True)
    given = network.readout.classes(trace.spikes, trace.levels)
    layers = [
        int(np.count_nonzero(ours != theirs)) / max(int(np.count_nonzero(theirs)), 1)
        for ours, theirs in zip(trace.layer_spikes or (), wanted.layer_spikes or (), strict=True)
    ]
    text = (
        f"accuracy {100 * np.mean(given == labels):6.2f} %, class as float {100 * np.mean(given == classes):6.2f} %, "
        f"{_off(trace.spikes, wanted)}; differing neuron-steps per float spike by layer "
        + " ".join(f"{share:.3f}" for share in layers)
    )
    return text, spike_distance(trace.spikes, wanted.spikes)


def _off(spikes: np.ndarray, wanted: FloatTrace) -> str:
    counts = np.abs(spikes.sum(axis=1).astype(np.int64) - wanted.spikes.sum(axis=1).astype(np.int64)).sum()
    return (
        f"output distance {spike_distance(spikes, wanted.spikes):.4f}, "
        f"counts off by {counts / max(int(wanted.spikes.sum()), 1):.4f}"
    )


def nmnist(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Event counts `[N, T, 2, 34, 34]`, labels, calibration rows and test rows, balanced by class."""
    rng = np.random.default_rng(options.seed)
    per_class = -(-(options.calibration + options.test) // 10)
    files: list[tuple[int, Path]] = []
    for digit in range(10):
        found = sorted((options.data / "NMNIST" / "Train" / str(digit)).glob("*.bin"))
        files += [(digit, found[place]) for place in rng.permutation(len(found))[:per_class]]
    order = [files[digit * per_class + place] for place in range(per_class) for digit in range(10) if
             digit * per_class + place < len(files)]  # fmt: skip
    order = order[: options.calibration + options.test]
    frames = np.zeros((len(order), STEPS, 2, 34, 34), dtype=np.uint8)
    for row, (_, file) in enumerate(order):
        events = read_events(file)
        step = ((events["t"] - events["t"][0]) // STEP_US).astype(np.int64)
        selected = events[step < STEPS]
        np.add.at(frames[row], (step[step < STEPS], selected["p"].astype(np.int64), selected["y"], selected["x"]), 1)
    labels = np.array([digit for digit, _ in order])
    return frames, labels, np.arange(options.calibration), np.arange(options.calibration, len(order))


def digits(
    options: argparse.Namespace, leaky: bool
) -> tuple[SpikingGraph, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A ReLU network 64-48-32-10 as spiking neurons with threshold 1.

    The weights and biases of each layer are divided by the 99.9th percentile of its training activations. Pixels spike
    with their intensity as probability.
    """
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(options.seed)
    data = load_digits()
    images, order = data.data / 16.0, rng.permutation(len(data.data))
    spare = options.calibration + options.test
    held, training = order[:spare], order[spare:]
    model = MLPClassifier((48, 32), max_iter=400, random_state=options.seed, alpha=1e-3)
    model.fit(images[training], data.target[training])
    activation, before, nodes = images[training], 1.0, []
    for weight, bias in zip(model.coefs_, model.intercepts_, strict=True):
        activation = np.maximum(activation @ weight + bias, 0)
        largest = float(np.percentile(activation, 99.9))
        nodes.append(nir.Affine(weight.T * before / largest, bias / largest))
        before, one = largest, np.ones(len(bias))
        nodes.append(
            nir.LIF(20e-3 * one, 20 * one, 0 * one, one) if leaky else nir.IF(r=one / 1e-3, v_threshold=one)
        )  # fmt: skip
    named = {"input": nir.Input({"input": np.array([64])})}
    named |= {f"{type(node).__name__.lower()}{index // 2}": node for index, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": np.array([10])})
    whole = nir.NIRGraph(named, list(itertools.pairwise(named)), type_check=False)
    frames = (rng.random((spare, DIGIT_STEPS, 64)) < images[held][:, None]).astype(np.uint8)
    graph = SpikingGraph(nir_graph=whole, dt_s=1e-3, input_shape=(64,))
    labels = data.target[held]
    return graph, frames, labels, np.arange(options.calibration), np.arange(options.calibration, spare)


if __name__ == "__main__":
    main()

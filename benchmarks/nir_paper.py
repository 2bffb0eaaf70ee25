"""The networks of the NIR paper: its N-MNIST CNN on real recordings, its Braille network against Lava.

    python benchmarks/nir_paper.py --data ../shared/data [--samples 1000]
        [--lava-samples 20] [--lava-steps 100] [--only braille,cnn,lava]

The CNN as its paper ran it (github.com/neuromorphs/NIR, paper/02_cnn): tonic's `ToFrame` with windows of 1 ms from the
first event on, an incomplete last window dropped, frames [p, y, x], the class with most spikes. Float means the NIR
file executed by the loop in this file, which shares nothing with the exporter: in float32 as its numbers are, the
first recordings in float64, too, to see what that changes; with zero reset (what Loihi does), with subtractive reset,
and as Sinabs trained it (several spikes a step, subtraction, v not below -1). Integer means quantized to 8 bits and
simulated by the reference. "counts": a pixel's number of events in its bin; "clipped": 0 or 1. No Braille recordings
are at hand: that network gets random inputs, so it has an equality and no accuracy.

The recordings are of N-MNIST's training part, on which this network was trained: these are not test accuracies, they
compare executions of one network on the same inputs.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from nir_float_network import RESETS, FloatNetwork
from tonic.io import read_mnist_file
from tonic.transforms import ToFrame

from spikeport.errors import UserError
from spikeport.export.backends.lava import driver
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.sampling import draw, words
from spikeport.export.quantization.quantize import quantize
from spikeport.files import write_text
from spikeport.versions import versions

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
SENSOR = (34, 34, 2)
EVENT = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
WINDOW_US = 1000.0
CHUNK = 20  # recordings at a time
FEW = 100  # recordings that are run in float64, and with axes swapped, too
MESSAGE_BITS = 4  # a pixel's count in 1 ms; larger ones would be refused by name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with NMNIST/Train and nir/")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--lava-samples", type=int, default=20)
    parser.add_argument("--lava-steps", type=int, default=100, help="of each recording, in Lava (300 take 1 min each)")
    parser.add_argument("--only", default="braille,cnn,lava", help="parts to run; the others stay as they were found")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    run = {
        "command": f"python benchmarks/nir_paper.py {' '.join(sys.argv[1:])}".strip(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "versions": versions(),
        "seed": options.seed,
    }
    record = options.out / "nir_paper.json"
    found: dict[str, Any] = json.loads(record.read_text()) if record.is_file() else {}
    recordings = choose(options.data / "NMNIST" / "Train", options.samples, options.seed)
    sinabs, parts = options.data / "nir" / "cnn_sinabs.nir", options.only.split(",")
    if "braille" in parts:
        braille_file = options.data / "nir" / "braille_noDelay_bias_zero.nir"
        found["braille"] = {"run": run, **braille(braille_file, options.seed)}
    if "cnn" in parts:
        found["cnn"] = {"run": run, **cnn(sinabs, recordings)}
    if "lava" in parts:
        found["lava"] = {"run": run, **cnn_in_lava(sinabs, recordings, options.lava_samples, options.lava_steps)}
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / "nir_paper.json", json.dumps(found, indent=1) + "\n")
    text = "\n".join(lines(found)) + "\n"
    write_text(options.out / "nir_paper.txt", text)
    print(text)


def choose(folder: Path, samples: int, seed: int) -> list[tuple[Path, int]]:
    """`samples` recordings with their labels, in a random order of `seed`, so that any first few are a fair sample."""
    files = [(path, int(path.parent.name)) for path in sorted(folder.glob("*/*.bin"))]
    order = np.random.default_rng(seed).permutation(len(files))
    return [files[index] for index in order[:samples]]


def frames_of(recordings: list[tuple[Path, int]]) -> np.ndarray:
    """Counts [N, T, 2, 34, 34] uint8 in bins of 1 ms; shorter recordings end in empty frames, as tonic's PadTensors."""
    to_frame = ToFrame(sensor_size=SENSOR, time_window=WINDOW_US)
    each = [to_frame(read_mnist_file(str(path), dtype=EVENT)) for path, _ in recordings]
    frames = np.zeros((len(each), max(map(len, each)), *SENSOR[::-1]), dtype=np.uint8)
    for row, made in zip(frames, each, strict=True):
        row[: len(made)] = made
    return frames


def compiled(path: Path) -> tuple[SpikingGraph, IntegerNetwork, IntegerNetwork, list[Any]]:
    """The CNN's graph, its integers that take spikes and that take counts, and what rounding cost."""
    graph = load_graph(path, dt_s=1e-3, reset="zero", if_gain="per_step")
    network, rows = quantize(graph)
    return graph, network, dataclasses.replace(network, input_message_bits=MESSAGE_BITS), list(rows)


def cnn_in_lava(path: Path, recordings: list[tuple[Path, int]], samples: int, steps: int) -> dict[str, Any]:
    """Equality with Lava in every layer, over the first `steps` steps of `samples` recordings drawn by class."""
    _, network, counting, _ = compiled(path)
    drawn = draw(samples, len(recordings), np.array([label for _, label in recordings]))
    counts = frames_of([recordings[row] for row in drawn.rows])[:, :steps]
    return {
        "drawn": drawn.as_dict(),
        "counts": against_lava(counting, counts),
        "clipped": against_lava(network, (counts > 0).astype(np.uint8)),
    }


def cnn(path: Path, recordings: list[tuple[Path, int]]) -> dict[str, Any]:
    """Correct classes of every execution, and how far they agree."""
    graph, network, counting, rows = compiled(path)
    runs: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for reset in RESETS:
        runs[f"float {reset}, counts"] = FloatNetwork(path, reset)
    runs["float zero, clipped"] = lambda frames: FloatNetwork(path, "zero")(frames > 0)
    runs["float subtract, clipped"] = lambda frames: FloatNetwork(path, "subtract")(frames > 0)
    runs["integer, counts"] = lambda frames: simulate(counting, frames).spikes
    runs["integer, clipped"] = lambda frames: simulate(network, (frames > 0).astype(np.uint8)).spikes
    few: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "float64": FloatNetwork(path, "zero", torch.float64),
        "polarities swapped": lambda frames: FloatNetwork(path, "zero")(frames[:, :, ::-1].copy()),
        "x and y swapped": lambda frames: FloatNetwork(path, "zero")(frames.swapaxes(3, 4).copy()),
    }
    labels = np.array([label for _, label in recordings])
    classes: dict[str, list[np.ndarray]] = {name: [] for name in (*runs, *few)}
    seconds = dict.fromkeys(classes, 0.0)
    events = above_one = steps = 0
    for start in range(0, len(recordings), CHUNK):
        frames = frames_of(recordings[start : start + CHUNK])
        events, above_one = events + int(frames.sum(dtype=np.int64)), above_one + int((frames > 1).sum())
        steps = max(steps, frames.shape[1])
        for name, run in (runs | few if start < FEW else runs).items():
            began = time.perf_counter()
            classes[name].append(network.readout.classes(run(frames)))
            seconds[name] += time.perf_counter() - began
        print(f"{start + len(frames)} recordings", file=sys.stderr, flush=True)
    guesses = {name: np.concatenate(parts) for name, parts in classes.items()}
    few_guesses = {name: guesses.pop(name) for name in few}
    plain = guesses["float zero, counts"]
    checked = len(few_guesses["float64"])

    def same(first: str, second: str) -> int:
        return int((guesses[first] == guesses[second]).sum())

    return {
        "file": path.name,
        "recordings": len(recordings),
        "steps_at_most": steps,
        "events": events,
        "places_with_more_than_one_event": above_one,
        "metadata": {"dt_s": graph.dt_s, "reset": "zero", "if_gain": "per_step"},
        "layers": [dataclasses.asdict(row) for row in rows],
        "correct": {name: int((guess == labels).sum()) for name, guess in guesses.items()},
        "seconds": {name: round(spent, 1) for name, spent in seconds.items()},
        "same_class": {
            "integer and float zero, counts": same("integer, counts", "float zero, counts"),
            "integer and float zero, clipped": same("integer, clipped", "float zero, clipped"),
            "counts and clipped, float zero": same("float zero, counts", "float zero, clipped"),
            "counts and clipped, integer": same("integer, counts", "integer, clipped"),
            "float zero and float subtract, counts": same("float zero, counts", "float subtract, counts"),
        },
        "first": {
            "recordings": checked,
            "float zero, counts, right": int((plain[:checked] == labels[:checked]).sum()),
            "the same in float64, same class": int((plain[:checked] == few_guesses["float64"]).sum()),
            "polarities swapped, right": int((few_guesses["polarities swapped"] == labels[:checked]).sum()),
            "x and y swapped, right": int((few_guesses["x and y swapped"] == labels[:checked]).sum()),
        },
    }


def against_lava(network: IntegerNetwork, frames: np.ndarray) -> dict[str, Any]:
    """Every layer's spikes of the reference and of Lava, compared."""
    began = time.perf_counter()
    lava = driver.simulate(network, frames, keep_layers=True, timeout_s=7200)
    lava_s = time.perf_counter() - began
    ours = simulate(network, frames, keep_layers=True)
    assert ours.layer_spikes is not None
    assert lava.layer_spikes is not None
    pairs = list(zip(ours.layer_spikes, lava.layer_spikes, strict=True))
    return {
        "samples": len(frames),
        "steps": frames.shape[1],
        "spikes": sum(int(mine.sum(dtype=np.int64)) for mine, _ in pairs),
        "places": sum(mine.size for mine, _ in pairs),
        "mismatches": sum(int(np.count_nonzero(mine != theirs)) for mine, theirs in pairs),
        "lava_seconds": round(lava_s, 1),
    }


def braille(path: Path, seed: int) -> dict[str, Any]:
    """The error without options, and the equality with Lava with bias neurons on random inputs."""
    found: dict[str, Any] = {"file": path.name}
    try:
        quantize(load_graph(path, dt_s=1e-4, reset="zero"))
    except UserError as refused:
        found["refused"] = str(refused).replace(str(path), path.name)
    graph: SpikingGraph = load_graph(path, dt_s=1e-4, reset="zero", bias="neuron")
    network, rows = quantize(graph)
    rng = np.random.default_rng([seed, 12])
    frames = (rng.random((20, 256, *network.input_shape)) < 0.1).astype(np.uint8)
    found["layers"] = [dataclasses.asdict(row) for row in rows]
    floats, ints = run_float(graph, frames).spikes, simulate(network, frames).spikes
    noisy = run_float(with_noise(graph, {row.name: row.weight_error for row in rows}, rng), frames).spikes
    found["output_spikes"] = {
        "float64": int(floats.sum()),
        "integer": int(ints.sum()),
        "places": ints.size,
        "integer differs from float64": int(np.count_nonzero(floats != ints)),
        "float64 with noise differs from float64": int(np.count_nonzero(floats != noisy)),
    }
    found["lava"] = against_lava(network, frames)
    return found


def with_noise(graph: SpikingGraph, errors: dict[str, float], rng: np.random.Generator) -> SpikingGraph:
    """The graph with normal noise on its weights, of the same norm as the rounding of its layer (`errors`)."""
    nodes = dict(graph.nir_graph.nodes)
    for name, node in nodes.items():
        if isinstance(node, nir.Affine):
            error = errors.get(name, errors["fc1"])  # the recurrent weights are rounded with those of fc1
            weight = np.asarray(node.weight, dtype=np.float64)
            noise = rng.standard_normal(weight.shape)
            noise *= error * np.linalg.norm(weight) / np.linalg.norm(noise)
            nodes[name] = dataclasses.replace(node, weight=weight + noise)
    noisy = nir.NIRGraph(nodes, list(graph.nir_graph.edges), type_check=False)
    return dataclasses.replace(graph, nir_graph=noisy)


def lines(found: dict[str, Any]) -> list[str]:
    """The results as text, from what was found alone."""
    cnn_found, lava_found, braille_found = found["cnn"], found["lava"], found["braille"]
    total = cnn_found["recordings"]
    text = [
        *_head(cnn_found["run"]),
        f"{cnn_found['file']}: {total} recordings of N-MNIST's training part (the network saw them in training: no",
        f"test accuracy), bins of 1 ms, at most {cnn_found['steps_at_most']} steps, {cnn_found['events']:,} events,",
        f"{cnn_found['places_with_more_than_one_event']:,} bins of a pixel with more than one",
        "",
    ]
    for name, right in cnn_found["correct"].items():
        text.append(f"  {name:26} {right:5} of {total} right, {100 * right / total:5.1f} %")
    text.append("")
    text += [f"  {name}: the same class on {same}" for name, same in cnn_found["same_class"].items()]
    first = dict(cnn_found["first"])
    text.append(f"  of the first {first.pop('recordings')}: " + ", ".join(f"{key} {n}" for key, n in first.items()))
    text += ["", *_head(lava_found["run"]), f"{cnn_found['file']} in Lava: {words(lava_found['drawn'])}"]
    text += [f"  Lava, {name}: {_equality(lava_found[name])}" for name in ("counts", "clipped")]
    text += ["", *_head(braille_found["run"])]
    text += [f"{braille_found['file']}: random inputs only, no Braille recordings are at hand"]
    text.append(f"  without an option refused: {braille_found.get('refused', 'no')}")
    out = braille_found["output_spikes"]
    text += [
        f"  biases as bias neurons: {out['integer']} output spikes, {out['float64']} in float64 with zero reset;",
        f"  {out['integer differs from float64']} of {out['places']} places differ, and "
        f"{out['float64 with noise differs from float64']} between float64 and float64 whose weights",
        "  got random noise of the norm that rounding them to 8 bits has",
    ]
    text.append(f"  Lava, biases as bias neurons: {_equality(braille_found['lava'])}")
    return text


def _head(run: dict[str, Any]) -> list[str]:
    displayed = ", ".join(f"{name} {run['versions'][name]}" for name in ("python", "torch", "numpy", "nir", "tonic"))
    return [run["command"], f"{run['date']}; {run['machine']}; {displayed}", ""]


def _equality(each: dict[str, Any]) -> str:
    return (
        f"{each['mismatches']} mismatches in {each['spikes']:,} spikes of all layers ({each['places']:,} places), "
        f"{each['samples']} samples of {each['steps']} steps, {each['lava_seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()

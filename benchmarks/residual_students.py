"""Runs the recipes with residual students, and beside them the plain CNN of nmnist-small on the same recordings.

    python benchmarks/residual_students.py [--only NAME ...] [--work FOLDER]

Each recipe runs to its report: training, integers, netx, reference, Lava on 20 recordings. None has a teacher, the CNN
too is trained by the labels alone. Stages that are done stay in the working folder, so that a stopped benchmark goes
on. Relays are counted in the layout of the exported graph, and their spikes in the reference over all test recordings.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import spikeport as sp
from spikeport.export.backends.compare import title_of
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.network.fixed_point import WEIGHT_LIMIT
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.sampling import words
from spikeport.files import write_json
from spikeport.pipeline.report.content.words import percent_range
from spikeport.pipeline.run.intervals import paired_difference
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.run_folder import differences
from spikeport.pipeline.stages.check_result import QUANTIZED, REFERENCE, CheckResult
from spikeport.pipeline.stages.run_value import Run

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"training.threads": 1, "teacher.epochs": 0}
CASES = {  # name of a run -> recipe and settings
    "resnet-digits": ("resnet-digits", SETTINGS),
    "resnet-nmnist-small": ("resnet-nmnist-small", SETTINGS),
    "nmnist-small-baseline": ("nmnist-small", SETTINGS | {"distillation.method": "baseline"}),
}
PAIR = "resnet-nmnist-small", "nmnist-small-baseline"
CHUNK = 50  # recordings simulated at once with all layers kept


@dataclass(frozen=True)
class Costs:
    """What a student takes on the chip.

    Attributes:
        layers, neurons, relays: numbers of them; relays are among the neurons.
        weights: integer weights of the chip's layers, with those of relays.
        spikes, relay_spikes: per recording; those of relays are among the spikes.
        reached: largest weight of a layer beside relays, of its own neurons, least and most over these layers; empty
            without relays.
    """

    layers: int
    neurons: int
    relays: int
    weights: int
    spikes: float
    relay_spikes: float
    reached: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "residual_students")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    runs = {}
    with ProgressPrinter() as progress:
        for name in options.only:
            runs[name] = finished(name, options.work, progress)
    for name, run in runs.items():
        print("\n".join(lines(name, run, options.work)), end="\n\n")
    if set(PAIR) <= set(runs):
        print("\n".join(beside(*(runs[name] for name in PAIR))))


def finished(name: str, work: Path, progress: Any) -> Run:
    """The run of a case, continued where it stands. The processor time of a training in one go is kept beside it."""
    recipe, changes = CASES[name]
    settings, folder = sp.load_recipe(recipe, changes), work / name
    new, began = not folder.exists(), time.process_time()
    sp.train(settings, folder, resume=True, progress=progress)
    if new:
        write_json(work / f"{name}.json", {"training_cpu_s": time.process_time() - began})
    return sp.run(settings, folder, resume=True, progress=progress)


def costs(network: IntegerNetwork, graph: SpikingGraph, frames: np.ndarray) -> Costs:
    """Counts neurons, relays and spikes; relays are rows of a layer that only repeat their input."""
    rows = dict(lay_out(graph).relay_rows) if needs_layout(graph) else {}
    relays, reached = 0, []
    for layer in network.layers:
        if (of_layer := rows.get(layer.name)) is not None and len(of_layer):
            relays += len(of_layer) * layer.neurons // layer.output_shape[0]
            reached.append(int(np.abs(np.delete(layer.weight, of_layer, axis=0)).max()))
    fired = np.zeros(2)
    for start in range(0, len(frames), CHUNK):
        spikes = simulate(network, frames[start : start + CHUNK], keep_layers=True).layer_spikes
        assert spikes is not None
        for layer, found in zip(network.layers, spikes, strict=True):
            shaped = found.reshape(*found.shape[:2], *layer.output_shape)
            fired += shaped.sum(), shaped[:, :, rows.get(layer.name, [])].sum()
    return Costs(
        layers=len(network.layers),
        neurons=sum(layer.neurons for layer in network.layers),
        relays=relays,
        weights=sum(layer.weight.size for layer in network.layers),
        spikes=fired[0] / len(frames),
        relay_spikes=fired[1] / len(frames),
        reached=tuple(sorted(reached)),
    )


def lines(name: str, run: Run, work: Path) -> list[str]:
    """One run as text."""
    recipe, changes = CASES[name]
    found = costs(run.network.network, load_graph(run.path / "student.nir"), run.dataset.test.frames)
    own, training = run.report["accuracy"], run.recipe.training
    changed = " ".join(f"--set {key}={value}" for key, value in changes.items())
    size = f"width {run.recipe.student.width:g}"
    if run.recipe.student.network == "conv":
        size = f"channels {', '.join(map(str, run.recipe.student.channels))}"
    stored = work / f"{name}.json"
    cpu = "not known, since it was stopped and continued"
    if stored.exists():
        cpu = f"{json.loads(stored.read_text())['training_cpu_s'] / 60:.1f} min"
    text = [
        f"spikeport run {recipe} {changed}",
        f"{run.recipe.student.network}, {size}; seed {run.recipe.seed}, {training.epochs} epochs in float and "
        f"{run.recipe.quantization.epochs} in Loihi arithmetic, batches of {training.batch}, no teacher; "
        f"processor time of the training: {cpu}",
        run.summary,
        *(
            f"accuracy {numerics}: {100 * own[stage]['value']:.1f} % of {own[stage]['n']} "
            f"(95 % interval {percent_range(own[stage])})"
            for stage, numerics in (("student_float", "in float"), ("student_quantized", "quantized"))
        ),
        *comparisons(CheckResult.from_json(run.folder.result("check"))),
        f"parameters: {sum(weight.numel() for weight in run.float_student.parameters()):,}",
        f"on the chip: {found.layers} layers, {found.neurons:,} neurons, of them {found.relays:,} relays; "
        f"{found.weights:,} weights with those of relays",
        f"spikes per recording: {found.spikes:,.0f}, of them {found.relay_spikes:,.0f} of relays",
    ]
    if found.reached:
        text.append(
            f"largest weight in the {len(found.reached)} layers beside relays, without theirs: "
            f"{found.reached[0]} to {found.reached[-1]} of {WEIGHT_LIMIT}"
        )
    return text


def comparisons(check: CheckResult) -> list[str]:
    """The comparisons of spikes, a line each."""
    found: list[tuple[str, str, Any, str]] = [(QUANTIZED, REFERENCE, check.quantized, "")]
    for name, backend in check.compared().items():
        assert backend.drawn is not None
        found.append((REFERENCE, name, backend.spikes, f"; {words(backend.drawn)}"))
    return [
        f"{title_of(first)} against {title_of(second)}: {spikes.mismatches:,} mismatches in {spikes.spikes_compared:,} "
        f"spikes of {spikes.samples:,} recordings, all {len(spikes.layers)} layers{drawn}"
        for first, second, spikes, drawn in found
    ]


def beside(residual: Run, plain: Run) -> list[str]:
    """The two students on the same recordings, and what their recipes have different."""
    data = [run.folder.result("data") for run in (residual, plain)]
    if data[0]["test_set_digest"] != data[1]["test_set_digest"]:
        raise SystemExit("the two runs have other test recordings")
    labels = residual.dataset.test.labels
    right = [np.asarray(run.trace.classes()) == labels for run in (residual, plain)]
    found = paired_difference(*right)
    own, other = (run.recipe.model_dump() for run in (residual, plain))
    sections = ("data", "student", "training", "augmentation", "quantization")
    changed = differences({key: own[key] for key in sections}, {key: other[key] for key in sections})

    def value(of: dict[str, Any], key: str) -> Any:
        section, name = key.split(".")
        return of[section][name]

    return [
        "the residual student beside the plain CNN, quantized, same recordings for training, validation and test:",
        f"difference {100 * found['value']:+.1f} points (95 % interval {100 * found['low']:+.1f} to "
        f"{100 * found['high']:+.1f}); only the residual student is right on {found['only_first']}, only the CNN on "
        f"{found['only_second']} of {found['n']}",
        "settings that differ (residual student | CNN): "
        + "; ".join(f"{key} {value(own, key)} | {value(other, key)}" for key in changed),
    ]


if __name__ == "__main__":
    main()

"""Compares the float graph and the integer network on the same frames: how much rounding changed the behavior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import FloatLayer, float_layers, run_float
from spikeport.export.calibration.reset_comparison import (
    ResetComparison,
    compare_resets,
    other_reset,
)
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.sampling import draw, words
from spikeport.export.quantization.clones import without_clones

SAMPLES, STEPS, DENSITY, SEED = 16, 50, 0.1, 20261129  # of random frames
MAX_SAMPLES = 256  # of given frames
RANDOM_OPERATIONS = 2_000_000_000  # multiplications of a float run on random frames, ...
GIVEN_FACTOR = 20  # ... and this many times more on given frames
PER_STEP = 100_000  # fixed cost of a layer and time step, in multiplications
LISTED_LAYERS = 20  # layers in the text
MANY = 0.05  # share of entries of the output from which on the text names what helps
MEMORY = 1 << 28  # bytes for spikes, one for each neuron and time step


@dataclass(frozen=True, kw_only=True)
class LayerFloatComparison:
    """One layer, where each network runs on its own spikes.

    Attributes:
        name: name of the layer.
        entries: number of (neuron, time step, sample) triples.
        mismatches: entries in which the two differ.
        float_rate: fraction of entries with a spike in the float graph.
        rate: the same in the integer network.
    """

    name: str
    entries: int
    mismatches: int
    float_rate: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class FloatComparison:
    """Result of the comparison.

    Attributes:
        frames: which frames were used, for people.
        samples: number of samples.
        steps: time steps of a sample.
        layers: the layers in order; the last one is the output, which has no spikes where its membrane is the read-out.
        classes_differ: samples whose class differs, or that have a class in one network only.
        float_silent: samples without an output spike in the float graph.
        silent: samples without an output spike in the integer network.
        notes: what was left out, and reasons why the comparison says little.
        other_reset: differences to the float graph with the reset that the network was perhaps trained with; None where
            that reset is zero.
    """

    frames: str
    samples: int
    steps: int
    layers: tuple[LayerFloatComparison, ...]
    classes_differ: int
    float_silent: int
    silent: int
    notes: tuple[str, ...] = ()
    other_reset: ResetComparison | None = None

    def lines(self) -> list[str]:
        """The result as text, a line each."""
        output = self.layers[-1]
        text_lines = [
            f"check: {self.frames}: {self.classes_differ:,} of {self.samples:,} classes and {output.mismatches:,} of "
            f"{output.entries:,} entries (neuron, step) of the output differ from the float graph"
        ]
        if self.float_silent or self.silent:
            text_lines.append(
                f"check: {self.float_silent:,} samples have no output spike in the float graph, {self.silent:,} in the "
                "integers"
            )
        description = sorted(self.layers, key=lambda row: -row.mismatches / row.entries)[:LISTED_LAYERS]
        for row in [row for row in self.layers if row in description]:
            text_lines.append(
                f"check: {row.name}: {row.mismatches:,} of {row.entries:,} entries differ; spikes a step "
                f"{row.float_rate:.4g} (float), {row.rate:.4g} (integers)"
            )
        if len(self.layers) > LISTED_LAYERS:
            text_lines.append(
                f"check: the {LISTED_LAYERS} layers of {len(self.layers):,} that differ most; --json has all"
            )
        if self.other_reset is not None:
            text_lines.append(self.other_reset.line())
        if output.mismatches > MANY * output.entries:
            text_lines.append(
                f"check: more than {100 * MANY:g} % differ: --calibrate FRAMES.npz searches scales, --clones 4 or "
                "--row-scales 2 make weights finer, spikeport adapt trains them in the chip's arithmetic"
            )
        return [*text_lines, *(f"check: NOTE: {note}" for note in self.notes)]


def compare_on_random_frames(graph: SpikingGraph, network: IntegerNetwork) -> FloatComparison:
    """Compares on seeded random frames: every input has an event with probability DENSITY at each time step.

    Large networks get fewer samples and time steps.

    Args:
        graph: the float graph.
        network: the network that `quantize` made from it.
    """
    layers = float_layers(graph)
    samples, steps = affordable_size(layers, SAMPLES, STEPS, RANDOM_OPERATIONS)
    random = np.random.default_rng(SEED)
    frames = (random.random((samples, steps, *network.input_shape)) < DENSITY).astype(np.uint8)
    description = f"{samples} random samples of {steps} steps, {100 * DENSITY:g} % of inputs active, seed {SEED}"
    less = [f"fewer than {SAMPLES} samples of {STEPS} steps: the network is large"]
    notes = less if (samples, steps) != (SAMPLES, STEPS) else []
    return _compare(graph, layers, network, frames, frames, description, notes)


def compare_on_frames(
    graph: SpikingGraph, network: IntegerNetwork, frames: Any, source: str, labels: np.ndarray | None = None
) -> FloatComparison:
    """Compares on given frames.

    Args:
        graph: the float graph.
        network: the network that `quantize` made from it.
        frames: counts `[N, T, *input_shape]`. The integer network receives them as spikes or messages, the float graph
            as they are. At most MAX_SAMPLES are used, fewer samples and time steps if the network is large.
        source: where the frames come from, for people.
        labels: classes `[N]`, by which samples are drawn.

    Raises:
        UserError: there are no frames.
    """
    if len(frames) == 0 or frames.shape[1] == 0:
        raise UserError("the frames for the check are empty", where=source, hint="give at least one sample and step")
    layers = float_layers(graph)
    found, given = int(frames.shape[0]), int(frames.shape[1])
    samples, steps = affordable_size(layers, min(found, MAX_SAMPLES), given, GIVEN_FACTOR * RANDOM_OPERATIONS)
    drawn = draw(samples, found, labels)
    raw = np.concatenate([np.asarray(frames[row : row + 1])[:, :steps] for row in drawn.rows])
    clipped = np.minimum(raw, network.input_limit).astype(np.uint8)
    notes = []
    if not drawn.whole or steps < given:
        notes.append(f"checked on {words(drawn.as_dict(), 'samples')}, {steps:,} of {given:,} steps")
    events = int(raw.sum(dtype=np.int64))
    lost = events - int(clipped.sum(dtype=np.int64))
    if lost:
        notes.append(f"{lost:,} of {events:,} events are counts above {network.input_limit}, which the chip does not "
                     "get; the float graph got them")  # fmt: skip
    description = f"{len(raw):,} samples of {steps:,} steps of {source}"
    return _compare(graph, layers, network, raw, clipped, description, notes)


def _compare(
    graph: SpikingGraph,
    layers: list[FloatLayer],
    network: IntegerNetwork,
    counts: np.ndarray,
    legal: np.ndarray,
    description: str,
    notes: list[str],
) -> FloatComparison:
    from spikeport.export.backends.reference.simulate import simulate

    membrane, other = network.readout.kind == "membrane", other_reset(graph)
    wanted = run_float(layers, counts, keep_layers=True, keep_membrane=membrane)
    trace = simulate(network, legal, keep_layers=True)
    entries = {layer.name: index for index, layer in enumerate(network.layers)}
    assert wanted.layer_spikes is not None
    assert trace.layer_spikes is not None
    rows = [
        _row(layer.name, spikes, without_clones(trace.layer_spikes[at := entries[layer.name]], network.layers[at]))
        for (layer, _), spikes in zip(layers, wanted.layer_spikes, strict=True)
    ]
    ours, theirs = network.readout.classes(trace.spikes, trace.levels), wanted.classes(network.readout)
    silent = next((row.name for row in rows if not row.float_rate and not (membrane and row is rows[-1])), None)
    if silent is not None:
        notes = [
            *notes,
            f"no spike in {silent} of the float graph, so this says little: --check FRAMES.npz with real frames",
        ]
    return FloatComparison(
        frames=description,
        samples=len(legal),
        steps=int(legal.shape[1]),
        layers=tuple(rows),
        classes_differ=int(np.count_nonzero(ours != theirs)),
        float_silent=int(np.count_nonzero(theirs == SILENT)),
        silent=int(np.count_nonzero(ours == SILENT)),
        notes=tuple(notes),
        other_reset=None if other is None else compare_resets(graph, layers, counts, other, wanted, trace, network),
    )


def _row(name: str, wanted: np.ndarray, given: np.ndarray) -> LayerFloatComparison:
    """Compares one layer; `given` may have a bias neuron after those of the graph."""
    theirs = wanted.reshape(*wanted.shape[:2], -1)
    ours = given.reshape(*given.shape[:2], -1)[..., : theirs.shape[-1]]
    return LayerFloatComparison(
        name=name,
        entries=int(theirs.size),
        mismatches=int(np.count_nonzero(ours != theirs)),
        float_rate=float(theirs.mean(dtype=np.float64)),
        rate=float(ours.mean(dtype=np.float64)),
    )


def affordable_size(layers: list[FloatLayer], samples: int, steps: int, operations: int) -> tuple[int, int]:
    """Limits the size of a comparison.

    Args:
        layers: layers of the float graph.
        samples: largest number of samples.
        steps: largest number of time steps.
        operations: largest number of multiplications.

    Returns:
        (samples, time steps) for which the operations and the memory suffice, at least 1 each.
    """
    of_step, neurons = 0, 0
    for layer, _ in layers:
        shape = layer.output_shape
        of_step += int(layer.weight.size) * int(np.prod(shape[1:], dtype=np.int64))
        of_step += 0 if layer.weight_rec is None else int(layer.weight_rec.size)
        neurons += int(np.prod(shape, dtype=np.int64))
    steps = max(1, min(steps, operations // (of_step + PER_STEP * len(layers)), MEMORY // neurons))
    left = operations // steps - PER_STEP * len(layers)
    return max(1, min(samples, left // of_step, MEMORY // (neurons * steps))), steps

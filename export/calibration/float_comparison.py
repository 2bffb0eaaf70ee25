"""How far rounding moved a network's behavior: the float graph and the integers on the same frames, spike by spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import FloatLayer, float_layers, run_float
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.sampling import draw, words

SAMPLES, STEPS, DENSITY, SEED = 16, 50, 0.1, 20261129  # of random frames
MOST_SAMPLES = 256  # of given ones
OPERATIONS = 2_000_000_000  # multiplications of the float run that random frames may take, ...
PATIENCE = 20  # ... and given ones times this
PER_STEP = 100_000  # what a layer's step costs beside its multiplications, in these
LISTED_LAYERS = 20  # layers in the text
MEMORY = 1 << 28  # bytes of spikes that are held, one a neuron and step


@dataclass(frozen=True, kw_only=True)
class LayerBehavior:
    """One layer, each network running on its own: of `places` (neuron, step and sample) how many `differ`, and the
    share of them with a spike in the float graph, `float_rate`, and in the integers, `rate`."""

    name: str
    places: int
    differ: int
    float_rate: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """What the check found, ready for JSON. `frames`: what was shown, in words. `layers`: the last is the output, empty
    of spikes where its membrane is read. `classes_differ`: samples whose class, or lack of one, is another.
    `float_silent`, `silent`: samples without an answer. `notes`: what was left out, or what makes this say little.
    """

    frames: str
    samples: int
    steps: int
    layers: tuple[LayerBehavior, ...]
    classes_differ: int
    float_silent: int
    silent: int
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The findings as text."""
        output = self.layers[-1]
        text_lines = [
            f"check: {self.frames}: {self.classes_differ:,} of {self.samples:,} classes and {output.differ:,} of "
            f"{output.places:,} places (neuron, step) of the output differ from the float graph"
        ]
        if self.float_silent or self.silent:
            text_lines.append(
                f"check: {self.float_silent:,} samples have no output spike in the float graph, {self.silent:,} in the "
                "integers"
            )
        description = sorted(self.layers, key=lambda row: -row.differ / row.places)[:LISTED_LAYERS]
        for row in [row for row in self.layers if row in description]:
            text_lines.append(
                f"check: {row.name}: {row.differ:,} of {row.places:,} places differ; spikes a step "
                f"{row.float_rate:.4g} (float), {row.rate:.4g} (integers)"
            )
        if len(self.layers) > LISTED_LAYERS:
            text_lines.append(
                f"check: the {LISTED_LAYERS} layers of {len(self.layers):,} that differ most; --json has all"
            )
        return [*text_lines, *(f"check: NOTE: {note}" for note in self.notes)]


def random_behavior(graph: SpikingGraph, network: IntegerNetwork) -> Behavior:
    """Both on seeded random frames: every input is an event with probability DENSITY, whatever the network was trained
    on. Fewer samples and steps where the network is large."""
    layers = float_layers(graph)
    samples, steps = _affordable(layers, SAMPLES, STEPS, OPERATIONS)
    random = np.random.default_rng(SEED)
    frames = (random.random((samples, steps, *network.input_shape)) < DENSITY).astype(np.uint8)
    description = f"{samples} random samples of {steps} steps, {100 * DENSITY:g} % of inputs active, seed {SEED}"
    less = [f"fewer than {SAMPLES} samples of {STEPS} steps: the network is large"]
    return _compared(layers, network, frames, frames, description, less if (samples, steps) != (SAMPLES, STEPS) else [])


def behavior(
    graph: SpikingGraph, network: IntegerNetwork, frames: Any, source: str, labels: np.ndarray | None = None
) -> Behavior:
    """Both on `frames` `[N, T, *input_shape]` of counts, which the integers get as spikes (or messages) and the float
    graph as they are. `source`: where they come from, in words. At most MOST_SAMPLES, drawn by class where there are
    `labels` `[N]`, fewer of them and of their steps where the network is large; what is left out is told. Raises
    UserError where there are none.
    """
    if len(frames) == 0 or frames.shape[1] == 0:
        raise UserError("there are no frames to check on", where=source, hint="give at least one sample and step")
    layers = float_layers(graph)
    found, given = int(frames.shape[0]), int(frames.shape[1])
    samples, steps = _affordable(layers, min(found, MOST_SAMPLES), given, PATIENCE * OPERATIONS)
    drawn = draw(samples, found, labels)
    raw = np.concatenate([np.asarray(frames[row : row + 1])[:, :steps] for row in drawn.rows])
    kept = np.minimum(raw, network.input_limit).astype(np.uint8)
    notes = []
    if not drawn.whole or steps < given:
        notes.append(f"checked on {words(drawn.as_dict(), 'samples')}, {steps:,} of {given:,} steps")
    events = int(raw.sum(dtype=np.int64))
    lost = events - int(kept.sum(dtype=np.int64))
    if lost:
        notes.append(f"{lost:,} of {events:,} events are counts above {network.input_limit}, which the chip does not "
                     "get; the float graph got them")  # fmt: skip
    return _compared(layers, network, raw, kept, f"{len(raw):,} samples of {steps:,} steps of {source}", notes)


def _compared(
    layers: list[FloatLayer],
    network: IntegerNetwork,
    raw: np.ndarray,
    kept: np.ndarray,
    description: str,
    notes: list[str],
) -> Behavior:
    from spikeport.export.backends.reference.simulate import simulate

    membrane = network.readout.kind == "membrane"
    wanted = run_float(layers, raw, keep_layers=True, keep_membrane=membrane)
    trace = simulate(network, kept, keep_layers=True)
    places = {layer.name: index for index, layer in enumerate(network.layers)}
    assert wanted.layer_spikes is not None
    assert trace.layer_spikes is not None
    rows = [
        _row(layer.name, spikes, trace.layer_spikes[places[layer.name]])
        for (layer, _), spikes in zip(layers, wanted.layer_spikes, strict=True)
    ]
    ours, theirs = network.readout.classes(trace.spikes, trace.membrane), wanted.classes(network.readout)
    silent = next((row.name for row in rows if not row.float_rate and not (membrane and row is rows[-1])), None)
    if silent is not None:
        notes = [
            *notes,
            f"no spike in {silent} of the float graph, so this says little: --check FRAMES.npz with real frames",
        ]
    return Behavior(
        frames=description,
        samples=len(kept),
        steps=int(kept.shape[1]),
        layers=tuple(rows),
        classes_differ=int(np.count_nonzero(ours != theirs)),
        float_silent=int(np.count_nonzero(theirs == SILENT)),
        silent=int(np.count_nonzero(ours == SILENT)),
        notes=tuple(notes),
    )


def _row(name: str, wanted: np.ndarray, given: np.ndarray) -> LayerBehavior:
    """`given` may have a bias neuron behind those of the graph."""
    theirs = wanted.reshape(*wanted.shape[:2], -1)
    ours = given.reshape(*given.shape[:2], -1)[..., : theirs.shape[-1]]
    return LayerBehavior(
        name=name,
        places=int(theirs.size),
        differ=int(np.count_nonzero(ours != theirs)),
        float_rate=float(theirs.mean(dtype=np.float64)),
        rate=float(ours.mean(dtype=np.float64)),
    )


def _affordable(layers: list[FloatLayer], samples: int, steps: int, operations: int) -> tuple[int, int]:
    """So many samples, and of one sample so many steps, as a run of that many operations, and the memory, allow."""
    of_step, neurons = 0, 0
    for layer, _ in layers:
        shape = layer.output_shape
        of_step += int(layer.weight.size) * int(np.prod(shape[1:], dtype=np.int64))
        of_step += 0 if layer.weight_rec is None else int(layer.weight_rec.size)
        neurons += int(np.prod(shape, dtype=np.int64))
    steps = max(1, min(steps, operations // (of_step + PER_STEP * len(layers)), MEMORY // neurons))
    left = operations // steps - PER_STEP * len(layers)
    return max(1, min(samples, left // of_step, MEMORY // (neurons * steps))), steps

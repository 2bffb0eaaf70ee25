"""Adapts a network to the chip: its nearest legal network learns, in Loihi's arithmetic, to answer as the source does.

The source runs in float with its own reset, pools and decays, and is the teacher. No labels are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.layer_report import LayerReport
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.identity import check_resumed, identity_of
from spikeport.pipeline.adaptation.match_rates import match_rates
from spikeport.pipeline.adaptation.measure import Answers, Measured, answers_of, integer_answers, measured
from spikeport.pipeline.adaptation.objective import AdaptationLoss
from spikeport.pipeline.adaptation.settings import AdaptSettings
from spikeport.pipeline.adaptation.source import Source
from spikeport.pipeline.adaptation.student import AdaptedNetwork, student_of
from spikeport.pipeline.adaptation.task import AdaptationTask
from spikeport.pipeline.adaptation.widen import widen
from spikeport.pipeline.models.neurons.base import UNIT
from spikeport.pipeline.run.sections.training import Augmentation, Training
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.qat import convert, prepare_qat
from spikeport.pipeline.training.scaling import rescale
from spikeport.progress import NamedProgress

RATE_SAMPLES = 64  # samples on which the rates of layers are matched


@dataclass(frozen=True, kw_only=True)
class AdaptResult:
    """Result of an adaptation.

    Attributes:
        graph: the adapted network as a spiking graph whose weights are on the integer grid.
        network: the same in integers.
        layers: rounding errors of each layer, 0 in adapted layers.
        rows: source, nearest network in float, nearest network rounded, adapted network, on the measured samples.
        changes: what differs between the source and its nearest network.
        factors: factor of the weights of each layer before the training, which matched its rate.
        mismatches: spikes that differ between the trained network and the integer reference; must be 0.
        compared: spikes that were compared.
    """

    graph: SpikingGraph
    network: IntegerNetwork
    layers: list[LayerReport]
    rows: tuple[Measured, ...]
    changes: tuple[str, ...]
    factors: Mapping[str, float]
    mismatches: int
    compared: int


def adapt_source(
    source: Source,
    frames: Any,
    measured_frames: Any,
    labels: np.ndarray | None,
    settings: AdaptSettings,
    folder: Path,
    *,
    progress: NamedProgress | None = None,
) -> AdaptResult:
    """Adapts a source and measures it.

    Args:
        source: the source.
        frames: `[N, T, *input_shape]` uint8, on which it is trained.
        measured_frames: frames of the same form, on which networks are compared.
        labels: classes of `measured_frames`, or None.
        settings: the settings.
        folder: where the checkpoint is; a stopped adaptation is resumed from it.
        progress: called as (steps done, steps in all, stage).

    Raises:
        UserError: the nearest network cannot go to the chip, the training fails, or the checkpoint is of another
            adaptation.
    """
    changes = list(source.changes)
    network = student_of(source.nearest, changes)
    identity = identity_of(source, network, changes, frames, settings)
    check_resumed(folder, identity)
    readout = source.nearest.readout
    names = {theirs: layer_of(network, ours) for theirs, ours in source.pairs.items()}
    reference, rows = measured_nearest(source, network, measured_frames, labels, settings.message_bits)
    factors = match_rates(network, source.network, source.pairs, frames[: min(len(frames), RATE_SAMPLES)])
    if widened := widen(network, settings.widen):
        changes.append(f"{settings.widen} times as many channels: {', '.join(widened)}")
    trained = rescale(network)
    prepare_qat(trained)
    hidden = dict(list(source.pairs.items())[:-1])
    loss = AdaptationLoss(
        pairs=hidden, temperature=settings.temperature, classes=settings.classes, rates=settings.rates
    )
    task = AdaptationTask(
        trained,
        source.network,
        frames,
        loss,
        augmentation=Augmentation(
            shift=settings.shift, rotation=settings.rotation, scale=settings.scale, event_drop=settings.event_drop
        ),
        batch=min(settings.batch, len(frames)),
        epochs=settings.epochs,
        lr=settings.lr,
        seed=settings.seed,
        ema_decay=settings.ema_decay,
        identity=identity,
    )
    fit(task, folder, Training(threads=settings.threads), progress=progress)
    source.network.to("cpu")
    trained = convert(trained)
    graph = trained.graph()
    integers, layers = quantize(graph)
    integers = _with_bits(integers, settings.message_bits, graph)
    own = _renamed(answers_of(trained, measured_frames, readout), source.pairs)
    adapted = integer_answers(integers, measured_frames, names, own.neurons)
    rows.append(measured("adapted", adapted, reference, labels))
    mismatches, compared = compare_with_reference(trained, integers, measured_frames)
    return AdaptResult(
        graph=graph,
        network=integers,
        layers=layers,
        rows=tuple(rows),
        changes=tuple(changes),
        factors=factors,
        mismatches=mismatches,
        compared=compared,
    )


def compare_with_reference(network: AdaptedNetwork, integers: IntegerNetwork, frames: Any) -> tuple[int, int]:
    """Values of the last neurons in which a trained network and the integer reference differ, and values compared.

    The values are spikes, or membranes in the chip's units where these are read out.

    Args:
        network: the network in Loihi numerics.
        integers: the integer network made of it.
        frames: `[N, T, *input_shape]`.
    """
    trace = simulate(integers, frames)
    given, outputs = trace.spikes, network.outputs
    last = list(network.weight_layers())[-1].neurons
    if integers.readout.kind == "linear":
        network.outputs = (list(network.synapses)[-1],)  # the host computes what is behind it
    try:
        own = answers_of(network, frames, "").outputs
    finally:
        network.outputs = outputs
    if trace.membrane is not None:
        given, own = trace.membrane, np.rint(own * float(last.scale) * UNIT)
    return int(np.count_nonzero(own != given)), int(given.size)


def measured_nearest(
    source: Source, network: AdaptedNetwork, frames: Any, labels: np.ndarray | None, message_bits: int = 0
) -> tuple[Answers, list[Measured]]:
    """The answers of a source, and rows of the source, of its nearest network in float, and of the same rounded.

    Args:
        source: the source.
        network: `student_of` its nearest graph.
        frames: `[N, T, *input_shape]`.
        labels: classes `[N]`, or None.
        message_bits: bits of input counts; 0: inputs are spikes.

    Raises:
        UserError: no output neuron of the source fires, or the nearest graph cannot be quantized.
    """
    readout = source.nearest.readout
    reference = answers_of(source.network, frames, readout)
    _check_classes(reference)
    rows = [measured("source", reference, reference, labels)]
    near = _renamed(answers_of(network, frames, readout), source.pairs)
    rows.append(measured("nearest, float", near, reference, labels))
    rounded, _ = quantize(source.nearest)
    names = {theirs: layer_of(network, ours) for theirs, ours in source.pairs.items()}
    found = integer_answers(_with_bits(rounded, message_bits, source.nearest), frames, names, near.neurons)
    rows.append(measured("nearest, rounded", found, reference, labels))
    return reference, rows


def layer_of(network: AdaptedNetwork, name: str) -> str:
    """Name of the integer layer whose spikes a layer of neurons or a pool gives.

    Args:
        network: the network.
        name: name of the neurons or the pool.
    """
    return network.synapses[name][0] if name in network.synapses else name


def _with_bits(network: IntegerNetwork, message_bits: int, graph: SpikingGraph) -> IntegerNetwork:
    return with_messages(network, message_bits, graph) if message_bits else network


def _renamed(answers: Answers, pairs: Mapping[str, str]) -> Answers:
    here = {theirs: ours for theirs, ours in pairs.items() if ours in answers.rates}
    rates = {theirs: answers.rates[ours] for theirs, ours in here.items()}
    return Answers(answers.classes, answers.outputs, rates, {t: answers.neurons[ours] for t, ours in here.items()})


def _check_classes(answers: Answers) -> None:
    if len(answers.classes) and np.all(answers.classes == -1):
        raise UserError("no output neuron of the source fires on these frames", where="SOURCE",
                        hint="check that the frames are binned as the source was trained, and that the factory loads "
                        "the trained weights")  # fmt: skip

"""Post-training quantization with calibration frames: searches one scale for each layer.

The max-abs scale is the largest one at which no weight is clipped. A larger scale clips a few weights and resolves the
others better; a smaller one may round them to closer grid points. The search goes layer by layer, in order. The integer
reference runs each candidate layer on the spikes of the integer layers before it, and its spikes are compared with
those of the float graph (`spike_distance`). A candidate must be better than the max-abs scale by more than chance. At
the end, the whole network is compared with the max-abs network on frames that the search has not used; the max-abs
network is kept unless the searched one is better.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import FloatLayer, FloatTrace, float_layers
from spikeport.export.calibration.frames import FrameLoss, FrameSet, split_frames
from spikeport.export.calibration.report import CalibrationReport, LayerCalibration
from spikeport.export.calibration.spike_distance import Distance, Target, distance
from spikeport.export.calibration.state_peaks import state_peaks
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.mapping.limit_checks import accumulator_bound
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.fixed_point import ACCUMULATOR_LIMIT, STATE_SHIFT
from spikeport.export.network.input_range import MESSAGE_BITS_LIMIT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import SILENT, UNLABELED, Readout
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.clones import Clones, without_clones
from spikeport.export.quantization.layer_report import LayerReport
from spikeport.export.quantization.quantize import quantize
from spikeport.progress import Progress

Quantized = tuple[IntegerNetwork, list[LayerReport]]
COARSE = (1.0, 0.7, 0.8, 0.9, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.3, 2.7, 3.2, 4.0)  # times the max-abs scale
FINE = (0.94, 0.97, 1.03, 1.06)  # times the best coarse scale
TRIES = len(COARSE) + len(FINE)
BETTER = 0.98  # a layer's distance must be below this fraction of the max-abs scale's ...
ERRORS = 2.0  # ... by at least this many standard errors over samples


def calibrate(
    graph: SpikingGraph,
    frames: Any,
    labels: np.ndarray | None = None,
    *,
    bits: int = 8,
    input_message_bits: int = 0,
    clones: Clones = 1,
    samples: int = 64,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> tuple[IntegerNetwork, list[LayerReport], CalibrationReport]:
    """Quantizes a graph with searched scales, or with max-abs scales if the search finds nothing better.

    Args:
        graph: the graph.
        frames: spikes or counts `[N, T, *input_shape]`. Two thirds are used for the search, the others for the check.
            Counts become spikes (1 if the count is not 0), or messages of `input_message_bits`.
        labels: classes `[N]`; with them the report holds accuracies, and samples are drawn by class.
        bits: bits of a weight, 2 to 8.
        input_message_bits: bits of an input that is a count; 0: inputs are spikes.
        clones: copies of neurons, as for `quantize`.
        samples: number of samples to use at most.
        seconds: time after which no more candidates are tried; None: all are tried. Only then do equal frames always
            give equal scales.
        progress: called with (candidates tried, candidates in all).

    Returns:
        The integer network, the report of each layer as `quantize` returns it, and the report of the search.

    Raises:
        UserError: the graph cannot be quantized, or there are no frames.
    """
    if not 0 <= input_message_bits <= MESSAGE_BITS_LIMIT:
        raise UserError(f"input_message_bits = {input_message_bits} is outside 0..{MESSAGE_BITS_LIMIT}")
    search = _Search(graph, bits, input_message_bits, clones, seconds, progress)
    max_abs = search.quantized()
    searched, checked, loss = split_frames(graph, max_abs[0], frames, labels, samples)
    inputs, at = searched.frames, -1
    for index in range(len(search.layers)):
        target = _target(searched.float_trace, index, search.layers, max_abs[0].readout)
        search.search(index, inputs, at, target)
        network, _ = search.quantized()
        position = _position(network, search.layers[index][0].name)
        inputs, at = _spikes(_run(network, at, position, inputs), -1), position
    return _compare_on_check(search, max_abs, search.quantized(), len(searched.frames), checked, loss)


class _Search:
    """The scales found so far."""

    def __init__(
        self, graph: SpikingGraph, bits: int, message_bits: int, clones: Clones, seconds: float | None,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.graph, self.bits, self.message_bits, self.progress = graph, bits, message_bits, progress
        self.clones = clones
        self.layers = float_layers(graph)
        self.scales: dict[str, float] = {}
        self.found: list[LayerCalibration] = []
        self.stop_at = np.inf if seconds is None else time.monotonic() + seconds

    def quantized(self, **more: float) -> Quantized:
        """The network with the scales found so far, and with those in `more`."""
        network, rows = quantize(self.graph, bits=self.bits, scales={**self.scales, **more}, clones=self.clones)
        return with_messages(network, self.message_bits, self.graph), rows

    def search(self, index: int, inputs: np.ndarray, source: int, target: Target) -> None:
        """Searches the scale of layer `index` on `inputs`, the spikes of integer layer `source` (-1: the frames)."""
        name = self.layers[index][0].name
        network, rows = self.quantized()
        position = _position(network, name)
        max_abs, limit = rows[position].scale, rows[position].scale_limit
        found = {max_abs: distance(_one_copy(network, source, position, inputs), target, max_abs)}
        self._report(index, 0)
        free = name not in self.graph.scales
        for start, factors in ((0, COARSE), (len(COARSE), FINE)) if free else ():
            middle = min(found, key=lambda scale: found[scale].value)
            for done, factor in enumerate(factors, start + 1):
                scale = middle * factor
                legal = scale not in found and (limit is None or scale <= limit)
                if legal and time.monotonic() < self.stop_at:
                    measured = self._measure(name, scale, position, source, inputs, target)
                    if measured is not None:
                        found[scale] = measured
                self._report(index, done)
        best = min(found, key=lambda scale: found[scale].value)
        if found[best].beats(found[max_abs], ERRORS, BETTER):
            self.scales[name] = best
        else:
            best = max_abs
        self._report(index, TRIES)
        self.found.append(
            LayerCalibration(
                name=name,
                searched=free,
                tried=len(found),
                max_abs_scale=max_abs,
                scale=best,
                max_abs_distance=found[max_abs].value,
                distance=found[best].value,
            )
        )

    def _measure(
        self, name: str, scale: float, position: int, source: int, inputs: np.ndarray, target: Target
    ) -> Distance | None:
        """The distance at one scale; None if it is not legal."""
        try:
            network, _ = self.quantized(**{name: scale})
        except UserError:  # all weights, or the threshold, would round to 0
            return None
        if _bound(network, position) >= ACCUMULATOR_LIMIT:
            return None
        return distance(_one_copy(network, source, position, inputs), target, scale)

    def _report(self, index: int, done: int) -> None:
        if self.progress:
            self.progress(index * TRIES + done, len(self.layers) * TRIES)


def _position(network: IntegerNetwork, name: str) -> int:
    return next(index for index, layer in enumerate(network.layers) if layer.name == name)


def _run(network: IntegerNetwork, source: int, position: int, frames: np.ndarray) -> SpikeTrace:
    """Runs layers `source` + 1 to `position` in the reference; `frames` are the spikes of layer `source`."""
    from spikeport.export.backends.reference.simulate import simulate

    layers = network.layers[source + 1 : position + 1]
    membrane = position == len(network.layers) - 1 and network.readout.kind == "membrane"
    part = IntegerNetwork(
        input_shape=layers[0].input_shape,
        layers=layers,
        input_message_bits=network.input_message_bits if source < 0 else 0,
        readout=Readout(kind="membrane") if membrane else Readout(),
    )
    return simulate(part, frames, keep_layers=True)


def _one_copy(network: IntegerNetwork, source: int, position: int, frames: np.ndarray) -> SpikeTrace:
    """`_run` with the output spikes of one copy of each neuron."""
    trace, layer = _run(network, source, position, frames), network.layers[position]
    own = without_clones(trace.spikes, layer)
    return replace(trace, spikes=own.reshape(*own.shape[:2], -1)) if layer.clones > 1 else trace


def _spikes(trace: SpikeTrace | FloatTrace, position: int) -> np.ndarray:
    assert trace.layer_spikes is not None
    return trace.layer_spikes[position]


def _target(trace: FloatTrace, index: int, layers: list[FloatLayer], readout: Readout) -> Target:
    if index == len(layers) - 1 and readout.kind == "membrane" and trace.membrane is not None:
        return Target(trace.membrane, True, float((1 << STATE_SHIFT) * layers[index][0].divisor))
    return Target(_spikes(trace, index), False, 1.0)


def _bound(network: IntegerNetwork, position: int) -> int:
    return accumulator_bound(network.layers[position], network.input_limit if position == 0 else 1)


def _compare_on_check(
    search: _Search, max_abs: Quantized, searched: Quantized, samples: int, check: FrameSet, loss: FrameLoss
) -> tuple[IntegerNetwork, list[LayerReport], CalibrationReport]:
    """The network that is better on the frames of the check, end to end, with the report."""
    from spikeport.export.backends.reference.simulate import simulate

    last, readout = len(search.layers) - 1, max_abs[0].readout
    target = _target(check.float_trace, last, search.layers, readout)
    traces = [simulate(network, check.frames, keep_layers=True) for network, _ in (max_abs, searched)]
    off = [
        distance(trace, target, rows[_position(network, search.layers[last][0].name)].scale)
        for trace, (network, rows) in zip(traces, (max_abs, searched), strict=True)
    ]
    selected = int(bool(search.scales) and off[1].value < off[0].value)
    network, rows = (max_abs, searched)[selected]
    layers = []
    for index, row in enumerate(search.found):
        position, max_abs_position = _position(network, row.name), _position(max_abs[0], row.name)
        own = _differences(check.float_trace, index, traces[selected], network.layers[position], position)
        layer = max_abs[0].layers[max_abs_position]
        max_abs_own = _differences(check.float_trace, index, traces[0], layer, max_abs_position)
        layers.append(
            replace(
                row,
                max_abs_clipped=max_abs[1][max_abs_position].saturated,
                clipped=rows[position].saturated,
                spikes=int(np.count_nonzero(_spikes(check.float_trace, index))),
                mismatches=own[0],
                rate_error=own[1],
                max_abs_mismatches=max_abs_own[0],
                max_abs_rate_error=max_abs_own[1],
                threshold_steps=rows[position].threshold_mant / 2 ** (9 - search.bits),
                accumulator_bound=_bound(network, position),
                peaks=state_peaks(
                    network.layers[position], check.frames if position == 0 else _spikes(traces[selected], position - 1)
                ),
                v_decay_error=rows[position].v_decay_error,
                i_decay_error=rows[position].i_decay_error,
            )
        )
    classes = check.float_trace.classes(readout)
    given = [readout.classes(trace.spikes, trace.levels) for trace in traces]
    labels = np.full(len(classes), UNLABELED) if check.labels is None else check.labels
    right = [compare_with_labels(labels, one).accuracy for one in (*given, classes)]
    silent = [int(np.count_nonzero(one == SILENT)) for one in (*given, classes)]
    report = CalibrationReport(
        bits=search.bits,
        selected=("max_abs", "searched")[selected],
        samples_searched=samples,
        samples_checked=len(check.frames),
        steps=int(check.frames.shape[1]),
        max_abs_distance=off[0].value,
        searched_distance=off[1].value,
        max_abs_agreement=float(np.mean(given[0] == classes)),
        searched_agreement=float(np.mean(given[1] == classes)),
        max_abs_accuracy=right[0],
        searched_accuracy=right[1],
        float_accuracy=right[2],
        max_abs_silent=silent[0],
        searched_silent=silent[1],
        float_silent=silent[2],
        unlabeled=int(np.count_nonzero(labels == UNLABELED)) if check.labels is not None else 0,
        layers=tuple(layers),
        events=loss.events,
        events_lost=loss.lost,
        notes=loss.notes,
    )
    return network, rows, report


def _differences(
    target: FloatTrace, index: int, trace: SpikeTrace, layer: IntegerLayer, position: int
) -> tuple[int, float]:
    """Neuron-steps that differ, and |difference of spike counts| over neurons and samples, per spike of the target."""
    spikes = _spikes(target, index)
    spikes = spikes.reshape(*spikes.shape[:2], -1)
    given = without_clones(_spikes(trace, position), layer).reshape(*spikes.shape[:2], -1)[..., : spikes.shape[-1]]
    counts = np.abs(given.sum(axis=1, dtype=np.int64) - spikes.sum(axis=1, dtype=np.int64)).sum()
    return int(np.count_nonzero(given != spikes)), float(counts) / max(int(np.count_nonzero(spikes)), 1)

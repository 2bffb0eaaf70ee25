"""Post-training quantization on calibration frames: one scale a layer, searched, with the integer reference as judge.

The max-abs scale is the largest one at which no weight is clipped. A larger one clips a few weights and resolves the
others better, a smaller one may put them on luckier grid points. Layer by layer, in order: each candidate's layer is
run by the reference on the spikes that the integer layers before it really give, and compared with the spikes that the
float graph fires there. The criterion is `spike_distance`; a candidate must beat the max-abs scale by more than chance.
On frames that the search did not see the whole network is compared with the max-abs scale's, which stays if not beaten.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import FloatLayer, FloatTrace, float_layers
from spikeport.export.calibration.frames import Part, split_frames
from spikeport.export.calibration.report import CalibrationReport, LayerCalibration
from spikeport.export.calibration.spike_distance import Distance, Wanted, distance
from spikeport.export.calibration.state_peaks import state_peaks
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.mapping.limit_checks import accumulator_bound
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.fixed_point import ACCUMULATOR_LIMIT, STATE_SHIFT
from spikeport.export.network.integer_network import MESSAGE_BITS_LIMIT, IntegerNetwork
from spikeport.export.network.readout import SILENT, UNLABELLED, Readout
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.layer_report import LayerReport
from spikeport.export.quantization.quantize import quantize
from spikeport.progress import Progress

Quantized = tuple[IntegerNetwork, list[LayerReport]]
COARSE = (1.0, 0.7, 0.8, 0.9, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.3, 2.7, 3.2, 4.0)  # times the max-abs scale
FINE = (0.94, 0.97, 1.03, 1.06)  # times the best of those
TRIES = len(COARSE) + len(FINE)
BETTER = 0.98  # what a layer's distance must be below, as a share of the max-abs scale's
ERRORS = 2.0  # standard errors over samples by which it must be


def calibrate(
    graph: SpikingGraph,
    frames: Any,
    labels: np.ndarray | None = None,
    *,
    bits: int = 8,
    input_message_bits: int = 0,
    samples: int = 64,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> tuple[IntegerNetwork, list[LayerReport], CalibrationReport]:
    """The integer network with searched scales (or the max-abs scale's, where the search does not beat it), the row of
    each layer as `quantize` writes it, and what the search found.

    `frames` `[N, T, *input_shape]`, spikes or counts, at most `samples` of which are used, drawn by class: two thirds
    to search, the others to check. Counts become spikes (1 where there was any), or messages of `input_message_bits`;
    what that loses is told. `labels` `[N]`, where given, add accuracies. After `seconds` no more candidates are tried.
    `progress(done, total)` counts candidates. Without `seconds` the same frames give the same scales. Raises UserError
    as `quantize` does, or where there are no frames.
    """
    if not 0 <= input_message_bits <= MESSAGE_BITS_LIMIT:
        raise UserError(f"input_message_bits = {input_message_bits} is outside 0..{MESSAGE_BITS_LIMIT}")
    search = _Search(graph, bits, input_message_bits, seconds, progress)
    max_abs = search.quantized()
    seen, unseen, frame_facts = split_frames(graph, max_abs[0], frames, labels, samples)
    passing, at = seen.frames, -1
    for index in range(len(search.layers)):
        wanted = _wanted(seen.wanted, index, search.layers, max_abs[0].readout)
        search.search(index, passing, at, wanted)
        network, _ = search.quantized()
        place = _place(network, search.layers[index][0].name)
        passing, at = _spikes(_run(network, at, place, passing), -1), place
    return _judge(search, max_abs, search.quantized(), len(seen.frames), unseen, frame_facts)


class _Search:
    """The scales found so far, and what it takes to try another."""

    def __init__(
        self, graph: SpikingGraph, bits: int, message_bits: int, seconds: float | None, progress: Progress | None
    ) -> None:
        self.graph, self.bits, self.message_bits, self.progress = graph, bits, message_bits, progress
        self.layers = float_layers(graph)
        self.scales: dict[str, float] = {}
        self.found: list[LayerCalibration] = []
        self.stop_at = np.inf if seconds is None else time.monotonic() + seconds

    def quantized(self, **more: float) -> Quantized:
        """The network at the scales found, and those in `more`."""
        network, rows = quantize(self.graph, bits=self.bits, scales={**self.scales, **more})
        return with_messages(network, self.message_bits), rows

    def search(self, index: int, passing: np.ndarray, before: int, wanted: Wanted) -> None:
        """Finds the scale of one layer for what layer `before` gives; keeps it unless it is the max-abs scale's."""
        name = self.layers[index][0].name
        network, rows = self.quantized()
        place = _place(network, name)
        max_abs, limit = rows[place].scale, rows[place].scale_limit
        found = {max_abs: distance(_run(network, before, place, passing), wanted, max_abs)}
        self._tell(index, 0)
        free = name not in self.graph.scales
        for start, factors in ((0, COARSE), (len(COARSE), FINE)) if free else ():
            middle = min(found, key=lambda scale: found[scale].value)
            for done, factor in enumerate(factors, start + 1):
                scale = middle * factor
                legal = scale not in found and (limit is None or scale <= limit)
                if legal and time.monotonic() < self.stop_at:
                    measured = self._measure(name, scale, place, before, passing, wanted)
                    if measured is not None:
                        found[scale] = measured
                self._tell(index, done)
        best = min(found, key=lambda scale: found[scale].value)
        if found[best].beats(found[max_abs], ERRORS, BETTER):
            self.scales[name] = best
        else:
            best = max_abs
        self._tell(index, TRIES)
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
        self, name: str, scale: float, place: int, before: int, passing: np.ndarray, wanted: Wanted
    ) -> Distance | None:
        """The distance at one scale; None where that is not legal."""
        try:
            network, _ = self.quantized(**{name: scale})
        except UserError:  # all weights, or the threshold, would round to 0
            return None
        if _bound(network, place) >= ACCUMULATOR_LIMIT:
            return None
        return distance(_run(network, before, place, passing), wanted, scale)

    def _tell(self, index: int, done: int) -> None:
        if self.progress:
            self.progress(index * TRIES + done, len(self.layers) * TRIES)


def _place(network: IntegerNetwork, name: str) -> int:
    return next(index for index, layer in enumerate(network.layers) if layer.name == name)


def _run(network: IntegerNetwork, before: int, place: int, frames: np.ndarray) -> SpikeTrace:
    """The reference's spikes of layers `before` + 1 to `place`, for what layer `before` (-1: the input) gave."""
    from spikeport.export.backends.reference.simulate import simulate

    layers = network.layers[before + 1 : place + 1]
    membrane = place == len(network.layers) - 1 and network.readout.kind == "membrane"
    part = IntegerNetwork(
        input_shape=layers[0].input_shape,
        layers=layers,
        input_message_bits=network.input_message_bits if before < 0 else 0,
        readout=Readout(kind="membrane") if membrane else Readout(),
    )
    return simulate(part, frames, keep_layers=True)


def _spikes(trace: SpikeTrace | FloatTrace, place: int) -> np.ndarray:
    assert trace.layer_spikes is not None
    return trace.layer_spikes[place]


def _wanted(trace: FloatTrace, index: int, layers: list[FloatLayer], readout: Readout) -> Wanted:
    if index == len(layers) - 1 and readout.kind == "membrane" and trace.membrane is not None:
        return Wanted(trace.membrane, True, float((1 << STATE_SHIFT) * layers[index][0].divisor))
    return Wanted(_spikes(trace, index), False, 1.0)


def _bound(network: IntegerNetwork, place: int) -> int:
    return accumulator_bound(network.layers[place], network.input_limit if place == 0 else 1)


def _judge(
    search: _Search, max_abs: Quantized, searched: Quantized, samples: int, check: Part, frame_facts: dict[str, Any]
) -> tuple[IntegerNetwork, list[LayerReport], CalibrationReport]:
    """The better of both on the frames of the check, from end to end, with the report."""
    from spikeport.export.backends.reference.simulate import simulate

    last, readout = len(search.layers) - 1, max_abs[0].readout
    wanted = _wanted(check.wanted, last, search.layers, readout)
    traces = [simulate(network, check.frames, keep_layers=True) for network, _ in (max_abs, searched)]
    off = [
        distance(trace, wanted, rows[_place(network, search.layers[last][0].name)].scale)
        for trace, (network, rows) in zip(traces, (max_abs, searched), strict=True)
    ]
    kept = int(bool(search.scales) and off[1].value < off[0].value)
    network, rows = (max_abs, searched)[kept]
    layers = []
    for index, row in enumerate(search.found):
        place, max_abs_place = _place(network, row.name), _place(max_abs[0], row.name)
        layers.append(
            replace(
                row,
                max_abs_clipped=max_abs[1][max_abs_place].saturated,
                clipped=rows[place].saturated,
                spikes=int(np.count_nonzero(_spikes(check.wanted, index))),
                **_differences("max_abs_", check.wanted, index, traces[0], max_abs_place),
                **_differences("", check.wanted, index, traces[kept], place),
                threshold_steps=rows[place].threshold_mant / 2 ** (9 - search.bits),
                accumulator_bound=_bound(network, place),
                peaks=state_peaks(
                    network.layers[place], check.frames if place == 0 else _spikes(traces[kept], place - 1)
                ),
                v_decay_error=rows[place].v_decay_error,
                i_decay_error=rows[place].i_decay_error,
            )
        )
    classes = check.wanted.classes(readout)
    given = [readout.classes(trace.spikes, trace.membrane) for trace in traces]
    labels = np.full(len(classes), UNLABELLED) if check.labels is None else check.labels
    right = [compare_with_labels(labels, one).accuracy for one in (*given, classes)]
    silent = [int(np.count_nonzero(one == SILENT)) for one in (*given, classes)]
    report = CalibrationReport(
        bits=search.bits,
        kept=("max_abs", "searched")[kept],
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
        unlabelled=int(np.count_nonzero(labels == UNLABELLED)) if check.labels is not None else 0,
        layers=tuple(layers),
        **frame_facts,
    )
    return network, rows, report


def _differences(prefix: str, wanted: FloatTrace, index: int, trace: SpikeTrace, place: int) -> dict[str, Any]:
    """Neuron-steps that differ, and |difference of spike counts| summed over neurons and samples, per wanted spike."""
    spikes = _spikes(wanted, index)
    spikes = spikes.reshape(*spikes.shape[:2], -1)
    given = _spikes(trace, place).reshape(*spikes.shape[:2], -1)[..., : spikes.shape[-1]]
    counts = np.abs(given.sum(axis=1, dtype=np.int64) - spikes.sum(axis=1, dtype=np.int64)).sum()
    return {
        f"{prefix}mismatches": int(np.count_nonzero(given != spikes)),
        f"{prefix}rate_error": float(counts) / max(int(np.count_nonzero(spikes)), 1),
    }

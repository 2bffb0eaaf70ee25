"""Calibration frames as the chip gets them, with what the float graph makes of them as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import FloatTrace, run_float
from spikeport.export.formats.frame_labels import checked_labels
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.sampling import draw, words


@dataclass(frozen=True)
class Part:
    """Legal frames `[N, T, ...]` uint8, the float graph's spikes (and last voltages), and labels where given."""

    frames: np.ndarray
    wanted: FloatTrace
    labels: np.ndarray | None


def split_frames(
    graph: SpikingGraph, network: IntegerNetwork, frames: Any, labels: np.ndarray | None, samples: int
) -> tuple[Part, Part, dict[str, Any]]:
    """(samples to search on, every third to check on, {events, events_lost, notes} of making counts legal inputs).

    At most `samples` of `frames` `[N, T, *input_shape]`, drawn by class where there are labels. Fewer than three serve
    for both. Raises UserError where they are none, have another shape or hold no counts.
    """
    if len(frames) == 0 or frames.shape[1] == 0:
        raise UserError("there are no calibration frames", hint="give at least one sample")
    if tuple(frames.shape[2:]) != tuple(network.input_shape):
        raise UserError(
            f"calibration frames have shape {tuple(frames.shape[2:])}, the graph takes {tuple(network.input_shape)}",
            hint="give frames [N, T, *input_shape]",
        )
    if labels is not None:
        labels = checked_labels(labels, len(frames), "labels", network.outputs)
    drawn = draw(max(1, samples), len(frames), labels)
    picks = drawn.rows
    raw = np.concatenate([np.asarray(frames[pick : pick + 1]) for pick in picks])
    if np.any(raw < 0) or np.any(raw != np.rint(raw)):
        raise UserError("calibration frames hold values that are no counts", hint="give events binned into frames")
    limit, bits = network.input_limit, network.input_message_bits
    kept = np.minimum(raw, limit).astype(np.uint8)
    events = int(raw.sum(dtype=np.int64))
    lost = events - int(kept.sum(dtype=np.int64))
    notes = [] if drawn.whole else [f"calibrated on {words(drawn.as_dict(), 'samples')}"]
    if lost:
        notes.append(
            f"{lost:,} of {events:,} events ({100 * lost / events:.2f} %) are lost: counts above {limit} became "
            f"{f'messages of {bits} bits' if bits else 'spikes'}; the float graph got the counts"
        )
    wanted = run_float(graph, raw, keep_layers=True, keep_membrane=network.readout.kind == "membrane")
    third = np.arange(len(picks)) % 3 == 2
    if not third.any():
        notes.append("fewer than 3 samples: the check is on the frames of the search")
    parts = [_part(kept, wanted, labels, picks, side) for side in (~third, third if third.any() else ~third)]
    return parts[0], parts[1], {"events": events, "events_lost": lost, "notes": tuple(notes)}


def _part(kept: np.ndarray, wanted: FloatTrace, labels: np.ndarray | None, picks: np.ndarray, side: np.ndarray) -> Part:
    trace = FloatTrace(
        spikes=wanted.spikes[side],
        layer_spikes=tuple(spikes[side] for spikes in wanted.layer_spikes or ()),
        membrane=None if wanted.membrane is None else wanted.membrane[side],
    )
    return Part(kept[side], trace, None if labels is None else np.asarray(labels)[picks][side])

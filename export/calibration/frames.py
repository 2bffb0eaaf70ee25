"""Calibration frames as legal inputs of the chip, with the float graph's output for the original frames."""

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


@dataclass(frozen=True, kw_only=True)
class FrameLoss:
    """What making counts legal inputs lost.

    Attributes:
        events: events in the frames.
        lost: events that were lost.
        notes: sentences about it, for people.
    """

    events: int
    lost: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FrameSet:
    """Samples of the search or of the check.

    Attributes:
        frames: legal inputs, uint8 `[N, T, *input_shape]`.
        float_trace: the float graph's output for them.
        labels: classes `[N]`, if they are known.
    """

    frames: np.ndarray
    float_trace: FloatTrace
    labels: np.ndarray | None


def split_frames(
    graph: SpikingGraph, network: IntegerNetwork, frames: Any, labels: np.ndarray | None, samples: int
) -> tuple[FrameSet, FrameSet, FrameLoss]:
    """Splits frames into those of the search and those of the check (every third).

    Args:
        graph: the float graph.
        network: the integer network that will receive the frames.
        frames: counts `[N, T, *input_shape]`.
        labels: classes `[N]`, by which samples are drawn; None: not known.
        samples: number of samples to use at most. Fewer than three are used for both.

    Returns:
        The samples of the search, those of the check, and the events that were lost.

    Raises:
        UserError: there are no frames, their shape is another, or they are not counts.
    """
    if len(frames) == 0 or frames.shape[1] == 0:
        raise UserError("the calibration frames are empty", hint="give at least one sample")
    if tuple(frames.shape[2:]) != tuple(network.input_shape):
        raise UserError(
            f"calibration frames have shape {tuple(frames.shape[2:])}, the graph takes {tuple(network.input_shape)}",
            hint="give frames [N, T, *input_shape]",
        )
    if labels is not None:
        labels = checked_labels(labels, len(frames), "labels", network.outputs)
    drawn = draw(max(1, samples), len(frames), labels)
    rows = drawn.rows
    counts = np.concatenate([np.asarray(frames[pick : pick + 1]) for pick in rows])
    if np.any(counts < 0) or np.any(counts != np.rint(counts)):
        raise UserError("calibration frames hold values that are not counts", hint="give events binned into frames")
    limit, bits = network.input_limit, network.input_message_bits
    clipped = np.minimum(counts, limit).astype(np.uint8)
    events = int(counts.sum(dtype=np.int64))
    lost = events - int(clipped.sum(dtype=np.int64))
    notes = [] if drawn.whole else [f"calibrated on {words(drawn.as_dict(), 'samples')}"]
    if lost:
        notes.append(
            f"{lost:,} of {events:,} events ({100 * lost / events:.2f} %) are lost: counts above {limit} became "
            f"{f'messages of {bits} bits' if bits else 'spikes'}; the float graph got the counts"
        )
    float_trace = run_float(graph, counts, keep_layers=True, keep_membrane=network.readout.kind == "membrane")
    third = np.arange(len(rows)) % 3 == 2
    if not third.any():
        notes.append("fewer than 3 samples: the check is on the frames of the search")
    parts = [
        _frame_set(clipped, float_trace, labels, rows, side) for side in (~third, third if third.any() else ~third)
    ]
    return parts[0], parts[1], FrameLoss(events=events, lost=lost, notes=tuple(notes))


def _frame_set(
    clipped: np.ndarray, float_trace: FloatTrace, labels: np.ndarray | None, rows: np.ndarray, side: np.ndarray
) -> FrameSet:
    trace = FloatTrace(
        spikes=float_trace.spikes[side],
        layer_spikes=tuple(spikes[side] for spikes in float_trace.layer_spikes or ()),
        membrane=None if float_trace.membrane is None else float_trace.membrane[side],
    )
    return FrameSet(clipped[side], trace, None if labels is None else np.asarray(labels)[rows][side])

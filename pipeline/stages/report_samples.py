"""Recordings that a run's report has pictures of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikeport.export.formats.netx.write import read_netx
from spikeport.pipeline.report.content.samples import Sample, choose_samples
from spikeport.pipeline.report.content.worst import WrongSample, worst_rows
from spikeport.pipeline.stages.deploy import trace_of

if TYPE_CHECKING:
    from spikeport.pipeline.stages.context import Context


def example_samples(context: Context, predicted: np.ndarray) -> list[Sample]:
    """One test recording that was classified correctly and one that was not.

    Args:
        context: the run.
        predicted: int `[N]`, classes of the integer reference.
    """
    test, spikes = context.dataset.test, trace_of(context).spikes
    return [
        Sample(
            key=test.keys[row],
            label=int(test.labels[row]),
            predicted=int(predicted[row]),
            frames=test.frames[row],
            output_spikes=spikes[row],
            image=None if test.paired_images is None else test.paired_images.images[row],
        )
        for row in choose_samples(test.labels, predicted)
    ]


def worst_samples(context: Context, predicted: np.ndarray) -> list[WrongSample] | str:
    """The mistakes with the largest margins, or why there are none to rank.

    Args:
        context: the run.
        predicted: int `[N]`, classes of the integer reference.
    """
    readout = read_netx(context.run.file("student.net")).readout
    if readout.kind != "spikes":
        return f"mistakes are ranked by output spikes, and this network's read-out is {readout}"
    test = context.dataset.test
    return [
        WrongSample(
            key=test.keys[row],
            label=int(test.labels[row]),
            predicted=int(predicted[row]),
            margin=margin,
            frames=test.frames[row],
            image=None if test.paired_images is None else test.paired_images.images[row],
        )
        for row, margin in worst_rows(test.labels, predicted, trace_of(context).spikes)
    ]

"""Types of the comparisons of spikes in report.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from spikeport.pipeline.report.content.drawn_json import Drawn


class FirstDivergence(TypedDict):
    """The first entry at which two executions differ.

    Attributes:
        sample: number of the recording.
        layer: the layer.
        neuron: index of the neuron in the output shape of the layer.
        step: time step.
        first: spike (0 or 1) in the first execution.
        second: spike (0 or 1) in the second execution.
    """

    sample: int
    layer: str
    neuron: list[int]
    step: int
    first: int
    second: int


class Equality(TypedDict):
    """Comparison of two executions, spike by spike.

    Attributes:
        first: name of the first execution: a backend, or "quantized" for the student in PyTorch.
        second: name of the second execution.
        mismatches: entries that differ; None where the comparison did not run.
        samples: recordings compared.
        layers: layers compared.
        entries_compared: recordings times steps times neurons of these layers.
        spikes_compared: entries that are 1 in the first execution.
        first_divergence: the first entry that differs.
        drawn: how the recordings were drawn, where not all were used.
        reason: why the comparison did not run.
    """

    first: str
    second: str
    mismatches: int | None
    samples: NotRequired[int]
    layers: NotRequired[list[str]]
    entries_compared: NotRequired[int]
    spikes_compared: NotRequired[int]
    first_divergence: NotRequired[FirstDivergence | None]
    drawn: NotRequired[Drawn]
    reason: NotRequired[str]


class Equivalence(TypedDict):
    """The comparisons of spikes by `pair_key`, and a sentence with the definition of equality."""

    comparisons: dict[str, Equality]
    statement: str

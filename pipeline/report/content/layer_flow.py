"""The network as a drawing: its layers in their order, with what flows into each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from spikeport.pipeline.report.content.report_json import LayerRow

THINNEST, THICKEST = 1.0, 10.0  # px of an arrow
DECADES = 6  # of synaptic operations between the two


class DrawnLayer(TypedDict):
    """A layer and the arrow that leads to it.

    Attributes:
        name: the layer.
        kind: its kind.
        shape: its output, such as `8 × 14 × 14`.
        neurons: number of neurons.
        weights: number of stored weights.
        synapses: number of synapses, one for each pair of neurons that a weight joins; None without a count of steps.
        spikes_in: spikes an inference of the layer before; None for the first layer.
        synops: synaptic operations an inference.
        spikes: spikes an inference of this layer.
        width: of the arrow, px, by the logarithm of `synops`.
    """

    name: str
    kind: str
    shape: str
    neurons: int
    weights: int
    synapses: int | None
    spikes_in: float | None
    synops: float | None
    spikes: float | None
    width: float


def layer_flow(layers: Sequence[LayerRow], steps: int) -> list[DrawnLayer]:
    """The layers of a chain with the arrows between them.

    Args:
        layers: `layers` of report.json.
        steps: time steps of an inference. Dense operations over steps are synapses.
    """
    drawn: list[DrawnLayer] = []
    for place, layer in enumerate(layers):
        drawn.append({
            "name": layer["name"],
            "kind": layer["kind"],
            "shape": " × ".join(map(str, layer["shape"])),
            "neurons": layer["neurons"],
            "weights": layer["weights"],
            "synapses": layer["dense_ops"] // steps if steps and layer["dense_ops"] else None,
            "spikes_in": layers[place - 1]["spikes_per_sample"] if place else None,
            "synops": layer["synops_per_sample"],
            "spikes": layer["spikes_per_sample"],
            "width": arrow_width(layer["synops_per_sample"]),
        })  # fmt: skip
    return drawn


def arrow_width(synops: float | None) -> float:
    """Width of an arrow, px: THINNEST for one operation or less, THICKEST for 10 to the power DECADES or more.

    Args:
        synops: synaptic operations an inference; None for the thinnest.

    >>> arrow_width(1e3)
    5.5
    """
    share = min(1.0, math.log10(max(1.0, synops or 1.0)) / DECADES)
    return round(THINNEST + (THICKEST - THINNEST) * share, 2)

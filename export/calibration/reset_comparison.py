"""How far a reset to zero moves a network that was perhaps trained with a reset by subtraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.calibration.float_simulator import FloatLayer, FloatTrace, Reset, run_float
from spikeport.export.graph.frameworks import framework_of
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.network.readout import Readout
from spikeport.export.network.spike_trace import SpikeTrace

WORDS: dict[str, str] = {
    "subtract": "a reset by subtraction",
    "subtract-late": "a reset by subtraction in the next step",
    "subtract-many": "several spikes a step, each subtracting the threshold",
}


@dataclass(frozen=True)
class OtherReset:
    """A reset that the network may have been trained with.

    Attributes:
        reset: the reset.
        described: in which case it was trained so, for people.
    """

    reset: Reset
    described: str


@dataclass(frozen=True, kw_only=True)
class ResetComparison:
    """Differences to the float graph with another reset than zero.

    Attributes:
        reset: the other reset.
        described: in which case the network was trained with it, for people.
        layer: the last layer that fires.
        entries: its (neuron, time step, sample) triples.
        integers_differ: entries in which the integer network differs.
        zero_differs: entries in which the float graph with reset to zero differs: the share of the reset alone.
        classes_differ: samples whose class in the integer network differs.
        samples: number of samples.
    """

    reset: str
    described: str
    layer: str
    entries: int
    integers_differ: int
    zero_differs: int
    classes_differ: int
    samples: int

    def line(self) -> str:
        """The result as one line of text."""
        share = (
            f"{self.integers_differ:,} of {self.entries:,} ({100 * self.integers_differ / max(self.entries, 1):.3g} %)"
        )
        text = (
            f"check: {self.described}, {share} entries of {self.layer} and {self.classes_differ:,} of "
            f"{self.samples:,} classes of the integers differ from that network; {self.zero_differs:,} entries differ "
            "by the reset alone (float graphs)"
        )
        return f"{text}; spikeport adapt trains such a network anew" if self.integers_differ else text


def other_reset(graph: SpikingGraph) -> OtherReset | None:
    """The reset that a file's network may have had in its training, though it is read with reset to zero.

    Args:
        graph: the graph.

    Returns:
        The default of the framework that wrote the file, subtraction where no framework was named, and None where the
        reset is known to be zero: by a metadata file, by a live network, or since the framework has no other. None,
        too, where relays are needed: they reset to zero whatever the neurons beside them do.
    """
    if needs_layout(graph):
        return None
    if graph.framework:
        row = framework_of(graph.framework)
        if row.own_reset == "zero":
            return None
        how = f" ({row.zero_reset} was not set)" if row.zero_reset else ""
        return OtherReset(row.own_reset, f"if {row.title} ran it with its default, {WORDS[row.own_reset]}{how}")
    if graph.origins.get("reset") != "given":
        return None
    return OtherReset("subtract", f"if it was trained with {WORDS['subtract']}")


def compare_resets(
    layers: list[FloatLayer],
    counts: np.ndarray,
    other: OtherReset,
    zero: FloatTrace,
    trace: SpikeTrace,
    entries: dict[str, int],
    readout: Readout,
) -> ResetComparison:
    """Runs the float graph with another reset and compares it with the two runs with reset to zero.

    Args:
        layers: the layers of the float graph.
        counts: frames `[N, T, *input_shape]`.
        other: the other reset.
        zero: the float run with reset to zero, with the spikes of its layers.
        trace: the run of the integer network, with the spikes of its layers.
        entries: number of each layer in `trace`, by name.
        readout: the read-out of the network.
    """
    found = run_float(layers, counts, reset=other.reset, keep_layers=True, keep_membrane=zero.membrane is not None)
    assert found.layer_spikes is not None
    assert zero.layer_spikes is not None
    assert trace.layer_spikes is not None
    last = len(layers) - 1 if np.all(np.isfinite(layers[-1][1].threshold)) or len(layers) == 1 else len(layers) - 2
    name, theirs = layers[last][0].name, _flat(found.layer_spikes[last])
    integers = _flat(trace.layer_spikes[entries[name]])[..., : theirs.shape[-1]]  # a bias neuron may stand behind them
    ours = readout.classes(trace.spikes, trace.membrane)
    return ResetComparison(
        reset=other.reset,
        described=other.described,
        layer=name,
        entries=int(theirs.size),
        integers_differ=int(np.count_nonzero(integers != theirs)),
        zero_differs=int(np.count_nonzero(_flat(zero.layer_spikes[last]) != theirs)),
        classes_differ=int(np.count_nonzero(ours != found.classes(readout))),
        samples=len(ours),
    )


def _flat(spikes: np.ndarray) -> np.ndarray:
    return spikes.reshape(*spikes.shape[:2], -1)

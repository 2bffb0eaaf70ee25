"""How far a reset to zero moves a network that was perhaps trained with a reset by subtraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np

from spikeport.export.calibration.float_simulator import FloatLayer, FloatTrace, Reset, run_float
from spikeport.export.calibration.own_resets import layer_resets
from spikeport.export.graph.frameworks import framework_of
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.export.quantization.clones import without_clones

WORDS: dict[str, str] = {
    "zero": "a reset to zero",
    "subtract": "a reset by subtraction",
    "subtract-late": "a reset by subtraction in the next step",
    "subtract-many": "several spikes a step, each subtracting the threshold",
}


@dataclass(frozen=True)
class OtherReset:
    """A reset that the network may have been trained with.

    Attributes:
        kinds: the reset by type of node.
        described: in which case it was trained so, for people.
    """

    kinds: Mapping[str, Reset]
    described: str

    def of(self, node: nir.NIRNode) -> Reset:
        """The reset of the neurons of a node; zero for types that are not in `kinds`, which never fire.

        Args:
            node: the node.
        """
        return self.kinds.get(type(node).__name__, "zero")

    @property
    def reset(self) -> str:
        """Its name; names with "and" between them where neurons differ."""
        return " and ".join(dict.fromkeys(self.kinds.values()))


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
        reset is known to be zero: by a metadata file, by a live network, or since the framework has no other.
    """
    firing = {type(node).__name__: node for node in graph.nir_graph.nodes.values() if isinstance(node, SPIKING)}
    if graph.framework:
        row = framework_of(graph.framework)
        kinds: dict[str, Reset] = {kind: row.reset_of(node) for kind, node in firing.items()}
        if set(kinds.values()) <= {"zero"}:
            return None
        how = f" ({row.zero_reset} was not set)" if row.zero_reset else ""
        return OtherReset(kinds, f"if {row.title} ran it with its default, {_words(kinds)}{how}")
    if graph.origins.get("reset") != "given":
        return None
    return OtherReset(dict.fromkeys(firing, "subtract"), f"if it was trained with {WORDS['subtract']}")


def _words(kinds: Mapping[str, Reset]) -> str:
    """Resets for people, with the types of the nodes where they differ."""
    different = dict.fromkeys(kinds.values())
    if len(different) == 1:
        return WORDS[next(iter(different))]
    of = {reset: ", ".join(kind for kind, each in kinds.items() if each == reset) for reset in different}
    return " and ".join(f"{WORDS[reset]} ({names})" for reset, names in of.items())


def compare_resets(
    graph: SpikingGraph,
    layers: list[FloatLayer],
    counts: np.ndarray,
    other: OtherReset,
    zero: FloatTrace,
    trace: SpikeTrace,
    network: IntegerNetwork,
) -> ResetComparison:
    """Runs the float graph with another reset and compares it with the two runs with reset to zero.

    Args:
        graph: the float graph.
        layers: its layers, as `float_layers` gives them.
        counts: frames `[N, T, *input_shape]`.
        other: the other reset.
        zero: the float run with reset to zero, with the spikes of its layers.
        trace: the run of the integer network, with the spikes of its layers.
        network: the integer network.
    """
    resets, readout = layer_resets(graph, other.of), network.readout
    found = run_float(layers, counts, reset=resets, keep_layers=True, keep_membrane=zero.membrane is not None)
    assert found.layer_spikes is not None
    assert zero.layer_spikes is not None
    assert trace.layer_spikes is not None
    last = len(layers) - 1 if np.all(np.isfinite(layers[-1][1].threshold)) or len(layers) == 1 else len(layers) - 2
    name, theirs = layers[last][0].name, _flat(found.layer_spikes[last])
    at = next(index for index, layer in enumerate(network.layers) if layer.name == name)
    integers = _flat(without_clones(trace.layer_spikes[at], network.layers[at]))
    integers = integers[..., : theirs.shape[-1]]  # a bias neuron may stand behind them
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

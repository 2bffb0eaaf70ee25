"""A spiking graph compiled to integers: the network, its rounding errors, and files of both."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.errors import UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.pipeline.stages.given_frames import refuse_labels
from spikeport.progress import Progress
from spikeport.tables import html_table, text_of, text_table
from spikeport.values import Shape

if TYPE_CHECKING:
    import numpy as np

    from spikeport.export.calibration.report import CalibrationReport
    from spikeport.export.formats.frame_reader import FrameReader
    from spikeport.export.graph.spiking_graph import SpikingGraph
    from spikeport.export.lowering.branches.row_scales import RowScales
    from spikeport.export.mapping.limits import LimitReport
    from spikeport.export.quantization.clones import Clones
    from spikeport.export.quantization.explain import NodeRecord
    from spikeport.export.quantization.layer_report import LayerReport
    from spikeport.hardware_profiles.profile import HardwareProfile

HEAD = ("layer", "kind", "input", "output", "weights", "scale", "threshold", "weight error", "saturated")
NET_HEAD = ("layer", "kind", "neurons", "input", "output", "weights", "bias", "decays", "threshold", "delay",
            "steps late")  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """The conversion of each node of a graph to the chip. Prints as text.

    Attributes:
        nodes: a record for each node in the order of the chain, for each added layer, and for the read-out.
    """

    nodes: tuple[NodeRecord, ...]

    def __repr__(self) -> str:
        from spikeport.export.quantization.explain import lines

        return text_of(lines(self.nodes))


@dataclass(frozen=True, kw_only=True)
class CompiledNetwork:
    """An integer network with its source and its rounding errors. Prints as a table with a line for each layer.

    Attributes:
        network: the integer network, as every backend executes it.
        layers: rounding errors of each layer, in order; empty for a network from a .net file.
        graph: the spiking graph that was quantized; None for a network from a .net file.
        calibration: result of the search of scales; None without calibration frames.
    """

    network: IntegerNetwork
    layers: tuple[LayerReport, ...] = ()
    graph: SpikingGraph | None = None
    calibration: CalibrationReport | None = None

    @property
    def input_shape(self) -> Shape:
        """Shape of one frame, `(C, H, W)` or `(D,)`."""
        return self.network.input_shape

    @property
    def dt_s(self) -> float | None:
        """Time step in seconds; None if it is unknown, as in a .net file."""
        return None if self.graph is None else self.graph.dt_s

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions about the graph, and what its layout as one chain changed; none for a .net file."""
        from spikeport.export.lowering.branches.one_chain import one_chain

        return () if self.graph is None else one_chain(self.graph).notes

    def explain(self) -> Explanation:
        """The conversion of each node of the graph, with float values, integers and errors.

        Raises:
            UserError: the network was read from a .net file, which does not contain the graph.
        """
        from spikeport.export.quantization.explain import explain

        if self.graph is None:
            raise UserError("a .net file does not hold the graph it was made of", hint="quantize the .nir file")
        return Explanation(tuple(explain(self.graph, self.network, list(self.layers))))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the network, completely or not at all, and reads it back to compare.

        Args:
            path: a .net file for Lava-DL netx, or a .nir file, whose metadata file is written beside it.

        Returns:
            The path.

        Raises:
            UserError: the suffix is not supported, the folder cannot be written, or netx cannot represent the network.
        """
        from spikeport.export.formats.netx.write import write_netx

        file = Path(path)
        if file.suffix == ".net":
            write_netx(self.network, file)
        elif file.suffix == ".nir" and self.graph is not None:
            self.graph.save(file)
        else:
            raise UserError("cannot be written as such a file", where=str(file),
                            hint="use .net, or .nir where the network was made of a graph")  # fmt: skip
        return file

    def rows(self) -> list[tuple[Any, ...]]:
        """Cells of the table under `HEAD`, a row for each layer."""
        cost = {report.name: report for report in self.layers}
        rows: list[tuple[Any, ...]] = []
        for layer in self.network.layers:
            found = cost.get(layer.name)
            costs = ("-",) * 4 if found is None else (
                found.scale, found.threshold_mant, found.weight_error, found.saturated,
            )  # fmt: skip
            shapes = layer.input_shape, layer.output_shape
            kind = layer.kind if layer.neuron == "cuba" else f"{layer.kind}, {layer.neuron}"
            rows.append((layer.name, kind, *map(str, shapes), int(layer.weight.size), *costs))
        return rows

    def __repr__(self) -> str:
        return text_of([self._title(), *text_table(HEAD, self.rows())])

    def _repr_html_(self) -> str:
        return html_table(HEAD, self.rows(), self._title())

    def _title(self) -> str:
        step = "" if self.dt_s is None else f", dt {self.dt_s:g} s"
        return (
            f"CompiledNetwork: {len(self.network.layers)} layers, input {self.network.input_shape}, "
            f"{self.network.outputs} classes from {self.network.readout}{step}"
        )


def quantize(
    graph: SpikingGraph,
    *,
    bits: int = 8,
    clones: Clones = 1,
    row_scales: RowScales | None = None,
    calibrate: np.ndarray | FrameReader | None = None,
    labels: np.ndarray | None = None,
    message_bits: int = 0,
    progress: Progress | None = None,
) -> CompiledNetwork:
    """Compiles a spiking graph to the integers of the chip.

    Args:
        graph: the graph, see `load_graph` and `convert`.
        bits: bits of a weight, 2 to 8.
        clones: copies of each neuron, which fire together, for log2(clones) more bits of the weights that leave them:
            one number for every layer but the last, or numbers by name of a layer or "input". The reports of the layers
            say what they cost.
        row_scales: groups of rows with a weight scale of their own, for layers in which few rows have much larger
            weights than the threshold: one number for every layer, or numbers by name of a layer. Each group is a layer
            on the chip, with relays beside it. None: those of the graph, which has one by default.
        calibrate: frames `[N, T, *input_shape]` on which the scale of each layer is searched; None: max-abs scales.
        labels: classes `[N]` of these frames, for the accuracies of the calibration report.
        message_bits: bits of the counts at the input (graded spikes, Loihi 2); 0: binary spikes.
        progress: called with (scales tried, scales in all) during a search.

    Returns:
        The integer network with the rounding errors of each layer.

    Raises:
        UserError: the chip cannot run the graph. The message names all reasons.
    """
    from spikeport.export.quantization.bias_neurons import with_messages
    from spikeport.export.quantization.quantize import quantize as quantize_graph

    report = None
    if row_scales is not None:
        graph = replace(graph, row_scales=row_scales)
    if calibrate is None:
        refuse_labels(labels, "calibrate")
        network, layers = quantize_graph(graph, bits=bits, clones=clones)
    else:
        from spikeport.export.calibration.calibrate import calibrate as search_scales

        network, layers, report = search_scales(
            graph, calibrate, labels, bits=bits, input_message_bits=message_bits, clones=clones, progress=progress
        )
    if message_bits:
        network = with_messages(network, message_bits, graph)
    return CompiledNetwork(network=network, layers=tuple(layers), graph=graph, calibration=report)


def load_network(path: str | os.PathLike[str], input_shape: Shape | None = None) -> CompiledNetwork:
    """Reads a .net file of Spikeport or Lava-DL.

    Args:
        path: the file.
        input_shape: `(C, H, W)`, needed if the file begins with a convolution and does not state it.

    Returns:
        The network without rounding errors, since a .net file contains integers only.

    Raises:
        UserError: netx cannot run the file. The message names the layer and the rule.
    """
    from spikeport.export.formats.netx.read import read_netx

    return CompiledNetwork(network=read_netx(path, input_shape))


def net_lines(network: IntegerNetwork) -> list[str]:
    """A network in netx's terms as text: synapses, neurons and their parameters (as ranges where they differ), latency.

    Args:
        network: the network.
    """
    values, first = network.sends_values, network.layers[0]
    lag = 0 if values and first.kind == "input" else 1  # a delta layer sends in the step in which its input arrives
    rows = []
    for index, layer in enumerate(network.layers):
        kind = layer.kind if layer.weight_rec is None else "dense_rec"
        weights = int(layer.weight.size) + (0 if layer.weight_rec is None else int(layer.weight_rec.size))
        bias = "-" if layer.bias is None else _range_text(layer.bias)
        decays = "-" if values else f"{_range_text(layer.i_decay)}, {_range_text(layer.v_decay)}"
        threshold = "-" if layer.neuron == "sigma" else _range_text(layer.vth_mant)
        shapes = str(layer.input_shape), str(layer.output_shape)
        rows.append((layer.name, kind, layer.neuron, *shapes, weights, bias, decays, threshold, layer.max_delay or "-",
                     index + lag))  # fmt: skip
    lines = [*text_table(NET_HEAD, rows), f"classes from {network.readout}"]
    if values:
        lines.append(
            f"inputs: integers from {network.input_lowest} to {network.input_limit}; messages are 64 times a value. "
            "netx does not reset sigma-delta neurons: Spikeport sets their states to 0 before each sample"
        )
    return lines


def _range_text(values: Any) -> str:
    import numpy as np

    low, high = int(np.min(values)), int(np.max(values))
    return str(low) if low == high else f"{low}..{high}"


def integer_network(net: CompiledNetwork | IntegerNetwork) -> IntegerNetwork:
    """The integer network of `net`.

    Args:
        net: a compiled network or its integer network.
    """
    return net.network if isinstance(net, CompiledNetwork) else net


def check_limits(net: CompiledNetwork | IntegerNetwork, hardware: str | HardwareProfile = "loihi1") -> LimitReport:
    """Compares a network with the public limits of a device.

    Args:
        net: the network.
        hardware: id of a profile, path of a profile file, or a loaded profile.

    Returns:
        The resources of each layer, the number of cores of a greedy partition, and the limits that are exceeded.

    Raises:
        UserError: the profile does not exist.
    """
    from spikeport.export.mapping.limits import check_limits as compare_with_limits
    from spikeport.hardware_profiles.profile import HardwareProfile, load_profile

    profile = hardware if isinstance(hardware, HardwareProfile) else load_profile(hardware)
    return compare_with_limits(integer_network(net), profile)

"""Quantizes a spiking graph to an integer network: one scale for each layer, and a report of every rounding.

The input of a layer's neuron is `g (W x + b) / c` plus a constant drive, with input gain g and divisor c (of pooling).
Multiplied by `S c`, with scale S, the neuron's state is in integer units: weights `S g W`, bias `S (g b + c drive)`,
threshold `S c theta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import check_network
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.node_kinds import INTEGRATORS
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import refuse
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import LaidOut, lay_out
from spikeport.export.lowering.discretize import euler_step
from spikeport.export.lowering.fold import Folded, fold
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.quantization.bias_neurons import as_input
from spikeport.export.quantization.clones import Clones, clone_counts, clone_note, input_clones
from spikeport.export.quantization.graph_faults import bias_fault, decay_words, graph_faults
from spikeport.export.quantization.layer_report import (
    LayerReport,
    relay_report,
    repeating_report,
    with_bias_neuron,
)
from spikeport.export.quantization.rounding import quantize_layer
from spikeport.export.quantization.scaled_layer import LayerUnits, layer_units


def quantize(
    graph: SpikingGraph, *, bits: int = 8, scales: Mapping[str, float] | None = None, clones: Clones = 1
) -> tuple[IntegerNetwork, list[LayerReport]]:
    """Quantizes a spiking graph.

    Values are rounded half to even. Layers with a scale in `graph.scales` must lie on the integer grid already.

    Args:
        graph: the graph.
        bits: bits of a weight, 2 to 8.
        scales: scales of a search, by layer; weights beyond the grid are then clipped and counted. Other layers get the
            max-abs scale `S = 254 / max|g W|` (for 8 bits), lowered where bias or threshold would not fit.
        clones: copies of each neuron for finer weights (`clones`): one number for every layer but the last, or numbers
            by name of a layer or "input".

    Returns:
        The integer network, and the report of each layer.

    Raises:
        UserError: the chip cannot run the graph. The error names the layer and the rule, and has a hint.
    """
    if not 2 <= bits <= 8:
        raise UserError(f"{bits}-bit weights are not possible", hint="use 2 to 8 bits")
    with np.errstate(all="ignore"):  # values that are not finite are refused by name
        return _quantize(graph, bits, scales or {}, clones)


def _quantize(
    graph: SpikingGraph, bits: int, scales: Mapping[str, float], clones: Clones
) -> tuple[IntegerNetwork, list[LayerReport]]:
    refuse(graph_faults(graph))
    laid = lay_out(graph) if needs_layout(graph) else None
    graph = graph if laid is None else laid.graph
    folded = fold(graph.chain(), graph.dt_s)
    names = [layer.name for layer, _ in folded.layers]
    for name in scales:
        if name not in names or name in graph.scales:
            why = "is quantized already" if name in graph.scales else "is not a layer"
            raise UserError(f"a scale was given for {name!r}, which {why}", hint=f"layers are {', '.join(names)}")
    readout = _readout(graph, folded)
    counts = clone_counts(
        clones, [layer for layer, _ in folded.layers], [neuron.name for _, neuron in folded.layers], set(graph.scales)
    )
    layers: list[IntegerLayer] = []
    table: list[LayerReport] = []
    if counts[0] > 1:
        layers.append(input_clones(graph.input_shape, counts[0]))
        table.append(repeating_report(layers[0], clone_note(layers[0])))
    for index, (layer, neuron) in enumerate(folded.layers):
        silent = readout.kind == "membrane" and index == len(folded.layers) - 1
        units = _units(graph, layer, neuron, silent)
        if units.slow_bias:
            units, before = as_input(units, layers[-1] if layers else None, counts[index])
            if before.name == (layers[-1].name if layers else None):
                layers[-1] = before
                table[-1] = with_bias_neuron(table[-1], before, units.layer.name)
            else:
                layers.append(before)
                table.append(relay_report(before, units.layer.name))
        integer, row = quantize_layer(
            units, given=graph.scales.get(layer.name), searched=scales.get(layer.name), bits=bits, silent=silent,
            clones=(counts[index], counts[index + 1]),
        )  # fmt: skip
        layers.append(integer)
        table.append(row)
    network = IntegerNetwork(input_shape=graph.input_shape, layers=tuple(layers), readout=readout)
    check_network(network)
    if laid is not None:
        _check_relays(network, laid)
    return network, table


def _check_relays(network: IntegerNetwork, laid: LaidOut) -> None:
    """Raises UserError for a layer in whose integers a relay would not fire on one spike."""
    for layer in network.layers:
        rows = laid.relay_rows.get(layer.name)
        if rows is None:
            continue
        own = layer.weight[layer.clones * rows].reshape(len(rows), -1)  # a relay reads one neuron, in all its copies
        pulse, threshold = own.clip(min=0).sum(axis=1), np.max(layer.vth_mant)
        if np.any(pulse <= threshold):
            raise UserError(
                f"a relay of weight {int(pulse.min())} would not reach the threshold {int(threshold)}",
                where=layer.name,
                cause="the scale of this layer clips it, or is so low that both round to one number",
                hint="lower the biases of this layer or its scale, use 8 bits, or let the branch end before it",
            )  # fmt: skip


def _units(graph: SpikingGraph, layer: FoldedLayer, neuron: ChainNode, silent: bool) -> LayerUnits:
    step = euler_step(neuron.name, neuron.node, graph.dt_s, neuron.input_shape)
    if silent:
        if np.ndim(step.threshold) and step.notes:
            raise UserError("v_leak and v_reset differ between neurons", where=neuron.name,
                            cause="each voltage would be read against its own rest",
                            hint="train one v_leak")  # fmt: skip
        step = replace(step, threshold=np.inf)
    units = layer_units(
        layer, neuron.name, step, allow_vector=graph.allow_vector, keep_rows=layer.name in graph.scales
    )  # fmt: skip
    units = replace(units, fires_at=graph.fires_at)
    if units.slow_bias and graph.bias != "neuron":
        raise bias_fault(layer.name, neuron.name, decay_words(int(np.min(units.i_decay))))
    return units


def _readout(graph: SpikingGraph, folded: Folded) -> Readout:
    """The read-out, from the last node of the graph and the requested read-out."""
    asked, (_, last) = graph.readout, folded.layers[-1]
    silent, host = isinstance(last.node, INTEGRATORS), folded.host
    wrong = (
        (silent and asked in ("spikes", "linear"), "it never fires"),
        (host is not None and asked in ("spikes", "membrane-sum", "membrane-max", "membrane-last"),
         "the graph ends in weights behind its last neuron"),
        (host is None and asked == "linear", "the graph ends in a neuron"),
        (silent and host is not None, "weights stand behind a neuron that never fires"),
    )  # fmt: skip
    for fault, why in wrong:
        if fault:
            raise UserError(f"read-out {asked or 'linear'!r} is not possible", where=last.name, cause=why,
                            hint="leave --readout out to take what the graph ends in")  # fmt: skip
    if host is not None:
        weight, bias = host.gain * host.weight.T, host.gain * host.bias
        return Readout(
            kind="linear", weight=np.ascontiguousarray(weight.T) / host.divisor,
            bias=bias / host.divisor if np.any(bias) else None,
        )  # fmt: skip
    if silent or asked.startswith("membrane"):
        over = asked.removeprefix("membrane-") if asked else "sum"
        return Readout(kind="membrane", over_time=over)  # type: ignore[arg-type]
    return Readout()

"""Explains the conversion of each NIR node: its values, the rewrite, the integers on the chip and their errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np

from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.node_kinds import INTEGRATORS, NEURONS, SYNAPSES
from spikeport.export.graph.shapes import POOLS
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import listed
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import LaidOut, lay_out
from spikeport.export.network.fixed_point import ACCUMULATOR_LIMIT, STATE_LIMIT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.quantization.bias_neurons import SUFFIX
from spikeport.export.quantization.clones import INPUT_LAYER
from spikeport.export.quantization.layer_report import LayerReport

KEYS = ("weight", "bias", "scale", "delay", "kernel_size", "stride", "padding", "dilation", "groups", "tau", "tau_mem",
        "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset", "start_dim", "end_dim")  # fmt: skip


IntegerValue = str | int | float | tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class NodeRecord:
    """Record of the conversion of one node.

    Attributes:
        node: name of the node.
        kind: type of the node.
        layer: chip layer that it became part of, "" if none.
        values: its parameters in NIR, as text.
        rewrite: the conversion, as a sentence.
        integers: integers of the chip layer that come from it.
        errors: errors of these integers.
        notes: choices that a reader should know.
    """

    node: str
    kind: str
    layer: str = ""
    values: dict[str, str] = field(default_factory=dict)
    rewrite: str
    integers: dict[str, IntegerValue] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def explain(graph: SpikingGraph, network: IntegerNetwork, rows: list[LayerReport]) -> list[NodeRecord]:
    """Explains every node of a graph.

    Args:
        graph: the graph.
        network: the network from `quantize`.
        rows: the reports of `quantize`.

    Returns:
        A record for the metadata, one for each node in the order of the chain (recurrent weights after their neuron),
        one for each layer that was added, and one for the read-out.
    """
    layers = {row.name: (layer, row) for layer, row in zip(network.layers, rows, strict=True)}
    owner = {name: row.name for row in rows for name in (*row.folded, row.neuron, row.name)}
    laid = lay_out(graph) if needs_layout(graph) else None
    records = [_metadata_record(graph if laid is None else laid.graph)]
    explained: set[str] = set()
    records += [*_folded(graph, laid), *_parted(graph, laid)] if laid is not None else []
    if INPUT_LAYER in layers:
        records.append(_added(*layers[INPUT_LAYER]))
    for step in (graph if laid is None else laid.graph).chain():
        for each in (step, *step.recurrence):
            layer, row = layers.get(owner.get(each.name, ""), (None, None))
            if row is not None and row.name not in explained:
                added = f"{row.name}{SUFFIX}"
                if added in layers:
                    records.append(_added(*layers[added]))
                explained.add(row.name)
            silent = network.readout.kind == "membrane" and layer is network.layers[-1]
            records.append(_record(each, layer, row, recurrent=each is not step, silent=silent))
    return [*records, _readout(network)]


def _folded(graph: SpikingGraph, laid: LaidOut) -> list[NodeRecord]:
    """A record for each pool and scale that the laid-out chain has no longer."""
    return [
        NodeRecord(node=name, kind=type(node).__name__, rewrite="folded into the weights beside it")
        for name, node in graph.nir_graph.nodes.items()
        if isinstance(node, (*POOLS, nir.Scale)) and name not in laid.graph.nir_graph.nodes
    ]


def _parted(graph: SpikingGraph, laid: LaidOut) -> list[NodeRecord]:
    """A record for each population that is computed in several layers."""
    return [
        NodeRecord(
            node=name,
            kind=type(graph.nir_graph.nodes[name]).__name__,
            rewrite=f"{len(parts)} layers with {parts[0].shares} each: "
            + listed([f"{part.name} ({part.neurons.size:,} neuron{'s' * (part.neurons.size > 1)})" for part in parts]),
        )
        for name, parts in laid.parts.items()
    ]


def lines(records: Iterable[NodeRecord]) -> list[str]:
    """The records as text, a few lines for each.

    Args:
        records: records of `explain`.
    """
    text = []
    for record in records:
        into = f" -> {record.layer}" if record.layer and record.layer != record.node else ""
        text.append(f"{record.node} ({record.kind}){into}")
        for name, entries in (("NIR", record.values), ("integers", record.integers), ("error", record.errors)):
            if name == "integers":
                text.append(f"  becomes   {record.rewrite}")
            if entries:
                text.append(f"  {name:<9} " + ", ".join(f"{key} {_number(value)}" for key, value in entries.items()))
        text += [f"  note      {note}" for note in record.notes]
    return text


def _metadata_record(graph: SpikingGraph) -> NodeRecord:
    origins = {key: graph.origins.get(key, "the program that made the graph") for key in ("dt_s", "reset")}
    return NodeRecord(
        node="the graph",
        kind="metadata",
        values={
            "dt": f"{graph.dt_s:g} s ({origins['dt_s']})",
            "reset": f"{graph.reset} ({origins['reset']})",
            "input": str(graph.input_shape),
        },
        rewrite=f"each step: decay, add input, fire if v {graph.fires_at} threshold, reset v to zero; rounding half "
        "to even",
        notes=graph.notes,
    )


def _record(
    step: ChainNode, layer: IntegerLayer | None, row: LayerReport | None, *, recurrent: bool, silent: bool
) -> NodeRecord:
    name, node = step.name, step.node
    values = {key: _values(getattr(node, key)) for key in KEYS if getattr(node, key, None) is not None}
    record = NodeRecord(node=name, kind=type(node).__name__, values=values, rewrite="")
    if isinstance(node, nir.Flatten):
        return replace(record, rewrite=f"nothing: {step.input_shape} is flattened in order before a dense layer")
    if layer is None or row is None:
        return replace(record, layer="the host", rewrite="part of the read-out that the host computes in float64")
    record = replace(record, layer=layer.name)
    if isinstance(node, NEURONS):
        return replace(record, rewrite=_neuron_words(row, silent), integers=_neuron_integers(layer, row),
                       errors=_neuron_errors(node, row), notes=row.notes)  # fmt: skip
    if isinstance(node, SYNAPSES) or recurrent:
        integers = _weight_integers(layer, row, recurrent)
        errors = {"weight": row.weight_error, "worst row": row.loss.row_error, "bias": row.bias_error}
        return replace(record, rewrite=_weight_words(layer, row, recurrent), integers=integers, errors=errors)
    return replace(record, rewrite=_folded_words(step, layer, row))


def _neuron_words(row: LayerReport, silent: bool) -> str:
    into = f"the neurons of {row.name}"
    if silent:
        into += ", which never fire: their voltage is read out"
    return f"{into}; its input gain is in the weights (largest factor {row.gain:.6g})"


def _neuron_integers(layer: IntegerLayer, row: LayerReport) -> dict[str, IntegerValue]:
    found = {key: _values(getattr(layer, key)) for key in ("i_decay", "v_decay", "vth_mant")}
    bounds = {"current": row.current_bound, "voltage": row.voltage_bound}
    explained = {f"|{key}|": "without bound" if value is None else f"at most {value} of {STATE_LIMIT}"
            for key, value in bounds.items()}  # fmt: skip
    return {**found, "threshold in weight steps": row.threshold_steps, **explained}


def _neuron_errors(node: Any, row: LayerReport) -> dict[str, float]:
    errors = {"v_decay": row.v_decay_error}
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        errors["i_decay"] = row.i_decay_error
    if not isinstance(node, INTEGRATORS):
        errors["threshold (relative)"] = row.threshold_error
    return {**errors, "decay (relative)": row.loss.decay_error}


def _weight_words(layer: IntegerLayer, row: LayerReport, recurrent: bool) -> str:
    times = f"times gain times scale {row.scale:.6g}"
    if recurrent:
        return f"the recurrent weights of {layer.name}, {times}; its bias is part of the layer's"
    rounding = "on the grid already" if row.exact else "rounded to the grid"
    divided = f"; instead of dividing by {row.divisor}, threshold and bias were multiplied" if row.divisor > 1 else ""
    return f"the weights of {layer.name}, {times}, {rounding}{divided}"


def _weight_integers(layer: IntegerLayer, row: LayerReport, recurrent: bool) -> dict[str, IntegerValue]:
    weight = layer.weight_rec if recurrent and layer.weight_rec is not None else layer.weight
    found: dict[str, IntegerValue] = {"weight": _values(weight)}
    if layer.bias is not None:
        found["bias"] = _values(layer.bias)
    if layer.delay is not None:
        found["delay"] = _values(layer.delay)
    if layer.kind == "conv":
        found |= {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}
    found |= {"saturated": row.saturated, "became 0": row.loss.zeroed, "rows without weights": row.loss.dead_rows}
    found["sum of |weights| in a row"] = f"{row.accumulator_bound} of {ACCUMULATOR_LIMIT}"
    return found


def _folded_words(step: ChainNode, layer: IntegerLayer, row: LayerReport) -> str:
    if isinstance(step.node, nir.Delay):
        steps = "no delay" if layer.delay is None else f"delays of {_values(layer.delay)} steps on its synapses"
        return f"part of {layer.name}: {steps}"
    if isinstance(step.node, nir.Scale):
        return f"multiplied into the weights of {layer.name}"
    assert isinstance(step.node, POOLS)
    if layer.kind == "dense":
        return f"folded into {layer.name}: its columns were repeated over the windows"
    kernel = " x ".join(str(size) for size in layer.weight.shape[2:])
    times = f"; instead of dividing, threshold and bias times {row.divisor}" if row.divisor > 1 else ""
    return f"folded into {layer.name}, whose kernel is now {kernel} with stride {layer.stride}{times}"


def _added(layer: IntegerLayer, row: LayerReport) -> NodeRecord:
    return NodeRecord(
        node=layer.name,
        kind="added",
        layer=layer.name,
        rewrite=f"{layer.neurons} neurons of shape {layer.output_shape}",
        integers={key: _values(getattr(layer, key)) for key in ("weight", "bias", "vth_mant")},
        notes=row.notes,
    )


def _readout(network: IntegerNetwork) -> NodeRecord:
    readout = network.readout
    words = {
        "spikes": "the class is the output that fires most; among equals the earlier spikes, then the lower index",
        "membrane": f"the class is the output with the largest voltage ({readout.over_time} over time)",
        "linear": "the host multiplies the spike counts of the last layer with the read-out's weights",
    }
    return NodeRecord(node="the read-out", kind=readout.kind, rewrite=words[readout.kind])


def _values(value: Any) -> str:
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    array = array.astype(np.float64) if array.dtype.kind not in "iu" else array
    if array.size == 0:
        return "none"
    if array.size <= 2:
        return _number(array.item() if array.size == 1 else tuple(array.ravel().tolist()))
    low, high = array.min(), array.max()
    span = _number(low.item()) if low == high else f"{_number(low.item())} to {_number(high.item())}"
    return f"{span} {array.shape}"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

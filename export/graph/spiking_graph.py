"""The spiking graph: a NIR graph with the metadata that NIR cannot carry, and the two files that keep them.

NIR is continuous time. What a spike-exact execution needs beside it is the time step and the reset: one Euler step of
`dt_s`, in the order decay, add input, fire if v > threshold, reset v to zero at once (no dead step).
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.metadata import agrees, read_metadata, write_metadata
from spikeport.export.formats.nir_file import read_nir, write_nir
from spikeport.export.graph.chain import CELLS, SYNAPSES, ChainNode, chain, single, with_input_shape
from spikeport.export.graph.chain import input_shape as stated_shape
from spikeport.export.graph.flatten import flat
from spikeport.export.graph.parameters import on_layer
from spikeport.export.graph.shapes import POOLS, conv_geometry, pair
from spikeport.values import Shape

READOUTS = ("", "spikes", "membrane-sum", "membrane-max", "membrane-last", "linear")
BIASES = ("refuse", "neuron")


@dataclass(frozen=True, kw_only=True)
class SpikingGraph:
    """A NIR graph, its time step `dt_s` in seconds and its reset, which is always "zero" since Loihi has no other.

    `input_shape`: `(C, H, W)` or `(N,)`, no batch. `scales`: integer units per float unit for each weight node whose
    quantization is already decided, else empty. `readout`: what gives the class; "" takes what the graph ends in.
    `bias`: what becomes of a bias behind which currents decay slowly: refused, or a bias neuron. `allow_vector`:
    neurons of a layer may have decays of their own, which only simulators take. `origins`: where dt and reset came
    from. `notes`: what loading had to assume. Subgraphs are put in place. Raises UserError where these contradict the
    graph.
    """

    nir_graph: nir.NIRGraph
    dt_s: float
    reset: str = "zero"
    input_shape: Shape
    scales: Mapping[str, float] = field(default_factory=dict)
    readout: str = ""
    bias: str = "refuse"
    allow_vector: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_dt(self.dt_s)
        object.__setattr__(self, "nir_graph", flat(self.nir_graph))
        if self.reset != "zero":
            raise UserError(
                f"reset {self.reset!r} cannot go to the chip", cause="Loihi resets v to zero when a neuron fires",
                hint="train with reset to zero; for snnTorch reset_mechanism='zero'",
            )  # fmt: skip
        stated = stated_shape(self.nir_graph)
        if tuple(self.input_shape) != stated:
            raise UserError(f"input shape {tuple(self.input_shape)} contradicts the graph's {stated}")
        for name, scale in self.scales.items():
            if not isinstance(self.nir_graph.nodes.get(name), SYNAPSES):
                raise UserError(f"scales name {name!r}, which is no weight node of the graph")
            if not (math.isfinite(scale) and scale > 0):
                raise UserError(f"scale {scale} is not positive", where=name)
        if self.readout == "membrane":
            object.__setattr__(self, "readout", "membrane-sum")
        for key, known in (("readout", READOUTS), ("bias", BIASES)):
            if getattr(self, key) not in known:
                choices = ", ".join(word for word in known if word)
                raise UserError(f"{key} {getattr(self, key)!r} is unknown", hint=f"use one of {choices}")
        object.__setattr__(self, "input_shape", stated)
        object.__setattr__(self, "scales", dict(self.scales))

    def chain(self) -> tuple[ChainNode, ...]:
        """The nodes between Input and Output in order, with their shapes. Raises UserError where it is no chain."""
        return chain(self.nir_graph)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `path` (.nir, full shapes on every node) and `path` + ".json" beside it, each whole or not at all.

        The .nir is read back and compared before it gets its name. Raises UserError where the graph is no chain.
        """
        steps = self.chain()
        for name in self.nir_graph.nodes:
            if not name or "/" in name or name == ".":
                raise UserError(f"node name {name!r} cannot be kept", where=os.fspath(path),
                                cause="HDF5 takes '/' and '.' for paths",
                                hint="give the node another name")  # fmt: skip
        write_nir(_with_full_shapes(self.nir_graph, steps), path)
        write_metadata(
            path,
            {
                "dt_s": self.dt_s,
                "reset": self.reset,
                "input_shape": list(self.input_shape),
                "layers": [step.name for step in steps],
                "scales": dict(self.scales),
                "readout": self.readout,
                "bias": self.bias,
                "allow_vector": self.allow_vector,
                "notes": list(self.notes),
            },
        )


def load_graph(
    path: str | os.PathLike[str],
    dt_s: float | None = None,
    reset: str | None = None,
    if_gain: Literal["per_step", "per_second"] | None = None,
    input_shape: Shape | None = None,
    readout: str | None = None,
    bias: str | None = None,
    allow_vector: bool | None = None,
) -> SpikingGraph:
    """Any .nir file as a spiking graph; what NIR does not say comes from the metadata file or from the arguments.

    `dt_s`: seconds; default: the metadata file's, else tau/r where that is one value over all leaky nodes (noted).
    `reset`: "zero"; never guessed. `if_gain`: what an IF node's r means in a file without metadata: NIR's equation says
    per second (gain r dt), some frameworks write per step (gain r). `input_shape`: where the file states none.
    `readout`, `bias`, `allow_vector`: see SpikingGraph; given, they win over the metadata file. Raises UserError where
    something is missing, damaged or contradicts the metadata file.
    """
    metadata = read_metadata(path)  # first: its checksum keeps a damaged file from the HDF5 library
    graph = flat(read_nir(path))
    if metadata is not None:
        agrees(path, "dt_s", metadata.dt_s, dt_s, math.isclose(metadata.dt_s, dt_s or 0.0, rel_tol=1e-9))
        agrees(path, "reset", metadata.reset, reset, reset == metadata.reset)
        agrees(path, "if_gain", "per_second", if_gain, if_gain == "per_second")
        agrees(path, "input_shape", metadata.input_shape, input_shape, input_shape == metadata.input_shape)
        return SpikingGraph(
            nir_graph=graph,
            dt_s=metadata.dt_s,
            reset=metadata.reset,
            input_shape=metadata.input_shape,
            scales=metadata.scales,
            readout=metadata.readout if readout is None else readout,
            bias=metadata.bias if bias is None else bias,
            allow_vector=metadata.allow_vector if allow_vector is None else allow_vector,
            origins={"dt_s": "the metadata file", "reset": "the metadata file"},
            notes=metadata.notes,
        )
    if reset is None:
        raise UserError(
            "NIR does not say how neurons reset", where=str(path),
            hint="look it up where the network was trained and say so: --reset zero",
        )  # fmt: skip
    origins = {"dt_s": "given", "reset": "given"}
    notes: tuple[str, ...] = ()
    if dt_s is None:
        dt_s, note = _infer_dt(path, graph)
        notes, origins["dt_s"] = (note,), "inferred as tau/r"
    _check_dt(dt_s)
    graph, if_notes = _settle_if(path, graph, dt_s, if_gain)
    if input_shape is not None:
        graph = _with_given_shape(path, graph, tuple(input_shape))
    else:
        graph, batch_notes = _without_batch_axis(graph)
        notes = (*notes, *batch_notes)
    return SpikingGraph(
        nir_graph=graph,
        dt_s=dt_s,
        reset=reset,
        input_shape=stated_shape(graph),
        readout=readout or "",
        bias=bias or "refuse",
        allow_vector=bool(allow_vector),
        origins=origins,
        notes=(*notes, *if_notes),
    )


def _with_given_shape(path: str | os.PathLike[str], graph: nir.NIRGraph, given: Shape) -> nir.NIRGraph:
    """The graph with the input shape `given`, which may add what the file leaves out but not contradict it."""
    stated = graph.nodes[single(graph, nir.Input)].input_type["input"]
    sizes = () if stated is None else tuple(int(size) for size in np.atleast_1d(stated))
    if len(sizes) in (1, 3) and min(sizes) >= 1 and sizes != given:
        raise UserError(f"input shape {given} contradicts the file's {sizes}", where=str(path),
                        hint="leave the option out")  # fmt: skip
    return with_input_shape(graph, given)


def _without_batch_axis(graph: nir.NIRGraph) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """The graph with an input shape (1, N) or (1, C, H, W), which exporters take from a batch of one, without the 1."""
    stated = graph.nodes[single(graph, nir.Input)].input_type["input"]
    sizes = () if stated is None else tuple(int(size) for size in np.atleast_1d(stated))
    if len(sizes) not in (2, 4) or sizes[0] != 1:
        return graph, ()
    return with_input_shape(graph, sizes[1:]), (f"input shape {sizes} was read without its first axis, a batch of 1",)


def _infer_dt(path: str | os.PathLike[str], graph: nir.NIRGraph) -> tuple[float, str]:
    """dt = tau / r, which holds if the exporter gave its inputs gain 1; checked over every leaky node."""
    how = "say which step the network was trained with, in seconds: --dt 1e-3"
    with np.errstate(all="ignore"):
        ratios = [np.ravel(n.tau / n.r) for n in graph.nodes.values() if isinstance(n, (nir.LIF, nir.LI))]
        for node in graph.nodes.values():
            if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
                ratios += [np.ravel(node.tau_mem / node.r), np.ravel(node.tau_syn / node.w_in)]
    steps = np.concatenate(ratios) if ratios else np.zeros(0)
    if steps.size == 0:
        raise UserError("NIR does not say the time step, and no leaky node tells it", where=str(path), hint=how)
    low, high = float(steps.min()), float(steps.max())
    leaky = (nir.LIF, nir.LI, nir.CubaLIF, nir.CubaLI)
    gains = np.concatenate([np.ravel(n.r) for n in graph.nodes.values() if isinstance(n, leaky)])
    gain_one = gains.min() > 1 - 1e-5 and gains.max() > 1 + 1e-5
    if not (0 < low <= high < math.inf and high - low <= 1e-5 * high and gain_one):
        raise UserError(
            "NIR does not say the time step, and tau/r does not tell it", where=str(path),
            cause=f"tau/r is {_span(steps)} s, and r must exceed 1 where an exporter wrote tau/dt", hint=how,
        )  # fmt: skip
    middle = float(np.median(steps))
    dt_s = float(f"{middle:.6g}")  # float32 rounding noise removed: decays would inherit it
    return dt_s, f"dt = {dt_s:g} s was inferred as tau/r, which holds if the exporter gave inputs gain 1"


def _settle_if(
    path: str | os.PathLike[str], graph: nir.NIRGraph, dt_s: float, if_gain: str | None
) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """The graph with every IF node's r per second, as NIR's equation has it."""
    names = [name for name, node in graph.nodes.items() if isinstance(node, (nir.IF, nir.I))]
    if if_gain not in (None, "per_step", "per_second"):
        raise UserError(f"if_gain {if_gain!r} is unknown", hint="use per_step or per_second")
    if not names or if_gain == "per_second":
        return graph, ()
    if if_gain is None:
        gains = np.concatenate([np.ravel(graph.nodes[name].r) for name in names]) * dt_s
        if np.allclose(gains, 1.0, rtol=1e-6, atol=0):
            return graph, ()
        raise UserError(
            f"IF nodes {', '.join(names)} have a gain r dt = {_span(gains)} by NIR's equation, while some "
            "frameworks (sinabs is one) mean r per step", where=str(path),
            hint="say which: --if-gain per-step or --if-gain per-second",
        )  # fmt: skip
    nodes = dict(graph.nodes)
    for name in names:
        nodes[name] = replace(nodes[name], r=np.asarray(nodes[name].r, dtype=np.float64) / dt_s)
    settled = nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False)
    return settled, (f"r of IF nodes {', '.join(names)} was read per step",)


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _with_full_shapes(graph: nir.NIRGraph, steps: tuple[ChainNode, ...]) -> nir.NIRGraph:
    """The same chain in order, with the layer's shape on every array and field, as strict readers want it."""
    first, last = single(graph, nir.Input), single(graph, nir.Output)
    behind = steps[-1].output_shape if steps else stated_shape(graph)
    nodes: dict[str, nir.NIRNode] = {
        first: nir.Input({"input": np.array(stated_shape(graph))}, metadata=graph.nodes[first].metadata)
    }
    edges: list[tuple[str, str]] = list(itertools.pairwise([first, *(step.name for step in steps), last]))
    for step in steps:
        nodes[step.name] = _with_full_shape(step)
        nodes |= {inner.name: _with_full_shape(inner) for inner in step.recurrence}
        if step.recurrence:
            edges += itertools.pairwise([step.name, *(inner.name for inner in step.recurrence), step.name])
    nodes[last] = nir.Output({"output": np.array(behind)}, metadata=graph.nodes[last].metadata)
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def _with_full_shape(step: ChainNode) -> nir.NIRNode:
    node = step.node
    if isinstance(node, (*CELLS, nir.Scale, nir.Delay)):
        arrays = {key: value for key, value in vars(node).items() if key not in _TYPES}
        full = {key: _full(step, key, value) for key, value in arrays.items()}
        return type(node)(**full, metadata=node.metadata)
    if isinstance(node, nir.Conv2d):
        same = isinstance(node.padding, str) and node.padding == "same"
        return replace(
            node,
            input_shape=np.array(step.input_shape[1:]),
            stride=np.array(pair(node.stride, step.name, "stride")),
            padding="same" if same else np.array(conv_geometry(node, step.name)[2]),
            dilation=np.array(pair(node.dilation, step.name, "dilation")),
        )
    if isinstance(node, POOLS):
        keys = ("kernel_size", "stride", "padding")
        return replace(node, **{key: np.array(pair(getattr(node, key), step.name, key)) for key in keys})
    if isinstance(node, nir.Flatten):
        return nir.Flatten({"input": np.array(step.input_shape)}, start_dim=0, end_dim=-1, metadata=node.metadata)
    return node


def _full(step: ChainNode, key: str, value: np.ndarray) -> np.ndarray:
    """`value` with the layer's shape and its own type."""
    return on_layer(step.name, key, value, step.output_shape).astype(np.asarray(value).dtype)


_TYPES = ("input_type", "output_type", "metadata")


def _check_dt(dt_s: float) -> None:
    if not (math.isfinite(dt_s) and dt_s > 0):
        raise UserError(f"time step {dt_s} s is not positive", hint="give seconds, for example 1e-3")

"""A NIR graph with the metadata that NIR cannot express, and its two files.

NIR describes neurons in continuous time. A spike-exact execution also needs the time step and the kind of reset. One
Euler step of `dt_s` is executed in the order: decay, add input, fire if v > threshold, reset v to zero in the same
step.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import nir

from spikeport.errors import UnstatedError, UserError
from spikeport.export.formats.metadata import GraphMetadata, agrees, read_metadata, write_metadata
from spikeport.export.formats.nir_file import read_nir, write_nir
from spikeport.export.graph.assumptions import infer_dt, with_given_shape, with_if_gain, without_batch_axis
from spikeport.export.graph.chain import ChainNode, chain
from spikeport.export.graph.chain import input_shape as stated_shape
from spikeport.export.graph.flatten import flat
from spikeport.export.graph.framework_nodes import as_run, step_of
from spikeport.export.graph.frameworks import Framework, framework_of
from spikeport.export.graph.full_shapes import with_full_shapes
from spikeport.export.graph.node_kinds import SYNAPSES
from spikeport.export.graph.one_dimensional import NOTE, map_shape, with_height_one
from spikeport.export.graph.reset import ResetError
from spikeport.export.graph.structure import is_chain, refuse, structure_faults
from spikeport.values import Shape

FIRES_AT = (">", ">=")
READOUTS = ("", "spikes", "membrane-sum", "membrane-max", "membrane-last", "linear")
BIASES = ("refuse", "neuron")


@dataclass(frozen=True, kw_only=True)
class SpikingGraph:
    """A NIR graph with the properties that NIR does not state. Subgraphs are flattened.

    Attributes:
        nir_graph: the graph.
        dt_s: time step in seconds.
        reset: "zero", the only reset that Loihi has.
        input_shape: `(C, H, W)` or `(N,)`, without batch.
        scales: integer units per float unit of each weight node that is quantized already.
        readout: how the output becomes a class; "" for the default of the graph's last node.
        bias: treatment of a bias before a neuron with synaptic current: "refuse" or "neuron" (a bias neuron).
        allow_vector: whether neurons of a layer may have different decays, which only simulators support.
        fires_at: ">", as the chip: a neuron fires above its threshold; ">=": also where v equals it.
        row_scales: groups of rows with a weight scale of their own: one number for every layer, or numbers by name of a
            layer's weights or neurons.
        framework: name of the framework whose conventions the nodes were read by; "" for NIR's own.
        origins: sources of `dt_s` and `reset`.
        notes: assumptions that were made when the graph was loaded.

    Raises:
        UserError: a value contradicts the graph.
    """

    nir_graph: nir.NIRGraph
    dt_s: float
    reset: str = "zero"
    input_shape: Shape
    scales: Mapping[str, float] = field(default_factory=dict)
    readout: str = ""
    bias: str = "refuse"
    allow_vector: bool = False
    fires_at: str = ">"
    row_scales: int | Mapping[str, int] = 1
    framework: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_dt(self.dt_s)
        object.__setattr__(self, "nir_graph", with_height_one(flat(self.nir_graph)))
        if self.reset != "zero":
            raise ResetError(self.reset)
        stated = stated_shape(self.nir_graph)
        if map_shape(self.input_shape) != stated:
            raise UserError(f"input shape {tuple(self.input_shape)} contradicts the graph's {stated}")
        for name, scale in self.scales.items():
            if not isinstance(self.nir_graph.nodes.get(name), SYNAPSES):
                raise UserError(f"scales name {name!r}, which is not a weight node of the graph")
            if not (math.isfinite(scale) and scale > 0):
                raise UserError(f"scale {scale} is not positive", where=name)
        if self.readout == "membrane":
            object.__setattr__(self, "readout", "membrane-sum")
        for key, known in (("readout", READOUTS), ("bias", BIASES), ("fires_at", FIRES_AT)):
            if getattr(self, key) not in known:
                choices = ", ".join(word for word in known if word)
                raise UserError(f"{key} {getattr(self, key)!r} is unknown", hint=f"use one of {choices}")
        object.__setattr__(self, "input_shape", stated)
        object.__setattr__(self, "scales", dict(self.scales))

    def chain(self) -> tuple[ChainNode, ...]:
        """Nodes between Input and Output in order, with shapes. Raises UserError if the graph is not a chain."""
        return chain(self.nir_graph)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the .nir file, with full shapes on every node of a chain, and its metadata file.

        Both files are written atomically. The .nir file is read back and compared before it gets its name.

        Args:
            path: the .nir file. The metadata file is `path` + ".json".

        Raises:
            UserError: the graph is not a chain, or a node name is not possible in HDF5.
        """
        steps = self.chain() if is_chain(self.nir_graph) else None
        for name in self.nir_graph.nodes:
            if not name or "/" in name or name == ".":
                raise UserError(f"node name {name!r} cannot be kept", where=os.fspath(path),
                                cause="HDF5 takes '/' and '.' for paths",
                                hint="give the node another name")  # fmt: skip
        write_nir(self.nir_graph if steps is None else with_full_shapes(self.nir_graph, steps), path)
        write_metadata(
            path,
            GraphMetadata(
                dt_s=self.dt_s,
                reset=self.reset,
                input_shape=self.input_shape,
                scales=self.scales,
                notes=self.notes,
                layers=tuple(self.nir_graph.nodes if steps is None else (step.name for step in steps)),
                readout=self.readout,
                bias=self.bias,
                allow_vector=self.allow_vector,
                fires_at=self.fires_at,
                row_scales=self.row_scales,
            ),
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
    framework: str | None = None,
) -> SpikingGraph:
    """Reads a .nir file. Properties that NIR does not state are taken from the metadata file or the arguments.

    Args:
        path: the .nir file.
        dt_s: time step in seconds. Default: the value of the metadata file, else tau/r if it is the same for all leaky
            nodes (with a note).
        reset: "zero". It has no default for a file without metadata.
        if_gain: unit of r of IF nodes in a file without metadata: per second as in NIR's equation (gain r dt), or per
            step as in some frameworks (gain r).
        input_shape: `(C, H, W)` or `(N,)`, needed if the file states none.
        readout: see SpikingGraph; overrides the metadata file.
        bias: as `readout`.
        allow_vector: as `readout`.
        framework: the framework that wrote the file, whose conventions then hold where NIR and the other arguments
            say nothing: time step, decay, gains, comparison with the threshold, and the reset of its neurons by
            default. One of `frameworks.FRAMEWORKS`; not for a file with a metadata file.

    Raises:
        UserError: something is missing or damaged, or an argument contradicts the metadata file.
    """
    metadata = read_metadata(path)  # read first: its checksum detects a damaged file before libhdf5 opens it
    raw = flat(read_nir(path))
    graph = with_height_one(raw)
    if metadata is not None:
        agrees(path, "dt_s", metadata.dt_s, dt_s, math.isclose(metadata.dt_s, dt_s or 0.0, rel_tol=1e-9))
        agrees(path, "reset", metadata.reset, reset, reset == metadata.reset)
        agrees(path, "if_gain", "per_second", if_gain, if_gain == "per_second")
        agrees(path, "input_shape", metadata.input_shape, input_shape, input_shape == metadata.input_shape)
        agrees(path, "framework", "the file", framework, False)
        return SpikingGraph(
            nir_graph=graph,
            dt_s=metadata.dt_s,
            reset=metadata.reset,
            input_shape=metadata.input_shape,
            scales=metadata.scales,
            readout=metadata.readout if readout is None else readout,
            bias=metadata.bias if bias is None else bias,
            allow_vector=metadata.allow_vector if allow_vector is None else allow_vector,
            fires_at=metadata.fires_at,
            row_scales=metadata.row_scales,
            origins={"dt_s": "the metadata file", "reset": "the metadata file"},
            notes=metadata.notes,
        )
    missing: list[UserError] = []
    origins = {"dt_s": "given", "reset": "given"}
    row = None if framework is None else framework_of(framework)
    if row is not None:
        reset, origins["reset"] = (row.reset, row.title) if reset is None else (reset, "given")
    if reset is None:
        missing.append(
            UnstatedError(
                "NIR does not state how neurons reset", where=str(path),
                hint="use the reset of the training: --reset zero; or name the framework: --from snntorch",
            )
        )  # fmt: skip
    elif reset != "zero":
        by_default = row if origins["reset"] != "given" else None
        missing.append(ResetError(reset, by_default, str(path)))
    notes: tuple[str, ...] = ()
    if_notes: tuple[str, ...] = ()
    if row is not None:
        graph, dt_s, notes, origins["dt_s"] = _as_run(path, graph, row, dt_s, if_gain)
    elif dt_s is None:
        try:
            dt_s, note = infer_dt(path, graph)
            notes, origins["dt_s"] = (note,), "inferred as tau/r"
        except UserError as error:
            missing.append(error)
    try:
        if dt_s is not None:
            _check_dt(dt_s)
        if row is None:
            graph, if_notes = with_if_gain(path, graph, dt_s, if_gain)
    except UserError as error:
        missing.append(error)
    faults = structure_faults(graph)
    fed = any(isinstance(node, nir.Input) for node in graph.nodes.values())
    try:
        graph, shape_notes = _shaped(path, graph, input_shape) if fed else (graph, ())
        notes = (*notes, *shape_notes)
    except UserError as error:
        missing.append(error)
    if missing or not fed:  # and what the graph lacks, in the same answer
        refuse([*missing, *faults])
    assert dt_s is not None
    assert reset is not None
    if any(isinstance(node, nir.Conv1d) for node in raw.nodes.values()):
        notes = (*notes, NOTE)
    return SpikingGraph(
        nir_graph=graph,
        dt_s=dt_s,
        reset=reset,
        input_shape=stated_shape(graph),
        readout=readout or "",
        bias=bias or "refuse",
        allow_vector=bool(allow_vector),
        fires_at=">" if row is None else row.fires_at,
        framework=framework or "",
        origins=origins,
        notes=(*notes, *if_notes),
    )


def _shaped(
    path: str | os.PathLike[str], graph: nir.NIRGraph, given: Shape | None
) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """(graph with an input shape without batch axis, notes)."""
    notes: tuple[str, ...] = ()
    if given is not None:
        graph = with_given_shape(path, graph, map_shape(tuple(given)))
    else:
        graph, notes = without_batch_axis(graph)
    stated_shape(graph)  # raises
    return graph, notes


def _as_run(
    path: str | os.PathLike[str],
    graph: nir.NIRGraph,
    row: Framework,
    dt_s: float | None,
    if_gain: Literal["per_step", "per_second"] | None,
) -> tuple[nir.NIRGraph, float, tuple[str, ...], str]:
    """(graph as the framework ran it, dt, notes, origin of dt)."""
    if row.files != ".nir":
        raise UserError(f"{row.title} writes {row.files} files, not .nir files", where=str(path),
                        hint="name the framework that wrote this file")  # fmt: skip
    of_integrators: tuple[str, ...] = ()
    if if_gain is not None:
        _, of_integrators = with_if_gain(path, graph, 1.0, if_gain)
        row = replace(row, if_gain=if_gain)
    origin = "given"
    if dt_s is None:
        dt_s = step_of(graph, row)
        origin = row.dt_origin if dt_s == row.dt_s else f"the nodes, as {row.title} writes them"
    _check_dt(dt_s)
    notes = [f"read as {row.title} runs it: dt {dt_s:g} s ({origin}), v {row.fires_at} threshold"]
    notes += [f"{row.title}: {row.caveats}"] if row.caveats else []
    return as_run(graph, row, dt_s), dt_s, (*notes, *of_integrators), origin


def _check_dt(dt_s: float) -> None:
    if not (math.isfinite(dt_s) and dt_s > 0):
        raise UserError(f"time step {dt_s} s is not positive", hint="give seconds, for example 1e-3")

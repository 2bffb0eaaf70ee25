"""Reads and writes NIR files. Faults are reported with the node's name. Written files are read back and compared."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.safe_hdf5 import Tree, Unsupported, read_tree, text_of
from spikeport.files import atomic_path

KNOWN = {name: getattr(nir, name) for name in nir.ir.__all__ if isinstance(getattr(nir, name), type)}
NEURONS = {"IF", "I", "LIF", "LI", "CubaLIF", "CubaLI"}
PARAMETERS = ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset")
HINTS = {
    "maxpool": "use an average pool and train again; netx cannot take a maximum of spikes",
    "batchnorm": "fold it into the layer before it",
    "dropout": "leave it out; it does nothing outside training",
    "convtranspose": "use a Conv2d; netx has no transposed convolution",
    "identity": "leave it out",
}


def read_nir(path: str | os.PathLike[str]) -> nir.NIRGraph:
    """Reads a NIR file without NIR's type inference, which is wrong for kernels that are not square.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing or damaged, or has a node that NIR does not define.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError("no such file", where=str(file), hint="give the path of a .nir file")
    tree = read_tree(file).members.get("node")
    if not isinstance(tree, Tree):
        raise UserError("is HDF5 but not a NIR file", where=str(file), cause="it has no group 'node'")
    data = _as_dict(tree, f"{file}: node")
    kind = data.get("type")
    if (
        not isinstance(kind, str)
        or kind != "NIRGraph"
        or not isinstance(data.get("nodes"), dict)
        or "edges" not in data
    ):
        raise _no_graph(str(file), data)
    return _graph(str(file), data)


def _no_graph(where: str, data: dict[str, Any]) -> UserError:
    """The error for a file without a graph: nir.write stopped in it if nodes are there and the graph's type is not."""
    nodes = data.get("nodes")
    if data.get("type") is not None or not isinstance(nodes, dict):
        return UserError("holds no NIR graph", where=where, hint="write it with nir.write(path, nir.NIRGraph(...))")
    broken = [name for name, node in nodes.items() if not isinstance(node, dict) or "type" not in node]
    at = f" at node {broken[0]!r}" if broken else ""
    return UserError(
        "holds a part of a NIR graph", where=where, cause=f"nir.write stopped with an error{at}",
        hint="look at the error of the program that wrote it; a field that is None (often a shape) cannot be written",
    )  # fmt: skip


def write_nir(graph: nir.NIRGraph, path: str | os.PathLike[str]) -> None:
    """Writes a graph atomically. The file is read back and compared before it gets its name.

    Args:
        graph: the graph, without unknown fields.
        path: the .nir file.

    Raises:
        UserError: a field of the graph is None.
        RuntimeError: the file differs from the graph (a bug or a faulty disk).
    """
    with atomic_path(path) as temporary:
        unknown = _unknown_field(graph)
        if unknown:
            raise UserError(f"{unknown} is not known", where=str(path), cause="NIR can only write what is",
                            hint="compute the shapes first (SpikingGraph.save does)")  # fmt: skip
        image = io.BytesIO()  # in memory, since libhdf5 crashes when it closes a file on a full disk
        nir.write(image, graph)  # pyright: ignore[reportArgumentType]  # h5py takes any binary file
        temporary.write_bytes(image.getbuffer())
        difference = _difference(graph, read_nir(temporary))
        if difference:
            raise RuntimeError(f"{path}: the file read back differs from the graph at {difference}")


def _unknown_field(graph: nir.NIRGraph) -> str:
    """Name of the first field that is None, in subgraphs too; "" if there is none."""
    for name, node in graph.nodes.items():
        inner = _unknown_field(node) if isinstance(node, nir.NIRGraph) else ""
        lacking = inner or next((key for key, value in node.to_dict().items() if value is None), "")
        if lacking:
            return f"{name}.{lacking}"
    return ""


def _as_dict(tree: Tree, where: str) -> dict[str, Any]:
    """A group in the form of NIR's own reader: text as str, single numbers as NumPy scalars."""
    found: dict[str, Any] = {}
    for key, value in tree.members.items():
        if isinstance(value, Tree):
            found[key] = _as_dict(value, f"{where}/{key}")
        elif isinstance(value, Unsupported):
            raise UserError(f"{key} cannot be read", where=where, cause=f"it is {value.what}", hint="export it again")
        elif value.ndim == 0:
            found[key] = text_of(value) if value.dtype.kind in "OS" else value[()]
        else:
            found[key] = value
    return found


def _graph(where: str, data: dict[str, Any]) -> nir.NIRGraph:
    """A graph with its subgraphs."""
    separator = "." if ": " in where else ": "
    if not isinstance(data.get("metadata", {}), dict) or not isinstance(data["nodes"], dict):
        raise UserError("its nodes or metadata are not groups", where=where, hint="export the network again")
    nodes = {name: _node(f"{where}{separator}{name}", fields) for name, fields in data["nodes"].items()}
    try:
        edges = [(_text(before), _text(behind)) for before, behind in data["edges"]]
        return nir.NIRGraph(nodes, edges, metadata=data.get("metadata", {}), type_check=False)
    except (TypeError, ValueError, AttributeError, KeyError, UnicodeDecodeError) as error:
        raise UserError("its edges cannot be read", where=where, cause=str(error)) from error


def _node(where: str, fields: Any) -> nir.NIRNode:
    kind = fields.get("type") if isinstance(fields, dict) else None
    if isinstance(kind, str) and kind == "NIRGraph" and isinstance(fields.get("nodes"), dict) and "edges" in fields:
        return _graph(where, fields)
    if not isinstance(kind, str) or kind not in KNOWN:
        plain = str(kind).lower()
        hint = next((text for word, text in HINTS.items() if word in plain), f"NIR knows {', '.join(sorted(KNOWN))}")
        raise UserError(f"NIR {nir.version} does not define the node {repr(kind)[:60]}", where=where, hint=hint)
    for key, value in fields.items():
        numbers = isinstance(value, (np.ndarray, np.generic))
        if (numbers and value.dtype.kind not in "biuf") or (isinstance(value, str) and key not in ("type", "padding")):
            held = value.dtype if numbers else "text"
            raise UserError(f"{key} holds {held}, not numbers", where=where, hint="export the network again")
        if key == "padding" and isinstance(value, str) and value not in ("same", "valid"):
            raise UserError(f"padding is {value[:40]!r}", where=where, hint="use numbers, same or valid")
        if isinstance(value, dict) and key not in ("metadata", "nodes"):
            raise UserError(f"{key} is a group, not a value", where=where, hint="export the network again")
    if kind in ("Input", "Output") and "shape" in fields:
        _check_sizes(fields["shape"], where)
    if kind == "Conv2d":
        fields.setdefault("input_shape", None)  # missing in older files; `graph.shapes` computes it
    if kind in NEURONS:
        _broadcast(fields)
    if not isinstance(fields.get("metadata", {}), dict):
        raise UserError("metadata is a value, not a group", where=where, hint="export the network again")
    try:
        with np.errstate(all="ignore"):  # NIR computes with unchecked values
            return nir.dict2NIRNode(fields)
    except Exception as error:  # NIR raises many kinds on damaged nodes
        why = _field_fault(KNOWN[kind], fields) or f"{type(error).__name__} {error}".strip()
        raise UserError(
            f"this {kind} cannot be read", where=where, cause=why, hint="export the network again"
        ) from error


def _broadcast(fields: dict[str, Any]) -> None:
    """Gives parameters of a neuron one shape, which NIR demands, where some of them are single numbers."""
    given = {
        key: np.asarray(fields[key]) for key in PARAMETERS if isinstance(fields.get(key), (np.ndarray, np.generic))
    }
    shapes = {array.shape for array in given.values() if array.size != 1}
    if not shapes and given:  # one neuron, whose parameters are arrays of one number and bare numbers
        shapes = {max((array.shape for array in given.values()), key=len)}
    if len(shapes) == 1:
        (shape,) = shapes
        fields |= {
            key: np.full(shape, array.item())
            for key, array in given.items()
            if array.size == 1 and array.shape != shape
        }


def _check_sizes(shape: Any, where: str) -> None:
    """Raises UserError if the shape of an input or output does not consist of integers below 2^31."""
    sizes = np.atleast_1d(shape)
    if sizes.size > 8 or not np.all(np.isfinite(sizes)) or np.any(sizes != np.trunc(sizes)) or np.any(sizes >= 2**31):
        raise UserError(f"its shape is {str(shape)[:60]}", where=where, cause="sizes are whole numbers",
                        hint="export the network again")  # fmt: skip


def _field_fault(kind: type, fields: dict[str, Any]) -> str:
    """Describes missing and unknown fields of a node; "" if there are none."""
    derived = {"Input": {"shape"}, "Output": {"shape"}, "NIRGraph": {"nodes", "edges"}}.get(kind.__name__)
    declared = {
        field.name: field for field in dataclasses.fields(kind) if field.name not in ("metadata", "output_type")
    }
    known = derived or set(declared)
    required = derived or {
        name for name, field in declared.items() if field.default is dataclasses.MISSING and field.name != "input_type"
    }
    missing, surplus = required - set(fields), set(fields) - known - {"type", "metadata"}
    parts = [f"it lacks {', '.join(sorted(missing))}"] if missing else []
    parts += [f"it has unknown fields {', '.join(sorted(surplus))}"] if surplus else []
    return " and ".join(parts)


def _difference(expected: nir.NIRGraph, actual: nir.NIRGraph) -> str:
    """Name of the first node or field in which two graphs differ; "" if they are equal."""
    if set(expected.nodes) != set(actual.nodes):
        return "its nodes"
    if sorted(map(tuple, expected.edges)) != sorted(map(tuple, actual.edges)):
        return "its edges"
    for name, node in expected.nodes.items():
        ours, theirs = node.to_dict(), actual.nodes[name].to_dict()
        for key, value in ours.items():
            if not _same(value, theirs.get(key)):
                return f"{name}.{key}"
    return ""


def _same(mine: Any, read: Any) -> bool:
    """Whether two fields are equal in dtype, shape and bytes, so that NaN equals NaN. Metadata: key by key."""
    if isinstance(mine, dict) and isinstance(read, dict):
        return set(mine) == set(read) and all(_same(value, read[key]) for key, value in mine.items())
    ours, theirs = np.asarray(mine), np.asarray(read)
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def _text(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)

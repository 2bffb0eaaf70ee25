"""Counts the multiply-accumulates of an ONNX model from its graph."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeport.errors import UserError

if TYPE_CHECKING:
    import onnx

# Operators with multiply-accumulates that are not counted.
UNKNOWN_WORK = frozenset(
    {
        *("ConvTranspose", "Einsum", "LSTM", "GRU", "RNN", "Attention", "DeformConv"),
        *("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply-accumulates (MACs) of one inference.

    Attributes:
        per_node: MACs by node, with padding counted.
        uncounted: kinds of operators with MACs that are not counted.
    """

    per_node: dict[str, int]
    uncounted: tuple[str, ...]

    @property
    def total(self) -> int:
        """Sum over the nodes."""
        return sum(self.per_node.values())


def count_macs(path: str | os.PathLike[str]) -> Macs:
    """Counts the MACs of one inference (batch 1): convolutions and matrix products.

    Conv: outputs * (Cin / groups) * kernel. Gemm, MatMul: outputs * inner length. Bias, norm, activation and pooling
    are not MACs.

    Args:
        path: the ONNX model.

    Raises:
        UserError: the file is not an ONNX model, or a shape is not known.
    """
    import onnx

    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # protobuf has its own exceptions
        raise UserError("cannot read this ONNX model", where=os.fspath(path), cause=str(error)) from error
    weights = {entry.name: tuple(entry.dims) for entry in model.graph.initializer}
    for entry in model.graph.input:
        if entry.name not in weights and entry.type.tensor_type.shape.dim:
            entry.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]  # the exporter's shapes have a variable batch axis
    for entry in model.graph.output:
        entry.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = weights | {
        entry.name: tuple(side.dim_value for side in entry.type.tensor_type.shape.dim)
        for entry in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    per_node = {}
    for index, node in enumerate(inferred.node):
        inner = _inner_length(node, shapes)
        if inner is not None:
            name = node.name or f"{node.op_type}_{index}"
            per_node[name] = inner * _size(shapes, node.output[0], os.fspath(path), name)
    return Macs(
        per_node=per_node,
        uncounted=tuple(sorted({node.op_type for node in inferred.node} & UNKNOWN_WORK)),
    )


def _inner_length(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Number of products in the sum of one output value; None for operators without products."""
    if node.op_type == "Conv":
        return math.prod(shapes[node.input[1]][1:])
    if node.op_type == "Gemm":
        transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
        return shapes[node.input[1]][1 if transposed else 0]
    if node.op_type == "MatMul":
        return shapes[node.input[0]][-1]
    return None


def _size(shapes: dict[str, tuple[int, ...]], tensor: str, path: str, node: str) -> int:
    shape = shapes.get(tensor, ())
    if not shape or 0 in shape:
        raise UserError(
            f"the output shape of {node} is open: {shape}", where=path, hint="export with fixed image sizes"
        )
    return math.prod(shape)

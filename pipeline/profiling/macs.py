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
        per_node: MACs by node, exact at the edges: products with padding are not counted.
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

    Conv: Cout * (Cin / groups) * pairs of an output position and a kernel tap that lies on the input. Products with
    padding are not counted, as in `export.network.connectivity.dense_ops`, so that a network has one number of MACs.
    Gemm, MatMul: outputs * inner length. Bias, norm, activation and pooling are not MACs.

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
        name = node.name or f"{node.op_type}_{index}"
        if node.op_type == "Conv":
            output = _shape(shapes, node.output[0], os.fspath(path), name)
            per_node[name] = _conv_macs(node, shapes[node.input[0]], shapes[node.input[1]], output)
        elif (inner := _inner_length(node, shapes)) is not None:
            per_node[name] = inner * math.prod(_shape(shapes, node.output[0], os.fspath(path), name))
    return Macs(
        per_node=per_node,
        uncounted=tuple(sorted({node.op_type for node in inferred.node} & UNKNOWN_WORK)),
    )


def _inner_length(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Number of products in the sum of one output value; None for operators without products."""
    if node.op_type == "Gemm":
        transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
        return shapes[node.input[1]][1 if transposed else 0]
    if node.op_type == "MatMul":
        return shapes[node.input[0]][-1]
    return None


def _conv_macs(node: onnx.NodeProto, images: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Products of weights with input values of a convolution over any number of axes, without those with padding."""
    sizes, axes = kernel[2:], len(kernel) - 2
    given = {entry.name: entry for entry in node.attribute}
    strides, dilations = (
        tuple(given[name].ints) if name in given else (1,) * axes for name in ("strides", "dilations")
    )
    pads = tuple(given["pads"].ints) if "pads" in given else (0,) * 2 * axes
    automatic = given["auto_pad"].s.decode() if "auto_pad" in given else "NOTSET"
    pairs = 1
    for axis, (length, size, stride, dilation) in enumerate(zip(images[2:], sizes, strides, dilations, strict=True)):
        before = pads[axis]
        if automatic.startswith("SAME"):
            missing = max((output[2 + axis] - 1) * stride + dilation * (size - 1) + 1 - length, 0)
            before = missing // 2 if automatic == "SAME_UPPER" else missing - missing // 2
        pairs *= sum(
            0 <= place * stride - before + tap * dilation < length
            for place in range(output[2 + axis])
            for tap in range(size)
        )
    return output[0] * kernel[0] * kernel[1] * pairs


def _shape(shapes: dict[str, tuple[int, ...]], tensor: str, path: str, node: str) -> tuple[int, ...]:
    shape = shapes.get(tensor, ())
    if not shape or 0 in shape:
        raise UserError(
            f"the output shape of {node} is open: {shape}", where=path, hint="export with fixed image sizes"
        )
    return shape

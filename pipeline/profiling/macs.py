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
PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply-accumulates (MACs) of one inference.

    Attributes:
        per_node: MACs by node, without products with padding.
        uncounted: kinds of operators with MACs that are not counted.
    """

    per_node: dict[str, int]
    uncounted: tuple[str, ...]

    @property
    def total(self) -> int:
        """Sum over the nodes."""
        return sum(self.per_node.values())


@dataclass(frozen=True, kw_only=True)
class ShapedGraph:
    """A graph with the shapes of its tensors at batch 1.

    Attributes:
        graph: the ONNX graph.
        shapes: shape of each tensor.
        path: the file.
    """

    graph: onnx.GraphProto
    shapes: dict[str, tuple[int, ...]]
    path: str

    def size(self, tensor: str, node: str) -> int:
        """Values of a tensor.

        Args:
            tensor: its name.
            node: name of the node that it belongs to, for the error.

        Raises:
            UserError: the shape is not known.
        """
        shape = self.shapes.get(tensor, ())
        if not shape or 0 in shape:
            raise UserError(
                f"the output shape of {node} is open: {shape}", where=self.path, hint="export with fixed image sizes"
            )
        return math.prod(shape)


def read_graph(path: str | os.PathLike[str]) -> ShapedGraph:
    """Reads an ONNX model and infers the shapes of its tensors at batch 1.

    Args:
        path: the ONNX model.

    Raises:
        UserError: the file is not an ONNX model.
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
    return ShapedGraph(graph=inferred, shapes=shapes, path=os.fspath(path))


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
    return macs_of(read_graph(path))


def macs_of(shaped: ShapedGraph) -> Macs:
    """The MACs of a graph, as `count_macs` counts them.

    Args:
        shaped: the graph.

    Raises:
        UserError: a shape is not known.
    """
    per_node = {}
    for index, node in enumerate(shaped.graph.node):
        if node.op_type in PRODUCTS:
            name = node.name or f"{node.op_type}_{index}"
            per_node[name] = _macs(node, shaped, name)
    return Macs(
        per_node=per_node,
        uncounted=tuple(sorted({node.op_type for node in shaped.graph.node} & UNKNOWN_WORK)),
    )


def _macs(node: onnx.NodeProto, shaped: ShapedGraph, name: str) -> int:
    outputs, shapes = shaped.size(node.output[0], name), shaped.shapes
    if node.op_type == "Conv":
        return _conv_macs(node, shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]])
    if node.op_type == "MatMul":
        return outputs * shapes[node.input[0]][-1]
    transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
    return outputs * shapes[node.input[1]][1 if transposed else 0]


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

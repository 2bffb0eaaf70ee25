"""Counts what a GPU does for an ONNX model: multiply-accumulates, kernels, weights and values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeport.hardware_profiles.gpu import Precision
from spikeport.hardware_profiles.launch_bound import GpuWork
from spikeport.pipeline.profiling.macs import PRODUCTS, Macs, ShapedGraph, macs_of, read_graph

if TYPE_CHECKING:
    import onnx

# Operators that move no value of a contiguous tensor.
VIEWS = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
BYTES: dict[Precision, float] = {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "int8": 1.0}


@dataclass(frozen=True, kw_only=True)
class NetworkWork:
    """What a GPU does for a network.

    Attributes:
        macs: multiply-accumulates of one inference.
        kernels: kernels that are started for a batch, see `count_kernels`.
        weights: weights of convolutions and matrix products.
        values: values of the input and the output of one inference.
    """

    macs: Macs
    kernels: int
    weights: int
    values: int

    def at(self, batch: int, precision: Precision) -> GpuWork:
        """The work for a batch.

        Args:
            batch: inferences of the batch.
            precision: of the operations; weights and values have its width.
        """
        return GpuWork(
            macs=self.macs.total,
            kernels=self.kernels,
            batch=batch,
            weight_bytes=self.weights * BYTES[precision],
            value_bytes=self.values * BYTES[precision],
            precision=precision,
        )


def count_work(path: str | os.PathLike[str]) -> NetworkWork:
    """Counts what a GPU does for an ONNX model, in the way of the published runs that validate the model of a GPU.

    Bytes are those of the weights and of the network's input and output. Values between layers are left out.

    Args:
        path: the ONNX model.

    Raises:
        UserError: the file is not an ONNX model, or a shape is not known.
    """
    shaped = read_graph(path)
    weights = {entry.name: shaped.size(entry.name, "a weight") for entry in shaped.graph.initializer if entry.dims}
    multiplied = {name for node in shaped.graph.node if node.op_type in PRODUCTS for name in node.input[:2]}
    ends = [entry.name for entry in (*shaped.graph.input, *shaped.graph.output) if entry.name not in weights]
    return NetworkWork(
        macs=macs_of(shaped),
        kernels=count_kernels(shaped),
        weights=sum(size for name, size in weights.items() if name in multiplied),
        values=sum(shaped.size(name, "the network") for name in ends),
    )


def count_kernels(shaped: ShapedGraph) -> int:
    """Kernels that a framework starts for a batch if it fuses nothing: one for each operator, one for each bias.

    A product, the addition of its bias and its activation are three kernels. The published runs are counted alike: 8
    kernels for 390-256-256-29. Views are none, and neither is what does not depend on the network's input. A runtime
    that fuses starts fewer; the low end of the time of a kernel allows for it.

    Args:
        shaped: the graph.
    """
    constants = {entry.name for entry in shaped.graph.initializer}
    live = {entry.name for entry in shaped.graph.input} - constants
    kernels = 0
    for node in shaped.graph.node:
        if node.op_type == "Shape" or not live.intersection(node.input):
            continue  # arithmetic of shapes and constants, on the host
        live.update(node.output)
        if node.op_type not in VIEWS:
            kernels += 1 + _has_bias(node)
    return kernels


def _has_bias(node: onnx.NodeProto) -> bool:
    return node.op_type in ("Conv", "Gemm") and len(node.input) > 2 and bool(node.input[2])

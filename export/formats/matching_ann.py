"""Writes an ANN of the same shape as an integer network: its layers with ReLU, one dense pass, as ONNX.

It measures the cost of the same shape on conventional hardware. It is not trained, so its outputs have no meaning.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.files import atomic_path


def write_matching_ann(network: IntegerNetwork, path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Writes the ANN of an integer network, atomically.

    Its input is "images", float32 `[batch, *input_shape]`; its output is "logits", float32 `[batch, K]`. Weights are
    the integers as float32. onnx is imported here, since this package must load without it.

    Args:
        network: the integer network.
        path: the ONNX file.

    Returns:
        Names of parts that one dense pass omits: recurrent weights, delays, layers of inputs.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, left_out = [], [], []
    last = [layer for layer in network.layers if layer.kind != "input"][-1]
    value, shape = "images", network.input_shape
    for index, layer in enumerate(network.layers):
        left_out += _left_out(layer)
        if layer.kind == "input":
            continue
        weight = f"weight{index}"
        weights.append(numpy_helper.from_array(np.ascontiguousarray(layer.weight, dtype=np.float32), weight))
        if layer.kind == "dense" and len(shape) > 1:
            nodes.append(helper.make_node("Flatten", [value], [f"flat{index}"]))
            value = f"flat{index}"
        out = f"sum{index}"
        nodes.append(helper.make_node(_operation(layer), [value, weight], [out], **_attributes(layer)))
        value, shape = out, layer.output_shape
        if layer is not last:
            value = f"relu{index}"
            nodes.append(helper.make_node("Relu", [out], [value]))
    nodes.append(helper.make_node("Flatten", [value], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "matching_ann",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *network.input_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", int(np.prod(shape))])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9  # supported by onnxruntime 1.17 and later
    with atomic_path(Path(path)) as temporary:
        onnx.save(model, temporary)
    return tuple(dict.fromkeys(left_out))


def _operation(layer: IntegerLayer) -> str:
    return "Conv" if layer.kind == "conv" else "Gemm"


def _attributes(layer: IntegerLayer) -> dict[str, Any]:
    if layer.kind != "conv":
        return {"transB": 1}
    return {
        "strides": list(layer.stride),
        "pads": [*layer.padding, *layer.padding],  # begins, then ends
        "dilations": list(layer.dilation),
        "group": layer.groups,
    }


def _left_out(layer: IntegerLayer) -> list[str]:
    parts = {
        "recurrent weights": layer.weight_rec is not None,
        "delays": layer.delay is not None,
        "the layer of inputs": layer.kind == "input",
    }
    return [name for name, there in parts.items() if there]

"""Onnx models that several tests use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(folder: Path, extra: list[onnx.NodeProto] | None = None) -> Path:
    """conv 3->8 (3x5, stride 2x1, padding 1x2), grouped conv 8->4 (2 groups, 3x3), then Gemm 5 and MatMul 7."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 5), "w2": (4, 4, 3, 3), "w3": (5, 4 * 4 * 9), "w4": (5, 7), "b3": (5,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["a"], name="first", strides=[2, 1], pads=[1, 2, 1, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="grouped", group=2),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "w3", "b3"], ["e"], name="gemm", transB=1),
        helper.make_node("MatMul", ["e", "w4"], ["logits"], name="matmul"),
        *(extra or []),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 12, 11])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 7])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    path = folder / "teacher.onnx"
    onnx.save(model, path)
    return path

"""MACs of a baseline by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import write_model

from spikeport.errors import UserError
from spikeport.pipeline.profiling.macs import count_macs


def test_macs_by_hand(tmp_path: Path) -> None:
    """12x11 -> 6x11 -> 4x9: 8 * 3 * (2 + 5*3) row pairs * (3+4 + 7*5 + 4+3) column pairs, 4*4*9 outputs * 4*9, 144*5,
    5*7."""
    macs = count_macs(write_model(tmp_path))
    assert macs.per_node == {
        "first": 8 * 3 * 17 * 49,
        "grouped": 4 * 4 * 9 * 4 * 9,
        "gemm": 144 * 5,
        "matmul": 5 * 7,
    }
    assert macs.total == 19_992 + 5_184 + 720 + 35
    assert macs.uncounted == ()


def test_macs_of_an_exported_module(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from spikeport.export.formats.onnx import export_onnx

    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 4 * 5, 10),
    ).eval()
    path = tmp_path / "module.onnx"
    export_onnx(module, torch.zeros(1, 3, 8, 10), path)
    assert count_macs(path).total == 6 * 3 * (2 + 6 * 3 + 2) * (2 + 8 * 3 + 2) + 120 * 10


@pytest.mark.parametrize(
    ("attributes", "pairs"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": [2, 1]}, (1 * 3 + 1 * 2) * (2 + 2 * 3 + 2)),  # rows 0-2, 2-4 of 4: 3 + 2
        ({"auto_pad": "SAME_LOWER", "strides": [2, 1]}, (1 * 2 + 1 * 3) * (2 + 2 * 3 + 2)),  # rows -1-1, 1-3: 2 + 3
        ({"auto_pad": "VALID"}, 2 * 3 * 2 * 3),
        ({"dilations": [2, 1], "pads": [2, 0, 2, 0]}, (2 + 2 + 2 + 2) * (2 * 3)),  # rows -2, 0, 2: two of each on 4
        ({"pads": [0, 1, 1, 0]}, (3 + 3 + 2) * (2 + 3 + 3)),  # asymmetric: a column before, a row after
    ],
)
def test_padding_of_every_kind_by_hand(tmp_path: Path, attributes: dict[str, object], pairs: int) -> None:
    """A 3x3 kernel on one 4x4 image, two outputs: pairs of an output position and a tap on the image, by hand."""
    kernel = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes)
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 4, 4])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph([node], "one", [image], [output], [kernel])), tmp_path / "one.onnx")
    assert count_macs(tmp_path / "one.onnx").total == 2 * pairs


def test_work_that_is_not_counted_is_named(tmp_path: Path) -> None:
    extra = [helper.make_node("Einsum", ["logits", "logits"], ["square"], equation="ij,ij->i")]
    assert count_macs(write_model(tmp_path, extra)).uncounted == ("Einsum",)


def test_broken_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\xff\xff not a model")
    with pytest.raises(UserError, match=r"broken\.onnx: cannot read this ONNX model"):
        count_macs(path)

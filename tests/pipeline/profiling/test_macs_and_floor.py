"""MACs of a baseline by hand, and the formula floor of a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import write_model

from spikeport.errors import UserError
from spikeport.hardware_profiles.profile import HardwareProfile, load_profile
from spikeport.pipeline.profiling.baseline.floors import floor_pj_per_mac
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


@pytest.mark.parametrize(
    ("name", "precision", "pj"),
    [
        ("h100", "fp32", 20.93),
        ("h100", "fp16", 1.415),
        ("h100", "int8", 0.707),
        ("a100", "fp32", 41.0),
        ("a100", "int8", 1.282),
        ("v100", "fp32", 38.2),
        ("v100", "fp16", 4.80),
        ("h200", "fp32", 20.93),
        ("t4", "fp32", 17.28),
        ("t4", "fp16", 2.15),
        ("t4", "int8", 1.08),
        ("orin-nano", "fp32", 23.4),
        ("orin-nano", "int8", 1.50),
        ("orin-nano-super", "fp32", 23.9),
        ("orin-nano-super", "int8", 1.49),
        ("xavier-nx", "fp32", 35.5),
        ("xavier-nx", "int8", 1.43),
    ],
)
def test_formula_floor(name: str, precision: str, pj: float) -> None:
    assert floor_pj_per_mac(load_profile(name), precision) == pytest.approx(pj, rel=3e-3)  # type: ignore[arg-type]


def test_formula_floor_of_another_gpu(tmp_path: Path) -> None:
    """T4: 2 * 70 W / 8.1 TFLOPS = 17.28 pJ per FP32 MAC; without an INT8 peak there is no INT8 floor."""
    profile = write_gpu(tmp_path)
    assert floor_pj_per_mac(profile, "fp32") == pytest.approx(17.28, abs=5e-3)
    with pytest.raises(UserError, match="t4 gives no peak for int8"):
        floor_pj_per_mac(profile, "int8")


def write_gpu(folder: Path) -> HardwareProfile:
    sourced = 'status = "vendor"\nsource = "data sheet"\n'
    path = folder / "t4.toml"
    path.write_text(
        'schema = "snn-energy-profile/1"\n[device]\nid = "t4"\nname = "T4"\nkind = "gpu"\nsource = "data sheet"\n'
        '[accounting]\nscope = "incremental"\n'
        f"[gpu.p_max_W]\nvalue = 70\n{sourced}[gpu.fp32_tflops]\nvalue = 8.1\n{sourced}"
    )
    return load_profile(path)

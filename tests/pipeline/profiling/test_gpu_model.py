"""An ANN on a GPU, modeled: kernels by hand, rows by the formula, and what the full power would take."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import write_model

from spikeport.errors import UserError
from spikeport.hardware_profiles.gpu import Precision
from spikeport.hardware_profiles.launch_bound import GpuWork, gpu_estimate
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.baseline import gpu_model
from spikeport.pipeline.profiling.baseline.gpu_model import best_batch, full_throughput_uj, modeled_rows
from spikeport.pipeline.profiling.gpu_work import NetworkWork, count_work
from spikeport.pipeline.profiling.macs import Macs

ROUNDING = 1e-12  # other orders of the same products


def write_mlp(path: Path, sizes: tuple[int, ...]) -> Path:
    """A product with its bias for each pair of sizes, ReLU between them."""
    nodes, weights, value = [], [], "images"
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        shapes = {f"w{index}": (fan_out, fan_in), f"b{index}": (fan_out,)}
        weights += [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items()]
        nodes.append(helper.make_node("Gemm", [value, *shapes], [f"sum{index}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"sum{index}"], [f"relu{index}"]))
        value = f"relu{index}"
    nodes[-1] = helper.make_node("Identity", [nodes[-1].input[0]], ["logits"])  # no ReLU after the last layer
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
            for name, size in (("images", sizes[0]), ("logits", sizes[-1]))]  # fmt: skip
    onnx.save(helper.make_model(helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)), path)
    return path


def test_the_keyword_network_has_the_work_of_the_published_runs(tmp_path: Path) -> None:
    """390-256-256-29: 3 products, 3 biases and 2 ReLUs, as in the profile of the Quadro K4000."""
    work = count_work(write_mlp(tmp_path / "kws.onnx", (390, 256, 256, 29)))
    published = load_profile("quadro-k4000").published[0]
    assert work.at(1, "fp32") == GpuWork(
        macs=published.macs or 0,
        kernels=published.kernels or 0,
        batch=1,
        weight_bytes=published.weight_bytes,
        value_bytes=published.value_bytes,
    )
    assert work.at(8, "int8") == GpuWork(
        macs=172_800, kernels=8, batch=8, weight_bytes=172_800, value_bytes=390 + 29, precision="int8"
    )


def test_kernels_of_a_convolutional_network_by_hand(tmp_path: Path) -> None:
    """Two convolutions without bias, a ReLU, a product with its bias and one without: 2 + 1 + 2 + 1; the flattening is
    a view. Weights: 8*3*3*5 + 4*4*3*3 + 5*144 + 5*7."""
    work = count_work(write_model(tmp_path))
    assert (work.kernels, work.weights) == (6, 360 + 144 + 720 + 35)
    assert work.values == 3 * 12 * 11 + 7


def test_arithmetic_of_shapes_is_no_kernel(tmp_path: Path) -> None:
    """A softmax is one. A reshape by the shape of the images is a view, and that shape is computed on the host."""
    extra = [
        helper.make_node("Shape", ["images"], ["sides"]),
        helper.make_node("Gather", ["sides", "zero"], ["batch_side"]),
        helper.make_node("Softmax", ["logits"], ["shares"]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array([0]), "zero")),
    ]
    extra = [extra[3], *extra[:3]]
    assert count_work(write_model(tmp_path, extra)).kernels == 7


def test_kernels_of_an_exported_module(tmp_path: Path) -> None:
    """Convolution with bias, ReLU, pooling, product with bias: the batch norm is folded by the exporter or is one."""
    torch = pytest.importorskip("torch")
    from spikeport.export.formats.onnx import export_onnx

    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(72, 10)
    ).eval()
    export_onnx(module, torch.zeros(1, 3, 8, 10), tmp_path / "module.onnx")
    assert count_work(tmp_path / "module.onnx").kernels == 2 + 1 + 1 + 2


WORK = NetworkWork(macs=Macs(per_node={"a": 172_800}, uncounted=()), kernels=8, weights=172_800, values=419)


def test_rows_are_the_estimates_of_the_model() -> None:
    """A100, FP32, by hand: 200 W, 80 W of them idle, for 120 + 8 * 11 µs and the work.

    At batch 1 it is that of the memory: 4 bytes of 172,800 weights and 419 values at 1,555 GB/s take 0.45 µs, the
    operations 0.1 µs. At batch 1,024 it is that of the operations: 107 µs against 1.5 µs.
    """
    rows = modeled_rows(load_profile("a100"), WORK, period_us=300_000)
    assert [(row["device"], row["batch"]) for row in rows] == [
        (f"NVIDIA A100 SXM4, {name}", batch)
        for name in ("FP32 without TF32", "TF32", "FP16", "INT8")
        for batch in (1, 1024)
    ]
    first = rows[0]
    time_us = 120 + 8 * 11 + 4 * (172_800 + 419) / 1555e3
    assert (first["latency_basis"], first["energy_basis"]) == ("modeled", "modeled")
    assert first["latency_us"]["nominal"] == pytest.approx(time_us, rel=ROUNDING)
    assert first["total_uj"]["nominal"] == pytest.approx(time_us * 200, rel=ROUNDING)
    assert first["energy_uj"]["nominal"] == pytest.approx(time_us * 120, rel=ROUNDING)
    assert first["live_uj"]["nominal"] == pytest.approx(time_us * 200 + (300_000 - time_us) * 80, rel=ROUNDING)
    assert first["floor_uj"] == pytest.approx(2 * 172_800 * 400 / 19.5e6, rel=ROUNDING)
    assert (first["macs"], first["kernels"]) == (172_800, 8)
    assert "172,800 MACs in 8 kernels" in first["scope"]
    for row in rows:
        assert row["latency_us"]["low"] < row["latency_us"]["nominal"] < row["latency_us"]["high"]
    best = rows[1]
    assert "within 5 % of the least energy" in best["scope"]
    whole_us = 120 + 8 * 11 + 1024 * 2 * 172_800 / (0.17 * 19.5e6)
    # 1,024 recordings take 307 s to come; the board idles but for one batch of them.
    live = whole_us / 1024 * 200 + (300_000 - whole_us / 1024) * 80
    assert best["live_uj"]["nominal"] == pytest.approx(live, rel=ROUNDING)
    assert [point["batch"] for point in first["curve"]] == [1, 8, 32, 128, 1024]
    assert first["curve"][0]["latency_us"] == first["latency_us"]
    assert sum("curve" in row for row in rows) == 1


def test_without_a_time_step_the_live_energy_is_not_known() -> None:
    assert {row["live_uj"] for row in modeled_rows(load_profile("a100"), WORK)} == {None}


def test_a_gpu_without_a_published_tf32_peak_has_no_such_row() -> None:
    assert [row["device"] for row in modeled_rows(load_profile("t4"), WORK) if row["batch"] == 1] == [
        "NVIDIA T4, FP32", "NVIDIA T4, FP16", "NVIDIA T4, INT8"
    ]  # fmt: skip


def test_the_best_batch_is_the_smallest_that_is_near_the_least() -> None:
    """A large network is bound by its operations at batch 16 already, a small one by launches at 1,024 still."""
    large = NetworkWork(macs=Macs(per_node={"a": 4_000_000_000}, uncounted=()), kernels=57, weights=1, values=1)
    gpu = load_profile("a100")
    for work in (WORK, large):
        estimates = [gpu_estimate(gpu, work.at(batch, "fp16")) for batch in gpu_model.BATCHES]
        energies = {each.batch: each.total_uj[1] for each in estimates}
        near = [batch for batch, energy in energies.items() if energy <= 1.05 * min(energies.values())]
        assert best_batch(estimates) == min(near)
    assert best_batch(estimates) < 1024


def test_work_that_is_not_counted_is_named(tmp_path: Path) -> None:
    extra = [helper.make_node("Einsum", ["logits", "logits"], ["square"], equation="ij,ij->i")]
    rows = modeled_rows(load_profile("a100"), count_work(write_model(tmp_path, extra)))
    assert "MACs, without Einsum in 7 kernels" in rows[0]["scope"]


@pytest.mark.parametrize(
    ("name", "precision", "pj"),
    [
        ("h100", "fp32", 20.93),
        ("h100", "tf32", 2.830),
        ("h100", "fp16", 1.415),
        ("h100", "int8", 0.707),
        ("a100", "fp32", 41.0),
        ("a100", "tf32", 5.128),
        ("a100", "int8", 1.282),
        ("v100", "fp32", 38.2),
        ("v100", "fp16", 4.80),
        ("h200", "fp32", 20.93),
        ("h200", "tf32", 2.830),
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
def test_full_throughput_at_full_power(name: str, precision: Precision, pj: float) -> None:
    """2 P_max / peak for each MAC; the table has three digits."""
    assert full_throughput_uj(load_profile(name), precision, 1e6) == pytest.approx(pj, rel=3e-3)


def test_a_missing_peak_is_an_error() -> None:
    with pytest.raises(UserError, match="v100 gives no peak for int8"):
        full_throughput_uj(load_profile("v100"), "int8", 1.0)


def test_the_gpu_of_a_baseline() -> None:
    assert gpu_model.baseline_gpu("none") is None
    profile = gpu_model.baseline_gpu("h100")
    assert profile is not None
    assert profile.device.id == "h100"
    with pytest.raises(UserError, match="loihi1 is not a GPU profile"):
        gpu_model.baseline_gpu("loihi1")

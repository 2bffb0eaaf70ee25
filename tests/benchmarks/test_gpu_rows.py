"""benchmarks/gpu_rows.py without a GPU: what it measures by a clock and a meter that are made up."""

from __future__ import annotations

import gpu_networks
import gpu_rows
import pytest
from gpu_networks import Network

from spikeport.errors import UserError
from spikeport.hardware_profiles.measured_gpu import Board, read_measured
from spikeport.hardware_profiles.profile import load_profile

BOARD = Board(
    name="NVIDIA A100-SXM4-40GB", driver="1", clock_mhz=1410, power_limit_w=400, versions={}, created_utc="now"
)


class FakeGpu:
    """A clock that only work and sleep move on, and a meter: 60 W without work, 160 W with it."""

    def __init__(self) -> None:
        self.now_s, self.mj = 100.0, 5e6

    def work(self, seconds: float) -> None:
        self.now_s += seconds
        self.mj += 160e3 * seconds

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.mj += 60e3 * seconds

    def perf_counter(self) -> float:
        return self.now_s

    def energy_mj(self) -> float:
        return self.mj

    def board(self) -> Board:
        return BOARD


def test_a_window_gives_the_median_time_and_the_mean_power() -> None:
    gpu = FakeGpu()
    batch_us, watts = gpu_rows.measure(lambda: gpu.work(0.004), gpu, 0.1, gpu.perf_counter)
    assert (batch_us, watts) == pytest.approx((4000.0, 160.0), rel=1e-9)


def test_all_windows_end_in_time() -> None:
    assert gpu_rows.window_s(40, 0.0, 8.0) == 8.0
    assert gpu_rows.window_s(10, 500.0, 8.0) == 4.0
    spent = 0.0
    for left in range(41, 0, -1):  # each window costs half a second more than it lasts
        spent += gpu_rows.window_s(left, spent, 30.0) + 0.5
    assert spent < 600


def test_constants_that_made_the_times_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager: 50 µs a call and 6 µs a kernel; captured: 9 and 2. A network that cannot be captured is left out."""
    gpu, lines = FakeGpu(), list[str]()
    monkeypatch.setattr(gpu_rows, "time", gpu)
    found = [
        Network(name=name, module=None, input_shape=(1,), macs=macs, kernels=kernels)
        for name, macs, kernels in (("small", 172_800, 8), ("deep", 4_000_000, 45), ("wide", 100_000_000, 17))
    ]

    def make(network: Network, batch: int, mode: gpu_rows.Mode):
        if (network.name, mode) == ("deep", "graph"):
            raise RuntimeError("capture failed\nmore")
        call, kernel = (50, 6) if mode == "eager" else (9, 2)
        batch_us = call + network.kernels * kernel + 2 * network.macs * batch / (0.4 * 19.5e6)
        return lambda: gpu.work(batch_us / 1e6)

    measured = gpu_rows.measure_all(load_profile("a100"), found, gpu, make, 0.05, lines.append)
    assert len(measured.timings) == 3 * 4 + 2 * 4
    assert measured.idle_w == pytest.approx(60.0, rel=1e-9)
    constants = measured.constants
    assert constants.call_us == pytest.approx((9.0, 50.0, 50.0), rel=1e-6)
    assert constants.kernel_us == pytest.approx((2.0, 6.0, 6.0), rel=1e-6)
    assert constants.peak_share == pytest.approx((0.4, 0.4, 0.4), rel=1e-6)
    assert constants.busy_share == pytest.approx((0.4, 0.4, 0.4), rel=1e-9)
    assert constants.idle_share == pytest.approx((0.15, 0.15, 0.15), rel=1e-9)
    assert "deep, batch 8, graph: left out: capture failed" in lines


def test_a_written_file_can_be_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    gpu = FakeGpu()
    monkeypatch.setattr(gpu_rows, "time", gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_rows, "Nvml", lambda: gpu)
    module = torch.nn.Identity()
    monkeypatch.setattr(module, "cuda", lambda: module)
    found = [
        Network(name=name, module=module, input_shape=(1,), macs=macs, kernels=kernels)
        for name, macs, kernels in (("small", 172_800, 8), ("deep", 4_000_000, 45), ("wide", 100_000_000, 17))
    ]
    monkeypatch.setattr(gpu_rows, "networks", lambda: found)
    monkeypatch.setattr(
        gpu_rows, "runner", lambda network, batch, mode: lambda: gpu.work(1e-5 * network.kernels + 1e-6 * batch)
    )
    assert gpu_rows.main(["--out", str(tmp_path / "new"), "--seconds", "0.05"]) == 0
    read = read_measured(tmp_path / "new" / "a100.json")
    assert (read.gpu, read.board) == ("a100", BOARD)
    assert len(read.timings) == 24


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_rows.main([]) == 2
    assert "no GPU that torch can use: nothing was measured" in capsys.readouterr().err


def test_a_board_has_the_profile_in_its_name() -> None:
    assert gpu_rows.profile_of("NVIDIA A100-SXM4-40GB").device.id == "a100"
    assert gpu_rows.profile_of("NVIDIA H200").device.id == "h200"
    assert gpu_rows.profile_of("Tesla T4").device.id == "t4"
    with pytest.raises(UserError, match="no profile belongs to NVIDIA GeForce"):
        gpu_rows.profile_of("NVIDIA GeForce RTX 3090")


@pytest.mark.slow
def test_the_networks_have_the_work_that_is_counted_in_their_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLP of 3 layers of 8: 2 * 64 + 80 MACs, 8 kernels, as in its ONNX graph. The others are exported."""
    pytest.importorskip("torch")
    monkeypatch.setattr(gpu_networks, "MLPS", {"mlp": (3, 8)})
    teacher, ann, mlp = gpu_networks.networks()
    assert [each.name for each in (teacher, ann, mlp)] == ["teacher", "ANN of the same shape", "mlp"]
    assert (mlp.macs, mlp.kernels) == (208, 8)
    again = gpu_networks.counted("mlp", mlp.module, mlp.input_shape)
    assert (again.macs, again.kernels) == (mlp.macs, mlp.kernels)
    assert ann.macs == 134_416  # that of the student of the recipe digits, one dense pass, as its reports print
    assert teacher.macs > ann.macs

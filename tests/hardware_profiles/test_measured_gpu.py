"""The file of a measured GPU: read whole or refused, and used by the rows of a baseline."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from spikeport.errors import UserError
from spikeport.hardware_profiles import measured_gpu
from spikeport.hardware_profiles.launch_bound import ANY_BOARD
from spikeport.hardware_profiles.measured_gpu import constants_of, read_measured
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.baseline import gpu_model
from spikeport.pipeline.profiling.gpu_work import NetworkWork
from spikeport.pipeline.profiling.macs import Macs

CONSTANTS = {
    "call_us": [5.0, 40.0, 50.0],
    "kernel_us": [1.0, 4.0, 5.0],
    "peak_share": [0.3, 0.4, 0.6],
    "busy_share": [0.2, 0.25, 0.3],
    "idle_share": [0.15, 0.15, 0.15],
}


def content(**more: Any) -> dict[str, Any]:
    board = {"name": "NVIDIA A100-SXM4-40GB", "driver": "550.1", "clock_mhz": 1410.0, "power_limit_w": 400.0}
    timing = {"network": "teacher", "mode": "eager", "precision": "fp32", "macs": 1e6, "kernels": 9.0, "batch": 1}
    return {
        "schema": "spikeport-gpu/1",
        "gpu": "a100",
        "board": board | {"versions": {"torch": "2.13.0"}, "created_utc": "2026-12-01T00:00:00Z"},
        "idle_w": 60.0,
        "constants": CONSTANTS,
        "timings": [timing | {"batch_us": 76.0, "busy_w": 100.0}],
    } | more


def write(folder: Path, **more: Any) -> Path:
    path = folder / "a100.json"
    path.write_text(json.dumps(content(**more)))
    return path


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = read_measured(write(tmp_path))
    assert found.model_dump(mode="json", by_alias=True) == content()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"constants": CONSTANTS | {"call_us": [9.0, 4.0, 10.0]}}, "low, nominal and high are not in order"),
        ({"constants": CONSTANTS | {"peak_share": [0.0, 0.1, 0.2]}}, "a share of the peak is above 0"),
        ({"constants": CONSTANTS | {"kernel_us": [-1.0, 0.1, 0.2]}}, "constants.kernel_us.0"),
        ({"schema": "another/1"}, "schema"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason) as refused:
        constants_of("a100", write(tmp_path, **more).parent)
    assert "gpu_rows.py" in str(refused.value)


def test_a_gpu_that_was_not_measured_has_the_constants_of_any_board(tmp_path: Path) -> None:
    write(tmp_path)
    assert constants_of("h100", tmp_path) is ANY_BOARD
    assert constants_of("../a100", tmp_path / "inside") is ANY_BOARD


def test_rows_of_a_measured_gpu_use_its_constants_and_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 + 9 * 4 µs at 100 W of 400, and 0.06 µs to move the weights."""
    path = write(tmp_path)
    monkeypatch.setattr(gpu_model, "constants_of", lambda gpu: measured_gpu.constants_of(gpu, tmp_path))
    work = NetworkWork(macs=Macs(per_node={"a": 10}, uncounted=()), kernels=9, weights=0, values=0)
    row = gpu_model.modeled_rows(load_profile("a100"), work)[0]
    assert row["latency_us"]["nominal"] == pytest.approx(76.0, rel=1e-6)  # ten MACs take 2.6e-6 µs
    assert row["total_uj"]["nominal"] == pytest.approx(7600.0, rel=1e-6)
    assert row["fitted_to"] == {"file": "a100.json", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_shipped_files_can_be_read() -> None:
    for path in measured_gpu.FOLDER.glob("*.json"):
        assert read_measured(path).gpu == path.stem

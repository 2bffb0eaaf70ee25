"""The baseline: measured windows, curves over the batch size, and what a row may claim."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest
from onnx_models import write_model

from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.baseline import measure as baseline
from spikeport.pipeline.profiling.baseline.energy_meter import (
    CPU,
    GPU,
    Counter,
    Joules,
    joules_per_inference,
    why_no_counter,
    why_no_cpu_counter,
)
from spikeport.pipeline.profiling.baseline.measure import (
    BATCHES,
    BaselineModel,
    Timing,
    baseline_rows,
    curve,
    measure_timing,
    one_and_best,
    timed_row,
)
from spikeport.values import Interval


def test_measured_window() -> None:
    """1,234,000 mJ over 10 s at 60 W idle, 5,000 inferences: 246.8 mJ in all, 126.8 mJ dynamic."""
    joules = joules_per_inference(counter_mj=1_234_000, seconds=10, idle_w=60, inferences=5000)
    assert (joules.status, joules.total_mj) == ("measured", 246.8)
    assert joules.dynamic_mj == pytest.approx(126.8, rel=1e-12)


def test_a_counter_that_did_not_move_measured_nothing() -> None:
    joules = joules_per_inference(counter_mj=0, seconds=0.01, idle_w=60, inferences=5)
    assert (joules.status, joules.total_mj, joules.dynamic_mj) == ("window too short", None, None)
    row = timed_row("card", timing(1, 100.0), "", joules, "board")
    assert (row["energy_uj"], row["energy_basis"], row["reason"]) == (None, None, "window too short")


def test_negative_dynamic_energy_survives() -> None:
    joules = joules_per_inference(counter_mj=590_000, seconds=10, idle_w=60, inferences=1000)
    assert joules.dynamic_mj == -10
    row = timed_row("card", timing(1, 100.0), "", joules, "board")
    assert row["energy_uj"]["nominal"] == -10_000
    assert row["energy_basis"] == "measured"


def test_without_a_counter_there_is_a_reason() -> None:
    """Either zeus or a CUDA build of onnxruntime is missing, or both are here and there is nothing to say."""
    import onnxruntime

    reason = why_no_counter()
    if importlib.util.find_spec("zeus") is None:
        assert "zeus is not installed" in reason
    elif "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert "onnxruntime cannot use a GPU" in reason
    else:
        assert reason in ("", "no GPU whose energy counter can be read")


def test_without_a_processor_counter_there_is_a_reason() -> None:
    reason = why_no_cpu_counter()
    if importlib.util.find_spec("zeus") is None:
        assert "zeus is not installed" in reason
    else:
        assert reason in ("", "no RAPL counter that may be read (it takes root's rights)")


def test_a_counter_sums_what_it_is_asked_to_read() -> None:
    """Two packages of 5 and 7 J, memory of one 1.5 J: 13.5 J; a board alone 3 J. What zeus does not read is None."""
    packages = SimpleNamespace(gpu_energy={}, cpu_energy={0: 5.0, 1: 7.0}, dram_energy={0: 1.5})
    assert CPU.joules_in(packages) == 13.5
    assert GPU.joules_in(SimpleNamespace(gpu_energy={0: 3.0}, cpu_energy=None, dram_energy=None)) == 3.0


def test_a_processor_with_a_counter_has_joules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stubbed counter: 2 mJ an inference in all, 0.5 mJ of it above idle."""
    read = Joules(status="measured", idle_w=31, inferences=9, seconds=11, total_mj=2.0, dynamic_mj=0.5)
    asked: list[Counter] = []
    monkeypatch.setattr(baseline, "why_no_cpu_counter", lambda: "")
    monkeypatch.setattr(baseline, "measure_joules", lambda run, batch, counter: asked.append(counter) or read)
    model = BaselineModel(name="teacher", path=write_model(tmp_path), modeled=False)
    rows = [row for row in baseline_rows([model], load_profile("a100"), seconds=0.01) if row["latency_us"]]
    assert set(map(id, asked)) == {id(CPU)}
    for row in rows:
        assert row["energy_uj"] == {"low": 500.0, "nominal": 500.0, "high": 500.0}
        assert (row["energy_basis"], row["total_uj"], row["reason"]) == ("measured", 2000.0, "")
        assert "model alone" in row["scope"]
        assert "joules: all processor packages" in row["scope"]
        assert "11.0 s, idle 31.0 W subtracted" in row["scope"]
    energies = {point["batch"]: point["energy_uj"] for point in rows[0]["curve"]}
    assert energies[1] == rows[0]["energy_uj"]


def timing(batch: int, batch_us: float) -> Timing:
    return Timing(batch=batch, batch_us=Interval(low=batch_us, nominal=batch_us, high=batch_us), repeats=5)


def test_batch_one_stands_beside_the_best() -> None:
    """100, 200/8 and 1600/32 µs per inference: batch 8 is best."""
    chosen = one_and_best([timing(1, 100), timing(8, 200), timing(32, 1600)])
    assert [entry.batch for entry in chosen] == [1, 8]
    assert [entry.batch for entry in one_and_best([timing(1, 10), timing(8, 200)])] == [1]


def test_every_batch_is_a_point_of_the_curve() -> None:
    """100 and 600/8 µs per inference; joules where a batch has them, None where not."""
    joules = {"low": -2.0, "nominal": -2.0, "high": -2.0}
    spread = Timing(batch=8, batch_us=Interval(low=580.0, nominal=600.0, high=700.0), repeats=17)
    assert curve([timing(1, 100), spread], {8: joules}) == [
        {
            "batch": 1,
            "latency_us": {"low": 100, "nominal": 100, "high": 100},
            "us_per_inference": 100.0,
            "repeats": 5,
            "energy_uj": None,
        },
        {
            "batch": 8,
            "latency_us": {"low": 580.0, "nominal": 600.0, "high": 700.0},
            "us_per_inference": 75.0,
            "repeats": 17,
            "energy_uj": joules,
        },
    ]


def test_a_gpus_curve_has_joules_at_batch_one_and_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter is read at two batch sizes (its windows are long), the clock at all of them."""
    times = dict(zip(BATCHES, (100.0, 400.0, 960.0, 6400.0), strict=True))  # µs per inference: 100, 50, 30, 50
    monkeypatch.setattr(baseline, "why_no_counter", lambda: "")
    monkeypatch.setattr(
        baseline, "_session", lambda path, provider, threads: SimpleNamespace(get_providers=lambda: [provider])
    )
    monkeypatch.setattr(baseline, "_runner", lambda session, batch: batch)
    monkeypatch.setattr(baseline, "measure_timing", lambda run, batch, seconds: timing(batch, times[batch]))
    monkeypatch.setattr(baseline, "_cpu_rows", lambda *_: [])
    monkeypatch.setattr(
        baseline,
        "measure_joules",
        lambda run, batch, counter: Joules(
            status="measured", idle_w=60, inferences=9, seconds=10, total_mj=1.0, dynamic_mj=batch / 8
        ),
    )
    model = BaselineModel(name="teacher", path=write_model(tmp_path), modeled=False)
    rows = baseline_rows([model], load_profile("a100"), seconds=0.01)
    assert [row["batch"] for row in rows] == [1, 32]
    assert "curve" not in rows[1]
    energies = {point["batch"]: point["energy_uj"] for point in rows[0]["curve"]}
    assert {batch: energy and energy["nominal"] for batch, energy in energies.items()} == {
        1: 125.0,
        8: None,
        32: 4000.0,
        128: None,
    }


def test_timing_repeats_for_the_time_given_and_reports_in_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the work moves on: by 4 ms each time, so that 60 ms are full after 15 of them."""
    now_s = [7.0]
    monkeypatch.setattr(baseline, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))

    def work() -> None:
        now_s[0] += 0.004

    measured = measure_timing(work, batch=1, seconds=0.0599)
    assert measured.repeats == 15
    assert measured.batch_us.to_json() == pytest.approx({"low": 4000, "nominal": 4000, "high": 4000})
    assert measure_timing(work, batch=1, seconds=0.001).repeats == 5


def test_a_session_that_fell_back_to_the_cpu_is_called_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime's own session: where it has no CUDA, or lists it and cannot load it, it takes the CPU unsaid."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime can use a GPU")
    monkeypatch.setattr(baseline, "why_no_counter", lambda: "")
    monkeypatch.setattr(baseline, "measure_joules", lambda *_: pytest.fail("joules of an idle GPU"))
    monkeypatch.setattr(baseline, "_cpu_rows", lambda *_: [])
    model = BaselineModel(name="teacher", path=write_model(tmp_path), modeled=False)
    (row,) = baseline_rows([model], load_profile("a100"), seconds=0.01)
    assert (row["latency_us"], row["energy_uj"]) == (None, None)
    assert "could not use it" in row["reason"]


def test_rows_of_a_baseline(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = write_model(tmp_path)
    baseline_models = [
        BaselineModel(name="teacher", path=path),
        BaselineModel(name="teacher, int8", path=None, note="cannot be quantized: Foo"),
        BaselineModel(name="same shape", path=path, note="untrained", modeled=False),
    ]
    rows = baseline_rows(
        baseline_models, load_profile("a100"), seconds=0.02, threads=1, period_us=2e4,
        progress=lambda *at: steps.append(at),
    )  # fmt: skip
    assert steps == [(number, 8) for number in range(1, 9)]
    assert {row["model"] for row in rows if row["energy_basis"] == "modeled"} == {"teacher"}
    (absent,) = (row for row in rows if row.get("model") == "teacher, int8")
    assert (absent["latency_us"], absent["reason"]) == (None, "cannot be quantized: Foo")
    assert all(row["scope"].startswith("untrained; ") for row in rows if row.get("model") == "same shape")
    keys = {"device", "batch", "latency_us", "latency_basis", "energy_uj", "energy_basis", "scope", "reason"}
    assert all(keys <= row.keys() for row in rows)
    cpu = [row for row in rows if row["latency_basis"] == "measured"]
    assert cpu[0]["batch"] == 1
    assert "1 thread" in cpu[0]["device"]
    assert all(row["energy_uj"] is None and row["reason"] for row in rows if row["energy_basis"] is None)
    modeled = [row for row in rows if row["energy_basis"] == "modeled"]
    assert {row["device"].split(", ")[1] for row in modeled} == {"FP32 without TF32", "TF32", "FP16", "INT8"}
    assert modeled[0]["floor_uj"] == pytest.approx(25_931 * 2 * 400 / 19.5e12 * 1e6, rel=1e-12)
    assert modeled[0]["live_uj"]["nominal"] == pytest.approx(
        modeled[0]["total_uj"]["nominal"] + 80 * (2e4 - modeled[0]["latency_us"]["nominal"]), rel=1e-12
    )
    curves = {row["model"]: row["curve"] for row in rows if "curve" in row and row["latency_basis"] == "measured"}
    assert curves.keys() == {"teacher", "same shape"}
    for row in cpu:  # the rows are points of their curve
        (point,) = (point for point in curves[row["model"]] if point["batch"] == row["batch"])
        assert (row["latency_us"], row["us_per_inference"]) == (point["latency_us"], point["us_per_inference"])
        assert row["scope"].endswith(f"{point['repeats']} repeats")
    assert [point["batch"] for point in curves["same shape"]] == list(BATCHES)


def test_without_a_gpu_profile_nothing_is_modeled(tmp_path: Path) -> None:
    rows = baseline_rows([BaselineModel(name="teacher", path=write_model(tmp_path))], None, seconds=0.01)
    assert not [row for row in rows if row["energy_basis"] == "modeled"]


@pytest.mark.parametrize("providers", [["CPUExecutionProvider"], ["AzureExecutionProvider", "CPUExecutionProvider"]])
def test_a_session_of_other_providers_than_those_asked_for_is_called_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, providers: list[str]
) -> None:
    """onnxruntime was asked for CUDA and says afterwards that it uses others: nothing is timed, nothing is called a
    GPU's."""
    asked: list[str] = []

    def session(path: object, provider: str, threads: int) -> SimpleNamespace:
        asked.append(provider)
        return SimpleNamespace(get_providers=lambda: providers)

    monkeypatch.setattr(baseline, "why_no_counter", lambda: "")
    monkeypatch.setattr(baseline, "_session", session)
    monkeypatch.setattr(baseline, "_cpu_rows", lambda *_: [])
    monkeypatch.setattr(baseline, "measure_timing", lambda *_: pytest.fail("the time of a CPU"))
    monkeypatch.setattr(baseline, "measure_joules", lambda *_: pytest.fail("joules of an idle GPU"))
    model = BaselineModel(name="teacher", path=write_model(tmp_path), modeled=False)
    (row,) = baseline_rows([model], load_profile("a100"), seconds=0.01)
    assert asked == ["CUDAExecutionProvider"]
    assert (row["latency_us"], row["latency_basis"], row["energy_uj"], row["energy_basis"]) == (None, None, None, None)
    assert "could not use it" in row["reason"]

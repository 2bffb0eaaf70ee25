"""Random but plausible inputs of a report, for tests and for viewing the page.

No number here was measured. `python tests/helpers/report_example.py FOLDER` writes
whole/ and parts/, the latter with every optional part missing.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.network.accuracy import Correctness
from spikeport.export.network.sampling import draw
from spikeport.pipeline.report.content.confusion import confusion
from spikeport.pipeline.report.content.training import trainings
from spikeport.pipeline.report.content.worst import WrongSample
from spikeport.pipeline.report.write import ReportInputs, Sample, build_report, render_all
from spikeport.pipeline.training.results import EpochRow

STEPS, SIDE, TEST = 10, 34, 200


def example_layers(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Three convolutions and a dense layer, rows of counted activity."""
    sizes = [
        ("conv1", (8, 17, 17), 144, 40_000),
        ("conv2", (16, 9, 9), 1152, 79_200),
        ("conv3", (32, 5, 5), 4608, 85_000),
    ]
    rows = []
    for name, shape, weights, dense in [*sizes, ("output", (10,), 8000, 8000)]:
        neurons, rate = int(np.prod(shape)), float(rng.uniform(0.02, 0.12))
        rows.append(
            {
                "name": name,
                "kind": "conv" if len(shape) == 3 else "dense",
                "shape": list(shape),
                "neurons": neurons,
                "weights": weights,
                "spikes_per_sample": rate * neurons * STEPS,
                "rate": rate,
                "synops_per_sample": float(dense * STEPS * rng.uniform(0.03, 0.1)),
                "dense_ops": dense * STEPS,
            }
        )
    return rows


def example_sample(rng: np.random.Generator, key: str, label: int, predicted: int) -> Sample:
    """A disc that moves across the sensor: ON at its front, OFF behind."""
    y, x = np.mgrid[:SIDE, :SIDE]
    frames = np.zeros((STEPS, 2, SIDE, SIDE), dtype=np.uint8)
    for step in range(STEPS):
        around = np.hypot(y - 17 - 3 * np.sin(step / 2), x - 13 - step * 0.8)
        ring = (np.abs(around - 8) < 1.6) & (rng.random((SIDE, SIDE)) < 0.55)
        front = x > 13 + step * 0.8
        frames[step, 1], frames[step, 0] = ring & front, ring & ~front
        frames[step] |= rng.random((2, SIDE, SIDE)) < 0.006
    spikes = (rng.random((STEPS, 10)) < 0.08).astype(np.uint8)
    spikes[2:, predicted] = rng.random(STEPS - 2) < 0.85
    image = np.clip(255 - 40 * np.abs(np.hypot(y[:28, :28] - 14, x[:28, :28] - 14) - 8), 0, 255)
    image = image[None].astype(np.uint8)
    return Sample(key=key, label=label, predicted=predicted, frames=frames, output_spikes=spikes, image=image)


def example_energy() -> list[dict[str, Any]]:
    """One device with energies per operation, one without, one convention."""
    return [
        {
            "hardware": "loihi1",
            "name": "Intel Loihi 1",
            "kind": "neuromorphic",
            "dynamic_uj": {"low": 3.0, "nominal": 3.4, "high": 4.9},
            "total_uj": {"low": 121.0, "nominal": 140.0, "high": 160.0},
            "latency_us": {"low": 60.0, "nominal": 84.0, "high": 410.0},
            "unknown_terms": [],
            "basis": "modeled from pre-silicon constants (S)",
            "scope": "incremental neurocore energy",
            "assumptions": [
                "every neuron in which an event arrived counts as active",
                "hops = 0: routing is a lower bound",
            ],
            "not_included": ["host and x86 cores", "input and output of events"],
            "sources": ["Davies et al., IEEE Micro 38(1), 2018, Table 2 (pre-silicon)"],
            "placement": {
                "cores": 27,
                "at_least": False,
                "cores_per_chip": 128,
                "tiles": 7,
                "chips": 1,
                "summary": "passes these public limits: 27 cores on 1 chip in a greedy partition",
                "layers": [
                    {"name": name, "cores": cores, "filled_by": reason}
                    for name, cores, reason in (
                        ("conv1", 3, "neurons"),
                        ("conv2", 7, "synapse bits"),
                        ("conv3", 16, "synapse bits"),
                        ("output", 1, ""),
                    )
                ],
            },
            "sensitivity": [
                {
                    "constant": "static.per_chip_mW",
                    "low": 29.7,
                    "high": 120.0,
                    "dynamic_uj": {"low": 3.4, "high": 3.4},
                    "total_uj": {"low": 42.5, "high": 160.0},
                },
                {
                    "constant": "all neuron updates inactive, or all active",
                    "low": None,
                    "high": None,
                    "dynamic_uj": {"low": 3.1, "high": 3.9},
                    "total_uj": None,
                },
            ],
        },
        {
            "hardware": "loihi2",
            "name": "Intel Loihi 2",
            "kind": "neuromorphic",
            "dynamic_uj": None,
            "total_uj": None,
            "latency_us": None,
            "unknown_terms": ["synop", "neuron_active", "neuron_inactive", "routing", "latency"],
            "basis": "unknown",
            "scope": "incremental",
            "assumptions": [],
            "not_included": ["host and x86 cores"],
            "sources": ["no per-operation energy has been published"],
        },
        {
            "hardware": "cmos45-fp32",
            "name": "45 nm convention, 32-bit float",
            "kind": "convention",
            "dynamic_uj": {"low": 0.12, "nominal": 0.12, "high": 0.12},
            "total_uj": None,
            "latency_us": None,
            "unknown_terms": [],
            "basis": "modeled by convention (C)",
            "scope": "synaptic operations only",
            "assumptions": ["0.9 pJ per accumulate"],
            "not_included": ["memory", "neuron updates"],
            "sources": ["Horowitz, ISSCC 2014"],
        },
    ]


def example_curve() -> list[dict[str, Any]]:
    """The CPU of `example_baseline` at three batch sizes."""
    times = {1: (402.0, 431.0, 520.0), 8: (1520.0, 1600.0, 1840.0), 64: (9100.0, 9800.0, 11200.0)}
    return [
        {
            "batch": batch,
            "latency_us": {"low": low, "nominal": nominal, "high": high},
            "us_per_inference": nominal / batch,
            "repeats": 5 + 400 // batch,
            "energy_uj": None,
        }
        for batch, (low, nominal, high) in times.items()
    ]


def example_baseline() -> list[dict[str, Any]]:
    """A CPU whose clock was read, and a modeled GPU."""
    cpu = {
        "device": "CPU, onnxruntime",
        "latency_basis": "measured",
        "energy_uj": None,
        "energy_basis": None,
        "scope": "teacher, 2 cores",
        "reason": "this machine has no energy counter",
    }
    gpu = {
        "device": "NVIDIA A100 SXM4, FP32",
        "batch": 1,
        "latency_us": {"low": 26.0, "nominal": 208.0, "high": 1980.0},
        "latency_basis": "modeled",
        "energy_uj": {"low": 312.0, "nominal": 24960.0, "high": 396000.0},
        "energy_basis": "modeled",
        "scope": "2,400,000 MACs in 8 kernels",
        "us_per_inference": 208.0,
        "total_uj": {"low": 3120.0, "nominal": 41600.0, "high": 475200.0},
        "live_uj": {"low": 1.2e7, "nominal": 2.4e7, "high": 3.2e7},
        "floor_uj": 98.4,
        "macs": 2_400_000,
        "kernels": 8,
        "profile": {"file": "a100.toml", "sha256": "a1" * 32},
    }
    return [
        cpu | {"batch": 1, "latency_us": {"low": 402.0, "nominal": 431.0, "high": 520.0}, "curve": example_curve()},
        cpu | {"batch": 64, "latency_us": {"low": 9100.0, "nominal": 9800.0, "high": 11200.0}},
        gpu,
    ]


def example_check(samples: int, layers: list[str], entries: int, spikes: int) -> dict[str, Any]:
    """A comparison without a mismatch."""
    return {
        "samples": samples,
        "layers": layers,
        "spikes_compared": spikes,
        "entries_compared": entries,
        "mismatches": 0,
        "first_divergence": None,
    }


def example_rows(stage: str, kept: int, validation: list[float], training: list[float]) -> list[EpochRow]:
    """Epochs of a training validated on 200 recordings, with loss 2 / epoch, half of it from "tet"."""
    best = [0.1, *validation][kept]
    return [
        EpochRow(
            stage=stage,
            epoch=epoch,
            losses={"loss": 2 / epoch, "event.tet": 1 / epoch},
            training_accuracy=own,
            validation_accuracy=held_out,
            validation_count=200,
            validation_silent=3,
            kept_epoch=kept,
            kept_validation=best,
            lr=1e-3,
        )
        for epoch, (held_out, own) in enumerate(zip(validation, training, strict=True), start=1)
    ]


def answered(right: np.ndarray) -> Correctness:
    """Answers none of which is silent."""
    return Correctness(correct=np.asarray(right, dtype=bool), silent=np.zeros(len(right), dtype=bool))


def example_inputs(seed: int = 1) -> ReportInputs:
    """A complete run."""
    rng = np.random.default_rng(seed)
    layers = example_layers(rng)
    float_ckd, float_none = (rng.random(TEST) < rate for rate in (0.965, 0.93))
    labels = np.arange(TEST) % 10
    quantized_ckd, quantized_none = (predicted ^ (rng.random(TEST) < 0.01) for predicted in (float_ckd, float_none))
    lava = draw(20, TEST, labels).as_dict()
    return ReportInputs(
        name="digits-example",
        method="ckd",
        dataset_name="digits",
        dataset_description="Digits of scikit-learn, each seen by a simulated event camera in three saccades.",
        dataset_fingerprint="5f3c9a" + 58 * "e",
        simulated=True,
        classes=tuple("0123456789"),
        split_sizes={"train": 1497, "validation": 100, "test": TEST, "images": 1497},
        steps=STEPS,
        dt_s=0.03,
        window={
            "window_us": 300_000,
            "duration_us": {"least": 20_100, "median": 303_500.0, "most": 2_000_000},
            "inside": 0.48123,
            "empty_frames": 0.003,
            "box": {"x": [0, 33], "y": [1, 32]},
            "on": 0.51,
            "warnings": ["the window of 300 ms (data.steps x data.step_us) holds 48.12% of the events; look"],
        },
        answers={
            "teacher": answered(rng.random(TEST) < 0.985),
            "student_float": answered(float_ckd),
            "student_quantized": answered(quantized_ckd),
            "reference": answered(quantized_ckd),
            "lava": answered(quantized_ckd[lava["rows"]]),
        },
        drawn={"lava": lava},
        methods={
            "baseline": {"student_float": answered(float_none), "student_quantized": answered(quantized_none)},
            "ckd": {"student_float": answered(float_ckd), "student_quantized": answered(quantized_ckd)},
        },
        equivalence={
            "quantized_vs_reference": example_check(TEST, [row["name"] for row in layers], 2_310_000, 98_213),
            "reference_vs_lava": example_check(20, ["output"], 20 * STEPS * 10, 213) | {"drawn": lava},
        },
        layers=layers,
        quantization=[
            {"name": row["name"], "weight_error": 0.0, "v_decay_error": 0.0, "i_decay_error": 0.0, "saturated": 0}
            for row in layers
        ],
        energy=example_energy(),
        baseline=example_baseline(),
        samples=[example_sample(rng, "test/0/00017", 0, 0), example_sample(rng, "test/6/00131", 6, 0)],
        training=trainings(
            {
                "teacher": example_rows("teacher", 2, [0.5, 0.9, 0.85], [0.6, 0.99, 1.0]),
                "student-ckd": example_rows("student-ckd", 3, [0.4, 0.8, 0.95], [0.3, 0.7, 0.9]),
                "quantized-ckd": example_rows("quantized-ckd", 0, [0.09], [0.1]),
            },
            np.array([1, 1, 0, 2]),
            tuple("0123456789"),
        ),
        mistakes=[
            WrongSample(key="test/6/00131", label=6, predicted=0, margin=4, frames=example_sample(rng, "", 6, 0).frames)
        ],
        confusion=confusion(labels, np.where(quantized_ckd, labels, (labels + 3) % 10), 10),
        not_included=["The time and energy of the event camera"],
        provenance={
            "command": "spikeport run recipes/digits.toml --out runs/digits",
            "created_utc": "2026-11-21T01:30:00Z",
            "versions": {
                "spikeport": "0.1.0",
                "torch": "2.13.0",
                "snntorch": "1.0.0",
                "nir": "1.0.8",
                "lava-nc": "0.10.0",
            },
            "seeds": {"training": 1, "split": 0},
            "profiles": {"loihi1": "0b1d" + 60 * "a", "loihi2": "77aa" + 60 * "b"},
            "cores": 2,
        },
    )


def example_without(reason: str = "Lava is not installed") -> ReportInputs:
    """The same run with every optional part missing."""
    whole = example_inputs()
    return replace(
        whole,
        answers=dict(whole.answers) | {"lava": reason, "teacher": "distillation was off, so no teacher was trained"},
        methods="only one student was trained",
        equivalence=dict(whole.equivalence) | {"reference_vs_lava": reason},
        energy="no spikes were counted",
        baseline="onnxruntime could not be measured",
        quantization=(),
        samples=(),
        training={"reason": "nothing was trained"},
        mistakes="no class was chosen",
        confusion="no class was chosen",
        not_included=(),
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    render_all(build_report(example_inputs()), target / "whole")
    render_all(build_report(example_without()), target / "parts")

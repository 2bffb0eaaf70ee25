"""The sentences on energy of a summary, against numbers of a small report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_example import example_inputs

from spikeport.pipeline.report.content.content import build_report
from spikeport.pipeline.report.content.energy_headline import against_equal_precision, firing
from spikeport.pipeline.report.content.energy_notes import constant_words, moved_most, operation_notes


def interval(low: float, nominal: float, high: float) -> dict[str, float]:
    return {"low": low, "nominal": nominal, "high": high}


def loihi(**changes: Any) -> dict[str, Any]:
    return dict(example_inputs().energy[0]) | {
        "dynamic_uj": interval(4.8, 6.49, 9.53),
        "board_uj": interval(4.8, 12.4, 287.0),
        "total_uj": interval(13.0, 15.8, 39.4),
        "live_uj": interval(8900.0, 8910.0, 31300.0),
        "name": "Loihi 1",
        "small_networks": {"neurons": 2874, "low": 7.75, "high": 62.3},
    } | changes  # fmt: skip


def convention(here: float) -> dict[str, Any]:
    return dict(example_inputs().energy[0]) | {
        "hardware": "cmos45-fp32",
        "kind": "convention",
        "break_even": {"events_per_synapse": 5.11, "here": here, "firing": 0.132, "ann_bits": 4},
    }


def gpu(batch: int | str, basis: str, energy: float, model: str = "ANN of the same shape") -> dict[str, Any]:
    ends = interval(energy / 2, energy, 2 * energy)
    return {
        "model": model,
        "device": "NVIDIA H200",
        "batch": batch,
        "latency_us": None,
        "latency_basis": None,
        "energy_uj": ends,
        "energy_basis": basis,
        "scope": "board",
    }


def summary(energy: list[dict[str, Any]], baseline: list[dict[str, Any]] | str = "none", **changes: Any) -> str:
    inputs: Any = replace(example_inputs(), energy=energy, baseline=baseline, **changes)
    return build_report(inputs)["summary"]


def test_cores_board_total_and_the_factor_of_small_networks() -> None:
    text = summary([loihi()])
    assert "modeled at 6.49 µJ (4.80 to 9.53) in the cores of Loihi 1" in text
    assert "Loihi 1, 12.4 µJ (4.80 to 287) as expected board reading and 15.8 µJ (13.0 to 39.4) in total with" in text
    assert "for networks as small as this one, measured chips drew 8 to 60 times more" in text
    assert "networks as small" not in summary([loihi(small_networks=None)])


def test_a_report_of_an_older_version_has_the_cores_and_the_total() -> None:
    old = {key: value for key, value in loihi().items() if key not in ("board_uj", "live_uj", "small_networks")}
    text = summary([old])
    assert "in the cores of Loihi 1 and 15.8 µJ (13.0 to 39.4) in total with static power." in text
    assert "board reading" not in text


def test_spikes_and_operations_are_sums_over_layers() -> None:
    layers = example_inputs().layers
    spikes, synops = (sum(layer[key] for layer in layers) for key in ("spikes_per_sample", "synops_per_sample"))
    text = summary([loihi()])
    assert f"A recording takes {spikes:,.0f} spikes and {synops:,.0f} synaptic operations, modeled" in text


def test_a_gpu_at_batch_1_and_never_a_floor() -> None:
    rows = [gpu("any", "floor", 0.07), gpu(32, "modeled", 50.0), gpu(1, "modeled", 5200.0, "teacher"),
            gpu(1, "modeled", 4100.0)]  # fmt: skip
    text = summary([loihi()], rows)
    assert "The ANN of the same shape on NVIDIA H200 at batch 1 is modeled at 4,100 µJ (2,050 to 8,200) above" in text
    assert "NVIDIA" not in summary([loihi()], rows[:1])
    total = rows[3] | {"total_uj": interval(1e4, 2e4, 4e4)}
    assert "at 20,000 µJ (10,000 to 40,000) in total" in summary([loihi()], [total])


def test_break_even_by_operations_and_at_equal_precision() -> None:
    text = summary([loihi(), convention(1.31)])
    assert "wins against a dense 32-bit ANN of its shape (1.31 events per synapse, break-even at 5.11)" in text
    assert "at 5.11) and wins against an equally precise one (it fires in 5.68 % of neuron-steps, Yan et al." in text
    assert "allow 5.7 to 6.4 %)" in text
    mixed = summary([loihi(), convention(5.2)])
    assert "loses against a dense 32-bit ANN of its shape (5.20 events" in mixed
    assert "but wins against an equally precise one" in mixed


@pytest.mark.parametrize(
    ("share", "result"), [(0.05, "wins"), (0.06, "neither wins nor loses"), (0.132, "loses")]
)  # fmt: skip
def test_the_limit_of_yan(share: float, result: str) -> None:
    assert against_equal_precision(share) == result


def test_firing_is_spikes_over_neuron_steps() -> None:
    inputs = example_inputs()
    report = build_report(inputs)
    updates = sum(layer["neurons"] for layer in inputs.layers) * inputs.steps
    assert firing(report) == pytest.approx(sum(layer["spikes_per_sample"] for layer in inputs.layers) / updates)
    values: Any = [{**layer, "operation": "MAC"} for layer in inputs.layers]
    assert firing(build_report(replace(inputs, layers=values))) is None


def test_recordings_of_a_profile_are_those_given() -> None:
    text = summary([loihi()], held_out=False)
    assert " simulated recordings given (95 % interval" in text
    assert "test recordings" not in text


def test_there_are_at_most_three_sentences() -> None:
    text = summary([loihi(), convention(1.31)], [gpu(1, "modeled", 4100.0)])
    assert text.replace("et al. ", "").count(". ") + 1 == 3


# --- notes


def test_a_constant_in_words_and_only_what_it_moves() -> None:
    """Static power moves no dynamic energy."""
    effect: Any = {
        "constant": "static.per_chip_mW",
        "low": 29.7,
        "high": 104.4,
        "dynamic_uj": {"low": 6.49, "high": 6.49},
        "total_uj": {"low": 15.8, "high": 39.4},
    }
    assert moved_most([effect]) == "static power of a chip alone: 15.8 to 39.4 µJ in total"
    assert moved_most([]) == ""
    assert constant_words("memory.weight_bytes") == "memory weight bytes"


def test_notes_on_how_the_chip_is_used() -> None:
    row: Any = loihi(
        latency_us=interval(300.0, 400.0, 900.0),
        interval_us=interval(250.0, 310.0, 700.0),
        steps_to_answer=13,
        steps_between=10,
        duty=interval(8e-4, 1.1e-3, 2e-3),
        unknown_overhead=["energy of the barrier between steps"],
        range90_uj={"dynamic": {"low": 5.1, "high": 8.7}, "draws": 10, "seed": 0}
        | dict.fromkeys(("board", "total", "live")),
        busiest_core={
            "synops": interval(50.0, 50.0, 100.0), "synops_layer": "conv1", "synops_in_all": 200.0,
            "updates": interval(30.0, 30.0, 30.0), "updates_layer": "conv2", "updates_in_all": 90.0,
        },
    )  # fmt: skip
    notes = operation_notes(row)
    assert notes["Latency"].startswith("400 µs (300 to 900) to one answer (13 steps); an answer every 310 µs (250 to 7")
    assert notes["Live"].endswith("the chip is busy for 0.1 % of that time")
    assert notes["No known number for"] == "energy of the barrier between steps"
    assert notes["Middle 90 %"].startswith("5.10 to 8.70 µJ in the cores, over 10 draws")
    assert notes["Busiest core"] == (
        "50.0 (to 100) of 200 synaptic operations, conv1; 30.0 of 90.0 neuron updates, conv2"
    )
    unknown: Any = loihi(live_uj=None, live_unknown="the duration of a time step is not known")
    assert operation_notes(unknown)["Live"] == "the duration of a time step is not known"

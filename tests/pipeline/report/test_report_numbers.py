"""The numbers and the summary of the report: intervals by hand, paired differences, and texts as they must be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from html_page import Page
from report_example import TEST, answered, example_check, example_inputs

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.layer_rows import LAYER_KEYS
from spikeport.pipeline.report.content.plain import plain, portable
from spikeport.pipeline.report.content.samples import unpack_frames
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report, choose_samples
from spikeport.pipeline.run.intervals import paired_difference, wilson


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return build_report(example_inputs())


# Statistics


def test_wilson_by_hand() -> None:
    """194 of 200: p = 0.97, z^2 = 3.841459; center 0.9796036/1.0192073, half 1.959964 * 0.01301956 / 1.0192073."""
    low, high = wilson(194, 200)
    assert low == pytest.approx(0.961143 - 0.025037, abs=2e-6)  # six digits were carried by hand
    assert high == pytest.approx(0.961143 + 0.025037, abs=2e-6)


def test_wilson_at_the_ends() -> None:
    """With p = 0 the upper end is z^2 / (n + z^2), by the formula; with p = 1 the mirror image."""
    assert wilson(0, 10) == (0.0, pytest.approx(3.841459 / 13.841459, abs=1e-7))
    assert wilson(10, 10) == (pytest.approx(10 / 13.841459, abs=1e-7), 1.0)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        wilson(correct, n)


def test_paired_difference_by_hand() -> None:
    """98 recordings, 9 only the first recognized, 4 only the second: p = 10/100, q = 5/100, d = 0.05.

    Half width 1.959964 * sqrt((0.15 - 0.0025) / 100) = 1.959964 * 0.03840573 = 0.07527385.
    """
    first, second = np.ones(98, dtype=bool), np.ones(98, dtype=bool)
    second[:9], first[90:94] = False, False
    result = paired_difference(first, second)
    assert (result["only_first"], result["only_second"], result["n"]) == (9, 4, 98)
    assert result["value"] == pytest.approx(5 / 98)
    assert result["low"] == pytest.approx(0.05 - 0.07527385, abs=1e-7)
    assert result["high"] == pytest.approx(0.05 + 0.07527385, abs=1e-7)


def test_paired_difference_is_antisymmetric() -> None:
    rng = np.random.default_rng(3)
    one, two = rng.random(57) < 0.8, rng.random(57) < 0.6
    there, back = paired_difference(one, two), paired_difference(two, one)
    assert there["value"] == -back["value"]
    assert there["low"] == pytest.approx(-back["high"], abs=1e-15)  # one rounding


def test_arms_on_other_recordings_do_not_pair() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        paired_difference(np.ones(5, dtype=bool), np.ones(6, dtype=bool))


# Content


def test_schema(report: dict[str, Any]) -> None:
    assert report["schema"] == "spikeport-report/2"
    assert list(report["accuracy"]) == ["teacher", "student_float", "student_quantized", "reference", "lava"]
    for entry in report["accuracy"].values():
        assert entry.keys() - {"change", "drawn"} == {"value", "n", "silent", "low", "high"}
        assert entry["low"] <= entry["value"] <= entry["high"]
    for check in ("quantized_vs_reference", "reference_vs_lava"):
        assert report["equivalence"]["comparisons"][check].keys() >= {
            "samples",
            "spikes_compared",
            "mismatches",
            "first_divergence",
        }
    for layer in report["layers"]:
        assert layer.keys() >= set(LAYER_KEYS)
    for row in report["energy"]:
        assert row.keys() >= {"hardware", "dynamic_uj", "total_uj", "latency_us", "unknown_terms", "basis", "scope"}
    assert report["comparison"].keys() == {"baseline", "ckd", "difference"}
    assert report["provenance"]["dataset_fingerprint"] == example_inputs().dataset_fingerprint


def test_accuracy_counts_what_was_correct() -> None:
    inputs = replace(example_inputs(), answers={"lava": answered(np.array([True, True, False, True]))})
    accuracy = build_report(inputs)["accuracy"]
    assert (accuracy["lava"]["value"], accuracy["lava"]["n"]) == (0.75, 4)
    assert accuracy["teacher"] == {"value": None, "reason": "this stage did not run"}


def test_each_stage_changes_from_the_last_known_one_on_the_same_recordings() -> None:
    """The quantized student was not there: the reference is held against the float one, 5 of 7 against 4; Lava's three
    against the reference on the rows that were drawn for it, 1, 4 and 6, of which it loses the last."""
    right = {"student_float": "1101010", "reference": "1111001", "lava": "100"}
    answers: dict[str, Any] = {stage: answered(np.array([bit == "1" for bit in bits])) for stage, bits in right.items()}
    answers["student_quantized"] = "not asked for"
    drawn = {"lava": {"rows": [1, 4, 6], "of": 7, "seed": 3, "classes": 2}}
    report = build_report(replace(example_inputs(), answers=answers, drawn=drawn))
    accuracy = report["accuracy"]
    assert "change" not in accuracy["student_float"]
    assert accuracy["student_quantized"] == {"value": None, "reason": "not asked for"}
    change = accuracy["reference"]["change"]
    assert (change["from"], change["n"], change["only_first"], change["only_second"]) == ("student_float", 7, 2, 1)
    assert change["value"] == 1 / 7
    change = accuracy["lava"]["change"]
    assert (change["from"], change["n"], change["only_first"], change["only_second"]) == ("reference", 3, 0, 1)
    for page in (render_html(report), render_markdown(report)):
        assert "−33.3" in page
        assert words.points_range(change) in page


def test_json_round_trip_without_nan(report: dict[str, Any]) -> None:
    """What is built is what JSON reads back, so pages can be drawn from the file alone."""
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_nan_becomes_unknown() -> None:
    values = {"a": float("nan"), "b": [np.float64("inf"), np.int64(3)], "c": np.array([[1.5, np.nan]]), 4: (True,)}
    assert plain(values) == {"a": None, "b": [None, 3], "c": [[1.5, None]], "4": [True]}


def test_quantization_joins_its_layer() -> None:
    layers = [{"name": "b", "weights": 7}, {"name": "a", "weights": 5}]
    errors = [{"name": "a", "weight_error": 0.25, "saturated": 3}]
    rows = build_report(replace(example_inputs(), layers=layers, quantization=errors))["layers"]
    assert [(row["name"], row["weights"], row["weight_error"], row["saturated"]) for row in rows] == [
        ("b", 7, None, None),
        ("a", 5, 0.25, 3),
    ]


def test_paths_are_cut_to_names() -> None:
    inputs = replace(
        example_inputs(),
        provenance={"command": "spikeport run /home/ann/my.toml --out ~/runs/x", "note": r"C:\Users\ann\my.toml"},
    )
    provenance = build_report(inputs)["provenance"]
    assert provenance["command"] == "spikeport run my.toml --out x"
    assert provenance["note"] == "my.toml"


@pytest.mark.parametrize("text", ["https://arxiv.org/abs/2409.08290", "pJ/op/step", "train/7/00012", "3 / 4"])
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert portable(text) == text


def test_sample_frames_survive_packing(report: dict[str, Any]) -> None:
    frames = example_inputs().samples[1].frames
    np.testing.assert_array_equal(unpack_frames(report["samples"][1]["frames"]), frames != 0)
    assert report["samples"][1]["events_per_step"] == frames.sum(axis=(1, 2, 3)).tolist()


def test_choose_samples_shows_a_mistake_too() -> None:
    assert choose_samples(np.array([1, 2, 3, 4]), np.array([0, 2, 3, 9])) == [1, 0]
    assert choose_samples(np.array([1, 2]), np.array([1, 2])) == [0]


# The summary


def test_summary_names_the_numbers(report: dict[str, Any]) -> None:
    accuracy = report["accuracy"]["student_quantized"]
    sentence = report["summary"]
    assert words.percent(accuracy["value"]) in sentence
    assert words.percent_range(accuracy) in sentence
    assert "simulated test recordings" in sentence
    assert "the same as Lava 0.10.0 fixed_pt in all 20" in sentence
    assert "modeled at 3.40 µJ (3.00 to 4.90)" in sentence


@pytest.mark.parametrize(("gain", "points"), [(40, "+10.0"), (0, "0.0"), (-40, "−10.0")])
def test_summary_says_what_distillation_changes(gain: int, points: str) -> None:
    """Of 400 recordings, the student has 300 right and the baseline 40 fewer, as many, or 40 more."""
    inputs = example_inputs()
    right, other = np.arange(TEST) < 0.75 * TEST, np.arange(TEST) < 0.75 * TEST - gain * TEST / 400
    methods = {name: {**stages} for name, stages in inputs.methods.items()}
    methods["ckd"]["student_quantized"], methods["baseline"]["student_quantized"] = answered(right), answered(other)
    sentence = build_report(replace(inputs, methods=methods))["summary"]
    assert f"ckd brings {points} points (95 % interval " in sentence
    assert ("cannot tell from none" in sentence) is (gain == 0)


def test_summary_is_silent_about_one_method_alone() -> None:
    alone = replace(example_inputs(), methods="one method")
    assert " brings " not in build_report(alone)["summary"]


def test_summary_says_that_spikes_differ() -> None:
    where = {"sample": 4, "layer": "conv2", "neuron": [1, 0, 3], "step": 7, "first": 1, "second": 0}
    broken = example_check(20, ["conv2", "output"], 2000, 410) | {"mismatches": 3, "first_divergence": where}
    inputs = example_inputs()
    report = build_report(replace(inputs, equivalence=dict(inputs.equivalence) | {"reference_vs_lava": broken}))
    place = "sample 4, layer conv2, neuron (1, 0, 3), step 7: 1 against 0"
    assert f"do NOT fire the same spikes: 3 of 2,000 entries differ, first at {place}" in report["summary"]
    assert place in Page(render_html(report)).text
    assert place in render_markdown(report)
    assert "the same as Lava" not in report["summary"]
    assert 'class="summary failed"' in render_html(report)


def test_summary_claims_nothing_from_silence() -> None:
    """Two executions that never fire agree in every place; that is no evidence."""
    silent = example_check(20, ["output"], 2000, 0)
    checks: dict[str, Any] = {"quantized_vs_reference": silent, "reference_vs_lava": silent}
    assert "no spike was fired" in build_report(replace(example_inputs(), equivalence=checks))["summary"]
    assert "spikes were not compared" in build_report(replace(example_inputs(), equivalence={}))["summary"]


def test_summary_names_what_energy_lacks() -> None:
    """Routing; the latency is no part of dynamic energy."""
    row = dict(example_inputs().energy[0]) | {"unknown_terms": ["routing", "latency"]}
    summary = build_report(replace(example_inputs(), energy=[row]))["summary"]
    assert " in the cores of Intel Loihi 1 (without routing) and 140 µJ" in summary

"""Runs side by side: differences and ratios worked out by hand, and runs that cannot be paired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_runs import LABELS, compared, example_runs, finished_run
from html_page import Page
from report_example import example_check, example_energy, example_layers

from spikeport.pipeline.report.comparison import views as compare_views
from spikeport.pipeline.report.comparison.html import render_html
from spikeport.pipeline.report.comparison.markdown import render_markdown
from spikeport.pipeline.report.comparison.ratios import energy_ratios
from spikeport.pipeline.report.content.finished_run import labels_of

Z = 1.959963984540054


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compared(*example_runs(tmp_path_factory.mktemp("four")))


# Differences of accuracy


def test_a_paired_difference_by_hand(tmp_path: Path) -> None:
    """Quantized, 10010 and 11110: two recordings only the second recognized, none only the first, of five.

    Bonett and Price: p = 3/7, q = 1/7, d = p - q = 2/7, half width z sqrt((p + q - d^2) / 7).
    """
    one = finished_run(tmp_path / "one", ("11010", "10010"))
    two = finished_run(tmp_path / "two", ("00011", "11110"))
    (against,) = compared(one, two)["against_first"]
    half = Z * np.sqrt((4 / 7 - 4 / 49) / 7)
    for stage in ("student_quantized", "reference"):
        found = against["accuracy"][stage]
        assert found["value"] == pytest.approx(2 / 5)
        assert (found["n"], found["only_run"], found["only_first"]) == (5, 2, 0)
        assert (found["low"], found["high"]) == (pytest.approx(2 / 7 - half), pytest.approx(2 / 7 + half))
    found = against["accuracy"]["student_float"]  # 11010 and 00011: one only the second, two only the first
    assert (found["value"], found["only_run"], found["only_first"]) == (pytest.approx(-1 / 5), 1, 2)


OTHER_LABELS = (1, 2, 1, 1, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": OTHER_LABELS}, "they were tested on different recordings"),
        ({"labels": (*LABELS, 1), "right": ("110101", "100101")}, "they were tested on different recordings"),
        ({"fingerprint": "data 2", "test_set_digest": "recordings 2"}, "they were tested on different recordings"),
        (
            {"fingerprint": "data 2", "test_set_digest": None},
            "two (made by an older Spikeport) cannot say which recordings",
        ),
        ({"dataset_name": "nmnist"}, "they were tested on different data, nmnist and digits"),
        ({"fingerprint": "data 2"}, ""),  # binned otherwise, or with more to train on: the same test recordings
        ({"test_set_digest": None}, ""),  # the same data to the last pixel
    ],
)
def test_only_the_same_recordings_pair(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    comparison = compared(finished_run(tmp_path / "one"), finished_run(tmp_path / "two", **changes))
    (against,) = comparison["against_first"]
    assert against["same_recordings"] == (not reason)
    if not reason:
        assert all(entry["n"] == len(LABELS) for entry in against["accuracy"].values())
        return
    assert reason in against["reason"]
    for entry in against["accuracy"].values():
        assert entry == {"value": None, "reason": against["reason"]}
    assert "they are not paired, for" in comparison["summary"]
    for run in comparison["runs"]:  # each stands alone
        assert run["accuracy"]["student_quantized"]["low"] < run["accuracy"]["student_quantized"]["value"]
    for text in (Page(render_html(comparison)).text, render_markdown(comparison)):
        assert f"not paired: {against['reason']}" in text


def test_three_runs_are_compared_with_the_first(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, ("11111", right)) for name, right in
            (("a", "10000"), ("b", "11100"), ("c", "00000"))]  # fmt: skip
    comparison = compared(*runs)
    values = [entry["accuracy"]["student_quantized"]["value"] for entry in comparison["against_first"]]
    assert values == [pytest.approx(2 / 5), pytest.approx(-1 / 5)]
    assert [entry["run"] for entry in comparison["against_first"]] == [2, 3]
    assert comparison["summary"].startswith("Against “a” (20.0 % after quantization): “b” +40.0 points (")
    for text in (Page(render_html(comparison)).text, render_markdown(comparison)):
        assert "Not corrected for the number of runs" in text


def test_many_runs_are_counted_in_the_summary(tmp_path: Path) -> None:
    """Of forty recordings: all against none is better, equal runs are not distinguishable, others do not pair."""
    none, every, labels = "0" * 40, "1" * 40, tuple(range(40))
    first = finished_run(tmp_path / "first", (none, none), labels=labels)
    better = [finished_run(tmp_path / f"better{n}", (every, every), labels=labels) for n in range(3)]
    same = finished_run(tmp_path / "same", (none, none), labels=labels)
    other = finished_run(tmp_path / "other", (every, every), labels=labels[::-1])
    summary = compared(first, *better, same, other)["summary"]
    assert summary == (
        "Against “first” (0.0 % after quantization), of 5 runs 3 better, 1 not distinguishable, 1 not paired."
    )


# Energy


def test_a_ratio_by_hand(tmp_path: Path) -> None:
    """1, 2, 5 over the example's 3.0, 3.4, 4.9 µJ: from 1 / 4.9 to 5 / 3; totals 70, 90, 110 over 121, 140, 160."""
    energy = example_energy()
    energy[0] |= {
        "dynamic_uj": {"low": 1.0, "nominal": 2.0, "high": 5.0},
        "total_uj": {"low": 70.0, "nominal": 90.0, "high": 110.0},
    }
    comparison = compared(finished_run(tmp_path / "one"), finished_run(tmp_path / "two", energy=energy))
    found = comparison["against_first"][0]["energy"][0]
    assert found["hardware"] == "loihi1"
    assert found["dynamic"] == pytest.approx({"low": 1 / 4.9, "nominal": 2 / 3.4, "high": 5 / 3.0})
    assert found["total"] == pytest.approx({"low": 70 / 160, "nominal": 90 / 140, "high": 110 / 121})
    assert "modeled at 0.588 (0.204 to 1.67) times that of “one”" in comparison["summary"]


def test_an_unknown_energy_has_no_ratio(four: dict[str, Any]) -> None:
    loihi2 = next(entry for entry in four["against_first"][0]["energy"] if entry["hardware"] == "loihi2")
    for kind in ("dynamic", "total"):
        assert loihi2[kind] == {"nominal": None, "reason": "unknown for ckd and baseline"}
    page, markdown = Page(render_html(four)).text, render_markdown(four)
    assert "unknown in every run: no published energy for synaptic operations" in page
    assert "| Intel Loihi 2 | all | unknown: no published energy for synaptic operations" in markdown
    convention = next(entry for entry in four["against_first"][0]["energy"] if entry["hardware"] == "cmos45-fp32")
    assert convention["dynamic"]["nominal"] == pytest.approx(1.15)
    assert convention["total"]["nominal"] is None


def test_runs_without_an_account_or_a_device_say_so(tmp_path: Path) -> None:
    one = finished_run(tmp_path / "one", energy="no spikes were counted")
    two = finished_run(tmp_path / "two", energy=example_energy()[:1])
    comparison = compared(one, two)
    (loihi1,) = comparison["against_first"][0]["energy"]
    assert loihi1["dynamic"] == {"nominal": None, "reason": "one has no estimate for this device"}
    (device,) = compare_views.devices(comparison)
    assert [row["why_not"] for row in device["rows"]] == ["no spikes were counted", ""]
    assert "no spikes were counted" in Page(render_html(comparison)).text
    neither = compared(one, finished_run(tmp_path / "three", energy="nothing"))
    assert "no run has an energy estimate" in Page(render_html(neither)).text
    assert "No run has an energy estimate." in render_markdown(neither)


def test_a_device_known_as_a_whole_has_a_ratio_of_totals(tmp_path: Path) -> None:
    """An all-in energy does not separate dynamic energy: 160 over 140 µJ, and nothing is said of a missing ratio."""
    whole = example_energy()[:1]
    whole[0] |= {"dynamic_uj": None, "total_uj": 140.0}
    more = [whole[0] | {"total_uj": 160.0}]
    comparison = compared(finished_run(tmp_path / "one", energy=whole), finished_run(tmp_path / "two", energy=more))
    (found,) = comparison["against_first"][0]["energy"]
    assert found["total"]["nominal"] == pytest.approx(160 / 140)
    assert found["dynamic"]["nominal"] is None
    text = Page(render_html(comparison)).text
    assert "not separate" in text
    assert ": no ratio," not in text
    assert "no ratio of their energies" not in comparison["summary"]
    other = [more[0] | {"scope": "whole board"}]
    text = Page(render_html(compared(tmp_path / "one", finished_run(tmp_path / "three", energy=other)))).text
    assert "three: no ratio, rows of different scope have no ratio: whole board, and incremental" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"basis": "measured"}, "rows of different basis have no ratio: measured, and modeled from"),
        ({"scope": "whole board"}, "rows of different scope have no ratio: whole board, and incremental"),
        ({"unknown_terms": ["routing"]}, "rows with different unknown terms"),
        ({"profile": {"sha256": "other"}}, "different versions of the profile"),
    ],
)
def test_unlike_rows_make_no_ratio(change: dict[str, Any], reason: str) -> None:
    first = example_energy()[0] | {"profile": {"sha256": "one"}}
    found = energy_ratios(first | change, first, ("two", "one"))
    for kind in ("dynamic", "total"):
        assert found[kind]["nominal"] is None
        assert reason in found[kind]["reason"]
    assert energy_ratios(first, first, ("two", "one"))["dynamic"]["nominal"] == 1.0


def test_nothing_is_divided_by_zero() -> None:
    first = example_energy()[0] | {"dynamic_uj": {"low": 0.0, "nominal": 1.0, "high": 2.0}}
    found = energy_ratios(example_energy()[0], first, ("two", "one"))
    assert found["dynamic"] == {"nominal": None, "reason": "an interval reaches zero"}
    assert found["total"]["nominal"] == 1.0


# What differs


def test_settings_that_differ_stand_side_by_side(tmp_path: Path) -> None:
    one = finished_run(tmp_path / "one", settings={"data": {"root": "/home/ann/events"}, "training": {"epochs": 3}})
    ckd = {"method": "ckd", "options": {"tau": 2.5}}
    two = finished_run(tmp_path / "two", settings={"distillation": ckd, "training": {"epochs": 3}})
    settings = compared(one, two)["settings"]
    assert settings["data.root"] == ["events", ""]  # a path is cut to its name
    assert settings["distillation.method"] == ["baseline", "ckd"]
    assert settings["distillation.options.tau"] == [None, 2.5]
    assert "training.epochs" not in settings
    assert "name" not in settings


def test_versions_that_differ_are_named(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, provenance={"versions": {"spikeport": "0.1.0", "torch": torch}})
            for name, torch in (("one", "2.13.0"), ("two", "2.14.0"))]  # fmt: skip
    comparison = compared(*runs)
    assert comparison["versions"] == {"torch": ["2.13.0", "2.14.0"]}
    assert "| torch (version) | 2.13.0 | 2.14.0 |" in render_markdown(comparison)


def test_activity_is_summed_over_layers(tmp_path: Path) -> None:
    layers = example_layers(np.random.default_rng(3))
    layers[1]["synops_per_sample"] = None
    (run, _) = compared(finished_run(tmp_path / "a", layers=layers), finished_run(tmp_path / "b"))["runs"]
    assert run["activity"]["neurons"] == 8 * 17 * 17 + 16 * 9 * 9 + 32 * 5 * 5 + 10
    assert run["activity"]["weights"] == 144 + 1152 + 4608 + 8000
    assert run["activity"]["synops_per_sample"] is None  # a part of it is unknown


def test_labels_are_as_short_as_they_may_be() -> None:
    assert labels_of([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert labels_of([Path("/x/a/run"), Path("/x/b/run"), Path("/x/b/c")]) == ["a/run", "b/run", "b/c"]
    assert labels_of([Path("/run"), Path("/a/run")]) == ["run", "a/run"]


def test_spikes_that_differ_are_said_first(tmp_path: Path) -> None:
    where = {"sample": 4, "layer": "conv2", "neuron": [1, 0, 3], "step": 7, "first": 1, "second": 0}
    broken = example_check(20, ["conv2"], 2000, 410) | {"mismatches": 3, "first_divergence": where}
    checks = {"quantized_vs_reference": broken, "reference_vs_lava": "Lava is not here"}
    comparison = compared(finished_run(tmp_path / "one"), finished_run(tmp_path / "two", equivalence=checks))
    message = "In “two” quantized student and integer reference do NOT fire the same spikes"
    assert comparison["summary"].startswith(message)
    html = render_html(comparison)
    assert 'class="summary failed"' in html
    assert "first at sample 4, layer conv2" in Page(html).text
    assert "not compared: Lava is not here" in Page(html).text


def test_runs_that_were_compared_with_other_backends(tmp_path: Path) -> None:
    check = example_check(20, ["output"], 2000, 410)
    own = {"quantized_vs_reference": check, "reference_vs_mine:make": check}
    comparison = compared(finished_run(tmp_path / "one"), finished_run(tmp_path / "two", equivalence=own))
    keys = ["quantized_vs_reference", "reference_vs_lava", "reference_vs_mine:make"]
    for run, missing in zip(comparison["runs"], ("reference_vs_mine:make", "reference_vs_lava"), strict=True):
        pairs = run["equivalence"]["comparisons"]
        assert sorted(pairs) == keys
        assert [key for key in keys if pairs[key]["mismatches"] is None] == [missing]
        assert pairs[missing]["reason"] == "this run did not compare it"
    for text in (Page(render_html(comparison)).text, render_markdown(comparison)):
        assert "nteger reference and mine:make" in text
        assert text.count("not compared: this run did not compare it") == 2

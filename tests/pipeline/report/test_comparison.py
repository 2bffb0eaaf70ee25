"""Runs side by side: differences and ratios by hand, what does not pair, pages inert, whole and repeatable."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_runs import LABELS, example_runs, finished_run, scaled
from html_page import Page
from report_example import answered, example_check, example_energy, example_layers

from spikeport.errors import UserError
from spikeport.pipeline.report.charts import pareto, plane
from spikeport.pipeline.report.comparison import views as compare_views
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.comparison.html import render_html
from spikeport.pipeline.report.comparison.markdown import render_markdown
from spikeport.pipeline.report.comparison.ratios import energy_ratios
from spikeport.pipeline.report.content.finished_run import labels_of, read_runs
from spikeport.pipeline.report.write import render_comparison
from spikeport.pipeline.run.run_folder import open_run

Z = 1.959963984540054


def compared(*folders: Path) -> dict[str, Any]:
    return build_comparison(read_runs(folders))


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
    """An all-in price tells no dynamic energy apart: 160 over 140 µJ, and nothing is said of a missing ratio."""
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
    said = "In “two” quantized student and integer reference do NOT fire the same spikes"
    assert comparison["summary"].startswith(said)
    html = render_html(comparison)
    assert 'class="summary failed"' in html
    assert "first at sample 4, layer conv2" in Page(html).text
    assert "not compared: Lava is not here" in Page(html).text


# The drawing


def test_a_run_stands_where_its_numbers_say() -> None:
    """Energy 10^0.5 on an axis from 1 to 10 is the middle; accuracy 0.9 on an axis from 0.8 to 1 is half-way up."""
    point = pareto.Point(
        number=1,
        label="a<b",
        energy={"low": 1.0, "nominal": 10**0.5, "high": 10.0},
        accuracy={"low": 0.85, "nominal": 0.9, "high": 0.95},
        basis_kind="modeled",
    )
    plot = pareto.plot([point], "t")
    middle = plane.HEIGHT / 2
    assert f'x1="0.0%" x2="100.0%" y1="{middle}" y2="{middle}"' in plot.drawing  # the energy's interval
    low, high = 0.75 * plane.HEIGHT, 0.25 * plane.HEIGHT
    assert f'x1="50.0%" x2="50.0%" y1="{low}" y2="{high}"' in plot.drawing  # the accuracy's
    assert "<desc>1, a&lt;b: 3.16 µJ, 90.0 %</desc>" in plot.drawing
    assert ">2</text>" in plot.columns
    assert ">90 %</text>" in plot.rows


def test_each_run_with_both_numbers_has_a_mark(tmp_path: Path, four: dict[str, Any]) -> None:
    drawings = re.findall(r'<svg class="plot".*?</svg>(?=<span>)', render_html(four), re.S)
    assert [len(re.findall('class="mark modeled"', drawing)) for drawing in drawings] == [4, 4]  # not on Loihi 2
    unknown = finished_run(tmp_path / "a", answers={"student_float": answered(np.ones(5, dtype=bool))})
    html = render_html(compared(unknown, finished_run(tmp_path / "b")))
    drawing = re.findall(r'<svg class="plot".*?</svg>(?=<span>)', html, re.S)[0]
    assert len(re.findall('class="mark modeled"', drawing)) == 1


# Pages


def test_the_page_is_whole_alone_and_readable(four: dict[str, Any]) -> None:
    html = render_html(four)
    page = Page(html)
    names = [tag for tag, _ in page.tags]
    assert not page.open
    assert "http:" not in html
    assert "https:" not in html
    assert not re.search(r"@import|url\(", html)
    assert not {"script", "link", "iframe", "object", "img"} & set(names)
    assert names.count("h1") == 1
    assert names.count("caption") == names.count("table")
    assert names.count("title") == 1 + sum(tag == "svg" and a.get("role") == "img" for tag, a in page.tags)
    assert names.count("desc") == names.count("figcaption") == 2


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>|\"'&"
    folder = bad.replace("/", "")
    one = finished_run(
        tmp_path / folder,
        name=bad,
        dataset_name=bad,
        settings={"data": {"events": bad}},
        provenance={"command": bad},
    )
    comparison = compared(one, finished_run(tmp_path / "b", dataset_name=bad, test_set_digest=None, fingerprint=bad))
    html, markdown = render_html(comparison), render_markdown(comparison)
    assert "<script" not in html
    assert "<script" not in markdown
    assert bad in Page(html).text
    assert folder in Page(html).text
    for line in markdown.splitlines():
        if line.startswith(("| 1 |", "| data.events")):
            assert len(re.findall(r"(?<!\\)\|", line)) in (12, 4)  # 11 columns, and 3


def test_the_same_runs_give_the_same_bytes_and_json_reads_back(four: dict[str, Any], tmp_path: Path) -> None:
    again = json.loads(json.dumps(four, allow_nan=False))
    assert again == four
    assert four["schema"] == "spikeport-compare/1"
    assert render_html(again) == render_html(four)
    assert render_markdown(again) == render_markdown(four)
    assert compared(*example_runs(tmp_path / "again")) == four
    render_comparison(four, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "compare.html", "compare.json", "compare.md"
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8")) == four


# The command


def test_the_command_prints_writes_and_may_be_repeated(spikeport: Any, tmp_path: Path) -> None:
    finished_run(tmp_path / "one")
    finished_run(tmp_path / "two", ("11111", "11111"), energy=scaled(2.0))
    code, out, err = spikeport("compare", "one", "two/")
    assert (code, err) == (0, "")
    assert "two  baseline  100.0 % (56.6 to 100.0 %)" in out
    assert "2.00 (1.22 to 3.27)" in out  # 6.0 / 4.9 to 9.8 / 3.0
    assert "loihi2 is unknown in every run" in out
    assert out.splitlines()[-1] == "compare/compare.html"
    code, out, _ = spikeport("compare", "one", "two", "--json", "-q")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "compare" / "compare.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one"], "one: one run alone is nothing to compare. Hint: name two"),
        (["one", "one/"], "this run is named twice"),
        (["one", "nowhere"], "nowhere: is not a run folder. Hint: name a folder that spikeport run made"),
        (["one", "killed"], "killed: this run is not finished up to its report. Hint: finish it"),
        (["one", "two", "--out", "two"], "two: this folder holds files that are not a comparison"),
        (["one", "two", "--out", "file"], "file: this is not a folder"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(spikeport: Any, tmp_path: Path, words: list[str], said: str) -> None:
    for name in ("one", "two", "killed"):
        finished_run(tmp_path / name)
    (tmp_path / "killed" / "report.json").unlink()
    (tmp_path / "file").write_text("x")
    before = sorted(str(file) for file in tmp_path.rglob("*"))
    code, out, err = spikeport("compare", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert len(err.splitlines()) == 1
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_report_of_another_form_is_refused(tmp_path: Path) -> None:
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    report = json.loads((two / "report.json").read_text(encoding="utf-8"))
    (two / "report.json").write_text(json.dumps(report | {"schema": "spikeport-report/0"}), encoding="utf-8")
    open_run(two).record("report", {}, ("report.json",), 0.0)
    with pytest.raises(UserError, match=r"two: its report is of the form spikeport-report/0.*spikeport report"):
        read_runs([one, two])

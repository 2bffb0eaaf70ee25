"""The pages of the report: inert, complete, repeatable, and the same after JSON; its charts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page
from report_example import example_inputs, example_sample, example_without

from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_rows import energy_rows
from spikeport.pipeline.report.content.page_text import NO_BREAK
from spikeport.pipeline.report.pages import page as page_file
from spikeport.pipeline.report.pages.html import FILES, render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.pages.sections import SECTIONS
from spikeport.pipeline.report.write import build_report, render_all


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return build_report(example_inputs())


@pytest.fixture(scope="module")
def partial() -> dict[str, Any]:
    return build_report(example_without())


# Pages


def test_pages_say_the_same_after_json(report: dict[str, Any]) -> None:
    """Pages are pure functions of the dict: the same bytes twice, and from the file."""
    again = json.loads(json.dumps(report))
    assert render_html(report) == render_html(again)
    assert render_markdown(report) == render_markdown(again)
    assert build_report(example_inputs()) == report


def test_html_is_whole_and_alone(report: dict[str, Any]) -> None:
    """Every element closed, nothing fetched: sources are data URIs. Links are anchors, files beside it, or sources."""
    html = render_html(report)
    page = Page(html)
    assert not page.open
    assert len(html) < 1_000_000
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "data", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:")
        if tag == "a":
            target = attributes["href"]
            assert target is not None
            assert target in FILES or target.startswith("https://") or target.removeprefix("#") in anchors
    assert not re.search(r"@import|url\(", html)


def test_only_the_script_of_this_project_may_run(report: dict[str, Any]) -> None:
    """The policy names the SHA-256 of the one script, as a browser computes it from the text between the tags."""
    html = render_html(report)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == html.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    for word in ("fetch", "XMLHttpRequest", "import(", "eval", "innerHTML", "document.write", "http"):
        assert word not in scripts[0]


def test_each_shown_section_is_in_the_contents(report: dict[str, Any], partial: dict[str, Any]) -> None:
    """A run's page has all sections; that of a profile has what it has numbers for, and energy first in both."""
    for content, left_out in ((report, {"choice", "leaderboard"}), (partial | {"method": ""}, None)):
        page = Page(render_html(content))
        headings = [a["id"] for tag, a in page.tags if tag == "h2"]
        linked = [a["href"][1:] for tag, a in page.tags if tag == "a" and (a["href"] or "").startswith("#")]
        assert linked == headings
        assert headings[0] == "energy"
        every = {section.anchor for section in SECTIONS}
        if left_out is not None:
            assert every - set(headings) == left_out
        else:
            assert {"energy", "baseline", "provenance"} <= set(headings) < every
            assert not {"training", "comparison", "confusion"} & set(headings)


def test_html_can_be_read_without_eyes(report: dict[str, Any]) -> None:
    page = Page(render_html(report))
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == 1
    assert names.count("caption") == names.count("table")
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg" and attributes.get("role") == "img":
            assert "aria-hidden" not in attributes
    assert names.count("title") == 1 + sum(tag == "svg" and a.get("role") == "img" for tag, a in page.tags)


def test_a_hostile_name_stays_text() -> None:
    bad = "<script>alert(1)</script>|\"'&"
    inputs = replace(example_inputs(), name=bad, dataset_description=bad, classes=(bad, *"123456789"))
    inputs = replace(inputs, provenance={"command": bad, bad: bad}, not_included=(bad,))
    report = build_report(inputs)
    html, markdown = render_html(report), render_markdown(report)
    assert html.count("<script") == 1  # that of the page
    assert bad in Page(html).text
    assert "<script" not in markdown.replace(f"```\n{bad}\n```", "")  # a fenced block is shown as it is
    for line in markdown.splitlines():
        if line.startswith("| ") and "alert" in line:
            columns = 4 if "| 20 |" in line or "test/6" in line else 2  # a row of mistakes, or of provenance
            assert len(re.findall(r"(?<!\\)\|", line)) == columns + 1


def test_simulated_data_is_called_simulated(report: dict[str, Any]) -> None:
    assert "simulated events" in Page(render_html(report)).text
    assert "**The events are simulated.**" in render_markdown(report)


def test_real_data_is_not_called_simulated() -> None:
    real = build_report(replace(example_inputs(), simulated=False, dataset_description="Real recordings."))
    assert "simulated" not in Page(render_html(real)).text
    assert "simulated" not in render_markdown(real)


def test_bases_are_distinguished(report: dict[str, Any]) -> None:
    """Constants that were measured still make a model; only `measured` itself is measured."""
    assert {row["name"]: row["basis_kind"] for row in energy_rows(report)} == {
        "Intel Loihi 1": "modeled",
        "Intel Loihi 2": "unknown",
        "45 nm convention, 32-bit float": "convention",
        "NVIDIA A100 SXM4, FP32, batch 1": "modeled",
    }
    assert words.basis_kind("modeled from measured constants", 1.0) == "modeled"
    assert words.basis_kind("measured", 1.0) == "measured"
    assert words.basis_kind("measured", None) == "unknown"
    html = render_html(report)
    for basis in ("modeled", "unknown"):
        assert f'<span class="tag {basis}">{basis}</span>' in html
    assert '<span class="tag measured">' not in html
    assert "≥" not in Page(html).text
    assert "unknown: no published energy for synaptic operations, active neuron updates" in Page(html).text


def test_a_modeled_gpu_has_its_full_power_as_a_tick_and_its_live_energy(report: dict[str, Any]) -> None:
    html, markdown = render_html(report).replace(NO_BREAK, " "), render_markdown(report)
    row = next(row for row in energy_rows(report) if row["name"].startswith("NVIDIA"))
    assert (row["total"]["nominal"], row["latency"]["nominal"], row["floor"]) == (41_600.0, 208.0, 98.4)
    assert html.count("<title>NVIDIA A100 SXM4, FP32, batch 1: modeled, 24,960 µJ") == 1
    drawn = html.partition("<title>NVIDIA A100 SXM4, FP32, batch 1")[2].partition("</svg></svg>")[0]
    assert (drawn.count('class="mark floor"'), drawn.count('class="total"')) == (1, 1)
    for text in (Page(html).text, markdown):
        assert "24,960 µJ (312 to 396,000)" in text
        assert "41,600 µJ (3,120 to 475,200)" in text
        assert "24,000,000 µJ (12,000,000 to 32,000,000)" in text
        assert "full throughput at full power" in text.lower()
        assert "98.4 µJ" in text


def test_the_energy_table_has_the_ends_of_a_modeled_gpu(report: dict[str, Any]) -> None:
    """Of the rows by precision and batch, the first and the one with the least total energy; of each network."""
    first, device = report["baseline"][-1], "NVIDIA A100 SXM4"
    totals = {("FP32", 1): 40.0, ("FP32", 64): 4.0, ("INT8", 1): 39.0, ("INT8", 64): 2.0}
    rows = [
        first | {"device": f"{device}, {precision}", "batch": batch, "total_uj": {"nominal": total}}
        for (precision, batch), total in totals.items()
    ]
    found = energy_rows(report | {"energy": [], "baseline": [*rows, first | {"model": "another"}]})
    assert [row["name"] for row in found] == [
        f"{device}, FP32, batch 1",
        f"{device}, INT8, batch 64",
        f"another: {device}, FP32, batch 1",
    ]


def test_unknown_energy_is_never_zero(report: dict[str, Any]) -> None:
    energy = render_markdown(report).partition("## Measured elsewhere")[0]
    rows = [line for line in energy.splitlines() if line.startswith("| Intel Loihi 2")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[1:8] == [*["unknown"] * 6, "**unknown**"]


def test_a_device_known_as_a_whole_only() -> None:
    row = dict(example_inputs().energy[0]) | {"name": "Whole", "dynamic_uj": None, "total_uj": {"nominal": 0.535}}
    report = build_report(replace(example_inputs(), energy=[row]))
    assert energy_rows(report)[0]["headline"] == {"low": 0.535, "nominal": 0.535, "high": 0.535}
    assert "not separate" in Page(render_html(report)).text
    assert "| Whole | not separate | unknown | 0.535 µJ |" in render_markdown(report)


def test_equal_to_lava_not_to_silicon(report: dict[str, Any]) -> None:
    for page in (render_html(report), render_markdown(report)):
        assert "Equal means equal to Lava 0.10.0 fixed_pt, not to silicon." in page


def test_missing_parts_are_named_with_their_reason(partial: dict[str, Any]) -> None:
    page = Page(render_html(partial))
    assert not page.open
    for text in (page.text, render_markdown(partial)):
        for reason in (
            "not known: Lava is not installed",
            "not compared: Lava is not installed",
            "distillation was off, so no teacher was trained",
            "only one student was trained",
            "no spikes were counted",
            "onnxruntime could not be measured",
        ):
            assert reason in text
    assert "Lava 0.10.0 fixed_pt was not compared" in partial["summary"]


def test_comparison_is_computed_on_pairs(report: dict[str, Any]) -> None:
    methods = example_inputs().methods
    assert not isinstance(methods, str)
    ckd, none = (methods[method]["student_quantized"].correct for method in ("ckd", "baseline"))
    difference = report["comparison"]["difference"]["student_quantized"]
    assert difference["only_first"] == int((ckd & ~none).sum())
    assert difference["value"] == pytest.approx(ckd.mean() - none.mean())  # two roundings
    finding = words.finding(difference, "ckd", "baseline")
    assert finding in render_markdown(report)
    assert finding in Page(render_html(report)).text


def test_long_and_wide_recordings_stay_small() -> None:
    """150 steps on a 60 x 90 sensor and 101 classes: pooled, twelve frames, twelve classes, still under 1 MB."""
    rng = np.random.default_rng(5)
    sample = replace(
        example_sample(rng, "k", 100, 3),
        frames=(rng.random((150, 2, 60, 90)) < 0.05).astype(np.uint8),
        output_spikes=(rng.random((150, 101)) < 0.1).astype(np.uint8),
        image=None,
    )
    names = tuple(f"class {k}" for k in range(101))
    html = render_html(build_report(replace(example_inputs(), classes=names, samples=[sample])))
    text = Page(html).text
    assert len(html) < 1_000_000
    assert "12 of 150 frames are displayed" in text
    assert "89 classes with fewer spikes are left out" in text
    assert "class 100 ◂" in text


def test_render_all_writes_three_files(report: dict[str, Any], tmp_path: Path) -> None:
    render_all(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report


# Charts


def test_axis_positions() -> None:
    assert charts.Axis(0.5, 1.0, ()).at(0.75) == 50.0
    log = charts.log_axis([0.2, 30.0])
    assert (log.low, log.high) == (0.1, 100.0)
    assert log.at(1.0) == pytest.approx(100 / 3, abs=1e-3)  # positions are rounded to a thousandth of a percent
    assert charts.share_axis(0.764).low == 0.7
    assert charts.share_axis(0.05).low == 0.0
    ticks = {charts.share_axis(lowest).ticks for lowest in (0.95, 0.85, 0.75, 0.65, 0.55, 0.1)}
    assert {len(each) for each in ticks} == {3}, "more labels would overlap in a narrow column"
    assert charts.difference_axis(0.07).high == 0.1


def test_frame_draws_every_event_once() -> None:
    """Runs of neighbors: row 0 has columns 1 and 2, row 2 column 0; the path holds exactly these two pieces."""
    events = np.zeros((2, 3, 4), dtype=bool)
    events[1, 0, 1:3] = events[1, 2, 0] = True
    drawn = charts.frame(events, "t")
    assert '<path class="on" d="M1 0h2v1h-2zM0 2h1v1h-1z"/>' in drawn
    assert '<path class="off" d=""/>' in drawn


def test_pooling_keeps_every_event_and_adds_none() -> None:
    """A pooled pixel is set exactly if one of its pixels is; odd edges are padded with silence."""
    events = np.random.default_rng(2).random((2, 5, 7)) < 0.2
    pooled = charts.pool(events, 2)
    assert pooled.shape == (2, 3, 4)
    for c, y, x in np.ndindex(pooled.shape):
        assert pooled[c, y, x] == events[c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].any()


def test_text_colors_have_contrast() -> None:
    """WCAG 2 AA asks 4.5 : 1 for text, (L1 + 0.05) / (L2 + 0.05) of relative luminances; light, dark and print."""
    css = (Path(page_file.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    palettes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})\b", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(palettes) == 3

    def luminance(color: str) -> float:
        digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for palette in palettes:
        for name in ("ink", "quiet", "accent", "bad"):
            dark, light = sorted(luminance(palette[key]) for key in (name, "paper"))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_channels_are_drawn_as_one_raster() -> None:
    """Input 1 fires in steps 0 and 1, input 2 in step 3: rows are inputs, columns are steps."""
    frames = np.zeros((4, 3), dtype=bool)
    frames[0:2, 1] = frames[3, 2] = True
    drawn, side = charts.input_raster(frames, "t")
    assert side == 1
    assert '<path class="on" transform="translate(0 0)" d="M0 1h2v1h-2zM3 2h1v1h-1z"/>' in drawn
    assert 'class="off"' not in drawn
    assert 'viewBox="0 0 4 3"' in drawn
    wide = np.zeros((40, 700), dtype=bool)
    wide[5, 699] = True
    drawn, side = charts.input_raster(wide, "t")
    rows = -(-700 // side)
    assert 100 < rows <= 300
    assert f'viewBox="0 0 40 {rows}"' in drawn
    assert f'd="M5 {rows - 1}h1v1h-1z"' in drawn

"""Time by batch on the report: points where their numbers say, devices told apart, models never mixed with clocks."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from html_page import Page
from report_example import example_inputs

from spikeport.pipeline.report.charts import batch_curve, plane
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report


def point(batch: int, nominal: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    latency = {"low": low, "nominal": nominal, "high": high}
    return {"batch": batch, "latency_us": latency, "us_per_inference": nominal / batch, "repeats": 7} | {
        "energy_uj": None,
        **more,
    }


def timed(model: str, device: str, **more: Any) -> dict[str, Any]:
    row = {"model": model, "device": device, "batch": 1, "latency_us": {"low": 9.0, "nominal": 10.0, "high": 12.0}}
    return (
        row | {"latency_basis": "measured", "energy_uj": None, "energy_basis": None, "scope": "", "reason": ""} | more
    )


def modeled(model: str, device: str, **more: Any) -> dict[str, Any]:
    return timed(model, device) | {"latency_basis": "modeled", "energy_uj": JOULES, "energy_basis": "modeled", **more}


def floor_of_an_older_version(model: str, device: str, us: float) -> dict[str, Any]:
    row = timed(model, device, batch="any", latency_us=None, latency_basis=None)
    return row | {"energy_uj": 1.0, "energy_basis": "floor", "floor_us_per_inference": us}


CURVE = [point(1, 10.0, 9.0, 12.0), point(10, 10.0, 8.0, 20.0)]
JOULES = {"low": 3.25, "nominal": 3.25, "high": 3.25}


def page_of(rows: list[dict[str, Any]]) -> tuple[Page, str]:
    report = build_report(replace(example_inputs(), baseline=rows))
    return Page(render_html(report)), render_markdown(report)


def test_points_are_times_of_one_image() -> None:
    """A batch of 10 in 10 µs, 8 to 20, is 1 µs an image, 0.8 to 2."""
    found = batch_curve.batch_curves([timed("a", "cpu", curve=CURVE[::-1])])
    (curve,) = found["curves"]
    assert [(each["batch"], each["us"]) for each in curve["points"]] == [
        (1, {"low": 9.0, "nominal": 10.0, "high": 12.0}),
        (10, {"low": 0.8, "nominal": 1.0, "high": 2.0}),
    ]
    assert (curve["basis"], found["modeled"], found["without"]) == ("measured", False, [])


def test_a_point_stands_where_its_numbers_say() -> None:
    """0.8 to 12 µs lie on an axis from 0.5 to 20; 1 µs is log10(2) / log10(40) of its height. Across, batch 1 lies a
    factor 1.2 from the left edge and batch 10 at 90 % of the width."""
    found = batch_curve.batch_curves([timed("a", "cpu", curve=CURVE)])
    drawn = batch_curve.plot(found["curves"])
    share = math.log10(1 / 0.5) / math.log10(20 / 0.5)
    circles = re.findall(r'<circle cx="([\d.]+)%" cy="([\d.]+)"', drawn.drawing)
    assert len(circles) == 2
    x, y = map(float, circles[1])
    assert x == pytest.approx(90.0, abs=1e-2)  # positions are rounded
    assert y == pytest.approx(plane.HEIGHT * (1 - share), abs=1e-2)
    assert float(circles[0][0]) == pytest.approx(90 * math.log10(1.2) / math.log10(12), abs=1e-2)
    whiskers = re.findall(r'<line x1="[\d.]+%" x2="[\d.]+%" y1="([\d.]+)" y2="([\d.]+)"', drawn.drawing)
    heights = [plane.HEIGHT * (1 - math.log10(us / 0.5) / math.log10(40)) for us in (9, 12, 0.8, 2)]
    assert [float(y) for whisker in whiskers for y in whisker] == pytest.approx(heights, abs=1e-2)
    assert "<desc>1, a, cpu, measured: 10.0 µs at batch 1, 1.00 µs at batch 10</desc>" in drawn.drawing


def test_devices_are_distinguished_by_name_and_file() -> None:
    """The same card in two files is two devices; two networks on one device share its style."""
    first, second = ({"file": "baseline.json", "sha256": digest} for digest in ("aa", "bb"))
    rows = [
        timed("a", "cpu", curve=CURVE),
        timed("b", "cpu", curve=CURVE),
        timed("a", "card", curve=CURVE, taken_from=first),
        timed("a", "card", curve=CURVE, taken_from=second),
    ]
    curves = batch_curve.batch_curves(rows)["curves"]
    assert [(curve["label"], curve["style"], curve["elsewhere"]) for curve in curves] == [
        ("1", 0, ""),
        ("2", 0, ""),
        ("3", 1, "baseline.json"),
        ("4", 2, "baseline.json"),
    ]
    page, _ = page_of(rows)
    assert page.text.count("card, measured elsewhere (baseline.json)") == 2


def test_a_modeled_curve_has_other_marks_and_says_so() -> None:
    """Diamonds, a line of its own style, and no repeats; a circle stays a clock that was read."""
    curve = [point(1, 10.0, 9.0, 12.0) | {"repeats": 0, "energy_uj": JOULES}]
    rows = [timed("a", "cpu", curve=CURVE), modeled("a", "gpu, FP32", curve=curve), modeled("a", "gpu, FP16")]
    found = batch_curve.batch_curves(rows)
    assert [(each["device"], each["basis"]) for each in found["curves"]] == [
        ("cpu", "measured"), ("gpu, FP32", "modeled")
    ]  # fmt: skip
    assert (found["modeled"], found["without"]) == (True, [])
    drawn = batch_curve.plot(found["curves"])
    assert (drawn.drawing.count("<circle"), drawn.drawing.count('class="diamond"')) == (2, 1)
    assert drawn.drawing.count('class="curve of-1 modeled"') == 1
    assert "2, a, gpu, FP32, modeled: 10.0 µs at batch 1" in drawn.drawing
    page, markdown = page_of(rows)
    assert "Diamonds on broken lines are modeled" in page.text
    assert "1 10.0 9.00 to 12.0 modeled 3.25" in page.text
    assert "| a, gpu, FP32, modeled | 10.0 µs (9.00 to 12.0) | not timed |" in markdown


def test_floors_of_an_older_version_are_read_and_are_no_bound() -> None:
    """They stay in the tables as what they are. Neither page says that a device needs at least as much."""
    rows = [timed("a", "cpu", curve=CURVE), floor_of_an_older_version("a", "gpu, FP32", 0.4)]
    assert [each["device"] for each in batch_curve.batch_curves(rows)["curves"]] == ["cpu"]
    page, markdown = page_of(rows)
    for text in (page.text, markdown):
        assert "gpu, FP32" in text
        assert "full throughput at full power" in text
        assert not re.search("≥|at least|lower bound|no estimate", text.rpartition("Baseline")[2])


def test_a_baseline_of_before_has_no_curve_and_says_so() -> None:
    rows = [timed("a", "cpu", curve=CURVE), timed("a", "card"), timed("a", "card") | {"batch": 8}]
    page, markdown = page_of(rows)
    for text in (page.text, markdown):
        assert text.count(f"a, card: {batch_curve.NO_CURVE}.") == 1
    page, _ = page_of(rows[1:])
    assert f"a, card: {batch_curve.NO_CURVE}." in page.text
    assert not any((attributes.get("class") or "").startswith("curve ") for _, attributes in page.tags)
    older = [floor_of_an_older_version("a", "gpu", 0.1)]
    assert "No batch was timed, so there is no curve" in page_of(older)[0].text


def test_every_point_stands_in_the_tables() -> None:
    rows = [timed("a", "cpu", curve=[CURVE[0], point(10, 10.0, 8.0, 20.0, energy_uj=JOULES)])]
    page, markdown = page_of(rows)
    assert "10 1.00 0.800 to 2.00 7 3.25" in page.text
    assert "1 10.0 9.00 to 12.0 7 not measured" in page.text
    assert "| a, cpu, measured | 10.0 µs (9.00 to 12.0) | 1.00 µs (0.800 to 2.00) |" in markdown


def test_labels_stand_apart_in_their_order() -> None:
    """Three labels within 5 px need 14 px each; none leaves the drawing."""
    assert plane.apart([100.0, 95.0, 200.0], 14) == [109.0, 95.0, 200.0]
    moved = plane.apart([258.0, 259.0, 260.0, 20.0], 14)
    assert moved == [232.0, 246.0, 260.0, 20.0]


def test_an_axis_ends_at_round_values() -> None:
    assert plane.fine_log_axis([0.8, 12.0]).ticks == pytest.approx((0.5, 1, 2, 5, 10, 20))  # powers of ten are floats
    wide = plane.fine_log_axis([0.3, 90.0])
    assert (wide.low, wide.high, wide.ticks) == (pytest.approx(0.2), 100.0, (1.0, 10.0, 100.0))
    assert plane.fine_log_axis([1.0]).ticks == (1.0, 2.0)

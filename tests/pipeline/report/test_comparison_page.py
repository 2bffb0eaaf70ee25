"""The page of a comparison is inert, whole and repeatable; the command writes it or names the mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_runs import compared, example_runs, finished_run, scaled
from html_page import Page
from report_example import answered

from spikeport.errors import UserError
from spikeport.pipeline.report.charts import pareto, plane
from spikeport.pipeline.report.comparison.html import render_html
from spikeport.pipeline.report.comparison.markdown import render_markdown
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.write import render_comparison
from spikeport.pipeline.run.run_folder import open_run


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compared(*example_runs(tmp_path_factory.mktemp("four")))


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
    marks = [re.findall(r'class="mark (\w+)"', drawing) for drawing in drawings]
    assert marks == [["modeled"] * 4, ["convention"] * 4]  # not on Loihi 2
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
    assert not {"link", "iframe", "object", "img"} & set(names)
    assert names.count("script") == 1  # that of the page
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
    assert html.count("<script") == 1  # that of the page
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
    ("words", "message"),
    [
        (["one"], "one: one run alone is nothing to compare. Hint: name two"),
        (["one", "one/"], "this run is named twice"),
        (["one", "nowhere"], "nowhere: is not a run folder. Hint: name a folder that spikeport run made"),
        (["one", "killed"], "killed: this run is not finished up to its report. Hint: finish it"),
        (["one", "two", "--out", "two"], "two: this folder holds files that are not a comparison"),
        (["one", "two", "--out", "file"], "file: this is not a folder"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    spikeport: Any, tmp_path: Path, words: list[str], message: str
) -> None:
    for name in ("one", "two", "killed"):
        finished_run(tmp_path / name)
    (tmp_path / "killed" / "report.json").unlink()
    (tmp_path / "file").write_text("x")
    before = sorted(str(file) for file in tmp_path.rglob("*"))
    code, out, err = spikeport("compare", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_report_of_another_form_is_refused(tmp_path: Path) -> None:
    one, two = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    report = json.loads((two / "report.json").read_text(encoding="utf-8"))
    (two / "report.json").write_text(json.dumps(report | {"schema": "spikeport-report/0"}), encoding="utf-8")
    open_run(two).record("report", {}, ("report.json",), 0.0)
    with pytest.raises(UserError, match=r"two: its report is of the form spikeport-report/0.*spikeport report"):
        read_runs([one, two])

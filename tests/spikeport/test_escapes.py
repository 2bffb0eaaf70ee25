"""What files call things stays text wherever it is shown: in Markdown, pages, tables, terminal lines and progress."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from compare_runs import example_runs
from html_page import Page
from known_networks import conv_activity, conv_frames
from markdown_it import MarkdownIt
from report_example import example_inputs

from spikeport import notes
from spikeport.errors import printable
from spikeport.export.formats.frames_file import write_frames
from spikeport.hardware_profiles import profile
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.comparison.markdown import render_markdown as compared
from spikeport.pipeline.report.content.csv_tables import samples_csv
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.pages.html import FILES, render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.pages.markdown_parts import cells, code, inline, strong
from spikeport.pipeline.report.write import build_report
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.sweep.table import markdown as swept
from spikeport.tables import text_table

pytestmark = pytest.mark.slow

BAD = (
    "x <img src=x onerror=alert(1)> ![t](http://evil/t.png) [l](javascript:alert(1)) <http://evil> [r][s] **b** `c` "
    r"| \| \[k](javascript:alert(1)) &lt; <!-- ~~s~~ _e_ ![u" "\x1b[31m\x07\u202e]"
)  # fmt: skip
LINES = ["# h", "- i", "1. n", "2) n", "> q", "---", "===", "***", "```", "~~~", "[s]: javascript:alert(1)", "+ p"]
SHOWN = printable(BAD)
INERT = {
    "paragraph", "text", "table", "thead", "tbody", "tr", "th", "td", "heading", "bullet_list", "list_item", "strong",
    "fence", "inline", "softbreak", "code_inline", "root",
}  # fmt: skip
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def tokens(markdown: str) -> Iterator[Any]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for token in parser.parse(markdown):
        yield token
        yield from token.children or ()


def assert_inert(markdown: str) -> None:
    """Nothing but what our own pages are made of; no raw HTML, link, picture or emphasis, nothing that steers."""
    assert not STEERING.search(markdown)
    found = {re.sub("_(open|close)$", "", token.type) for token in tokens(markdown)}
    assert found <= INERT, found - INERT


def text_of(markdown: str) -> str:
    return "".join(token.content for token in tokens(markdown) if token.type in ("text", "text_special", "code_inline"))


@pytest.mark.parametrize("bad", [BAD, *LINES])
def test_a_line_of_markdown_shows_what_it_was_given(bad: str) -> None:
    assert text_of(inline(bad)) == printable(bad)
    for markdown in (inline(bad), strong(bad), code(bad), f"# {inline(bad)}", f"- {inline(bad)}"):
        assert_inert(f"{markdown}\n")
    cell = f"| a | b |\n| --- | --- |\n| {' | '.join(cells([bad, 'second']))} |\n"
    assert_inert(cell)
    assert text_of(cell) == f"ab{printable(bad)}second"


def test_usual_text_is_left_as_it_is() -> None:
    for usual in ("student_float", "2 * 3", "[+0.25, -1.5] (2)", "-0.5", "3.4 µJ (3 to 4.9)", "it's 98.3 %, n = 200!"):
        assert inline(usual) == cells([usual])[0] == usual


def leaves(value: Any, place: tuple = ()) -> Iterator[tuple]:
    if isinstance(value, str):
        yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from leaves(entry, (*place, key))


def spoilt(report: dict[str, Any], place: tuple, text: str) -> dict[str, Any]:
    changed = deepcopy(report)
    at: Any = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = text
    return changed


# What these hold are words of ours that a page looks up.
OURS = {"basis", "basis_kind", "latency_basis", "energy_basis", "kind", "spikes", "image", "frames", "events", "schema"}


@pytest.mark.parametrize("make", ["report", "comparison"])
def test_no_text_of_a_report_leaves_its_place(make: str, tmp_path) -> None:
    """Each text in turn is hostile; then a page of all of them."""
    if make == "report":
        whole, draw = json.loads(json.dumps(build_report(example_inputs()))), render_markdown
    else:
        whole, draw = json.loads(json.dumps(build_comparison(read_runs(example_runs(tmp_path))))), compared
    count, all_bad = 0, whole
    for place in leaves(whole):
        if OURS & set(place):
            continue
        try:
            markdown = draw(spoilt(whole, place, BAD))
        except (KeyError, ValueError, StopIteration, TypeError):  # a word that the page looks up
            continue
        assert_inert(markdown.split("\n---\n")[-1] if make == "report" else markdown)
        count += "onerror" in markdown
        all_bad = spoilt(all_bad, place, BAD)
    assert count > 30
    if make == "report":
        page = render_html(all_bad)
        assert not STEERING.search(page)
        assert SHOWN in Page(page).text
        assert page.count("<script") == 1  # that of the page
        for tag, attributes in Page(page).tags:
            assert tag not in ("iframe", "object", "base", "form")
            link = attributes.get("href") or "#"
            assert link in FILES or link.startswith(("#", "https://arxiv.org/abs/", "https://doi.org/10.")), link
            assert not any(name.startswith("on") for name in attributes)
            assert (attributes.get("src") or "data:").startswith("data:")


def test_the_front_matter_is_no_markdown_either() -> None:
    report = build_report(replace(example_inputs(), name=BAD, dataset_name=BAD))
    for token in tokens(render_markdown(report)):
        assert token.type not in ("html_block", "html_inline", "image", "link_open"), token


def test_a_sweep_s_page_is_inert() -> None:
    row = {"mean": 0.5, "sd": 0.1, "n": 2, "difference": {"value": 0.1, "low": -0.1, "high": 0.3, "n": 2}}
    rows = [{"setting": BAD, "runs": 2, "float": row, "quantized": row, "seconds": {"mean": 3.0}}] * 2
    page = swept({"name": BAD, "seeds": 2, "folds": 0, "rows": rows, "failed": {BAD: BAD}})
    assert_inert(page)
    assert text_of(page).count("onerror") == 6  # the heading, two rows, the note on the first, the failed one and why


def test_tables_of_numbers_hold_no_control_characters() -> None:
    frames = conv_frames(samples=2)
    activity = conv_activity(frames)
    keys = ["a\x1b[2J\nb", "\t=1+1"]
    text = samples_csv(keys, {"label\x07": ["=cmd|' /C calc'!A0", "\u202eabc"]}, activity, [], frames)
    assert not STEERING.search(text)
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["key"], first["label\\x07"]) == ("a\\x1b[2J\\nb", "'=cmd|' /C calc'!A0")
    assert (second["key"], second["label\\x07"]) == ("'\\t=1+1", "\\u202eabc")


NAME = "a\x1b]0;t\x07\nerror: fake\u202e"


def hostile_graph() -> nir.NIRGraph:
    cell = nir.LIF(tau=np.full(2, 5e-3), r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.ones(2))
    weight = np.array([[0.5, -0.25, 1.0], [0.125, 0.75, -1.0]])
    nodes = {
        "input": nir.Input({"input": np.array([3])}), NAME: nir.Linear(weight), f"{NAME}2": cell,
        "output": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


def test_no_name_in_a_file_steers_the_terminal(spikeport, tmp_path) -> None:
    nir.write(tmp_path / "evil.nir", hostile_graph())
    write_frames(tmp_path / "f.npz", np.ones((2, 4, 3), np.uint8), np.array([0, 1]))
    how = ("--dt", "1e-3", "--reset", "zero")
    for words in (
        ("export", "evil.nir", *how, "--explain", "--out", "made"),
        ("profile", "evil.nir", *how, "--input", "f.npz", "--out", "page"),
        ("simulate", "made/evil.net", "--input", "f.npz"),
    ):
        code, out, err = spikeport(*words)
        assert code == 0, err
        assert not STEERING.search(out + err), (words, out)
        assert "\nerror: fake" not in out + err
    for page in (tmp_path / "page").iterdir():
        assert not STEERING.search(page.read_text()), page


def test_a_profile_s_texts_stay_in_their_cells(spikeport, tmp_path) -> None:
    text = (Path(profile.__file__).parent / "devices" / "speck.toml").read_text()
    hostile = re.sub(r'source = "', lambda found: found[0] + r"\u001b[31m\u202e<b>", text)
    (tmp_path / "evil.toml").write_text(hostile)
    code, out, err = spikeport("hardware", "show", "evil.toml")
    assert code == 0, err
    assert "\\x1b[31m\\u202e<b>" in out
    assert not STEERING.search(out)


def test_cells_are_as_wide_as_they_are_shown() -> None:
    head, _, first, second = text_table(("name", "n"), [("a\x1b", 1), ("b", 2)])
    assert (head, first, second) == ("name   n", "a\\x1b  1", "b      2")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_names_stages_and_files_as_text() -> None:
    """A class name with rich's markup is no markup, and closes none."""
    stream = Terminal()
    with ProgressPrinter(stream=stream) as progress:
        progress.log(f"student {NAME}")
        progress(1, 2, "reading [/b] [red]x[/red]\x07")
    assert stream.getvalue().startswith(f"student {printable(NAME)}\n")
    assert "reading [/b] [red]x[/red]\\x07" in stream.getvalue()
    plain = io.StringIO()
    with ProgressPrinter(stream=plain) as progress:
        progress(0, 2, NAME)
        progress._shown_s -= 100.0
        progress(1, 2, NAME)
    assert plain.getvalue().startswith(f"  {printable(NAME)}: 1 of 2")


def test_a_note_is_one_line_said_once(capsys) -> None:
    for _ in range(2):
        notes.note(f"of test: {NAME}\n  more")
    assert capsys.readouterr().err == "note: of test: a\\x1b]0;t\\x07 error: fake\\u202e more\n"

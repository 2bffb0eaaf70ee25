"""Recall by class: counted as scikit-learn counts it, intervals and averages by hand, on both pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from report_example import example_inputs
from sklearn.metrics import recall_score

from spikeport.pipeline.report.content.confusion import confusion
from spikeport.pipeline.report.content.recall import CLASSES_LISTED, listed, recalls
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report


def test_recall_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 5, 300), rng.integers(-1, 5, 300)  # -1: no answer, which is wrong
    counts = confusion(labels, predicted, 5)
    assert not isinstance(counts, str)
    found = recalls(counts[:, :-1].tolist(), counts[:, -1].tolist(), list("abcde"))
    expected = recall_score(labels, predicted, labels=range(5), average=None)
    assert [one["value"] for one in found["classes"]] == pytest.approx(expected, rel=1e-12)
    assert found["macro"] == pytest.approx(recall_score(labels, predicted, labels=range(5), average="macro"), rel=1e-12)


def test_numbers_by_hand() -> None:
    """9 of 10 have Wilson's interval 59.58 to 98.21 %; class b has 4 of 5 recordings right and one without an answer;
    class c has no recording and is not in the mean. 10 of all 15 recordings are of class a."""
    found = recalls([[9, 1, 0], [0, 4, 0], [0, 0, 0]], [0, 1, 0], ["a", "b", "c"])
    first, second, third = found["classes"]
    assert [round(first[key] or 0.0, 4) for key in ("value", "low", "high")] == [0.9, 0.5958, 0.9821]
    assert (second["n"], second["value"]) == (5, 0.8)
    assert third == {"label": "c", "n": 0, "value": None, "low": None, "high": None}
    assert found["macro"] == pytest.approx(0.85, rel=1e-12)
    assert (found["majority"], found["majority_class"]) == (10 / 15, "a")
    assert [one["label"] for one in listed(found)] == ["a", "b"]


def test_of_many_classes_the_lowest_are_listed() -> None:
    size = CLASSES_LISTED + 2
    counts = np.diag(np.arange(1, size + 1))
    counts[:, 0] += (
        1  # class k: k + 1 of k + 2 right, so the last two have the highest recall, but for the first: 2 of 2
    )
    found = recalls(counts.tolist(), [0] * size, [f"c{k}" for k in range(size)])
    assert [one["label"] for one in listed(found)] == [f"c{k}" for k in range(1, size - 1)]


def test_both_pages_have_it() -> None:
    """Class 0: 3 of 4 right, one without an answer; class 1: 0 of 1; the other eight have none."""
    labels, predicted = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, -1, 0])
    report = build_report(replace(example_inputs(), confusion=confusion(labels, predicted, 10)))
    page, markdown = Page(render_html(report)), render_markdown(report)
    assert "| 0 | 75.0 % | 30.1 to 95.4 % | 4 |" in markdown
    assert "0 75.0 % 30.1 to 95.4 % 4" in page.text.replace("0: 75.0 %, 95 % interval 30.1 to 95.4 % ", "")
    for text in ("(macro average): 37.5 %.", "Always the most frequent class (“0”): 80.0 % of all recordings."):
        assert text in page.text
        assert text in markdown
    empty = build_report(replace(example_inputs(), confusion=confusion(np.zeros(0), np.zeros(0), 10)))
    assert empty["confusion"]["recall"]["macro"] is None
    assert "macro" not in Page(render_html(empty)).text
    assert "macro" not in render_markdown(empty)
    del empty["confusion"]["recall"]  # of an older version
    assert "macro" not in Page(render_html(empty)).text

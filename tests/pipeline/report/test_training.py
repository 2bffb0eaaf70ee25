"""Curves of the trainings in a report: numbers and positions worked out by hand, remarks at their limits."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from html_page import Page
from report_example import example_inputs, example_rows

from spikeport.pipeline.report.charts import training_curve
from spikeport.pipeline.report.content.csv_tables import curves_csv
from spikeport.pipeline.report.content.training import OLDER, cells, lines_note, remarks, trainings
from spikeport.pipeline.report.content.training_json import TrainingsJson
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report
from spikeport.pipeline.training.epoch_log import rows_of_stages
from spikeport.pipeline.training.results import EpochRow

LABELS = np.array([2, 0, 2, 1, 2])


def of(rows: list[EpochRow]) -> TrainingsJson:
    return trainings({rows[0].stage: rows}, LABELS, ("a", "b", "c", "d"))


def test_a_guess_and_the_most_frequent_class_by_hand() -> None:
    """Three of five validation recordings are of class c; one of four classes is guessed right at random."""
    found = of(example_rows("teacher", 1, [0.5], [0.5]))
    assert (found["chance"], found["majority"], found["majority_class"]) == (0.25, 0.6, "c")
    assert lines_note(found) == (
        "A random guess: 25.0 %; always the most frequent class (“c”): 60.0 % of the validation recordings."
    )
    without = trainings({"teacher": example_rows("teacher", 1, [0.5], [0.5])}, np.zeros(0, int), ("a", "b"))
    assert (without["majority"], without["majority_class"]) == (None, None)
    assert lines_note(without) == "A random guess: 50.0 % of the validation recordings."


def test_the_table_has_the_kept_epoch() -> None:
    (student,) = of(example_rows("student-ckd", 2, [0.5, 0.9, 0.85], [0.6, 0.7, 0.75]))["stages"]
    assert cells(student) == ["student-ckd", "2 of 3", "1", "70.0 %", "90.0 %"]
    (before,) = of(example_rows("quantized-ckd", 0, [0.5], [0.6]))["stages"]
    assert cells(before) == ["quantized-ckd", "0 of 1", "not counted", "not counted", "10.0 %"]
    rows = [EpochRow(stage="synthesis", epoch=1, losses={"loss": 0.5}, validation_loss=0.25, kept_epoch=1,
                     kept_validation=0.25)]  # fmt: skip
    (translator,) = of(rows)["stages"]
    assert cells(translator) == ["synthesis", "1 of 1", "0.5", "not counted", "loss 0.25"]
    assert training_curve.accuracy_plot(translator, of(rows)) is None


def test_overfitting_needs_five_points_and_to_leave_the_interval() -> None:
    """90 % of 200 has the Wilson interval 85.1 to 93.4 %: 95 % is above it by exactly the 5 points, 95.1 % by more.
    80 % of 200 ends at 84.9 %, of 10 at 94.3 %."""

    def remarks_of(training: float, validation: float, count: int | None = 200) -> list[str]:
        rows = example_rows("student-ckd", 1, [validation, 0.1], [training, 1.0])
        return remarks("student-ckd", [replace(row, validation_count=count) for row in rows])

    assert remarks_of(0.949, 0.9) == []
    assert remarks_of(0.951, 0.9) == [
        "Overfitting: training accuracy 95.1 % is 5.1 points above validation accuracy (90.0 %, 95 % interval 85.1 to "
        "93.4 % of 200). More data, augmentation or weight decay may help."
    ]
    assert remarks_of(0.94, 0.8, count=10) == []
    assert len(remarks_of(0.95, 0.8, count=10)) == 1
    (unknown,) = remarks_of(0.9, 0.8, count=None)
    assert "10.0 points above validation accuracy (80.0 %)." in unknown


@pytest.mark.parametrize(
    ("stage", "setting"),
    [
        ("teacher", " (raise teacher.epochs)"),
        ("student-ckd", " (raise training.epochs)"),
        ("quantized-baseline", " (raise quantization.epochs)"),
        ("pretraining", ""),
    ],
)
def test_the_last_epoch_asks_for_more(stage: str, setting: str) -> None:
    (text,) = remarks(stage, example_rows(stage, 2, [0.5, 0.9], [0.5, 0.9]))
    assert text.endswith(f"train longer{setting}.")
    assert remarks(stage, example_rows(stage, 1, [0.9, 0.5], [0.9, 0.5])) == []
    assert remarks(stage, example_rows(stage, 1, [0.9], [0.9])) == []
    (text,) = remarks(stage, example_rows(stage, 0, [0.5, 0.9], [0.5, 0.9]))
    assert text.startswith("No epoch was better")


@pytest.mark.parametrize(("silent", "words"), [(7, "No output fired in validation"), (6, "The last epoch is the best")])
def test_a_silent_student_is_not_told_to_train_longer(silent: int, words: str) -> None:
    rows = example_rows("student-baseline", 2, [0.5, 0.6], [0.5, 0.6])
    (text,) = remarks("student-baseline", [replace(row, validation_count=7, validation_silent=silent) for row in rows])
    assert text.startswith(words)


def test_curves_stand_where_their_numbers_say() -> None:
    """Three epochs lie at 0, 50 and 100 % of the width; 0 to 100 % are 160 px; losses 2, 1, 2/3 are of 2 in 80 px."""
    found = of(example_rows("student-ckd", 2, [0.5, 0.9, 0.85], [0.25, 0.75, 1.0]))
    (student,) = found["stages"]
    accuracy, loss = training_curve.accuracy_plot(student, found), training_curve.loss_plot(student)
    assert accuracy is not None
    assert loss is not None
    drawn = accuracy.drawing
    assert re.findall(r' d="([^"]+)"/></g>', drawn) == ["M0 120L50 40L100 0", "M0 80L50 16L100 24"]
    assert re.findall(r' d="([^"]+)"/></g>', loss.drawing) == ["M0 0L50 40L100 53.33"]
    assert '<line class="before" x1="50.0%" x2="50.0%" y1="0" y2="160"/>' in drawn
    assert '<svg x="50.0%" y="3.0" overflow="visible">' in drawn  # 90 %: 16 px, the mark's row is 26 px
    for style, y in ((training_curve.STYLES["chance"], 120.0), (training_curve.STYLES["majority"], 64.0)):
        assert f'of-{style}"><line class="way" x1="0" x2="100%" y1="{y}" y2="{y}"/>' in drawn
    assert (
        "<desc>epoch 2 kept; training 25 % in epoch 1; training 100 % in epoch 3; validation 50 % in epoch 1; "
        "validation 85 % in epoch 3</desc>"
    ) in drawn
    assert "circle" not in loss.drawing  # the kept epoch has no validation loss


def test_an_epoch_without_validation_is_a_gap() -> None:
    rows = example_rows("teacher", 1, [0.5, 0.5, 0.75, 1.0], [0.5] * 4)
    rows[1] = replace(rows[1], validation_accuracy=None)
    found = of(rows)
    plot = training_curve.accuracy_plot(found["stages"][0], found)
    assert plot is not None
    assert re.findall(r' d="([^"]+)"/></g>', plot.drawing)[1] == "M0 80h3M66.667 40L100 0"


@pytest.mark.parametrize(
    ("last", "kept", "ticks"),
    [(1, 1, (0, 1)), (6, 6, (1, 2, 3, 4, 5, 6)), (3, 0, (0, 1, 2, 3)), (30, 4, (1, 10, 20, 30))],
)
def test_epochs_have_round_ticks(last: int, kept: int, ticks: tuple[int, ...]) -> None:
    (training,) = of(example_rows("teacher", kept, [0.5] * last, [0.5] * last))["stages"]
    assert training_curve.epoch_axis(training).ticks == ticks


def test_a_loss_axis_is_round() -> None:
    assert training_curve.round_axis(0.0, 7.3, 3).ticks == (0, 5, 10)
    assert training_curve.round_axis(-0.3, 0.45, 3).ticks == (-0.5, 0, 0.5)
    assert training_curve.round_axis(0.0, 0.0, 3).ticks == (0, 0.5)


def test_every_epoch_and_number_is_in_curves_csv() -> None:
    rows = [replace(row, rates={"conv": 0.25}) for row in example_rows("teacher", 2, [0.5, 1 / 3], [0.6, 0.9])]
    other = EpochRow(stage="quantized-ckd", epoch=1, losses={"loss": 0.1})
    read = list(csv.DictReader(io.StringIO(curves_csv({"teacher": rows, "quantized-ckd": [other]}))))
    assert [(row["stage"], row["epoch"], row["event.tet"], row["rates/conv"]) for row in read] == [
        ("teacher", "1", "1.0", "0.25"),
        ("teacher", "2", "0.5", "0.25"),
        ("quantized-ckd", "1", "", ""),
    ]
    assert float(read[1]["validation_accuracy"]) == 1 / 3


def test_pages_have_the_trainings(tmp_path: Any) -> None:
    report = build_report(example_inputs())
    page, markdown = Page(render_html(report)), render_markdown(report)
    assert "| student-ckd | 3 of 3 | 0.6667 | 90.0 % | 95.0 % |" in markdown
    assert "student-ckd 3 of 3 0.6667 90.0 % 95.0 %" in page.text
    for text in ("Overfitting: training accuracy 99.0 % is 9.0 points", "train longer (raise training.epochs)"):
        assert text in page.text
        assert text in markdown
    assert sum((attributes.get("class") or "") == "plane training" for _, attributes in page.tags) == 3


def test_a_run_of_before_still_has_a_report(tmp_path: Any) -> None:
    """No log at all, and lines of a version that wrote neither kept epochs nor training accuracies."""
    report = build_report(replace(example_inputs(), training=trainings({}, LABELS, ("a", "b", "c"))))
    assert OLDER in Page(render_html(report)).text
    del report["training"]
    assert OLDER in Page(render_html(report)).text
    assert OLDER in render_markdown(report)
    old = {"stage": "teacher", "loss": 1.5, "validation_accuracy": 0.5, "lr": 0.1, "seconds": 2.0}
    log = tmp_path / "metrics.jsonl"
    log.write_text("".join(json.dumps({**old, "epoch": epoch}) + "\n" for epoch in (1, 2)))
    found = trainings(rows_of_stages(log), LABELS, ("a", "b", "c"))
    report = build_report(replace(example_inputs(), training=found))
    assert "| teacher | not counted | not counted | not counted | not counted |" in render_markdown(report)
    assert "Accuracy by epoch, teacher" in Page(render_html(report)).text

"""The log of epochs: rows as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikeport.pipeline.training.epoch_log import forget_metrics, last_row, write_metrics
from spikeport.pipeline.training.results import EpochRow

ROW = EpochRow(
    stage="student",
    epoch=3,
    losses={"loss": 0.75, "event.tet": 0.5, "event_weights": [0.25, 0.125]},
    validation_accuracy=0.625,
    validation_silent=2,
    rates={"conv1": 0.0625},
    gradient=1.5,
    lr=0.004,
    seconds=2.5,
)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_the_losses_by_their_names(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.jsonl", "student", [ROW])
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"stage": "student", "epoch": 3, "loss": 0.75, "event.tet": 0.5, "event_weights": [0.25, 0.125], '
        '"validation_accuracy": 0.625, "validation_silent": 2, "rates": {"conv1": 0.0625}, "gradient": 1.5, '
        '"lr": 0.004, "seconds": 2.5}\n'
    )
    assert last_row(tmp_path / "metrics.jsonl", "student") == ROW


@pytest.mark.parametrize("row", [EpochRow(stage="teacher", epoch=1, losses={"loss": 2.0}), ROW])
def test_a_row_is_read_as_it_was_written(row: EpochRow) -> None:
    assert EpochRow.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_what_is_not_counted_has_no_key() -> None:
    keys = EpochRow(stage="teacher", epoch=1).to_json().keys()
    assert {"rates", "validation_silent"}.isdisjoint(keys)
    assert "validation_accuracy" in keys


def test_other_stages_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_row(path, "teacher") is None
    write_metrics(path, "teacher", [EpochRow(stage="teacher", epoch=1)])
    write_metrics(path, "student", [EpochRow(stage="student", epoch=1), EpochRow(stage="student", epoch=2)])
    write_metrics(path, "student", [EpochRow(stage="student", epoch=1)])
    assert [(line["stage"], line["epoch"]) for line in lines(path)] == [("teacher", 1), ("student", 1)]
    forget_metrics(path, ["student"])
    assert [line["stage"] for line in lines(path)] == ["teacher"]

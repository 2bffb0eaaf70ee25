"""The page of the benchmark of clothes: differences that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from fashion import commands_of, over, page, result_of, right_of


def run_of(right: list[int], **others: Any) -> dict[str, Any]:
    """A result whose quantized student is right on these recordings."""
    share = 100 * sum(right) / len(right)
    return {
        "tested": len(right), "right": np.packbits(right).tobytes().hex(), "quantized": share, "student": share,
        "cpu_s": 7, **others,
    }  # fmt: skip


def test_right_answers_are_read_as_they_were_written() -> None:
    right = [1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1]
    assert right_of(run_of(right)).tolist() == right


def test_a_difference_is_paired_by_seed_and_recording() -> None:
    mine = {"0": run_of([1, 1, 1, 0]), "1": run_of([1, 1, 0, 1])}
    base = {"0": run_of([1, 0, 0, 0]), "1": run_of([1, 0, 0, 1])}
    # +50 and +25 points by seed; by recording 0, 100, 50, 0: mean 37.5, sd 47.87, t(3) 3.1824 x sd / 2 = 76.2
    assert over(mine, base) == ("+37.5 (-38.7 to +113.7)", "(-121.3 to +196.3)")
    assert over({"0": mine["0"]}, {"0": base["0"]})[1] == ""


def test_the_page_lists_what_auto_has_chosen_by_seed() -> None:
    found = {f"50/{seed}/baseline": run_of([1, 0, 0, 0]) for seed in range(2)}
    found |= {
        "50/0/auto": run_of([1, 1, 0, 0], chosen="ckd-events"),
        "50/1/auto": run_of([0, 1, 1, 0], chosen="baseline"),
    }
    lines = page(found)
    head, row = (next(line for line in lines if line.startswith(name)) for name in ("trained with", "auto"))
    assert (head.split()[-1], row.split()[-2:]) == ("chosen", ["ckd-events,", "baseline"])


def test_a_pretraining_that_auto_did_not_need_has_no_accuracy() -> None:
    results = {"data": {"test_labels": [0, 2, 1]}, "choice": {"chosen": "ckd-events"}}
    results |= {"pretrain": {"reason": "known"}, "student-auto": {"predicted": [0, 2, -1], "silent": 1}}
    assert result_of({"stages": {stage: {"result": result} for stage, result in results.items()}}) == {
        "tested": 3, "chosen": "ckd-events", "student": 66.667, "right": "c0", "silent": 1,
    }  # fmt: skip


def test_the_page_has_a_table_for_each_number_of_recordings() -> None:
    layers = [{"layer": "a", "gap": 0.9}, {"layer": "b", "gap": 0.25}]
    lines = page({
        "200/0/baseline": run_of([1, 0, 0, 0]),
        "50/0/baseline": run_of([0, 0, 0, 0]),
        "200/0/synthetic-events": run_of([1, 1, 1, 0], gap=layers),
    })  # fmt: skip
    titles = [line for line in lines if line.endswith("tested")]
    assert titles == ["50 recordings to train, 4 tested", "200 recordings to train, 4 tested"]
    row = next(line for line in lines if line.startswith("synthetic-events"))
    assert row.split() == ["synthetic-events", "1", "75.0", "75.0", "+50.0", "(-41.9", "to", "+141.9)", "0.25", "7"]
    assert lines[lines.index(titles[1]) + 1].endswith("--recordings 200 --seeds 1 --trained baseline synthetic-events")


def test_the_commands_of_a_table_have_the_changed_settings() -> None:
    rows = {"baseline": 1, "ckd-events and pretraining": 2, "ckd-events training.lr=0.1 a.b=[2]": 1}
    start = "python benchmarks/fashion.py --recordings 50 --seeds 2 --trained "
    assert commands_of(50, rows) == [
        start + "baseline 'ckd-events and pretraining'",
        start + "ckd-events --set training.lr=0.1 --set 'a.b=[2]'",
    ]

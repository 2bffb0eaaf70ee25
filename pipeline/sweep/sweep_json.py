"""The types of sweep.json, as typed dictionaries."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from spikeport.pipeline.run.intervals import MeanDeviation, MeanDifference
from spikeport.versions import About


class StudentRow(MeanDeviation):
    """Test accuracy of one student over the finished runs of a setting.

    Attributes:
        difference: to the first setting, over runs with the same seed and fold; None where there are none.
        silent: mean share of recordings without an output spike; absent where it was not counted.
    """

    difference: MeanDifference | None
    silent: NotRequired[float]


class SettingRow(TypedDict):
    setting: str
    changes: list[str]
    runs: int
    float: StudentRow | None
    quantized: StudentRow | None
    seconds: MeanDeviation | None


class TrialScores(TypedDict):
    """What a finished trial achieved: `TrialResult`, and the accuracies that follow from it."""

    recordings: int
    accuracy_float: float
    accuracy_quantized: float
    correct_float: str
    correct_quantized: str
    seconds: float
    silent_float: int | None
    silent_quantized: int | None


class TrialRow(TrialScores):
    """A finished trial: its folder, its setting, and its scores."""

    run: str
    setting: str
    changes: list[str]
    seed: int
    fold: int | None


class SweepJson(TypedDict):
    """sweep.json. `failed`: why a trial failed, by its name."""

    schema: str
    name: str
    about: About
    seeds: int
    folds: int
    rows: list[SettingRow]
    trials: list[TrialRow]
    failed: dict[str, str]

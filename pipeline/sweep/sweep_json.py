"""Types of sweep.json, as typed dictionaries."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from spikeport.pipeline.run.intervals import MeanDeviation, MeanDifference
from spikeport.versions import About


class StudentRow(MeanDeviation):
    """Test accuracy of one student over the finished runs of a setting.

    Attributes:
        difference: difference to the first setting, over runs with the same seed and fold; None where there are none.
        silent: mean share of recordings without an output spike; absent where it was not counted.
    """

    difference: MeanDifference | None
    silent: NotRequired[float]


class SettingRow(TypedDict):
    """Statistics of a setting over its finished runs; None without a run.

    Attributes:
        setting: label of the setting.
        changes: its words `key=value`.
        runs: number of finished runs.
        float: test accuracy of the float student.
        quantized: test accuracy of the student in Loihi arithmetic.
        seconds: duration of the training, s.
    """

    setting: str
    changes: list[str]
    runs: int
    float: StudentRow | None
    quantized: StudentRow | None
    seconds: MeanDeviation | None


class TrialScores(TypedDict):
    """Scores of a finished trial: the values of `TrialResult`, and both accuracies."""

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
    """sweep.json.

    Attributes:
        schema: name and version of the format.
        name: name of the recipe.
        about: creation time, command and versions.
        seeds: number of seeds.
        folds: number of folds; 0 for the recipe's own split.
        rows: statistics of each setting.
        trials: scores of the finished trials.
        failed: reasons of failed trials, by name of the trial.
    """

    schema: str
    name: str
    about: About
    seeds: int
    folds: int
    rows: list[SettingRow]
    trials: list[TrialRow]
    failed: dict[str, str]

"""The types of compare.json, as typed dictionaries."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from spikeport.pipeline.report.comparison.per_sample import Change
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.report_json import (
    DatasetFacts,
    Equivalence,
    Reason,
    RunDifference,
    StageAccuracy,
    Warning,
)


class Activity(TypedDict):
    """Sums over the layers of a network; None where a layer's number is not known."""

    neurons: float | None
    weights: float | None
    spikes_per_sample: float | None
    synops_per_sample: float | None
    dense_ops: float | None


class Origin(TypedDict):
    """When a run was made, and with which command."""

    created_utc: str | None
    command: str | None


class ComparedRun(TypedDict):
    """One run of a comparison."""

    number: int
    label: str
    folder: str
    name: str
    method: str
    dataset: DatasetFacts
    tested_on: str | None
    accuracy: dict[str, StageAccuracy]
    warnings: list[Warning]
    equivalence: Equivalence
    activity: Activity
    energy: list[EnergyRow] | Reason
    provenance: Origin


class Ratio(TypedDict):
    """Ratio of two energies; if there is none, `nominal` is None with a `reason`."""

    nominal: float | None
    low: NotRequired[float]
    high: NotRequired[float]
    reason: NotRequired[str]


class EnergyRatios(TypedDict):
    """Energies of a run over those of the first, on one device."""

    hardware: str
    name: str
    dynamic: Ratio
    total: Ratio
    paired_dynamic_uj: Change


class ActivityChanges(TypedDict):
    """Paired changes of the counts per recording."""

    spikes_per_sample: Change
    synops_per_sample: Change


class Against(TypedDict):
    """Differences between one run and the first."""

    run: int
    same_recordings: bool
    reason: str | None
    accuracy: dict[str, RunDifference]
    activity: ActivityChanges
    energy: list[EnergyRatios]


class IntervalNotes(TypedDict):
    """How the intervals were computed, in words."""

    accuracy: str
    difference: str
    ratio: str
    change: str


class Comparison(TypedDict):
    """compare.json. `settings` and `versions` hold the values of each run by key, where they differ."""

    schema: str
    summary: str
    runs: list[ComparedRun]
    settings: dict[str, list[Any]]
    versions: dict[str, list[Any]]
    against_first: list[Against]
    intervals: IntervalNotes

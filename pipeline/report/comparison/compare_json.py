"""Types of compare.json, as typed dictionaries."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from spikeport.pipeline.report.comparison.per_sample import Change
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.equality_json import Equivalence
from spikeport.pipeline.report.content.report_json import DatasetFacts, Reason, RunDifference, StageAccuracy, Warning


class Activity(TypedDict):
    """Sums over the layers of a network; None where the number of a layer is not known.

    Attributes:
        neurons: number of neurons.
        weights: number of weights.
        spikes_per_sample: output spikes of all layers, mean per recording.
        synops_per_sample: synaptic operations, mean per recording.
        dense_ops: operations if every input fired at every step.
    """

    neurons: float | None
    weights: float | None
    spikes_per_sample: float | None
    synops_per_sample: float | None
    dense_ops: float | None


class Origin(TypedDict):
    """Time and command of a run."""

    created_utc: str | None
    command: str | None


class ComparedRun(TypedDict):
    """One run of a comparison. Keys that are not listed here are those of report.json.

    Attributes:
        number: number of the run, from 1.
        label: the shortest end of its path that differs from those of the other runs.
        folder: name of its folder.
        activity: sums over the layers.
        energy: energy estimates without their details, or the reason why there are none.
        provenance: time and command of the run.
    """

    number: int
    label: str
    folder: str
    name: str
    method: str
    dataset: DatasetFacts
    test_set_digest: str | None
    accuracy: dict[str, StageAccuracy]
    warnings: list[Warning]
    equivalence: Equivalence
    activity: Activity
    energy: list[EnergyRow] | Reason
    provenance: Origin


class Ratio(TypedDict):
    """Ratio of two energies.

    Attributes:
        nominal: ratio of the nominal energies; None where there is none, with the `reason`.
        low: low energy over high energy.
        high: high energy over low energy.
        reason: why there is no ratio.
    """

    nominal: float | None
    low: NotRequired[float]
    high: NotRequired[float]
    reason: NotRequired[str]


class EnergyRatios(TypedDict):
    """Ratios of the energies of a run to those of the first run, on one device.

    Attributes:
        hardware: id of the device.
        name: name of the device.
        dynamic: ratio of the dynamic energies.
        total: ratio of the total energies.
        paired_dynamic_uj: paired change of the dynamic energy by recording, µJ.
    """

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
    """Differences between one run and the first.

    Attributes:
        run: number of the run.
        same_recordings: whether both runs were tested on the same recordings in the same order.
        reason: why the runs are not paired.
        accuracy: differences of accuracy by stage.
        activity: paired changes of the counts.
        energy: ratios by device.
    """

    run: int
    same_recordings: bool
    reason: str | None
    accuracy: dict[str, RunDifference]
    activity: ActivityChanges
    energy: list[EnergyRatios]


class IntervalNotes(TypedDict):
    """Methods of the intervals, in words."""

    accuracy: str
    difference: str
    ratio: str
    change: str


class Comparison(TypedDict):
    """compare.json.

    Attributes:
        schema: name and version of the format.
        summary: the result in one sentence.
        runs: the runs.
        settings: values of all runs by key of the recipe, where they differ.
        versions: versions of all runs by package, where they differ.
        against_first: differences of each other run to the first.
        intervals: methods of the intervals.
    """

    schema: str
    summary: str
    runs: list[ComparedRun]
    settings: dict[str, list[Any]]
    versions: dict[str, list[Any]]
    against_first: list[Against]
    intervals: IntervalNotes

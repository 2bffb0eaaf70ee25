"""Assembles report.json from the results of the stages. The pages are made of this dict only.

Every number is a plain number or None. A missing part is `{"value": None, "reason": ...}` or `{"reason": ...}`, so that
a page contains the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from spikeport.export.backends.compare import title_of
from spikeport.export.network.accuracy import Correctness
from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.report.content.choice import ChoiceJson
from spikeport.pipeline.report.content.elsewhere import elsewhere
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.headline import summary
from spikeport.pipeline.report.content.layer_rows import layer_notes, layer_rows
from spikeport.pipeline.report.content.leaderboard import LeaderboardRow, leaderboard
from spikeport.pipeline.report.content.plain import plain, portable
from spikeport.pipeline.report.content.recall import recalls
from spikeport.pipeline.report.content.report_json import (
    Confusion,
    DistillationEffect,
    DrawnRows,
    QuantizationRow,
    Reason,
    Report,
    StageAccuracy,
    Warning,
    Window,
)
from spikeport.pipeline.report.content.samples import Sample, describe
from spikeport.pipeline.report.content.worst import WrongSample, describe_mistake
from spikeport.pipeline.run.intervals import paired_difference, share

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.counts import LayerMeansJson
    from spikeport.pipeline.profiling.early_exit import EarlyExit
    from spikeport.pipeline.report.content.training_json import TrainingsJson

SCHEMA = "spikeport-report/2"
STAGES = ("teacher", "student_float", "student_quantized", "reference")
STUDENTS = ("student_float", "student_quantized")
PAIRED = "Bonett and Price 2012, paired by recording; one training of each, so it says nothing about other seeds"
NOT_DRAWN = "the first recordings of the test part, not drawn at random"


def _not_computed() -> EarlyExit:
    return {"reason": "it was not computed"}


def _not_trained() -> TrainingsJson:
    return {"reason": "this report is not of a training"}


Row = TypeVar("Row", bound=Mapping[str, object])


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Results of the stages that a report is made of. A missing part is a sentence with the reason.

    Attributes:
        name: name of the run.
        method: distillation method, "auto: " and what was chosen for "auto"; empty for a network without a training.
        dataset_name: name of the data set.
        dataset_description: the data set in a sentence.
        dataset_fingerprint: digest of the data set.
        simulated: whether the events are simulated.
        classes: names of the classes.
        split_sizes: recordings or images of each part, such as `train`, `validation`, `test`, `static`.
        steps: time steps of a recording.
        dt_s: duration of a time step in s; None where it is not known.
        answers: correctness by stage of STAGES and then by backend, in test order. Items of the teacher are static test
            images; items of a backend are the recordings that it simulated.
        drawn: by stage that used a part of the recordings: `{rows, of, seed, classes}` of export.network.sampling, or
            `{rows}` where they were not drawn at random.
        methods: by method (`baseline`, `ckd`), correctness of student_float and student_quantized. Row i is the same
            test recording in all.
        equivalence: by `pair_key`, a comparison of export.backends.compare as a dict.
        layers: counts of each layer, rows of `LayerMeansJson` of profiling.counts.
        quantization: rounding errors of each layer, rows of export.quantization.
        energy: rows of `EnergyEstimate` of profiling.energy.
        early_exit: accuracy over time steps, of profiling.early_exit.
        baseline: rows of profiling.baseline.measure. Latency is of a whole batch, energy of one inference.
        samples: recordings to draw.
        mistakes: recordings with the largest margins of a wrong class.
        warnings: findings of pipeline.run.health, each with its `stage`.
        confusion: int64 `[K, K + 1]` of the reference: rows are labels, columns are predicted classes, and the last
            column is no answer.
        choice: what "auto" chose and by what evidence; None for other methods.
        training: epochs of the trainings, of `content.training`.
        not_included: costs that the run leaves out.
        provenance: versions, seeds, command, digests of profiles and the like, to reproduce the run. It contains no
            host names or folders; paths are cut to file names.
        window: duration of the recordings and the part of them in the frames; None where it was not measured.
        held_out: whether the recordings are a test part that no training used; otherwise they are called given.
    """

    name: str
    method: str
    dataset_name: str
    dataset_description: str
    dataset_fingerprint: str
    simulated: bool
    classes: tuple[str, ...]
    split_sizes: Mapping[str, int]
    steps: int
    dt_s: float | None
    answers: Mapping[str, Correctness | str]
    drawn: Mapping[str, DrawnRows] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Correctness]] | str
    equivalence: Mapping[str, Mapping[str, object] | str]
    layers: Sequence[LayerMeansJson]
    quantization: Sequence[QuantizationRow] | str = ()
    energy: Sequence[EnergyRow] | str = ()
    early_exit: EarlyExit = field(default_factory=_not_computed)
    baseline: Sequence[BaselineRow] | str = "no baseline was measured in this run"
    samples: Sequence[Sample] = ()
    mistakes: Sequence[WrongSample] | str = "mistakes were not ranked"
    warnings: Sequence[Warning] = ()
    confusion: np.ndarray | str = "the stage that classifies did not run"
    choice: ChoiceJson | None = None
    training: TrainingsJson = field(default_factory=_not_trained)
    not_included: Sequence[str] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)
    window: Window | None = None
    held_out: bool = True


def build_report(inputs: ReportInputs) -> Report:
    """The content of report.json, equal to the file when it is read back.

    Args:
        inputs: results of the stages.

    Raises:
        ValueError: the predictions of two methods have different lengths.
    """
    report = {
        "schema": SCHEMA,
        "name": inputs.name,
        "summary": "",
        "warnings": [dict(warning) for warning in inputs.warnings],
        "method": inputs.method,
        "dataset": {
            "name": inputs.dataset_name,
            "description": inputs.dataset_description,
            "simulated": inputs.simulated,
            "recordings": "test" if inputs.held_out else "given",
            "counts": dict(inputs.split_sizes),
            "classes": list(inputs.classes),
            "steps": inputs.steps,
            "dt_s": inputs.dt_s,
            "fingerprint": inputs.dataset_fingerprint,
            "window": None if inputs.window is None else dict(inputs.window),
        },
        "accuracy": _accuracies(inputs.answers, inputs.drawn),
        "comparison": _comparison(inputs),
        **({"choice": dict(inputs.choice)} if inputs.choice else {}),
        "training": dict(inputs.training),
        "confusion": _confusion(inputs.confusion, inputs.classes),
        "equivalence": {
            "comparisons": {key: _equality(key, part) for key, part in inputs.equivalence.items()},
            "statement": f"Equal means equal to {title_of('lava')}, not to silicon.",
        },
        "layers": layer_rows(inputs.layers, inputs.quantization, inputs.energy),
        "layer_notes": layer_notes(inputs.layers, inputs.quantization, inputs.energy),
        "energy": _rows(inputs.energy, "no device was asked for"),
        "early_exit": dict(inputs.early_exit),
        "baseline": _rows(inputs.baseline, "no baseline was measured in this run"),
        "elsewhere": elsewhere(inputs.layers, inputs.steps),
        **({"leaderboard": row} if (row := _leaderboard(inputs)) else {}),
        "not_included": _not_included(inputs),
        "provenance": dict(inputs.provenance) | {"dataset_fingerprint": inputs.dataset_fingerprint},
    }
    content: Report = portable(plain(report))
    content["samples"] = [describe(sample, inputs.classes) for sample in inputs.samples]
    content["mistakes"] = (
        {"reason": inputs.mistakes}
        if isinstance(inputs.mistakes, str)
        else [describe_mistake(wrong, inputs.classes) for wrong in inputs.mistakes]
    )
    content["summary"] = summary(content)
    return content


def _accuracies(answers: Mapping[str, Correctness | str], drawn: Mapping[str, DrawnRows]) -> dict[str, StageAccuracy]:
    """Accuracy of each stage, with the paired difference to the preceding known stage.

    A teacher's items are the paired images of the recordings. Recordings that were not drawn at random have no
    interval.
    """
    found: dict[str, StageAccuracy] = {}
    before: tuple[str, Correctness] | None = None
    for stage in dict.fromkeys((*STAGES, *answers)):
        own = answers.get(stage, "this stage did not run")
        entry: StageAccuracy = {"value": None, "reason": own} if isinstance(own, str) else {**share(own)}
        found[stage] = entry
        if isinstance(own, str) or not len(own):
            continue
        sample: DrawnRows = drawn.get(stage, {})
        rows = np.asarray(sample.get("rows", np.arange(len(own))))
        if "seed" in sample:
            entry["drawn"] = {"of": sample["of"], "seed": sample["seed"], "classes": sample["classes"]}
        elif before and len(own) < len(before[1]):
            found[stage] = {**entry, "low": None, "high": None, "reason": NOT_DRAWN}
            continue
        if before:
            _, own_rows, its_rows = np.intersect1d(rows, np.arange(len(before[1])), return_indices=True)
            difference = paired_difference(own.correct[own_rows], before[1].correct[its_rows])
            entry["change"] = {**difference, "from": before[0]}
        before = stage, own
    return found


def _comparison(inputs: ReportInputs) -> DistillationEffect:
    """Accuracy of each method, and the paired difference between the run's method and `baseline`."""
    if isinstance(inputs.methods, str):
        return {"reason": inputs.methods}
    found: DistillationEffect = {
        method: {stage: share(answers[stage]) for stage in STUDENTS if stage in answers}
        for method, answers in inputs.methods.items()
    }
    if inputs.method == "baseline" or not {"baseline", inputs.method} <= inputs.methods.keys():
        return found | {"reason": "only one method was trained, so there is no comparison"}
    with_method, without = inputs.methods[inputs.method], inputs.methods["baseline"]
    difference = {
        stage: paired_difference(with_method[stage].correct, without[stage].correct)
        for stage in STUDENTS
        if stage in with_method and stage in without
    }
    names = {"first": inputs.method, "second": "baseline", "interval": PAIRED}
    return found | {"difference": {**difference, **names}}


def _confusion(counts: np.ndarray | str, classes: Sequence[str]) -> Confusion:
    if isinstance(counts, str):
        return {"reason": counts}
    answers, silent = counts[:, :-1].tolist(), counts[:, -1].tolist()
    return {"stage": "reference", "counts": answers, "silent": silent, "recall": recalls(answers, silent, classes)}


def _equality(key: str, part: Mapping[str, object] | str) -> dict[str, object]:
    first, second = key.split("_vs_", 1)
    names: dict[str, object] = {"first": first, "second": second}
    return names | ({"mismatches": None, "reason": part} if isinstance(part, str) else dict(part))


def _rows(rows: Sequence[Row] | str, empty: str) -> list[Row] | Reason:
    if isinstance(rows, str) or not rows:
        return {"reason": rows if isinstance(rows, str) and rows else empty}
    return list(rows)


def _leaderboard(inputs: ReportInputs) -> LeaderboardRow | None:
    answers = inputs.answers.get("reference", "")
    known = None if isinstance(answers, str) or not len(answers) else share(answers)["value"]
    return leaderboard(inputs.name, inputs.layers, known)


def _not_included(inputs: ReportInputs) -> list[str]:
    """Costs that the run leaves out, then those of each device's energy estimate, without repetition."""
    devices = () if isinstance(inputs.energy, str) else inputs.energy
    listed = [*inputs.not_included, *(item for row in devices for item in row.get("not_included") or ())]
    return list(dict.fromkeys(listed))

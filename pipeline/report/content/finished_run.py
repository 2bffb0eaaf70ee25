"""A finished run as a comparison needs it: its report, its recipe, and what it said of each test recording."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.splits.leakage import TEST_SET_DIGEST
from spikeport.pipeline.report.comparison.per_sample import PerSample, read_per_sample
from spikeport.pipeline.report.content.content import SCHEMA
from spikeport.pipeline.report.content.report_json import Report
from spikeport.pipeline.run.run_folder import RunFolder, open_run

SAMPLES = "samples.csv"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """`label` tells this run from the others. `labels` int `[n]`: the test recordings' classes, in test order;
    `predicted`: for student_float, student_quantized and reference int `[n]` each. `test_set_digest`: of the test
    recordings, None from a Spikeport that did not keep it. `recipe`: nested settings. `per_sample`: what each test
    recording took, None where the run has no samples.csv.
    """

    label: str
    folder: str
    report: Report
    recipe: Mapping[str, Any]
    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    test_set_digest: str | None
    per_sample: PerSample | None


def read_runs(folders: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> list[FinishedRun]:
    """The runs in `folders`, in their order. Raises UserError for fewer than two, the same one twice, a folder that is
    no run, and a run that did not come to its report."""
    if len(folders) < 2:
        raise UserError(
            "one run alone is nothing to compare",
            where=", ".join(map(str, folders)),
            hint="name two finished run folders or more",
        )
    places = [folder.resolve() for folder in folders]
    for number, (folder, place) in enumerate(zip(folders, places, strict=True)):
        if place in places[:number]:
            raise UserError("this run is named twice", where=str(folder), hint="name each run once")
    runs = [open_run(folder) for folder in folders]
    read = []
    for run, label in zip(runs, labels_of(places), strict=True):
        read.append(_read(run, label))
        if progress:
            progress(len(read), len(runs))
    return read


def labels_of(places: Sequence[Path]) -> list[str]:
    """The shortest ends of different absolute paths that tell them apart."""
    depth, deepest = 1, max(len(place.parts) for place in places)
    while depth < deepest and len({place.parts[-depth:] for place in places}) < len(places):
        depth += 1
    return ["/".join(part for part in place.parts[-depth:] if part != place.anchor) for place in places]


def _read(run: RunFolder, label: str) -> FinishedRun:
    if not run.is_done("report"):
        raise UserError(
            "this run is not finished up to its report",
            where=str(run.path),
            hint="finish it with spikeport run --resume",
        )
    report = json.loads(run.file("report.json").read_text(encoding="utf-8"))
    if report["schema"] != SCHEMA:
        raise UserError(
            f"its report is of the form {report['schema']}, not {SCHEMA}",
            where=str(run.path),
            hint="write it again with spikeport report",
        )
    data, method = run.result("data"), run.recipe.distillation.method
    stages = {
        "student_float": f"student-{method}",
        "student_quantized": f"quantized-{method}",
        "reference": "simulate",
    }
    return FinishedRun(
        label=label,
        folder=run.path.resolve().name,
        report=report,
        recipe=run.recipe.model_dump(mode="json"),
        labels=np.array(data["test_labels"]),
        predicted={name: np.array(run.result(stage)["predicted"]) for name, stage in stages.items()},
        test_set_digest=data.get(TEST_SET_DIGEST),
        per_sample=read_per_sample(run.file(SAMPLES).read_text(encoding="utf-8"))
        if SAMPLES in run.files("report")
        else None,
    )

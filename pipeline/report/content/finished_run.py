"""A finished run for a comparison: its report, its recipe, and its predictions for each test recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from spikeport.progress import Progress

SAMPLES = "samples.csv"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run that is finished up to its report.

    Attributes:
        label: the shortest end of its path that differs from those of the other runs.
        folder: name of its folder.
        report: content of report.json.
        recipe: nested settings.
        labels: int `[N]`, classes of the test recordings in test order.
        predicted: int `[N]` each, predicted classes by stage: student_float, student_quantized, reference.
        test_set_digest: digest of the test recordings; None for runs of older versions.
        per_sample: counts and energies of each test recording; None where the run has no samples.csv.
    """

    label: str
    folder: str
    report: Report
    recipe: Mapping[str, Any]
    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    test_set_digest: str | None
    per_sample: PerSample | None


def read_runs(folders: Sequence[Path], progress: Progress | None = None) -> list[FinishedRun]:
    """Reads finished runs.

    Args:
        folders: run folders, two or more.
        progress: called with runs done and runs in all.

    Returns:
        The runs, in the order of `folders`.

    Raises:
        UserError: there are fewer than two folders, one is named twice or is not a run, or a run is not finished up to
            its report.
    """
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
    """The shortest ends of different absolute paths that are different from each other.

    Args:
        places: absolute paths of run folders.
    """
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

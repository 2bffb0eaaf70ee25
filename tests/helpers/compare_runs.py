"""Finished run folders with invented numbers, for tests of comparisons and for viewing the page.

`python tests/helpers/compare_runs.py FOLDER` writes four runs and their comparison.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from report_example import answered, example_energy, example_inputs

from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.write import build_report, render_all
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import create

LABELS = (0, 2, 1, 1, 2)


def finished_run(
    folder: Path,
    right: tuple[str, str] = ("11010", "10010"),
    *,
    labels: Sequence[int] = LABELS,
    settings: Mapping[str, Any] = {},
    fingerprint: str = "data 1",
    test_set_digest: str | None = "recordings 1",
    energy: list[dict[str, Any]] | str | None = None,
    samples: str | None = "",
    **inputs: Any,
) -> Path:
    """A run that got these recordings right (float, quantized). `energy`: rows of its report; None: the example's.
    `samples`: its samples.csv, None where it kept none; empty: each recording takes more than the one before it."""
    recipe = parse_recipe({"name": folder.name, "distillation": {"method": "baseline"}, **settings}, where="test")
    method = recipe.distillation.method
    run = create(folder, recipe, resume=False, about={})
    correct = [np.array([hit == "1" for hit in each]) for each in right]
    whole = example_inputs()
    answers = {"student_float": answered(correct[0]), "student_quantized": answered(correct[1])}
    report = build_report(
        replace(
            whole,
            **{
                "name": folder.name,
                "method": method,
                "dataset_fingerprint": fingerprint,
                "split_sizes": dict(whole.split_sizes) | {"test": len(labels)},
                "answers": {"teacher": "no teacher was trained", "lava": "Lava was left out", **answers}
                | {"reference": answered(correct[1])},
                "methods": {method: answers},
                "energy": example_energy() if energy is None else energy,
                "samples": (),
                **inputs,
            },
        )
    )
    render_all(report, folder)
    predicted = [[label if hit else label + 1 for label, hit in zip(labels, each, strict=True)] for each in correct]
    data = {"test_labels": list(labels)} | ({} if test_set_digest is None else {"test_set_digest": test_set_digest})
    run.record("data", data, (), 0.0)
    for stage, row in ((f"student-{method}", 0), (f"quantized-{method}", 1), ("simulate", 1)):
        run.record(stage, {"predicted": predicted[row]}, (), 0.0)
    files = ("report.json", "report.md", "report.html")
    if samples is not None:
        (folder / "samples.csv").write_text(samples or samples_text(report, np.linspace(0.5, 1.5, len(labels))))
        files = (*files, "samples.csv")
    run.record("report", {"summary": report["summary"]}, files, 0.0)
    return folder


def samples_text(report: dict[str, Any], shares: np.ndarray) -> str:
    """samples.csv of recordings 0, 1, ..., which have the report's values on average: each has its share, mean 1."""
    activity = {
        name: sum(layer[f"{name}_per_sample"] or 0 for layer in report["layers"]) for name in ("spikes", "synops")
    }
    rows = report["energy"] if isinstance(report["energy"], list) else []
    energies = {f"{row['hardware']}_dynamic_uj": words.quantity(row["dynamic_uj"]) for row in rows}
    means = activity | {name: energy and energy["nominal"] for name, energy in energies.items()}
    lines = [
        ",".join([str(row), *("" if mean is None else repr(float(share * mean)) for mean in means.values())])
        for row, share in enumerate(shares / shares.mean())
    ]
    return "\n".join([",".join(["key", *means]), *lines]) + "\n"


def scaled(factor: float) -> list[dict[str, Any]]:
    """The example's energies times `factor`."""
    rows = example_energy()
    for row in rows:
        for key in ("dynamic_uj", "total_uj", "latency_us"):
            row[key] = row[key] and {end: factor * value for end, value in row[key].items()}
    return rows


def example_runs(folder: Path) -> list[Path]:
    """Four runs of 200 recordings; the last was tested on other recordings."""
    rng = np.random.default_rng(2)
    hard, labels = rng.random(200), rng.integers(0, 10, 200).tolist()

    def right(rate: float) -> tuple[str, str]:
        exact = hard + 0.03 * rng.standard_normal(200) < rate
        return tuple("".join(map(str, each.astype(int))) for each in (exact, exact ^ (rng.random(200) < 0.01)))

    names = ("baseline", "ckd", "fewer-steps", "other-split")
    rates, factors = (0.93, 0.97, 0.9, 0.95), (1.0, 1.15, 0.62, 1.02)
    busy = rng.lognormal(0, 0.3, 200)

    def samples(factor: float) -> str:
        layers = [dict(layer) for layer in example_inputs().layers]
        for layer in layers:
            layer |= {key: factor * layer[key] for key in ("spikes_per_sample", "synops_per_sample")}
        shares = busy * rng.lognormal(0, 0.05, 200)
        return samples_text({"layers": layers, "energy": scaled(factor)}, shares)

    return [
        finished_run(
            folder / name,
            right(rate),
            labels=labels if name != "other-split" else labels[::-1],
            settings={"data": {"steps": 6 if name == "fewer-steps" else 10, "split_seed": int(name == "other-split")}},
            fingerprint=name,
            energy=scaled(factor),
            samples=samples(factor),
        )
        for name, rate, factor in zip(names, rates, factors, strict=True)
    ]


def compared(*folders: Path) -> dict[str, Any]:
    """The comparison of the finished runs in `folders`."""
    return build_comparison(read_runs(folders))


if __name__ == "__main__":
    from spikeport.pipeline.report.write import render_comparison

    target = Path(sys.argv[1])
    render_comparison(build_comparison(read_runs(example_runs(target / "runs"))), target / "compare")

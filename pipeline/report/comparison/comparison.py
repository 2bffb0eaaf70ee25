"""Assembles compare.json, a comparison of finished runs. The pages are made of this dict only.

Differences are paired only where two runs were tested on the same recordings in the same order. A missing value is
`{"value": None, "reason": ...}` (accuracies, paired changes) or `{"nominal": None, "reason": ...}` (ratios).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikeport.export.network.accuracy import compare_with_labels
from spikeport.pipeline.report.comparison.compare_json import Comparison
from spikeport.pipeline.report.comparison.per_sample import (
    CHANGE,
    COUNTS,
    Change,
    changes,
    dynamic_column,
    no_change,
    why_unmatched,
)
from spikeport.pipeline.report.comparison.ratios import RATIO, energy_ratios, why_apart
from spikeport.pipeline.report.comparison.words import summary
from spikeport.pipeline.report.content.content import PAIRED
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.finished_run import FinishedRun
from spikeport.pipeline.report.content.plain import plain, portable
from spikeport.pipeline.report.content.report_json import RunDifference
from spikeport.pipeline.run.intervals import paired_difference
from spikeport.pipeline.run.run_folder import differences

SCHEMA = "spikeport-compare/1"
ENERGY_KEYS = ("hardware", "name", "kind", "dynamic_uj", "total_uj", "latency_us", "unknown_terms", "basis", "scope")


def build_comparison(runs: Sequence[FinishedRun]) -> Comparison:
    """The content of compare.json, equal to the file when it is read back.

    Args:
        runs: two or more runs; the others are compared with the first.
    """
    rows = [_run(number, run) for number, run in enumerate(runs, start=1)]
    _same_backends(rows)
    comparison = {
        "schema": SCHEMA,
        "summary": "",
        "runs": rows,
        "settings": _settings([dict(run.recipe) for run in runs]),
        "versions": _settings([dict(run.report["provenance"].get("versions") or {}) for run in runs]),
        "against_first": [_against(number, run, runs[0]) for number, run in enumerate(runs[1:], start=2)],
        "intervals": {"accuracy": "Wilson, 95 %", "difference": PAIRED, "ratio": RATIO, "change": CHANGE},
    }
    content: Comparison = portable(plain(comparison))
    content["summary"] = summary(content)
    return content


def _run(number: int, run: FinishedRun) -> dict[str, Any]:
    report = run.report
    dataset, provenance, energy = report["dataset"], report["provenance"], report["energy"]
    return {
        "number": number,
        "label": run.label,
        "folder": run.folder,
        "name": report["name"],
        "method": report["method"],
        "dataset": {key: dataset[key] for key in ("name", "simulated", "counts", "steps", "dt_s", "fingerprint")},
        "test_set_digest": run.test_set_digest,
        "accuracy": report["accuracy"],
        "warnings": report.get("warnings", []),
        "equivalence": report["equivalence"],
        "activity": {
            key: _sum([layer[key] for layer in report["layers"]])
            for key in ("neurons", "weights", "spikes_per_sample", "synops_per_sample", "dense_ops")
        },
        "energy": energy
        if isinstance(energy, dict)
        else [{key: row.get(key) for key in (*ENERGY_KEYS, "profile")} for row in energy],
        "provenance": {key: provenance.get(key) for key in ("created_utc", "command")},
    }


def _same_backends(rows: list[dict[str, Any]]) -> None:
    """Adds what other runs compared to each run, as not compared, so that all runs have the same stages and pairs."""
    why = "this run did not compare it"
    stages = {stage: {"value": None, "reason": why} for row in rows for stage in row["accuracy"]}
    pairs = {
        key: {"first": check["first"], "second": check["second"], "mismatches": None, "reason": why}
        for row in rows
        for key, check in row["equivalence"]["comparisons"].items()
    }
    for row in rows:
        row["accuracy"] = stages | row["accuracy"]
        row["equivalence"] = {**row["equivalence"], "comparisons": pairs | row["equivalence"]["comparisons"]}


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; None where a summand is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _settings(nested: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Values of all runs by dotted key, for the keys at which a run differs from the first; None: no such key."""
    changed = {key for other in nested[1:] for key in differences(nested[0], other)}
    return {key: [_at(each, key) for each in nested] for key in sorted(changed - {"name"})}


def _at(nested: Any, key: str) -> Any:
    for name in key.split("."):
        nested = nested.get(name) if isinstance(nested, dict) else None
    return nested


def _against(number: int, run: FinishedRun, first: FinishedRun) -> dict[str, Any]:
    reason = why_unpaired(run, first)
    mine, its = _energy_by_device(run), _energy_by_device(first)
    devices = tuple(dict.fromkeys((*its, *mine)))
    changed = _changes(run, first, reason, devices)
    return {
        "run": number,
        "same_recordings": not reason,
        "reason": reason or None,
        "accuracy": {
            stage: {"value": None, "reason": reason} if reason else _difference(stage, run, first)
            for stage in run.predicted
        },
        "activity": {key: changed[column] for key, column in COUNTS.items()},
        "energy": [
            {
                "hardware": hardware,
                "name": (mine.get(hardware) or its[hardware]).get("name") or hardware,
                **energy_ratios(mine.get(hardware), its.get(hardware), (run.label, first.label)),
                "paired_dynamic_uj": changed[dynamic_column(hardware)],
            }
            for hardware in devices
        ],
    }


def _changes(run: FinishedRun, first: FinishedRun, unpaired: str, devices: Sequence[str]) -> dict[str, Change]:
    """Paired changes of the counts and of the dynamic energy on `devices`, by column of samples.csv."""
    names = (run.label, first.label)
    common = unpaired or why_unmatched(run.per_sample, first.per_sample, names)
    why = dict.fromkeys((*COUNTS.values(), *map(dynamic_column, devices)), common)
    if common:
        return {column: no_change(common) for column in why}
    assert run.per_sample is not None
    assert first.per_sample is not None
    for hardware in devices:
        column, row, its = (
            dynamic_column(hardware),
            _energy_by_device(run).get(hardware),
            _energy_by_device(first).get(hardware),
        )
        why[column] = why_apart(row, its, names, "dynamic") or " and ".join(
            f"samples.csv of {each.label} has another energy than its report"
            for each, row in ((run, row), (first, its))
            if row and not _has_mean(each, column, row)
        )
    found = changes(run.per_sample, first.per_sample, [column for column, reason in why.items() if not reason])
    return {column: found.get(column) or no_change(reason) for column, reason in why.items()}


def _has_mean(run: FinishedRun, column: str, row: EnergyRow) -> bool:
    energy = row["dynamic_uj"]
    return run.per_sample is not None and energy is not None and run.per_sample.has_mean(column, energy["nominal"])


def _energy_by_device(run: FinishedRun) -> dict[str, EnergyRow]:
    rows = run.report["energy"]
    return {row["hardware"]: row for row in rows} if isinstance(rows, list) else {}


def _difference(stage: str, run: FinishedRun, first: FinishedRun) -> RunDifference:
    """Accuracy of `run` minus accuracy of `first` on the same recordings."""
    correct = (compare_with_labels(each.labels, each.predicted[stage]).correct for each in (run, first))
    found = paired_difference(*correct)
    return {
        "value": found["value"],
        "n": found["n"],
        "low": found["low"],
        "high": found["high"],
        "only_run": found["only_first"],
        "only_first": found["only_second"],
    }


def why_unpaired(one: FinishedRun, other: FinishedRun) -> str:
    """Why the test recordings of two runs are not paired; empty where they are the same in the same order.

    Equal fingerprints mean equal data to the last pixel. Otherwise the digests of the test recordings are compared,
    which do not depend on the binning or on the other recordings.

    Args:
        one: a run.
        other: another run.
    """
    data, its = one.report["dataset"], other.report["dataset"]
    if data["name"] != its["name"]:
        return f"they were tested on different data, {data['name']} and {its['name']}"
    if not np.array_equal(one.labels, other.labels):
        return "they were tested on different recordings"
    if data["fingerprint"] == its["fingerprint"]:
        return ""
    silent = [run.label for run in (one, other) if run.test_set_digest is None]
    if silent:
        return (
            f"their data differ, and {' and '.join(silent)} (made by an older Spikeport) cannot say which recordings "
            "were tested"
        )
    return "" if one.test_set_digest == other.test_set_digest else "they were tested on different recordings"

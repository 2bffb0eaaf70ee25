"""Statistics of a sweep by setting, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from spikeport.pipeline.run.intervals import MeanDifference, mean_sd, paired_t
from spikeport.pipeline.sweep.plan import Setting, Trial
from spikeport.pipeline.sweep.sweep_json import SettingRow, StudentRow, SweepJson
from spikeport.pipeline.sweep.trial import TrialResult

Student = Literal["float", "quantized"]
Pair = tuple[int, int | None]  # seed and fold
ByPair = dict[Pair, TrialResult]
STUDENTS: tuple[Student, ...] = ("float", "quantized")


def rows_of(
    settings: Sequence[Setting], trials: Sequence[Trial], results: Mapping[str, TrialResult]
) -> list[SettingRow]:
    """Statistics of each setting.

    Args:
        settings: the settings; the first is the one that the others are compared with.
        trials: all trials.
        results: results of the finished trials, by name.

    Returns:
        A row `{setting, changes, runs, float, quantized, seconds}` for each setting; statistics are None without a
        run. `float` and `quantized` contain `mean`, `sd` and `n` of the test accuracy over finished runs; `silent`, the
        mean share of recordings without an output spike, where it was counted; and `difference` to the first setting
        over pairs of runs with the same seed and fold, None for the first setting and where there are no pairs.
    """
    rows = []
    for setting in settings:
        runs = _runs(setting, trials, results)
        first = _runs(settings[0], trials, results)
        both = [] if setting == settings[0] else [pair for pair in runs if pair in first]
        row: SettingRow = {
            "setting": setting.label,
            "changes": list(setting.changes),
            "runs": len(runs),
            "float": _student_row("float", runs, first, both) if runs else None,
            "quantized": _student_row("quantized", runs, first, both) if runs else None,
            "seconds": mean_sd([result.seconds for result in runs.values()]) if runs else None,
        }
        rows.append(row)
    return rows


def _student_row(student: Student, runs: ByPair, first: ByPair, both: Sequence[Pair]) -> StudentRow:
    """`student` over `runs`, and the difference to `first` over the pairs `both`."""
    found = {pair: _accuracy(result, student) for pair, result in runs.items()}
    reference = {pair: _accuracy(result, student) for pair, result in first.items()}
    difference = paired_t([found[pair] - reference[pair] for pair in both]) if both else None
    silent = [_silent(result, student) for result in runs.values()]
    counted = [count for count in silent if count is not None]
    row: StudentRow = {**mean_sd(list(found.values())), "difference": difference}
    if counted:
        row["silent"] = sum(counted) / len(counted)
    return row


def table(rows: Sequence[SettingRow]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and cells of the table.

    Args:
        rows: rows of `rows_of`.

    Returns:
        The head, and the cells of each row, with accuracies in per cent and differences in points.
    """
    head = ("setting", "runs", "float", "quantized", "float - first", "quantized - first", "seconds")
    cells = []
    for row in rows:
        shares = [_share(row[student]) for student in STUDENTS]
        differences = [_difference(row[student]) for student in STUDENTS]
        seconds = "-" if row["seconds"] is None else f"{row['seconds']['mean']:.0f}"
        cells.append((row["setting"], str(row["runs"]), *shares, *differences, seconds))
    return head, cells


def markdown(result: SweepJson) -> str:
    """The content of sweep.md.

    Args:
        result: content of sweep.json.
    """
    from spikeport.pipeline.report.pages.markdown_parts import code, inline
    from spikeport.pipeline.report.pages.markdown_parts import table as drawn

    head, cells = table(result["rows"])
    lines = [
        f"# Sweep of {inline(result['name'])}",
        "",
        f"{result['seeds']} seeds, {result['folds'] or 'no'} folds; accuracy on test recordings in per cent, mean ± "
        "standard deviation over runs; in brackets, the per cent that gave no output spike, which count as wrong.",
        *map(inline, notes(result)),
        "",
        drawn(head, cells, right=range(1, len(head))),
    ]
    if result["failed"]:
        lines += ["", "Failed:", "", *(f"- {code(name)}: {inline(why)}" for name, why in result["failed"].items())]
    return "\n".join([*lines, ""])


def notes(result: SweepJson) -> list[str]:
    """Sentences that define the differences in the table and name what their intervals leave out.

    Args:
        result: content of sweep.json.
    """
    if len(result["rows"]) < 2:
        return []
    unseen = (
        "Runs on different folds share training recordings, so the intervals are somewhat too narrow."
        if result["folds"]
        else "All runs share one split, so the intervals cover the luck of training, not that of the recordings."
    )
    return [
        f"Differences are points over `{result['rows'][0]['setting']}`, paired by seed and fold, with 95 % intervals "
        "of Student's t over the pairs (n in brackets).",
        unseen,
    ]


def _runs(setting: Setting, trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> ByPair:
    return {t.pair: results[t.name] for t in trials if t.setting == setting and t.name in results}


def _accuracy(result: TrialResult, student: Student) -> float:
    return result.accuracy_float if student == "float" else result.accuracy_quantized


def _silent(result: TrialResult, student: Student) -> float | None:
    count = result.silent_float if student == "float" else result.silent_quantized
    return None if count is None else count / result.recordings


def _share(row: StudentRow | None) -> str:
    if row is None:
        return "-"
    sd = "" if row["sd"] is None else f" ± {100 * row['sd']:.2f}"
    silent = f" ({100 * row['silent']:.1f} silent)" if row.get("silent") else ""
    return f"{100 * row['mean']:.2f}{sd}{silent}"


def _difference(row: StudentRow | None) -> str:
    difference: MeanDifference | None = row and row["difference"]
    if difference is None:
        return "-"
    value = f"{100 * difference['value']:+.2f}"
    if difference["low"] is None or difference["high"] is None:
        return f"{value} (n=1)"
    return f"{value} [{100 * difference['low']:+.2f}, {100 * difference['high']:+.2f}] ({difference['n']})"

"""The summary of a report in one sentence, computed from its numbers."""

from __future__ import annotations

from typing import TypedDict

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.energy_rows import missing_operations
from spikeport.pipeline.report.content.report_json import (
    Equality,
    Equivalence,
    Reason,
    Report,
    StageAccuracy,
)
from spikeport.pipeline.report.content.trouble import Trouble, trouble_of


class HasEquivalence(TypedDict):
    """The part of a report, or of a run in a comparison, that `passed` needs."""

    equivalence: Equivalence


def summary(report: Report) -> str:
    """One sentence: accuracy, change of accuracy by quantization, equality of spikes, energy.

    For a network with many silent recordings, or with an accuracy no better than a guess, the sentence begins with
    this fault and does not contain the energy.
    """
    trouble, equality = _trouble(report), _equality(report["equivalence"])
    if trouble.fails and passed(report) and any(map(_equal, _checks(report["equivalence"]))):
        equality = f"equal spikes in simulation do not change that ({equality})"
    parts = [_accuracy(report), equality, "" if trouble.fails else _energy(report["energy"])]
    if trouble.text:
        parts = [trouble.text, parts[0][0].lower() + parts[0][1:], *parts[1:]]
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def passed(report: Report | HasEquivalence) -> bool:
    """Whether the comparisons of spikes that ran found no difference."""
    return not any(check["mismatches"] for check in _checks(report["equivalence"]))


def _trouble(report: Report) -> Trouble:
    return trouble_of(report["accuracy"], report["method"], report.get("warnings", []))


def _checks(equivalence: Equivalence) -> tuple[Equality, Equality]:
    return equivalence["quantized_vs_reference"], equivalence["reference_vs_lava"]


def _equal(check: Equality) -> bool:
    """Whether spikes were compared and none differed. Two executions without any spike prove nothing."""
    return check.get("mismatches") == 0 and bool(check.get("spikes_compared"))


def _accuracy(report: Report) -> str:
    accuracy = report["accuracy"]
    kind = "simulated " if report["dataset"]["simulated"] else ""
    stage = next(
        (s for s in ("student_quantized", "reference", "student_float") if accuracy[s]["value"] is not None), ""
    )
    if not stage:
        whose = "The student's" if report["method"] else "The network's"
        return f"{whose} accuracy was not measured"
    entry = accuracy[stage]
    subjects = {"student_float": "float student", "student_quantized": "quantized student", "reference": "network"}
    subject = subjects[stage]
    silent = "" if _trouble(report).silent else _silent(entry)
    text = (
        f"The {subject} recognizes {words.percent(entry['value'])} of {entry['n']:,} "
        f"{kind}{words.of_recordings(report)} "
        f"(95 % interval {words.percent_range(entry)}{words.if_drawn(report)}{silent})"
    )
    before = accuracy["student_float"]
    if stage == "student_float" or before["value"] is None:
        return text
    if entry["value"] == before["value"]:
        return text if _trouble(report).text else f"{text}, as many as before quantization"
    change = words.points((entry["value"] or 0.0) - before["value"])
    return f"{text}, {change} points against the same student in float"


def _silent(entry: StageAccuracy) -> str:
    count = entry.get("silent")  # absent from reports of older versions
    return f"; {count:,} gave no output spike, which is no answer" if count else ""


def _equality(equivalence: Equivalence) -> str:
    student, lava = _checks(equivalence)
    for check, words_for_it in zip((student, lava), words.CHECK_NAMES.values(), strict=True):
        if check["mismatches"]:
            return (
                f"{words_for_it} do NOT fire the same spikes: {check['mismatches']:,} of "
                f"{check['entries_compared']:,} entries differ, first at {words.divergence(check['first_divergence'])}"
            )
    done = [name for name, check in (("reference", student), ("lava", lava)) if _equal(check)]
    if done == ["reference", "lava"]:
        return (
            f"it fires the same spikes as the integer reference in all {student['samples']:,} recordings compared, and "
            f"the reference the same as Lava 0.10.0 fixed_pt in all {lava['samples']:,}{words.drawn_note(lava)}"
        )
    if done == ["reference"]:
        return (
            f"it fires the same spikes as the integer reference in all {student['samples']:,} recordings compared; "
            "Lava was not compared"
        )
    if done == ["lava"]:
        return (
            f"the integer reference fires the same spikes as Lava 0.10.0 fixed_pt in all {lava['samples']:,} "
            f"recordings compared{words.drawn_note(lava)}; the student was not compared"
        )
    if any(check.get("mismatches") == 0 for check in (student, lava)):
        return "no spike was fired in what was compared, so nothing is said about equality"
    return "spikes were not compared, so nothing is said about equality"


def _energy(energy: list[EnergyRow] | Reason) -> str:
    rows = energy if isinstance(energy, list) else []
    for row in rows:
        if row.get("kind", "neuromorphic") == "neuromorphic" and words.quantity(row.get("dynamic_uj")):
            basis = words.basis_kind(row.get("basis"), row["dynamic_uj"])
            missing = missing_operations(row)
            partial = f", without {missing}" if missing else ""
            return (
                f"dynamic energy on {row.get('name') or row['hardware']} is {basis} at "
                f"{words.quantity_text(row['dynamic_uj'], 'µJ')} per inference{partial}"
            )
    return "no energy is known" if rows else ""

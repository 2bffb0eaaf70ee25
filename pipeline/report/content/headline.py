"""The one sentence on top: computed from the numbers, so that it cannot say more than they do."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_rows import missing_operations
from spikeport.pipeline.report.content.trouble import trouble_of


def summary(report: dict[str, Any]) -> str:
    """One sentence: how well, what quantization cost, whether the same spikes fire everywhere, at what energy.

    Of a network that does not answer, or answers as a guess would, that comes first, and nothing is said for it.
    """
    trouble, equality = trouble_of(report), _equality(report["equivalence"])
    if trouble.fails and passed(report) and any(map(_equal, _checks(report))):
        equality = f"equal spikes in simulation do not change that ({equality})"
    parts = [_accuracy(report), equality, "" if trouble.fails else _energy(report["energy"])]
    if trouble.text:
        parts = [trouble.text, parts[0][0].lower() + parts[0][1:], *parts[1:]]
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def passed(report: dict[str, Any]) -> bool:
    """True where no check that ran found a difference."""
    return not any(_mismatches(check) for check in report["equivalence"].values())


def _checks(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in report["equivalence"].values() if isinstance(check, dict)]


def _mismatches(check: Any) -> int:
    return (check.get("mismatches") or 0) if isinstance(check, dict) else 0


def _equal(check: dict[str, Any]) -> bool:
    """True where spikes were compared and none differed; silence on both sides shows nothing."""
    return check.get("mismatches") == 0 and bool(check.get("spikes_compared"))


def _accuracy(report: dict[str, Any]) -> str:
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
    silent = "" if trouble_of(report).silent else _silent(entry)
    text = (
        f"The {subject} recognizes {words.percent(entry['value'])} of {entry['n']:,} "
        f"{kind}{words.of_recordings(report)} "
        f"(95 % interval {words.percent_range(entry)}{words.if_drawn(report)}{silent})"
    )
    before = accuracy["student_float"]
    if stage == "student_float" or before["value"] is None:
        return text
    if entry["value"] == before["value"]:
        return text if trouble_of(report).text else f"{text}, as many as before quantization"
    change = words.points(entry["value"] - before["value"])
    return f"{text}, {change} points against the same student in float"


def _silent(entry: dict[str, Any]) -> str:
    count = entry.get("silent")  # absent from reports of older versions
    return f"; {count:,} gave no output spike, which is no answer" if count else ""


def _equality(equivalence: dict[str, Any]) -> str:
    for name, words_for_it in words.CHECK_NAMES.items():
        if _mismatches(equivalence[name]):
            check = equivalence[name]
            return (
                f"{words_for_it} do NOT fire the same spikes: {check['mismatches']:,} of "
                f"{check['entries_compared']:,} entries differ, first at {words.divergence(check['first_divergence'])}"
            )
    student, lava = (equivalence[name] for name in words.CHECK_NAMES)
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


def _energy(energy: Any) -> str:
    rows = [] if isinstance(energy, dict) else energy
    for row in rows:
        if row.get("kind", "neuromorphic") == "neuromorphic" and words.quantity(row.get("dynamic_uj")):
            basis = words.basis_kind(row.get("basis"), row["dynamic_uj"])
            missing = missing_operations(row)
            partial = f", without {missing}" if missing else ""
            return (
                f"dynamic energy on {row.get('name') or row['hardware']} is {basis} at "
                f"{words.quantity_text(row['dynamic_uj'], 'µJ')} per inference{partial}"
            )
    return "no energy can be named" if rows else ""

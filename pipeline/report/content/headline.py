"""The summary of a report in at most three sentences, computed from its numbers."""

from __future__ import annotations

from typing import TypedDict

from spikeport.export.backends.compare import title_of
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_headline import energy_sentences
from spikeport.pipeline.report.content.equality_json import Equality, Equivalence
from spikeport.pipeline.report.content.report_json import Report, StageAccuracy
from spikeport.pipeline.report.content.trouble import Trouble, trouble_of


class HasEquivalence(TypedDict):
    """The part of a report, or of a run in a comparison, that `passed` needs."""

    equivalence: Equivalence


def summary(report: Report) -> str:
    """Accuracy, change by quantization, effect of distillation and equality of spikes; then the energy sentences.

    For a network with many silent recordings, or with an accuracy no better than a guess, the first sentence begins
    with this fault, and there is none on the energy.
    """
    trouble, equality = _trouble(report), _equality(report["equivalence"])
    if trouble.fails and passed(report) and any(map(_equal, _checks(report["equivalence"]))):
        equality = f"equal spikes in simulation do not change that ({equality})"
    effect, energy = ("", []) if trouble.fails else (_effect(report), energy_sentences(report))
    parts = [_accuracy(report), effect, equality]
    if trouble.text:
        parts = [trouble.text, parts[0][0].lower() + parts[0][1:], *parts[1:]]
    sentences = ["; ".join(part for part in parts if part), *energy]
    if energy and not _measured(report):
        sentences = [*energy, sentences[0]]  # a reader asks first for what is known
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences if text)


def _measured(report: Report) -> bool:
    """Whether an accuracy or a comparison of spikes is known."""
    known = any(entry["value"] is not None for entry in report["accuracy"].values())
    return known or any(check["mismatches"] is not None for check in _checks(report["equivalence"]))


def passed(report: Report | HasEquivalence) -> bool:
    """Whether the comparisons of spikes that ran found no difference."""
    return not any(check["mismatches"] for check in _checks(report["equivalence"]))


def _trouble(report: Report) -> Trouble:
    return trouble_of(report["accuracy"], report["method"], report.get("warnings", []))


def _checks(equivalence: Equivalence) -> list[Equality]:
    return list(equivalence["comparisons"].values())


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
        f"The {subject} recognizes {words.percent(entry['value'])} of {_recordings(report, entry['n'], kind)} "
        f"(95 % interval {words.percent_range(entry)}{words.if_drawn(report)}{silent})"
    )
    before = accuracy["student_float"]
    if stage == "student_float" or before["value"] is None:
        return text
    if entry["value"] == before["value"]:
        return text if _trouble(report).text else f"{text}, as many as before quantization"
    change = words.points((entry["value"] or 0.0) - before["value"])
    return f"{text}, {change} points against the same student in float"


def _recordings(report: Report, count: int, kind: str) -> str:
    """`200 simulated test recordings`; `the 100 recordings given`, on which the network may have been trained."""
    if report["dataset"].get("recordings", "test") == "test":
        return f"{count:,} {kind}test recordings"
    return f"the {count:,} {kind}recordings given"


def _effect(report: Report) -> str:
    """What distillation changes in the quantized student, with its interval; "" where it was not compared."""
    difference = report.get("comparison", {}).get("difference")
    entry = difference.get("student_quantized") if difference else None
    if not difference or not entry:
        return ""
    change = f"{words.points(entry['value'])} points (95 % interval {words.points_range(entry)})"
    sure = entry["low"] > 0 or entry["high"] < 0
    return f"{difference['first']} brings {change} over {difference['second']}" + (
        "" if sure else ", which these recordings cannot tell from none"
    )


def _silent(entry: StageAccuracy) -> str:
    count = entry.get("silent")  # absent from reports of older versions
    return f"; {count:,} gave no output spike, which is no answer" if count else ""


def _equality(equivalence: Equivalence) -> str:
    """Which executions were compared and whether they are equal; differences are named before anything else."""
    checks = _checks(equivalence)
    for check in checks:
        if check["mismatches"]:
            return (
                f"{words.pair_name(check)} do NOT fire the same spikes: {check['mismatches']:,} of "
                f"{check['entries_compared']:,} entries differ, first at {words.divergence(check['first_divergence'])}"
            )
    equal = [check for check in checks if _equal(check)]
    if not equal:
        if any(check["mismatches"] == 0 for check in checks):
            return "no spike was fired in what was compared, so nothing is said about equality"
        return "spikes were not compared, so nothing is said about equality"
    found: list[str] = []
    for check in equal:
        fires = "the same as" if found else "fires the same spikes as"
        recordings = f"{check['samples']:,}" + ("" if found else " recordings compared") + words.drawn_note(check)
        found.append(f"{_subject(check)} {fires} {_object(check['second'])} in all {recordings}")
    missing = ["the student" if check["first"] == "quantized" else title_of(check["second"])
               for check in checks if not _equal(check)]  # fmt: skip
    left_out = [f"{' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} not compared"] if missing else []
    return "; ".join([", and ".join(found), *left_out])


def _subject(check: Equality) -> str:
    """The first execution; the sentence before is about the quantized student."""
    return "it" if check["first"] == "quantized" else _object(check["first"])


def _object(execution: str) -> str:
    return f"the {title_of(execution)}" if execution == "reference" else title_of(execution)

"""Signs that a network is dead, saturated or no better than a guess: where each was seen, and what helps.

Plain values, for the manifest, the report and a line on the terminal. Nothing here runs a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, UNLABELLED
from spikeport.pipeline.run.intervals import paired_difference, wilson

SATURATED = 0.9  # spikes per neuron and step, above which a layer tells nothing apart
MANY_SILENT = 0.1  # share of recordings without an output spike, from which on it is said
FEW = 20  # answers, of which chance alone explains too much
LISTED_CLASSES = 4
REMEDIES = {
    "silent": "lower student.v_threshold, train longer, or let more events in (data.steps, data.step_us)",
    "dead_layer": "lower student.v_threshold or training.lr, or raise student.beta",
    "saturated_layer": "raise student.v_threshold, or lower training.lr or student.beta",
    "no_gradient": "lower student.v_threshold, so that voltages come near it, or training.lr",
    "bad_gradient": "lower training.lr, or set training.gradient_clip_norm",
    "guessing": "train longer (training.epochs) or at another training.lr; look at the data: spikeport data preview",
    "teacher_guessing": "raise teacher.epochs or change teacher.lr; to train without it: distillation.method=baseline",
    "teacher_below_student": "raise teacher.epochs, or take a better one; or none: distillation.method=baseline",
    "teacher_order": "put its outputs into the order of the data set's classes",
}
TUNING = "the float student is sound, rounding or tuning broke it: lower quantization.lr, or quantization.epochs = 0"
DEPLOYED = "lower or raise its thresholds, or round it with spikeport export --calibrate FRAMES.npz"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`kind`: a key of REMEDIES. `where`: the stage, and its layers where it is about some. `value`: what was measured,
    plain values. `text`: the same in words; `remedy`: what helps."""

    kind: str
    where: str
    value: Any
    text: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def line(finding: Finding | Mapping[str, Any]) -> str:
    """A finding, or what its `as_dict` gave, as one line."""
    plain = finding.as_dict() if isinstance(finding, Finding) else finding
    return f"warning: {plain['where']}: {plain['text']}; {plain['remedy']}"


def of_epoch(stage: str, rows: Sequence[Mapping[str, Any]], *, last: bool) -> list[Finding]:
    """What a training's rows of metrics say at the latest of its epochs.

    `rates`: layers that are dead or saturated on the validation recordings, in this epoch and the one before (averages
    of weights and batch norm's are young at first), or at the `last`. `gradient`: see `of_gradient`.
    """
    now, before = rows[-1], rows[-2] if len(rows) > 1 else {}
    rates = now.get("rates") or {}
    if not last:
        then = before.get("rates") or {}
        rates = {
            name: rate
            for name, rate in rates.items()
            if name in then and (rate == 0) == (then[name] == 0) and (rate > SATURATED) == (then[name] > SATURATED)
        }
    return [*of_rates(stage, rates), *of_gradient(stage, now)]


def of_gradient(stage: str, row: Mapping[str, Any]) -> list[Finding]:
    """Steps that moved nothing. `row["gradient"]`: the largest of the epoch's first step that had one, absolute; None
    where none was finite."""
    gradient = row.get("gradient", 1.0)
    if gradient is None:
        return [_finding("bad_gradient", stage, None, f"no gradient was finite in epoch {row['epoch']}")]
    if gradient == 0:
        return [_finding("no_gradient", stage, 0.0, f"every gradient was exactly zero in epoch {row['epoch']}")]
    return []


def of_rates(stage: str, rates: Mapping[str, float]) -> list[Finding]:
    """Layers that never fire, and those that fire almost always. `rates`: spikes per neuron and step, by layer."""
    dead = {name: rate for name, rate in rates.items() if rate == 0}
    full = {name: rate for name, rate in rates.items() if rate > SATURATED}
    found = []
    if dead:
        found.append(_finding("dead_layer", _layers(stage, dead), dead, f"never fire{_s(dead)}"))
    if full:
        shares = ", ".join(f"{100 * rate:.0f} %" for rate in full.values())
        text = f"fire{_s(full)} in {shares} of all steps, and tell{_s(full)} nothing apart"
        found.append(_finding("saturated_layer", _layers(stage, full), full, text))
    return found


def of_answers(stage: str, predicted: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """Recordings without an answer (SILENT), or answers that are no better than a guess. `predicted`, `labels` int
    `[N]`."""
    silent = int(np.count_nonzero(predicted == SILENT))
    if not len(predicted):
        return []
    found = []
    if silent >= MANY_SILENT * len(predicted):
        value = {"silent": silent, "n": len(predicted)}
        text = f"no output fires in {silent:,} of {len(predicted):,} recordings"
        found.append(_finding("silent", stage, value, text))
    if silent < len(predicted) / 2:
        found += of_guesses("guessing", stage, predicted, labels)
    return found


def of_guesses(kind: str, where: str, predicted: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """Answers that are no better than always saying the most frequent class, or (of FEW or more) cannot be told from
    it: that class's share lies in the accuracy's 95 % interval."""
    answers = compare_with_labels(labels, predicted)
    labels = np.asarray(labels)[np.asarray(labels) != UNLABELLED]
    if len(np.unique(labels)) < 2:
        return []
    right = int(np.count_nonzero(answers.correct))
    most = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    better = right / len(labels) > most
    if better and (len(labels) < FEW or wilson(right, len(labels))[0] > most):
        return []
    text = (
        f"it recognizes {100 * right / len(labels):.1f} % of {len(labels):,}, "
        f"{'hardly' if better else 'no'} better than always saying the most frequent class ({100 * most:.1f} %)"
    )
    return [_finding(kind, where, {"right": right, "n": len(labels), "most_frequent": most}, text)]


def of_teacher(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Finding]:
    """A teacher whose answers are right once its outputs are renamed, or no better than a guess. `predicted`, `labels`
    int `[N]` of images that it was not trained on."""
    from scipy.optimize import linear_sum_assignment

    known = (np.asarray(labels) != UNLABELLED) & (np.asarray(predicted) != SILENT)
    predicted, labels = np.asarray(predicted)[known], np.asarray(labels)[known]
    if not len(labels):
        return []
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (predicted, labels), 1)
    outputs, meant = linear_sum_assignment(counts, maximize=True)
    renamed, as_they_are, n = int(counts[outputs, meant].sum()), int(np.trace(counts)), len(labels)
    if renamed > n / 2 and wilson(renamed, n)[0] > wilson(as_they_are, n)[1]:
        moved = [(int(k), int(c)) for k, c in zip(outputs, meant, strict=True) if k != c and counts[k].any()]
        listed = ", ".join(f"output {k} is “{classes[c]}”" for k, c in moved[:LISTED_CLASSES])
        text = (
            f"its classes stand in another order: {100 * as_they_are / n:.1f} % of {n:,} images are recognized, "
            f"{100 * renamed / n:.1f} % if {listed}{' and so on' if len(moved) > LISTED_CLASSES else ''}"
        )
        value = {"right": as_they_are, "renamed": renamed, "n": n, "classes_of_outputs": meant.tolist()}
        return [_finding("teacher_order", "teacher", value, text)]
    return of_guesses("teacher_guessing", "teacher", predicted, labels)


def of_teacher_against(stage: str, teacher: np.ndarray, student: np.ndarray) -> list[Finding]:
    """A teacher that recognizes fewer test items than the student it taught; bool `[N]` each, row by row."""
    if not len(teacher):
        return []
    difference = paired_difference(np.asarray(teacher), np.asarray(student))
    if difference["high"] >= 0:
        return []
    shares = {"teacher": float(np.mean(teacher)), "student": float(np.mean(student)), "n": len(teacher)}
    text = (
        f"the teacher recognizes {100 * shares['teacher']:.1f} % of {len(teacher):,}, its student "
        f"{100 * shares['student']:.1f} %"
    )
    return [_finding("teacher_below_student", stage, shares, text)]


def after_tuning(found: Sequence[Finding], before: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Findings on a quantized student, where `before` are those of the float one: what is new has another remedy."""
    old = {each["kind"] for each in before}
    return [each if each.kind in old else replace(each, remedy=TUNING) for each in found]


def _finding(kind: str, where: str, value: Any, text: str) -> Finding:
    remedy = DEPLOYED if where.startswith("network") else REMEDIES[kind]
    return Finding(kind=kind, where=where, value=value, text=text, remedy=remedy)


def _layers(stage: str, layers: Mapping[str, float]) -> str:
    return f"{stage}, layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}"


def _s(layers: Mapping[str, float]) -> str:
    """The ending of a verb."""
    return "s" if len(layers) == 1 else ""

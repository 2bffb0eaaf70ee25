"""Findings about trained networks: dead or saturated layers, missing gradients, accuracy no better than chance.

Findings are JSON values for the manifest, the report and the terminal. No network runs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.pipeline.run.gap import LayerGap
from spikeport.pipeline.run.intervals import paired_difference, wilson

SATURATED = 0.9  # spikes per neuron and time step, above which a layer carries no information
MANY_SILENT = 0.1  # share of recordings without an output spike that is reported
SETTLED_STEPS = 50  # optimizer steps after which a layer that was dead and still is may stay so
WIDE_GAP = 0.1  # domain gap of the output from which on a student takes synthetic events for something else
FEW = 20  # predictions that are too few to differ from chance
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
    "domain_gap": "raise synthesis.motion_generations, change synthesis.kind, or use distillation.method=auto",
    "teacher_order": "put its outputs into the order of the data set's classes",
}
TUNING = "the float student is sound, rounding or tuning broke it: lower quantization.lr, or quantization.epochs = 0"
DEPLOYED = "lower or raise its thresholds, or round it with spikeport export --calibrate FRAMES.npz"


class FindingJson(TypedDict):
    """`Finding` as JSON."""

    kind: str
    where: str
    value: Any
    text: str
    remedy: str


class Learning(TypedDict, total=False):
    """The keys of a row of metrics.jsonl that findings come from.

    Attributes:
        epoch: number from 1.
        rates: spikes per neuron and time step, by layer.
        gradient: largest absolute gradient of the epoch's first step; None if no gradient was finite.
    """

    epoch: int
    rates: Mapping[str, float] | None
    gradient: float | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        kind: a key of REMEDIES.
        where: the stage, and layers if it is about some.
        value: what was measured, as JSON.
        text: the same as a clause for people.
        remedy: settings that help.
    """

    kind: str
    where: str
    value: Any
    text: str
    remedy: str

    def to_json(self) -> FindingJson:
        """The finding as JSON."""
        return {
            "kind": self.kind,
            "where": self.where,
            "value": self.value,
            "text": self.text,
            "remedy": self.remedy,
        }


def line(finding: Finding | FindingJson) -> str:
    """A finding, or its `to_json` form, as one line.

    Args:
        finding: the finding, or its JSON form.
    """
    plain = finding.to_json() if isinstance(finding, Finding) else finding
    return f"warning: {plain['where']}: {plain['text']}; {plain['remedy']}"


def of_epoch(stage: str, rows: Sequence[Learning], *, last: bool) -> list[Finding]:
    """Findings of the latest epoch of a training.

    Args:
        stage: the stage that trains.
        rows: an earlier row of metrics.jsonl, SETTLED_STEPS optimizer steps before, where there is one, and the latest
            row, with `rates` (spikes per neuron and time step, by layer) and `gradient` (see `of_gradient`).
        last: whether this is the last epoch. Before it, a layer counts as dead or saturated only if it was so in the
            earlier row as well, because weights and their moving averages change fast at first.
    """
    before: Learning = rows[-2] if len(rows) > 1 else {}
    now = rows[-1]
    rates = now.get("rates") or {}
    if not last:
        then = before.get("rates") or {}
        rates = {
            name: rate
            for name, rate in rates.items()
            if name in then and (rate == 0) == (then[name] == 0) and (rate > SATURATED) == (then[name] > SATURATED)
        }
    return [*of_rates(stage, rates), *of_gradient(stage, now)]


def of_gradient(stage: str, row: Learning) -> list[Finding]:
    """Missing gradients.

    Args:
        stage: the stage that trains.
        row: a row of metrics.jsonl; `gradient` is the largest absolute gradient of the epoch's first step, or None if
            no gradient was finite.
    """
    gradient = row.get("gradient", 1.0)
    if gradient is None:
        return [_finding("bad_gradient", stage, None, f"no gradient was finite in epoch {row['epoch']}")]
    if gradient == 0:
        return [_finding("no_gradient", stage, 0.0, f"every gradient was exactly zero in epoch {row['epoch']}")]
    return []


def of_rates(stage: str, rates: Mapping[str, float]) -> list[Finding]:
    """Layers that never fire, or fire in almost every step.

    Args:
        stage: name of the stage.
        rates: spikes per neuron and time step, by layer.
    """
    dead = {name: rate for name, rate in rates.items() if rate == 0}
    full = {name: rate for name, rate in rates.items() if rate > SATURATED}
    found = []
    if dead:
        found.append(_finding("dead_layer", _layers(stage, dead), dead, f"never fire{_s(dead)}"))
    if full:
        shares = ", ".join(f"{100 * rate:.0f} %" for rate in full.values())
        text = f"fire{_s(full)} in {shares} of all steps, and carr{'ies' if len(full) == 1 else 'y'} no information"
        found.append(_finding("saturated_layer", _layers(stage, full), full, text))
    return found


def of_answers(stage: str, predicted: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """Silent recordings, or predictions that are no better than chance.

    Args:
        stage: the stage whose network was tested.
        predicted: int `[N]`, classes, or SILENT.
        labels: int `[N]`, classes, or UNLABELED.
    """
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
    """Predictions whose accuracy is not above the share of the most frequent class.

    With FEW predictions or more, the lower end of the accuracy's 95 % interval must be above that share.

    Args:
        kind: kind of the finding.
        where: name of the stage.
        predicted: int64 `[N]`.
        labels: int64 `[N]`.
    """
    answers = compare_with_labels(labels, predicted)
    labels = np.asarray(labels)[np.asarray(labels) != UNLABELED]
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
    """A teacher whose outputs are in another order than the classes, or that is no better than chance.

    Args:
        predicted: int `[N]`, its classes for images that it was not trained on.
        labels: int `[N]`.
        classes: names of the classes.
    """
    from scipy.optimize import linear_sum_assignment

    known = (np.asarray(labels) != UNLABELED) & (np.asarray(predicted) != SILENT)
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
            f"its classes are in another order: {100 * as_they_are / n:.1f} % of {n:,} images are recognized, "
            f"{100 * renamed / n:.1f} % if {listed}{' and so on' if len(moved) > LISTED_CLASSES else ''}"
        )
        value = {"right": as_they_are, "renamed": renamed, "n": n, "classes_of_outputs": meant.tolist()}
        return [_finding("teacher_order", "teacher", value, text)]
    return of_guesses("teacher_guessing", "teacher", predicted, labels)


def of_teacher_against(stage: str, teacher: np.ndarray, student: np.ndarray) -> list[Finding]:
    """A teacher with fewer correct test items than its student.

    Args:
        stage: name of the stage.
        teacher: bool `[N]`, which items the teacher classifies correctly.
        student: bool `[N]`, the same for the student on the same items.
    """
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


def of_gap(stage: str, gap: Sequence[LayerGap]) -> list[Finding]:
    """Synthetic events that the output layer of the student takes for something else than recordings.

    Args:
        stage: name of the stage.
        gap: the domain gap of the layers, in their order; empty where none was measured.
    """
    if not gap or gap[-1].gap < WIDE_GAP or gap[-1].gap < 3 * gap[-1].among_recordings:
        return []
    text = f"synthetic events are unlike the recordings: domain gap {gap[-1].gap:.2f} in {gap[-1].layer}"
    return [_finding("domain_gap", stage, {"gap": gap[-1].gap, "layer": gap[-1].layer}, text)]


def after_tuning(found: Sequence[Finding], before: Sequence[FindingJson]) -> list[Finding]:
    """Findings about a quantized student. Those that the float student does not have get another remedy.

    Args:
        found: findings about the quantized student.
        before: findings about the float student.
    """
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

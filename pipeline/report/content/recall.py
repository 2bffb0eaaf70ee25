"""Recall of each class, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from spikeport.pipeline.run.intervals import wilson

CLASSES_LISTED = 40  # most classes of a table; of more classes, those with the lowest recall


class Recall(TypedDict):
    """Recall of one class; None where it has no recording.

    Attributes:
        label: the class.
        n: its recordings.
        value: share of them that are classified correctly.
        low: lower end of Wilson's 95 % interval.
        high: upper end of the interval.
    """

    label: str
    n: int
    value: float | None
    low: float | None
    high: float | None


class Recalls(TypedDict):
    """Recall of all classes.

    Attributes:
        classes: the classes in their order.
        macro: mean recall of the classes that have recordings; None without any.
        majority: share of the most frequent class; None without recordings.
        majority_class: name of that class; None without recordings.
    """

    classes: list[Recall]
    macro: float | None
    majority: float | None
    majority_class: str | None


def recalls(counts: Sequence[Sequence[int]], silent: Sequence[int], classes: Sequence[str]) -> Recalls:
    """Recall of each class with Wilson's 95 % interval. A recording without an answer counts as wrong.

    Args:
        counts: `[K][K]`, rows are labels, columns are predicted classes.
        silent: `[K]`, recordings of each label without an answer.
        classes: names of the K classes.
    """
    sizes = [sum(row) + none for row, none in zip(counts, silent, strict=True)]
    found = [_recall(classes[k], row[k], sizes[k]) for k, row in enumerate(counts)]
    values = [one["value"] for one in found if one["value"] is not None]
    if not values:
        return {"classes": found, "macro": None, "majority": None, "majority_class": None}
    most = max(range(len(sizes)), key=sizes.__getitem__)
    return {
        "classes": found,
        "macro": sum(values) / len(values),
        "majority": sizes[most] / sum(sizes),
        "majority_class": classes[most],
    }


def listed(found: Recalls) -> list[Recall]:
    """The classes of a table: all that have recordings, or of many those with the lowest recall, in their order.

    Args:
        found: recall of all classes.
    """
    known = [(one["value"], k) for k, one in enumerate(found["classes"]) if one["value"] is not None]
    return [found["classes"][k] for k in sorted(k for _, k in sorted(known)[:CLASSES_LISTED])]


def _recall(label: str, correct: int, n: int) -> Recall:
    if not n:
        return {"label": label, "n": 0, "value": None, "low": None, "high": None}
    low, high = wilson(correct, n)
    return {"label": label, "n": n, "value": correct / n, "low": low, "high": high}

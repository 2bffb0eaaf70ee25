"""Which classes are taken for which: counted as scikit-learn counts them, listed and drawn as worked out by hand."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix

from spikeport.pipeline.report.content.confusion import CLASSES_DRAWN, MISTAKES, confusion, mistakes, shaded


def test_counts_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 5, 300), rng.integers(0, 4, 300)
    expected = confusion_matrix(labels, predicted, labels=range(5)).tolist()
    assert confusion(labels, predicted, 5)[:, :5].tolist() == expected
    assert not confusion(labels, predicted, 5)[:, 5].any()


def test_the_most_frequent_mistakes_by_hand() -> None:
    counts = [[7, 2, 0], [0, 4, 5], [1, 0, 0]]
    assert mistakes(counts, ["a", "b", "c"]) == [
        {"label": "b", "predicted": "c", "count": 5, "of": 9},
        {"label": "a", "predicted": "b", "count": 2, "of": 9},
        {"label": "c", "predicted": "a", "count": 1, "of": 1},
    ]
    many = np.ones((6, 6), int).tolist()
    assert len(mistakes(many, list("abcdef"))) == MISTAKES
    assert mistakes([[3, 0], [0, 4]], ["a", "b"]) == []


def test_shares_are_of_the_label_s_recordings() -> None:
    first, second = shaded([[3, 1], [0, 0]], ["a", "b"])
    assert (first["total"], [cell["share"] for cell in first["cells"]]) == (4, [0.75, 0.25])
    assert [cell["own"] for cell in first["cells"]] == [True, False]
    assert [cell["share"] for cell in second["cells"]] == [0.0, 0.0]


def test_many_classes_are_not_drawn() -> None:
    size = CLASSES_DRAWN + 1
    assert shaded(np.eye(size, dtype=int).tolist(), list(map(str, range(size)))) == []

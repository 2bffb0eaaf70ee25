"""Which recordings an epoch has: each once, or as many drawn so that all classes are equally likely."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe

from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training import student_task
from spikeport.pipeline.training.train import train_student


def with_sampling(sampling: str) -> Recipe:
    recipe = tiny_recipe()
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"sampling": sampling})})


def rare_class_dataset():
    """The tiny set with one recording of class 0 and four of class 1 left to train on."""
    data = tiny_dataset()
    labels = data.train.labels
    rows = np.concatenate([
        np.flatnonzero(labels == label)[:most] for label, most in zip(np.unique(labels), (1, 4, 99, 99), strict=False)
    ])  # fmt: skip
    part = data.train
    paired = None if part.paired_images is None else part.paired_images.take(rows)
    train = replace(
        part, frames=part.frames[rows], labels=labels[rows], keys=tuple(part.keys[row] for row in rows),
        events=None if part.events is None else part.events[rows],
        facts=None if part.facts is None else part.facts[rows], paired_images=paired,
    )  # fmt: skip
    return replace(data, train=train)


def rows_by_epoch(sampling: str, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of all epochs of a training."""
    seen: list[list[int]] = []
    drawn = student_task.StudentTask.rows_of_epoch

    def spy(self, generator: torch.Generator) -> torch.Tensor:
        rows = drawn(self, generator)
        seen.append(rows.tolist())
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(student_task.StudentTask, "rows_of_epoch", spy)
        train_student(with_sampling(sampling), data, None, "baseline", tmp_path / sampling)
    return seen


def test_an_epoch_has_each_recording_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = rare_class_dataset()
    for rows in rows_by_epoch("shuffle", data, tmp_path, monkeypatch):
        assert sorted(rows) == list(range(len(data.train.labels)))


def test_balanced_classes_are_equally_likely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 epochs drawn by hand each class has its share to 4 standard deviations; those of a training repeat."""
    data = rare_class_dataset()
    labels = data.train.labels
    epochs = rows_by_epoch("balanced", data, tmp_path, monkeypatch)
    assert all(len(rows) == len(labels) for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == len(epochs), "every epoch draws anew"
    again = rows_by_epoch("balanced", data, tmp_path / "again", monkeypatch)
    assert again == epochs
    task = student_task.StudentTask.__new__(student_task.StudentTask)
    torch.nn.Module.__init__(task)
    task.samples = len(labels)
    task.row_weights = 1 / torch.bincount(torch.as_tensor(labels)).double()[torch.as_tensor(labels)]
    generator = torch.Generator().manual_seed(5)
    counts = Counter(int(labels[row]) for _ in range(1000) for row in task.rows_of_epoch(generator).tolist())
    total, classes = sum(counts.values()), len(np.unique(labels))
    share = 1 / classes
    for label in np.unique(labels):
        assert abs(counts[int(label)] / total - share) < 4 * np.sqrt(share * (1 - share) / total)

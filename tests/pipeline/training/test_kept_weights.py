"""Which weights a training keeps: the moving average, at the epoch with the best smoothed score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from json_lines import lines
from learning_data import tiny_dataset, tiny_recipe

from spikeport.export.network.readout import classify
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import CHECKPOINT
from spikeport.pipeline.training.evaluate import student_accuracy
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.results import BestEpoch
from spikeport.pipeline.training.task import TrainingTask
from spikeport.pipeline.training.train import train_student


def test_the_epoch_with_the_best_smoothed_score_is_kept(tmp_path: Path) -> None:
    """Epochs are ranked by the mean accuracy of the last five; the student returned is that epoch's."""
    recipe, data = tiny_recipe(training={"epochs": 8}), tiny_dataset()
    student = train_student(recipe, data, None, "baseline", tmp_path)
    accuracies = [row["validation_accuracy"] for row in lines(tmp_path / "metrics.jsonl")]
    standings = [np.mean(accuracies[max(0, epoch - 5) : epoch]) for epoch in range(1, 9)]
    chosen = max(epoch for epoch in range(1, 9) if standings[epoch - 1] == max(standings))
    best = read_tree(tmp_path / CHECKPOINT)["best"]
    assert best["epoch"] == chosen
    assert student_accuracy(student, data.validation) == accuracies[chosen - 1]
    spikes = predict_spikes(student, data.validation.frames)
    assert np.mean(classify(spikes) == data.validation.labels) == accuracies[chosen - 1]
    assert not student.training
    assert all(torch.equal(best["weights"][key], tensor) for key, tensor in student.state_dict().items())


class Toy(TrainingTask):
    """A linear model of two inputs; notes its weights after every step, and is scored by a script."""

    def __init__(self, scores: list[float | None], ema_decay: float) -> None:
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
        settings = {"stage": "toy", "samples": 6, "batch": 2, "lr": 0.1, "weight_decay": 0.0, "warmup_epochs": 0}
        super().__init__(model, epochs=len(scores), seed=1, identity={}, ema_decay=ema_decay, **settings)
        self.script, self.seen = iter(scores), []

    def loss(self, rows, index):
        return self.model(torch.stack([rows.float(), rows.float() ** 2], dim=1)).square().mean(), {}

    def score(self, model):
        return next(self.script)

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        self.seen.append(self.model.weight.detach().clone())


def test_the_weights_kept_are_the_moving_average(tmp_path: Path) -> None:
    """A young one keeps less of itself: (1 + n) / (10 + n) after n steps, so that the first weights do not linger."""
    toy = Toy([0.1, 0.2], ema_decay=0.3)
    fit(toy, tmp_path, tiny_recipe().training)
    expected = toy.seen[0]
    for weights, decay in zip(toy.seen[1:], [2 / 11, 3 / 12, 0.3, 0.3, 0.3], strict=True):
        expected = decay * expected + (1 - decay) * weights
    assert len(toy.seen) == 6
    torch.testing.assert_close(toy.model.weight, expected)  # rounding of five float32 averages
    assert not torch.allclose(expected, toy.seen[-1], atol=1e-3)


def test_one_lucky_epoch_is_not_kept(tmp_path: Path) -> None:
    toy = Toy([0.5, 0.9, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 0.7], ema_decay=0.0)
    assert fit(toy, tmp_path, tiny_recipe().training).epoch == 8  # its last five are 0.8; the lucky one stood at 0.7
    torch.testing.assert_close(toy.model.weight, toy.seen[8 * 3 - 1])


def test_epochs_below_the_start_are_not_kept(tmp_path: Path) -> None:
    """Where the start counts: the sixth epoch's last five stand at 0.9, but it itself reads less than the start."""
    toy = Toy([0.7, 0.95, 0.95, 0.95, 0.95, 0.71], ema_decay=0.0)
    toy.script = iter([0.8, 0.7, 0.95, 0.95, 0.95, 0.95, 0.71])
    assert fit(toy, tmp_path / "from the start", tiny_recipe().training, score_start=True).epoch == 5
    again = Toy([0.7, 0.95, 0.95, 0.95, 0.95, 0.71], ema_decay=0.0)
    assert fit(again, tmp_path / "anyhow", tiny_recipe().training).epoch == 6


def test_without_a_score_the_last_epoch_is_kept(tmp_path: Path) -> None:
    toy = Toy([None, None, None], ema_decay=0.0)
    assert fit(toy, tmp_path, tiny_recipe().training) == BestEpoch(3, None)
    torch.testing.assert_close(toy.model.weight, toy.seen[-1], rtol=0, atol=0)
    assert [row["validation_accuracy"] for row in lines(tmp_path / "metrics.jsonl")] == [None] * 3

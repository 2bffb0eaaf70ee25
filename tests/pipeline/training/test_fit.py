"""Optimizers, accumulation, clipping, early stopping and precision of a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe
from toy_training import LeastSquares, by_hand

from spikeport.errors import UserError
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.precision import autocast_forwards
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.results import BestEpoch
from spikeport.pipeline.training.train import initial_student, train_student


def settings(**values):
    return tiny_recipe(training={"epochs": 3, **values}).training


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"accumulate": 3},
        {"accumulate": 3, "gradient_clip_norm": 0.7, "ema_decay": 0.0},
        {"optimizer": "sgd", "warmup_start_factor": 0.3, "min_lr_factor": 0.1},
        {"optimizer": "sgd", "schedule": "constant", "gradient_clip_norm": 1.5, "accumulate": 2},
    ],
)
def test_every_step_is_the_one_that_numpy_takes(tmp_path: Path, values: dict) -> None:
    """Batches of 7 and 8 in parts of unequal size are one step each, whatever the number of parts."""
    toy = LeastSquares()
    fit(toy, tmp_path, settings(**values))
    # float32 against float64 over nine steps; a part that counted wrongly would move weights by 1e-2
    np.testing.assert_allclose(toy.model.weight.detach().numpy()[0], by_hand(settings(**values)), rtol=2e-5)


def test_options_change_what_numpy_gets() -> None:
    """So that the test above can fail."""
    options = [
        {},
        {"gradient_clip_norm": 0.7},
        {"optimizer": "sgd"},
        {"warmup_start_factor": 0.3},
        {"min_lr_factor": 0.1},
        {"schedule": "constant"},
    ]
    found = np.array([by_hand(settings(**values)) for values in options])
    apart = np.abs(found[:, None] - found).max(-1) + np.eye(len(options))
    assert apart.min() > 1e-3


def test_metrics_do_not_depend_on_the_number_of_parts(tmp_path: Path) -> None:
    rows = []
    for parts in (1, 3):
        fit(LeastSquares(), tmp_path / str(parts), settings(accumulate=parts))
        rows.append([json.loads(line) for line in (tmp_path / str(parts) / "metrics.jsonl").read_text().splitlines()])
    for one, three in zip(*rows, strict=True):
        assert one["loss"] == pytest.approx(three["loss"], rel=1e-5)  # float32 sums in another order
        assert one["lr"] == three["lr"]


def test_batches_smaller_than_their_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"toy: batches of 7 cannot be cut into 8 parts.*lower training.accumulate"):
        fit(LeastSquares(), tmp_path, settings(accumulate=8))


def test_it_stops_some_epochs_after_the_best_and_stays_stopped(tmp_path: Path) -> None:
    """Means of the last scores: 0.2, 0.5, 0.4, 0.375: the second is best, two epochs later it stops."""
    scores = [0.2, 0.8, 0.2, 0.3, 1.0, 1.0, 1.0]
    for _ in range(2):  # the second time from the checkpoint
        toy = LeastSquares(7, scores)
        assert fit(toy, tmp_path, settings(patience=2)) == BestEpoch(2, 0.5)
        assert [row.validation_accuracy for row in toy.history] == scores[:4]
    assert fit(LeastSquares(7, scores), tmp_path / "patient", settings(patience=4)).epoch == 7


def test_equal_epochs_are_no_rise_though_the_later_is_kept(tmp_path: Path) -> None:
    """Three epochs after the first it ends, with the last weights. A mean of equal scores that are no binary
    fractions does not rise by its rounding."""
    for value in (1.0, 0.9, 0.7):
        toy = LeastSquares(9, [value] * 9)
        assert fit(toy, tmp_path / str(value), settings(patience=3)).epoch == 4
        assert [row.planned_epochs for row in toy.history] == [None, None, None, 9]


def test_a_training_that_patience_ends_with_its_last_epoch_is_not_stopped_early(tmp_path: Path) -> None:
    toy = LeastSquares(4, [0.5, 0.4, 0.4, 0.4])
    fit(toy, tmp_path, settings(patience=3))
    assert [row.planned_epochs for row in toy.history] == [None] * 4


@pytest.mark.parametrize("killed", [1, 3, 4])
def test_a_resumed_training_stops_at_the_same_epoch_with_the_same_weights(tmp_path: Path, killed: int) -> None:
    """Means: 0.2, 0.3, 0.3, 0.25, 0.3: the second rose last, so that the fifth is the end."""

    class Killed(LeastSquares):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == killed:
                raise KeyboardInterrupt
            super().on_train_epoch_start()

    scores = [0.2, 0.4, 0.3, 0.1, 0.5, 0.9, 0.9, 0.9]
    whole = LeastSquares(8, scores)
    fit(whole, tmp_path / "whole", settings(patience=3))
    assert len(whole.history) == 5
    with pytest.raises(KeyboardInterrupt):
        fit(Killed(8, scores), tmp_path / "killed", settings(patience=3))
    resumed = LeastSquares(8, scores)
    fit(resumed, tmp_path / "killed", settings(patience=3))
    assert [row.validation_accuracy for row in resumed.history] == scores[:5]
    assert resumed.best.chosen == whole.best.chosen
    assert torch.equal(resumed.model.weight, whole.model.weight)


def test_without_a_score_nothing_stops_early(tmp_path: Path) -> None:
    toy = LeastSquares(4)
    assert fit(toy, tmp_path, settings(patience=1)) == BestEpoch(4, None)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_stays_near_float32(tmp_path: Path, precision: str) -> None:
    losses = {}
    for name in ("32", precision):
        recipe = tiny_recipe(training={"precision": name, "epochs": 4, "lr": 3e-2})
        train_student(recipe, tiny_dataset(), None, "baseline", tmp_path / name)
        rows = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        losses[name] = np.array([row["loss"] for row in rows])
    assert np.isfinite(losses[precision]).all()
    assert losses[precision][-1] < 0.95 * losses[precision][0]
    assert (losses[precision] != losses["32"]).any()
    np.testing.assert_allclose(losses[precision], losses["32"], rtol=0.2)  # spikes flip; the course is the same


def test_only_synapses_are_narrow() -> None:
    """Convolutions give bfloat16; cells get float32, losses get float32, scores see float32 throughout."""
    student, frames, seen = initial_student(tiny_recipe(), tiny_dataset()), torch.rand(4, 3, 2, 9, 11).round(), []
    student.backbone["conv1"].register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    plain = student.eval()(frames).features
    with autocast_forwards(student, "bf16-mixed", "cpu"):
        scored = student.eval()(frames).features
        narrow = student.train()(frames)
    assert seen == [torch.float32, torch.float32, torch.bfloat16]
    assert {narrow.logits.dtype, narrow.features.dtype, narrow.spikes.dtype} == {torch.float32}
    assert torch.equal(scored, plain)
    student.train()(frames)
    assert seen[-1] == torch.float32  # and afterwards all is as before
    cell = LoihiLeaky(0.5)
    with autocast_forwards(cell, "bf16-mixed", "cpu"):
        _, mem = cell(torch.full((2, 1), 0.6).bfloat16())
    assert mem.dtype == torch.float32


def test_the_chips_arithmetic_is_never_narrow(tmp_path: Path) -> None:
    """Fine-tuning in Loihi numerics gives the same weights under every precision."""
    tuned = []
    for precision in ("32", "bf16-mixed"):
        recipe = tiny_recipe(training={"precision": precision})
        student = initial_student(recipe, tiny_dataset())
        tuned.append(qat_finetune(recipe, tiny_dataset(), student, tmp_path / precision).state_dict())
    assert all(torch.equal(tuned[0][key], tuned[1][key]) for key in tuned[0])


@pytest.mark.parametrize(
    ("values", "plans"),
    [
        ({"optimizer": "sgd", "min_lr_factor": 0.1}, [3, 5]),
        ({"optimizer": "sgd"}, [2, 3, 7]),
        ({"accumulate": 2}, [1, 4]),
        ({"optimizer": "sgd", "schedule": "constant"}, [2, 4]),
    ],
)
def test_more_epochs_of_a_finished_training_are_those_that_numpy_takes(
    tmp_path: Path, values: dict, plans: list[int]
) -> None:
    """Each step has the learning rate of the schedule over all epochs that were planned when it was taken."""
    for epochs in plans:
        toy = LeastSquares(epochs)
        toy.epochs_key, toy.identity["recipe"] = "training.epochs", {"training": {"epochs": epochs}}
        fit(toy, tmp_path, settings(**values))
        assert len(toy.history) == epochs
    expected = by_hand(settings(**values), plans=plans)
    np.testing.assert_allclose(toy.model.weight.detach().numpy()[0], expected, rtol=2e-5)
    if settings(**values).schedule == "cosine":
        assert np.abs(expected - by_hand(settings(**values), plans[-1])).max() > 1e-3  # planned at once
    else:
        at_once = LeastSquares(plans[-1])
        fit(at_once, tmp_path / "at once", settings(**values))
        assert torch.equal(toy.model.weight, at_once.model.weight)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, plans[-1] + 1))


@pytest.mark.parametrize(("key", "epochs"), [("", 5), ("training.epochs", 2), ("training.lr", 5)])
def test_a_checkpoint_is_good_for_more_epochs_of_its_own_key_alone(tmp_path: Path, key: str, epochs: int) -> None:
    for planned in (3, epochs):
        toy = LeastSquares(planned)
        toy.epochs_key, toy.identity["recipe"] = key, {"training": {"epochs": planned, "lr": 0.5}}
        if planned == 3:
            fit(toy, tmp_path, settings())
    with pytest.raises(UserError, match="belongs to another recipe"):
        fit(toy, tmp_path, settings())

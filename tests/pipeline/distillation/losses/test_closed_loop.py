"""Weights that a controller sets: by hand, at their limits, in the alignment, and after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe
from loss_inputs import randn

from spikeport.pipeline.distillation.losses.alignment import CkaAlignment
from spikeport.pipeline.distillation.losses.closed_loop import ClosedLoop
from spikeport.pipeline.distillation.losses.similarity import cka
from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import CHECKPOINT
from spikeport.pipeline.training.train import train_student


def loop(steps: int = 2, maximum: float = 0.75) -> ClosedLoop:
    return ClosedLoop(steps, target=0.5, gain=0.5, smoothing=0.5, maximum=maximum)


def test_three_steps_by_hand() -> None:
    """Smoothed (1/4, 3/4), (1/8, 3/8), (9/16, 5/16); the weight changes by half its distance to 1/2, down to 0."""
    controller = loop()
    weights = [controller(torch.tensor(c)).tolist() for c in ((0.0, 1.0), (0.0, 0.0), (1.0, 0.25))]
    assert weights == [[0.125, 0.0], [0.3125, 0.0625], [0.28125, 0.15625]]
    assert controller.smoothed.tolist() == [0.5625, 0.3125]


def test_the_limits_are_reached_and_left_again() -> None:
    """No windup: one measurement above the set point is enough to come off the upper limit."""
    controller = loop()
    for _ in range(9):
        weights = controller(torch.tensor([0.0, 1.0]))
    assert weights.tolist() == [0.75, 0.0]
    controller.smoothed[:] = 0.5
    assert controller(torch.tensor([1.0, 0.0])).tolist() == [0.625, 0.125]


def test_outside_of_training_nothing_is_measured() -> None:
    controller = loop().eval()
    assert controller(torch.zeros(2)).tolist() == [0.0, 0.0]
    assert controller.smoothed.tolist() == [0.5, 0.5]


def test_its_state_goes_on_where_it_was() -> None:
    first, second = loop(), loop()
    first(torch.tensor([0.0, 1.0]))
    second.load_state_dict(first.state_dict())
    for controller in (first, second):
        controller(torch.tensor([0.25, 0.0]))
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.smoothed, second.smoothed)
    assert not list(first.parameters())


def test_processes_regulate_by_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process measured 1 everywhere."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.add_(1.0))
    measured = torch.tensor([0.0, 0.5])
    assert loop()(measured).tolist() == pytest.approx(loop()(torch.tensor([0.5, 0.75])).tolist())
    assert measured.tolist() == [0.0, 0.5]


def test_the_alignment_weighs_its_steps_and_not_the_events() -> None:
    """L = mean_t a_t (1 - CKA_t), a_t from this measurement on, without a gradient of its own."""
    a, b = randn(0, 3, 6, 4).requires_grad_(), randn(1, 3, 6, 4)
    alignment = CkaAlignment(3, coefficients="closed_loop", target=0.9, gain=0.4, smoothing=0.25)
    similar = cka(a, b).abs().detach()
    smoothed = 0.25 * 0.9 + 0.75 * similar
    weights = (0.4 * (0.9 - smoothed)).clamp(0.0, 0.9)
    assert weights.min() > 0.01
    for _ in range(2):
        found = alignment(a, b)
        torch.testing.assert_close(found.alphas, weights, atol=1e-6, rtol=0)  # float32
        torch.testing.assert_close(found.loss, (weights * (1 - similar)).mean(), atol=1e-6, rtol=0)
        assert found.event_weights is None
        smoothed = 0.25 * smoothed + 0.75 * similar
        weights = (weights + 0.4 * (0.9 - smoothed)).clamp(0.0, 0.9)
    found.loss.backward()
    (gradient,) = torch.autograd.grad((found.alphas * (1 - cka(a, b).abs())).mean(), a)
    torch.testing.assert_close(a.grad, gradient)


@pytest.mark.parametrize("method", ["ckd-events", "he2024"])
def test_a_stopped_training_goes_on_to_the_same_weights(method: str, tmp_path: Path) -> None:
    """Stopped in its second epoch, when weights have left 0: state of the loop, student and log as if unbroken."""

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if done > total // 2:
            raise StoppedError

    class Bright:
        def render(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return (images.amax(1) > 0.5).float()[None, :, None].expand(4, -1, 2, -1, -1)

    options = {"cka_closed_loop": True, "cka_target": 1.0, "cka_gain": 0.5, "cka_weight": 2.0}
    recipe = tiny_recipe(
        distillation={"method": method, "options": options | ({"kd_weight": 0.0} if method == "ckd-events" else {})},
        training={"epochs": 3, "ema_decay": 0.0},
        student={"v_threshold": 0.2},
    )
    data = tiny_dataset(train=24)
    whole = train_student(recipe, data, None, method, tmp_path / "whole", synthesizer=Bright())
    with pytest.raises(StoppedError):
        train_student(recipe, data, None, method, tmp_path / "parts", stop, synthesizer=Bright())
    parts = train_student(recipe, data, None, method, tmp_path / "parts", synthesizer=Bright())
    for key, tensor in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[key], tensor), key
    ends = [read_tree(tmp_path / name / CHECKPOINT)["state_dict"] for name in ("whole", "parts")]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    (weights,) = (ends[0][key] for key in ends[0] if key.endswith("loop.weights"))
    assert weights.all()

"""Activation maps: the specification's numbers, what changes nothing, gradients, and maps of a teacher."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import SPEC
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.cam_kd import cam_kd, class_activation_map, grad_cam


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_places() -> tuple[Tensor, Tensor]:
    """T = 2, B = C = 1, a map of 1 x 2: (1, 0) at both steps, against (0, 2)."""
    features = torch.tensor([1.0, 0.0], dtype=torch.float64).view(1, 1, 1, 1, 2).expand(2, -1, -1, -1, -1)
    return features, torch.tensor([[[0.0, 2.0]]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"normalize": "none"}, 4 * math.tanh(0.5)),
        ({"normalize": "none"}, 1.848469),
        ({"normalize": "minmax", "tau_square": False}, 0.122459),
        ({"normalize": "minmax_batch", "tau_square": False}, 0.122339),
    ],
)
def test_known_values(options: dict, expected: float) -> None:
    assert cam_kd(*two_places(), **options).item() == pytest.approx(expected, abs=SPEC)


@pytest.mark.parametrize("normalize", ["minmax", "none"])
def test_equal_maps_and_what_changes_nothing(normalize: str) -> None:
    features, wanted = rand(0, 3, 2, 4, 5, 6), 5 * rand(1, 2, 5, 6)
    assert cam_kd(features, features.sum((0, 2)), normalize=normalize, tau_map=0.7).item() == pytest.approx(
        0, abs=1e-12
    )
    value = cam_kd(features, wanted, normalize=normalize)
    same = [
        cam_kd(features[[2, 0, 1]][:, :, [3, 1, 0, 2]], wanted, normalize=normalize),  # other order of T and C
        cam_kd(features, wanted + 3, normalize=normalize),  # a constant map more
        cam_kd(features[:, [1, 0]], wanted[[1, 0]], normalize=normalize),
    ]
    for other in same:
        torch.testing.assert_close(other, value)
    alone = [cam_kd(features[:, [b]], wanted[[b]], normalize=normalize) for b in range(2)]
    torch.testing.assert_close(torch.stack(alone).mean(), value)  # samples do not see each other


def test_what_moves_between_channels_changes_nothing() -> None:
    features, wanted = rand(0, 3, 2, 4, 5, 6), rand(1, 2, 5, 6)
    moved = features.clone()
    moved[1, 0, 3, 2, 4] += moved[0, 0, 1, 2, 4]
    moved[0, 0, 1, 2, 4] = 0
    torch.testing.assert_close(cam_kd(moved, wanted), cam_kd(features, wanted))


def test_maps_as_rates() -> None:
    """M_s = (2, 0) over T C = 2 x 1: (1, 0). M_t = (0, 2) by its largest: (0, 1). tau 1: KL = tanh(1/2) = 0.462117."""
    features = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(2, 1, 1, 1, 2)
    wanted = torch.tensor([[[0.0, 2.0]]], dtype=torch.float64)
    assert cam_kd(features, wanted, normalize="rate", tau_map=1.0).item() == pytest.approx(math.tanh(0.5))


def test_the_gradient_of_raw_maps() -> None:
    """tau (P_s - P_t) / B at every step and channel alike; it sums to zero over places."""
    features, wanted, tau = rand(0, 3, 2, 4, 5, 6).requires_grad_(), rand(1, 2, 5, 6), 2.0
    cam_kd(features, wanted, normalize="none", tau_map=tau).backward()
    ours = (features.detach().sum((0, 2)).flatten(1) / tau).softmax(1)
    expected = tau * (ours - (wanted.flatten(1) / tau).softmax(1)).view(2, 5, 6) / 2
    for t in range(3):
        for c in range(4):
            torch.testing.assert_close(features.grad[t, :, c], expected)
    torch.testing.assert_close(features.grad.sum((3, 4)), torch.zeros(3, 2, 4, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_larger_map_is_averaged_down() -> None:
    features, wanted = rand(0, 1, 2, 1, 2, 3), rand(1, 2, 4, 6)
    small = wanted.view(2, 2, 2, 3, 2).mean((2, 4))
    torch.testing.assert_close(cam_kd(features, wanted), cam_kd(features, small))


def test_silent_students_and_teachers_that_see_nothing() -> None:
    silent = torch.zeros(2, 3, 4, 2, 5, requires_grad=True)
    loss = cam_kd(silent, rand(1, 3, 2, 5))
    loss.backward()
    assert torch.isfinite(loss)
    assert 0 < silent.grad.abs().max() < 1  # the floor of one spike: no blow-up
    features, wanted = rand(2, 2, 3, 4, 2, 5), rand(3, 3, 2, 5)
    wanted[1] = 0
    torch.testing.assert_close(cam_kd(features, wanted), cam_kd(features[:, [0, 2]], wanted[[0, 2]]))
    assert cam_kd(features, 0 * wanted).item() == 0
    assert cam_kd(features, 0 * wanted, skip_empty=False).item() > 0
    assert cam_kd(features[..., :1, :1], wanted[:, :1, :1]).item() == 0  # a single place
    with pytest.raises(UserError, match="do not fit"):
        cam_kd(features, wanted[:2])
    with pytest.raises(UserError, match="temperature"):
        cam_kd(features, wanted, tau_map=0.0)


def test_class_activation_maps() -> None:
    maps, classes = rand(0, 2, 3, 4, 5) - 0.5, torch.tensor([1, 0])
    averaged, flat = rand(1, 6, 3) - 0.5, rand(2, 6, 60) - 0.5
    for weight in (averaged, flat):
        found = class_activation_map(maps, weight, classes)
        for b in range(2):
            rows = weight[classes[b]].numpy().reshape(3, *((4, 5) if weight is flat else (1, 1)))
            np.testing.assert_allclose(found[b], np.maximum((rows * maps[b].numpy()).sum(0), 0))
    with pytest.raises(UserError, match="head of 7 inputs"):
        class_activation_map(maps, rand(1, 6, 7), classes)


def test_grad_cam_is_cam_behind_a_mean_over_places() -> None:
    """Grad-CAM weight = W[c, d] / (H W), so the maps are equal but for that factor."""
    maps, classes = (rand(0, 2, 3, 4, 5) - 0.5).requires_grad_(), torch.tensor([1, 0])
    head = nn.Linear(3, 6).double()
    found = grad_cam(maps, head(maps.mean((2, 3))), classes)
    assert not found.requires_grad
    torch.testing.assert_close(20 * found, class_activation_map(maps.detach(), head.weight.detach(), classes))

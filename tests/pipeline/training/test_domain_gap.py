"""The domain gap against SciPy's energy distance, and on students that see the same or other recordings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance

from spikeport.pipeline.data.event_synthesis.energy_coefficient import energy_coefficient
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.domain_gap import domain_gap

T, H, W, K = 5, 12, 16, 3


def test_the_energy_coefficient_of_numbers_is_scipys_energy_distance() -> None:
    """SciPy's is the square root of 2 E|X - Y| - E|X - X'| - E|Y - Y'| with means over all pairs, x with itself too."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=40), rng.normal(1.0, 2.0, size=30)
    between = np.abs(first[:, None] - second).mean()
    own = [np.abs(each[:, None] - each).mean() for each in (first, second)]
    assert 2 * between - sum(own) == pytest.approx(energy_distance(first, second) ** 2)
    unbiased = [mean * len(each) / (len(each) - 1) for mean, each in zip(own, (first, second), strict=True)]
    expected = (2 * between - sum(unbiased)) / (2 * between)
    assert energy_coefficient(first[:, None], second[:, None]) == pytest.approx(expected)


def test_ends_of_the_scale() -> None:
    still = np.zeros((5, 4))
    assert energy_coefficient(still, still) == 0.0
    assert energy_coefficient(still, still + 2.0) == pytest.approx(1.0)
    rng = np.random.default_rng(1)
    assert energy_coefficient(rng.normal(size=(400, 4)), rng.normal(size=(300, 4))) < 0.02


def test_recordings_of_one_kind_have_no_gap_and_other_rates_have_one() -> None:
    recipe = Recipe.model_validate({"name": "gap", "data": {"source": "digits"}, "student": {"channels": (4, 6)}})
    torch.manual_seed(0)
    student = build_student(recipe.student, (2, H, W), K)
    rng = np.random.default_rng(2)
    few, many, alike = (
        (rng.random((n, T, 2, H, W)) < p).astype(np.uint8) for n, p in ((60, 0.1), (50, 0.5), (55, 0.1))
    )
    none = domain_gap(student, few, alike)
    some = domain_gap(student, few, many, batch=7)
    assert [layer.layer for layer in some] == student.layer_names()
    for near, far in zip(none[:1], some[:1], strict=True):
        assert near.gap < 0.1 < 0.5 < far.gap
        assert near.among_recordings == far.among_recordings < 0.1
    assert domain_gap(student, few[:3], many) == ()

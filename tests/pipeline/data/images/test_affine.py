"""Warped images: known maps against NumPy, and ranges."""

from __future__ import annotations

import numpy as np
import torch

from spikeport.pipeline.data.images.affine import random_affine
from spikeport.pipeline.run.sections.networks import Affine


def drawn(monkeypatch, *values: float) -> None:
    """Makes the next draws of (turn, grow, lean, down, right) these, each in -1..1."""
    monkeypatch.setattr(
        torch, "rand", lambda five, batch, generator: (torch.tensor(values)[:, None].expand(5, batch) + 1) / 2
    )


IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def test_no_warp_is_no_change() -> None:
    assert random_affine(IMAGES, Affine(), torch.Generator()) is IMAGES


def test_a_quarter_turn_is_rot90(monkeypatch) -> None:
    drawn(monkeypatch, 1, 0, 0, 0, 0)
    found = random_affine(IMAGES, Affine(degrees=90.0), torch.Generator())
    expected = np.rot90(IMAGES.numpy(), axes=(2, 3))  # counterclockwise
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)  # float32 places, bilinear


def test_a_shift_of_whole_pixels(monkeypatch) -> None:
    """Down by 2 and left by 1 of at most 2."""
    drawn(monkeypatch, 0, 0, 0, 1, -0.5)
    found = random_affine(IMAGES, Affine(translate=2.0), torch.Generator()).numpy()
    np.testing.assert_allclose(found[:, :, 2:, :-1], IMAGES[:, :, :-2, 1:], atol=1e-5)
    assert not found[:, :, :2].any()
    assert not found[:, :, :, -1].any()


def test_scale_and_shear_move_a_point_where_they_should(monkeypatch) -> None:
    """A dot two pixels above the middle: twice as far at scale 2, moved right by two at shear 1 (y up is negative)."""
    dot = torch.zeros(1, 1, 11, 13)
    dot[0, 0, 3, 6] = 1
    drawn(monkeypatch, 0, 1, 0, 0, 0)
    grown = random_affine(dot, Affine(scale=1.0), torch.Generator())[0, 0]
    assert grown[1, 6] > 0.99
    drawn(monkeypatch, 0, 0, 1, 0, 0)
    sheared = random_affine(dot, Affine(shear=1.0), torch.Generator())[0, 0]
    assert sheared[3].argmax() == 6 + 2
    assert sheared[3].max() > 0.99


def test_each_image_has_its_own_map_and_the_seed_decides() -> None:
    recipe = Affine(degrees=20.0, scale=0.2, shear=0.2, translate=2.0)
    same = IMAGES[:1].expand(4, -1, -1, -1)
    first, again, other = (random_affine(same, recipe, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.allclose(first[0], first[1])

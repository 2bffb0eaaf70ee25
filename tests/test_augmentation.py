"""Augmentation by hand-made examples."""

from __future__ import annotations

import torch

from pipeline.augmentation import augment, drop_events, shift
from pipeline.recipe import Augmentation


def test_shift_by_hand() -> None:
    """Down 1 and left 1; up 2 and right 0; still. What comes in is zero; steps and channels move together."""
    frame = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    frames = torch.stack([frame + 100 * n for n in range(4)]).view(2, 1, 2, 3, 4).repeat(1, 3, 1, 1, 1).float()
    moved = shift(frames, torch.tensor([[1, -1], [-2, 0], [0, 0]]))
    assert moved[0, 0, 0].tolist() == [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]]
    assert moved[1, 0, 1].tolist() == [[0, 0, 0, 0], [302, 303, 304, 0], [306, 307, 308, 0]]
    assert moved[0, 1, 1].tolist() == [[109, 110, 111, 112], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert torch.equal(moved[:, 2], frames[:, 2])


def test_drop_by_hand() -> None:
    """An entry goes where its draw is below the sample's own share; zero stays zero."""
    frames = torch.ones(1, 2, 1, 1, 3)
    frames[0, 0, 0, 0, 2] = 0
    draws = torch.tensor([0.1, 0.3, 0.5]).expand_as(frames)
    kept = drop_events(frames, torch.tensor([0.3, 0.0]), draws)
    assert kept.flatten().tolist() == [0, 1, 0, 1, 1, 1]


def test_augment_is_seeded_bounded_and_can_be_off() -> None:
    frames = (torch.rand(3, 40, 2, 12, 13, generator=torch.Generator().manual_seed(0)) < 0.5).float()

    def done(seed: int, **options: float) -> torch.Tensor:
        return augment(frames, Augmentation(**options), torch.Generator().manual_seed(seed))

    assert torch.equal(done(1), done(1))
    assert not torch.equal(done(1), done(2))
    assert torch.equal(done(1, shift=0, event_drop=0.0), frames)
    dropped = done(1, shift=0, event_drop=0.4)
    assert ((dropped == frames) | (dropped == 0)).all()
    shares = 1 - dropped.sum((0, 2, 3, 4)) / frames.sum((0, 2, 3, 4))
    assert 0.1 < shares.mean() < 0.3  # uniform in 0..0.4: about 0.2
    assert shares.max() < 0.5
    spot = torch.zeros(1, 500, 1, 9, 9)
    spot[..., 4, 4] = 1
    moved = augment(spot, Augmentation(shift=2, event_drop=0.0), torch.Generator().manual_seed(3))
    places = {tuple(place) for place in moved[0, :, 0].nonzero()[:, 1:].tolist()}
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 7)}  # every offset of -2..2, both axes

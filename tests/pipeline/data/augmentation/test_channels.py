"""Augmentation of one-dimensional frames `[T, B, N]`, against NumPy and by statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.augmentation.augment import AUGMENTATIONS, augment
from spikeport.pipeline.data.augmentation.draws import symmetric_integers
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import PLANE, Augmentation

T, B, N = 7, 5, 31
OFF = {"shift": 0, "event_drop": 0.0}
EACH = {"shift": 9, "time_shift": 2, "time_jitter": 0.5, "event_drop": 0.6, "noise": 0.1}


def frames(dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    """As batches come: sample by sample in memory."""
    found = torch.rand(B, T, N, generator=torch.Generator().manual_seed(1)) < 0.4
    return found.to(dtype).transpose(0, 1)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_every_augmentation_works_on_channels_or_needs_a_plane() -> None:
    assert {each.setting for each in AUGMENTATIONS} == {*EACH, *PLANE}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("setting", EACH)
def test_frames_stay_binary_and_equal_in_every_type(setting: str, dtype: torch.dtype) -> None:
    recipe = Augmentation(**{**OFF, setting: EACH[setting]})
    given = frames(dtype)
    before = given.clone()
    found = augment(given, recipe, seeded())
    assert found.shape == (T, B, N)
    assert found.dtype == dtype
    assert set(found.unique().tolist()) == {0, 1}
    assert not torch.equal(found, given)
    assert torch.equal(given, before)
    assert torch.equal(found.float(), augment(frames(torch.float32), recipe, seeded()))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shift_moves_channels_and_no_time(dtype: torch.dtype) -> None:
    given = frames(dtype)
    found = augment(given, Augmentation(**{**OFF, "shift": 9}), seeded())
    offsets = symmetric_integers(9, (B, 1), seeded())[:, 0].tolist()
    assert len(set(offsets)) > 3
    for sample, offset in enumerate(offsets):
        expected = np.zeros((T, N))
        for channel in range(N):
            if 0 <= channel - offset < N:
                expected[:, channel] = given[:, sample, channel - offset]
        np.testing.assert_array_equal(found[:, sample], expected)


def test_events_are_dropped_at_the_share_of_their_sample() -> None:
    """The largest share is drawn for each sample: the mean over many is half of it."""
    given = torch.ones(40, 300, 50, dtype=torch.uint8)
    found = augment(given, Augmentation(**{**OFF, "event_drop": 0.6}), seeded())
    left = found.float().mean(dim=(0, 2))
    assert abs(float(left.mean()) - 0.7) < 0.02
    assert float(left.std()) > 0.1


@pytest.mark.parametrize("name", PLANE)
def test_what_needs_a_plane_is_refused_by_name(name: str) -> None:
    values = {"mix": 0.5, "flip": True, "rotation": 5.0, "scale": 0.1}
    with pytest.raises(ValueError, match=rf"augmentation\.{name} needs frames with height and width; these are 700"):
        Recipe.model_validate({"data": {"source": "shd", "channels": 700}, "augmentation": {name: values[name]}})
    assert Recipe.model_validate({"augmentation": {name: values[name]}})


def test_a_shift_over_all_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augmentation\.shift = 41 is more than the frames' side, 40"):
        Recipe.model_validate({"data": {"source": "shd", "channels": 40}, "augmentation": {"shift": 41}})

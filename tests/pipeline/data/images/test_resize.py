"""Static images reach the networks at the sensor's size, as torch would resize them."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.images.resize import resize_to, value_channel


@pytest.mark.parametrize("size", [(17, 13), (60, 20), (24, 41), (100, 20)])
def test_resizing_equals_torch(size: tuple[int, int]) -> None:
    """Bilinear with antialiasing; the tolerance is a few float32 roundings of values up to 1."""
    images = np.random.default_rng(2).integers(0, 256, (5, 3, 40, 27), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(
        torch.tensor(images) / 255, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    found = resize_to(images, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-6)


def test_a_smaller_image_is_padded_in_the_center() -> None:
    images = np.arange(1, 2 * 2 * 3 + 1, dtype=np.uint8).reshape(2, 1, 2, 3) * 20
    found = resize_to(images, 5, 7)
    assert found.shape == (2, 3, 5, 7)
    expected = np.zeros((2, 5, 7))
    expected[:, 1:3, 2:5] = images[:, 0] / 255
    for color in range(3):
        np.testing.assert_allclose(found[:, color], expected, rtol=1e-6)  # float32 against float64


def test_extremes_stay_in_range() -> None:
    white = np.full((1, 3, 9, 11), 255, np.uint8)
    for size in ((9, 11), (4, 5), (20, 6)):
        found = resize_to(white, *size)
        assert found.max() <= 1
        assert found.min() > 1 - 1e-6


def test_a_channel_count_that_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, these have 2"):
        resize_to(np.zeros((1, 2, 4, 4), np.uint8), 4, 4)


def test_value_channel_is_the_v_of_hsv() -> None:
    rgb = np.random.default_rng(4).random((2, 3, 4, 5), dtype=np.float32)
    found = value_channel(torch.from_numpy(rgb)).numpy()
    assert found.shape == (2, 4, 5)
    for b, y, x in np.ndindex(2, 4, 5):
        assert found[b, y, x] == np.float32(colorsys.rgb_to_hsv(*rgb[b, :, y, x].tolist())[2])

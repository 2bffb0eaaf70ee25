"""The simulated digits: the same events whenever they are made, moving as the gaze moves, and learnable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_digits

from spikeport.errors import UserError
from spikeport.pipeline.data.sources import digits
from spikeport.pipeline.run.sections.data import Data

SENSOR = (20, 26)


def test_events_are_equal_when_made_again_and_a_recording_needs_no_other() -> None:
    data = Data(height=20, width=26)
    first, again = digits.load(data), digits.load(data)
    assert first.content_hash() == again.content_hash()
    for _, one, two in zip(range(150), first.read(), again.read(), strict=False):
        assert one.key == two.key
        np.testing.assert_array_equal(one.events, two.events)
    gray = load_digits().images.astype(np.uint8)
    keys = first.keys[130:131]
    alone = digits.CAMERA.watch(digits.log_intensities(gray[130:131], SENSOR, 14, keys), digits.SAMPLE_US, keys)[0]
    among = next(r for row, r in enumerate(digits.load(data).read()) if row == 130)
    np.testing.assert_array_equal(alone, among.events)


def test_the_set_is_scikit_learns() -> None:
    found = digits.load(Data(height=34, width=34))
    known = load_digits()
    assert len(found.keys) == len(set(found.keys)) == 1797
    np.testing.assert_array_equal(found.labels, known.target)
    assert found.images.keys == found.keys
    assert found.images.images.shape == (1797, 1, 24, 24)
    assert found.simulated
    assert "simulated" in found.description


def test_a_still_digit_is_bilinear() -> None:
    """Against scipy's linear interpolation with zeros outside; positions and values are rounded to 1/64 and 1/255."""
    gray = load_digits().images[:3].astype(np.uint8)
    found = digits._still(gray, 24)[:, 0]
    place = (np.arange(24) + 0.5) * 8 / 24 - 0.5
    for image, mine in zip(gray, found, strict=True):
        expected = map_coordinates(
            np.pad(image.astype(float), 1), np.meshgrid(place + 1, place + 1, indexing="ij"), order=1
        )
        np.testing.assert_allclose(mine, expected * 255 / 16, atol=2 * 255 / 64 + 1)


def test_the_gaze_ends_where_it_began_and_moves_between() -> None:
    """Three saccades go round a triangle: the last scene is the first, and the corners differ."""
    gray = load_digits().images[:2].astype(np.uint8)
    scenes = list(digits.log_intensities(gray, SENSOR, 14, ("a", "b")))
    assert len(scenes) == 61
    assert scenes[0].shape == (2, *SENSOR)
    np.testing.assert_array_equal(scenes[0], scenes[60])
    for corner in (20, 40):
        assert np.abs(scenes[corner] - scenes[0]).max() > 0.5
    assert scenes[0].min() == np.float32(round(np.log(digits.BACKGROUND), 6))


def test_an_edge_turns_pixels_on_ahead_and_off_behind() -> None:
    """Where the gaze goes right a bright bar goes left, and its left edge brightens; the third saccade goes back."""
    gray = np.zeros((1, 8, 8), np.uint8)
    gray[:, :, 3:5] = 16
    [events] = digits.CAMERA.watch(digits.log_intensities(gray, (30, 30), 21, ("bar",)), digits.SAMPLE_US, ("bar",))

    def on_right_of_off(start_us: int) -> float:
        now = events[(events["t"] > start_us + 20_000) & (events["t"] < start_us + 80_000)]
        return now["x"][now["p"] == 1].mean() - now["x"][now["p"] == 0].mean()

    assert on_right_of_off(0) < -3
    assert on_right_of_off(100_000) < -3
    assert on_right_of_off(200_000) > 3


def test_a_tiny_sensor_is_refused() -> None:
    with pytest.raises(UserError, match="a sensor of 10 x 40 pixels is too small"):
        digits.load(Data(height=10, width=40))

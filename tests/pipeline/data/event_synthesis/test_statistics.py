"""Statistics of recordings against hand-made frames, and their distance."""

from __future__ import annotations

import numpy as np
import pytest

from spikeport.pipeline.data.event_synthesis.statistics import REACH, distances, statistics

N, T, H, W = 3, 6, 7, 12


def frames_of(*events: tuple[int, int, int, int, int]) -> np.ndarray:
    """Frames with 1 at (recording, step, polarity, row, column)."""
    frames = np.zeros((N, T, 2, H, W), np.uint8)
    for event in events:
        frames[event] = 1
    return frames


def block(recording: int, step: int, polarity: int, row: int, column: int) -> list[tuple[int, int, int, int, int]]:
    """4 events in a row of 4 columns."""
    return [(recording, step, polarity, row, column + more) for more in range(4)]


def test_counts_places_and_the_shift_between_polarities() -> None:
    found = statistics(frames_of(*block(0, 2, 1, 1, 2), *block(0, 2, 0, 4, 5), *block(1, 0, 1, 3, 4)))
    counts = np.expm1(found["counts"]).reshape(N, T, 2)
    assert counts[0, 2].tolist() == pytest.approx([4, 4])
    assert counts.sum() == pytest.approx(12)
    place = found["place"].reshape(N, T, 2)
    assert place[0, 2].tolist() == pytest.approx([2.5 - 3, 5.0 - 5.5]), "from the middle of 7 x 12 pixels"
    assert np.isnan(place[2]).all(), "no event, no place"
    apart = found["apart"].reshape(N, T, 3)
    assert apart[0, 2].tolist() == pytest.approx([-3, -3, 9]), "ON lies 3 rows above and 3 columns left of OFF"
    assert np.isnan(apart[1, 0]).all(), "one polarity has no shift"
    spread = found["spread"].reshape(N, T, 2)
    assert spread[1, 0].tolist() == pytest.approx([0, np.std([0, 1, 2, 3])])


def test_flow_and_correlations_show_the_shift_to_the_next_step() -> None:
    found = statistics(frames_of(*(event for step in range(T) for event in block(0, step, 1, 3, step))))
    assert np.allclose(found["flow"].reshape(N, T - 1, 3)[0], [[0, 1, 0]] * (T - 1))
    side = 2 * REACH + 1
    between = found["between steps"].reshape(N, -1, side, side)[0]
    for third in between:
        assert np.unravel_index(third.argmax(), third.shape) == (REACH, REACH + 1)
        assert third.max() == pytest.approx(1.0)
    edges = found["edges"].reshape(N, -1, side, side)[0, 0]
    assert edges[REACH, REACH] == pytest.approx(1.0)
    assert edges[REACH, REACH + 1] == pytest.approx(3 / 4)
    assert edges[REACH + 1].max() == 0


def test_the_distance_is_zero_for_equal_recordings_and_grows_with_the_shift() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.random((9, T, 2, H, W)) < 0.3).astype(np.uint8)
    real = statistics(frames)
    assert set(distances(real, statistics(frames[rng.permutation(9)])).values()) == {0.0}
    moved = [distances(real, statistics(np.roll(frames, shift, 4)))["flow"] for shift in (0, 1)]
    assert moved[0] == 0.0
    fewer = [np.mean(list(distances(real, statistics(frames * (rng.random(frames.shape) < keep))).values()))
             for keep in (0.9, 0.5, 0.1)]  # fmt: skip
    assert fewer[0] < fewer[1] < fewer[2]


def test_missing_statistics_count_as_far() -> None:
    full = statistics(np.ones((4, T, 2, H, W), np.uint8))
    empty = statistics(np.zeros((4, T, 2, H, W), np.uint8))
    assert distances(full, empty)["place"] == pytest.approx(3.0 + 1.0)
    assert distances(empty, empty)["place"] == 0.0

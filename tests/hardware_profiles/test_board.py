"""Fixed costs of a board against sums worked out by hand, and against the measured keyword spotting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeport.hardware_profiles.board import board_overhead_uj, has_board, small_network_factor
from spikeport.hardware_profiles.profile import load_profile
from spikeport.hardware_profiles.validation import check_rows
from spikeport.hardware_profiles.validation_text import summary


def test_loihi1_by_hand() -> None:
    """Two chips, ten steps, 400 µs and 9000 µs of work: reset 5.94 µJ a chip; the host draws 0 to 80.5 mW meanwhile.

    Ten steps of the board last 3373 µs at the high end, which is more than 400 and less than 9000 µs.
    """
    time_us = np.array([[300.0, 8000.0], [350.0, 8500.0], [400.0, 9000.0]])
    fixed = board_overhead_uj(load_profile("loihi1"), 10, time_us, chips=2)
    by_hand = [[0, 0], [2 * 5.94] * 2, [2 * 5.94 + 80.5 * 3.373, 2 * 5.94 + 80.5 * 9.0]]  # mW times ms
    np.testing.assert_allclose(fixed, by_hand, rtol=1e-12)  # float64 products


def test_the_measured_keyword_spotting_is_within_the_board_reading_and_not_within_the_cores() -> None:
    """At the high end 41.22 µJ of operations, 5.94 of reset and 80.5 mW for 3.373 ms."""
    rows = {row.id: row for row in check_rows(load_profile("loihi1"))}
    row = rows["blouw2019-kws"]
    assert row.board_low is not None
    assert row.board_high is not None
    assert row.low == row.board_low == pytest.approx(541 * 10 * 52e-6, rel=1e-12)
    high = 1_728_000 * 23.6e-6 + 5_410 * 81e-6 + 5.94 + 80.5 * 3.373
    assert row.board_high == pytest.approx(high, rel=1e-12)
    assert row.high is not None
    assert row.high < 271.6 <= row.board_high
    less = rows["blouw2019-kws-less-x86"]
    assert less.board_low is not None
    assert less.board_high is not None
    assert less.board_low < 35.0 < less.board_high
    knn = rows["frady2020-knn"]  # energy of the cores alone
    assert (knn.board_low, knn.board_high, knn.result) == (None, None, "within")
    assert any("2 of 2 measured totals of small networks lie within" in line for line in summary([*rows.values()]))


def test_a_board_reading_that_is_too_low_is_counted_as_such() -> None:
    profile = load_profile("loihi1")
    entries = [entry.model_copy(update={"value": 500.0}) for entry in profile.published if entry.id == "blouw2019-kws"]
    rows = check_rows(replace(profile, published=tuple(entries)))
    assert any("0 of 1 measured totals" in line for line in summary(rows))


def test_how_far_small_networks_were_above_their_estimates() -> None:
    """A tenth of 172,800 x 10 operations at 23.6 pJ are 4.078 µJ, 5,410 updates 0.281 or 0.438 µJ."""
    found = small_network_factor(load_profile("loihi1"), 2874)
    assert found is not None
    operations = 172_800 * 23.6e-6
    assert found.low == pytest.approx(35.0 / (operations + 5_410 * 81e-6), rel=1e-12)
    assert found.high == pytest.approx(271.6 / (operations + 5_410 * 52e-6), rel=1e-12)
    assert found.neurons == 2874
    assert small_network_factor(load_profile("loihi1"), 5000) is None
    assert small_network_factor(load_profile("odin"), 100) is None


def test_which_profiles_have_a_board() -> None:
    assert [has_board(load_profile(name)) for name in ("loihi1", "loihi1-sanafe", "odin", "cmos45-fp32")] == [
        *(True, True),
        *(False, False),
    ]

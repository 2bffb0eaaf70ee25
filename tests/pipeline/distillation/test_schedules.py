"""Schedules of weights."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.pipeline.distillation.schedules import phased_weight, scheduled, switch_probability


class TestPhases:
    def test_known_values(self) -> None:
        for x, w in {0: 1, 0.42: 1, 0.46: 0.8536, 0.5: 0.5, 0.54: 0.1464, 0.58: 0, 1: 0}.items():
            assert phased_weight(x) == pytest.approx(w, abs=5e-5)
        assert phased_weight(0.0) == phased_weight(0.42) == 1.0  # exactly: the plateaus are flat
        assert phased_weight(0.58) == phased_weight(1.0) == 0.0

    @given(
        x=st.floats(0, 1),
        later=st.floats(0, 1),
        edges=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
        shape=st.sampled_from(["cosine", "logistic", "step"]),
    )
    def test_never_rises_and_stays_in_0_1(self, x: float, later: float, edges: list[float], shape: str) -> None:
        first, second = (phased_weight(at, *edges, shape) for at in sorted((x, later)))
        assert 1 >= first >= second >= 0

    def test_edges(self) -> None:
        for shape in ("cosine", "logistic", "step"):
            assert phased_weight(0.29, 0.3, 0.3, shape) == 1
            assert phased_weight(0.3, 0.3, 0.3, shape) == 0
            assert phased_weight(1.0, 1.0, 1.5, shape) == 1
        assert [phased_weight(x, shape="step") for x in (0.42, 0.49, 0.51)] == [1, 1, 0]
        assert phased_weight(0.5, shape="logistic") == pytest.approx(0.5)
        assert phased_weight(0.42, shape="logistic") == pytest.approx(0.99)
        with pytest.raises(UserError, match="use cosine, logistic or step"):
            phased_weight(0.5, shape="square")

    def test_a_term_may_stay_or_rise(self) -> None:
        assert [scheduled(x, "constant", 0.42, 0.58) for x in (0.0, 0.5, 1.0)] == [1, 1, 1]
        assert [scheduled(x, "rise", 0.42, 0.58) for x in (0.42, 0.5, 0.58)] == [0, pytest.approx(0.5), 1]
        assert scheduled(0.46, "cosine", 0.42, 0.58) == phased_weight(0.46)


class TestSwitch:
    @given(share=st.floats(0, 1))
    def test_one_and_two_steps_are_solved_by_hand(self, share: float) -> None:
        """T = 1: p = share. T = 2: (3 p - p^2) / 2 = share, so p = (3 - sqrt(9 - 8 share)) / 2."""
        assert switch_probability(share, 1) == pytest.approx(share, abs=1e-11)
        assert switch_probability(share, 2) == pytest.approx((3 - math.sqrt(9 - 8 * share)) / 2, abs=1e-11)

    @given(p=st.floats(0, 1), steps=st.integers(1, 30))
    def test_it_is_the_inverse_of_the_expected_share(self, p: float, steps: int) -> None:
        """Summed over where the switch is: t - 1 frames of the image, T - t + 1 of the events."""
        shares = [p * (1 - p) ** (t - 1) * (steps - t + 1) / steps for t in range(1, steps + 1)]
        assert switch_probability(min(1.0, sum(shares)), steps) == pytest.approx(p, abs=1e-6)

    def test_ends(self) -> None:
        assert switch_probability(0.0, 7) == 0.0
        assert switch_probability(1.0, 7) == 1.0

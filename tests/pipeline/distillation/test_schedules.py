"""Schedules of weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.pipeline.distillation.schedules import phased_weight, scheduled


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

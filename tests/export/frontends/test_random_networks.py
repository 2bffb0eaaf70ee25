"""Random modules and graphs: those that convert fire their own spikes, others are refused, and check-network agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_networks import check_adapt, check_branches, check_module, write_seed

from spikeport.errors import UserError


@pytest.mark.parametrize("check", [check_module, check_branches, check_adapt])
def test_random_networks_convert_exactly_or_are_refused(check, tmp_path: Path) -> None:
    outcomes = []
    for index in range(30):
        write_seed(tmp_path / "drawn.json", 7, index)
        try:
            check(tmp_path / "drawn.json")
            outcomes.append("converted")
        except UserError:
            outcomes.append("refused")
    assert min(outcomes.count("converted"), outcomes.count("refused")) > 5

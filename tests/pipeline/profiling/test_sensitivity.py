"""What one constant does to an energy by itself, by hand on the known network (16 operations, 9 of 12 updates active,
11 messages)."""

from __future__ import annotations

import pytest
from known_networks import known_activity, placed, write_profile

from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.profiling.energy.sensitivity import sensitivity

EXACT = {"rel": 1e-12}  # sums of a dozen float64 products


def rows(name: str) -> dict[str, dict]:
    return {row.constant: row.to_json() for row in sensitivity(load_profile(name), known_activity(), placed(1, 1))}


def test_each_constant_of_loihi1_by_hand() -> None:
    """Nominal 1281.3 pJ; synapses 18.9 to 35.5 for 23.6, messages up to 180.3 for 1.7, active updates 72.8 for 81."""
    found = rows("loihi1")
    synop = found["energy.synop"]
    assert (synop["low"], synop["high"]) == (18.9, 35.5)
    assert synop["dynamic_uj"]["low"] * 1e6 == pytest.approx(1281.3 - 16 * (23.6 - 18.9), **EXACT)
    assert synop["dynamic_uj"]["high"] * 1e6 == pytest.approx(1281.3 + 16 * (35.5 - 23.6), **EXACT)
    message = found["energy.spike_local"]["dynamic_uj"]
    assert message["low"] * 1e6 == pytest.approx(1281.3, **EXACT)
    assert message["high"] * 1e6 == pytest.approx(1281.3 + 11 * (180.3 - 1.7), **EXACT)
    active = found["energy.neuron_active"]["dynamic_uj"]
    assert active["low"] * 1e6 == pytest.approx(1281.3 - 9 * (81 - 72.8), **EXACT)
    choice = found["all neuron updates inactive, or all active"]["dynamic_uj"]
    assert choice["low"] * 1e6 == pytest.approx(1281.3 - 9 * (81 - 52), **EXACT)
    assert choice["high"] * 1e6 == pytest.approx(1368.3, **EXACT)


def test_another_rule_for_active_updates_is_kept_while_constants_vary() -> None:
    """By spikes alone 5 of 12 updates are active: 16 * 23.6 + 5 * 81 + 7 * 52 + 11 * 1.7 = 1165.3 pJ."""
    varied = sensitivity(load_profile("loihi1"), known_activity(), active_rule="spiked_only")
    found = {each.constant: each.to_json()["dynamic_uj"] for each in varied}
    assert found["energy.synop"]["low"] * 1e6 == pytest.approx(1165.3 - 16 * (23.6 - 18.9), **EXACT)
    assert found["energy.neuron_active"]["low"] * 1e6 == pytest.approx(1165.3 - 5 * (81 - 72.8), **EXACT)
    choice = found["all neuron updates inactive, or all active"]
    assert choice["low"] * 1e6 == pytest.approx(1281.3 - 9 * (81 - 52), **EXACT)  # the ends are the same by any rule


def test_static_power_and_times_move_the_total_alone() -> None:
    found = rows("loihi1")
    nominal = sample_energies(load_profile("loihi1"), known_activity(), placement=placed(1, 1))
    assert nominal.total_pj is not None
    assert nominal.static_pj is not None
    total, static = float(nominal.total_pj[1, 0]), float(nominal.static_pj[1, 0])
    power = found["static.per_chip_mW"]
    assert power["total_uj"]["high"] * 1e6 == pytest.approx(total + static * (104.4 / 29.7 - 1), **EXACT)
    assert power["dynamic_uj"]["low"] == power["dynamic_uj"]["high"]
    barrier = found["latency.barrier_ns"]
    assert barrier["total_uj"]["high"] > barrier["total_uj"]["low"] == pytest.approx(total / 1e6, **EXACT)


def test_fixed_costs_of_the_board_are_varied_together() -> None:
    """Low: no reset, a host asleep. High: 5.94 µJ, and 80.5 mW for 4 steps of 337.3 µs; the cores need as before."""
    board = rows("loihi1")["overhead"]
    assert board["dynamic_uj"]["low"] == board["dynamic_uj"]["high"]
    assert board["board_uj"]["low"] * 1e6 == pytest.approx(1281.3, **EXACT)
    assert board["board_uj"]["high"] == pytest.approx(1281.3e-6 + 5.94 + 80.5e-3 * 4 * 337.3, **EXACT)


def test_static_power_of_the_used_cores_alone() -> None:
    """2 of 128 cores are used."""
    nominal = sample_energies(load_profile("loihi1"), known_activity(), placement=placed(1, 1), dt_s=1e-3)
    assert nominal.static_pj is not None
    static = float(nominal.static_pj[1, 0])
    varied = sensitivity(load_profile("loihi1"), known_activity(), placed(1, 1), dt_s=1e-3)
    scale = {each.constant: each.to_json() for each in varied}["static.scale"]
    assert scale["total_uj"]["low"] * 1e6 == pytest.approx(1281.3 + static * 2 / 128, **EXACT)
    assert scale["total_uj"]["high"] * 1e6 == pytest.approx(1281.3 + static, **EXACT)
    assert scale["live_uj"]["low"] == pytest.approx(1281.3e-6 + 118.8 * 2 / 128, **EXACT)


def test_what_moves_most_comes_first_and_what_moves_nothing_is_left_out() -> None:
    found = sensitivity(load_profile("loihi1"), known_activity(), placed(1, 1))
    energies = [[each.dynamic_uj, each.total_uj, each.board_uj] for each in found]
    spans = [max(abs(ends.high - ends.low) for ends in each if ends) for each in energies]
    assert spans == sorted(spans, reverse=True)
    assert "energy.hop_ns" not in {each.constant for each in found}  # has an interval, but no hop is counted


def test_what_memory_takes_is_varied_too() -> None:
    """An access of 8 bytes at the published energy, or of 4 at the same: twice the cost of a byte."""
    found = rows("cmos45-lemaire")
    width = found["memory.access_bytes"]
    assert (width["low"], width["high"]) == (4, 8)
    assert width["dynamic_uj"]["low"] > width["dynamic_uj"]["high"]
    assert "all neuron updates inactive, or all active" not in found


def test_a_device_without_prices_has_none_and_exact_constants_neither(tmp_path) -> None:
    assert sensitivity(load_profile("loihi2"), known_activity()) == ()
    exact = write_profile(tmp_path, {"synop": 2.0, "neuron_active": 3.0, "neuron_inactive": 3.0})
    assert sensitivity(exact, known_activity()) == ()


def test_an_aggregate_and_an_unknown_total() -> None:
    assert sensitivity(load_profile("truenorth-all-in"), known_activity()) == ()
    neuron, *_ = sensitivity(load_profile("cmos45-fp32"), known_activity())
    assert neuron.total_uj is None
    assert neuron.dynamic_uj is not None
    assert neuron.dynamic_uj.low == pytest.approx(14.4e-6, **EXACT)

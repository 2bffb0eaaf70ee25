"""One answer, live operation, board and range of an energy estimate, against sums worked out by hand.

The known network has 2 and 1 neurons and 4 steps: 12 and 4 operations, 6 of 8 and 3 of 4 updates active, 11 messages.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import conv_activity, conv_frames, energy_row, known_activity, placed, write_profile
from layer_activity import nominal, one_layer

from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.energy.one_answer import one_answer
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies

EXACT = {"rel": 1e-12}  # sums of a dozen float64 products
STREAM_NS = 12 * 3.5 + 6 * 8.4 + 2 * 5.3 + 4 * 113  # the first layer is the busiest; 4 barriers
CORES_PJ = 1281.3


def on_loihi1(dt_s: float | None = None) -> SampleEnergies:
    return sample_energies(load_profile("loihi1"), known_activity(), placement=placed(1, 1), dt_s=dt_s)


# --- one answer


def test_an_answer_takes_a_step_more_for_each_further_layer() -> None:
    """4 + 2 - 1 = 5 steps: a barrier more, and two more inactive updates in the busiest layer."""
    row = energy_row(on_loihi1())
    assert (row["steps_to_answer"], row["steps_between"]) == (5, 4)
    assert row["interval_us"]["nominal"] * 1e3 == pytest.approx(STREAM_NS, **EXACT)
    assert row["latency_us"]["nominal"] * 1e3 == pytest.approx(STREAM_NS + 2 * 5.3 + 113, **EXACT)
    assert row["edp_uj_us"]["nominal"] == pytest.approx(
        row["total_uj"]["nominal"] * row["latency_us"]["nominal"], **EXACT
    )
    assert row["static_uj"]["nominal"] == pytest.approx(29.7e-3 * STREAM_NS * 1e-3, **EXACT)
    text = " ".join(row["assumptions"])
    assert "an answer takes 5 steps (latency)" in text
    assert "one every 4 steps" in text


def test_an_isolated_inference_updates_all_neurons_in_every_step() -> None:
    """3 neurons are updated once more, inactive: 52 pJ each."""
    assert nominal(on_loihi1().isolated_pj) == pytest.approx(CORES_PJ + 3 * 52, **EXACT)
    biased = known_activity()
    first = replace(biased.layers[0], biases=2)
    alone = one_answer(replace(biased, layers=(first, biased.layers[1])))
    assert [int(layer.updates_active[0]) for layer in alone.layers] == [6 + 2, 3]  # a bias works in every step
    assert [layer.updates for layer in alone.layers] == [10, 5]


def test_a_single_layer_answers_in_its_own_steps() -> None:
    row = energy_row(sample_energies(load_profile("loihi1"), one_layer(synops=8), placement=placed(1)))
    assert row["latency_us"] == row["interval_us"]
    assert row["isolated_uj"] == row["dynamic_uj"]


# --- live


def test_live_energy_has_static_power_for_the_whole_recording() -> None:
    """Four steps of 1 ms: 29.7 mW (104.4) for 4 ms are 118.8 µJ (417.6); the chip works for 0.014 % of that time."""
    row = energy_row(on_loihi1(dt_s=1e-3))
    assert row["live_uj"]["nominal"] == pytest.approx(CORES_PJ * 1e-6 + 118.8, **EXACT)
    assert row["live_uj"]["high"] == pytest.approx(row["dynamic_uj"]["high"] + 417.6, **EXACT)
    assert row["duty"]["nominal"] == pytest.approx(STREAM_NS / 4e6, **EXACT)
    assert "live_unknown" not in row
    assert any("one recording every 4 ms" in line for line in row["assumptions"])


def test_a_chip_that_cannot_keep_up_is_said() -> None:
    """Steps of 0.1 µs: 0.4 µs of recording, 0.555 of work; live is then what a replay needs."""
    row = energy_row(on_loihi1(dt_s=1e-7))
    assert row["live_uj"]["nominal"] == pytest.approx(row["total_uj"]["nominal"], **EXACT)
    assert row["duty"]["nominal"] == pytest.approx(STREAM_NS / 400, **EXACT)
    assert any("needs 1.39 times as long and cannot keep up" in line for line in row["assumptions"])


def test_without_the_duration_of_a_step_live_energy_is_unknown_and_says_why() -> None:
    row = energy_row(on_loihi1())
    assert (row["live_uj"], row["duty"]) == (None, None)
    assert row["live_unknown"] == "the duration of a time step is not known (--dt, or data.step_us in a recipe)"
    without_power = energy_row(sample_energies(load_profile("cmos45-fp32"), known_activity(), dt_s=1e-3))
    assert without_power["live_uj"] is None
    assert "live_unknown" not in without_power


# --- board


def test_the_board_adds_reset_and_at_its_high_end_the_host() -> None:
    """5.94 µJ for one chip; at the high end 80.5 mW for four steps of 337.3 µs."""
    row = energy_row(on_loihi1())
    assert row["board_uj"]["low"] == pytest.approx(row["dynamic_uj"]["low"], **EXACT)
    assert row["board_uj"]["nominal"] == pytest.approx(CORES_PJ * 1e-6 + 5.94, **EXACT)
    host_uj = 80.5e-3 * 4 * 337.3
    assert row["board_uj"]["high"] == pytest.approx(row["dynamic_uj"]["high"] + 5.94 + host_uj, **EXACT)
    assert any("overhead of the host 0 (0 to 80.5) mW, measured" in line for line in row["sources"])
    assert any(line.startswith("board reading: ") for line in row["assumptions"])


def test_costs_without_a_number_are_named() -> None:
    barrier, host = energy_row(on_loihi1())["unknown_overhead"]
    assert barrier == "energy of the barrier between steps"
    assert host == "host, embedded processors, input and output (0 to 80.5 mW)"
    odin = energy_row(sample_energies(load_profile("odin"), known_activity()))
    assert "reset between inferences" in odin["unknown_overhead"]
    assert odin["board_uj"] is None
    assert energy_row(sample_energies(load_profile("cmos45-fp32"), known_activity()))["unknown_overhead"] == []


def test_without_cores_the_board_is_unknown() -> None:
    assert sample_energies(load_profile("loihi1"), known_activity()).board_pj is None


# --- range of nine tenths


def test_quantiles_of_one_constant(tmp_path: Path) -> None:
    """16 operations of 2 pJ (1 to 5): half of the draws below 2. 5 %: 1.1 pJ; 95 %: 4.7 pJ; and 12 updates of 3 pJ.

    With 10,000 draws a quantile has a standard error of 0.0044 of half an interval; 0.02 are allowed.
    """
    profile = write_profile(tmp_path, {"synop": 2.0, "neuron_active": 3.0, "neuron_inactive": 3.0})
    entries = [
        entry.model_copy(update={"low": 1.0, "high": 5.0}) if entry.op == "synop" else entry for entry in profile.energy
    ]
    found = energy_row(sample_energies(replace(profile, energy=tuple(entries)), known_activity()))["range90_uj"]
    assert found["dynamic"]["low"] * 1e6 == pytest.approx(16 * 1.1 + 36, abs=16 * 1 * 0.02)
    assert found["dynamic"]["high"] * 1e6 == pytest.approx(16 * 4.7 + 36, abs=16 * 3 * 0.02)
    assert (found["total"], found["live"], found["board"]) == (None, None, None)


def test_independent_draws_are_narrower_than_all_constants_at_one_end() -> None:
    row = energy_row(on_loihi1(dt_s=1e-3))
    for name in ("dynamic", "total", "live", "board"):
        found, ends = row["range90_uj"][name], row[f"{name}_uj"]
        assert ends["low"] <= found["low"] < ends["nominal"] < found["high"] < ends["high"]
    assert row["range90_uj"] == energy_row(on_loihi1(dt_s=1e-3))["range90_uj"]  # one seed
    assert (row["range90_uj"]["draws"], row["range90_uj"]["seed"]) == (10_000, 0)


def test_overhead_that_is_included_is_in_the_range_of_the_total(tmp_path: Path) -> None:
    """1 step of 10 µs: host 6 mW are 0.06 µJ, 3 µJ a step, static 8 mW are 0.08 µJ; nothing is uncertain."""
    sourced = 'status = "measured"\nsource = "a table"\n'
    values = {
        "static.per_chip_mW": 8,
        "overhead.per_step_uJ": 3,
        "overhead.host_mW": 6,
        "latency.realtime_step_us": 10,
    }
    text = "".join(f"[{key}]\nvalue = {value}\n{sourced}" for key, value in values.items())
    tables = '[overhead]\nincluded = true\n[latency]\nmodel = "fixed_step"\n'
    profile = write_profile(tmp_path, {"synop": 1, "neuron_active": 1, "neuron_inactive": 1}, more=tables + text)
    row = energy_row(sample_energies(profile, one_layer(synops=5), placement=placed(1)))
    by_hand = (5 + 3) * 1e-6 + 0.08 + 3 + 0.06
    assert row["total_uj"]["nominal"] == pytest.approx(by_hand, **EXACT)
    assert row["range90_uj"]["total"] == pytest.approx({"low": by_hand, "high": by_hand}, **EXACT)


# --- busiest core


def test_the_busiest_core_of_a_convolution_on_two_cores() -> None:
    activity = conv_activity(conv_frames())
    conv, dense = activity.layers
    synops = [float(np.mean(layer.synops)) for layer in (conv, dense)]
    assert synops[0] / 2 > synops[1]
    row = energy_row(sample_energies(load_profile("loihi1"), activity, placement=placed(2, 1)))
    busiest = row["busiest_core"]
    assert busiest["synops_layer"] == busiest["updates_layer"] == "conv"
    assert busiest["synops"] == pytest.approx(
        {"low": synops[0] / 2, "nominal": synops[0] / 2, "high": synops[0]}, **EXACT
    )
    assert busiest["synops_in_all"] == pytest.approx(sum(synops), **EXACT)
    half = -(-conv.neurons // 2) * 4  # 1024 neurons fit on a core, so all of them may be on one
    assert busiest["updates"] == {"low": half, "nominal": half, "high": conv.neurons * 4}
    assert busiest["updates_in_all"] == (conv.neurons + dense.neurons) * 4
    assert energy_row(sample_energies(load_profile("loihi1"), activity))["busiest_core"] is None

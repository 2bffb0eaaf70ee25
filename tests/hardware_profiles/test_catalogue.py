"""What `spikeport hardware` shows, and the estimates against published measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeport.hardware_profiles.catalogue import list_rows, show_rows
from spikeport.hardware_profiles.profile import list_profiles, load_profile
from spikeport.hardware_profiles.validation import (
    PublishedCheck,
    check_rows,
    estimate,
    validate_rows,
)
from spikeport.hardware_profiles.validation_text import markdown, summary


def checks(name: str) -> dict[str, PublishedCheck]:
    return {row.id: row for row in check_rows(load_profile(name))}


def test_loihi1_against_pohoiki_springs() -> None:
    """Frady 2020: 667 spikes, updates inactive: 1.4485 mJ; 750 spikes, updates active: 1.7326 mJ; measured 1.33 mJ."""
    row = checks("loihi1")["frady2020-knn"]
    assert row.low == pytest.approx(1.4485, abs=5e-5)  # printed to 4 decimals
    assert row.high == pytest.approx(1.7326, abs=5e-5)
    assert row.low_off == pytest.approx(0.089, abs=5e-4)
    assert row.high_off == pytest.approx(0.303, abs=5e-4)
    assert row.result == "within"


@pytest.mark.parametrize(("spikes", "inactive", "active"), [(667, 1.4485, 1.5822), (750, 1.5990, 1.7326)])
def test_loihi1_at_each_point(spikes: int, inactive: float, active: float) -> None:
    profile = load_profile("loihi1")
    (entry,) = (entry for entry in profile.published if entry.id == "frady2020-knn")
    point = entry.model_copy(update={"synops": ((spikes, 76_800),)})
    assert estimate(profile, point) == pytest.approx((inactive, active), abs=5e-5)


def test_low_end_of_loihi1_does_not_exceed_what_was_measured() -> None:
    """The interval of the constants must hold the one silicon measurement of a large network, 1.33 mJ."""
    profile = load_profile("loihi1")
    synop, off = (
        profile.energy_per_operation("synop").interval,
        profile.energy_per_operation("neuron_inactive").interval,
    )
    assert (750 * 76_800 * synop[0] + 76_800 * 60 * off[0]) / 1e9 <= 1.33
    assert (667 * 76_800 * synop[2] + 76_800 * 60 * off[2]) / 1e9 >= 1.33


def test_truenorth_at_a_point_held_out_of_its_fit() -> None:
    row = checks("truenorth")["akopyan2015-recurrent"]
    assert row.low == row.high == pytest.approx(70.62, abs=5e-3)
    assert row.low_off == pytest.approx(-0.0054, abs=5e-5)
    assert row.result == "within"


def test_truenorth_at_high_rate_and_why_the_aggregate_must_not_be_used_there() -> None:
    """At 95.93 Hz the affine model gives 94.0 mW, the 26 pJ aggregate 334.8 mW: 3.6 times as much."""
    profile = load_profile("truenorth")
    (entry,) = profile.published
    busy = entry.model_copy(update={"synops": ((1_048_576, 95.93, 128),)})
    assert estimate(profile, busy)[1] == pytest.approx(94.0, abs=0.05)
    assert estimate(load_profile("truenorth-all-in"), busy)[1] == pytest.approx(334.8, abs=0.05)


def test_odin_by_its_power_model() -> None:
    """27.3 + 1.78 * 75 + 8.43 * 37.5 = 476.9 uW; at 1.3 MHz 35.09 uW."""
    rows = checks("odin")
    assert rows["frenkel2019-75mhz"].low == pytest.approx(476.925, rel=1e-12)
    assert rows["frenkel2019-1.3mhz"].low == pytest.approx(35.09, abs=5e-3)
    assert {row.result for row in rows.values()} == {"within"}


def test_every_computable_check_holds() -> None:
    results = [row.result for row in validate_rows() if row.nominal is None]
    assert results.count("within") == 4
    assert "outside" not in results


def test_a_wrong_constant_is_found() -> None:
    profile = load_profile("truenorth")
    wrong = replace(
        profile,
        energy=tuple(
            entry.model_copy(update={"value": 26.0}) if entry.op == "synop" else entry for entry in profile.energy
        ),
    )
    assert [row.result for row in check_rows(wrong)] == ["outside"]


def test_a_tiny_network_costs_more_than_any_firing_rate_explains() -> None:
    """172,800 synapses and 541 neurons over 10 steps: at most 40.7808 + 0.43821 uJ, and 271.6 were measured."""
    row = checks("loihi1")["blouw2019-kws"]
    assert row.low == pytest.approx(541 * 10 * 52e-6, rel=1e-12)
    assert row.high == pytest.approx(1_728_000 * 23.6e-6 + 5_410 * 81e-6, rel=1e-12)
    assert (row.rates, row.result) == (None, "low by 6.6 times at least: no firing rate explains it")


def test_the_rates_at_which_an_estimate_meets_what_was_measured() -> None:
    """A copy: (17.1 - 2.0736) / 170.131 to (17.1 - 1.3312) / 170.131. PilotNet by Loihi 1: 0.166 to 0.180."""
    row = checks("loihi1")["blouw2019-kws-copy"]
    assert row.rates == pytest.approx((0.08832, 0.09269), abs=5e-6)
    assert row.result == "met where neurons fire in 8.8 to 9.3 % of all steps"
    pilotnet = checks("loihi2")["pilotnet-lif-dynamic"]
    assert pilotnet.rates == pytest.approx((0.166, 0.180), abs=5e-4)
    assert pilotnet.estimated_by == "loihi1"


def test_an_estimate_that_silence_exceeds_is_said_to_be_high() -> None:
    profile = load_profile("loihi1")
    entries = tuple(
        entry.model_copy(update={"value": 1.0}) for entry in profile.published if entry.id == "blouw2019-kws-copy"
    )
    (row,) = check_rows(replace(profile, published=entries))
    assert (row.rates, row.result) == (None, "high by 1.3 times at least: silence alone would cost more")


def test_what_the_checks_say_together() -> None:
    first, *_, last, _, _, _ = summary(validate_rows())
    assert "within 30 % of what was measured (4 of 4" in first
    assert "tiny ones" in last
    assert summary([]) == []
    rows = [row for row in validate_rows() if row.result == "within"]
    assert not any("tiny" in sentence for sentence in summary(rows))
    assert "| 1.33 mJ | 1.449 to 1.733 | - | +8.9 to +30.3 % | within | source of an end |" in markdown(rows)


def test_the_summary_says_which_rows_are_evidence() -> None:
    """Of four rows with counts, three are of publications that constants were fitted to. Of three totals that are
    independent, the k-NN alone is met; of a slope, the one; of a time, none."""
    text = " ".join(summary(validate_rows()))
    assert (
        "Of these rows, 3 are in sample, since constants were fitted to the same publication, 1 is the source" in text
    )
    assert "meet the estimate in 1 of 3 totals, 1 of 1 slopes over network size, 0 of 1 times" in text
    assert "Independent checks that nominal constants passed: one of a total, one of a slope, none of a time." in text
    assert "20 of the 22 are in sample" in text
    roles = {row.id: row.role for row in validate_rows() if row.hardware in ("odin", "truenorth", "loihi1")}
    assert [name for name, role in roles.items() if role == "independent"] == [
        "blouw2019-kws", "blouw2019-kws-less-x86", "blouw2019-kws-copy", "blouw2019-kws-step",
    ]  # fmt: skip


def test_a_step_of_keyword_spotting_by_hand() -> None:
    """At 0.1 spikes a step, 9,984 operations of 3.5 ns, 256 updates of 8.4 ns and 113 ns: 37.21 us, against 337.3."""
    row = checks("loihi1")["blouw2019-kws-step"]
    by_hand = 9_984 * 3.5e-3 + 256 * 8.4e-3 + 0.113
    assert row.published == pytest.approx(1e6 / (296.5 * 10), abs=0.05)  # rounded to four digits
    assert row.result.startswith(f"{by_hand:.4g} us at a firing rate of 0.1: 9.1 times too fast, since the host")
    assert row.low == pytest.approx(256 * 5.3e-3 + 0.113, rel=1e-12)
    assert row.high == pytest.approx(99_840 * 3.5e-3 + 256 * 8.4e-3 + 0.113, rel=1e-12)
    assert row.rates == pytest.approx(((337.3 - 2.2634) / 349.44, (337.3 - 1.4698) / 349.44), rel=1e-9)


def test_results_without_counts_are_shown_but_not_judged() -> None:
    rows = checks("loihi2")
    assert rows["pilotnet-lif-total"].result == "no estimate: its counts are not published"
    negative = rows["pilotnet-sdnn-dynamic"]
    assert negative.published == -0.36
    assert negative.result == "no check: kept as a warning"


@pytest.mark.parametrize("name", list_profiles())
def test_every_number_shows_its_source_and_grade(name: str) -> None:
    profile = load_profile(name)
    rows = show_rows(profile)
    assert len(rows) == len({row.key for row in rows})
    for row in rows:
        assert row.source
        assert (row.value is None) == (row.status == "unknown")


def test_show_gives_units() -> None:
    rows = {row.key: row for row in show_rows(load_profile("loihi1"))}
    assert (rows["energy.synop"].value, rows["energy.synop"].unit) == (23.6, "pJ")
    assert (rows["static.per_chip_mW"].value, rows["static.per_chip_mW"].unit) == (29.7, "mW")
    assert rows["latency.t_synop_ns"].unit == "ns"
    assert rows["latency.realtime_step_us"].unit == "us"
    assert rows["limits.synapse_bytes_per_core"].unit == "bytes"
    assert rows["limits.cores_per_chip"].unit == ""
    gpu = {row.key: row for row in show_rows(load_profile("h100"))}
    assert (gpu["gpu.p_max_W"].value, gpu["gpu.p_max_W"].unit) == (700, "W")


def test_list_names_unknown_terms() -> None:
    rows = {row.id: row for row in list_rows()}
    assert tuple(rows) == list_profiles()
    assert rows["loihi1"].unknown_terms == ()
    assert "synop" in rows["loihi2"].unknown_terms


def test_measured_energies_of_gpus_lie_in_the_interval_of_the_model() -> None:
    """22 runs of 3 boards. Four runs of the TX1 took longer than the high end."""
    rows = [row for row in validate_rows() if row.nominal is not None]
    energies = [row for row in rows if row.unit == "mJ"]
    times = [row for row in rows if row.unit == "us"]
    assert [row.result for row in energies] == ["within"] * 22
    slow = {row.id: row.result for row in times if row.result != "within"}
    assert slow == {
        "blouw2019-kws-batch1-time": "low by 16 % at least",
        "blouw2019-kws-batch8-time": "low by 0.46 % at least",
        "blouw2019-kws-batch16-time": "low by 0.43 % at least",
        "blouw2019-kws-batch64-time": "low by 9.3 % at least",
    }
    assert {row.hardware for row in times if row.id in slow and row.result != "within"} == {"jetson-tx1"}
    *_, of_energies, of_times = summary(rows)
    assert of_energies.startswith("22 of 22 measured energies of GPUs lie within")
    assert "0.10 to 1.22" in of_energies
    assert of_times.startswith("17 of 21 measured times")


@pytest.mark.parametrize(
    ("hardware", "rest", "off"),
    [("jetson-agx-orin", "single", 0.22), ("jetson-agx-orin", "offline", 0.14), ("quadro-k4000", "kws-batch1", -0.83)],
)
def test_the_nominal_energy_of_gpus(hardware: str, rest: str, off: float) -> None:
    """The boards of 2013 and 2015 ran TensorFlow 1 at several times the nominal launch costs; the Orin did not."""
    (row,) = (row for row in check_rows(load_profile(hardware)) if row.id.endswith(rest))
    assert row.nominal is not None
    assert row.published is not None
    assert row.nominal / row.published - 1 == pytest.approx(off, abs=5e-3)


def test_the_launch_bound_formula_fitted_to_a_board_predicts_its_other_runs() -> None:
    """Time of each of the 13 runs of the K4000, from constants that are fitted to the other 12: within 25 %, and
    within 13 % but for batch 64, which alone says what share of the peak is reached."""
    entries = [entry for entry in load_profile("quadro-k4000").published if entry.unit == "us"]
    work = np.array([[1.0, entry.kernels, entry.macs * entry.batch / 1e6] for entry in entries])
    times = np.array([entry.value for entry in entries])
    off = []
    for left_out in range(len(entries)):
        others = np.arange(len(entries)) != left_out
        fitted = np.linalg.lstsq(work[others] / times[others, None], np.ones(others.sum()), rcond=None)[0]
        off.append(work[left_out] @ fitted / times[left_out] - 1)
    assert max(map(abs, off)) < 0.25
    assert sorted(map(abs, off))[-2] < 0.13

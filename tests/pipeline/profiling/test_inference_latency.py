"""Latency, static power and the grade of a row, against sums worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import (
    conv_activity,
    conv_frames,
    energy_row,
    known_activity,
    known_network,
    placed,
    write_profile,
)
from layer_activity import nominal, one_layer

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
from spikeport.pipeline.profiling.energy.latency import latency
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.profiling.profile_trace import estimate_energy

# --- latency, static power, routing


def test_one_step_on_one_core() -> None:
    """8 * 3.5 + 3 * 8.4 + 113 = 166.2 ns."""
    activity = one_layer(synops=8, updates_active=3)
    time = latency(load_profile("loihi1"), activity, [np.array([3])], placed(1)).time_us
    assert time is not None
    assert time[1, 0] * 1e3 == pytest.approx(166.2, rel=1e-12)


def test_static_power_runs_for_the_length_of_the_inference() -> None:
    """166.2 ns at 29.7 mW are 4.936 nJ."""
    result = sample_energies(load_profile("loihi1"), one_layer(synops=8, updates_active=3), placement=placed(1))
    assert nominal(result.static_pj) == pytest.approx(166.2e-9 * 29.7e-3 * 1e12, rel=1e-12)
    assert nominal(result.total_pj) == pytest.approx(nominal(result.dynamic_pj) + 4936.14, rel=1e-9)
    edp = energy_row(result)["edp_uj_us"]["nominal"]
    assert edp == pytest.approx(nominal(result.total_pj) * 1e-6 * 0.1662, rel=1e-12)


def test_static_power_by_core_and_included_overhead(tmp_path: Path) -> None:
    """3 neurons on 2 cores of 4: 8 mW * 2/4 + 2 * 0.5 mW over 10 µs, 1 step at 3 uJ, host 6 mW over 10 µs."""
    sourced = 'status = "measured"\nsource = "a table"\n'
    text = "".join(
        f"[{key}]\nvalue = {value}\n{sourced}"
        for key, value in {
            "static.per_chip_mW": 8,
            "static.per_core_mW": 0.5,
            "overhead.per_step_uJ": 3,
            "overhead.host_mW": 6,
            "latency.realtime_step_us": 10,
        }.items()
    )
    energies = {"synop": 1, "neuron_active": 1, "neuron_inactive": 1}
    tables = '[static]\nscale = "used_cores"\n[overhead]\nincluded = true\n[latency]\nmodel = "fixed_step"\n'
    on_two_of_four = replace(placed(2, tiles=None), cores_per_chip=4)
    profile = write_profile(tmp_path, energies, more=tables + text)
    result = sample_energies(profile, one_layer(synops=5), placement=on_two_of_four)
    assert nominal(result.static_pj) == pytest.approx((4 + 1) * 10 * 1e3, rel=1e-12)
    assert nominal(result.total_pj) == pytest.approx(5 + 3 + 50_000 + 3e6 + 60_000, rel=1e-12)
    with pytest.raises(UserError, match="overhead: included = true needs a number to include"):
        write_profile(tmp_path, energies, more="[overhead]\nincluded = true\n")


def test_a_layer_s_work_is_spread_over_its_cores_and_the_barrier_grows_with_tiles() -> None:
    """8 synapses and 3 updates on 2 cores of 32 tiles: (8 * 3.5 + 3 * 8.4) / 2 + 465 ns."""
    activity = one_layer(synops=8, updates_active=3)
    time = latency(load_profile("loihi1"), activity, [np.array([3])], placed(2, tiles=32)).time_us
    assert time is not None
    assert time[1, 0] * 1e3 == pytest.approx((8 * 3.5 + 3 * 8.4) / 2 + 465, rel=1e-12)


def test_without_cores_time_and_what_hangs_on_it_are_unknown_and_named() -> None:
    row = energy_row(sample_energies(load_profile("loihi1"), one_layer(synops=8, updates_active=3)))
    assert (row["latency_us"], row["static_uj"], row["total_uj"], row["placement"]) == (None, None, None, None)
    assert row["dynamic_uj"] is not None
    assert "latency" in row["unknown_terms"]
    assert any(
        line.startswith("no total: the cores and tiles of the layers are not known") for line in row["assumptions"]
    )
    fixed = energy_row(
        sample_energies(load_profile("truenorth"), one_layer(synops=8))
    )  # its steps last 1 ms on any core
    assert (fixed["latency_us"]["nominal"], fixed["total_uj"]) == (1000, None)
    assert "static" in fixed["unknown_terms"]


def test_more_than_one_chip_has_no_known_latency() -> None:
    wide = replace(one_layer().layers[0], neurons=128 * 1024 + 1)
    many = placed(129, tiles=33, chips=2)
    row = energy_row(sample_energies(load_profile("loihi1"), replace(one_layer(), layers=(wide,)), placement=many))
    assert row["latency_us"] is None
    assert row["total_uj"] is None
    assert row["dynamic_uj"] is not None
    assert "latency" in row["unknown_terms"]
    assert any("takes 2 chips" in line for line in row["assumptions"])


def test_fixed_step() -> None:
    row = energy_row(sample_energies(load_profile("truenorth"), known_activity(), placement=placed(1, 1, tiles=None)))
    assert (row["interval_us"]["nominal"], row["latency_us"]["nominal"]) == (4 * 1000, 5 * 1000)
    static_uj = 64.43e-3 * 4e-3 * 1e6
    assert row["total_uj"]["nominal"] == pytest.approx(static_uj + 16 * 2.297e-6, rel=1e-12)


def test_constants_of_a_route() -> None:
    """One spike over two east-west hops and one north-south hop into a tile: 2*3.0 + 4.0 + 1.7 = 11.7 pJ."""
    profile = load_profile("loihi1")
    east, north, local = (profile.energy_per_operation(op).interval[1] for op in ("hop_ew", "hop_ns", "spike_local"))
    assert 2 * east + north + local == pytest.approx(11.7, rel=1e-12)


# --- what a row says


def test_row_names_its_grade_scope_and_omissions() -> None:
    activity = conv_activity(conv_frames())
    row = energy_row(sample_energies(load_profile("loihi1"), activity, placement=placed(2, 1)))
    assert row["basis"] == "modeled from pre-silicon and measured constants"
    assert "routing (lower bound)" in row["scope"]
    assert any("host" in line for line in row["not_included"])
    assert any("low by 6.6 times at least" in line for line in row["assumptions"])
    assert any("5.94 µJ per chip" in line for line in row["not_included"])
    assert any(
        line.startswith("synop 23.6 (18.9 to 35.5) pJ, pre-silicon, stated as min: Davies") for line in row["sources"]
    )
    assert row["backend"] == "reference"
    assert row["profile"]["sha256"] == load_profile("loihi1").sha256


def test_row_gives_mean_and_interval_over_samples() -> None:
    activity = conv_activity(conv_frames(samples=5))
    result = sample_energies(load_profile("loihi1"), activity)
    assert result.dynamic_pj is not None
    per_sample = result.dynamic_pj[1] / 1e6
    spread = energy_row(result)["per_sample_uj"]
    assert spread["n"] == 5
    assert spread["mean"] == pytest.approx(per_sample.mean(), rel=1e-12)
    assert spread["std"] == pytest.approx(per_sample.std(ddof=1), rel=1e-12)
    assert per_sample.min() <= spread["low"] < spread["mean"] < spread["high"] <= per_sample.max()
    assert spread == energy_row(result)["per_sample_uj"]  # the same seed, the same interval


def test_an_estimate_is_a_value_that_json_reads_back() -> None:
    """By hand 1281.3 pJ, every term of every layer included, and no total without a placement."""
    frames = np.array([[[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]], dtype=np.uint8)
    network = known_network()
    estimate = estimate_energy(network, simulate(network, frames), "loihi1")
    assert estimate.dynamic_uj is not None
    assert estimate.dynamic_uj.nominal == pytest.approx(1281.3e-6, rel=1e-12)
    terms = [term.nominal for each in estimate.layers for term in (each.synapse_uj, each.neuron_uj, each.routing_uj)]
    assert sum(terms) == pytest.approx(1281.3e-6, rel=1e-12)
    assert estimate.hardware == "loihi1"
    assert EnergyEstimate.from_json(json.loads(json.dumps(estimate.to_json()))) == estimate
    assert repr(estimate).startswith("EnergyEstimate: Loihi 1 (loihi1), modeled from")
    assert "core     0.00128 µJ" in repr(estimate)
    assert len(repr(estimate).splitlines()) == 1 + 9 + 2
    assert "0.00128 µJ" in estimate._repr_html_()


def test_an_estimate_names_what_is_unknown() -> None:
    frames = np.array([[[1, 0, 1]]], dtype=np.uint8)
    estimate = estimate_energy(known_network(), simulate(known_network(), frames), load_profile("loihi2"))
    assert estimate.dynamic_uj is None
    assert {"synop", "neuron_active"} <= set(estimate.unknown_terms)
    assert "core     unknown" in repr(estimate)

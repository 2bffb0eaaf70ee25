"""Counts and energy of a known network against sums worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_networks import (
    MEMORYLESS,
    energy_row,
    known_activity,
    known_network,
)
from layer_activity import nominal

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import LayerCounts, SpikeTrace
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.report.content.energy_rows import neuron_updates

# --- counts


def test_counts_of_the_known_network() -> None:
    activity = known_activity()
    hidden, output = (layer.means() for layer in activity.layers)
    assert (hidden["synops_per_sample"], output["synops_per_sample"]) == (12, 4)
    assert hidden["dense_ops"] + output["dense_ops"] == 32
    assert (hidden["updates_active_per_sample"], hidden["updates_inactive_per_sample"]) == (6, 2)
    assert (output["updates_active_per_sample"], output["updates_inactive_per_sample"]) == (3, 1)
    assert hidden["messages_per_sample"] + output["messages_per_sample"] == 11
    assert (hidden["spikes_per_sample"], hidden["rate"]) == (4, 0.5)
    assert activity.activation_sparsity == pytest.approx(7 / 12, abs=1e-15)  # one rounding of a quotient
    assert activity.ann_macs == 8


def test_effective_synops_leave_zero_weights_out() -> None:
    """NeuroBench's documented matrix with events on the last two inputs: 4 effective operations of 6."""
    weight = np.array([[2, 0, -6], [0, 2, -10], [-2, 6, 0]])
    layer = IntegerLayer(name="w", kind="dense", weight=weight, bias=None, vth_mant=9, input_shape=(3,), **MEMORYLESS)
    network = IntegerNetwork(input_shape=(3,), layers=(layer,))
    activity = count_activity(network, simulate(network, np.array([[[0, 1, 1]]], dtype=np.uint8)))
    row = activity.layers[0].means()
    assert (row["effective_synops_per_sample"], row["synops_per_sample"], row["dense_ops"]) == (4, 6, 9)


def test_trace_without_counts_is_refused() -> None:
    trace = SpikeTrace(backend="lava", spikes=np.zeros((1, 4, 1), dtype=np.uint8))
    with pytest.raises(UserError, match="a trace from lava holds output spikes only"):
        count_activity(known_network(), trace)


def test_trace_of_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="profile the network that was simulated"):
        count_activity(known_network(), replace_counts(3))


def replace_counts(layers: int) -> SpikeTrace:
    table = np.zeros((1, layers), dtype=np.int64)
    counts = LayerCounts(events_in=table, synops=table, effective_synops=table, spikes_out=table, updates_active=table)
    return SpikeTrace(backend="reference", spikes=np.zeros((1, 4, 1), dtype=np.uint8), counts=counts)


# --- dynamic energy


def test_known_network_on_loihi1() -> None:
    """16*23.6 + 9*81 + 3*52 + 11*1.7 = 1281.3 pJ; with every update active 1368.3 pJ."""
    result = sample_energies(load_profile("loihi1"), known_activity())
    assert nominal(result.dynamic_pj) == pytest.approx(1281.3, rel=1e-12)  # a sum of a dozen float64 products
    assert result.neuron_bracket_pj == (12 * 52, 12 * 81)
    assert nominal(result.dynamic_pj) - (9 * 81 + 3 * 52) + 12 * 81 == pytest.approx(1368.3, rel=1e-12)
    assert result.dynamic_pj is not None
    assert result.dynamic_pj[0, 0] == pytest.approx(16 * 18.9 + 12 * 51.2 + 11 * 1.7, rel=1e-12)
    assert result.dynamic_pj[2, 0] == pytest.approx(16 * 35.5 + 12 * 81 + 11 * 180.3, rel=1e-12)


def test_known_network_by_sanafe_constants() -> None:
    """16*35.5 dense synapses + 11*72.8 + 51.2 updates + 5*69.3 spikes out + 11*111 messages = 2987.5 pJ.

    Of the three updates without an event, those of step 1, two find a membrane that is not at rest.
    """
    result = sample_energies(load_profile("loihi1-sanafe"), known_activity())
    assert nominal(result.dynamic_pj) == pytest.approx(2987.5, rel=1e-12)


def test_active_rule_can_be_spiked_only() -> None:
    """5 updates fired, 7 did not."""
    result = sample_energies(load_profile("loihi1"), known_activity(), active_rule="spiked_only")
    assert nominal(result.dynamic_pj) == pytest.approx(16 * 23.6 + 5 * 81 + 7 * 52 + 11 * 1.7, rel=1e-12)
    row = energy_row(result)
    assert row["active_rule"] == "spiked_only"
    (message,) = [line for line in row["assumptions"] if "update is active" in line]
    assert message == (
        "an update is active if the neuron fired (asked for; by the device's own rule an update is active if an event "
        "arrived, a bias is set or the neuron fired); low takes every update as inactive, high as active"
    )


@pytest.mark.parametrize("rule", ["", "received_input_or_bias_or_spiked", "spiked_only", "membrane_nonzero"])
def test_every_rule_s_neuron_energy_stands_between_the_ends_whichever_is_in_force(rule: str) -> None:
    """Of 12 updates 9 are active by the device's rule, 5 fired and 11 are off rest: 81 pJ and 52 pJ each."""
    result = sample_energies(load_profile("loihi1"), known_activity(), active_rule=rule)
    row = energy_row(result)
    by_rule = {
        "received_input_or_bias_or_spiked": 9 * 81 + 3 * 52,
        "spiked_only": 5 * 81 + 7 * 52,
        "membrane_nonzero": 11 * 81 + 52,
    }
    # Sums and shares in float64.
    assert row["neuron_by_rule_uj"] == pytest.approx({key: pj / 1e6 for key, pj in by_rule.items()}, rel=1e-12)
    assert row["neuron_bracket_uj"] == pytest.approx({"all_inactive": 624e-6, "all_active": 972e-6}, rel=1e-12)
    in_force = rule or "received_input_or_bias_or_spiked"
    assert row["active_rule"] == in_force
    neurons = sum(layer["neuron_uj"]["nominal"] for layer in row["layers"])
    assert neurons == pytest.approx(by_rule[in_force] / 1e6, rel=1e-12)
    text = neuron_updates(row)
    assert f"by the rule in force, {in_force}, by " in text
    assert any("asked for" in line for line in row["assumptions"]) == (in_force != "received_input_or_bias_or_spiked")


def test_a_trace_of_an_earlier_version_lacks_the_updates_off_rest() -> None:
    """A device's own rule gives way to the nearest one, and says so; a rule that was asked for does not."""
    counted = known_activity()
    older = replace(counted, layers=tuple(replace(layer, updates_nonzero=None) for layer in counted.layers))
    profile = load_profile("loihi1-sanafe")
    result = sample_energies(profile, older)
    assert nominal(result.dynamic_pj) == pytest.approx(2987.5 - 2 * (72.8 - 51.2), rel=1e-12)
    row = energy_row(result)
    assert row["active_rule"] == "received_input_or_bias_or_spiked"
    assert set(row["neuron_by_rule_uj"]) == {"received_input_or_bias_or_spiked", "spiked_only"}
    assert any("(the trace lacks a count; by the device's own rule" in line for line in row["assumptions"])
    with pytest.raises(UserError, match="does not count the updates of neurons that are not at rest"):
        sample_energies(load_profile("loihi1"), older, active_rule="membrane_nonzero")


def test_a_rule_that_no_number_depends_on_is_not_named() -> None:
    for name in ("cmos45-lemaire", "truenorth-all-in", "loihi2"):
        row = energy_row(sample_energies(load_profile(name), known_activity(), active_rule="spiked_only"))
        assert row["active_rule"] is None
        assert not any("update is active" in line for line in row["assumptions"])


def test_where_the_rule_makes_no_difference_nothing_is_said_of_it() -> None:
    """SpiNNaker 2 has one energy for all updates, the 45 nm convention none."""
    for name in ("spinnaker2", "cmos45-fp32"):
        row = energy_row(sample_energies(load_profile(name), known_activity()))
        assert row["neuron_bracket_uj"] is not None
        assert neuron_updates(row) == ""


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'fired' is not a rule.*received_input_or_bias_or_spiked, spiked_only"):
        sample_energies(load_profile("loihi1"), known_activity(), active_rule="fired")


def test_known_network_by_the_45nm_convention() -> None:
    """SNN 16 * 0.9 = 14.4 pJ; ANN one pass 8 * 4.6 = 36.8 pJ; break-even at 4.6 / 0.9 events per synapse, here 2.
    5 of 12 neuron-steps fire; 4 steps tell 5 levels apart, which takes 3 bits."""
    row = energy_row(sample_energies(load_profile("cmos45-fp32"), known_activity()))
    assert row["dynamic_uj"]["nominal"] == pytest.approx(14.4e-6, rel=1e-12)
    assert row["dynamic_uj"]["high"] == pytest.approx((14.4 + 12 * 4.6) * 1e-6, rel=1e-12)
    assert row["ann_uj"]["nominal"] == pytest.approx(36.8e-6, rel=1e-12)
    assert row["break_even"] == pytest.approx(
        {"events_per_synapse": 4.6 / 0.9, "here": 2.0, "firing": 5 / 12, "ann_bits": 3}, rel=1e-12
    )
    assert row["total_uj"] is None
    assert row["basis"] == "modeled from convention constants"


@pytest.mark.parametrize(
    ("name", "synop", "mac", "high_synop", "high_mac"),
    [
        ("cmos45-fp16", 0.4, 0.4 + 1.1, 0.4, 1.5),
        ("cmos45-int8", 0.03, 0.03 + 0.2, 0.1, 0.1 + 0.2),
        ("cmos45-int32", 0.1, 0.1 + 3.1, 0.1, 3.2),
    ],
)
def test_known_network_by_other_45nm_precisions(
    name: str, synop: float, mac: float, high_synop: float, high_mac: float
) -> None:
    """Horowitz's additions and multiplications, summed by hand: 16 events against 8 multiply-accumulates."""
    row = energy_row(sample_energies(load_profile(name), known_activity()))
    assert row["dynamic_uj"]["nominal"] == pytest.approx(16 * synop * 1e-6, rel=1e-12)
    assert row["dynamic_uj"]["high"] == pytest.approx((16 * high_synop + 12 * high_mac) * 1e-6, rel=1e-12)
    assert row["ann_uj"]["nominal"] == pytest.approx(8 * mac * 1e-6, rel=1e-12)
    assert row["break_even"]["events_per_synapse"] == pytest.approx(mac / synop, rel=1e-12)


def test_known_network_on_spinnaker2() -> None:
    """16 * 450 + 12 * 2190 = 33,480 pJ, of which the events are anything from 160 to 24,000."""
    row = energy_row(sample_energies(load_profile("spinnaker2"), known_activity()))
    assert [round(row["dynamic_uj"][end] * 1e6, 6) for end in ("low", "nominal", "high")] == [26_440, 33_480, 50_280]
    assert row["total_uj"] is None
    assert (row["interval_us"]["nominal"], row["latency_us"]["nominal"]) == (4 * 1000, 5 * 1000)


@pytest.mark.parametrize("name", ["speck", "akida1000"])
def test_chips_without_a_published_energy_still_count(name: str) -> None:
    row = energy_row(sample_energies(load_profile(name), known_activity()))
    assert (row["dynamic_uj"], row["total_uj"]) == (None, None)
    assert {"synop", "neuron_event"} <= set(row["unknown_terms"])

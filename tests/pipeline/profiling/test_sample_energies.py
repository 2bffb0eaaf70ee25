"""Counts, energy and latency against sums worked out by hand and against invariants."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import (
    MEMORYLESS,
    conv_activity,
    conv_frames,
    energy_row,
    known_activity,
    known_network,
    placed,
    write_profile,
)

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import LayerCounts, SpikeTrace
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import Activity, LayerActivity, count_activity
from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
from spikeport.pipeline.profiling.energy.latency import latency
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.profiling.profile_trace import estimate_energy
from spikeport.pipeline.report.content.energy_rows import neuron_updates


def one_layer(**counts: int) -> Activity:
    """A dense layer of 3 neurons with given counts."""
    given = {"events": 0, "synops": 0, "effective_synops": 0, "spikes": 0, "updates_active": 0, "messages": 0}
    layer = LayerActivity(
        name="layer",
        kind="dense",
        shape=(3,),
        neurons=3,
        weights=9,
        inputs=3,
        addressed_synapses=3,
        biases=0,
        state_words=1,
        state_muls=1,
        state_adds=0,
        steps=1,
        dense_ops_per_pass=9,
        naive_macs_per_pass=9,
        **{key: np.array([value]) for key, value in (given | counts).items()},
    )
    return Activity(layers=(layer,), samples=1, steps=1, backend="reference")


def nominal(energy: np.ndarray | None) -> float:
    assert energy is not None
    return float(energy[1].mean())


# --- counts


def test_counts_of_the_known_network() -> None:
    activity = known_activity()
    hidden, output = (layer.means().to_json() for layer in activity.layers)
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
    row = activity.layers[0].means().to_json()
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
    """16*35.5 dense synapses + 9*72.8 + 3*51.2 updates + 5*69.3 spikes out + 11*111 messages = 2944.3 pJ."""
    result = sample_energies(load_profile("loihi1-sanafe"), known_activity())
    assert nominal(result.dynamic_pj) == pytest.approx(2944.3, rel=1e-12)


def test_active_rule_can_be_spiked_only() -> None:
    """5 updates fired, 7 did not."""
    result = sample_energies(load_profile("loihi1"), known_activity(), active_rule="spiked_only")
    assert nominal(result.dynamic_pj) == pytest.approx(16 * 23.6 + 5 * 81 + 7 * 52 + 11 * 1.7, rel=1e-12)
    row = energy_row(result)
    assert row["active_rule"] == "spiked_only"
    (said,) = [line for line in row["assumptions"] if "update is active" in line]
    assert said == (
        "an update is active if the neuron fired (asked for; by the device's own rule an update is active if an event "
        "arrived, a bias is set or the neuron fired); low takes every update as inactive, high as active"
    )


@pytest.mark.parametrize("rule", ["", "received_input_or_bias_or_spiked", "spiked_only"])
def test_every_rule_s_neuron_energy_stands_between_the_ends_whichever_is_in_force(rule: str) -> None:
    """Of 12 updates 9 are active by the device's rule and 5 fired: 81 pJ and 52 pJ each."""
    result = sample_energies(load_profile("loihi1"), known_activity(), active_rule=rule)
    row = energy_row(result)
    by_rule = {"received_input_or_bias_or_spiked": 9 * 81 + 3 * 52, "spiked_only": 5 * 81 + 7 * 52}
    # Sums and shares in float64.
    assert row["neuron_by_rule_uj"] == pytest.approx({key: pj / 1e6 for key, pj in by_rule.items()}, rel=1e-12)
    assert row["neuron_bracket_uj"] == pytest.approx({"all_inactive": 624e-6, "all_active": 972e-6}, rel=1e-12)
    in_force = rule or "received_input_or_bias_or_spiked"
    assert row["active_rule"] == in_force
    neurons = sum(layer["neuron_uj"]["nominal"] for layer in row["layers"])
    assert neurons == pytest.approx(by_rule[in_force] / 1e6, rel=1e-12)
    text = neuron_updates(row)
    assert f"by the rule in force, {in_force}, by " in text
    assert any("asked for" in line for line in row["assumptions"]) == (rule == "spiked_only")


def test_a_rule_that_no_number_depends_on_is_not_named() -> None:
    for name in ("cmos45-lemaire", "truenorth-all-in", "loihi2"):
        row = energy_row(sample_energies(load_profile(name), known_activity(), active_rule="spiked_only"))
        assert row["active_rule"] is None
        assert not any("update is active" in line for line in row["assumptions"])


def test_where_the_rule_makes_no_difference_nothing_is_said_of_it() -> None:
    """SpiNNaker 2 prices every update alike, the 45 nm convention none."""
    for name in ("spinnaker2", "cmos45-fp32"):
        row = energy_row(sample_energies(load_profile(name), known_activity()))
        assert row["neuron_bracket_uj"] is not None
        assert neuron_updates(row) == ""


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'fired' is no rule.*received_input_or_bias_or_spiked, spiked_only"):
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
    assert row["latency_us"]["nominal"] == 4 * 1000


@pytest.mark.parametrize("name", ["speck", "akida1000"])
def test_chips_without_a_published_energy_still_count(name: str) -> None:
    row = energy_row(sample_energies(load_profile(name), known_activity()))
    assert (row["dynamic_uj"], row["total_uj"]) == (None, None)
    assert {"synop", "neuron_event"} <= set(row["unknown_terms"])


@pytest.mark.parametrize(
    ("policy", "energy_pj"), [("one_op", 5 * 2.0), ("by_value", 15 * 2.0), ("mac", 5 * 7.0), (None, 5 * 2.0)]
)
def test_an_event_of_value_three_with_five_synapses(tmp_path: Path, policy: str | None, energy_pj: float) -> None:
    """Oracle O6, an operation at 2 pJ and a multiply-accumulate at 7 pJ; what comes after the input is spikes."""
    first = IntegerLayer(
        name="first", kind="dense", weight=np.full((5, 2), 2), bias=None, i_decay=4096, v_decay=4096, vth_mant=200,
        input_shape=(2,),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2,), layers=(first,), input_message_bits=3)
    frames = np.array([[[0, 3], [0, 0]]], dtype=np.uint8)
    trace = simulate(network, frames)
    given = dict.fromkeys(("neuron_active", "neuron_inactive"), 0.0) | {"synop": 2.0, "synop_mac": 7.0}
    profile = write_profile(tmp_path, given, f'graded_event = "{policy}"' if policy else "")
    found = sample_energies(profile, count_activity(network, trace, frames))
    assert nominal(found.dynamic_pj) == energy_pj
    words = {"by_value": "as often as its value", "mac": "multiply-accumulate, since"}
    assert any(words.get(policy or "", "of whatever value") in line for line in energy_row(found)["assumptions"])
    blind = sample_energies(profile, count_activity(network, trace))  # nobody said what the values were
    if policy == "by_value":
        assert (blind.dynamic_pj, blind.unknown_terms[0]) == (None, "synop")
    else:
        assert nominal(blind.dynamic_pj) == energy_pj


def test_values_are_summed_by_fan_out(tmp_path: Path) -> None:
    """Each event's value times its synapses, zero weights or not, in Python's own loops."""
    rng = np.random.default_rng(8)
    weight = 2 * rng.integers(-3, 4, (3, 2, 3, 2))
    conv = IntegerLayer(
        name="conv", kind="conv", weight=weight, bias=None, i_decay=4096, v_decay=4096, vth_mant=90,
        input_shape=(2, 5, 4), padding=(1, 0), stride=(2, 1),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2, 5, 4), layers=(conv,), input_message_bits=4)
    frames = rng.integers(0, 16, (3, 2, 2, 5, 4)).astype(np.uint8)
    layer = count_activity(network, simulate(network, frames), frames).layers[0]
    _, rows, columns = conv.output_shape
    every, effective = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for out, channel, j, k in np.ndindex(weight.shape):
        for row, column in np.ndindex(rows, columns):
            y, x = 2 * row + j - 1, column + k
            if 0 <= y < 5 and x < 4:
                values = frames[:, :, channel, y, x].sum(axis=1, dtype=np.int64)
                every += values
                effective += values * (weight[out, channel, j, k] != 0)
    assert layer.carried_synops is not None
    assert layer.effective_carried_synops is not None
    np.testing.assert_array_equal(layer.carried_synops, every)
    np.testing.assert_array_equal(layer.effective_carried_synops, effective)
    assert (effective < every).all()


def test_agrees_with_keras_spiking(tmp_path: Path) -> None:
    """keras-spiking's Loihi: 27.1 pJ per operation and 81 pJ per update: 16 * 27.1 + 12 * 81 = 1405.6 pJ."""
    profile = write_profile(tmp_path, {"synop": 27.1, "neuron_active": 81, "neuron_inactive": 81})
    assert nominal(sample_energies(profile, known_activity()).dynamic_pj) == pytest.approx(1405.6, rel=1e-12)


def test_keras_spiking_documented_layer(tmp_path: Path) -> None:
    """Dense 784 -> 128, every input active once: (100,352 + 128) * 8.6 nJ = 864.1 uJ; 0.1 and 2 nJ: 10.29 uJ."""
    layer = one_layer(synops=784 * 128, updates_active=128).layers[0]
    activity = replace(one_layer(), layers=(replace(layer, neurons=128, shape=(128,)),))
    for synop, neuron, expected_uj in ((8600, 8600, 864.1), (100, 2000, 10.29)):
        profile = write_profile(tmp_path, {"synop": synop, "neuron_active": neuron, "neuron_inactive": neuron})
        row = energy_row(sample_energies(profile, activity))
        assert row["dynamic_uj"]["nominal"] == pytest.approx(expected_uj, rel=1e-3)  # printed to 4 digits


def test_event_driven_neurons_pay_per_event(tmp_path: Path) -> None:
    profile = write_profile(tmp_path, {"synop": 2, "neuron_event": 7}, 'neuron_update = "on_event"')
    result = sample_energies(profile, known_activity())
    assert nominal(result.dynamic_pj) == 16 * 2 + (6 + 4) * 7
    assert not any("update is active" in line for line in energy_row(result)["assumptions"])


def test_zero_weights_can_be_skipped(tmp_path: Path) -> None:
    energies = {"synop": 3.0, "neuron_active": 0.5, "neuron_inactive": 0.5}
    activity = one_layer(synops=6, effective_synops=4)
    assert nominal(sample_energies(write_profile(tmp_path, energies), activity).dynamic_pj) == 6 * 3 + 1.5
    skip = write_profile(tmp_path, energies, 'zero_weight = "skip"')
    assert nominal(sample_energies(skip, activity).dynamic_pj) == 4 * 3 + 1.5


def test_sanafe_constants_stay_inside_the_interval_of_loihi1() -> None:
    """The second opinion on the same chip must not fall out of the first one's interval."""
    activity = conv_activity(conv_frames())
    wide, second = (sample_energies(load_profile(name), activity).dynamic_pj for name in ("loihi1", "loihi1-sanafe"))
    assert wide is not None
    assert second is not None
    assert (wide[0] <= second[1]).all()
    assert (second[1] <= wide[2]).all()


def test_sanafe_prices_by_kind_of_synapse() -> None:
    activity = conv_activity(conv_frames())
    result = sample_energies(load_profile("loihi1-sanafe"), activity)
    for layer, energy, price in zip(activity.layers, result.layers, (24.0, 35.5), strict=True):
        assert np.allclose(energy.synapse_pj[1], layer.synops * price, rtol=1e-12)


# --- invariants


def test_silence_costs_inactive_updates_only() -> None:
    activity = conv_activity(np.zeros((2, 6, 2, 7, 6), dtype=np.uint8))
    result = sample_energies(load_profile("loihi1"), activity)
    neurons = sum(layer.neurons for layer in activity.layers)
    assert sum(int(layer.synops.sum()) for layer in activity.layers) == 0
    assert np.array_equal(result.dynamic_pj[1], [neurons * 6 * 52] * 2)  # type: ignore[index]


def test_silent_steps_add_inactive_updates_and_static_only() -> None:
    """Without bias a network that has come to rest stays silent, so doubling T with empty frames adds no spikes."""
    frames = np.array([[[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]], dtype=np.uint8)
    longer = np.concatenate([frames, np.zeros_like(frames)], axis=1)
    short, long = (
        sample_energies(
            load_profile("loihi1"),
            count_activity(known_network(), simulate(known_network(), given)),
            placement=placed(1, 1),
        )
        for given in (frames, longer)
    )
    assert nominal(long.dynamic_pj) - nominal(short.dynamic_pj) == pytest.approx(12 * 52, rel=1e-9)
    added_ns = 4 * (2 * 5.3 + 113)  # the hidden layer's two idle neurons, and the barrier of one tile
    assert nominal(long.static_pj) - nominal(short.static_pj) == pytest.approx(added_ns * 104.4, rel=1e-9)


def test_layers_add_up_to_the_network() -> None:
    activity = conv_activity(conv_frames())
    profile = load_profile("loihi1")
    result = sample_energies(profile, activity)
    apart = [sample_energies(profile, replace(activity, layers=(layer,))).dynamic_pj for layer in activity.layers]
    assert np.allclose(sum(apart), result.dynamic_pj, rtol=1e-12)  # type: ignore[arg-type]
    row = energy_row(result)
    terms = [layer[term]["nominal"] for layer in row["layers"] for term in ("synapse_uj", "neuron_uj", "routing_uj")]
    assert sum(terms) == pytest.approx(row["dynamic_uj"]["nominal"], rel=1e-12)


def test_counts_do_not_depend_on_batch_or_order() -> None:
    frames, order = conv_frames(), np.array([3, 0, 4, 2, 1])
    whole, shuffled = conv_activity(frames), conv_activity(frames[order])
    single = [conv_activity(frames[[n]]) for n in range(5)]
    for index, layer in enumerate(whole.layers):
        for key in ("events", "synops", "effective_synops", "spikes", "updates_active", "messages"):
            counts = getattr(layer, key)
            assert np.array_equal(counts[order], getattr(shuffled.layers[index], key))
            assert np.array_equal(counts, [getattr(one.layers[index], key)[0] for one in single])


def test_a_spike_costs_less_in_a_corner() -> None:
    layer = IntegerLayer(
        name="conv",
        kind="conv",
        weight=np.full((2, 1, 3, 3), 2),
        bias=None,
        vth_mant=100,
        input_shape=(1, 4, 4),
        padding=(1, 1),
        **MEMORYLESS,
    )
    network = IntegerNetwork(input_shape=(1, 4, 4), layers=(layer,))
    synops = {}
    for place_of_spike in ((0, 0), (0, 1), (1, 1), (2, 1)):
        frames = np.zeros((1, 1, 1, 4, 4), dtype=np.uint8)
        frames[0, 0, 0][place_of_spike] = 1
        synops[place_of_spike] = int(count_activity(network, simulate(network, frames)).layers[0].synops[0])
    assert synops == {(0, 0): 8, (0, 1): 12, (1, 1): 18, (2, 1): 18}
    everywhere = simulate(network, np.ones((1, 1, 1, 4, 4), dtype=np.uint8))
    assert count_activity(network, everywhere).layers[0].synops[0] == 200


@pytest.mark.parametrize("name", ["loihi1", "loihi1-sanafe", "cmos45-fp32", "truenorth"])
def test_intervals_are_in_order_for_every_sample(name: str) -> None:
    result = sample_energies(load_profile(name), conv_activity(conv_frames()), placement=placed(2, 1))
    for low_to_high in (result.dynamic_pj, result.total_pj, result.latency.time_us):
        if low_to_high is not None:
            assert all((a <= b).all() for a, b in itertools.pairwise(low_to_high))


# --- unknowns


def test_unknown_prices_stay_unknown() -> None:
    row = energy_row(sample_energies(load_profile("loihi2"), known_activity()))
    assert row["dynamic_uj"] is None
    assert row["total_uj"] is None
    assert row["latency_us"] is None
    assert {"synop", "neuron_active", "neuron_inactive"} <= set(row["unknown_terms"])
    assert row["basis"] == "unknown"
    assert row["sources"] == []
    assert known_activity().layers[0].means().to_json()["synops_per_sample"] == 12


def test_all_in_aggregate_gives_a_total_and_a_warning() -> None:
    row = energy_row(sample_energies(load_profile("truenorth-all-in"), known_activity()))
    assert row["dynamic_uj"] is None
    assert row["total_uj"]["nominal"] == pytest.approx(16 * 26e-6, rel=1e-12)
    assert any(line.startswith("warning: holds at 0.775 V, 20 Hz firing") for line in row["assumptions"])
    assert row["latency_us"] is None


def test_a_gpu_does_not_price_spikes() -> None:
    with pytest.raises(UserError, match="a100 is a gpu: its profile has energies of MACs, not of spikes"):
        sample_energies(load_profile("a100"), known_activity())


# --- latency, static power, routing


def test_one_step_on_one_core() -> None:
    """8 * 3.5 + 3 * 8.4 + 113 = 166.2 ns."""
    activity = one_layer(synops=8, updates_active=3)
    time = latency(load_profile("loihi1"), activity, [np.array([3])], placed(1)).time_us
    assert time is not None
    assert time[1, 0] * 1e3 == pytest.approx(166.2, rel=1e-12)


def test_static_power_runs_for_the_length_of_the_inference() -> None:
    """166.2 ns at 104.4 mW are 17.351 nJ."""
    result = sample_energies(load_profile("loihi1"), one_layer(synops=8, updates_active=3), placement=placed(1))
    assert nominal(result.static_pj) == pytest.approx(166.2e-9 * 104.4e-3 * 1e12, rel=1e-12)
    assert nominal(result.total_pj) == pytest.approx(nominal(result.dynamic_pj) + 17351.28, rel=1e-9)
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
    assert row["latency_us"]["nominal"] == 4 * 1000
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
    assert row["basis"] == "modeled from pre-silicon and fitted constants"
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
    assert "dynamic  0.00128 µJ" in repr(estimate)
    assert len(repr(estimate).splitlines()) == 1 + 5 + 2
    assert "0.00128 µJ" in estimate._repr_html_()


def test_an_estimate_names_what_is_unknown() -> None:
    frames = np.array([[[1, 0, 1]]], dtype=np.uint8)
    estimate = estimate_energy(known_network(), simulate(known_network(), frames), load_profile("loihi2"))
    assert estimate.dynamic_uj is None
    assert {"synop", "neuron_active"} <= set(estimate.unknown_terms)
    assert "dynamic  unknown" in repr(estimate)

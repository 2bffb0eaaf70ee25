"""Energy of events with values, and of neurons that take no step, by the rules of each platform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import (
    energy_row,
    known_activity,
    write_profile,
)
from layer_activity import nominal, one_layer

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies


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

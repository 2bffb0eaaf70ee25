"""Invariants of the energy estimates: ends of intervals, sums over layers, and what unknown constants leave unknown."""

from __future__ import annotations

import itertools
from dataclasses import replace

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
)
from layer_activity import nominal

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies


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
    for layer, energy, constant in zip(activity.layers, result.layers, (24.0, 35.5), strict=True):
        assert np.allclose(energy.synapse_pj[1], layer.synops * constant, rtol=1e-12)


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
    assert nominal(long.static_pj) - nominal(short.static_pj) == pytest.approx(added_ns * 29.7, rel=1e-9)


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
    assert known_activity().layers[0].means()["synops_per_sample"] == 12


def test_all_in_aggregate_gives_a_total_and_a_warning() -> None:
    row = energy_row(sample_energies(load_profile("truenorth-all-in"), known_activity()))
    assert row["dynamic_uj"] is None
    assert row["total_uj"]["nominal"] == pytest.approx(16 * 26e-6, rel=1e-12)
    assert any(line.startswith("warning: holds at 0.775 V, 20 Hz firing") for line in row["assumptions"])
    assert row["latency_us"] is None


def test_a_gpu_has_no_energy_per_spike() -> None:
    with pytest.raises(UserError, match="a100 is a gpu: its profile has energies of MACs, not of spikes"):
        sample_energies(load_profile("a100"), known_activity())

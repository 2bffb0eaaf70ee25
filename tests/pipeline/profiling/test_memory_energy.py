"""Addressing and memory accesses against sums worked out by hand, event by event, and against properties."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from known_networks import conv_activity, conv_frames, energy_row, known_activity
from report_example import example_inputs

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import Activity, count_activity
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.report.content.energy_rows import energy_rows
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report

ADD, MAC = 0.1, 3.2
C = 10 / 8192 / 8  # pJ per byte moved and byte of buffer, up to 8 KiB


def estimate_of(activity: Activity) -> dict[str, Any]:
    return energy_row(sample_energies(load_profile("cmos45-lemaire"), activity))


def picojoules(entry: dict[str, float]) -> list[float]:
    return [entry[end] * 1e6 for end in ("low", "nominal", "high")]


def test_known_network_term_by_term() -> None:
    """3 -> 2 -> 1 over 4 steps: 6 events, 12 operations, 4 spikes; then 4 events, 4 operations, 1 spike.

    Words of 4 bytes (weights 1, states 3 at the low end), 8 bytes an access (4 at the high end). Words moved times
    bytes of a word times bytes of the buffer:
    hidden: input 6*4*12, output 4*4*8, weights 12*4*24, states 2*(12 + 2*4)*4*8; output: input 4*4*8, output 1*4*4,
    weights 4*4*8, states 2*(4 + 1*4)*4*4.
    """
    row = estimate_of(known_activity())
    hidden, output = row["layers"]
    one_rounding = 1e-12  # a few float64 products
    for layer, synapse, neuron, addressing, memory in (
        (hidden, 12 * ADD, 8 * MAC, 6 * 2 * ADD, {"input": 288, "output": 128, "weights": 1152, "states": 1280}),
        (output, 4 * ADD, 4 * MAC, 4 * 1 * ADD, {"input": 128, "output": 16, "weights": 128, "states": 256}),
    ):
        assert picojoules(layer["synapse_uj"]) == pytest.approx([synapse] * 3, rel=one_rounding)
        assert picojoules(layer["neuron_uj"]) == pytest.approx([neuron] * 3, rel=one_rounding)
        assert picojoules(layer["routing_uj"]) == [0, 0, 0]
        assert picojoules(layer["addressing_uj"]) == pytest.approx([addressing] * 3, rel=one_rounding)
        for name, products in memory.items():
            assert picojoules(layer["memory_by_buffer_uj"][name])[1:] == pytest.approx(
                [products * C, 2 * products * C], rel=one_rounding
            )
        total = sum(memory.values())
        assert picojoules(layer["memory_uj"])[1:] == pytest.approx([total * C, 2 * total * C], rel=one_rounding)
    # Low: 12 weights of 1 byte from 6 bytes and 40 states of 3 bytes from 6; 4 weights from 2 and 16 states from 3.
    low = (288 + 128 + 12 * 1 * 6 + 40 * 3 * 6) * C, (128 + 16 + 4 * 1 * 2 + 16 * 3 * 3) * C
    assert [picojoules(layer["memory_uj"])[0] for layer in (hidden, output)] == pytest.approx(low, rel=one_rounding)
    assert hidden["buffer_bytes"] == {"input": 12, "output": 8, "weights": 24, "states": 8}
    dynamic = 1.6 + 12 * MAC + 1.6
    assert picojoules(row["dynamic_uj"]) == pytest.approx(
        [dynamic + sum(low), dynamic + 3376 * C, dynamic + 6752 * C], rel=one_rounding
    )
    assert picojoules(row["operations_uj"]) == pytest.approx([1.6 + 12 * MAC] * 3, rel=one_rounding)
    assert picojoules(row["ann_uj"]) == pytest.approx([8 * MAC] * 3, rel=one_rounding)


def grouped_layer(**changes: Any) -> IntegerLayer:
    rng = np.random.default_rng(8)
    given: dict[str, Any] = {
        "name": "conv",
        "kind": "conv",
        "weight": 2 * rng.integers(-40, 60, (6, 2, 3, 2)),
        "bias": np.array([3, 0, -2, 1, 0, 5]),
        "i_decay": 3000,
        "v_decay": 1024,
        "vth_mant": 90,
        "input_shape": (4, 7, 5),
        "padding": (1, 0),
        "stride": (2, 1),
        "groups": 2,
    }
    return IntegerLayer(**(given | changes))


def test_convolution_event_by_event() -> None:
    """Stride, padding, groups, a current and biases: every event walks its taps; 4-byte words, 8-byte accesses."""
    layer = grouped_layer()
    network = IntegerNetwork(input_shape=layer.input_shape, layers=(layer,))
    frames = (np.random.default_rng(9).random((3, 4, *layer.input_shape)) < 0.2).astype(np.uint8)
    trace = simulate(network, frames)
    channels, height, width = layer.output_shape
    neurons, weights, steps = channels * height * width, 6 * 2 * 3 * 2, 4
    expected = []
    for sample in range(3):
        synapse = addressing = reads = 0.0
        for _, _, y, x in np.argwhere(frames[sample]):
            addressing += 2 * MAC
            for _, tap_y, tap_x in itertools.product(range(6 // 2), range(3), range(2)):
                addressing += ADD
                row, column = (y + 1 - tap_y) / 2, x - tap_x
                if row in range(height) and column in range(width):
                    synapse += ADD
                    reads += 1
        events, spikes = frames[sample].sum(), trace.spikes[sample].sum()
        assert events
        assert spikes
        updates = neurons * steps
        neuron = updates * (2 * MAC + 2 * ADD)  # two leaks; the current into the membrane, the bias
        memory = (
            events * 4 * (4 * 7 * 5 * 4)
            + spikes * 4 * (neurons * 4)
            + (reads + updates) * 4 * ((weights + 6) * 4)
            + 2 * (reads + 2 * updates) * 4 * (2 * neurons * 4)
        ) * C
        expected.append([synapse, neuron, addressing, memory])
    (energy,) = sample_energies(load_profile("cmos45-lemaire"), count_activity(network, trace)).layers
    assert energy.memory is not None
    terms = (energy.synapse_pj, energy.neuron_pj, energy.memory.addressing_pj, energy.memory.memory_pj)
    found = np.transpose([term[1] for term in terms])
    assert found == pytest.approx(np.array(expected), rel=1e-9)  # sums of some thousand float64 terms


def test_recurrent_layer_reads_its_own_spikes() -> None:
    """2 inputs, 3 recurrent neurons: a queue for 5, each event finds 3 synapses, 6 + 9 weights."""
    layer = IntegerLayer(
        name="own", kind="dense", weight=np.array([[8, 2], [4, 6], [2, 10]]), bias=None, i_decay=4096, v_decay=512,
        vth_mant=5, input_shape=(2,), weight_rec=2 * np.ones((3, 3), dtype=int),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2,), layers=(layer,))
    trace = simulate(network, np.array([[[1, 0], [1, 1], [0, 0], [0, 1]]], dtype=np.uint8))
    spikes = trace.spikes[0].sum(axis=1)
    events = 4 + int(spikes[:-1].sum())  # the last step's spikes arrive after the end
    assert spikes[:-1].sum() > 0
    (row,) = estimate_of(count_activity(network, trace))["layers"]
    assert row["buffer_bytes"] == {"input": 20, "output": 12, "weights": 60, "states": 12}
    assert picojoules(row["addressing_uj"])[1] == pytest.approx(events * 3 * ADD, rel=1e-12)
    nominal = {name: picojoules(entry)[1] for name, entry in row["memory_by_buffer_uj"].items()}
    words = {
        "input": events * 20,
        "output": int(spikes.sum()) * 12,
        "weights": events * 3 * 60,
        "states": 2 * (events * 3 + 12) * 12,
    }
    assert nominal == pytest.approx({name: 4 * count * C for name, count in words.items()}, rel=1e-12)


def test_silence_costs_the_state_pass_only() -> None:
    activity = conv_activity(np.zeros((2, 6, 2, 7, 6), dtype=np.uint8))
    row = estimate_of(activity)
    for layer, counted in zip(row["layers"], activity.layers, strict=True):
        passes = counted.neurons * 6
        for key in ("synapse_uj", "routing_uj", "addressing_uj"):
            assert picojoules(layer[key]) == [0, 0, 0]
        assert picojoules(layer["neuron_uj"])[1] == pytest.approx(passes * MAC, rel=1e-12)
        state = 2 * passes * 4 * counted.neurons * 4 * C
        assert picojoules(layer["memory_uj"])[1] == pytest.approx(state, rel=1e-12)


def test_neurons_that_leak_nothing_save_the_pass() -> None:
    """IF without bias: silence costs nothing at all; a bias brings the pass back."""
    silent = np.zeros((1, 4, 4, 7, 5), dtype=np.uint8)
    zero_bias, rest = np.zeros(6, dtype=int), {"i_decay": 4096, "v_decay": 0}
    free = grouped_layer(bias=zero_bias, **rest)
    network = IntegerNetwork(input_shape=free.input_shape, layers=(free,))
    assert picojoules(estimate_of(count_activity(network, simulate(network, silent)))["dynamic_uj"]) == [0, 0, 0]
    biased = IntegerNetwork(input_shape=free.input_shape, layers=(grouped_layer(**rest),))
    energy = picojoules(estimate_of(count_activity(biased, simulate(biased, silent)))["dynamic_uj"])
    assert energy[0] > biased.layers[0].neurons * 4 * ADD


def test_larger_buffers_cost_more_for_the_same_counts() -> None:
    activity = known_activity()
    energies = []
    for factor in (1, 10, 1_000, 100_000, 1_000_000):
        layers = tuple(replace(layer, weights=layer.weights * factor) for layer in activity.layers)
        energies.append(picojoules(estimate_of(replace(activity, layers=layers))["dynamic_uj"]))
    for small, large in itertools.pairwise(energies):
        assert small[1] < large[1]
        assert small[2] < large[2]
        assert small[0] <= large[0]


def test_a_buffer_beyond_the_curve_is_named() -> None:
    """A 300,000-word weight buffer takes 1,200,000 bytes: more than the 1 MB that an energy was published for."""
    activity = known_activity()
    assert not any("extrapolated" in line for line in estimate_of(activity)["assumptions"])
    first = replace(activity.layers[0], weights=300_000)
    stated = estimate_of(replace(activity, layers=(first, activity.layers[1])))["assumptions"]
    (warning,) = (line for line in stated if "extrapolated" in line)
    assert "weights of hidden (1,200,000 bytes)" in warning
    assert "output" not in warning


def test_terms_add_up_and_intervals_are_in_order() -> None:
    result = sample_energies(load_profile("cmos45-lemaire"), conv_activity(conv_frames()))
    assert result.dynamic_pj is not None
    assert all((a <= b).all() for a, b in itertools.pairwise(result.dynamic_pj))
    row = energy_row(result)
    keys = ("synapse_uj", "neuron_uj", "routing_uj", "addressing_uj", "memory_uj")
    terms = [layer[key]["nominal"] for layer in row["layers"] for key in keys]
    assert sum(terms) == pytest.approx(row["dynamic_uj"]["nominal"], rel=1e-12)


def test_row_names_sources_and_what_is_left_out() -> None:
    row = estimate_of(known_activity())
    assert row["scope"] == "dynamic: synapse, neuron, addressing, memory, without routing; no total"
    assert row["basis"] == "modeled from convention constants"
    assert "break_even" not in row
    assert "addressing and memory accesses of the ANN: its number is operations only" in row["not_included"]
    assert not any("which the convention ignores" in line for line in row["not_included"])
    sources = "\n".join(row["sources"])
    assert "memory access_pJ 0 pJ at 0 bytes, 10 pJ at 8,192 bytes, 20 pJ at 32,768 bytes" in sources
    assert "memory access_bytes 8 (4 to 8) bytes, convention: Horowitz" in sources
    assert "mul 3.1 pJ, convention: Horowitz" in sources
    assert any("SpikingJelly divides" in line for line in row["assumptions"])


def test_rows_of_other_profiles_have_no_more_keys() -> None:
    row = energy_row(sample_energies(load_profile("cmos45-int32"), known_activity()))
    assert set(row["layers"][0]) == {"name", "synapse_uj", "neuron_uj", "routing_uj"}
    assert "operations_uj" not in row


def test_pages_show_addresses_and_memory() -> None:
    report = build_report(example_inputs())
    report["energy"] = [estimate_of(known_activity())]
    displayed = next(row for row in energy_rows(report) if row["name"].startswith("45 nm"))
    assert "operations of the spiking network" in displayed["notes"]["The same network as an ANN"]
    html = render_html(report)
    assert '<th scope="col" class="num">Addresses</th><th scope="col" class="num">Memory</th>' in html
    assert "45 nm convention with memory" in render_markdown(report)
    report["energy"] = [energy_row(sample_energies(load_profile("cmos45-int32"), known_activity()))]
    assert "Addresses</th>" not in render_html(report)

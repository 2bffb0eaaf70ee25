"""Quantizing a graph: what must be exact is exact, what is rounded is reported, what cannot go is refused in words."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from random_networks import integer_loop
from small_graphs import DT, graph_of, lif

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize


def test_norse_file_becomes_the_numbers_worked_out_by_hand(shared_data: Path):
    """dt/tau = 1e-4/2.5e-3 = 0.04: decay 163.84 -> 164, gain r dt/tau = 0.04, S = 254/0.04, threshold 0.1 S = 635."""
    network, table = quantize(load_graph(shared_data / "nir" / "lif_norse.nir", dt_s=1e-4, reset="zero"))
    (layer,) = network.layers
    assert (layer.i_decay, layer.v_decay, layer.vth_mant) == (4096, 164, 635)
    assert_array_equal(layer.weight, [[254]])
    assert table[0].v_decay_error == pytest.approx(0.16 / 4096, rel=1e-3)
    assert table[0].gain == pytest.approx(0.04)


def test_braille_file_is_refused_with_every_true_reason(shared_data: Path):
    graph = load_graph(shared_data / "nir" / "braille_noDelay_bias_zero.nir", reset="zero")
    assert graph.dt_s == 1e-4
    with pytest.raises(UserError, match=r"^3 things .*lif1\.w_rec: has a bias") as refusal:
        quantize(graph)
    assert "fc2: has a bias, and the current of lif2 decays slowly" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_weights_on_the_grid_with_full_or_no_decay_run_exactly():
    rng = np.random.default_rng(5)
    scale = 2.0**6
    first = nir.Affine(2 * rng.integers(-100, 100, (7, 5)) / scale, rng.integers(-30, 30, 7) / scale)
    second = nir.Linear(2 * rng.integers(-100, 100, (3, 7)) / scale)
    hold = nir.IF(r=np.full(3, 1 / DT), v_threshold=np.full(3, 301 / scale))
    graph = graph_of(
        first,
        lif((7,), tau=DT, r=1.0, threshold=41 / scale),
        second,
        hold,
        shape=(5,),
        scales={"n0": scale, "n2": scale},
    )
    network, table = quantize(graph)
    frames = (rng.random((40, 5)) < 0.4).astype(np.uint8)
    expected = run_nir(graph.nir_graph, DT, frames)
    assert 0 < expected.sum() < expected.size
    assert_array_equal(integer_loop(network, frames)[-1], expected)
    assert [row.exact for row in table] == [True, True]
    assert [row.weight_error for row in table] == [0, 0]


# Exactness as a property


@st.composite
def grid_chains(draw):
    """A random chain whose weights, biases and thresholds are on the grid and whose decays are 0 or 1."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    two = st.tuples(st.integers(1, 2), st.integers(1, 2))
    channels, height, width = draw(st.integers(1, 2)), draw(st.integers(4, 9)), draw(st.integers(4, 9))
    shape: tuple[int, ...] = (channels, height, width)
    nodes: list[nir.NIRNode] = []
    scales: dict[str, float] = {}

    def add(node: nir.NIRNode) -> None:
        nonlocal shape
        nodes.append(node)
        graph = graph_of(*nodes, shape=(channels, height, width))
        shape = graph.chain()[-1].output_shape

    def weights(*size: int) -> np.ndarray:
        kept = 2 * rng.integers(-40, 60, size)
        kept.flat[0] = kept.flat[0] or 2
        return kept / scale

    for _ in range(draw(st.integers(1, 3))):
        scale = 2.0 ** draw(st.integers(3, 8))
        if len(shape) == 3 and draw(st.booleans()) and min(shape[1:]) >= 3:
            out = draw(st.integers(1, 3))
            scales[f"n{len(nodes)}"] = scale
            weight, bias = weights(out, shape[0], *draw(two)), rng.integers(-30, 30, out) / scale
            add(nir.Conv2d(None, weight, draw(two), draw(st.tuples(*[st.integers(0, 1)] * 2)), draw(two), 1, bias))
            if draw(st.booleans()) and min(shape[1:]) >= 2:
                add(nir.SumPool2d(np.array([1, 2]), np.array([1, 2]), np.array([0, 0])))
        else:
            if len(shape) == 3 and draw(st.booleans()) and min(shape[1:]) >= 2:
                add(nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0])))
            if len(shape) == 3:
                add(nir.Flatten({"input": None}, start_dim=0, end_dim=-1))
            scales[f"n{len(nodes)}"] = scale
            out = draw(st.integers(1, 5))
            add(nir.Affine(weights(out, shape[0]), rng.integers(-30, 30, out) / scale))
        threshold = int(rng.integers(1, 200)) / scale
        kind = draw(st.sampled_from(["lif", "if", "cuba"]))
        one = np.ones(shape)
        if kind == "lif":
            add(lif(shape, tau=DT, r=1.0, threshold=threshold))
        elif kind == "if":
            add(nir.IF(r=one / DT, v_threshold=threshold * one))
        else:
            add(nir.CubaLIF(DT * one, DT * one, one, 0 * one, threshold * one))
    frames = (rng.random((12, channels, height, width)) < draw(st.sampled_from([0.1, 0.5, 1.0]))).astype(np.uint8)
    return graph_of(*nodes, shape=(channels, height, width), scales=scales), frames


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grid_chains())
def test_random_chains_on_the_grid_fire_the_same_spikes_in_integers(case):
    """Float64 holds every sum of a few small dyadic numbers, so the NIR execution is exact and so must be ours."""
    graph, frames = case
    try:
        network, table = quantize(graph)
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert_array_equal(integer_loop(network, frames)[-1], run_nir(graph.nir_graph, DT, frames))
        assert all(row.exact and row.weight_error == row.threshold_error == row.bias_error == 0 for row in table)
    assert not refusal or "after folding" in refusal or "netx would run" in refusal, refusal


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
@example(seed=120406, bits=7)  # the only weights that netx keeps are all 0
def test_rounding_after_training_stays_within_half_a_step(seed, bits):
    """Worked out again from the definition: integers over S are within half a grid step of what they stand for."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(4, 3)) * 10.0 ** rng.integers(-3, 3), rng.normal(size=4)
    theta, tau = float(rng.uniform(0.1, 5)), float(rng.uniform(1, 50)) * DT
    graph = graph_of(nir.Affine(weight, bias), lif((4,), tau=tau, r=tau / DT, threshold=theta), shape=(3,))
    try:
        network, (row,) = quantize(graph, bits=bits)
    except UserError as error:
        assert re.search("below 1 integer unit|round to 0", str(error))  # noqa: PT017
        reject()
    (layer,) = network.layers
    step = 2 ** (9 - bits)
    nudged = "netx would have run them as others" in str(row.notes)
    assert nudged or not np.any(layer.weight % step)
    assert np.abs(layer.weight).max() <= 256 - step
    assert np.abs(layer.weight - row.scale * weight).max() <= step / 2 + 2 * nudged + 1e-9
    assert abs(layer.vth_mant - row.scale * theta) <= 0.5 + 1e-9
    kept = 0 if layer.bias is None else layer.bias
    assert np.abs(kept - row.scale * bias).max() <= 0.5 + 1e-9
    assert layer.v_decay == round(4096 * DT / tau)
    assert row.weight_error == pytest.approx(
        np.linalg.norm(layer.weight - row.scale * weight) / np.linalg.norm(row.scale * weight)
    )
    assert row.v_decay_error <= 0.5 / 4096 + 1e-12
    assert row.saturated == 0
    full = nudged or np.abs(layer.weight).max() == 256 - step
    assert full or abs(kept).max() >= 4094 or layer.vth_mant >= 131070, "no larger scale would have been legal"
    json.dumps(asdict(row), allow_nan=False)


# Every rule of the table


def test_half_way_values_round_to_even():
    """S = 1 (largest weight 254): weights 3 and 5 are half way between even integers and go to 4 and 4; 2.5 to 2."""
    linear = nir.Affine(np.array([[254.0, 3.0, 5.0, -3.0]]), np.array([2.5]))
    network, (row,) = quantize(graph_of(linear, lif((1,), threshold=3.5), shape=(4,)))
    assert row.scale == 1
    assert_array_equal(network.layers[0].weight, [[254, 4, 4, -4]])
    assert_array_equal(network.layers[0].bias, [2])
    assert network.layers[0].vth_mant == 4


def test_gains_of_every_neuron_go_into_the_weights():
    """LIF: r dt/tau = 3/4 of tau 4 dt, r 3. IF: r dt. CubaLIF: (w_in dt/tau_syn)(r dt/tau_mem)."""
    linear, one = nir.Linear(np.array([[1.0, -0.5]])), np.ones(1)
    cuba = nir.CubaLIF(2 * DT * one, 8 * DT * one, 5 * one, 0 * one, one, w_in=3 * one)
    for node, gain, decays in [
        (lif((1,), tau=4 * DT, r=3.0), 0.75, (4096, 1024)),
        (nir.IF(r=250 * one, v_threshold=one), 0.25, (4096, 0)),
        (cuba, (3 / 2) * (5 / 8), (2048, 512)),
    ]:
        network, (row,) = quantize(graph_of(linear, node, shape=(2,)))
        assert row.gain == pytest.approx(gain)
        assert (network.layers[0].i_decay, network.layers[0].v_decay) == decays
        assert_array_equal(network.layers[0].weight, [[254, -128]])
        assert network.layers[0].vth_mant == round(254 / gain)


def test_average_pools_divide_threshold_and_bias_not_weights():
    """2 x 3 average before the weights: 6 times threshold and bias, the same weights."""
    conv = nir.Conv2d(None, np.array([[[[1.0, -1.0]]]]), 1, 0, 1, 1, np.array([0.5]))
    q = np.array([2, 3])
    pool = nir.AvgPool2d(q, q, np.array([0, 0]))
    network, (row,) = quantize(graph_of(pool, conv, lif((1,), threshold=0.75), shape=(1, 4, 12), scales={"n1": 8.0}))
    assert (row.divisor, row.exact, row.folded) == (6, True, ("n0",))
    assert network.layers[0].vth_mant == 6 * 6
    assert_array_equal(network.layers[0].bias, [6 * 4])
    assert set(np.unique(network.layers[0].weight)) == {-8, 8}


def test_a_leak_voltage_drives_the_membrane_or_shifts_it():
    """v_reset 0: v_leak dt/tau each step into the bias, whatever the current does. v_reset = v_leak: theta - v_leak."""
    linear = nir.Linear(np.array([[2.0]]))
    network, (row,) = quantize(graph_of(linear, lif((1,), leak=0.25), shape=(1,)))
    assert row.scale == 127
    assert_array_equal(network.layers[0].bias, [round(127 * 0.125)])
    one = np.ones(1)
    cuba = nir.CubaLIF(2 * DT * one, 2 * DT * one, 2 * one, 0.25 * one, one, w_in=2 * one)
    network, _ = quantize(graph_of(linear, cuba, shape=(1,)))
    assert_array_equal(network.layers[0].bias, [round(127 * 0.125)])
    network, (row,) = quantize(graph_of(linear, lif((1,), leak=-0.5, reset=-0.5), shape=(1,)))
    assert network.layers[0].bias is None
    assert network.layers[0].vth_mant == round(127 * 1.5) == 190
    assert "shifted by v_leak = -0.5" in row.notes[0]


def test_a_large_bias_or_threshold_lowers_the_scale_and_says_so():
    network, (row,) = quantize(
        graph_of(nir.Affine(np.array([[1.0]]), np.array([65.0])), lif((1,), threshold=70), shape=(1,))
    )
    assert_array_equal(network.layers[0].bias, [4095])
    assert "the bias made the scale 4.03 times smaller" in row.notes[0]
    network, (row,) = quantize(graph_of(nir.Linear(np.array([[1.0]])), lif((1,), threshold=2000.0), shape=(1,)))
    assert network.layers[0].vth_mant == 131071
    assert "the threshold made the scale" in row.notes[0]


@pytest.mark.parametrize(
    ("layer", "node", "words"),
    [
        (nir.Linear(np.zeros((3, 2))), lif((3,)), "n0: all weights are zero"),
        (
            nir.Linear(np.ones((3, 2))),
            lif((3,), leak=0.5, reset=0.1),
            "n1: v_reset = 0.1 is neither 0 nor v_leak = 0.5",
        ),
        (nir.Linear(np.ones((3, 2))), lif((3,), reset=0.1), "n1: v_reset = 0.1 is neither 0"),
        (nir.Linear(np.ones((3, 2))), lif((3,), threshold=0.0), "n1: threshold 0 above rest is not positive"),
        (nir.Linear(np.ones((3, 2))), lif((3,), threshold=-1.0), "n1: threshold -1 above rest is not positive"),
        (nir.Linear(np.ones((3, 2))), lif((3,), threshold=1e-4), "n0: threshold 0 is below 1 integer unit"),
        (
            nir.Linear(np.ones((3, 2))),
            lif((3,), tau=0.5e-3),
            "n1: tau = 0.0005 s is shorter than the time step 0.001 s",
        ),
        (nir.Linear(np.ones((3, 2))), lif((3,), tau=-1.0), "n1: tau = -1 s is not positive"),
        (
            nir.Linear(np.ones((3, 2))),
            lif((3,), tau=np.inf, r=np.inf),
            "n1: r holds no finite numbers.*IF with r = 1/dt",
        ),
        (nir.Linear(np.ones((3, 2))), lif((3,), tau=np.nan), "n1: tau holds no finite numbers"),
        (nir.Linear(np.ones((3, 2))), lif((3,), r=0.0), "n1: its input has gain 0"),
        (
            nir.Linear(np.ones((3, 2))),
            nir.LIF(2 * DT * np.arange(1, 4), np.ones(3), np.zeros(3), v_threshold=np.ones(3)),
            r"n1: v_decay differs between neurons \(683 to 2048 of 4096 a step\): a layer on the chip has one set",
        ),
        (
            nir.Affine(np.ones((3, 2)), np.array([0.0, 0.5, 0.0])),
            nir.CubaLIF(*[2 * DT * np.ones(3)] * 2, np.ones(3), np.zeros(3), np.ones(3)),
            "n0: has a bias, and the current of n1 decays slowly .i_decay 2048 of 4096.",
        ),
        (nir.Linear(np.array([[1.0, np.inf]] * 3)), lif((3,)), "n0: weight or bias holds NaN or infinity"),
        (
            nir.Linear(np.full((3, 2), 1e-6)),
            lif((3,), threshold=1e4),
            "n0: its threshold is so large beside its weights",
        ),
        (nir.Affine(np.full((3, 2), 1e-6), np.ones(3)), lif((3,)), "n0: its bias is so large beside its weights"),
    ],
)
def test_what_the_chip_would_not_run_is_refused_with_layer_rule_and_value(layer, node, words):
    with pytest.raises(UserError, match=f"^{words}") as refusal:
        quantize(graph_of(layer, node, shape=(2,)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("weight", "bias", "theta", "words"),
    [
        ([[1.0, 0.9]], [0.0], 1.0, r"n0: weight\[0, 1\] is 57.6 in integer units, which is not an even integer"),
        ([[1.0, 3 / 64]], [0.0], 1.0, r"n0: weight\[0, 1\] is 3 in integer units, which is not an even integer"),
        ([[1.0, 2.0]], [0.1], 1.0, r"n0: bias\[0\] is 6.4 in integer units, which is not an integer"),
        ([[1.0, 2.0]], [0.0], 0.7, "n0: threshold is 44.8 in integer units"),
        ([[1.0, 4.0]], [0.0], 1.0, "n0: weights cannot go to the chip: 256 is above 255"),
        ([[-1.0, 4.0]], [0.0], 1.0, "n0: weights cannot go to the chip: 256 is outside -256..254"),
        ([[1.0, 2.0]], [64.0], 1.0, "n0: bias = 4096 is outside -4095..4095"),
        ([[1.0, 2.0]], [0.0], 2048.0, "n0: vth_mant = 131072 is outside 1..131071"),
    ],
)
def test_a_layer_that_claims_to_be_quantized_must_be(weight, bias, theta, words):
    """Given a scale of 64, nothing may be rounded or clipped any more."""
    node = lif((1,), threshold=theta)
    graph = graph_of(nir.Affine(np.array(weight), np.array(bias)), node, shape=(2,), scales={"n0": 64.0})
    with pytest.raises(UserError, match=f"^{words}"):
        quantize(graph)


def test_a_decay_off_the_grid_is_refused_where_the_layer_claims_to_be_quantized():
    graph = graph_of(nir.Linear(np.ones((1, 2))), lif((1,), tau=DT / 0.1, r=10.0), shape=(2,), scales={"n0": 64.0})
    with pytest.raises(UserError, match=r"^n1: v_decay is 409\.6 in integer units"):
        quantize(graph)


def test_folded_taps_that_leave_the_weight_range_are_refused():
    """Overlapping taps of 3 x 3 summed over a 2 x 2 pool: up to 4 * 200."""
    conv = nir.Conv2d(None, np.full((1, 1, 3, 3), 200 / 64), 1, 0, 1, 1, np.zeros(1))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    graph = graph_of(conv, pool, lif((1,)), shape=(1, 6, 8), scales={"n0": 64.0})
    with pytest.raises(UserError, match=r"^n0: weight 800 is outside -254\.\.254 after folding n1"):
        quantize(graph)
    network, _ = quantize(graph_of(conv, pool, lif((1,)), shape=(1, 6, 8)))
    assert network.layers[0].weight.max() == 254, "without a given scale the sums are scaled to fit"


def test_several_faults_are_reported_at_once():
    one = np.ones(3)
    first = nir.LIF(DT * one, one, 0 * one, v_threshold=-one)
    graph = graph_of(nir.Linear(np.ones((3, 2))), first, nir.Linear(np.ones((3, 3))), lif((3,), tau=1e-4), shape=(2,))
    with pytest.raises(
        UserError, match=r"^2 things .*\(1\) n1: threshold -1 above rest.*\(2\) n3: tau = 0.0001 s is shorter"
    ):
        quantize(graph)


def test_the_sinabs_network_keeps_its_shapes_and_folds_its_pools(shared_data: Path):
    """The NIR paper's N-MNIST network; r = 1 per step, sum pools before a convolution and before Flatten."""
    graph = load_graph(shared_data / "nir" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero", if_gain="per_step")
    network, table = quantize(graph)
    assert [layer.output_shape for layer in network.layers] == [(16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]
    assert [row.folded for row in table] == [(), (), ("4",), ("7",), ()]
    assert all(row.gain == 1 and row.v_decay == 0 and row.weight_error < 0.02 for row in table)

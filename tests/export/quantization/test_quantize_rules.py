"""Every rule of quantizing a graph: how values round, what limits the scale, and what is refused."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_graphs import DT, graph_of, lif

from spikeport.errors import UserError
from spikeport.export.quantization.quantize import quantize


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

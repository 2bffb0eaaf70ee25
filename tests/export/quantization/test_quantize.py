"""Quantizing a graph: integers are exact on the grid, and within half a step elsewhere."""

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
        integers = 2 * rng.integers(-40, 60, size)
        integers.flat[0] = integers.flat[0] or 2
        return integers / scale

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
    integers = 0 if layer.bias is None else layer.bias
    assert np.abs(integers - row.scale * bias).max() <= 0.5 + 1e-9
    assert layer.v_decay == round(4096 * DT / tau)
    assert row.weight_error == pytest.approx(
        np.linalg.norm(layer.weight - row.scale * weight) / np.linalg.norm(row.scale * weight)
    )
    assert row.v_decay_error <= 0.5 / 4096 + 1e-12
    assert row.saturated == 0
    full = nudged or np.abs(layer.weight).max() == 256 - step
    assert full or abs(integers).max() >= 4094 or layer.vth_mant >= 131070, "no larger scale would have been legal"
    json.dumps(asdict(row), allow_nan=False)


def test_the_sinabs_network_keeps_its_shapes_and_folds_its_pools(shared_data: Path):
    """The NIR paper's N-MNIST network; r = 1 per step, sum pools before a convolution and before Flatten."""
    graph = load_graph(shared_data / "nir" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero", if_gain="per_step")
    network, table = quantize(graph)
    assert [layer.output_shape for layer in network.layers] == [(16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]
    assert [row.folded for row in table] == [(), (), ("4",), ("7",), ()]
    assert all(row.gain == 1 and row.v_decay == 0 and row.weight_error < 0.02 for row in table)

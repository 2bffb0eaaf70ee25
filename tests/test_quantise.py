"""Quantising a graph: what must be exact is exact, what is rounded is reported, what cannot go is refused in words."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from random_networks import integer_loop

from export.quantise import quantise
from export.spiking_graph import SpikingGraph, load_graph

DT = 1e-3


def graph_of(*nodes: nir.NIRNode, shape: tuple[int, ...], dt_s: float = DT, scales=None) -> SpikingGraph:
    """A chain of the nodes named n0, n1, ... from `shape` on."""
    named = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{index}": node for index, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    names = list(named)
    graph = nir.NIRGraph(named, list(itertools.pairwise(names)), type_check=False)
    return SpikingGraph(nir_graph=graph, dt_s=dt_s, input_shape=shape, scales=scales or {})


def lif(shape: tuple[int, ...], tau: float = 2e-3, r: float = 2.0, threshold: float = 1.0, leak=0.0, reset=0.0):
    """A LIF node; tau = 2 dt and r = 2 give a decay of 1/2 and a gain of 1."""
    one = np.ones(shape)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=leak * one, v_threshold=threshold * one, v_reset=reset * one)


def test_norse_file_becomes_the_numbers_worked_out_by_hand(shared_data: Path):
    """dt/tau = 1e-4/2.5e-3 = 0.04: decay 163.84 -> 164, gain r dt/tau = 0.04, S = 254/0.04, threshold 0.1 S = 635."""
    network, table = quantise(load_graph(shared_data / "nir" / "lif_norse.nir", dt_s=1e-4, reset="zero"))
    (layer,) = network.layers
    assert (layer.i_decay, layer.v_decay, layer.vth_mant) == (4096, 164, 635)
    assert_array_equal(layer.weight, [[254]])
    assert table[0].v_decay_error == pytest.approx(0.16 / 4096, rel=1e-3)
    assert table[0].gain == pytest.approx(0.04)


def test_braille_file_is_refused_with_every_true_reason(shared_data: Path):
    graph = load_graph(shared_data / "nir" / "braille_noDelay_bias_zero.nir", reset="zero")
    assert graph.dt_s == 1e-4
    with pytest.raises(ValueError, match=r"recurrent through lif1\.w_rec") as refusal:
        quantise(graph)
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
    network, table = quantise(graph)
    frames = (rng.random((40, 5)) < 0.4).astype(np.uint8)
    expected = run_nir(graph.nir_graph, DT, frames)
    assert 0 < expected.sum() < expected.size
    assert_array_equal(integer_loop(network, frames)[-1], expected)
    assert [row.exact for row in table] == [True, True]
    assert [row.weight_error for row in table] == [0, 0]

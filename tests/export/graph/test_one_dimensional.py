"""Conv1d runs as a convolution over maps of height 1, and fires what torch's conv1d and the neurons' equation say."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.quantize import quantize

DT = 1e-3


def one_dimensional(padding: int | str, stride: int, dilation: int, groups: int) -> nir.NIRGraph:
    rng = np.random.default_rng(1)
    first = nir.Conv1d(
        input_shape=11, weight=rng.integers(-5, 9, (6, 4 // groups, 3)).astype(float), stride=stride, padding=padding,
        dilation=dilation, groups=groups, bias=rng.integers(-2, 3, 6).astype(float),
    )  # fmt: skip
    behind = torch.nn.functional.conv1d(
        torch.zeros(1, 4, 11), torch.zeros(6, 4 // groups, 3), None, stride, padding, dilation, groups
    ).shape[2]
    shape = (6, behind)
    nodes = {
        "input": nir.Input({"input": np.array((4, 11))}),
        "conv": first,
        "if": nir.IF(r=np.full(shape, 1 / DT), v_threshold=np.full(shape, 12.0), v_reset=np.zeros(shape)),
        "flat": nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=1),
        "fc": nir.Linear(rng.integers(-4, 7, (5, 6 * behind)).astype(float)),
        "out": nir.IF(r=np.full(5, 1 / DT), v_threshold=np.full(5, 15.0), v_reset=np.zeros(5)),
        "output": nir.Output({"output": np.array((5,))}),
    }
    return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)


def fired(currents: np.ndarray, threshold: float) -> np.ndarray:
    """v <- v + current; a spike where v > threshold, then v = 0."""
    v, spikes = np.zeros(currents.shape[1:]), []
    for current in currents:
        v = v + current
        spikes.append(v > threshold)
        v = np.where(spikes[-1], 0.0, v)
    return np.array(spikes).astype(float)


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "groups"), [(0, 1, 1, 1), (2, 2, 1, 2), ("same", 1, 2, 1), ("valid", 3, 1, 2)]
)
def test_spikes_are_those_of_torchs_conv1d(
    tmp_path: Path, padding: int | str, stride: int, dilation: int, groups: int
) -> None:
    raw = one_dimensional(padding, stride, dilation, groups)
    frames = (np.random.default_rng(2).random((9, 4, 11)) < 0.4).astype(np.uint8)
    conv, dense = raw.nodes["conv"], raw.nodes["fc"]
    currents = torch.nn.functional.conv1d(
        torch.tensor(frames, dtype=torch.float64), torch.tensor(conv.weight), torch.tensor(conv.bias), stride, padding,
        dilation, groups,
    )  # fmt: skip
    hidden = fired(currents.numpy(), 12.0)
    expected = fired(hidden.reshape(9, -1) @ dense.weight.T, 15.0)
    assert 0 < expected.sum() < expected.size
    nir.write(tmp_path / "one.nir", raw)
    loaded = load_graph(tmp_path / "one.nir", dt_s=DT, reset="zero")
    assert loaded.input_shape == (4, 1, 11)
    assert any("maps (C, 1, N)" in note for note in loaded.notes)
    graph = SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(4, 11), scales={"conv": 2.0, "fc": 2.0})
    network, _ = quantize(graph)
    trace = simulate(network, frames[None, :, :, None, :], keep_layers=True)
    assert trace.layer_spikes is not None
    assert np.array_equal(trace.layer_spikes[0][0].reshape(hidden.shape), hidden)
    assert np.array_equal(trace.spikes[0], expected)

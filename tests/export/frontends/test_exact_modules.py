"""MaxPool2d of spikes and batch norm have exact forms in layers that the chip has; all obstacles are named at once."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from live_modules import DT, leaky, live_spikes, on_grid
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from torch import nn

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.quantization.quantize import quantize

POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
    nn.MaxPool2d(3, stride=2, padding=1),
    nn.MaxPool2d(2, stride=1, dilation=(2, 1)),
    nn.MaxPool2d(2, ceil_mode=True),  # the size is a multiple of the stride
]


def frames_of(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("number", range(len(POOLS)))
@pytest.mark.parametrize("channels", [3, 130])  # 130 groups are more than netx has
def test_the_maximum_of_spikes_is_an_or(number: int, channels: int) -> None:
    pool = POOLS[number]
    modules = [
        ("conv", on_grid(nn.Conv2d(2, channels, 3, padding=1), 5)),
        ("cell", leaky(4096, 80 / 64)),
        ("pool", pool),
    ]
    frames = frames_of(number, 11, 2, 6, 8)
    expected = live_spikes(modules, frames)
    assert 0.02 < expected.mean() < 0.98
    graph = to_spiking_graph(modules, (2, 6, 8), DT)
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    network, rows = quantize(to_spiking_graph(modules, (2, 6, 8), DT, scales={"conv": 64.0}))
    spikes = simulate(network, frames[None]).spikes[0]
    assert_array_equal(spikes, expected.reshape(len(frames), -1))
    assert any("maximum of spikes is a layer of OR neurons" in note for note in graph.notes)
    assert [row.name for row in rows] == ["conv", "pool"]


def test_a_maximum_pool_before_flatten_and_linear() -> None:
    modules = [
        ("conv", on_grid(nn.Conv2d(1, 3, 3), 7)), ("cell", leaky(4096, 60 / 64)), ("pool", nn.MaxPool2d((2, 3))),
        ("flatten", nn.Flatten()), ("fc", on_grid(nn.Linear(3 * 2 * 2, 4), 8)), ("out", leaky(0, 120 / 64)),
    ]  # fmt: skip
    frames = frames_of(3, 15, 1, 6, 8)
    expected = live_spikes(modules, frames)
    assert 0 < expected.sum() < expected.size
    graph = to_spiking_graph(modules, (1, 6, 8), DT, scales={"conv": 64.0, "fc": 64.0})
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    network, _ = quantize(graph)
    assert_array_equal(simulate(network, frames[None]).spikes[0], expected)


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_is_folded(bias: bool) -> None:
    torch.manual_seed(4)
    convolution, norm = nn.Conv2d(2, 3, (3, 2), bias=bias), nn.BatchNorm2d(3)
    linear, flat = nn.Linear(3 * 4 * 7, 5, bias=bias), nn.BatchNorm1d(5, affine=False)
    for each in (norm, flat):
        each.running_mean.uniform_(-0.5, 0.5)
        each.running_var.uniform_(0.2, 2.0)
    nn.init.uniform_(norm.weight, -1.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    modules = [
        ("conv", convolution), ("drop", nn.Dropout2d(0.5)), ("norm", norm.eval()), ("cell", leaky(1000, 0.2)),
        ("flatten", nn.Flatten()), ("fc", linear), ("norm1", flat.eval()), ("out", leaky(500, 0.1)),
    ]  # fmt: skip
    modules[1][1].eval()
    frames = frames_of(5, 20, 2, 6, 8)
    expected = live_spikes(modules, frames)
    assert 0 < expected.sum() < expected.size
    graph = to_spiking_graph(modules, (2, 6, 8), DT)
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)  # float64 in both: no state is near a threshold
    assert sum("was folded into" in note for note in graph.notes) == 2


def test_all_obstacles_are_named_in_one_answer() -> None:
    modules = [
        ("conv", nn.Conv2d(2, 3, 3)), ("pool", nn.MaxPool2d(2)), ("cell", leaky(1, 1.0, reset_mechanism="subtract")),
        ("relu", nn.ReLU()), ("flatten", nn.Flatten()), ("fc", nn.Linear(18, 4)), ("norm", nn.BatchNorm1d(3)),
        ("out", leaky(1, 1.0, inhibition=True)),
    ]  # fmt: skip
    with pytest.raises(UserError) as refusal:
        to_spiking_graph(modules, (2, 6, 8), DT)
    text = str(refusal.value)
    assert text.startswith("5 things keep this graph from netx: (1) pool: MaxPool2d takes the maximum")
    for part in ("cell: Leaky resets by 'subtract'", "relu: ", "norm: BatchNorm1d has 3 features, fc gives 4",
                 "out: Leaky has inhibition"):  # fmt: skip
        assert part in text
    assert "\n" not in text


def test_a_refused_module_makes_no_fault_of_those_behind_it() -> None:
    """The pool takes spikes of a neuron that was refused, the norm stands behind a convolution that was refused."""
    modules = [
        ("conv", nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")), ("norm", nn.BatchNorm2d(3)),
        ("cell", leaky(1, 1.0, reset_mechanism="subtract")), ("pool", nn.MaxPool2d(2)), ("flatten", nn.Flatten()),
    ]  # fmt: skip
    with pytest.raises(UserError) as refusal:
        to_spiking_graph(modules, (2, 6, 8), DT)
    text = str(refusal.value)
    assert text.startswith("2 things keep this graph from netx: (1) conv: padding_mode 'circular'")
    assert "(2) cell: Leaky resets by 'subtract'" in text


def test_what_was_not_looked_at_is_said() -> None:
    modules = [("lstm", nn.LSTM(3, 2)), ("fc", nn.Linear(3, 2)), ("cell", leaky(1, 1.0))]
    with pytest.raises(UserError, match=r"\(1\) lstm: .*\(2\) 2 modules behind lstm were not looked at"):
        to_spiking_graph(modules, (3,), DT)


def test_a_norm_is_not_folded_where_something_else_takes_what_is_before_it() -> None:
    """conv -> norm -> cell, and conv -> other: folding would change what `other` takes."""
    modules = [
        ("conv", nn.Conv2d(2, 3, 1)), ("norm", nn.BatchNorm2d(3)), ("cell", leaky(1, 1.0)), ("other", leaky(1, 1.0)),
    ]  # fmt: skip
    with pytest.raises(UserError, match="other: takes what conv gives before norm"):
        to_spiking_graph(modules, (2, 6, 8), DT, wiring={"other": ("conv",)})
    late = [modules[0], modules[3], modules[1], modules[2]]
    with pytest.raises(UserError, match="norm: normalizes conv, which other takes without the norm"):
        to_spiking_graph(late, (2, 6, 8), DT, wiring={"norm": ("conv",)})


def test_a_module_may_be_called_input() -> None:
    modules = [("input", nn.Linear(3, 2)), ("cell", leaky(1, 1.0)), ("fc", nn.Linear(3, 2)), ("out", leaky(1, 1.0))]
    graph = to_spiking_graph(modules, (3,), DT, wiring={"fc": (INPUT,), "out": ("fc", "cell")})
    edges = {tuple(edge) for edge in graph.nir_graph.edges}
    assert {("input_", "input"), ("input_", "fc"), ("fc", "out"), ("cell", "out")} <= edges


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode True"),
        (nn.MaxPool2d(2, return_indices=True), "return_indices True"),
    ],
)
def test_pools_without_an_exact_form(module: nn.Module, words: str) -> None:
    modules = [("conv", nn.Conv2d(2, 3, 3)), ("cell", leaky(1, 1.0)), ("pool", module)]
    with pytest.raises(UserError, match=f"^pool: MaxPool2d with .*{words}"):
        to_spiking_graph(modules, (2, 6, 8), DT)


def test_a_norm_of_the_batch_itself_is_refused() -> None:
    modules = [("conv", nn.Conv2d(2, 3, 3)), ("norm", nn.BatchNorm2d(3, track_running_stats=False))]
    with pytest.raises(UserError, match="norm: BatchNorm2d has no running statistics"):
        to_spiking_graph(modules, (2, 6, 8), DT)


def test_a_norm_without_statistics_is_named_behind_a_refused_convolution() -> None:
    """Both obstacles in one answer."""
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding_mode="circular", padding=1), nn.BatchNorm2d(3, track_running_stats=False),
        snntorch.Leaky(0.5, reset_mechanism="zero", reset_delay=False),
    )  # fmt: skip
    with pytest.raises(UserError) as raised:
        to_spiking_graph(network, (2, 5, 6), 1e-3)
    assert "circular" in str(raised.value)
    assert "no running statistics" in str(raised.value)

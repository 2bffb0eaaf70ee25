"""Live modules become graphs that fire the same spikes; whatever would not is refused by name.

Weights, biases and thresholds are over 64 and decays are quarters: a state then gains 2 bits a step, and float64 holds
15 steps of it without rounding, so equality is exact and not a matter of luck.
"""

from __future__ import annotations

import nir
import numpy as np
import pytest
import snntorch
import torch
from live_modules import DT, leaky, live_spikes, on_grid
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from random_networks import integer_loop, integer_states
from torch import nn
from torch.nn.utils import parametrize

from spikeport.errors import UserError
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.lowering.branches.one_chain import one_chain
from spikeport.export.quantization.quantize import quantize


def synaptic(i_taken: int, v_taken: int, threshold: float, **settings) -> snntorch.Synaptic:
    settings = {"reset_mechanism": "zero", "reset_delay": False, **settings}
    return snntorch.Synaptic(alpha=1 - i_taken / 4096, beta=1 - v_taken / 4096, threshold=threshold, **settings)


def conv_net() -> list[tuple[str, nn.Module]]:
    return [
        ("conv", on_grid(nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(1, 0), groups=2), 20)),
        ("cell", leaky(1024, 60 / 64)),
        ("pool", nn.AvgPool2d((2, 1))),
        ("flatten", nn.Flatten()),
        ("hidden", on_grid(nn.Linear(4 * 3 * 5, 7), 24)),
        ("hidden_neurons", leaky(0, 60 / 64, reset_delay=False)),
        ("output", on_grid(nn.Linear(7, 3, bias=False), 26)),
        ("output_neurons", synaptic(2048, 1024, 20 / 64)),
    ]


def test_the_graph_fires_exactly_when_the_modules_do(tmp_path):
    """Also after a round trip through the file."""
    modules = conv_net()
    frames = (np.random.default_rng(4).random((15, 2, 6, 11)) < 0.4).astype(np.uint8)
    expected = live_spikes(modules, frames)
    assert 0 < expected.sum() < expected.size
    graph = to_spiking_graph(modules, (2, 6, 11), DT)
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    graph.save(tmp_path / "net.nir")
    assert_array_equal(run_nir(load_graph(tmp_path / "net.nir").nir_graph, DT, frames), expected)


def test_a_quantized_module_crosses_to_integers_without_any_rounding():
    """Decays of 0 and 1 leave nothing to truncate, so the integer network must fire the module's own spikes."""
    modules = [
        ("conv", on_grid(nn.Conv2d(2, 3, (2, 3), padding=(0, 1)), 5)),
        ("cell", leaky(4096, 40 / 64)),
        ("pool", nn.AvgPool2d((1, 2))),
        ("flatten", nn.Flatten()),
        ("output", on_grid(nn.Linear(3 * 4 * 3, 5), 6)),
        ("output_neurons", leaky(0, 130 / 64)),
    ]
    frames = (np.random.default_rng(7).random((25, 2, 5, 6)) < 0.5).astype(np.uint8)
    graph = to_spiking_graph(modules, (2, 5, 6), DT, {"conv": 64.0, "output": 64.0})
    network, table = quantize(graph)
    expected = live_spikes(modules, frames)
    assert 0 < expected.sum() < expected.size
    assert_array_equal(integer_loop(network, frames)[-1], expected)
    assert [layer.vth_mant for layer in network.layers] == [40, 260], "the pool of 1 x 2 doubles the threshold"
    assert [(row.exact, row.weight_error, row.threshold_error) for row in table] == [(True, 0, 0)] * 2


def rleaky(taken: int, threshold: float, features: int, **settings) -> snntorch.RLeaky:
    options = {"reset_mechanism": "zero", "reset_delay": False, **settings}
    return snntorch.RLeaky(beta=1 - taken / 4096, threshold=threshold, linear_features=features, **options)


def one_to_one(weights: torch.Tensor) -> snntorch.RLeaky:
    return snntorch.RLeaky(beta=0.0, threshold=40 / 64, all_to_all=False, V=weights, reset_mechanism="zero",
                           reset_delay=False)  # fmt: skip


@pytest.mark.parametrize("kind", ["all to all", "without bias", "one to one", "one for all"])
def test_a_recurrent_layer_fires_its_own_spikes_in_integers(kind):
    """Against snnTorch itself. The recurrent bias acts at the first step too: of 7 cells some fire at step 0 on it."""
    torch.manual_seed(3)
    cell = {
        "one to one": one_to_one(torch.tensor([20, -40, 36, 0, 60, -8, 84]) / 64),
        "one for all": one_to_one(torch.tensor(24 / 64)),
    }.get(kind) or rleaky(4096, 40 / 64, 7)
    if kind in ("all to all", "without bias"):
        on_grid(cell.recurrent, 30)
        with torch.no_grad():
            cell.recurrent.bias += 45 / 64
        if kind == "without bias":
            cell.recurrent.bias = None
    modules = [("fc", on_grid(nn.Linear(4, 7), 31)), ("cell", cell), ("out", on_grid(nn.Linear(7, 3), 32))]
    modules.append(("out_neurons", leaky(0, 90 / 64)))
    frames = (np.random.default_rng(6).random((30, 4)) < 0.4).astype(np.uint8)
    frames[0] = 0
    graph = to_spiking_graph(modules, (4,), DT, {"fc": 64.0, "out": 64.0})
    network, _ = quantize(graph)
    assert network.layers[0].weight_rec is not None
    expected, hidden = live_spikes(modules, frames), live_spikes(modules[:2], frames)
    assert 0 < expected.mean() < 1
    assert 0 < hidden.mean() < 1
    assert (hidden[0].sum() > 0) == (kind == "all to all")
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    found = integer_loop(network, frames)
    assert_array_equal(found[0], hidden)
    assert_array_equal(found[1], expected)


def test_a_last_cell_without_reset_is_read_out_by_its_membrane(tmp_path):
    """Decay 1 takes all, decay 0 nothing: snnTorch's own membranes, times 64 * 64, in integers."""
    for taken, kind in ((0, nir.I), (4096, nir.LI)):
        cell = leaky(taken, 0.3, reset_mechanism="none")
        modules = [("fc", on_grid(nn.Linear(4, 3), 33)), ("cell", cell), ("flat", nn.Flatten())]
        graph = to_spiking_graph(modules, (4,), DT, {"fc": 64.0}, readout="membrane-max")
        assert isinstance(graph.nir_graph.nodes["cell"], kind)
        graph.save(tmp_path / "net.nir")
        network, _ = quantize(load_graph(tmp_path / "net.nir"))
        assert (network.readout.kind, network.readout.over_time) == ("membrane", "max")
        frames, membrane, expected = (np.random.default_rng(6).random((25, 4)) < 0.4), None, []
        with torch.no_grad():
            for frame in frames:
                _, membrane = cell.double()(modules[0][1].double()(torch.tensor(frame).double()[None]), membrane)
                expected.append(membrane[0].numpy())
        spikes, voltages = integer_states(network, frames.astype(np.uint8))[0]
        assert_array_equal(voltages, 64 * 64 * np.array(expected))
        assert not spikes.any()
    slow = to_spiking_graph([modules[0], ("cell", synaptic(64, 64, 1.0, reset_mechanism="none"))], (4,), DT)
    assert isinstance(slow.nir_graph.nodes["cell"], nir.CubaLI)
    with pytest.raises(UserError, match=r"cell: Leaky resets by 'none'.*read the membrane of the last layer"):
        to_spiking_graph([*modules[:2], ("fc2", nn.Linear(3, 2)), ("last", leaky(0, 1.0))], (4,), DT)


def test_pools_that_overlap_and_padding_same_fire_as_the_modules_do():
    modules = [
        ("conv", on_grid(nn.Conv2d(1, 2, (2, 3), padding="same", dilation=(1, 2)), 34)),
        ("pool", nn.AvgPool2d((3, 2), stride=(2, 1), padding=(1, 0))),
        ("identity", nn.Identity()),
        ("cell", leaky(0, 150 / 64)),
        ("sum", nn.AvgPool2d(2, divisor_override=1)),
        ("flatten", nn.Flatten()),
        ("fc", on_grid(nn.Linear(2 * 2 * 3, 3), 35)),
        ("last", leaky(4096, 40 / 64)),
    ]
    frames = (np.random.default_rng(7).random((20, 1, 7, 8)) < 0.4).astype(np.uint8)
    network, _ = quantize(to_spiking_graph(modules, (1, 7, 8), DT))
    assert network.layers[0].kind == "dense"  # pool and convolution are no convolution together
    modules[0] = ("conv", on_grid(nn.Conv2d(1, 2, (2, 3), dilation=(1, 2)), 34))
    modules[1] = ("pool", nn.AvgPool2d((3, 2), stride=(2, 1)))
    modules[6] = ("fc", on_grid(nn.Linear(2 * 1 * 1, 3), 35))
    modules[0][1].weight.data.abs_()
    modules[6][1].weight.data.abs_()
    graph = to_spiking_graph(modules, (1, 7, 8), DT, {"fc": 64.0})
    expected = live_spikes(modules, frames)
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    assert 0 < expected.mean() < 1
    network, _ = quantize(graph)
    found = integer_loop(network, frames)
    assert np.mean(found[-1] != expected) < 0.05


def test_every_node_carries_its_full_shape():
    """Scalars in the cells became arrays: readers such as NIR's own refuse 0-d ones."""
    nodes = to_spiking_graph(conv_net(), (2, 6, 11), DT).nir_graph.nodes
    assert nodes["cell"].tau.shape == nodes["cell"].v_reset.shape == (4, 6, 5)
    assert tuple(nodes["conv"].input_shape) == (6, 11)
    assert nodes["output_neurons"].w_in.shape == (3,)
    assert tuple(nodes["flatten"].input_type["input"]) == (4, 3, 5)


def test_decays_survive_as_integers_for_every_twelve_bit_beta():
    for taken in (0, 1, 17, 400, 1024, 4095, 4096):
        graph = to_spiking_graph([("fc", nn.Linear(2, 2, bias=False)), ("cell", leaky(taken, 1.0))], (2,), DT)
        network, _ = quantize(graph)
        assert network.layers[0].v_decay == taken


def test_parametrised_weights_are_the_ones_exported():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    linear = on_grid(nn.Linear(3, 2, bias=False), 8)
    raw = linear.weight.detach().clone()
    parametrize.register_parametrization(linear, "weight", Doubled())
    graph = to_spiking_graph([("fc", linear), ("cell", leaky(0, 1.0))], (3,), DT)
    assert_array_equal(graph.nir_graph.nodes["fc"].weight, 2 * raw.numpy())


def test_half_precision_weights_are_exported_without_loss():
    linear = on_grid(nn.Linear(3, 2, bias=False), 9)
    expected = linear.weight.detach().numpy().copy()
    graph = to_spiking_graph([("fc", linear.bfloat16()), ("cell", leaky(0, 1.0))], (3,), DT)
    assert_array_equal(graph.nir_graph.nodes["fc"].weight, expected)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (leaky(100, 1.0, reset_mechanism="subtract"), "Leaky resets by 'subtract'.*reset_mechanism='zero'"),
        (leaky(100, 1.0, graded_spikes_factor=2.0), "graded_spikes_factor 2.0"),
        (leaky(100, 1.0, state_quant=lambda state: state), "state_quant"),
        (leaky(100, float("nan")), "threshold is not finite"),
        (synaptic(100, 100, 1.0, reset_delay=True), "Synaptic has reset_delay=True.*reset_delay=False"),
        (synaptic(100, 100, 1.0, reset_mechanism="subtract"), "Synaptic resets by 'subtract'"),
        (synaptic(0, 100, 1.0), "alpha = 1 has no time constant"),
        (nn.BatchNorm2d(2), r"BatchNorm2d follows input \(Input\), which has no weights.*netx has no normalization"),
        (nn.MaxPool2d(2), r"MaxPool2d takes the maximum of what input \(Input\) gives, which is not spikes.*AvgPool2d"),
        (nn.ReLU(), "ReLU cannot go to the chip.*use Conv1d, Conv2d"),
        (snntorch.RSynaptic(alpha=0.5, beta=0.9, linear_features=2), "RSynaptic cannot go to the chip.*use RLeaky"),
        (snntorch.RLeaky(beta=0.9, linear_features=2, reset_mechanism="zero"), "RLeaky has reset_delay=True"),
        (snntorch.RLeaky(beta=0.9, linear_features=2, reset_mechanism="none"), "RLeaky resets by 'none'"),
        (
            snntorch.RLeaky(0.5, conv2d_channels=5, kernel_size=3, reset_mechanism="zero", reset_delay=False),
            "expects 5 input channels",
        ),
        (
            snntorch.RLeaky(0.5, linear_features=2, reset_mechanism="zero", reset_delay=False),
            r"RLeaky has 2 recurrent features, its layer \(2, 6, 8\)",
        ),
        (snntorch.Lapicque(beta=0.9), "Lapicque cannot go to the chip"),
        (nn.AvgPool2d(3, ceil_mode=True), "AvgPool2d with ceil_mode True has windows beyond its input"),
        (nn.Conv1d(2, 3, 3), r"expects 2 input channels, got \(2, 6, 8\).*give the input shape as \(C, N\)"),
        (nn.Conv2d(2, 3, 3, padding_mode="circular", padding=1), "padding_mode 'circular'"),
        (nn.Conv2d(5, 3, 2), "expects 5 input channels"),
        (nn.Flatten(0), r"Flatten\(0, -1\) does not merge all axes behind the batch"),
        (nn.Linear(7, 3), "Flatten before it"),
    ],
)
def test_modules_that_would_not_run_exactly_are_refused_by_name(module, words):
    with pytest.raises(UserError, match=f"^culprit: .*{words}|^culprit: {words}") as refusal:
        to_spiking_graph([("culprit", module)], (2, 6, 8), DT)
    assert "\n" not in str(refusal.value)


@pytest.mark.filterwarnings("ignore:Inhibition")
def test_inhibition_is_refused():
    with pytest.raises(UserError, match="cell: Leaky has inhibition"):
        to_spiking_graph([("fc", nn.Linear(2, 2)), ("cell", leaky(100, 1.0, inhibition=True))], (2,), DT)


def test_subclasses_that_replace_a_layers_forward_are_refused():
    class Doubling(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(UserError, match=r"fc: .*Doubling cannot go to the chip"):
        to_spiking_graph([("fc", Doubling(2, 2))], (2,), DT)
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(UserError, match="fc: Linear has forward hooks"):
        to_spiking_graph([("fc", hooked)], (2,), DT)


def test_names_that_a_file_could_not_keep_are_refused():
    for name in ("a/b", ".", ""):
        with pytest.raises(UserError, match="module name"):
            to_spiking_graph([(name, nn.Linear(2, 2)), ("cell", leaky(0, 1.0))], (2,), DT)
    with pytest.raises(UserError, match="module name 'fc'"):
        to_spiking_graph([("fc", nn.Linear(2, 2)), ("fc", leaky(0, 1.0))], (2,), DT)


def test_neurons_with_their_own_decays_become_layers_of_one_decay_each():
    """Weights and thresholds are whole, decays powers of 1/2: torch, NIR and the layers on the chip agree."""
    torch.manual_seed(3)
    beta, threshold = torch.tensor([0.5, 0.75, 0.5, 0.0]), torch.tensor([3.0, 2.0, 5.0, 4.0])
    cell = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism="zero", reset_delay=False)
    linear = nn.Linear(3, 4, bias=False)
    linear.weight.data = torch.randint(-3, 5, (4, 3)).float()
    graph = to_spiking_graph([("fc", linear), ("cell", cell)], (3,), DT)
    frames = (np.random.default_rng(2).random((20, 3)) < 0.5).astype(np.uint8)
    mem, expected = torch.zeros(1, 4), []
    for frame in torch.tensor(frames).double():
        spikes, mem = cell(linear.double()(frame[None]), mem)
        expected.append(spikes[0].detach().numpy())
    assert 0 < np.mean(expected) < 1
    assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    assert_array_equal(run_nir(one_chain(graph).nir_graph, DT, frames), expected)
    network, _ = quantize(graph)
    assert [layer.v_decay for layer in network.layers] == [1024, 4096, 2048]

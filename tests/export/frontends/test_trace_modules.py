"""Networks as people write them: traced by what they call, and equal to the same layers written as a list."""

from __future__ import annotations

import itertools

import pytest
import snntorch
import torch
from torch import nn
from written_networks import ByHand, OverTime, Residual, leaky

import spikeport
from spikeport.errors import UserError
from spikeport.export.frontends.trace_modules import trace
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.graph import structure
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.pipeline.adaptation.source import source_of_modules


def faults_of(network: nn.Module, frames: torch.Tensor) -> list[str]:
    """What a trace finds, each as `where: message`."""
    return [f"{fault.where}: {fault.message}" for fault in trace(network, frames).faults]


def test_a_loop_by_hand_is_its_first_step() -> None:
    found = trace(ByHand(), torch.rand(1, 6))
    assert [name for name, _ in found.modules] == ["fc1", "lif1", "fc2", "lif2"]
    assert found.wiring == {"fc1": (INPUT,), "lif1": ("fc1",), "fc2": ("lif1",), "lif2": ("fc2",)}
    assert (found.outputs, found.returns_membrane) == (["lif2"], False)


def test_a_recording_of_one_step_with_functions_between() -> None:
    found = trace(OverTime(), torch.rand(1, 1, 2, 6, 8))
    kinds = [type(module).__name__ for _, module in found.modules]
    assert kinds == ["Conv2d", "BatchNorm2d", "Dropout2d", "Leaky", "MaxPool2d", "Flatten", "Linear", "Leaky"]
    names = [name for name, _ in found.modules]
    assert found.wiring[names[0]] == (INPUT,)
    for before, name in itertools.pairwise(names):
        assert found.wiring[name] == (before,)
    pool = dict(found.modules)[names[4]]
    assert (pool.kernel_size, names[4]) == (2, "lif1.max_pool2d")


def test_a_shortcut_becomes_wiring() -> None:
    found = trace(Residual(), torch.rand(1, 2, 6, 8))
    assert found.wiring["lif2"] == ("conv2", "short")
    assert found.wiring["short"] == (INPUT,)
    assert found.outputs == ["lif2"]


def test_a_sequential_with_hidden_states() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), leaky(init_hidden=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 2 * 3, 4),
        leaky(init_hidden=True, output=True),
    )  # fmt: skip
    found = trace(net, torch.rand(1, 2, 6, 8))
    assert [name for name, _ in found.modules] == ["0", "1", "2", "3", "4", "5"]
    assert found.outputs == ["5"]


def test_the_mode_of_the_network_stays() -> None:
    net = OverTime().train()
    trace(net, torch.rand(1, 1, 2, 6, 8))
    assert net.training
    assert net.block[2].training


def test_a_function_without_a_place_is_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), leaky(init_hidden=True)

        def forward(self, x):
            return self.lif(torch.sin(self.fc(x)))

    assert faults_of(Odd(), torch.rand(1, 4)) == ["fc.sin: the network calls sin on what fc gives"]


def test_a_forward_that_fails_is_one_line() -> None:
    with pytest.raises(UserError, match=r"ByHand: fails on an input of shape \(1, 7\)") as refusal:
        trace(ByHand(), torch.rand(1, 7))
    assert "\n" not in str(refusal.value)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.lif = nn.Linear(4, 3), nn.Linear(2, 3), leaky(init_hidden=True)

    def forward(self, x, y):
        return self.lif(self.left(x) + self.right(y))


def test_a_forward_of_several_inputs_names_the_way_to_a_file(tmp_path) -> None:
    """A command has one --input-shape; the call that the hint names writes a file that can be exported."""
    with pytest.raises(UserError, match=r"missing 1 required positional argument: 'y'.*convert\(net, input_shape=\[\("):
        trace(TwoInputs(), torch.rand(1, 4))
    spikeport.convert(TwoInputs(), input_shape=[(4,), (2,)], dt_s=1e-3).save(tmp_path / "net.nir")
    assert load_graph(tmp_path / "net.nir").input_shape == (6,)


class WrittenOut(nn.Module):
    """Recurrence by hand in three steps: the spikes of the step before, which are zeros in the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.back, self.lif = nn.Linear(4, 3), nn.Linear(3, 3), leaky()

    def forward(self, recording):
        mem, spk = self.lif.init_leaky(), torch.zeros(1, 3)
        for _ in range(3):
            spk, mem = self.lif(self.fc(recording[0]) + self.back(spk), mem)
        return spk


class Shifted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif, self.offset = nn.Linear(4, 3), leaky(init_hidden=True), nn.Parameter(torch.ones(1, 3))

    def forward(self, x):
        return self.lif(self.fc(x) + self.offset)


def test_nothing_is_dropped_in_silence() -> None:
    """A recurrent connection by hand and an added parameter do not come from the input of the step."""
    found = faults_of(WrittenOut(), torch.rand(1, 1, 4))
    assert found == ["back: takes something that does not come from the input of this step"], "once, not in each step"
    assert faults_of(Shifted(), torch.rand(1, 4)) == ["fc.add: the network calls add on what fc gives"]


class ReadsMembrane(nn.Module):
    """The second layer takes the membrane of the first, or the network returns a view of its last membrane."""

    def __init__(self, inner: bool) -> None:
        super().__init__()
        self.inner = inner
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(4, 5), leaky(), nn.Linear(5, 3), leaky()

    def forward(self, x):
        spk1, mem1 = self.lif1(self.fc1(x), self.lif1.reset_mem())
        spk2, mem2 = self.lif2(self.fc2(mem1 if self.inner else spk1), self.lif2.reset_mem())
        return spk2 if self.inner else mem2.view(len(x), -1)


def test_membranes_are_not_taken_for_spikes() -> None:
    found = faults_of(ReadsMembrane(inner=True), torch.rand(1, 4))
    assert found == ["fc2: takes the membrane of lif1, not its spikes"]
    found = trace(ReadsMembrane(inner=False), torch.rand(1, 4))
    assert (found.outputs, found.returns_membrane) == (["lif2"], True)


class AddsMembranes(ReadsMembrane):
    def forward(self, x):
        spk1, mem1 = self.lif1(self.fc1(x), self.lif1.reset_mem())
        return self.fc2(spk1 + mem1) if self.inner else self.fc2(torch.cat([spk1, mem1], dim=1)[:, 2:7])


@pytest.mark.parametrize("inner", [True, False])
def test_sums_with_membranes_are_refused(inner: bool) -> None:
    found = faults_of(AddsMembranes(inner), torch.rand(1, 4))
    assert found == ["fc2: takes something that does not come from the input of this step"]


def test_where_the_outputs_are_in_the_result() -> None:
    """Spikes of three steps in one tensor, then membranes; a list of three steps; a membrane behind a state."""
    found = trace(ByHand(), torch.rand(1, 6))
    assert (found.returned, found.count, found.returns_membrane) == (((0,),), 2, False)

    class Listed(ByHand):
        def forward(self, x):
            states = []
            for _ in range(3):
                spikes, _ = self.lif1(self.fc1(x))
                states.append(self.lif2(self.fc2(spikes)))
            return [membrane for _, membrane in states], [spikes for spikes, _ in states]

    found = trace(Listed(), torch.rand(1, 6))
    assert (found.outputs, found.returned, found.count) == (["lif2"], ((3, 4, 5),), 6)


def test_modules_keep_the_mode_that_they_had() -> None:
    """A frozen norm in a network that is being trained."""
    net = OverTime().train()
    net.block[1].eval()
    trace(net, torch.rand(1, 1, 2, 6, 8))
    assert [module.training for module in (net, net.block, net.block[1], net.block[2])] == [True, True, False, True]


class ManyObstacles(nn.Module):
    """A function, an activation, a neuron at two places, unequal windows, a membrane that is taken, wrong resets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif, self.pool = nn.Conv2d(2, 3, 3), leaky(), nn.AdaptiveAvgPool2d((3, 2))
        self.fc1, self.fc2 = nn.Linear(3 * 3 * 2, 7), nn.Linear(7, 5)
        self.act, self.last = nn.GELU(), snntorch.Leaky(beta=0.5, reset_mechanism="subtract")

    def forward(self, x):
        spikes, _ = self.lif(torch.sin(self.conv(x)), torch.zeros(1))
        spikes = self.pool(spikes)
        spikes, membrane = self.lif(self.act(self.fc1(torch.flatten(spikes, 1))), torch.zeros(1, 7))
        return self.last(self.fc2(membrane), self.last.init_leaky())


OBSTACLES = {
    "conv.sin": "the network calls sin on what conv gives",
    "pool": "AdaptiveAvgPool2d makes 3 places of 4",
    "fc1.gelu": "the network calls gelu on what fc1 gives",
    "lif": "takes what conv.sin gives, and what fc1.gelu gives",
    "fc2": "takes the membrane of lif_2, not its spikes",
    "last": "reset_mechanism",
}


def test_all_obstacles_of_a_run_are_in_one_answer() -> None:
    """Those that the run shows and those of the modules' settings; none of them hides another, and none follows."""
    with pytest.raises(UserError) as refusal:
        spikeport.convert(ManyObstacles(), input_shape=(2, 6, 8), dt_s=1e-3)
    found = structure.faults_of(refusal.value)
    assert {fault.where for fault in found} == set(OBSTACLES)
    for where, words in OBSTACLES.items():
        assert words in next(str(fault) for fault in found if fault.where == where)
    with pytest.raises(UserError, match=f"^{len(OBSTACLES) - 1} things"):
        source_of_modules(ManyObstacles(), (2, 6, 8), 1e-3)


class Writes(ByHand):
    """Writes into a tensor that a module gave, before another module takes it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x):
        spikes, _ = self.lif1(self.fc1(x), self.lif1.reset_mem())
        if self.how == "item":
            spikes[:, 0] = 0
        elif self.how == "view":
            spikes.view(-1)[2:].zero_()
        elif self.how == "input":
            x[:, 1] = 1
            spikes, _ = self.lif1(self.fc1(x), self.lif1.reset_mem())
        elif self.how == "out":
            torch.bitwise_not(torch.zeros(1, dtype=torch.bool), out=torch.empty(1, dtype=torch.bool))
        return self.lif2(self.fc2(spikes), self.lif2.reset_mem())


def test_what_is_written_in_place_is_not_dropped_in_silence() -> None:
    written = "lif1: the network writes into what it gives"
    assert written in faults_of(Writes("item"), torch.rand(1, 6))
    assert written in faults_of(Writes("view"), torch.rand(1, 6))
    assert faults_of(Writes("input"), torch.rand(1, 6)) == ["Writes: the network writes into its input"]
    assert faults_of(Writes("out"), torch.rand(1, 6)) == [], "nothing of the network is written into"
    inplace = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5, inplace=True), leaky(init_hidden=True, output=True))
    assert faults_of(inplace, torch.rand(1, 6)) == []


class Starts(ByHand):
    def forward(self, x):
        spikes, _ = self.lif1(self.fc1(x), torch.full_like(self.fc1(x), 0.25))
        return self.lif2(mem=torch.zeros(1), input_=self.fc2(input=spikes))


def test_a_membrane_that_does_not_begin_at_zero_is_refused() -> None:
    """On the chip it would begin at zero: other spikes, without a word."""
    assert faults_of(Starts(), torch.rand(1, 6)) == ["lif1: begins with a state that is not zero"]

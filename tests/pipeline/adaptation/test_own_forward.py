"""The forward of a user's network beside the network of its modules: a loop in plain torch is the oracle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import snntorch
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.adaptation.own_forward import check_forward, compare_forward
from spikeport.pipeline.adaptation.source import OwnForward, source_of_modules

N, T, D, K = 11, 6, 7, 3


def frames() -> np.ndarray:
    return (np.random.default_rng(3).random((N, T, D)) < 0.4).astype(np.uint8)


class Written(nn.Module):
    """States passed by hand over a recording `[T, B, D]`; subclasses change what a step does, and what is returned."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.fc1, self.fc2 = nn.Linear(D, 8), nn.Linear(8, K)
        with torch.no_grad():
            self.fc2.weight *= 3
        self.lif1 = snntorch.Leaky(0.7, threshold=0.2)
        self.lif2 = snntorch.Leaky(0.8, threshold=0.3)

    def steps(self, recording: Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for step in recording:
            entering = self.entering(step)
            spk1, mem1 = self.lif1(entering, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            mem1 = self.after_step(mem1)
            spikes.append(spk2)
            membranes.append(mem2)
        return spikes, membranes

    def entering(self, step: Tensor) -> Tensor:
        return self.fc1(step)

    def after_step(self, mem: Tensor) -> Tensor:
        return mem

    def forward(self, recording: Tensor):
        return torch.stack(self.steps(recording)[0])


class Branching(Written):
    """A branch that depends on the data, which a trace does not see: few events go to other weights."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(D, 8)

    def entering(self, step: Tensor) -> Tensor:
        return self.fc1(step) if step.numpy().mean() > 0.4 else self.other(step)


class Forgetful(Written):
    """Forgets its membrane after each step, which a run on one step does not show."""

    def after_step(self, mem: Tensor) -> Tensor:
        return torch.zeros_like(mem)


class BatchFirst(Written):
    def forward(self, recording: Tensor):
        return torch.stack(self.steps([recording[:, t] for t in range(recording.shape[1])])[0], dim=1)


class Counted(Written):
    def forward(self, recording: Tensor):
        return torch.stack(self.steps(recording)[0]).sum(0)


class Pairs(Written):
    """A list of what each step gives."""

    def forward(self, recording: Tensor):
        return list(zip(*self.steps(recording), strict=True))


class Lists(Written):
    """Membranes first, then spikes, each as a list of steps."""

    def forward(self, recording: Tensor):
        spikes, membranes = self.steps(recording)
        return membranes, spikes


class Membranes(Written):
    """The membranes of neurons that fire."""

    def forward(self, recording: Tensor):
        return torch.stack(self.steps(recording)[1])


class Repeating(Written):
    """Repeats one static input over four steps of its own."""

    def forward(self, x: Tensor):
        return torch.stack(self.steps([x] * 4)[0])


def own_of(network: nn.Module) -> OwnForward:
    own = source_of_modules(network.eval(), (D,), 1e-3).own
    assert own is not None
    return own


@pytest.mark.parametrize("kind", [Written, BatchFirst, Pairs, Lists, Membranes])
def test_every_form_of_a_forward_is_its_modules(kind: type[Written]) -> None:
    """Time or batch first, one tensor, lists of steps, membranes: every output of every step is compared."""
    found = compare_forward(own_of(kind()), frames())
    assert found is not None
    assert (found.samples, found.differing, found.compared) == (N, 0, N * T * K)
    assert found.active > 50
    assert check_forward(own_of(kind()), frames()).startswith(f"on 8 samples, the forward of {kind.__name__}")


def test_sums_over_time_and_static_inputs_are_compared() -> None:
    found = compare_forward(own_of(Counted()), frames())
    assert found is not None
    assert (found.differing, found.compared) == (0, N * K)
    found = compare_forward(own_of(Repeating()), frames())
    assert found is not None
    assert (found.differing, found.compared) == (0, 4 * N * K)
    assert found.active > 10


@pytest.mark.parametrize("kind", [Branching, Forgetful])
def test_what_one_step_does_not_show_is_refused(kind: type[Written]) -> None:
    """The oracle is the network without it: both layouts of a recording are tried, so as many differ, or fewer."""
    changed, plain = kind().eval(), Written().eval()
    given = torch.from_numpy(frames()).transpose(0, 1).float()
    with torch.no_grad():
        expected = int((changed(given) != plain(given)).sum())
    found = compare_forward(own_of(changed), frames())
    assert found is not None
    assert 20 < found.differing <= expected
    assert found.apart > 1
    with pytest.raises(UserError, match=rf"{kind.__name__}: its forward gives other outputs .* branch that depends"):
        check_forward(own_of(changed), frames())


class Rare(Written):
    """Other spikes in one step of one sample, as a sum that is rounded otherwise may give."""

    def forward(self, recording: Tensor):
        spikes = super().forward(recording)
        if recording.shape[1] > 1:
            spikes[2, 4] = 1 - spikes[2, 4]
        return spikes


class Fixed(Written):
    """Takes batches of one sample alone."""

    def entering(self, step: Tensor) -> Tensor:
        if len(step) != 1:
            raise RuntimeError("one sample, please\nand no more")
        return self.fc1(step)


def test_rounding_and_failures_are_notes() -> None:
    few = check_forward(own_of(Rare()), frames())
    assert few.startswith("on 8 samples, the forward of Rare and the source differ in 3 of 144 outputs, as much as")
    failing = check_forward(own_of(Fixed()), frames())
    assert "was not compared with the source: it fails on these frames (one sample, please)" in failing


def test_step_by_step_with_hidden_states() -> None:
    """Modes of training stay; states of an earlier run do not count."""
    torch.manual_seed(6)
    network = nn.Sequential(
        nn.Linear(D, 8), nn.Dropout(0.5), snntorch.Leaky(0.7, threshold=0.4, init_hidden=True), nn.Linear(8, K),
        snntorch.Leaky(0.8, threshold=0.3, init_hidden=True, output=True),
    )  # fmt: skip
    own = own_of(network)
    network.train()
    for _ in range(2):
        found = compare_forward(own, frames())
        assert found is not None
        assert (found.differing, found.compared) == (0, N * T * K)
    assert all(module.training for module in network.modules())


def test_pairs_have_no_forward() -> None:
    network = nn.Sequential(nn.Linear(D, K), snntorch.Leaky(0.7, init_hidden=True))
    assert source_of_modules(list(network.named_children()), (D,), 1e-3).own is None

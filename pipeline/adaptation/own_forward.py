"""Compares a source with the forward of the network that it was read from, on real frames.

A network is read from one run on one time step. What it does in other steps, or for other data, is not seen there: a
branch that depends on the data, a state that is reset or changed by hand, neurons of its own. The source would then be
another network than the user's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.forward_run import ForwardRun, evaluating, tensors_of
from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.adaptation.task import batch_of

SAMPLES = 8
TOLERANCE = 1e-4  # of the largest output: sums of float32 in another order
# A sum of float32 in another order can flip a spike near the threshold, and what follows from it in this sample.
ROUNDING = 0.01  # share of the outputs that are not 0
ENOUGH = 4  # samples, of which one may differ


@dataclass(frozen=True, kw_only=True)
class OwnForward:
    """The forward of a user's network, and the network of modules that should give the same.

    Attributes:
        model: the user's network.
        network: its modules, with the outputs that the forward returns: spikes, or membranes.
        run: how the forward is run.
    """

    model: nn.Module
    network: ModuleNetwork
    run: ForwardRun


@dataclass(frozen=True, kw_only=True)
class ForwardComparison:
    """A forward beside the network of its modules.

    Attributes:
        samples: samples that were compared.
        apart: samples in which an output differs.
        differing: outputs (neuron, step and sample) that differ.
        compared: outputs that were compared.
        active: outputs that are not 0 in one of the two.
    """

    samples: int
    apart: int
    differing: int
    compared: int
    active: int

    @property
    def is_rounding(self) -> bool:
        """Whether the differences are so few that sums of floats in another order explain them."""
        return self.differing <= ROUNDING * self.active or (self.apart == 1 and self.samples >= ENOUGH)


def check_forward(own: OwnForward, frames: np.ndarray) -> str:
    """Compares the forward of a network with the source that was read from it.

    Args:
        own: the forward.
        frames: `[N, T, *input_shape]`; samples at equal distances are run.

    Returns:
        A note: how many outputs were compared and differ, or why none were.

    Raises:
        UserError: the forward is another network.
    """
    name = type(own.model).__name__
    rows = np.unique(np.linspace(0, len(frames) - 1, SAMPLES).astype(int))
    if len(rows) > 1 and len(rows) == frames.shape[1]:
        rows = rows[1:]  # axes of steps and of samples can be told from each other
    try:
        found = compare_forward(own, frames[rows])
    except Exception as error:  # code of others raises anything
        reason = str(error).split("\n")[0][:200]
        return f"the forward of {name} was not compared with the source: it fails on these frames ({reason})"
    if found is None:
        return f"the forward of {name} was not compared with the source: its outputs are not those of steps or samples"
    if not found.is_rounding:
        raise UserError(
            f"its forward gives other outputs than the modules that were read from it: {found.differing:,} of "
            f"{found.compared:,} differ, and {found.active:,} are not 0, on {found.samples} samples of the frames",
            where=name,
            cause="a run on one time step does not show a branch that depends on the data, a state that is reset or "
            "changed by hand between steps, or neurons that are no snnTorch neurons",
            hint="write it without, or give an nn.Sequential, whose modules are taken as they are",
        )
    text = f"on {found.samples} samples, the forward of {name} and the source "
    if not found.differing:
        return f"{text}give the same {found.compared:,} outputs"
    return f"{text}differ in {found.differing:,} of {found.compared:,} outputs, as much as rounding can explain"


def compare_forward(own: OwnForward, frames: np.ndarray) -> ForwardComparison | None:
    """Runs a forward and the network of its modules, and counts the outputs that differ.

    A forward that takes recordings may take `[T, B, ...]` or `[B, T, ...]`, and may return every step, or their sum,
    mean or last one. The layout with the fewest differences counts.

    Args:
        own: the forward.
        frames: `[B, T, *input_shape]`, all of which are run.

    Returns:
        The counts; None if the outputs of the forward have no axis of steps or samples.

    Raises:
        Exception: what the forward raises in every layout.
    """
    best: ForwardComparison | None = None
    given = batch_of(frames, slice(None)).to(own.network.dtype)
    with torch.no_grad(), evaluating(own.model):
        runs = _recordings(own, given) if own.run.takes_recording else _steps(own, given)
        for found, expected in runs:
            if found.shape != expected.shape:
                continue
            scale = max(1.0, float(expected.abs().max()))
            differs = ~((found - expected).abs() <= TOLERANCE * scale)
            counts = ForwardComparison(
                samples=len(frames),
                apart=int(differs.transpose(0, -2).flatten(1).any(1).sum()),
                differing=int(differs.sum()),
                compared=differs.numel(),
                active=int(torch.count_nonzero((found != 0) | (expected != 0))),
            )
            if best is None or counts.differing * best.compared < best.differing * counts.compared:
                best = counts
    return best


def _steps(own: OwnForward, given: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The forward step by step; or once, if it repeats its input over steps of its own."""
    batch, expected = given.shape[1], own.network(given).output
    _reset(own.model)
    first = _called(own, given[0], 1)
    if all(len(each) == 1 for each in first) and sum(each[0].numel() for each in first) == expected[0].numel():
        found = [first, *(_called(own, step, 1) for step in given[1:])]
        yield torch.stack([_joined([each[0] for each in parts], (batch,)) for parts in found]), expected
        return
    most = int(given.flatten(1).sum(1).argmax())
    _reset(own.model)
    parts = _stacked(_called(own, given[most], 1))
    axes = len(parts[0]), batch
    repeated = own.network(given[most].expand(axes[0], *given.shape[1:])).output
    if all(each.shape[:2] == axes for each in parts):
        yield _joined(parts, axes), repeated


def _recordings(own: OwnForward, given: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The forward on recordings whose first axis is that of the steps, or of the samples."""
    expected = own.network(given).output
    steps, batch = given.shape[:2]
    failures: list[Exception] = []
    for entering in (given, given.transpose(0, 1)):
        _reset(own.model)
        try:
            parts = _stacked(_called(own, entering, steps))
        except Exception as error:  # the other layout may be the one that it takes
            failures.append(error)
            continue
        for axes in ((steps, batch), (batch, steps)):
            if all(each.shape[:2] == axes for each in parts):
                found = _joined(parts, axes)
                yield (found if axes == (steps, batch) else found.transpose(0, 1)), expected
        if all(len(each) == batch for each in parts):
            for reduced in (expected.sum(0), expected.mean(0), expected[-1]):
                yield _joined(parts, (batch,)), reduced
    if len(failures) == 2:
        raise failures[0]


def _called(own: OwnForward, entering: Tensor, steps: int) -> list[list[Tensor]]:
    """For each output the tensors that hold it: one, or one for each step."""
    result = own.model(entering)
    tensors, count = tensors_of(result), own.run.count
    if count in (0, len(tensors)):
        return [[tensors[place] for place in places] for places in own.run.returned]
    if len(tensors) != steps * count:
        raise ValueError(f"it returns {len(tensors)} tensors, and {count} for one step")
    of_steps = isinstance(result, (tuple, list)) and len(result) == steps  # a list of what each step returned
    return [
        tensors[place::count] if of_steps else tensors[place * steps : (place + 1) * steps]
        for place, *_ in own.run.returned
    ]


def _stacked(parts: list[list[Tensor]]) -> list[Tensor]:
    return [each[0] if len(each) == 1 else torch.stack(each) for each in parts]


def _joined(parts: list[Tensor], axes: tuple[int, ...]) -> Tensor:
    """Outputs one after the other, each with these axes before its own."""
    return torch.cat([each.reshape(*axes, -1) for each in parts], dim=-1)


def _reset(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, snntorch.SpikingNeuron):
            reset: Any = module.reset_mem
            reset()

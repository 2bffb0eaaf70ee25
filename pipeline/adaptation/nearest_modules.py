"""The nearest network that the chip can execute, of a network of torch modules: every change is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import snntorch
import torch
from torch import nn

from spikeport.export.frontends.module_walk import SKIPPED, Named
from spikeport.export.frontends.snntorch_neurons import resets
from spikeport.export.frontends.wiring import INPUT

KEYS = ("alpha", "beta")
BETWEEN = (*SKIPPED, nn.BatchNorm2d)  # what a pool of currents moves past, to the neurons behind


@dataclass
class NearestModules:
    """Modules that the chip can execute, and what was changed.

    Attributes:
        named: names and modules in an order of execution.
        wiring: what enters each.
        pairs: by name of a module of the source, the name of the module whose spikes should equal its own.
        changes: what was changed, a line each.
    """

    named: Named = field(default_factory=list)
    wiring: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)


def nearest_modules(named: Named, wiring: Mapping[str, Sequence[str]], outputs: Sequence[str] = ()) -> NearestModules:
    """The nearest modules: reset to zero without delay, one decay a layer, maximum pools behind neurons.

    Modules that have no neighbor on the chip stay, so that the conversion names them.

    Args:
        named: names and modules of the source in an order of execution.
        wiring: what enters each; without an entry the module before it.
        outputs: names of the modules that give the outputs; empty: the last module.
    """
    found = NearestModules()
    before = [INPUT, *(name for name, _ in named)]
    sources = {name: tuple(wiring.get(name, (before[at],))) for at, (name, _) in enumerate(named)}
    modules = dict(named)
    waiting: dict[str, str] = {}  # by name of a module, the maximum pool of currents before it
    renamed: dict[str, str] = {}  # by name in the source, what gives its signal now
    last = tuple(outputs) or (named[-1][0],)
    for name, module in named:
        entering = tuple(renamed.get(each, each) for each in sources[name])
        pool = next((waiting[each] for each in sources[name] if each in waiting), None)
        if isinstance(module, nn.MaxPool2d) and _moves(name, sources, modules, last):
            waiting[name] = name
            renamed[name] = entering[0]
            continue
        if isinstance(module, snntorch.SpikingNeuron):
            module = nearest_neuron(name, module, found.changes, last=name in last)
        found.named.append((name, module))
        found.wiring[name] = entering
        if pool is not None and isinstance(module, BETWEEN):
            waiting[name] = pool
        elif pool is not None:
            found.named.append((pool, modules[pool]))
            found.wiring[pool] = (name,)
            renamed[name] = pool
            found.changes.append(f"{pool}: the maximum of currents became a maximum of spikes, behind {name}")
        if isinstance(module, snntorch.SpikingNeuron):
            found.pairs[name] = renamed.get(name, name)
    return found


def _moves(
    name: str, sources: Mapping[str, tuple[str, ...]], modules: Mapping[str, nn.Module], last: Sequence[str]
) -> bool:
    """Whether a maximum pool takes currents, and leads over norms alone to one layer of neurons."""
    if any(not _is_current(each, sources, modules) for each in sources[name]) or len(sources[name]) != 1:
        return False
    while name not in last:
        readers = [reader for reader, entering in sources.items() if name in entering]
        if len(readers) != 1 or len(sources[readers[0]]) != 1:
            return False
        name = readers[0]
        if isinstance(modules[name], snntorch.SpikingNeuron):
            return resets(modules[name]) != "none"
        if not isinstance(modules[name], BETWEEN):
            return False
    return False


def _is_current(name: str, sources: Mapping[str, tuple[str, ...]], modules: Mapping[str, nn.Module]) -> bool:
    """Whether a signal is made of weights, with no neurons behind them."""
    if name == INPUT:
        return False
    if isinstance(modules[name], (nn.Conv2d, nn.Linear)):
        return True
    passes = isinstance(modules[name], (*BETWEEN, nn.AvgPool2d, nn.MaxPool2d, nn.Flatten))
    return passes and all(_is_current(each, sources, modules) for each in sources[name])


def nearest_neuron(name: str, module: Any, changes: list[str], *, last: bool) -> nn.Module:
    """A neuron of snnTorch that the chip can execute, with one decay and the thresholds of a given one.

    Args:
        name: its name.
        module: the given neuron.
        changes: receives a line for each change.
        last: whether it is the network's last module, whose membrane may be read.
    """
    kind = type(module)
    if kind not in (snntorch.Leaky, snntorch.Synaptic, snntorch.RLeaky):
        return module
    reset = "none" if last and resets(module) == "none" else "zero"
    factors = {key: _one_factor(name, key, getattr(module, key), changes) for key in KEYS if hasattr(module, key)}
    settings: dict[str, Any] = {
        "threshold": torch.as_tensor(module.threshold).detach().clone(),
        "reset_mechanism": reset,
    }
    if kind is snntorch.RLeaky:
        linear = isinstance(module.recurrent, nn.Linear)
        size = module.recurrent.out_features if linear else None
        settings |= {"linear_features": size, "all_to_all": linear} if linear else {"all_to_all": False}
    if kind is not snntorch.Leaky or reset == "zero":
        settings["reset_delay"] = False
    made: Any = kind(**factors, **settings)
    if kind is snntorch.RLeaky:
        made.recurrent = module.recurrent
    if resets(module) != reset:
        changes.append(f"{name}: reset by {resets(module)} became reset to zero")
    elif getattr(module, "reset_delay", False) and reset == "zero":
        changes.append(f"{name}: a reset in the step after the spike became a reset in the same step")
    for key, value in (("inhibition", module.inhibition), ("state_quant", module.state_quant)):
        if value:
            changes.append(f"{name}: {key} was left out")
    if torch.any(module.graded_spikes_factor != 1):
        changes.append(f"{name}: graded spikes became spikes of size 1")
    return made


def _one_factor(name: str, key: str, value: Any, changes: list[str]) -> float:
    """One factor for the layer: the mean of the neurons' factors, each in 0..1 as snnTorch clamps them."""
    factors = torch.as_tensor(value).detach().double().clamp(0, 1)
    one = float(factors.mean())
    if factors.numel() > 1 and float(factors.max() - factors.min()) > 0:
        changes.append(f"{name}: {key} of {float(factors.min()):.4g} to {float(factors.max()):.4g} became {one:.4g}")
    return one

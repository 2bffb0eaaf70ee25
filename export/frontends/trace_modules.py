"""Traces one time step of a torch network: which modules and functions run, in which order, and what enters each.

The network runs once with a real input. Modules that have a place on the chip are recorded whole; between them, the
functions that the network calls itself are recorded: pools, flatten, additions. Where a network loops
over time by itself, the first step is taken: a module that runs again is the same layer one step later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import snntorch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spikeport.errors import UserError
from spikeport.export.frontends.forward_run import evaluating, flat, tensors_of
from spikeport.export.frontends.functions import (
    ADAPTIVE_POOLS,
    CONCATENATIONS,
    FUNCTIONS,
    PASSED_ON,
    concatenated_axis,
    fixed_pool,
    same_sample,
)
from spikeport.export.frontends.leaves import is_leaf
from spikeport.export.frontends.module_walk import Named
from spikeport.export.frontends.wiring import INPUT, Concat, Sum, input_name

AXES = {nn.Conv2d: 4, nn.Conv1d: 3, nn.Linear: 2}  # of a batch before these modules


@dataclass
class Trace:
    """What one time step of a network does.

    Attributes:
        modules: names and modules in the order of execution; functions are modules named after what they follow.
        wiring: by name, what enters a module where it is not the one before.
        outputs: names of the modules whose results the network returns.
        returned: for each output the places of its tensors in the result, see `ForwardRun`.
        count: number of tensors that the network returns.
        returns_membrane: whether it returns the membrane of this module and not its spikes.
        takes_recording: whether it ran on a recording of one step, not on a step.
        batched: whether its modules saw batches: `[B, C, H, W]` before convolutions, `[B, N]` before linear layers.
        notes: what was read from the run.
    """

    modules: Named = field(default_factory=list)
    wiring: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    returned: tuple[tuple[int, ...], ...] = ()
    count: int = 0
    returns_membrane: bool = False
    takes_recording: bool = False
    batched: bool = True
    notes: list[str] = field(default_factory=list)


def trace(model: nn.Module, *frames: Tensor) -> Trace:
    """Runs a network on one input and returns what ran.

    Args:
        model: a network whose forward takes one time step, or a recording of one time step.
        frames: the inputs that it takes, each a batch of one sample.

    Raises:
        UserError: the network fails on this input, or uses a function that has no place on the chip.
    """
    recorder = _Recorder(model)
    try:
        with evaluating(model), torch.no_grad(), recorder.hooked(), recorder:
            for index, each in enumerate(frames):
                recorder.sources[id(each)] = (input_name(index),)
                recorder.alive.append(each)
            result = model(*frames)
    except UserError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        hint = "its forward must take one time step, or a recording of one step"
        if isinstance(error, TypeError) and "positional argument" in str(error):
            hint += (
                "; for several inputs spikeport.convert(net, input_shape=[(2, 34, 34), (1, 34, 34)], dt_s=1e-3)"
                ".save('net.nir') writes the file to export"
            )
        raise UserError(
            f"fails on an input of shape {', '.join(str(tuple(each.shape)) for each in frames)}",
            where=type(model).__name__,
            cause=str(error).split("\n")[0],
            hint=hint,
        ) from error
    return recorder.finished(result)


class _Recorder(TorchFunctionMode):
    """Follows tensors through modules and functions.

    Attributes:
        sources: by id of a tensor, the names whose sum it is.
        membranes: ids of tensors that are membranes, with the names of their neurons.
        alive: tensors of the run, so that ids are unique.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self.sources: dict[int, tuple[str, ...]] = {}
        self.membranes: dict[int, str] = {}
        self.alive: list[Any] = []
        self.found = Trace()
        self.inside = 0
        self.calls: dict[str, int] = {}
        self.stacked: set[int] = set()  # ids of tensors that hold several steps of one signal

    @contextmanager
    def hooked(self) -> Iterator[None]:
        handles = []
        for module in self.model.modules():
            if is_leaf(module):
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, arguments: Any) -> None:
        self.inside += 1

    def _leave(self, module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        self.inside -= 1
        if self.inside or result is None:
            return
        name = self.names[id(module)]
        axes = next((axes for kind, axes in AXES.items() if isinstance(module, kind)), 0)
        if axes and arguments and isinstance(arguments[0], Tensor) and arguments[0].ndim != axes:
            self.found.batched = False
        entering = self._sources_of(arguments[0]) if arguments and isinstance(arguments[0], Tensor) else None
        self.calls[name] = self.calls.get(name, 0) + 1
        if entering is not None and id(arguments[0]) in self.membranes:
            raise UserError(f"takes the membrane of {self.membranes[id(arguments[0])]}, not its spikes", where=name,
                            cause="a neuron of the chip passes on spikes alone",
                            hint="give it the spikes and train again")  # fmt: skip
        if entering is None:
            raise UserError(
                "takes something that does not come from the input of this step", where=name,
                cause="a recurrent connection that the network writes out, or a constant, has no place here",
                hint="use snntorch.RLeaky for recurrent connections",
            )  # fmt: skip
        if isinstance(module, ADAPTIVE_POOLS) and isinstance(result, Tensor):
            module = fixed_pool(name, module, arguments[0], result)
        if self.calls[name] == 1 or not isinstance(module, snntorch.SpikingNeuron):
            name = self._add(name, module, entering)
        elif entering != self.found.wiring[name]:  # no later step of the same place
            raise UserError(
                f"takes what {', '.join(self.found.wiring[name])} gives, and what {', '.join(entering)} gives",
                where=name, cause="the network has one membrane for two places, on the chip each place has its own",
                hint="give each place a neuron of its own and train again",
            )  # fmt: skip
        results = result if isinstance(result, tuple) else (result,)
        for index, each in enumerate(results):
            if isinstance(each, Tensor):
                self._give(each, (name,))
                if index and isinstance(module, snntorch.SpikingNeuron):
                    self.membranes[id(each)] = name

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.inside or not any(isinstance(each, Tensor) for each in flat(result)):
            return result
        name = getattr(func, "__name__", str(func))
        tensors = [each for each in flat(args) if isinstance(each, Tensor) and id(each) in self.sources]
        if not tensors:
            return result
        self._function(name, func, args, dict(kwargs or {}), tensors, result)
        return result

    def _function(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], result: Any
    ) -> None:
        first = tensors[0]
        if name in CONCATENATIONS and concatenated_axis(args, kwargs, first) == 1:
            self._concatenate(name, args, tensors, result)
            return
        stacked = name in ("stack", *CONCATENATIONS) and len({self.sources[id(each)] for each in tensors}) == 1
        over_time = name in ("sum", "mean") and id(first) in self.stacked
        if stacked:
            self.stacked |= {id(result)}
        if stacked or over_time or name in PASSED_ON or same_sample(name, first, result):
            for each in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(each, Tensor):
                    self._give(each, self.sources[id(first)])
                    if id(first) in self.membranes:
                        self.membranes[id(each)] = self.membranes[id(first)]
            return
        make = FUNCTIONS.get(name)
        foreign = any(isinstance(each, Tensor) and id(each) not in self.sources for each in flat(args))
        module = None if make is None or foreign else make(args, kwargs, first, result)
        membranes = [id(each) in self.membranes for each in tensors]
        if all(membranes) if module is None else any(membranes) and type(module) is not nn.Identity:
            return  # arithmetic of a neuron that the network writes out; its spikes do not come from it
        if module is None:
            raise UserError(
                f"calls {name} on what {self.sources[id(first)][-1]} gives", where=type(self.model).__name__,
                cause="it has no place on the chip",
                hint="write it with what the chip has: convolutions, linear layers, pools, sums, neurons",
            )  # fmt: skip
        if isinstance(module, nn.Identity):
            added = tensors if isinstance(module, Sum) else [first]
            if membranes[0]:
                self.membranes[id(result)] = self.membranes[id(first)]
            self._give(result, tuple(each for tensor in added for each in self.sources[id(tensor)]))
            return
        name = self._add(f"{self.sources[id(first)][-1]}.{name}", module, self.sources[id(first)], stateless=True)
        self._give(result, (name,))

    def _concatenate(self, name: str, args: tuple[Any, ...], tensors: list[Tensor], result: Tensor) -> None:
        """Adds a concatenation along the channels. Sums of several signals become modules of their own."""
        if any(id(each) in self.membranes for each in tensors):
            return
        if sum(isinstance(each, Tensor) for each in flat(args)) != len(tensors):
            raise UserError(f"calls {name} with something that does not come from the input of this step",
                            where=type(self.model).__name__,
                            hint="concatenate what the network computes in this step")  # fmt: skip
        entering = tuple(self._one(self.sources[id(tensor)]) for tensor in tensors)
        self._give(result, (self._add(f"{entering[0]}.{name}", Concat(), entering, stateless=True),))

    def _one(self, names: tuple[str, ...]) -> str:
        """One name for the sum of several modules."""
        return names[0] if len(names) == 1 else self._add(f"{names[0]}.sum", Sum(), names, stateless=True)

    def _sources_of(self, tensor: Tensor) -> tuple[str, ...] | None:
        return self.sources.get(id(tensor))

    def _give(self, tensor: Tensor, names: tuple[str, ...]) -> None:
        self.sources[id(tensor)] = names
        self.alive.append(tensor)

    def _add(self, name: str, module: nn.Module, entering: tuple[str, ...], *, stateless: bool = False) -> str:
        """Adds a module, unless a function did the same before. Returns its name."""
        name, taken = name.strip("/"), dict(self.found.modules)
        for other, known in taken.items() if stateless else ():
            alike = type(known) is type(module) and _settings(known) == _settings(module)
            if alike and self.found.wiring[other] == entering:
                return other
        if name in taken and self.calls.get(name, 0) > 1 and self.found.wiring.get(name) == entering:
            return name  # the same layer one step later
        base, number = name, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        self.found.modules.append((name, module))
        self.found.wiring[name] = entering
        return name

    def finished(self, result: Any) -> Trace:
        """The trace, with what the network returns: all results that are spikes or currents, or the first membrane."""
        tensors = tensors_of(result)
        known = [each for each in tensors if id(each) in self.sources and not self._is_input(self.sources[id(each)])]
        if not known:
            raise UserError("returns nothing that comes from its input", where=type(self.model).__name__,
                            hint="return the output spikes, or the membrane of the last neurons")  # fmt: skip
        spikes = [each for each in known if id(each) not in self.membranes]
        wanted = spikes or [each for each in known if self.sources[id(each)] == self.sources[id(known[0])]]
        places: dict[tuple[str, ...], dict[int, int]] = {}
        for place, each in enumerate(tensors):
            if any(each is other for other in wanted):
                places.setdefault(self.sources[id(each)], {}).setdefault(id(each), place)
        self.found.outputs = [self._one(names) for names in places]
        self.found.returned, self.found.count = tuple(tuple(each.values()) for each in places.values()), len(tensors)
        self.found.returns_membrane = not spikes
        return self.found

    def _is_input(self, names: tuple[str, ...]) -> bool:
        return all(name.startswith(INPUT) for name in names)


def _settings(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if not key.startswith("_")}

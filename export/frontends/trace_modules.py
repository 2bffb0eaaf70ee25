"""Traces one time step of a torch network: which modules and functions run, in which order, and what enters each.

The network runs once with a real input. Modules that have a place on the chip are recorded whole; between them, the
functions that the network calls itself are recorded: pools, flatten, additions. Where a network loops
over time by itself, the first step is taken: a module that runs again is the same layer one step later.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    CONSTANTS,
    FUNCTIONS,
    PASSED_ON,
    concatenated_axis,
    fixed_pool,
    same_sample,
)
from spikeport.export.frontends.leaves import is_leaf
from spikeport.export.frontends.trace_record import Record, Trace
from spikeport.export.frontends.wiring import Concat, Sum, input_name

AXES = {nn.Conv2d: 4, nn.Conv1d: 3, nn.Linear: 2}  # of a batch before these modules


def trace(model: nn.Module, *frames: Tensor) -> Trace:
    """Runs a network on one input and returns what ran.

    Args:
        model: a network whose forward takes one time step, or a recording of one time step.
        frames: the inputs that it takes, each a batch of one sample.

    Returns:
        What ran, with all faults that the run shows.

    Raises:
        UserError: the network fails on this input, or returns nothing that comes from it.
    """
    recorder = _Recorder(model)
    try:
        with evaluating(model), torch.no_grad(), recorder.hooked(), recorder:
            for index, each in enumerate(frames):
                recorder.record.give(each, (input_name(index),))
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
    return recorder.record.finished(result)


class _Recorder(TorchFunctionMode):
    """Follows tensors through modules and functions."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self.record = Record(type(model).__name__)
        self.inside = 0
        self.calls: dict[str, int] = {}
        self.fed_by_others: set[str] = set()  # modules that take something that no module gives
        self.stacked: set[int] = set()  # ids of tensors that hold several steps of one signal

    @contextmanager
    def hooked(self) -> Iterator[None]:
        handles = []
        for module in self.model.modules():
            if is_leaf(module):
                handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
                handles.append(module.register_forward_hook(self._leave, with_kwargs=True, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, arguments: tuple[Any, ...], by_name: dict[str, Any]) -> None:
        if not self.inside:
            self.record.as_given(tensors_of((*arguments, *by_name.values())))
        self.inside += 1

    def _leave(self, module: nn.Module, arguments: tuple[Any, ...], by_name: dict[str, Any], result: Any) -> None:
        self.inside -= 1
        if self.inside or result is None:
            return
        record, name = self.record, self.names[id(module)]
        given = tensors_of((*arguments, *_in_order(module, by_name)))
        first, results = given[0] if given else None, tensors_of(result)
        axes = next((axes for kind, axes in AXES.items() if isinstance(module, kind)), 0)
        if axes and first is not None and first.ndim != axes:
            record.found.batched = False
        entering = record.sources.get(id(first))
        self.calls[name] = self.calls.get(name, 0) + 1
        if entering is None or name in self.fed_by_others:
            self.fed_by_others.add(name)
            place = record.obstacle(name, (), module, results)
            record.fault("takes something that does not come from the input of this step", place,
                         cause="a recurrent connection that the network writes out, or a constant, has no place here",
                         hint="use snntorch.RLeaky for recurrent connections")  # fmt: skip
            return
        if id(first) in record.membranes:
            place = record.obstacle(name, entering, module, results, looked_at=True)
            record.fault(f"takes the membrane of {record.membranes[id(first)]}, not its spikes", place,
                         cause="a neuron of the chip passes on spikes alone",
                         hint="give it the spikes and train again")  # fmt: skip
            return
        if isinstance(module, ADAPTIVE_POOLS) and first is not None:
            try:
                module = fixed_pool(name, module, first, results[0])
            except UserError as fault:
                record.obstacle(name, entering, module, results)
                record.keep(fault)
                return
        if self.calls[name] == 1 or not isinstance(module, snntorch.SpikingNeuron):
            name = record.add(name, module, entering, again=self.calls[name] > 1)
        elif entering != (before := record.found.wiring[name]):  # no later step of the same place
            place = record.obstacle(name, entering, module, results)
            record.fault(f"takes what {', '.join(before)} gives, and what {', '.join(entering)} gives", name,
                         cause="the network has one membrane for two places, on the chip each place has its own",
                         hint="give each place a neuron of its own and train again")  # fmt: skip
            name = place
        if isinstance(module, snntorch.SpikingNeuron) and self.calls[self.names[id(module)]] == 1:
            self._check_start(name, given[1:])
        for index, each in enumerate(results):
            record.give(each, (name,))
            if index and isinstance(module, snntorch.SpikingNeuron):
                record.membranes[id(each)] = name

    def _check_start(self, name: str, states: list[Tensor]) -> None:
        """Adds a fault where the network begins with a membrane or a spike; on the chip a recording begins at rest."""
        if any(bool(state.any()) for state in states):
            self.record.fault("begins with a state that is not zero", name,
                              cause="on the chip each recording begins with membranes of zero and without spikes",
                              hint="begin with zeros and train again")  # fmt: skip

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if not self.inside:
            self.record.as_given(tensors_of((*args, *(kwargs or {}).values())))
        result = func(*args, **(kwargs or {}))
        if self.inside or not any(isinstance(each, Tensor) for each in flat(result)):
            return result
        name = getattr(func, "__name__", str(func))
        tensors = [each for each in flat(args) if isinstance(each, Tensor) and id(each) in self.record.sources]
        if not tensors or name in CONSTANTS:
            return result
        self._function(name, func, args, dict(kwargs or {}), tensors, result)
        return result

    def _function(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], result: Any
    ) -> None:
        record, first = self.record, tensors[0]
        if name in CONCATENATIONS and concatenated_axis(args, kwargs, first) == 1:
            self._concatenate(name, args, tensors, result)
            return
        stacked = name in ("stack", *CONCATENATIONS) and len({record.sources[id(each)] for each in tensors}) == 1
        over_time = name in ("sum", "mean") and id(first) in self.stacked
        if stacked:
            self.stacked |= {id(result)}
        if stacked or over_time or name in PASSED_ON or same_sample(name, first, result):
            for each in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(each, Tensor):
                    record.give(each, record.sources[id(first)])
                    if id(first) in record.membranes:
                        record.membranes[id(each)] = record.membranes[id(first)]
            return
        make = FUNCTIONS.get(name)
        foreign = any(isinstance(each, Tensor) and id(each) not in record.sources for each in flat(args))
        try:
            module = None if make is None or foreign else make(args, kwargs, first, result)
        except UserError as fault:
            record.no_place(name, tensors, result)
            record.keep(fault)
            return
        membranes = [id(each) in record.membranes for each in tensors]
        if all(membranes) if module is None else any(membranes) and type(module) is not nn.Identity:
            return  # arithmetic of a neuron that the network writes out; its spikes do not come from it
        if module is None:
            before = record.sources[id(first)]
            place = record.no_place(name, tensors, result)
            what = "its input" if record.is_input(before) else f"what {before[-1]} gives"
            record.fault(f"the network calls {name} on {what}", place,
                        cause="it has no place on the chip",
                        hint="write it with what the chip has: convolutions, linear layers, pools, sums, neurons"
                        )  # fmt: skip
            return
        if isinstance(module, nn.Identity):
            added = tensors if isinstance(module, Sum) else [first]
            if membranes[0]:
                record.membranes[id(result)] = record.membranes[id(first)]
            record.give(result, tuple(each for tensor in added for each in record.sources[id(tensor)]))
            return
        name = record.add(f"{record.sources[id(first)][-1]}.{name}", module, record.sources[id(first)], again=True)
        record.give(result, (name,))

    def _concatenate(self, name: str, args: tuple[Any, ...], tensors: list[Tensor], result: Tensor) -> None:
        """Adds a concatenation along the channels. Sums of several signals become modules of their own."""
        record = self.record
        if any(id(each) in record.membranes for each in tensors):
            return
        if sum(isinstance(each, Tensor) for each in flat(args)) != len(tensors):
            place = record.no_place(name, tensors, result)
            record.fault(f"the network calls {name} with something that does not come from the input of this step",
                        place, hint="concatenate what the network computes in this step")  # fmt: skip
            return
        entering = tuple(record.one(record.sources[id(tensor)]) for tensor in tensors)
        record.give(result, (record.add(f"{entering[0]}.{name}", Concat(), entering, again=True),))


def _in_order(module: nn.Module, by_name: dict[str, Any]) -> list[Any]:
    """Arguments that a module was given by name, in the order of its forward's parameters."""
    return [by_name[name] for name in inspect.signature(module.forward).parameters if name in by_name]

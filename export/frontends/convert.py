"""Converts any torch network of snnTorch style to a spiking graph: lists of modules as they are, others by a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.forward_run import ForwardRun
from spikeport.export.frontends.from_snntorch import shapes_of, to_spiking_graph
from spikeport.export.frontends.leaves import is_leaf
from spikeport.export.frontends.module_walk import Named, named_modules
from spikeport.export.frontends.snntorch_neurons import resets
from spikeport.export.frontends.trace_modules import Trace, trace
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.values import Shape


def convert(
    model: nn.Module | Iterable[tuple[str, nn.Module]],
    input_shape: Shape | Sequence[Shape],
    dt_s: float,
    *,
    scales: Mapping[str, float] | None = None,
    readout: str = "",
    example: Tensor | Sequence[Tensor] | None = None,
) -> SpikingGraph:
    """Converts a network of torch modules and snnTorch neurons to a spiking graph.

    An `nn.Sequential`, or pairs (name, module), are taken as they are. Any other module runs once on one time step, and
    the modules and functions that it calls become the graph: convolutions, linear layers, pools, flatten, dropout,
    batch norm, additions and concatenations of branches, and neurons whose membranes are hidden or passed by hand in a
    loop over time.

    Args:
        model: the network.
        input_shape: shape of one time step of one sample, `(C, H, W)`, `(C, N)` or `(N,)`; a sequence of shapes for a
            forward that takes several inputs. In the frames of the graph they are side by side: along the channels if
            all have one height and width, else flat. Outputs of a forward that returns several follow each other.
        dt_s: time step in seconds.
        scales: integer units per float unit of each weight layer that is quantized already.
        readout: how the output becomes a class, see SpikingGraph.
        example: an input for the run, or several, a batch of one sample and one step. None: random zeros and ones, as
            `[1, *input_shape]` or, if the network takes recordings, `[1, 1, *input_shape]`.

    Returns:
        The graph. Its notes say what was left out, rewritten or read from the run.

    Raises:
        UserError: the network fails, calls a function that has no place on the chip, or contains modules that the chip
            cannot execute; the error names all of them.
    """
    return graph_of(modules_of(model, input_shape, example), input_shape, dt_s, scales=scales, readout=readout)


@dataclass(frozen=True)
class ExecutedModules:
    """The modules of a network in the order of execution.

    Attributes:
        named: pairs of name and module.
        wiring: by name, the names of the modules whose sum enters it; empty where each takes what the one before gives.
        notes: what was read from a run of the network.
        outputs: names of the modules that give its outputs; empty for the last module.
        run: how its forward is run to compare it with these modules; None for modules without a forward around them.
        faults: what the run showed that cannot go to the chip. With any, the modules cannot be executed in its place.
    """

    named: Named
    wiring: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    run: ForwardRun | None = None
    faults: tuple[UserError, ...] = ()


def graph_of(
    modules: ExecutedModules,
    input_shape: Shape | Sequence[Shape],
    dt_s: float,
    *,
    scales: Mapping[str, float] | None = None,
    readout: str = "",
) -> SpikingGraph:
    """The spiking graph of modules whose order is known; see `convert`.

    Args:
        modules: the modules.
        input_shape: shape of one time step of one sample.
        dt_s: time step in seconds.
        scales: as for `convert`.
        readout: as for `convert`.

    Raises:
        UserError: modules cannot be executed on the chip; the error names all of them.
    """
    graph = to_spiking_graph(
        modules.named, input_shape, dt_s, scales, readout, modules.wiring, modules.outputs, modules.faults
    )
    return replace(graph, notes=(*modules.notes, *graph.notes))


def modules_of(
    model: nn.Module | Iterable[tuple[str, nn.Module]],
    input_shape: Shape | Sequence[Shape],
    example: Tensor | Sequence[Tensor] | None = None,
) -> ExecutedModules:
    """The modules of a network in the order of execution, as `convert` takes them.

    Args:
        model: the network.
        input_shape: shape of one time step of one sample, or shapes; see `convert`.
        example: an input for the run, see `convert`.

    Returns:
        The modules, and what the run showed that cannot go to the chip.

    Raises:
        UserError: the network fails, or is not made of modules.
    """
    if not isinstance(model, nn.Module) or _is_plain(model):
        run = ForwardRun(False, ((0,),), 0, False) if isinstance(model, nn.Module) else None
        return ExecutedModules(named_modules(model), run=run)
    found = _trace(model, shapes_of(input_shape), example)
    named = _leading_to_outputs(found)
    last = dict(named)[found.outputs[0]]
    if found.returns_membrane and resets(last) != "none":
        found.notes.append(f"the network returns the membrane of {found.outputs[0]}, which fires: its spikes are read")
    if len(found.outputs) > 1:
        found.notes.append(f"the network returns several outputs: {', '.join(found.outputs)}")
    wiring = {name: found.wiring[name] for name, _ in named}
    run = ForwardRun(found.takes_recording, found.returned, found.count, found.returns_membrane)
    return ExecutedModules(named, wiring, tuple(found.notes), tuple(found.outputs), run, tuple(found.faults))


def _is_plain(model: nn.Module) -> bool:
    """Whether a network is an nn.Sequential of modules that are taken whole, so that no run is needed."""
    if not isinstance(model, nn.Sequential):
        return False
    try:
        return all(is_leaf(module) or not list(module.children()) for _, module in named_modules(model))
    except UserError:
        return False


def _trace(model: nn.Module, shapes: Sequence[Shape], example: Tensor | Sequence[Tensor] | None) -> Trace:
    """The trace on an example, or on the form of input, a step or a recording, whose modules see batches of samples."""
    if example is not None:
        given = [example] if isinstance(example, Tensor) else list(example)
        found = trace(model, *given)
        found.takes_recording = given[0].ndim == len(shapes[0]) + 2
        return found
    dtype = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    generator = torch.Generator().manual_seed(0)
    steps = [torch.randint(0, 2, (1, *shape), generator=generator).to(dtype) for shape in shapes]
    recordings = [step[None] for step in steps]
    failures: list[UserError] = []
    traces: list[Trace] = []
    for frames, words in ((steps, "one time step"), (recordings, "a recording `[T, B, ...]`")):
        try:
            found = trace(model, *frames)
        except UserError as error:
            failures.append(error)
            continue
        found.takes_recording = frames is recordings
        if found.batched and not found.faults:
            found.notes.append(f"read from a run of its forward on {words}")
            return found
        traces.append(found)
    if not traces:
        raise failures[0]
    return min(traces, key=lambda each: (bool(each.faults), not each.batched))


def _leading_to_outputs(found: Trace) -> Named:
    """The modules that lead to the outputs, in the order of execution."""
    wanted, waiting = set(), list(found.outputs)
    while waiting:
        name = waiting.pop()
        if name not in wanted and not name.startswith(INPUT):
            wanted.add(name)
            waiting += found.wiring[name]
    return [(name, module) for name, module in found.modules if name in wanted]

"""Converts torch modules with snnTorch neurons to a spiking graph.

snnTorch's own NIR exporter is not used, since it omits the reset and the shapes of neurons. Modules that Loihi cannot
execute with equal spikes are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from spikeport.errors import UserError
from spikeport.export.frontends.conversion import Conversion
from spikeport.export.frontends.module_walk import named_modules
from spikeport.export.graph.chain import input_shape as stated_shape
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import UnseenError, is_chain, refuse, structure_faults
from spikeport.values import Shape


def to_spiking_graph(
    modules: nn.Sequential | Iterable[tuple[str, nn.Module]],
    input_shape: Shape | Sequence[Shape],
    dt_s: float,
    scales: Mapping[str, float] | None = None,
    readout: str = "",
    wiring: Mapping[str, Sequence[str]] | None = None,
    outputs: Sequence[str] = (),
    faults: Sequence[UserError] = (),
) -> SpikingGraph:
    """Converts modules to a spiking graph in which every node has its full shape.

    Supported are Conv1d, Conv2d, average pools, Flatten, Linear, snntorch.Leaky, snntorch.RLeaky and snntorch.Synaptic,
    on any device, with or without parametrized weights. A maximum pool of spikes becomes a layer of OR neurons, and
    batch norm is folded into the weights before it. Subclasses of the neurons must keep their update rule. Other
    modules need a method `to_nir(name, shape, dt_s)` that returns a NIR node for neurons of `shape`. Identity and
    Dropout are omitted. Signals `(C, N)` become maps `(C, 1, N)`.

    A Linear or Conv2d that is used twice becomes two layers with the same weights. A neuron that is used twice is
    refused. Decays outside 0..1 are clamped as in snnTorch's forward, with a note. If the last module is a Leaky or
    Synaptic without reset, its membrane is read out. If it is a Linear, the host computes it.

    Args:
        modules: an nn.Sequential, possibly nested, or pairs (name, module) in the order of execution.
        input_shape: shape of one input sample, `(C, H, W)`, `(C, N)` or `(N,)`; a sequence of shapes for a network of
            several inputs, which are side by side in a frame (`SpikingGraph.input_shape`).
        dt_s: time step in seconds.
        scales: integer units per float unit of each weight layer that is quantized already.
        readout: how the output becomes a class, see SpikingGraph.
        wiring: by name of a module, the names of the modules whose sum enters it, `wiring.INPUT` for the input of the
            network. Other modules take what the one before them gives.
        outputs: names of the modules that give the outputs of the network. Default: the last module.
        faults: what is known already to keep the modules from the chip. It is refused together with the modules' own.

    Raises:
        UserError: modules or their settings cannot be executed exactly on the chip; the error names all of them.
    """
    named = named_modules(modules)
    conversion = Conversion(named, shapes_of(input_shape), dt_s, wiring or {}, outputs)
    conversion.faults += faults
    for index, (name, module) in enumerate(named, start=1):
        try:
            known = conversion.add(name, module)
        except UserError as fault:
            conversion.faults.append(fault)
            known = False
        if not known:
            if behind := [each for each, _ in named[index:]]:
                conversion.faults.append(UnseenError(behind, name))
            break
    refuse(conversion.faults)
    graph = conversion.finished()
    spiking = SpikingGraph(
        nir_graph=graph,
        dt_s=dt_s,
        input_shape=stated_shape(graph),
        scales=conversion.of_copies(scales or {}),
        readout=readout,
        notes=tuple(conversion.notes),
    )
    refuse(structure_faults(spiking.nir_graph))
    if is_chain(spiking.nir_graph):
        spiking.chain()
    return spiking


def shapes_of(given: Any) -> tuple[Shape, ...]:
    """Shapes of all inputs of a network.

    Args:
        given: one shape, or a sequence of shapes.

    Raises:
        UserError: it is neither.
    """
    try:
        items = tuple(given)
        several = bool(items) and all(isinstance(each, (tuple, list)) for each in items)
        return tuple(tuple(int(size) for size in each) for each in (items if several else (items,)))
    except (TypeError, ValueError):
        raise UserError(f"input shape {given!r} is not a shape", hint="give (C, H, W) or (N,)") from None

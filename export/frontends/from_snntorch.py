"""Converts torch modules with snnTorch neurons to a spiking graph.

snnTorch's own NIR exporter is not used, since it omits the reset and the shapes of neurons. Modules that Loihi cannot
execute with equal spikes are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import nir
import numpy as np
import snntorch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.frontends.exact_modules import max_pool, shape_after, with_batch_norm
from spikeport.export.frontends.module_walk import SKIPPED, Named, named_modules
from spikeport.export.frontends.snntorch_neurons import (
    SNNTORCH_NEURONS,
    clamped,
    neuron_node,
    recurrent_node,
    resets,
)
from spikeport.export.frontends.synaptic_modules import SYNAPTIC_LAYERS
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.graph.shapes import output_shape
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import UnseenError, is_chain, refuse, structure_faults
from spikeport.values import Shape

REFUSALS: dict[type, tuple[str, str]] = {
    snntorch.RSynaptic: (
        "snnTorch 1.0's RSynaptic either loses the input of the step after a spike or resets by the spikes of the step "
        "before",
        "use RLeaky, or Synaptic without recurrence",
    ),
}
TAKEN = (
    "use Conv2d, BatchNorm2d, AvgPool2d, MaxPool2d of spikes, Flatten, Linear, Identity, snntorch.Leaky, "
    "snntorch.RLeaky or snntorch.Synaptic"
)


def to_spiking_graph(
    modules: nn.Sequential | Iterable[tuple[str, nn.Module]],
    input_shape: Shape,
    dt_s: float,
    scales: Mapping[str, float] | None = None,
    readout: str = "",
    wiring: Mapping[str, Sequence[str]] | None = None,
) -> SpikingGraph:
    """Converts modules to a spiking graph in which every node has its full shape.

    Supported are Conv2d, AvgPool2d, Flatten, Linear, snntorch.Leaky, snntorch.RLeaky and snntorch.Synaptic, on any
    device, with or without parametrized weights. A MaxPool2d of spikes becomes a layer of OR neurons, and batch norm is
    folded into the weights before it. Subclasses of the neurons must keep their update rule. Other modules
    need a method `to_nir(name, shape, dt_s)` that returns a NIR node for neurons of `shape`. Identity and Dropout are
    omitted.

    A Linear or Conv2d that is used twice becomes two layers with the same weights. A neuron that is used twice is
    refused. Decays outside 0..1 are clamped as in snnTorch's forward, with a note. If the last module is a Leaky or
    Synaptic without reset, its membrane is read out. If it is a Linear, the host computes it.

    Args:
        modules: an nn.Sequential, possibly nested, or pairs (name, module) in the order of execution.
        input_shape: shape of one input sample, `(C, H, W)` or `(N,)`.
        dt_s: time step in seconds.
        scales: integer units per float unit of each weight layer that is quantized already.
        readout: how the output becomes a class, see SpikingGraph.
        wiring: by name of a module, the names of the modules whose sum enters it, `wiring.INPUT` for the input of the
            network. Other modules take what the one before them gives.

    Raises:
        UserError: modules or their settings cannot be executed exactly on the chip; the error names all of them.
    """
    named = named_modules(modules)
    conversion = _Conversion(named, _shape(input_shape), dt_s, wiring or {})
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
        input_shape=conversion.entering,
        scales=dict(scales or {}),
        readout=readout,
        notes=tuple(conversion.notes),
    )
    refuse(structure_faults(spiking.nir_graph))
    if is_chain(spiking.nir_graph):
        spiking.chain()
    return spiking


class _Conversion:
    """Nodes and edges of the graph, module by module.

    Attributes:
        feeds: by name of a module, the nodes whose sum it gives; a module that was left out gives what enters it.
        refused: modules that cannot go to the chip, by name. Their shape is known, so that others are looked at.
        normed: by name of a module whose weights contain a batch norm, the norm; nothing else may read the module.
        shapes: shape of what each node gives.
        faults: what cannot go to the chip.
        notes: what was left out or rewritten.
    """

    def __init__(self, named: Named, entering: Shape, dt_s: float, wiring: Mapping[str, Sequence[str]]) -> None:
        self.entering, self.dt_s, self.wiring = entering, dt_s, wiring
        taken = [name for name, _ in named]
        self.entry, self.leave = _free("input", taken), _free("output", taken)
        self.nodes: dict[str, nir.NIRNode] = {self.entry: nir.Input({"input": np.array(entering)})}
        self.edges: list[tuple[str, str]] = []
        self.feeds: dict[str, tuple[str, ...]] = {INPUT: (self.entry,)}
        self.shapes: dict[str, Shape] = {self.entry: entering}
        self.before = INPUT
        self.last = next(
            (name for name, module in reversed(named) if not isinstance(module, (nn.Flatten, *SKIPPED))), ""
        )
        self.recurrences: dict[str, nir.NIRNode] = {}
        self.refused: dict[str, nn.Module] = {}
        self.normed: dict[str, str] = {}
        self.faults: list[UserError] = []
        self.notes: list[str] = []

    def add(self, name: str, module: nn.Module) -> bool:
        """Adds a module. Returns whether the shape behind it is known, so that more modules can be added."""
        if name in self.feeds or not name or "/" in name or name == ".":
            raise UserError(
                f"module name {name!r} is taken or cannot name a node", hint="give each module its own name"
            )
        feeding = self._feeding(name)
        shape = self.shapes[feeding[0]]
        self.before = name
        if type_before_parametrizations(module) in SKIPPED and not hooked(module):
            if not isinstance(module, nn.Identity):
                self.notes.append(f"{name}: {type(module).__name__} was left out, it acts in training only")
            self.feeds[name] = feeding
            return True
        try:
            self._convert(name, module, feeding, shape)
        except UserError as fault:
            self.faults.append(fault)
            known = shape_after(module, shape)
            if known is None:
                return False
            self.refused[name], self.shapes[name], self.feeds[name] = module, known, (name,)
        return True

    def _feeding(self, name: str) -> tuple[str, ...]:
        """Nodes whose sum enters a module."""
        given = self.wiring.get(name, (self.before,))
        unknown = [each for each in given if each not in self.feeds]
        if unknown or not given:
            raise UserError(
                f"is fed by {', '.join(unknown) or 'nothing'}", where=name, cause="no module before it has this name"
            )
        for each in given:
            if each in self.normed:
                raise UserError(
                    f"takes what {each} gives before {self.normed[each]}", where=name,
                    cause="that norm is folded into the weights before it, so that only its result is left",
                    hint="give this branch a convolution or linear layer of its own and train again",
                )  # fmt: skip
        feeding = tuple(node for each in given for node in self.feeds[each])
        shapes = {self.shapes[node] for node in feeding}
        if len(shapes) > 1:
            raise UserError(f"adds signals of shapes {', '.join(map(str, sorted(shapes)))}", where=name)
        return feeding

    def _convert(self, name: str, module: nn.Module, feeding: tuple[str, ...], shape: Shape) -> None:
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not hooked(module):
            self._fold_norm(name, module, feeding)
            return
        if isinstance(module, nn.MaxPool2d) and not hooked(module):
            added = max_pool(name, module, shape, {each: self._node(each) for each in feeding}, self.dt_s)
            self.notes.append(f"{name}: the maximum of spikes is a layer of OR neurons")
        else:
            added = {name: _convert(name, module, shape, self.dt_s, last=name == self.last)}
        self.notes += clamped(name, module)
        if isinstance(getattr(module, "recurrent", None), nn.Module):  # an RLeaky, or a recurrent Synaptic
            self.recurrences[name] = recurrent_node(name, module, shape)
        for each, node in added.items():
            shape = output_shape(each, node, shape)
            self.nodes[each], self.shapes[each] = node, shape
            self.edges += [(before, each) for before in feeding]
            feeding = (each,)
        self.feeds[name] = feeding

    def _node(self, name: str) -> nir.NIRNode:
        """The node of a module, for neurons that were refused any that fires."""
        if isinstance(self.refused.get(name), snntorch.SpikingNeuron):
            one = np.ones(self.shapes[name])
            return nir.IF(r=one, v_threshold=one)
        return self.nodes.get(name, nir.Scale(np.ones(1)))

    def _fold_norm(self, name: str, module: nn.Module, feeding: tuple[str, ...]) -> None:
        before = feeding[0]
        if before not in self.refused:
            if len(feeding) > 1:
                raise UserError(f"normalizes the sum of {', '.join(feeding)}", where=name,
                                cause="netx has no normalization",
                                hint="put a norm behind each of them and train again")  # fmt: skip
            if other := next((behind for source, behind in self.edges if source == before), ""):
                raise UserError(f"normalizes {before}, which {other} takes without the norm", where=name,
                                cause="the norm goes into the weights before it",
                                hint="give one of them a layer of its own and train again")  # fmt: skip
            self.nodes[before] = with_batch_norm(name, module, before, self.nodes[before])
            self.notes.append(f"{name}: {type(module).__name__} was folded into {before}, with its running statistics")
        self.normed |= {each: name for each, nodes in self.feeds.items() if before in nodes}
        self.feeds[name] = feeding

    def finished(self) -> nir.NIRGraph:
        """The graph, whose output is the last module's."""
        ending = self.feeds[self.before]
        self.nodes[self.leave] = nir.Output({"output": np.array(self.shapes[ending[0]])})
        self.edges += [(before, self.leave) for before in ending]
        for name, recurrence in self.recurrences.items():
            back = _free(f"{name}.w_rec", list(self.nodes))
            self.nodes[back] = recurrence
            self.edges += [(name, back), (back, name)]
        return nir.NIRGraph(self.nodes, self.edges, type_check=False)


def _shape(input_shape: Any) -> Shape:
    try:
        return tuple(int(size) for size in input_shape)
    except (TypeError, ValueError):
        raise UserError(f"input shape {input_shape!r} is not a shape", hint="give (C, H, W) or (N,)") from None


def hooked(module: nn.Module) -> bool:
    """Whether the module has forward hooks or forward pre-hooks.

    Args:
        module: the module itself; its children are not examined.
    """
    return bool(module._forward_pre_hooks or module._forward_hooks)


def _free(name: str, taken: list[str]) -> str:
    """`name`, or the first of name_, name__, ... that is not in `taken`."""
    while name in taken:
        name += "_"
    return name


def _convert(name: str, module: nn.Module, shape: Shape, dt_s: float, last: bool) -> nir.NIRNode:
    kind = type_before_parametrizations(module)
    for refused, (why, hint) in REFUSALS.items():
        if issubclass(kind, refused):
            raise UserError(f"{kind.__name__} cannot go to the chip", where=name, cause=why, hint=hint)
    if hooked(module):
        raise UserError(
            f"{kind.__name__} has forward hooks, whose effect is unknown", where=name,
            hint="remove them; weights belong in torch.nn.utils.parametrize",
        )  # fmt: skip
    if kind in SYNAPTIC_LAYERS:
        return SYNAPTIC_LAYERS[kind](name, module, shape)
    if isinstance(module, SNNTORCH_NEURONS):
        if resets(module) == "none" and not last:
            raise NeedsAdaptError(
                f"{kind.__name__} resets by 'none'", where=name, cause="Loihi resets v to zero",
                hint="train with reset_mechanism='zero', or read the membrane of the last layer",
            )  # fmt: skip
        return neuron_node(name, module, shape, dt_s)
    to_nir = getattr(module, "to_nir", None)
    if callable(to_nir):
        return cast("nir.NIRNode", to_nir(name, shape, dt_s))
    raise UserError(f"{kind.__module__}.{kind.__name__} cannot go to the chip", where=name, hint=TAKEN)

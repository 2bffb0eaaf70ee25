"""Builds a NIR graph from torch modules, one module after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nir
import numpy as np
import snntorch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.errors import UserError
from spikeport.export.frontends.exact_modules import MAX_POOLS, check_norm, max_pool, shape_after, with_batch_norm
from spikeport.export.frontends.module_nodes import hooked, node_of
from spikeport.export.frontends.module_walk import SKIPPED, Named
from spikeport.export.frontends.obstacle import Obstacle
from spikeport.export.frontends.recurrences import recurrent_node
from spikeport.export.frontends.signals import (
    Piece,
    Signal,
    Summand,
    added,
    concatenated,
    flat_first,
    on_channels,
    partition,
    pieces,
    reading,
)
from spikeport.export.frontends.snntorch_neurons import clamped
from spikeport.export.frontends.synaptic_modules import AVERAGE_POOLS, WEIGHTS, average_pool
from spikeport.export.frontends.wiring import INPUT, Concat, Sum, input_name
from spikeport.export.graph.one_dimensional import map_shape, on_maps
from spikeport.export.graph.shapes import output_shape
from spikeport.values import Shape


class Conversion:
    """Nodes and edges of the graph, module by module.

    Attributes:
        signals: by name of a module, what it gives; a module that was left out gives what enters it.
        refused: modules that cannot go to the chip, by name. Their shape is known, so that others are looked at.
        normed: by name of a module whose weights contain a batch norm, the norm; nothing else may read the module.
        shapes: shape of what each node gives.
        made: by name of a node, the module that it was made from.
        faults: what cannot go to the chip.
        notes: what was left out or rewritten.
    """

    def __init__(
        self, named: Named, entering: Sequence[Shape], dt_s: float, wiring: Mapping[str, Sequence[str]],
        outputs: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.dt_s, self.wiring, self.outputs = dt_s, wiring, outputs
        self.taken = [name for name, _ in named]
        self.one_axis = any(len(shape) == 2 for shape in entering)
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.signals: dict[str, Signal] = {}
        self.shapes: dict[str, Shape] = {}
        for index, shape in enumerate(map(map_shape, entering)):
            entry = _free(f"input_{index + 1}" if index else "input", [*self.taken, *self.nodes])
            self.nodes[entry], self.shapes[entry] = nir.Input({"input": np.array(shape)}), shape
            self.signals[input_name(index)] = Signal(shape, (Summand(entry),))
        self.before = INPUT
        self.last = next(
            (name for name, module in reversed(named) if not isinstance(module, (nn.Flatten, Concat, *SKIPPED))), ""
        )
        self.recurrences: dict[str, nir.NIRNode] = {}
        self.refused: dict[str, nn.Module] = {}
        self.normed: dict[str, str] = {}
        self.made: dict[str, str] = {}
        self.faults: list[UserError] = []
        self.notes: list[str] = []

    def add(self, name: str, module: nn.Module) -> bool:
        """Adds a module. Returns whether the shape behind it is known, so that more modules can be added."""
        if name in self.signals or not name or "/" in name or name == ".":
            raise UserError(
                f"module name {name!r} is taken or cannot name a node", hint="give each module its own name"
            )
        if isinstance(module, Obstacle):
            self._pass(name, module)
            return True
        given = self._given(name)
        if isinstance(module, Concat):
            self.signals[name], self.before = concatenated(name, given), name
            return True
        signal = added(name, given)
        self.before = name
        if type_before_parametrizations(module) in (*SKIPPED, Sum) and not hooked(module):
            if not isinstance(module, nn.Identity):
                self.notes.append(f"{name}: {type(module).__name__} was left out, it acts in training only")
            self.signals[name] = signal
            return True
        try:
            self._convert(name, module, signal)
        except UserError as fault:
            self.faults.append(fault)
            known = shape_after(module, self._own(signal.shape))
            if known is None:
                return False
            self.refused[name], self.shapes[name] = module, map_shape(known)
            self.signals[name] = Signal(map_shape(known), (Summand(name),))
        return True

    def _pass(self, name: str, obstacle: Obstacle) -> None:
        """Looks at the settings of an obstacle's module, and gives the shape to what comes behind it."""
        shape, self.before = map_shape(obstacle.shape), name
        if obstacle.inner is not None:
            try:
                self._convert(name, obstacle.inner, added(name, self._given(name)))
            except UserError as fault:
                self.faults.append(fault)
        if name not in self.signals:
            self.refused[name], self.shapes[name] = obstacle, shape
            self.signals[name] = Signal(shape, (Summand(name),))

    def _given(self, name: str) -> list[Signal]:
        """What enters a module."""
        given = self.wiring.get(name, (self.before,))
        unknown = [each for each in given if each not in self.signals]
        if unknown or not given:
            raise UserError(
                f"is fed by {', '.join(unknown) or 'nothing'}",
                where=name,
                cause="no module before it has this name",
                hint="name modules that run before it in the wiring",
            )
        for each in given:
            if each in self.normed:
                raise UserError(
                    f"takes what {each} gives before {self.normed[each]}", where=name,
                    cause="that norm is folded into the weights before it, so that only its result is left",
                    hint="give this branch a convolution or linear layer of its own and train again",
                )  # fmt: skip
        return [self.signals[each] for each in given]

    def _own(self, shape: Shape) -> Shape:
        """The shape as the modules see it: `(C, N)` where the network has one axis."""
        return (shape[0], shape[2]) if self.one_axis and len(shape) == 3 else shape

    def _convert(self, name: str, module: nn.Module, signal: Signal) -> None:
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not hooked(module):
            self._fold_norm(name, module, signal)
        elif isinstance(module, WEIGHTS) and len(found := pieces(signal, self.shapes)) > 1:
            node = self._node_of(name, module, signal.shape)
            behind = output_shape(name, node, signal.shape)
            summands = []
            for index, piece in enumerate(found):
                each = self._name(name, index)
                self._put(each, reading(name, node, piece, bias=index == 0), piece.nodes, behind, name)
                summands.append(Summand(each))
            self.signals[name] = Signal(behind, tuple(summands))
            self.notes.append(f"{name}: reads concatenated signals, each with its own part of the weights")
        else:
            self._convert_pieces(name, module, signal)

    def _convert_pieces(self, name: str, module: nn.Module, signal: Signal) -> None:
        """Adds a module that treats every channel by itself."""
        found = partition(name, signal, self.shapes)
        recurrent = isinstance(getattr(module, "recurrent", None), nn.Module)  # an RLeaky, or a recurrent Synaptic
        if recurrent and len(found) > 1:
            raise UserError("is recurrent over concatenated signals", where=name,
                            hint="use Leaky, or a recurrent layer for each of them")  # fmt: skip
        summands, behind = [], signal.shape
        for index, piece in enumerate(found):
            each = self._name(name, index)
            feeding, shape = piece.nodes, piece.shape
            for own, node in self._nodes_of(each, module, signal.shape, piece).items():
                shape = output_shape(own, node, shape)
                self._put(own, node, feeding, shape, name)
                feeding = (own,)
            summands += [
                Summand(own, piece.first if len(shape) == len(piece.shape) else flat_first(piece)) for own in feeding
            ]
            behind = shape
        if recurrent:
            self.recurrences[name] = on_maps(recurrent_node(name, module, self._own(signal.shape)))
        self.notes += clamped(name, module)
        rows = summands[-1].first + behind[0]
        self.signals[name] = Signal((rows, *behind[1:]), tuple(summands))

    def _nodes_of(self, name: str, module: nn.Module, whole: Shape, piece: Piece) -> dict[str, nir.NIRNode]:
        """The nodes of a module for some channels, by name, in their order."""
        if isinstance(module, MAX_POOLS) and not hooked(module):
            before = {each: self._before(each) for each in piece.nodes}
            self.notes.append(f"{name}: the maximum of spikes is a layer of OR neurons")
            return max_pool(name, module, piece.shape, before, self.dt_s)
        if isinstance(module, AVERAGE_POOLS) and not hooked(module):
            return average_pool(name, module, piece.shape)
        if isinstance(module, nn.Flatten) or piece.shape == whole:
            return {name: self._node_of(name, module, piece.shape)}
        return {name: on_channels(name, self._node_of(name, module, whole), whole, piece)}

    def _node_of(self, name: str, module: nn.Module, shape: Shape) -> nir.NIRNode:
        node = node_of(name, module, self._own(shape), self.dt_s, last=name == self.last)
        return on_maps(node) if self.one_axis else node

    def _put(self, name: str, node: nir.NIRNode, feeding: Sequence[str], behind: Shape, module: str) -> None:
        self.nodes[name], self.shapes[name], self.made[name] = node, behind, module
        self.edges += [(before, name) for before in feeding]

    def _name(self, name: str, index: int) -> str:
        """Name of a node of a module: the module's for the first."""
        return _free(f"{name}.{index}", [*self.taken, *self.nodes]) if index else name

    def _before(self, name: str) -> nir.NIRNode:
        """The node of a module, for neurons that were refused any that fires."""
        if isinstance(self.refused.get(name), snntorch.SpikingNeuron):
            one = np.ones(self.shapes[name])
            return nir.IF(r=one, v_threshold=one)
        return self.nodes.get(name, nir.Scale(np.ones(1)))

    def _fold_norm(self, name: str, module: nn.Module, signal: Signal) -> None:
        check_norm(name, module)
        if not any(each in self.refused for each in signal.nodes):
            for piece in partition(name, signal, self.shapes):
                if len({self.made.get(each, each) for each in piece.nodes}) > 1:
                    raise UserError(f"normalizes the sum of {', '.join(piece.nodes)}", where=name,
                                    cause="netx has no normalization",
                                    hint="put a norm behind each of them and train again")  # fmt: skip
                for before in piece.nodes:
                    if other := next((behind for source, behind in self.edges if source == before), ""):
                        raise UserError(f"normalizes {before}, which {other} takes without the norm", where=name,
                                        cause="the norm goes into the weights before it",
                                        hint="give one of them a layer of its own and train again")  # fmt: skip
            for piece in partition(name, signal, self.shapes):
                for index, before in enumerate(piece.nodes):
                    self.nodes[before] = with_batch_norm(
                        name, module, before, self.nodes[before], first=piece.first, features=signal.shape[0],
                        shifted=index == 0,
                    )  # fmt: skip
            into = ", ".join(dict.fromkeys(self.made.get(each, each) for each in signal.nodes))
            self.notes.append(f"{name}: {type(module).__name__} was folded into {into}, with its running statistics")
        folded = set(signal.nodes)
        self.normed |= {each: name for each, given in self.signals.items() if folded & set(given.nodes)}
        self.signals[name] = signal

    def finished(self) -> nir.NIRGraph:
        """The graph. An output of concatenated signals becomes several, one after the other."""
        for output in self.outputs or (self.before,):
            for piece in partition(output, self.signals[output], self.shapes):
                leave = _free("output", [*self.taken, *self.nodes])
                self.nodes[leave] = nir.Output({"output": np.array(piece.shape)})
                self.edges += [(before, leave) for before in piece.nodes]
        for name, recurrence in self.recurrences.items():
            back = _free(f"{name}.w_rec", list(self.nodes))
            self.nodes[back] = recurrence
            self.edges += [(name, back), (back, name)]
        return nir.NIRGraph(self.nodes, self.edges, type_check=False)

    def of_copies(self, scales: Mapping[str, float]) -> dict[str, float]:
        """Scales of weight nodes from those of modules, which may have become several nodes.

        Args:
            scales: scales by name of a module.
        """
        copies = {node: scales[name] for node, name in self.made.items() if name in scales and node != name}
        return dict(scales) | copies


def _free(name: str, taken: list[str]) -> str:
    """`name`, or the first of name_, name__, ... that is not in `taken`."""
    while name in taken:
        name += "_"
    return name

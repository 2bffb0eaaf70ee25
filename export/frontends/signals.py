"""What modules hand on: sums of node outputs, each on all channels or, behind a concatenation, on some of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.node_kinds import SYNAPSES
from spikeport.export.graph.parameters import on_layer
from spikeport.export.graph.shapes import check_weights, whole
from spikeport.values import Shape


@dataclass(frozen=True)
class Summand:
    """The output of a node as a summand of a signal.

    Attributes:
        node: name of the node.
        first: its first channel in the signal, or its first value in a flat signal.
    """

    node: str
    first: int = 0


@dataclass(frozen=True)
class Signal:
    """A sum of node outputs.

    Attributes:
        shape: `(C, H, W)` or `(N,)`.
        summands: the summands. Channels that none of them has are 0.
    """

    shape: Shape
    summands: tuple[Summand, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return tuple(summand.node for summand in self.summands)


@dataclass(frozen=True)
class Piece:
    """Channels of a signal that the same nodes give.

    Attributes:
        first: the first channel, or value of a flat signal.
        shape: shape of these channels.
        nodes: the nodes whose sum they are.
    """

    first: int
    shape: Shape
    nodes: tuple[str, ...]


def added(name: str, signals: Sequence[Signal]) -> Signal:
    """The sum of signals.

    Args:
        name: name of the module that they enter, for the error.
        signals: the signals.

    Raises:
        UserError: their shapes differ, or a signal is added to itself.
    """
    shapes = {signal.shape for signal in signals}
    if len(shapes) > 1:
        raise UserError(f"adds signals of shapes {', '.join(map(str, sorted(shapes)))}", where=name,
                        hint="give all of them one shape")  # fmt: skip
    summands = tuple(summand for signal in signals for summand in signal.summands)
    if twice := next((summand.node for index, summand in enumerate(summands) if summand in summands[:index]), ""):
        raise UserError(f"adds {twice} to itself", where=name, cause="an edge of a NIR graph counts once",
                        hint="multiply the weights by 2")  # fmt: skip
    return Signal(signals[0].shape, summands)


def concatenated(name: str, signals: Sequence[Signal]) -> Signal:
    """Signals one after the other along the channels, or along the only axis.

    Args:
        name: name of the concatenation, for the error.
        signals: the signals.

    Raises:
        UserError: their shapes differ in other axes.
    """
    if len({signal.shape[1:] for signal in signals}) > 1:
        shapes = ", ".join(str(signal.shape) for signal in signals)
        raise UserError(f"concatenates signals of shapes {shapes}", where=name,
                        cause="only channels are concatenated", hint="give them equal height and width")  # fmt: skip
    summands, first = [], 0
    for signal in signals:
        summands += [replace(summand, first=first + summand.first) for summand in signal.summands]
        first += signal.shape[0]
    return Signal((first, *signals[0].shape[1:]), tuple(summands))


def pieces(signal: Signal, shapes: Mapping[str, Shape]) -> list[Piece]:
    """The summands of a signal, those on the same channels together, by their first channel.

    Args:
        signal: the signal.
        shapes: shape of what each node gives.
    """
    found: dict[tuple[int, Shape], list[str]] = {}
    for summand in signal.summands:
        found.setdefault((summand.first, shapes[summand.node]), []).append(summand.node)
    return [Piece(first, shape, tuple(nodes)) for (first, shape), nodes in sorted(found.items())]


def partition(name: str, signal: Signal, shapes: Mapping[str, Shape]) -> list[Piece]:
    """The pieces of a signal, one after the other without overlap, as modules need that treat each channel by itself.

    Args:
        name: name of the module that they enter, for the error.
        signal: the signal.
        shapes: shape of what each node gives.

    Raises:
        UserError: some channels are covered by several pieces or by none.
    """
    found, at = pieces(signal, shapes), 0
    for piece in found:
        if piece.first != at:
            raise UserError(
                f"adds signals that are concatenated differently: {', '.join(signal.nodes)}", where=name,
                cause="on the chip their channels are different populations",
                hint="add signals that are concatenated alike, or put a convolution or linear layer before it",
            )  # fmt: skip
        at += piece.shape[0]
    return found


def reading(name: str, node: nir.NIRNode, piece: Piece, *, bias: bool) -> nir.NIRNode:
    """The weights of a layer for some of its input channels: a sum over all channels is the sum of these sums.

    Args:
        name: name of the layer, for errors.
        node: a convolution or a linear layer over all channels.
        piece: the channels.
        bias: whether the bias is added here.
    """
    taken = slice(piece.first, piece.first + piece.shape[0])
    if isinstance(node, nir.Conv2d):
        zeros = np.zeros(len(node.weight), dtype=np.asarray(node.weight).dtype)
        own = node.bias if bias and node.bias is not None else zeros
        weight = np.ascontiguousarray(_ungrouped(name, node)[:, taken])
        return replace(node, weight=weight, groups=1, bias=own)
    assert isinstance(node, (nir.Linear, nir.Affine))
    weight = np.ascontiguousarray(node.weight[:, taken])
    return nir.Affine(weight, node.bias) if bias and isinstance(node, nir.Affine) else nir.Linear(weight)


def on_channels(name: str, node: nir.NIRNode, shape: Shape, piece: Piece) -> nir.NIRNode:
    """Neurons of a layer that belong to some of its channels.

    Args:
        name: name of the layer, for errors.
        node: the neurons of all channels; other nodes stay as they are.
        shape: shape of the layer.
        piece: the channels.

    Raises:
        UserError: the node has weights.
    """
    if isinstance(node, SYNAPSES):
        raise UserError("takes concatenated signals and has weights of its own", where=name,
                        hint="put a neuron between them")  # fmt: skip
    taken = slice(piece.first, piece.first + piece.shape[0])
    arrays = {
        key: on_layer(name, key, value, shape)[taken].astype(value.dtype)
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray) and value.ndim == len(shape)
    }
    fields = {key: value for key, value in vars(node).items() if key not in ("input_type", "output_type")}
    return type(node)(**(fields | arrays)) if arrays and not _is_pool(node) else node


def flat_first(piece: Piece) -> int:
    """Where the values of a piece begin in the flat signal.

    Args:
        piece: the piece, of shape `(C, H, W)` or `(N,)`.
    """
    return piece.first * math.prod(piece.shape[1:])


def _is_pool(node: nir.NIRNode) -> bool:
    return hasattr(node, "kernel_size")


def _ungrouped(name: str, node: nir.Conv2d) -> np.ndarray:
    """The kernel `(Cout, Cin, kH, kW)` of a convolution, with zeros between its groups."""
    given, groups = np.asarray(node.weight), whole(node.groups, name, "groups")
    if groups == 1:
        return given
    rows, per_group, *taps = given.shape
    check_weights(name, rows * per_group * groups * math.prod(taps))
    spread = np.zeros((groups, rows // groups, groups, per_group, *taps), dtype=given.dtype)
    for group in range(groups):
        spread[group, :, group] = given.reshape(groups, rows // groups, per_group, *taps)[group]
    return spread.reshape(rows, groups * per_group, *taps)

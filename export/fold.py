"""Exact rewrites: pools, scales and flattens vanish into the weight layer beside them, since netx has none of them.

Nothing here rounds: sums of weights are the only arithmetic on them, and an average pool's division moves into
`divisor`, which later multiplies threshold and bias instead (spec 4.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import nir
import numpy as np

from export.chain import NEURONS, POOLS, Step, conv_extent, conv_padding, pair
from hardware_profiles.errors import UserError


@dataclass(frozen=True, kw_only=True)
class FoldedLayer:
    """A weight layer whose neuron sees `gain * (weight x / divisor + bias)`.

    `weight`: float64 `(out, in)` or `(Cout, Cin/groups, kH, kW)`; `bias`: float64, one a row or channel. `folded`: the
    nodes that went in.
    """

    name: str
    kind: Literal["dense", "conv"]
    weight: np.ndarray
    bias: np.ndarray
    input_shape: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    divisor: int = 1
    gain: float = 1.0
    folded: tuple[str, ...] = ()


def fold(steps: tuple[Step, ...]) -> list[tuple[FoldedLayer, Step]]:
    """The chain as weight layers, each with its neuron: `[pool|scale|flatten]* weights [pool|scale|flatten]* neuron`.

    A pool with no weights between it and a neuron becomes a depthwise convolution. Raises UserError naming the node
    where the chain has another form, or where folding would not be exact.
    """
    layers: list[tuple[FoldedLayer, Step]] = []
    before: list[Step] = []
    layer: FoldedLayer | None = None
    for step in steps:
        if isinstance(step.node, NEURONS):
            if layer is None:
                layer, before = _depthwise(step, before), []
            layers.append((layer, step))
            layer = None
        elif isinstance(step.node, (nir.Linear, nir.Affine, nir.Conv2d)):
            if layer is not None:
                raise UserError(
                    f"follows {layer.name} with no neuron between them", where=step.name,
                    why="netx has neurons behind every weight layer",
                    mend="multiply the two weights into one layer, or put a neuron between them",
                )  # fmt: skip
            layer, before = _with_earlier(_weight_layer(step), before), []
        elif layer is not None:
            layer = _absorb_behind(layer, step)
        else:
            before.append(step)
    left = layer.name if layer is not None else next((s.name for s in before if not _is_flatten(s)), "")
    if left or not layers:
        raise UserError(
            "the graph ends without a neuron", where=left, why="netx gives out spikes only",
            mend="end in a LIF and classify by its spike counts",
        )  # fmt: skip
    return layers


def _weight_layer(step: Step) -> FoldedLayer:
    node, name = step.node, step.name
    weight = np.asarray(node.weight, dtype=np.float64)
    bias = np.zeros(weight.shape[0])
    if not isinstance(node, nir.Linear) and node.bias is not None:
        bias = np.asarray(node.bias, dtype=np.float64).ravel()
    if bias.shape != (weight.shape[0],):
        raise UserError(f"bias has shape {bias.shape}, expected ({weight.shape[0]},)", where=name)
    if not (np.all(np.isfinite(weight)) and np.all(np.isfinite(bias))):
        raise UserError("weight or bias holds NaN or infinity", where=name, mend="check the training of this layer")
    if not isinstance(node, nir.Conv2d):
        return FoldedLayer(name=name, kind="dense", weight=weight, bias=bias, input_shape=step.input_shape)
    return FoldedLayer(
        name=name,
        kind="conv",
        weight=weight,
        bias=bias,
        input_shape=step.input_shape,
        stride=pair(node.stride, name, "stride"),
        padding=conv_padding(node, name),
        dilation=pair(node.dilation, name, "dilation"),
        groups=int(node.groups),
    )


def _with_earlier(layer: FoldedLayer, before: list[Step]) -> FoldedLayer:
    """`layer` with what stands before it folded in, the nearest first."""
    for step in reversed(before):
        if _is_flatten(step):
            layer = replace(layer, input_shape=step.input_shape)
        elif isinstance(step.node, nir.Scale):
            layer = _scale_inputs(layer, step)
        else:
            layer = _pool_inputs(layer, step)
    return layer


def _absorb_behind(layer: FoldedLayer, step: Step) -> FoldedLayer:
    if _is_flatten(step):
        return layer
    if isinstance(step.node, nir.Scale):
        return replace(layer, gain=layer.gain * _uniform_scale(step), folded=(*layer.folded, step.name))
    q, divisor = _pool(step)
    taps = np.array(layer.weight.shape[2:])
    extent = (np.array(q) - 1) * layer.stride + np.array(layer.dilation) * (taps - 1) + 1
    weight = np.zeros((*layer.weight.shape[:2], *extent))
    for row in range(q[0]):
        for column in range(q[1]):
            weight[:, :, _taps(row, layer, taps, 0), _taps(column, layer, taps, 1)] += layer.weight
    return replace(
        layer,
        weight=weight,
        bias=layer.bias * (q[0] * q[1] // divisor),
        stride=(layer.stride[0] * q[0], layer.stride[1] * q[1]),
        dilation=(1, 1),
        divisor=layer.divisor * divisor,
        folded=(*layer.folded, step.name),
    )


def _taps(shift: int, layer: FoldedLayer, taps: np.ndarray, axis: int) -> slice:
    """Where the taps of the convolution `shift` outputs further on lie in the merged kernel."""
    start, step = shift * layer.stride[axis], layer.dilation[axis]
    return slice(start, start + step * (int(taps[axis]) - 1) + 1, step)


def _pool_inputs(layer: FoldedLayer, step: Step) -> FoldedLayer:
    q, divisor = _pool(step)
    layer = replace(
        layer, input_shape=step.input_shape, divisor=layer.divisor * divisor, folded=(*layer.folded, step.name)
    )
    if layer.kind == "dense":
        channels, height, width = step.input_shape
        weight = np.zeros((layer.weight.shape[0], channels, height, width))
        pooled = layer.weight.reshape(-1, *step.output_shape).repeat(q[0], axis=2).repeat(q[1], axis=3)
        weight[:, :, : pooled.shape[2], : pooled.shape[3]] = pooled  # the dropped remainder keeps weight 0
        return replace(layer, weight=weight.reshape(len(weight), -1))
    for axis in (0, 1):
        _check_remainder(layer, step, axis, q[axis])
    spread = np.array(layer.dilation) * (np.array(layer.weight.shape[2:]) - 1) + 1
    weight = np.zeros((*layer.weight.shape[:2], *spread))
    weight[:, :, :: layer.dilation[0], :: layer.dilation[1]] = layer.weight
    return replace(
        layer,
        weight=weight.repeat(q[0], axis=2).repeat(q[1], axis=3),
        stride=(layer.stride[0] * q[0], layer.stride[1] * q[1]),
        padding=(layer.padding[0] * q[0], layer.padding[1] * q[1]),
        dilation=(1, 1),
    )


def _check_remainder(layer: FoldedLayer, step: Step, axis: int, q: int) -> None:
    """Refuses where a padding tap would read the rows or columns that the pool drops at the far edge."""
    size, pooled = step.input_shape[1 + axis], step.output_shape[1 + axis]
    if size % q == 0:
        return
    taps, stride, padding = layer.weight.shape[2 + axis], layer.stride[axis], layer.padding[axis]
    dilation = layer.dilation[axis]
    (outputs,) = conv_extent([pooled], [taps], [stride], [padding], [dilation])
    if any(place * stride - padding + dilation * tap == pooled for place in range(outputs) for tap in range(taps)):
        raise UserError(
            f"pool {q} drops the last {size % q} of {size} {('rows', 'columns')[axis]}, which the padding of "
            f"{layer.name} would read after folding", where=step.name, why="netx has no pool, so it must fold exactly",
            mend=f"make the size a multiple of {q}, or use padding 0 in {layer.name}",
        )  # fmt: skip


def _scale_inputs(layer: FoldedLayer, step: Step) -> FoldedLayer:
    factors = np.asarray(step.node.scale, dtype=np.float64)
    if factors.size > 1 and layer.kind == "dense":
        columns = np.broadcast_to(factors, step.input_shape).ravel()
        return replace(layer, weight=layer.weight * columns, folded=(*layer.folded, step.name))
    return replace(layer, weight=layer.weight * _uniform_scale(step), folded=(*layer.folded, step.name))


def _depthwise(neuron: Step, before: list[Step]) -> FoldedLayer:
    """The pools directly before a neuron, as a convolution of each channel with ones."""
    pools = [step for step in before if isinstance(step.node, POOLS)]
    if not pools:
        raise UserError(
            "no weights stand before this neuron", where=neuron.name,
            why="netx has neurons only behind weights", mend="put a Linear or Conv2d before it",
        )  # fmt: skip
    first = pools[0]
    channels = first.input_shape[0]
    q, divisor = _pool(first)
    layer = FoldedLayer(
        name=first.name,
        kind="conv",
        weight=np.ones((channels, 1, *q)),
        bias=np.zeros(channels),
        input_shape=first.input_shape,
        stride=q,
        groups=channels,
        divisor=divisor,
    )
    place = before.index(first)
    for step in before[place + 1 :]:
        layer = _absorb_behind(layer, step)
    return _with_earlier(layer, before[:place])


def _pool(step: Step) -> tuple[tuple[int, int], int]:
    """(kernel, divisor) of a pool that tiles its input."""
    kernel, stride, padding = (
        pair(getattr(step.node, key), step.name, key) for key in ("kernel_size", "stride", "padding")
    )
    if kernel != stride or padding != (0, 0):
        raise UserError(
            f"a pool with kernel {kernel}, stride {stride}, padding {padding} cannot be folded", where=step.name,
            why="netx has no pool; only pools that tile their input fold exactly",
            mend="use stride = kernel and padding 0",
        )  # fmt: skip
    return kernel, kernel[0] * kernel[1] if isinstance(step.node, nir.AvgPool2d) else 1


def _uniform_scale(step: Step) -> float:
    factors = np.asarray(step.node.scale, dtype=np.float64).ravel()
    if factors.size == 0 or not np.all(np.isfinite(factors)) or np.any(factors != factors[0]) or factors[0] == 0:
        raise UserError(
            "its factors are not one finite number other than 0", where=step.name,
            mend="multiply them into the weights of the layer before it",
        )  # fmt: skip
    return float(factors[0])


def _is_flatten(step: Step) -> bool:
    return isinstance(step.node, nir.Flatten)

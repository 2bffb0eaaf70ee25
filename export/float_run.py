"""A spiking graph executed as NIR means it: Euler steps in float64, batched over samples. What integers are held to.

Each step, in this order: the current decays and takes its input, the voltage decays and takes the current, a neuron
fires where v > threshold, and v is reset, to zero or by subtracting the threshold. No rounding but float64's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from export.euler import EulerStep, euler_step
from export.fold import FoldedLayer, fold
from export.spiking_graph import SpikingGraph
from hardware_profiles.errors import UserError

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], None]
Reset = Literal["zero", "subtract"]
FloatLayer = tuple[FoldedLayer, EulerStep]
CHUNK_BYTES = 1 << 28  # float64 signals of the widest layer over all steps in one chunk


@dataclass(frozen=True, kw_only=True)
class FloatTrace:
    """Output spikes `[N, T, K]` uint8; on request every layer's spikes `[N, T, *shape]` uint8 and the last layer's
    voltages `[N, T, K]` float64 at the end of each step, after a reset, in the graph's units of v."""

    spikes: np.ndarray
    layer_spikes: tuple[np.ndarray, ...] | None = None
    membrane: np.ndarray | None = None


def float_layers(graph: SpikingGraph) -> list[FloatLayer]:
    """The graph's weight layers (pools, scales and flattens folded in, exactly) with the Euler step of their neurons.

    Raises UserError where the graph is no chain that folds.
    """
    return [(layer, euler_step(neuron.name, neuron.node, graph.dt_s)) for layer, neuron in fold(graph.chain())]


def run_float(
    graph: SpikingGraph | list[FloatLayer],
    frames: Any,
    *,
    reset: Reset = "zero",
    keep_layers: bool = False,
    keep_membrane: bool = False,
    progress: Progress | None = None,
) -> FloatTrace:
    """Spikes of the graph in float64 for `frames` `[N, T, *input_shape]` of any real numbers, read chunk by chunk.

    `reset`: what a spike does to v; "subtract" takes the threshold off, for graphs trained so. State starts at zero
    for each sample. `progress(done, total)` is called after each chunk. Raises UserError where the graph is no chain.
    """
    layers = float_layers(graph) if isinstance(graph, SpikingGraph) else graph
    if reset not in ("zero", "subtract"):
        raise UserError(f"reset {reset!r} is unknown", mend="use zero or subtract")
    samples, steps = frames.shape[:2]
    shapes = [output_shape(layer) for layer, _ in layers]
    spikes = np.zeros((samples, steps, int(np.prod(shapes[-1]))), dtype=np.uint8)
    kept = [np.zeros((samples, steps, *shape), dtype=np.uint8) for shape in shapes if keep_layers]
    membrane = np.zeros(spikes.shape) if keep_membrane else None
    widest = max(int(np.prod(layers[0][0].input_shape)), *(int(np.prod(shape)) for shape in shapes))
    chunk = max(1, CHUNK_BYTES // (8 * widest * max(steps, 1)))
    for start in range(0, samples, chunk):
        rows = slice(start, min(start + chunk, samples))
        passing = np.asarray(frames[rows])
        for index, (layer, step) in enumerate(layers):
            passing, voltage = run_layer(layer, step, passing, reset=reset, keep_membrane=keep_membrane)
            if keep_layers:
                kept[index][rows] = passing
        spikes[rows] = passing.reshape(len(passing), steps, -1)
        if membrane is not None and voltage is not None:
            membrane[rows] = voltage.reshape(len(voltage), steps, -1)
        if progress:
            progress(rows.stop, samples)
    return FloatTrace(spikes=spikes, layer_spikes=tuple(kept) if keep_layers else None, membrane=membrane)


def run_layer(
    layer: FoldedLayer, step: EulerStep, frames: np.ndarray, *, reset: Reset = "zero", keep_membrane: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """One layer's spikes `[N, T, *output_shape]` uint8, and its voltages of that shape where asked for."""
    import torch

    with torch.inference_mode():
        arriving = torch.as_tensor(np.ascontiguousarray(frames)).double()
        driving = _synapse(layer, arriving.flatten(0, 1)).unflatten(0, arriving.shape[:2])
        voltage = torch.zeros_like(driving[:, 0])
        current = zero = torch.zeros_like(voltage)
        spikes = torch.zeros(driving.shape, dtype=torch.uint8)
        voltages = torch.zeros_like(driving) if keep_membrane else None
        for t in range(driving.shape[1]):
            current = (1 - step.i_decay) * current + driving[:, t]
            voltage = (1 - step.v_decay) * voltage + step.gain * current + step.drive
            fired = voltage > step.threshold
            voltage = torch.where(fired, voltage - step.threshold if reset == "subtract" else zero, voltage)
            spikes[:, t] = fired
            if voltages is not None:
                voltages[:, t] = voltage
    return spikes.numpy(), None if voltages is None else voltages.numpy()


def output_shape(layer: FoldedLayer) -> tuple[int, ...]:
    """`(Cout, H, W)` of a convolution or `(out,)`."""
    if layer.kind == "dense":
        return (layer.weight.shape[0],)
    from export.chain import conv_extent

    extent = conv_extent(layer.input_shape[1:], layer.weight.shape[2:], layer.stride, layer.padding, layer.dilation)
    return (layer.weight.shape[0], *extent)


def _synapse(layer: FoldedLayer, arriving: torch.Tensor) -> torch.Tensor:
    """What each frame of `[B, ...]` brings to the neurons: `gain (weight x / divisor + bias)`."""
    import torch
    import torch.nn.functional as functional

    weight = torch.as_tensor(layer.weight * (layer.gain / layer.divisor))
    bias = torch.as_tensor(layer.gain * layer.bias)
    if layer.kind == "dense":
        return functional.linear(arriving.flatten(1), weight, bias)
    return functional.conv2d(
        arriving, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups
    )  # fmt: skip

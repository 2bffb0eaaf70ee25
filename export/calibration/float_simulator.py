"""Runs a spiking graph by NIR's equations: Euler steps in float64, batched over samples. Integers are compared with it.

In each time step the current decays and its input is added, the voltage decays and the current is added, a neuron fires
where v > threshold, and v is reset: to zero, or by subtracting the threshold in the same step ("subtract") or from the
decayed v of the next ("subtract-late", as snnTorch does), or by as many thresholds as v holds, each a spike of that
step ("subtract-many", as Sinabs and Rockpool do). Neurons of a layer may differ (`own_resets`), and relays pass on
what they get. Nothing is rounded except by float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.parameters import beside
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.one_chain import one_chain
from spikeport.export.lowering.discretize import EulerStep, euler_step
from spikeport.export.lowering.fold import fold
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.readout import Readout
from spikeport.progress import Progress

if TYPE_CHECKING:
    import torch

Reset = Literal["zero", "subtract", "subtract-late", "subtract-many"]
RESETS = get_args(Reset)
RELAY = len(RESETS)  # beside the index of a reset in RESETS: a neuron that passes its input on
FloatLayer = tuple[FoldedLayer, EulerStep]
CHUNK_BYTES = 1 << 28  # float64 signals of the widest layer over all steps in one chunk


@dataclass(frozen=True, kw_only=True)
class FloatTrace:
    """Result of `run_float`.

    Attributes:
        spikes: output spikes uint8 `[N, T, K]`, 0 and 1; counts up to 255 with reset "subtract-many".
        layer_spikes: spikes of every layer, uint8 `[N, T, *shape]`, if they were kept.
        membrane: voltages of the last layer, float64 `[N, T, K]`, at the end of each time step, after a reset, in the
            graph's units, if they were kept.
    """

    spikes: np.ndarray
    layer_spikes: tuple[np.ndarray, ...] | None = None
    membrane: np.ndarray | None = None

    def classes(self, readout: Readout) -> np.ndarray:
        """Class of each sample by a read-out.

        Args:
            readout: the read-out of the network.

        Returns:
            int64 `[N]`.
        """
        if readout.kind != "membrane" or self.membrane is None:
            return readout.classes(self.spikes)
        over = {"sum": self.membrane.sum(axis=1), "max": self.membrane.max(axis=1), "last": self.membrane[:, -1]}
        return np.argmax(over[readout.over_time], axis=1)


def float_layers(graph: SpikingGraph) -> list[FloatLayer]:
    """The weight layers of a graph, with pools, scales, delays and flattens folded in, and the steps of their neurons.

    Where the read-out is a membrane, the last neurons never fire.

    Args:
        graph: the spiking graph.

    Raises:
        UserError: the graph is not a chain of such layers.
    """
    graph = one_chain(graph)
    layers = [
        (layer, euler_step(neuron.name, neuron.node, graph.dt_s, neuron.input_shape))
        for layer, neuron in fold(graph.chain(), graph.dt_s).layers
    ]
    if graph.fires_at == ">=":  # v >= threshold is v > the number below it
        layers = [(layer, replace(step, threshold=np.nextafter(step.threshold, -np.inf))) for layer, step in layers]
    if graph.readout.startswith("membrane"):
        last, step = layers[-1]
        layers[-1] = last, replace(step, threshold=np.inf)
    return layers


def run_float(
    graph: SpikingGraph | list[FloatLayer],
    frames: Any,
    *,
    reset: Reset | Sequence[np.ndarray] = "zero",
    keep_layers: bool = False,
    keep_membrane: bool = False,
    progress: Progress | None = None,
) -> FloatTrace:
    """Runs a graph in float64, from a state of zero for each sample.

    Args:
        graph: the graph, or what `float_layers` returned for it.
        frames: real numbers `[N, T, *input_shape]`, read chunk by chunk.
        reset: what a spike does to v, see above: one for all neurons, or those of each layer, as `layer_resets` gives.
        keep_layers: whether the result holds the spikes of every layer.
        keep_membrane: whether the result holds the voltages of the last layer.
        progress: called with (samples done, samples in all) after each chunk.

    Raises:
        UserError: the graph is not a chain, or `reset` is unknown.
    """
    layers = float_layers(graph) if isinstance(graph, SpikingGraph) else graph
    if isinstance(reset, str) and reset not in RESETS:
        raise UserError(f"{reset!r} is not a reset", hint=f"use one of {', '.join(RESETS)}")
    samples, steps = frames.shape[:2]
    shapes = [layer.output_shape for layer, _ in layers]
    spikes = np.zeros((samples, steps, int(np.prod(shapes[-1]))), dtype=np.uint8)
    layer_spikes = [np.zeros((samples, steps, *shape), dtype=np.uint8) for shape in shapes if keep_layers]
    membrane = np.zeros(spikes.shape) if keep_membrane else None
    widest = max(int(np.prod(layers[0][0].input_shape)), *(int(np.prod(shape)) for shape in shapes))
    chunk = max(1, CHUNK_BYTES // (8 * widest * max(steps, 1)))
    for start in range(0, samples, chunk):
        rows = slice(start, min(start + chunk, samples))
        inputs = np.asarray(frames[rows])
        voltage: np.ndarray | None = None
        for index, (layer, step) in enumerate(layers):
            inputs, voltage = run_layer(
                layer,
                step,
                inputs,
                reset=reset if isinstance(reset, str) else reset[index],
                keep_membrane=keep_membrane,
            )
            if keep_layers:
                layer_spikes[index][rows] = inputs
        spikes[rows] = inputs.reshape(len(inputs), steps, -1)
        if membrane is not None and voltage is not None:
            membrane[rows] = voltage.reshape(len(voltage), steps, -1)
        if progress:
            progress(rows.stop, samples)
    return FloatTrace(spikes=spikes, layer_spikes=tuple(layer_spikes) if keep_layers else None, membrane=membrane)


def run_layer(
    layer: FoldedLayer,
    step: EulerStep,
    frames: np.ndarray,
    *,
    reset: Reset | np.ndarray = "zero",
    keep_membrane: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Runs one layer in float64, from a state of zero.

    Args:
        layer: the layer.
        step: the Euler step of its neurons.
        frames: real numbers `[N, T, *input_shape]`.
        reset: effect of a spike on v, see above: one for all neurons, or int64 of `output_shape` with the index in
            RESETS of each neuron, or RELAY.
        keep_membrane: whether to return voltages.

    Returns:
        (spikes, voltages): uint8 `[N, T, *output_shape]`, and float64 of the same shape or None.
    """
    import torch

    def of_neurons(value: float | np.ndarray) -> Any:
        return torch.as_tensor(np.asarray(value, dtype=np.float64))

    keep_i, keep_v = of_neurons(1 - np.asarray(step.i_decay)), of_neurons(1 - np.asarray(step.v_decay))
    gain, drive, threshold = (of_neurons(value) for value in (step.gain, step.drive, step.threshold))
    with torch.inference_mode():
        arriving = torch.as_tensor(np.ascontiguousarray(frames)).double()
        driving = _synapse(layer, arriving)
        recurrence = None if layer.weight_rec is None else of_neurons(layer.weight_rec.T / layer.divisor)
        voltage = torch.zeros_like(driving[:, 0])
        current = fired = torch.zeros_like(voltage)
        spent = torch.where(torch.isfinite(threshold), threshold, 0.0)  # neurons that never fire lose nothing
        kinds = torch.as_tensor(RESETS.index(reset) if isinstance(reset, str) else reset)
        zero, same, late, many, relays = (_where(kinds == kind) for kind in range(RELAY + 1))
        passed = None if relays is None else _passed(layer, driving, relays)
        spikes = torch.zeros(driving.shape, dtype=torch.uint8)
        voltages = torch.zeros_like(driving) if keep_membrane else None
        for t in range(driving.shape[1]):
            current = keep_i * current + driving[:, t]
            if recurrence is not None:
                current = current + fired.double() @ recurrence
            voltage = keep_v * voltage + gain * current + drive
            if late is not None:
                voltage = voltage - spent * late * fired.double()
            fired = voltage > threshold
            if zero is not None:
                voltage = torch.where(fired & zero, 0.0, voltage)
            if many is not None:  # each spike needs its threshold, and the first is > as everywhere
                counts = torch.floor(voltage / threshold).clamp(1, 255)
                fired = torch.where(fired & many, counts, fired.double())
                voltage = voltage - spent * many * fired
            if same is not None:
                voltage = voltage - spent * same * fired.double()
            if relays is not None and passed is not None:
                fired = torch.where(relays, passed[:, t], fired.double())
                voltage = torch.where(relays, 0.0, voltage)
            spikes[:, t] = fired
            if voltages is not None:
                voltages[:, t] = voltage
    return spikes.numpy(), None if voltages is None else voltages.numpy()


def _where(mask: torch.Tensor) -> torch.Tensor | None:
    """A mask, or None if it holds nowhere."""
    return mask if bool(mask.any()) else None


def _passed(layer: FoldedLayer, driving: torch.Tensor, relays: torch.Tensor) -> torch.Tensor:
    """What the relays of a layer pass on, `[B, T, *shape]`: their input over their only weight. Others: anything."""
    import torch

    weight = beside(np.asarray(layer.gain) / layer.divisor, layer.weight) * layer.weight
    pulse = torch.as_tensor(weight.reshape(len(weight), -1).sum(axis=1))
    pulse = pulse.reshape(-1, *(1 for _ in layer.output_shape[1:]))
    return torch.round(driving / torch.where(relays, pulse, 1.0)).clamp(0, 255)


def _synapse(layer: FoldedLayer, arriving: torch.Tensor) -> torch.Tensor:
    """Input of the neurons `[B, T, *shape]` for frames `[B, T, ...]`, without recurrent spikes."""
    import torch
    import torch.nn.functional as functional

    weight = torch.as_tensor(beside(np.asarray(layer.gain) / layer.divisor, layer.weight) * layer.weight)
    bias = beside(layer.gain, layer.bias) * layer.bias
    if layer.bias_rec is not None:
        bias = bias + layer.bias_rec
    if bias.ndim < len(layer.output_shape):
        bias = bias.reshape(-1, *(1 for _ in layer.output_shape[1:]))
    batch, steps = arriving.shape[:2]
    if layer.kind == "conv":
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        brought = functional.conv2d(arriving.flatten(0, 1), weight, None, *geometry).unflatten(0, (batch, steps))
    elif layer.delay is None:
        brought = arriving.flatten(2) @ weight.T
    else:
        delays, flat = np.broadcast_to(layer.delay, layer.weight.shape), arriving.flatten(2)
        brought = torch.zeros(batch, steps, len(weight), dtype=torch.float64)
        for delay in np.unique(delays[:, :]):
            waiting = min(int(delay), steps)
            brought[:, waiting:] += flat[:, : steps - waiting] @ (weight * torch.as_tensor(delays == delay)).T
    return brought + torch.as_tensor(bias / layer.divisor)

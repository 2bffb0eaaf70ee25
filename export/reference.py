"""The reference: netx's integer dynamics, bit for bit, over whole batches.

Layers run one after the other, each over all steps: the synapse sees steps and samples as one batch, only the neuron
loops over time. Logical time: a layer's spikes belong to the step of its input, netx's latency is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from export.fan_out import effective_fan_out_map, fan_out_map
from export.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from export.integer_network import IntegerLayer, IntegerNetwork
from export.spike_trace import LayerCounts, SpikeTrace

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], None]
FLOAT32_EXACT = 1 << 24  # float32 holds every integer up to here
CHUNK_VALUES = 1 << 22  # spikes of the widest layer that one chunk may hold: a few hundred MB in all


def simulate(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    keep_layers: bool = False,
    chunk: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SpikeTrace:
    """Output spikes and exact counts of every sample.

    `frames`: `[N, T, *input_shape]` of 0 and 1. `keep_layers` keeps every layer's spikes. `chunk`: samples at a time
    (default: as many as a few hundred MB hold). `progress(done, total)` is called after each chunk. State starts at
    zero for each sample. Source of the dynamics: lava-nc 0.10.0 lif/models.py, dense/models.py, conv/models.py.
    """
    import torch

    samples, steps = frames.shape[:2]
    layers = [_Layer(layer, device) for layer in network.layers]
    widest = max(int(np.prod(network.input_shape)), *(layer.neurons for layer in network.layers))
    chunk = chunk or max(1, CHUNK_VALUES // (widest * max(steps, 1)))
    counts = {key: np.zeros((samples, len(layers)), dtype=np.int64) for key in LayerCounts.__dataclass_fields__}
    spikes = np.zeros((samples, steps, *network.output_shape), dtype=np.uint8)
    kept = [np.zeros((samples, steps, *layer.output_shape), dtype=np.uint8) for layer in network.layers if keep_layers]
    with torch.inference_mode():
        for start in range(0, samples, chunk):
            rows = slice(start, min(start + chunk, samples))
            passing = torch.as_tensor(frames[rows], device=device).transpose(0, 1).contiguous()
            for index, layer in enumerate(layers):
                received = passing
                passing = layer.run(received)
                layer.count(received, passing, rows, index, counts)
                if keep_layers:
                    kept[index][rows] = passing.transpose(0, 1).cpu().numpy()
            spikes[rows] = passing.transpose(0, 1).cpu().numpy()
            if progress:
                progress(rows.stop, samples)
    return SpikeTrace(
        backend="reference",
        spikes=spikes.reshape(samples, steps, -1),
        counts=LayerCounts(**counts),
        layer_spikes=tuple(kept) if keep_layers else None,
    )


class _Layer:
    """One integer layer, its constants prepared on a device."""

    def __init__(self, layer: IntegerLayer, device: str) -> None:
        import torch

        self.layer = layer
        magnitude = np.abs(layer.weight.astype(np.int64)).reshape(layer.weight.shape[0], -1).sum(axis=1)
        self.largest = int(magnitude.max())  # no sum over binary inputs can exceed it
        dtype = torch.float32 if self.largest < FLOAT32_EXACT else torch.float64
        self.weight = torch.as_tensor(layer.weight.copy(), device=device).to(dtype)
        bias = np.zeros(layer.output_shape[0], dtype=np.int64) if layer.bias is None else layer.bias
        shape = (-1, *(1 for _ in layer.output_shape[1:]))
        self.bias = torch.as_tensor(np.asarray(bias, dtype=np.float64), device=device).reshape(shape) * (
            1 << STATE_SHIFT
        )
        self.threshold = float(layer.vth_mant << STATE_SHIFT)
        self.fan_out = torch.as_tensor(fan_out_map(layer).reshape(-1), device=device).double()
        self.effective_fan_out = torch.as_tensor(effective_fan_out_map(layer).reshape(-1), device=device).double()
        self.always_active = torch.as_tensor(np.asarray(bias) != 0, device=device)

    def run(self, received: torch.Tensor) -> torch.Tensor:
        """Spikes uint8 `[T, B, *output_shape]` for received spikes `[T, B, *input_shape]`."""
        import torch

        steps, batch = received.shape[:2]
        layer = self.layer
        currents = self.accumulate(received.flatten(0, 1)).reshape(steps, batch, *layer.output_shape)
        # Without current decay the current is the input alone, and a small enough sum cannot wrap.
        wraps = layer.i_decay < DECAY_ONE or self.largest << STATE_SHIFT > STATE_LIMIT
        keep_i, keep_v = (DECAY_ONE - layer.i_decay) / DECAY_ONE, (DECAY_ONE - layer.v_decay) / DECAY_ONE
        current = torch.zeros(batch, *layer.output_shape, dtype=torch.float64, device=received.device)
        voltage = torch.zeros_like(current)
        spikes = torch.empty(steps, batch, *layer.output_shape, dtype=torch.uint8, device=received.device)
        limit = float(STATE_LIMIT)
        for step in range(steps):
            arrived = currents[step].double().mul_(1 << STATE_SHIFT)
            if wraps:
                # float64 holds the 36-bit product exactly, so trunc is the truncation toward zero
                current = current.mul_(keep_i).trunc_().add_(arrived)
                current = torch.where(current > limit, current - 2 * limit, current)
                current = torch.where(current <= -limit, current + 2 * limit, current)
            else:
                current = arrived
            voltage.mul_(keep_v).trunc_().add_(current).add_(self.bias).clamp_(-limit + 1, limit - 1)
            fired = voltage > self.threshold
            spikes[step] = fired
            voltage.masked_fill_(fired, 0.0)
        return spikes

    def accumulate(self, received: torch.Tensor) -> torch.Tensor:
        """Weighted sums of `received` `[T*B, ...]`: integers, exact in the weight's float type."""
        import torch.nn.functional as functional

        inputs = received.to(self.weight.dtype)
        if self.layer.kind == "dense":
            return functional.linear(inputs.flatten(1), self.weight)
        sums = functional.conv2d(inputs, self.weight, None, **self._geometry())
        if self.largest >= STATE_LIMIT:  # netx hands a convolution on in 24 bits
            sums = (sums.double() + STATE_LIMIT).remainder(2 * STATE_LIMIT) - STATE_LIMIT
        return sums

    def count(
        self,
        received: torch.Tensor,
        fired: torch.Tensor,
        rows: slice,
        index: int,
        counts: dict[str, np.ndarray],
    ) -> None:
        """Adds this layer's counts for the samples `rows`."""
        import torch

        per_input = received.flatten(2).sum(dim=0, dtype=torch.int64).double()  # exact: at most T each
        counts["events_in"][rows, index] = per_input.sum(dim=1).cpu().numpy()
        counts["synops"][rows, index] = (per_input @ self.fan_out).cpu().numpy()
        counts["effective_synops"][rows, index] = (per_input @ self.effective_fan_out).cpu().numpy()
        counts["spikes_out"][rows, index] = fired.flatten(2).sum(dim=(0, 2), dtype=torch.int64).cpu().numpy()
        channel_axis = (1, -1, *(1 for _ in self.layer.output_shape[1:]))
        active = self.reached(received).reshape(*fired.shape[:2], *self._reached_shape())
        active = active | fired.bool() | self.always_active.reshape(channel_axis)
        counts["updates_active"][rows, index] = active.flatten(2).sum(dim=(0, 2), dtype=torch.int64).cpu().numpy()

    def reached(self, received: torch.Tensor) -> torch.Tensor:
        """Whether any synapse (of whatever weight) brought an event to each neuron, channels of a group as one."""
        import torch
        import torch.nn.functional as functional

        flat = received.flatten(0, 1)
        if self.layer.kind == "dense":
            return flat.flatten(1).any(dim=1)
        groups, (height, width) = self.layer.groups, self.layer.weight.shape[2:]
        present = flat.reshape(flat.shape[0], groups, -1, *flat.shape[2:]).amax(dim=2).float()
        kernel = torch.ones(groups, 1, height, width, device=received.device)
        hits = functional.conv2d(present, kernel, None, **self._geometry()) > 0
        return hits.repeat_interleave(self.layer.output_shape[0] // groups, dim=1)

    def _reached_shape(self) -> tuple[int, ...]:
        return (1,) if self.layer.kind == "dense" else self.layer.output_shape

    def _geometry(self) -> dict[str, Any]:
        layer = self.layer
        return {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "groups": layer.groups,
        }

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
from export.integer_network import IntegerNetwork
from export.spike_trace import LayerCounts, SpikeTrace
from hardware_profiles.errors import UserError

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], None]
FLOAT32_EXACT = 1 << 24  # float32 holds every integer up to here
CHUNK_STATES = 1 << 16  # voltages of the widest layer in one chunk: a quarter MB, so that the time loop stays in cache
CHUNK_SPIKES = 1 << 25  # spikes of the widest layer over all steps in one chunk: a few hundred MB in all


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
    layers = [_Layer(layer, steps, device) for layer in network.layers]
    widest = max(int(np.prod(network.input_shape)), *(layer.neurons for layer in network.layers))
    chunk = chunk or max(1, min(CHUNK_STATES // widest, CHUNK_SPIKES // (widest * max(steps, 1))))
    counts = {key: np.zeros((samples, len(layers)), dtype=np.int64) for key in LayerCounts.__dataclass_fields__}
    spikes = np.zeros((samples, steps, *network.output_shape), dtype=np.uint8)
    kept = [np.zeros((samples, steps, *layer.output_shape), dtype=np.uint8) for layer in network.layers if keep_layers]
    with torch.inference_mode():
        for start in range(0, samples, chunk):
            rows = slice(start, min(start + chunk, samples))
            passing = torch.as_tensor(frames[rows], device=device).transpose(0, 1).float()
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
    """One integer layer, its constants prepared on a device.

    Floats do the work where they provably cannot round: every number is an integer, and `largest` bounds every sum over
    binary inputs, so float32 serves up to 2^24 and float64 beyond (its 53 bits hold even the 36-bit decay product).
    """

    def __init__(self, layer: Any, steps: int, device: str) -> None:
        import torch

        self.layer = layer
        plain = layer.kind != "input" and layer.weight_rec is None and layer.delay is None
        if not (plain and all(isinstance(value, int) for value in (layer.i_decay, layer.v_decay, layer.vth_mant))):
            raise UserError("the reference does not run this layer yet", where=layer.name)
        bias = np.zeros(layer.output_shape[0], dtype=np.int64) if layer.bias is None else layer.bias.astype(np.int64)
        magnitude = np.abs(layer.weight.astype(np.int64)).reshape(layer.weight.shape[0], -1).sum(axis=1)
        self.largest = int(magnitude.max())
        self.wraps = layer.i_decay < DECAY_ONE or self.largest << STATE_SHIFT > STATE_LIMIT
        # Without wrap, voltage <= drive * (1 + keep + keep^2 + ...), for at most `steps` terms.
        drive = min(self.largest, STATE_LIMIT) + int(np.abs(bias).max())
        terms = min(steps, -(-DECAY_ONE // layer.v_decay) if layer.v_decay else steps)
        self.voltage_bound = drive * max(terms, 1) << STATE_SHIFT
        keep = DECAY_ONE - layer.v_decay
        odd = keep // (keep & -keep) if keep else 1
        exact = not self.wraps and self.voltage_bound * odd < FLOAT32_EXACT
        self.state_type = torch.float32 if exact else torch.float64
        self.sum_type = torch.float32 if self.largest + int(np.abs(bias).max()) < FLOAT32_EXACT else torch.float64
        # Weights and bias enter shifted: a power of two costs no bits.
        self.weight = torch.as_tensor(layer.weight.copy(), device=device).to(self.sum_type) * (1 << STATE_SHIFT)
        self.bias = torch.as_tensor(bias, device=device).to(self.sum_type) * (1 << STATE_SHIFT)
        self.fan_out = torch.as_tensor(fan_out_map(layer).reshape(-1), device=device).double()
        self.effective_fan_out = torch.as_tensor(effective_fan_out_map(layer).reshape(-1), device=device).double()
        self.unbiased = torch.as_tensor(np.flatnonzero(bias == 0), device=device)

    def run(self, received: torch.Tensor) -> torch.Tensor:
        """Spikes `[T, B, *output_shape]` for received spikes `[T, B, *input_shape]`, both float32 of 0 and 1."""
        import torch

        steps, batch = received.shape[:2]
        arrived = self.accumulate(received.flatten(0, 1)).unflatten(0, (steps, batch)).to(self.state_type)
        driven = self.filter_current(arrived) if self.wraps else arrived
        voltage = torch.zeros(batch, *self.layer.output_shape, dtype=self.state_type, device=received.device)
        whole = torch.empty_like(voltage, dtype=torch.int32)
        fired = torch.empty_like(voltage)
        spikes = torch.empty(steps, batch, *self.layer.output_shape, device=received.device)
        threshold = torch.full_like(voltage[:1, :1], self.layer.vth_mant << STATE_SHIFT)
        keep = (DECAY_ONE - self.layer.v_decay) / DECAY_ONE
        for step in range(steps):
            if keep < 1:
                # A conversion to integers truncates toward zero, several times faster than torch's trunc.
                voltage.copy_(whole.copy_(voltage.mul_(keep)))
            voltage.add_(driven[step])
            if self.wraps or self.voltage_bound >= STATE_LIMIT:
                voltage.clamp_(-STATE_LIMIT + 1, STATE_LIMIT - 1)
            torch.gt(voltage, threshold, out=fired)  # floats of 0 and 1: booleans are slow to compute with
            voltage.addcmul_(voltage, fired, value=-1.0)
            spikes[step].copy_(fired)
        return spikes

    def filter_current(self, arrived: torch.Tensor) -> torch.Tensor:
        """What drives the voltage, `[T, B, ...]`: the decaying, wrapping 24-bit current, and the bias."""
        import torch

        current = torch.zeros_like(arrived[0])
        whole = torch.empty_like(current, dtype=torch.int32)
        limit, keep = float(STATE_LIMIT), (DECAY_ONE - self.layer.i_decay) / DECAY_ONE
        bias = self.bias.reshape(-1, *(1 for _ in self.layer.output_shape[1:]))
        driven = torch.empty_like(arrived)
        for step in range(len(arrived)):
            current = whole.copy_(current.mul_(keep)).to(current).add_(arrived[step])
            current = torch.where(current > limit, current - 2 * limit, current)
            current = torch.where(current <= -limit, current + 2 * limit, current)
            torch.add(current, bias, out=driven[step])
        return driven

    def accumulate(self, received: torch.Tensor) -> torch.Tensor:
        """Weighted sums of `received` `[T*B, ...]`, shifted as they enter the state; biased unless currents wrap."""
        import torch.nn.functional as functional

        inputs, bias = received.to(self.sum_type), None if self.wraps else self.bias
        if self.layer.kind == "dense":
            return functional.linear(inputs.flatten(1), self.weight, bias)
        sums = functional.conv2d(inputs, self.weight, bias, **self._geometry())
        if self.largest >= STATE_LIMIT:  # netx hands a convolution on in 24 bits
            shifted = STATE_LIMIT << STATE_SHIFT
            sums = (sums.double() + shifted).remainder(2 * shifted) - shifted
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

        layer, steps, batch = self.layer, *fired.shape[:2]
        per_input = received.sum(dim=0).flatten(1).double()  # exact: at most T each
        counts["events_in"][rows, index] = per_input.sum(dim=1).cpu().numpy()
        counts["synops"][rows, index] = (per_input @ self.fan_out).cpu().numpy()
        counts["effective_synops"][rows, index] = (per_input @ self.effective_fan_out).cpu().numpy()
        counts["spikes_out"][rows, index] = fired.sum(dim=0).flatten(1).double().sum(dim=1).cpu().numpy()
        # A neuron with a bias is active at every step; only the others must be looked at.
        places = layer.neurons // layer.output_shape[0]
        active = torch.full((batch,), (layer.output_shape[0] - len(self.unbiased)) * places * steps, dtype=torch.int64)
        if len(self.unbiased):
            touched = self.reached(received) | fired.index_select(2, self.unbiased).bool()
            active += touched.transpose(0, 1).flatten(1).sum(dim=1).cpu()
        counts["updates_active"][rows, index] = active.numpy()

    def reached(self, received: torch.Tensor) -> torch.Tensor:
        """Whether any synapse, of whatever weight, brought an event: bool `[T, B, unbiased channels or 1, ...]`."""
        import torch
        import torch.nn.functional as functional

        layer = self.layer
        if layer.kind == "dense":
            return received.flatten(2).any(dim=2, keepdim=True)
        present = received.flatten(0, 1).unflatten(1, (layer.groups, -1)).amax(dim=2)
        kernel = torch.ones(layer.groups, 1, *layer.weight.shape[2:], device=received.device)
        hits = functional.conv2d(present, kernel, None, **self._geometry()) > 0
        group_of = self.unbiased // (layer.output_shape[0] // layer.groups)
        return hits.index_select(1, group_of).unflatten(0, received.shape[:2])

    def _geometry(self) -> dict[str, Any]:
        layer = self.layer
        return {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "groups": layer.groups,
        }

"""The dense engine: computes each layer over all time steps of a batch, with torch, on any device.

It computes integers in floats if they provably cannot round. `bounds` gives the largest number: float32 is exact up
to 2^24, and float64 beyond it (its 53 bits hold even the 36-bit product of a decay).
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
import torch.nn.functional as functional

from spikeport.export.backends.reference.bounds import CURRENT_TURNS, bounds
from spikeport.export.backends.reference.storage import COUNTS, Layout, Rows
from spikeport.export.network.connectivity import effective_fan_out_map, fan_out_map
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer

FLOAT32_EXACT = 1 << 24  # float32 represents every integer up to this one
BATCH_STATES = 1 << 16  # voltages of the widest layer in a batch on a CPU, so that the time loop stays in the cache
BATCH_SPIKES = 1 << 25  # spikes of the widest layer over all time steps of a batch: a few hundred MB in all


class DenseEngine:
    """Runs a network for samples of a fixed number of time steps on a torch device.

    Args:
        layout: network, time steps, and what the output contains.
        device: `cpu`, `cuda` or `cuda:N`.

    Attributes:
        fixed_bytes: memory of the engine, whatever the number of samples.
        work_bytes: memory for each sample beside its frames and output.
    """

    def __init__(self, layout: Layout, device: str) -> None:
        network, steps = layout.network, layout.steps
        self.layout, self.device = layout, device
        limits = [network.input_limit, *(1 for _ in network.layers[1:])]
        self.layers = [_Layer(layer, limit, steps, device) for layer, limit in zip(network.layers, limits, strict=True)]
        widest = max(int(np.prod(network.input_shape)), *(layer.neurons for layer in network.layers))
        states = BATCH_STATES if device == "cpu" else 1 << 62
        self.batch = max(1, min(states // widest, BATCH_SPIKES // (widest * max(steps, 1))))
        # A few float tensors of a batch at once.
        self.fixed_bytes = self.batch * steps * widest * (50 if layout.per_step else 34)
        self.work_bytes = 0

    def run(self, frames: np.ndarray, rows: Rows) -> None:
        """Simulates samples.

        Args:
            frames: uint8 `[n, T, inputs]`.
            rows: where the output is written.
        """
        # cuDNN may use transforms (Winograd, FFT) with factors that round; without it sums are plain sums.
        plain = torch.backends.cudnn.flags(enabled=False) if self.device != "cpu" else contextlib.nullcontext()
        with torch.inference_mode(), plain:
            for start in range(0, len(frames), self.batch):
                part = slice(start, min(start + self.batch, len(frames)))
                self._run_batch(frames[part], rows.part(part))

    def _run_batch(self, frames: np.ndarray, rows: Rows) -> None:
        layout, last = self.layout, len(self.layers) - 1
        passing = torch.as_tensor(frames, device=self.device).transpose(0, 1).float()
        passing = passing.unflatten(2, layout.network.input_shape)
        for index, layer in enumerate(self.layers):
            received = passing
            reads = layout.reads_membrane and index == last
            passing, membrane, held = layer.run(received, reads)
            for key, counted in layer.count(received, passing, held, layout.per_step).items():
                rows.counts[:, :, COUNTS.index(key), index] = counted.T.cpu().numpy()
            if layout.starts[index] >= 0:
                layout.layer(rows, index)[...] = passing.transpose(0, 1).to(torch.uint8).cpu().numpy()
            if membrane is not None:
                rows.membrane[...] = membrane.transpose(0, 1).flatten(2).cpu().numpy()


class _Layer:
    """One integer layer with its constants on a device. Tensors of spikes are `[T, B, *shape]` float32."""

    def __init__(self, layer: IntegerLayer, largest_input: int, steps: int, device: str) -> None:
        self.layer, self.device = layer, device
        self.bound = bound = bounds(layer, largest_input, steps)
        self.wraps = bound.current_wraps
        # Multiplying by a power of two costs no bits: weights and bias are shifted beforehand.
        total = bound.sums + int(np.abs(layer.bias_map).max())
        self.sum_type = torch.float32 if total < FLOAT32_EXACT else torch.float64
        exact = bound.leaky and self._voltage_product() < FLOAT32_EXACT
        self.state_type = torch.float32 if exact and self.sum_type == torch.float32 else torch.float64
        self.steps_by_delay = _by_delay(layer.weight, layer.delay) if layer.kind == "dense" else []
        self.weights = [self._weight(part) for part in ([part for _, part in self.steps_by_delay] or [layer.weight])]
        own = [] if layer.weight_rec is None else _by_delay(layer.weight_rec, layer.delay)
        self.own = [(late, self._weight(part)) for late, part in own]
        self.per_channel = layer.bias is not None and layer.bias.shape == layer.output_shape[:1]
        self.bias = torch.as_tensor(layer.bias_map << STATE_SHIFT, device=device).to(self.state_type)
        self.keep_v = self._state(DECAY_ONE - np.asarray(layer.v_decay, np.int64)) / DECAY_ONE
        self.threshold = self._state(np.asarray(layer.vth_mant, np.int64) << STATE_SHIFT)
        self.unbiased = torch.as_tensor(layer.bias_map == 0, device=device)

    def _voltage_product(self) -> int:
        keep = DECAY_ONE - int(np.min(self.layer.v_decay))
        return self.bound.voltage * (keep // (keep & -keep) if keep else 1)

    def _weight(self, weight: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(weight.copy(), device=self.device).to(self.sum_type) * (1 << STATE_SHIFT)

    def _state(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, device=self.device).to(self.state_type)

    def run(
        self, received: torch.Tensor, reads_membrane: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Runs the layer for the input `received`.

        Returns:
            Spikes; int32 voltages after each time step if `reads_membrane`; and where the voltage was not 0 before a
            time step or the current is not 0 in it, bool `[T, B, *shape]`.
        """
        layer, (steps, batch) = self.layer, received.shape[:2]
        arrived = self._accumulate(received).to(self.state_type)
        voltage = torch.zeros(batch, *layer.output_shape, dtype=self.state_type, device=received.device)
        current = torch.zeros_like(voltage)
        # A conversion to integers truncates toward zero, several times faster than torch's trunc.
        whole = torch.empty_like(voltage, dtype=torch.int32)
        spikes = torch.empty(steps, batch, *layer.output_shape, device=received.device)
        membranes = torch.empty_like(spikes, dtype=torch.int32) if reads_membrane else None
        held = torch.empty_like(spikes, dtype=torch.bool)
        fired = torch.empty_like(voltage)
        moves = not isinstance(layer.v_decay, int) or layer.v_decay > 0
        saturates = self.wraps or bool(self.own) or self.bound.voltage >= STATE_LIMIT - 1
        for step in range(steps):
            torch.ne(voltage, 0, out=held[step])
            drive = arrived[step]
            for late, weight in self.own:
                if step > late:
                    drive.add_(functional.linear(spikes[step - 1 - late].to(self.sum_type), weight))
            if self.wraps:
                current = self._next_current(current, drive)
                if layer.kind != "input":
                    held[step].logical_or_(current)
                drive = current + self.bias
            if moves:
                voltage.copy_(whole.copy_(voltage.mul_(self.keep_v)))
            voltage.add_(drive)
            if not self.bound.int32:
                voltage.copy_(_in_32_bits(voltage))
            if saturates:
                voltage.clamp_(-STATE_LIMIT + 1, STATE_LIMIT - 1)
            torch.gt(voltage, self.threshold, out=fired)  # floats of 0 and 1: booleans are slow to compute with
            voltage.addcmul_(voltage, fired, value=-1.0)
            spikes[step].copy_(fired)
            if membranes is not None:
                membranes[step].copy_(voltage)
        return spikes, membranes, held

    def _next_current(self, current: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
        """The decayed current plus `drive`, wrapped once to 24 bits."""
        if self.bound.current:
            if self.bound.sums <= CURRENT_TURNS:
                keep = self._state(DECAY_ONE - np.asarray(self.layer.i_decay, np.int64)) / DECAY_ONE
                current = (current * keep).to(torch.int32).to(current)
            else:  # wrapping once may not bring it into 24 bits; then only integers are wide enough
                keep = torch.as_tensor(DECAY_ONE - np.asarray(self.layer.i_decay, np.int64), device=self.device)
                size = (current.abs().to(torch.int64) * keep) >> 12
                current = size.to(current) * current.sign()
            current = current + drive
        else:
            current = drive
        limit = float(STATE_LIMIT)
        if not self.bound.int32:
            current = _in_32_bits(current)
        current = torch.where(current > limit, current - 2 * limit, current)
        return torch.where(current <= -limit, current + 2 * limit, current)

    def _accumulate(self, received: torch.Tensor) -> torch.Tensor:
        """Weighted sums `[T, B, *output_shape]` in state units; they include the bias unless currents can wrap."""
        layer = self.layer
        if layer.kind == "input":
            return received.to(self.state_type) * (int(layer.weight[0]) << STATE_SHIFT) + self.bias
        inputs = received.flatten(0, 1).to(self.sum_type)
        fused = self.bias.to(self.sum_type).flatten(1)[:, 0] if layer.kind == "conv" and self.per_channel else None
        if self.wraps:
            fused = None
        if layer.kind == "conv":
            sums = _convolve(inputs, self.weights[0], fused, layer)
            if self.bound.sums_wrap:  # netx wraps the sums of a convolution to 24 bits
                shifted = STATE_LIMIT << STATE_SHIFT
                sums = (sums.double() + shifted).remainder(2 * shifted) - shifted
            arrived = sums.unflatten(0, received.shape[:2])
        else:
            arrived = None
            for (late, _), weight in zip(self.steps_by_delay, self.weights, strict=True):
                sums = functional.linear(inputs.flatten(1), weight).unflatten(0, received.shape[:2])
                arrived = _later(sums, late) if arrived is None else arrived.add_(_later(sums, late))
            assert arrived is not None
        if not self.wraps and fused is None:
            arrived = arrived + self.bias
        return arrived

    def count(
        self, received: torch.Tensor, fired: torch.Tensor, held: torch.Tensor, per_step: bool
    ) -> dict[str, torch.Tensor]:
        """Counts of this layer, each `[T, B]`, or `[1, B]` summed over time unless `per_step`. `held` is from `run`."""
        layer, events = self.layer, received.ne(0)

        def over_steps(values: torch.Tensor) -> torch.Tensor:
            return values if per_step else values.sum(dim=0, keepdim=True)

        per_input = over_steps(events).flatten(2).double()  # exact: at most T each
        if layer.kind == "input":
            drive = received.double() * int(layer.weight[0]) + self.bias.double() / (1 << STATE_SHIFT)
            active = drive.ne(0) | fired.bool()
        else:
            active = (self._reached(events.float(), fired) | fired.bool()) | ~self.unbiased
        counts = {
            "events_in": per_input.sum(dim=2),
            "synops": per_input @ self._double(fan_out_map(layer)),
            "effective_synops": per_input @ self._double(effective_fan_out_map(layer)),
            "spikes_out": over_steps(fired).flatten(2).double().sum(dim=2),
            "updates_active": over_steps(active.flatten(2).sum(dim=2)),
            "updates_nonzero": over_steps((active | held).flatten(2).sum(dim=2)),
        }
        if layer.weight_rec is not None:
            own = over_steps(_later(fired, 1)).double()
            counts["events_in"] = counts["events_in"] + own.sum(dim=2)
            counts["synops"] = counts["synops"] + own.sum(dim=2) * layer.neurons
            nonzero = self._double(np.count_nonzero(layer.weight_rec, axis=0))
            counts["effective_synops"] = counts["effective_synops"] + own @ nonzero
        return counts

    def _double(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values.reshape(-1), device=self.device).double()

    def _reached(self, events: torch.Tensor, fired: torch.Tensor) -> torch.Tensor:
        """Whether an event arrived over any synapse, whatever its weight: bool, broadcastable to `fired`."""
        layer = self.layer
        if layer.kind == "conv":
            present = events.flatten(0, 1).unflatten(1, (layer.groups, -1)).amax(dim=2)
            kernel = torch.ones(layer.groups, 1, *layer.weight.shape[2:], device=events.device)
            hits = _convolve(present, kernel, None, layer) > 0
            return hits.repeat_interleave(layer.output_shape[0] // layer.groups, dim=1).unflatten(0, events.shape[:2])
        events = events.flatten(2)
        zeros = np.zeros((1, 1), np.int32) if layer.delay is None else layer.delay
        hits = _arrivals(events, zeros, self.device)
        if layer.weight_rec is not None:
            hits = hits | _arrivals(_later(fired, 1), zeros, self.device)
        return hits


def _arrivals(events: torch.Tensor, delay: np.ndarray, device: str) -> torch.Tensor:
    """Whether an event arrives over synapses with these delays: bool `[T, B, outputs or 1]`."""
    hits = None
    for late in np.unique(delay):
        synapses = torch.as_tensor(delay == late, device=device).float()
        if synapses.shape[1] == 1:
            synapses = synapses.expand(-1, events.shape[2])
        found = _later(functional.linear(events, synapses) > 0, int(late))
        hits = found if hits is None else hits | found
    assert hits is not None
    return hits


def _later(values: torch.Tensor, late: int) -> torch.Tensor:
    """`values` `[T, ...]` delayed by `late` time steps, zeros before."""
    if late == 0:
        return values
    moved = torch.zeros_like(values)
    moved[late:] = values[: len(values) - late] if late < len(values) else values[:0]
    return moved


def _in_32_bits(values: torch.Tensor) -> torch.Tensor:
    """Whole numbers wrapped to 32 bits, in which Lava adds up states before it wraps them to 24 bits."""
    return (values + float(1 << 31)).remainder(float(1 << 32)) - float(1 << 31)


def _by_delay(weight: np.ndarray, delay: np.ndarray | None) -> list[tuple[int, np.ndarray]]:
    """Each delay with the weights that have it, 0 elsewhere; these matrices sum to `weight`."""
    if delay is None:
        return [(0, weight)]
    return [(int(late), np.where(delay == late, weight, 0)) for late in np.unique(delay)]


def _convolve(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, layer: IntegerLayer
) -> torch.Tensor:
    """Convolution with the geometry of `layer`."""
    return functional.conv2d(inputs, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)

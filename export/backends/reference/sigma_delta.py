"""The engine of sigma-delta networks: compiled loops over messages, with the samples divided among threads.

It computes what the `fixed_pt` models of lava-nc 0.10.0 compute (sdn/models.py, dense/models.py, conv/models.py), with
states that begin at zero when the first frame reaches the layer.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.reference.events import PIECES_PER_THREAD, thread_count
from spikeport.export.backends.reference.storage import Layout, Rows
from spikeport.export.formats.netx.rules import netx_weights
from spikeport.export.network.connectivity import effective_fan_out_map, fan_out_map
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.export.network.neurons.sigma_delta import MESSAGE_BITS, SPIKE_EXP, STATE_BITS, STATE_EXP
from spikeport.notes import note

_KINDS = {"conv": 0, "dense": 1, "input": 3}  # as in the kernels
_DELAYED = 2
_MODELS = {"delta": 0, "sigma-delta": 1, "sigma": 2}


class SigmaDeltaEngine:
    """Runs a sigma-delta network for samples of a fixed number of time steps.

    Args:
        layout: network, time steps, and what the output contains.
        device: `cpu`; the loops are compiled for nothing else.

    Attributes:
        fixed_bytes: memory of the engine, whatever the number of samples.
        work_bytes: memory for each sample beside its frames and output.

    Raises:
        UserError: another device is asked for.
        MissingDependencyError: numba is not installed.
    """

    def __init__(self, layout: Layout, device: str) -> None:
        if device != "cpu":
            raise UserError("sigma-delta networks run on the CPU", where=device, hint="leave --device out")
        try:
            from spikeport.export.backends.reference.sigma_delta_kernels import run_layer
        except ImportError as error:
            raise MissingDependencyError(
                "numba is not installed", cause=str(error), hint="pip install numba"
            ) from error
        self.layout, self.threads = layout, thread_count()
        self._run_layer: Any = run_layer  # a compiled loop, whose arguments numba knows
        self.arguments = [_arguments(layer) for layer in layout.network.layers]
        steps, layers = layout.steps, layout.network.layers
        self.fixed_bytes = sum(
            value.nbytes for each in self.arguments for value in each if isinstance(value, np.ndarray)
        )
        self.fixed_bytes += self.threads * 4 * steps * sum(layer.neurons for layer in layers)
        self.work_bytes = 0

    def run(self, frames: np.ndarray, rows: Rows) -> None:
        """Simulates samples.

        Args:
            frames: int32 `[n, T, inputs]`.
            rows: where the output is written.

        Raises:
            UserError: a sum passes 32 bits, where Lava's result is not defined.
        """
        piece = max(1, -(-len(frames) // (self.threads * PIECES_PER_THREAD)))
        pieces = [slice(start, start + piece) for start in range(0, len(frames), piece)]
        if self.threads == 1 or len(pieces) < 2:
            wide = self._run_piece(frames, rows)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                wide = np.sum(
                    list(pool.map(lambda part: self._run_piece(frames[part], rows.part(part)), pieces)), axis=0
                )
        for layer, count in zip(self.layout.network.layers, wide, strict=True):
            if count and layer.neuron != "sigma":
                note(
                    f"{layer.name}: {count:,} messages need more than {MESSAGE_BITS} bits. Lava's simulator sends them "
                    "whole, a chip would not: scale the inputs down"
                )

    def _run_piece(self, frames: np.ndarray, rows: Rows) -> np.ndarray:
        """Runs samples; returns the number of messages beyond 16 bits of each layer."""
        layout, layers = self.layout, self.layout.network.layers
        wide = np.zeros(len(layers), np.int64)
        for n, sample in enumerate(frames):
            passing = np.ascontiguousarray(sample)
            for index, layer in enumerate(layers):
                sent = np.empty((layout.steps, layer.neurons), np.int32)
                counts = np.zeros((layout.count_steps, rows.counts.shape[2]), np.int64)
                peak = self._run_layer(*self.arguments[index], passing, sent, counts)
                if peak >= 1 << (STATE_BITS - 1):
                    raise UserError(
                        f"a sum of {peak:,} does not fit {STATE_BITS} bits", where=layer.name,
                        cause="Lava sums convolutions as floats and converts them, which is undefined beyond them",
                        hint="scale the inputs down",
                    )  # fmt: skip
                rows.counts[n, :, :, index] = counts
                if layout.starts[index] >= 0:
                    layout.layer(rows, index)[n] = sent.reshape(layout.steps, *layer.output_shape)
                wide[index] += np.count_nonzero((sent >= 1 << (MESSAGE_BITS - 1)) | (sent < -1 << (MESSAGE_BITS - 1)))
                passing = sent
        return wide


def _arguments(layer: IntegerLayer) -> tuple[Any, ...]:
    """The first arguments of `run_layer`."""
    kind, shift, ring = _KINDS[layer.kind], 0, 1
    geometry, delay = np.zeros(15, np.int64), np.zeros(1, np.int32)
    weight, places = layer.weight.astype(np.int32), np.arange(layer.neurons).reshape(layer.output_shape)
    if layer.kind == "conv":
        channels, height, width = layer.input_shape
        outputs, rows, columns = layer.output_shape
        geometry[:] = (
            channels, height, width, outputs // layer.groups, channels // layer.groups, *weight.shape[2:],
            *layer.stride, *layer.padding, *layer.dilation, rows, columns,
        )  # fmt: skip
        grouped = weight.reshape(layer.groups, outputs // layer.groups, *weight.shape[1:])
        weight = grouped.transpose(0, 2, 3, 4, 1)  # [groups, Cin / groups, kH, kW, Cout / groups]
        places = np.arange(layer.neurons).reshape(rows, columns, outputs).transpose(2, 0, 1)
    elif layer.kind == "dense":
        _, shift = netx_weights(layer.weight)
        weight = (weight << shift).T
        if layer.max_delay:
            kind, ring = _DELAYED, layer.max_delay + 1
            assert layer.delay is not None
            delay = np.broadcast_to(layer.delay, layer.weight.shape).T.astype(np.int32)
    scale = 0 if layer.kind == "input" else SPIKE_EXP + STATE_EXP
    return (
        kind, _MODELS[layer.neuron], geometry, _flat(weight), shift, _flat(delay), ring, _flat(places),
        int(layer.vth_mant) << (SPIKE_EXP + STATE_EXP), _flat(layer.bias_map << scale).astype(np.int32),
        _flat(fan_out_map(layer)), _flat(effective_fan_out_map(layer)),
    )  # fmt: skip


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1)

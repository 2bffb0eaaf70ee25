"""Frames as Lava takes them, and its arrays as a spike trace."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.export.backends.lava.environment import LAVA_NC
from spikeport.export.network.fixed_point import BIAS_LIMIT
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace

Arrays = dict[str, np.ndarray]  # `layer0`, `layer1`, ... and `membrane`, as a Lava process writes them
BACKEND = f"lava {LAVA_NC} fixed_pt"


def frames_for_lava(network: IntegerNetwork, frames: np.ndarray, first: int) -> np.ndarray:
    """Frames as int16: spikes, messages, or the bias of input neurons at each time step.

    Args:
        network: the network that will run.
        frames: `[N, T, *input_shape]`.
        first: number of `frames[0]` in the whole set, for errors.

    Raises:
        UserError: a sample holds a value that Lava would change silently. It takes every value but 0 as one
            spike, and keeps biases in 13 bits.
    """
    values = frames.astype(np.int64)
    if not np.array_equal(values, frames):
        raise UserError("frames hold values that are not integers", where="frames", hint="bin events to counts")
    limit, layer = network.input_limit, network.layers[0]
    outside = (values < 0) | (values > limit)
    if outside.any():
        index = tuple(int(at) for at in np.argwhere(outside)[0])
        drives = layer.kind == "input"
        raise UserError(
            f"sample {first + index[0]} has a value of {values[index]}, outside 0..{limit}",
            where="frames",
            cause=f"input x drives {layer.name} by weight x + bias, at most {BIAS_LIMIT} on the chip" if drives else "",
            hint="clip the frames, or export with --message-bits" if limit == 1 else "clip or rescale the frames",
        )
    if layer.kind == "input":
        values = int(layer.weight[0]) * values + layer.bias_map
    return values.astype(np.int16)


def ranges_of(samples: int, size: int) -> list[range]:
    """Splits the numbers 0 to `samples` - 1 into consecutive ranges.

    Args:
        samples: number of samples.
        size: largest length of a range.
    """
    return [range(start, min(start + size, samples)) for start in range(0, samples, max(size, 1))]


def assemble(
    network: IntegerNetwork, steps: int, parts: list[tuple[range, Arrays]], keep_layers: bool
) -> tuple[SpikeTrace, np.ndarray]:
    """Joins the arrays of Lava processes.

    Args:
        network: the network that ran.
        steps: time steps of a sample.
        parts: samples and the arrays for them, in any order; samples may be missing.
        keep_layers: whether the arrays hold all layers.

    Returns:
        The trace, samples in ascending order, and the numbers of these samples, int64.
    """
    parts = sorted(parts, key=lambda part: part[0].start)
    done = np.array([sample for job, _ in parts for sample in job], dtype=np.int64)
    outputs = int(np.prod(network.output_shape))

    def joined(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        arrays = [arrays[name].reshape(len(job), steps, *shape) for job, arrays in parts]
        return np.concatenate(arrays) if arrays else np.zeros((0, steps, *shape), dtype=dtype)

    layers = enumerate(network.layers)
    trace = SpikeTrace(
        backend=BACKEND,
        spikes=joined(f"layer{len(network.layers) - 1}", (outputs,), np.uint8),
        layer_spikes=tuple(joined(f"layer{k}", each.output_shape, np.uint8) for k, each in layers)
        if keep_layers
        else None,
        membrane=joined("membrane", (outputs,), np.int32) if network.readout.kind == "membrane" else None,
    )
    return trace, done

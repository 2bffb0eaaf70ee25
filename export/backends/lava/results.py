"""Frames as Lava takes them, and its arrays as a spike trace."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.export.backends.lava.environment import LAVA_NC
from spikeport.export.network.fixed_point import BIAS_LIMIT
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.neurons.sigma_delta import VALUE_LIMIT
from spikeport.export.network.spike_trace import SpikeTrace

Arrays = dict[str, np.ndarray]  # `layer0`, `layer1`, ... and `membrane`, as a Lava process writes them
BACKEND = f"lava {LAVA_NC} fixed_pt"


def frames_for_lava(network: IntegerNetwork, frames: np.ndarray, first: int) -> np.ndarray:
    """Frames as integers: spikes, messages, or what drives input neurons at each time step.

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
    low, high, layer = network.input_lowest, network.input_limit, network.layers[0]
    outside = (values < low) | (values > high)
    if outside.any():
        index = tuple(int(at) for at in np.argwhere(outside)[0])
        drives, most = layer.kind == "input", VALUE_LIMIT if network.sends_values else BIAS_LIMIT
        raise UserError(
            f"sample {first + index[0]} has a value of {values[index]}, outside {low}..{high}",
            where="frames",
            cause=f"input x drives {layer.name} by weight x + bias, at most {most} on the chip" if drives else "",
            hint="clip the frames, or export with --message-bits" if high == 1 else "clip or rescale the frames",
        )
    if layer.kind == "input":
        values = int(layer.weight[0]) * values + layer.bias_map
    return values.astype(np.int32 if network.sends_values else np.int16)


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

    values, item = network.sends_values, np.int32 if network.sends_values else np.uint8
    output = joined(f"layer{len(network.layers) - 1}", (outputs,), item)
    shapes = [each.output_shape for each in network.layers] if keep_layers else []
    layers = tuple(joined(f"layer{k}", shape, item) for k, shape in enumerate(shapes)) or None
    trace = SpikeTrace(
        backend=BACKEND,
        spikes=(output != 0).astype(np.uint8) if values else output,
        layer_spikes=None if values else layers,
        values=output if values else None,
        layer_values=layers if values else None,
        membrane=joined("membrane", (outputs,), np.int32) if network.readout.kind == "membrane" else None,
    )
    return trace, done

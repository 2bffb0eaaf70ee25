"""For how long a layer cannot fire, whatever enters it: a bound from its integers."""

from __future__ import annotations

import numpy as np

from spikeport.export.network.fixed_point import STATE_LIMIT, STATE_SHIFT, decay
from spikeport.export.network.integer_network import IntegerLayer

STEPS_LIMIT = 1 << 16


def silent_steps(layer: IntegerLayer, largest_input: int, limit: int = STEPS_LIMIT) -> int:
    """Number of steps after a reset in which no neuron can fire, for any inputs.

    Each state is kept in an interval: the lowest and the highest sum of weights that inputs of 0 to `largest_input` can
    give enter the current; the decay is monotone, and so is the sum. The interval ends where a current could wrap.

    Args:
        layer: the layer. Its recurrent weights do not matter while it is silent.
        largest_input: largest value of an input; the smallest is 0.
        limit: largest answer; intervals that stay as they are give it at once.

    Returns:
        0 to `limit`.
    """
    weight = layer.weight.astype(np.int64).reshape(layer.weight.shape[0], -1)
    channel = -1, *(1 for _ in layer.output_shape[1:])
    added = [
        (np.clip(weight, *range_).sum(axis=1) * largest_input << STATE_SHIFT).reshape(channel)
        for range_ in ((None, 0), (0, None))
    ]
    bias = layer.bias_map << STATE_SHIFT
    i_decay, v_decay = np.asarray(layer.i_decay, np.int64), np.asarray(layer.v_decay, np.int64)
    threshold = np.asarray(layer.vth_mant, np.int64) << STATE_SHIFT
    current = [np.zeros_like(bias), np.zeros_like(bias)]
    voltage = list(current)
    for step in range(limit):
        before = [*current, *voltage]
        current = [decay(u, i_decay) + more for u, more in zip(current, added, strict=True)]
        if current[0].min() <= -STATE_LIMIT or current[1].max() > STATE_LIMIT:
            return step
        voltage = [np.maximum(decay(v, v_decay) + u + bias, 1 - STATE_LIMIT)
                   for u, v in zip(current, voltage, strict=True)]  # fmt: skip
        if np.any(voltage[1] > threshold):
            return step
        if all(np.array_equal(a, b) for a, b in zip(before, [*current, *voltage], strict=True)):
            return limit
    return limit

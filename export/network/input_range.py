"""The legal inputs of a network."""

from __future__ import annotations

from spikeport.export.network.fixed_point import BIAS_LIMIT
from spikeport.export.network.neurons.base import NeuronModel
from spikeport.export.network.neurons.sigma_delta import INPUT_LIMIT, VALUE_LIMIT

MESSAGE_BITS_LIMIT = 8  # frames are uint8


def input_range(model: NeuronModel, drive: tuple[int, int] | None, message_bits: int) -> tuple[int, int]:
    """Smallest and largest legal value of an input: 0 and 1 for spikes.

    Args:
        model: neurons of the first layer.
        drive: weight and bias of an input layer, whose product and sum must be a legal bias of CUBA neurons, or fit
            the state of sigma-delta neurons; None without an input layer.
        message_bits: bits of counts; 0 for spikes. Sigma-delta networks take 16 bits with a sign.
    """
    low, high = (-INPUT_LIMIT - 1, INPUT_LIMIT) if model.sends_values else (0, max(1, (1 << message_bits) - 1))
    if drive is None:
        return low, high
    weight, bias = drive
    if not model.sends_values:
        high = (1 << MESSAGE_BITS_LIMIT) - 1
    if weight == 0:
        return low, high
    most, offset = (VALUE_LIMIT if model.sends_values else BIAS_LIMIT), bias if weight > 0 else -bias
    return max(low, -((most + offset) // abs(weight))), min(high, (most - offset) // abs(weight))

"""CUBA neurons: a current and a voltage that leak, a threshold, a reset to zero. They send spikes."""

from __future__ import annotations

from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, THRESHOLD_LIMIT
from spikeport.export.network.neurons.base import NeuronModel, ParameterRange

CUBA = NeuronModel(
    name="cuba",
    family="CUBA",
    kinds=("dense", "conv", "input"),
    ranges={
        "i_decay": ParameterRange(low=0, high=DECAY_ONE),
        "v_decay": ParameterRange(low=0, high=DECAY_ONE),
        "vth_mant": ParameterRange(
            low=1, high=THRESHOLD_LIMIT, cause="vThMant has 17 bits",
            hint="rescale the layer's weights, bias and threshold together",
        ),
        "bias": ParameterRange(
            low=-BIAS_LIMIT, high=BIAS_LIMIT, cause="the bias mantissa has 13 bits with its sign",
            hint="choose a smaller scale for this layer, or train with smaller biases",
        ),
    },
)  # fmt: skip

"""Sigma-delta neurons (SDNN): they send changes of an activation, as integers with a sign.

With wrapping 32-bit integers, as the `fixed_pt` models of Lava 0.10.0 (sdn/models.py), and with netx's exponents:

    delta:       y = (weight x + bias) << 12
    sigma-delta: sigma = sigma + a;   y = max(0, sigma + (bias << 12))
    both:        d = y - y_before + residue;   m = d if |d| >= vth_mant << 12 else 0;   residue = d - m;   send m >> 6
    sigma:       sigma = sigma + a;   send sigma

where a is the weighted sum of the messages that arrive. The shift floors, and what it cuts off is not kept.
"""

from __future__ import annotations

from spikeport.export.network.neurons.base import NeuronModel, ParameterRange

SPIKE_EXP = 6  # netx's default: bits of a message behind the point
STATE_EXP = 6  # bits of a state below a message
STATE_BITS = 32  # Lava computes in int32, which wraps
MESSAGE_BITS = 16  # netx's default of messages, with the sign. Lava does not check it
VALUE_LIMIT = (1 << (STATE_BITS - 1 - SPIKE_EXP - STATE_EXP)) - 1  # largest integer that fits a state after its shift
INPUT_LIMIT = (1 << (MESSAGE_BITS - 1)) - 1  # frames are int16

_NO_DECAY = ParameterRange(low=0, high=0, cause="a sigma keeps its whole sum")
_THRESHOLD = ParameterRange(low=0, high=VALUE_LIMIT, cause="Lava holds vThMant << 12 in 32 bits")
_BIAS = ParameterRange(low=-VALUE_LIMIT, high=VALUE_LIMIT, cause="Lava holds bias << 12 in 32 bits")

DELTA = NeuronModel(
    name="delta",
    family="SDNN",
    kinds=("input",),
    ranges={"i_decay": _NO_DECAY, "v_decay": _NO_DECAY, "vth_mant": _THRESHOLD, "bias": _BIAS},
    sends_values=True,
    state_words=2,
    state_adds=3,
    only="first",
)
SIGMA_DELTA = NeuronModel(
    name="sigma-delta",
    family="SDNN",
    kinds=("dense", "conv"),
    ranges={"i_decay": _NO_DECAY, "v_decay": _NO_DECAY, "vth_mant": _THRESHOLD, "bias": _BIAS},
    sends_values=True,
    state_words=3,
    state_adds=4,
)
SIGMA = NeuronModel(
    name="sigma",
    family="SDNN",
    kinds=("dense", "conv"),
    ranges={
        "i_decay": _NO_DECAY,
        "v_decay": _NO_DECAY,
        "vth_mant": _THRESHOLD,
        "bias": ParameterRange(low=0, high=0, cause="netx stops at a bias of a sigma_output layer"),
    },
    sends_values=True,
    state_words=1,
    state_adds=1,
    only="last",
)

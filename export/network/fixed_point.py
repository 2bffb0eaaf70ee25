"""Number formats and state updates of Loihi's CUBA neurons.

Equal to Lava 0.10.0's `fixed_pt` models (lif/models.py), which are not proven equal to silicon.
"""

from __future__ import annotations

import numpy as np

DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS  # 4096: a decay of this much empties the state in one step
STATE_SHIFT = 6  # synaptic input, bias and threshold enter the state shifted left by 6
STATE_LIMIT = 1 << 23  # current and voltage have 24 bits with their sign
WEIGHT_LIMIT = 254
BIAS_LIMIT = 4095  # 13-bit mantissa with its sign
THRESHOLD_LIMIT = (1 << 17) - 1
ACCUMULATOR_LIMIT = 1 << 21  # Loihi 1's synaptic accumulator has 21 bits and a sign; Lava does not model it


def decay(state: np.ndarray, taken: int | np.ndarray) -> np.ndarray:
    """`state` less `taken` 4096ths of it, truncated toward zero (int64 in, int64 out).

    >>> decay(np.array([-1, 1, 4097, -4097]), 1)
    array([    0,     0,  4095, -4095])
    """
    return np.sign(state) * ((np.abs(state) * (DECAY_ONE - taken)) >> DECAY_BITS)


def wrap_current(current: np.ndarray) -> np.ndarray:
    """One turn of the 24-bit current: above 2^23 comes back from below; +2^23 itself stays, -2^23 does not."""
    current = np.where(current > STATE_LIMIT, current - 2 * STATE_LIMIT, current)
    return np.where(current <= -STATE_LIMIT, current + 2 * STATE_LIMIT, current)


def wrap_accumulator(accumulated: np.ndarray) -> np.ndarray:
    """A convolution's sum as netx hands it on: wrapped to 24 bits with sign."""
    return (accumulated + STATE_LIMIT) % (2 * STATE_LIMIT) - STATE_LIMIT


def saturate_voltage(voltage: np.ndarray) -> np.ndarray:
    """Voltage clipped to what 24 bits with a sign can hold, symmetric."""
    return np.clip(voltage, -STATE_LIMIT + 1, STATE_LIMIT - 1)


def weight_fault(weight: np.ndarray) -> str:
    """Why these integers cannot be legal Loihi weights; "" if they can.

    A weight has eight bits and a shared exponent: one sign only, 0..255 of it; mixed signs, even -256..254, or any
    -128..127. At least one must not be zero: netx divides by the largest. What netx keeps: `formats.netx.rules`.
    """
    lowest, highest = int(weight.min(initial=0)), int(weight.max(initial=0))
    if lowest == highest == 0:
        return "all are zero, and netx would divide by the largest of them. Hint: prune the layer or train it longer"
    if lowest >= 0:
        if highest > 255:
            return f"{highest} is above 255, and netx would turn all of them into 0. Hint: use a smaller scale"
        return ""
    if highest <= 0:
        if lowest < -255:
            return f"{lowest} is below -255, and Lava would clip it. Hint: use a smaller scale"
        return ""
    if lowest < -256 or highest > WEIGHT_LIMIT:
        worst = lowest if lowest < -256 else highest
        return f"{worst} is outside -256..254, and netx would clip it. Hint: use a smaller scale"
    if (lowest < -128 or highest > 127) and np.any(weight % 2):
        return "beyond -128..127, weights of mixed sign go in steps of 2, and some are odd. Hint: round to even"
    return ""

"""Number formats and state updates of Loihi's CUBA neurons.

They equal the `fixed_pt` models of Lava 0.10.0 (lif/models.py). Whether these equal the silicon is not proven.
"""

from __future__ import annotations

import numpy as np

from spikeport.export.network.row_blocks import row_blocks

DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS  # 4096: this decay clears the state in one step
STATE_SHIFT = 6  # synaptic input, bias and threshold enter the state shifted left by 6
STATE_LIMIT = 1 << 23  # current and voltage have 24 bits including the sign
WEIGHT_LIMIT = 254
BIAS_LIMIT = 4095  # 13-bit mantissa including the sign
THRESHOLD_LIMIT = (1 << 17) - 1
ACCUMULATOR_LIMIT = 1 << 21  # Loihi 1's synaptic accumulator has 21 bits and a sign; Lava does not model it
_TABLE = 1 << 16  # largest range of weights that `distinct` marks in a table


def decay(state: np.ndarray, taken: int | np.ndarray) -> np.ndarray:
    """Decays a state: state * (4096 - taken) / 4096, truncated toward zero.

    Args:
        state: int64.
        taken: decay per step in units of 1/4096.

    Returns:
        int64, same shape.

    >>> decay(np.array([-1, 1, 4097, -4097]), 1)
    array([    0,     0,  4095, -4095])
    """
    return np.sign(state) * ((np.abs(state) * (DECAY_ONE - taken)) >> DECAY_BITS)


def wrap_current(current: np.ndarray) -> np.ndarray:
    """Wraps a current to 24 bits by at most one turn, as Lava does: the result is in -2^23 + 1 .. 2^23.

    Args:
        current: integers of any shape.
    """
    current = np.where(current > STATE_LIMIT, current - 2 * STATE_LIMIT, current)
    return np.where(current <= -STATE_LIMIT, current + 2 * STATE_LIMIT, current)


def wrap_accumulator(accumulated: np.ndarray) -> np.ndarray:
    """Wraps the sum of a convolution to 24 bits including the sign, as netx does.

    Args:
        accumulated: integers of any shape.
    """
    return (accumulated + STATE_LIMIT) % (2 * STATE_LIMIT) - STATE_LIMIT


def saturate_voltage(voltage: np.ndarray) -> np.ndarray:
    """Clips a voltage to the symmetric 24-bit range, -2^23 + 1 .. 2^23 - 1.

    Args:
        voltage: integers of any shape.
    """
    return np.clip(voltage, -STATE_LIMIT + 1, STATE_LIMIT - 1)


def distinct(weight: np.ndarray) -> np.ndarray:
    """The distinct values of integer weights, sorted: rules about single weights need no more of a large matrix.

    Args:
        weight: integers of any shape.

    >>> distinct(np.array([[4, -2], [4, 0]]))
    array([-2,  0,  4])
    """
    lowest, highest = int(weight.min(initial=0)), int(weight.max(initial=0))
    if highest - lowest > _TABLE:
        return np.unique(weight)
    found, flat = np.zeros(highest - lowest + 1, dtype=bool), weight.reshape(-1)
    for block in row_blocks(flat.size, 1):
        found[flat[block] - lowest] = True
    return np.flatnonzero(found) + lowest


def weight_fault(weight: np.ndarray) -> str:
    """Reason why integers are not legal Loihi weights; "" if they are.

    Weights have eight bits and a shared exponent. With one sign they are in 0..255 or -255..0. With mixed signs they
    are even in -256..254, or any integers in -128..127. At least one must not be zero, since netx divides by the
    largest. The rules of netx files are in `formats.netx.rules`.

    Args:
        weight: integers of any shape.
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

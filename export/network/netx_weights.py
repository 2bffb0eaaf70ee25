"""What netx and Lava make of integer weights: derived again from their sources, so that every change is foreseen.

netx 0.6.0 shifts a dense layer's weights left until they fill nine bits with their sign (`optimize_weight_bits`), Lava
0.10.0 clips and truncates what it gets to the sign mode that it sees for itself (`weightutils`), and shifts the sum
back. For most matrices nothing is lost. Convolutions keep their weights as they are.
"""

from __future__ import annotations

import math

import numpy as np


def kept_weights(
    weight: np.ndarray, weight_rec: np.ndarray | None = None, *, delayed: bool = False
) -> tuple[list[np.ndarray], int]:
    """What acts in Lava in place of `weight` and `weight_rec` (`[W]` or `[W, W_rec]`), and the bits shifted.

    Integers of a legal range, not all zero. A recurrent layer with delays loses the exponent: its weights act shifted.
    """
    matrices = [weight] if weight_rec is None else [weight, weight_rec]
    lowest, highest = min(int(m.min()) for m in matrices), max(int(m.max()) for m in matrices)
    if highest < 0:
        signed, scale = 0, -256 / lowest
    elif lowest >= 0:
        signed, scale = 0, 255 / highest
    else:
        signed, scale = 1, min(127 / highest if highest else math.inf, -128 / lowest)
    shift = math.floor(math.log2(scale)) + signed
    together = 0
    for matrix in matrices:
        together |= int(np.bitwise_or.reduce(np.abs(matrix.astype(np.int64)), axis=None))
    even_bits = min((together & -together).bit_length() - 1, 8)
    weight_bits = 8 - shift - (even_bits - signed)
    forgotten = delayed and weight_rec is not None
    return [_in_lava(m.astype(np.int32) << shift, weight_bits) >> (0 if forgotten else shift) for m in matrices], shift


def _in_lava(weight: np.ndarray, bits: int) -> np.ndarray:
    """`clip_weights` and `truncate_weights` of lava.utils.weightutils, for arrays."""
    if weight.min() >= 0:
        cut = 8 - bits
        return (np.clip(weight, 0, 255) >> cut) << cut
    if weight.max() <= 0:
        cut = 8 - bits
        return -((np.clip(-weight, 0, 255) >> cut) << cut)
    cut = 8 - bits + 1
    return (np.clip(weight, -256, 255) >> cut) << cut


def netx_fault(weight: np.ndarray, weight_rec: np.ndarray | None = None, *, delayed: bool = False) -> str:
    """Why a dense layer with these legal weights would run with others under netx; "" where it would not."""
    matrices = [weight] if weight_rec is None else [weight, weight_rec]
    kept, shift = kept_weights(weight, weight_rec, delayed=delayed)
    for ours, theirs in zip(matrices, kept, strict=True):
        at = np.flatnonzero(ours != theirs)
        if not at.size:
            continue
        change = f"netx would run {int(ours.flat[at[0]])} as {int(theirs.flat[at[0]])}"
        if delayed and weight_rec is not None:
            return (f"{change}, as it forgets the exponent of recurrent layers with delays. Hint: choose a scale "
                    "that brings the largest weight to 128..254, or leave the delay out")  # fmt: skip
        return (f"{change}, as it shifts them left by {shift} and Lava clips them. Hint: change the lowest weight "
                "by a step, so that it is no power of two")  # fmt: skip
    return ""

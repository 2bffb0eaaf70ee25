"""Rules of netx and Lava beyond Loihi's arithmetic: which layers of an integer network they run unchanged.

lava-dl 0.6.0 (netx) shifts the weights of a dense layer left until they fill nine bits with their sign
(`optimize_weight_bits`). Lava 0.10.0 clips and truncates them in the sign mode that it finds itself (`weightutils`),
and shifts the sum back. Most matrices come out unchanged; `netx_weights` computes what the others become. The weights
of convolutions are not shifted. Another chip keeps its rules in a module of its own beside its file format.
"""

from __future__ import annotations

import math

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import distinct
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

GEOMETRY_LIMIT = 127  # netx keeps stride, padding, dilation, groups and kernel size in int8
DELAY_LIMIT = 62  # time steps; netx clamps longer delays


def check_network(network: IntegerNetwork) -> None:
    """Checks that netx and Lava execute a network unchanged.

    Args:
        network: the network.

    Raises:
        UserError: they would change or refuse a layer; the first such layer is named.
    """
    for layer in network.layers:
        check_layer(layer)


def check_layer(layer: IntegerLayer) -> None:
    """Checks that netx and Lava execute a layer unchanged.

    Args:
        layer: the layer.

    Raises:
        UserError: they would change or refuse the layer. The message names the rule.
    """
    if layer.kind == "conv":
        geometry = (*layer.stride, *layer.padding, *layer.dilation, layer.groups, *layer.weight.shape[2:])
        if max(geometry) > GEOMETRY_LIMIT:
            raise UserError(
                f"stride, padding, dilation, groups or kernel size {max(geometry)} is above {GEOMETRY_LIMIT}",
                where=layer.name, cause="netx keeps them in 8 bits",
                hint="use fewer groups, or a smaller kernel, stride, padding or dilation",
            )  # fmt: skip
    if layer.delay is not None and layer.delay.max() > DELAY_LIMIT:
        raise UserError(
            f"delays of {int(layer.delay.min())} to {int(layer.delay.max())} steps are outside 0..{DELAY_LIMIT}",
            where=layer.name, cause="a delay has 6 bits and netx clamps above 62",
            hint="use a longer time step, or shorter delays",
        )  # fmt: skip
    if layer.kind == "dense" and (fault := netx_fault(layer.weight, layer.weight_rec, delayed=layer.delay is not None)):
        raise UserError(f"weights cannot go to the chip: {fault}", where=layer.name)


def netx_weights(
    weight: np.ndarray, weight_rec: np.ndarray | None = None, *, delayed: bool = False
) -> tuple[list[np.ndarray], int]:
    """The weights that Lava uses in place of those of a dense layer. What a weight becomes depends on its value alone.

    Args:
        weight: integers `(out, in)` of a legal range (`fixed_point.weight_fault`), not all zero; or their distinct
            values.
        weight_rec: `(out, out)`, or their distinct values; None if the layer is not recurrent.
        delayed: whether the layer has delays. A recurrent layer with delays loses the exponent, and stays shifted.

    Returns:
        `[weight]` or `[weight, weight_rec]` as Lava uses them, and the number of bits that netx shifts them by.
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
    common_bits = 0
    for matrix in matrices:
        common_bits |= int(np.bitwise_or.reduce(np.abs(matrix.astype(np.int64)), axis=None))
    even_bits = min((common_bits & -common_bits).bit_length() - 1, 8)
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
    """Reason why netx would change the weights of a dense layer; "" if it would not.

    Args:
        weight: integers `(out, in)`.
        weight_rec: `(out, out)`; None if the layer is not recurrent.
        delayed: whether the layer has delays.
    """
    matrices = [distinct(array) for array in (weight, weight_rec) if array is not None]
    loaded, shift = netx_weights(*matrices, delayed=delayed)
    for ours, theirs in zip(matrices, loaded, strict=True):
        at = np.flatnonzero(ours != theirs)
        if not at.size:
            continue
        change = f"netx would run {int(ours[at[0]])} as {int(theirs[at[0]])}"
        if delayed and weight_rec is not None:
            return (f"{change}, as it forgets the exponent of recurrent layers with delays. Hint: choose a scale "
                    "that brings the largest weight to 128..254, or leave the delay out")  # fmt: skip
        return (f"{change}, as it shifts them left by {shift} and Lava clips them. Hint: change the lowest weight "
                "by a step, so that it is not a power of two")  # fmt: skip
    return ""

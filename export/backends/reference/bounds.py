"""Bounds of a layer's sums and states, proved from its integers: they decide which number type is wide enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

INDEX_ROOM = 1 << 28  # largest product of neurons and channels; padding may make it 16 times larger
CURRENT_TURNS = 2 * STATE_LIMIT >> STATE_SHIFT  # up to this sum, wrapping once brings the current into 24 bits


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds of one layer.

    Attributes:
        sums: largest magnitude of a weighted sum, before it wraps.
        voltage: largest magnitude of a voltage before the threshold, at most the limit of saturation.
        sums_wrap: whether netx could wrap a sum to 24 bits.
        current: whether the current of a time step has an effect on later ones.
        current_wraps: whether the 24-bit current could wrap.
        leaky: whether one decay and one threshold hold for all neurons, no current has an effect on later time steps
            or wraps, and the product of voltage and decay fits int32.
        int32: whether all of it can be computed in int32.
    """

    sums: int
    voltage: int
    sums_wrap: bool
    current: bool
    current_wraps: bool
    leaky: bool
    int32: bool


def bounds(layer: IntegerLayer, largest_input: int, steps: int) -> Bounds:
    """Computes the bounds of a layer.

    Args:
        layer: the layer.
        largest_input: largest value of an input; the smallest is 0.
        steps: number of time steps of a sample.
    """
    # An input layer: the simulation refuses a larger drive.
    sums = BIAS_LIMIT if layer.kind == "input" else _largest_row(layer.weight) * largest_input
    if layer.weight_rec is not None:
        sums = int((_row_sums(layer.weight) * largest_input + _row_sums(layer.weight_rec)).max())
    sums_wrap = layer.kind == "conv" and sums >= STATE_LIMIT
    wrapped = min(sums, STATE_LIMIT) if sums_wrap else sums
    current = layer.kind != "input" and int(np.min(layer.i_decay)) < DECAY_ONE
    current_wraps = current or wrapped << STATE_SHIFT > STATE_LIMIT
    # Without a current, |v| <= drive * (1 + keep + keep^2 + ...), for at most `steps` terms.
    drive = min(wrapped << STATE_SHIFT, STATE_LIMIT) + (int(np.abs(layer.bias_map).max()) << STATE_SHIFT)
    least = int(np.min(layer.v_decay))
    terms = max(1, min(steps, -(-DECAY_ONE // least) if least else steps))
    voltage = STATE_LIMIT - 1 if current else min(drive * terms, STATE_LIMIT - 1)
    uniform = isinstance(layer.v_decay, int) and isinstance(layer.vth_mant, int)
    return Bounds(
        sums=sums,
        voltage=voltage,
        sums_wrap=sums_wrap,
        current=current,
        current_wraps=current_wraps,
        leaky=uniform and not current_wraps and voltage * _odd_part(DECAY_ONE - least) < 1 << 31,
        int32=_current_fits_int32(wrapped << STATE_SHIFT, int(np.min(layer.i_decay)) if current else DECAY_ONE),
    )


def fits_int32(network: IntegerNetwork, steps: int) -> bool:
    """Whether the event-driven engine computes this network exactly, over `steps` time steps.

    Before a convolution the engine divides an index i by the number c of channels as i * ceil(2^32 / c) >> 32. The
    factor is at most 1 / 2^32 too large, so that the product is less than i / 2^32 too large. Since i / c is at least
    1 / c below the next whole number, the result is exact while i * c < 2^32.

    Args:
        network: the network.
        steps: number of time steps.
    """
    met = [layer.input_shape for layer in network.layers if layer.kind == "conv"]
    if any(np.prod(shape, dtype=float) * shape[0] >= INDEX_ROOM for shape in met):
        return False
    return all(
        bounds(layer, network.input_limit if index == 0 else 1, steps).int32
        for index, layer in enumerate(network.layers)
    )


def _current_fits_int32(entering: int, i_decay: int) -> bool:
    """Whether the sum of a current, its input and a voltage fits int32, if at most `entering` is added in a time step.

    The current stays within 2^23 while the input is at most 2^24, which wrapping subtracts. Beyond that, wrapping
    leaves |u| <= kept |u| + rest with rest = input - 2^24, whose limit is rest * 4096 / i_decay.
    """
    rest = entering - 2 * STATE_LIMIT
    if rest > 0 and i_decay == 0:
        return False
    largest = max(STATE_LIMIT, -(-rest * DECAY_ONE // i_decay) if rest > 0 else 0)
    return largest + entering + 4 * STATE_LIMIT < 1 << 31


def _largest_row(weight: np.ndarray) -> int:
    return int(_row_sums(weight).max())


def _row_sums(weight: np.ndarray) -> np.ndarray:
    return np.abs(weight.astype(np.int64)).reshape(weight.shape[0], -1).sum(axis=1)


def _odd_part(keep: int) -> int:
    """`keep` without its factors of two: x * keep / 4096 needs no more bits than x times the result."""
    return keep // (keep & -keep) if keep else 1

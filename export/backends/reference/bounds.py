"""How large a layer's numbers can get, proved from its integers: what may be computed in which arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

INDEX_ROOM = 1 << 28  # neurons times channels, with 16 times as much for padding
CURRENT_TURNS = 2 * STATE_LIMIT >> STATE_SHIFT  # a sum up to here lets one turn bring the current back


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """`sums`: no weighted sum is larger in magnitude, unwrapped. `voltage`: nor any voltage before its threshold, at
    most what saturation leaves. `sums_wrap`: netx could wrap a sum to 24 bits. `current`: there is one that outlives
    a step. `current_wraps`: the 24-bit current could turn. `leaky`: one decay and one threshold serve all neurons, no
    current outlives its step or turns, and the decay's product fits int32. `int32`: all of it can run in int32.
    """

    sums: int
    voltage: int
    sums_wrap: bool
    current: bool
    current_wraps: bool
    leaky: bool
    int32: bool


def bounds(layer: IntegerLayer, largest_input: int, steps: int) -> Bounds:
    """The bounds of a layer whose inputs go up to `largest_input`, over `steps` steps."""
    # Of an input layer the simulation refuses a larger drive.
    sums = BIAS_LIMIT if layer.kind == "input" else _largest_row(layer.weight) * largest_input
    if layer.weight_rec is not None:
        sums = int((_row_sums(layer.weight) * largest_input + _row_sums(layer.weight_rec)).max())
    sums_wrap = layer.kind == "conv" and sums >= STATE_LIMIT
    handed = min(sums, STATE_LIMIT) if sums_wrap else sums
    current = layer.kind != "input" and int(np.min(layer.i_decay)) < DECAY_ONE
    current_wraps = current or handed << STATE_SHIFT > STATE_LIMIT
    # Without a current, |v| <= drive * (1 + keep + keep^2 + ...), for at most `steps` terms.
    drive = min(handed << STATE_SHIFT, STATE_LIMIT) + (int(np.abs(layer.bias_map).max()) << STATE_SHIFT)
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
        int32=_current_fits_int32(handed << STATE_SHIFT, int(np.min(layer.i_decay)) if current else DECAY_ONE),
    )


def fits_int32(network: IntegerNetwork, steps: int) -> bool:
    """Whether the event-driven engine may run this network.

    Before a convolution it divides an index i by the number c of channels as i * ceil(2^32 / c) >> 32. That is less
    than i / 2^32 too much, and i / c is at least 1 / c below the next whole number: exact while i * c < 2^32.
    """
    met = [layer.input_shape for layer in network.layers if layer.kind == "conv"]
    if any(np.prod(shape, dtype=float) * shape[0] >= INDEX_ROOM for shape in met):
        return False
    return all(
        bounds(layer, network.input_limit if index == 0 else 1, steps).int32
        for index, layer in enumerate(network.layers)
    )


def _current_fits_int32(entering: int, i_decay: int) -> bool:
    """Whether a current fits int32 with its decay and the voltage on top, if at most `entering` enters in a step.

    It stays within 2^23 while what enters is at most one turn. Beyond, a turn leaves |u| <= kept |u| + rest, where
    rest is what enters less a turn, which ends at rest * 4096 / i_decay.
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
    """`keep` without its factors of two: x * keep / 4096 needs no more bits than x times this."""
    return keep // (keep & -keep) if keep else 1

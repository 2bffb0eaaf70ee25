"""Rounds thresholds to the chip's grid, for neurons that fire above their threshold and for those that fire at it.

The chip fires where v > 64 m for a threshold mantissa m. Where v is always a multiple of 64, v = 64 k, a comparison
k >= T of whole k is k > ceil(T) - 1, so that m = ceil(T) - 1 is exact. States are such multiples where nothing decays
partly: inputs, biases and thresholds are shifted by 6 bits, and a decay of 0 or 4096 of 4096 keeps or drops a state.
"""

from __future__ import annotations

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.quantization.scaled_layer import LayerUnits

FLOAT32 = 2.0**-22  # relative distance from an integer that may come from storage in float32
AT_THRESHOLD = (
    "neurons fire at v >= threshold in its framework, and above it on the chip: where v, counted in 64ths of a unit, "
    "meets the threshold exactly, the two differ"
)


def whole_states(units: LayerUnits) -> bool:
    """Whether current and voltage are always whole units: each decay keeps all or nothing."""
    return all(np.all(np.isin(np.asarray(decay), (0, DECAY_ONE))) for decay in (units.i_decay, units.v_decay))


def fires_one_later(units: LayerUnits) -> bool:
    """Whether the mantissa is one below the threshold, because neurons fire at it."""
    return units.fires_at == ">=" and whole_states(units)


def threshold_mantissa(units: LayerUnits, values: np.ndarray) -> np.ndarray:
    """Threshold mantissas.

    Args:
        units: the layer in float units.
        values: thresholds in integer units before rounding.

    Returns:
        Whole numbers of the shape of `values`.
    """
    nearest = np.rint(values)
    if not fires_one_later(units):
        return nearest
    whole = np.abs(values - nearest) <= FLOAT32 * np.maximum(np.abs(values), 1.0)
    return np.where(whole, nearest, np.ceil(values)) - 1


def threshold_notes(units: LayerUnits, *, silent: bool) -> list[str]:
    """What a reader should know of the comparison.

    Args:
        units: the layer in float units.
        silent: whether the neurons never fire.
    """
    return [AT_THRESHOLD] if units.fires_at == ">=" and not silent and not whole_states(units) else []

"""Parameters of neurons, scales and delays: brought to the layer's shape, and down to one value or one a row."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.values import Shape

UNIFORM = 1e-6  # relative spread that counts as one value: float32 arithmetic leaves as much

Value = float | np.ndarray  # one for all neurons, or float64 of the layer's shape


def on_layer(name: str, key: str, values: object, shape: Shape) -> np.ndarray:
    """`values` as float64 of the layer's `shape`; one number, the shape itself, or what broadcasts to it.

    Leading axes of size 1 (a batch that an exporter left) are dropped. One value a channel must say so, as (C, 1, 1):
    (C,) could also mean the columns, and is taken only where all are equal. Raises UserError naming node and shapes.
    """
    array = np.asarray(values, dtype=np.float64)
    given = array.shape
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    if array.size == 1 or (array.shape == shape[:1] and _one_value(array)):
        return np.full(shape, array.flat[0])
    if array.ndim not in (0, len(shape)) or _broadcast(array.shape, shape) != shape:
        hint = f"write one value a channel as ({shape[0]}, 1, 1)" if given == shape[:1] and len(shape) > 1 else ""
        raise UserError(f"{key} has shape {given}, the layer before gives {shape}", where=name, hint=hint)
    return np.array(np.broadcast_to(array, shape))


def one_value(values: np.ndarray) -> Value:
    """The one number that all `values` are (to 1e-6 of it), else `values` themselves."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    return float(values.flat[0]) if high - low <= UNIFORM * max(abs(low), abs(high)) else values


def per_row(values: Value, shape: Shape) -> np.ndarray | None:
    """`values` (one, or an array of as many as `shape` has) as one a row: a neuron of (N,), a channel of (C, H, W).

    None where they differ within a channel.
    """
    array = np.broadcast_to(values, shape) if np.ndim(values) == 0 else np.reshape(values, shape)
    rows = array.reshape(shape[0], -1)
    spread = rows.max(axis=1) - rows.min(axis=1)
    return rows[:, 0].copy() if np.all(spread <= UNIFORM * np.abs(rows).max(axis=1)) else None


def beside(rows: np.ndarray | float, array: np.ndarray) -> np.ndarray:
    """`rows` shaped so that it multiplies the first axis of `array`."""
    return np.reshape(rows, (-1, *(1 for _ in array.shape[1:])))


def _one_value(array: np.ndarray) -> bool:
    return bool(np.all(array == array.flat[0]))


def _broadcast(given: Shape, shape: Shape) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(given, shape)
    except ValueError:
        return None

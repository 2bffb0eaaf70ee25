"""Parameters of neurons, scales and delays: broadcast to a layer's shape, reduced to one value or one per row."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.values import Shape

UNIFORM = 1e-6  # largest relative spread of values taken as equal: rounding errors of float32

Value = float | np.ndarray  # one value for all neurons, or float64 of the layer's shape


def on_layer(name: str, key: str, values: object, shape: Shape) -> np.ndarray:
    """Broadcasts a parameter to the shape of its layer.

    Leading axes of size 1 are dropped, since some exporters keep a batch axis. Values per channel need the shape
    `(C, 1, 1)`. The shape `(C,)` is ambiguous (it could mean columns) and accepted only if all values are equal.

    Args:
        name: name of the node, for error messages.
        key: name of the parameter.
        values: one number, an array of the layer's shape, or an array that broadcasts to it.
        shape: shape of the layer, `(C, H, W)` or `(N,)`.

    Returns:
        float64 of shape `shape`.

    Raises:
        UserError: the shapes do not fit.
    """
    array = np.asarray(values, dtype=np.float64)
    given = array.shape
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    if array.size == 1 or (array.shape == shape[:1] and _one_value(array)):
        return np.full(shape, array.flat[0])
    if array.ndim not in (0, len(shape)) or _broadcast(array.shape, shape) != shape:
        hint = "compare it, and the stride and padding before it, with the network that was trained; or export it again"
        if given == shape[:1] and len(shape) > 1:
            hint = f"write one value a channel as ({shape[0]}, 1, 1)"
        raise UserError(f"{key} has shape {given}, the layer before gives {shape}", where=name, hint=hint)
    return np.array(np.broadcast_to(array, shape))


def one_value(values: np.ndarray) -> Value:
    """A single number if all `values` are equal within a relative spread of 1e-6, else `values`.

    Args:
        values: a parameter of each neuron.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    return float(values.flat[0]) if high - low <= UNIFORM * max(abs(low), abs(high)) else values


def per_row(values: Value, shape: Shape) -> np.ndarray | None:
    """Reduces values per neuron to one value per row.

    Args:
        values: one number, or as many values as `shape` has.
        shape: `(N,)`, where a row is a neuron, or `(C, H, W)`, where a row is a channel.

    Returns:
        float64 `[N]` or `[C]`; None if values differ within a channel.
    """
    array = np.broadcast_to(values, shape) if np.ndim(values) == 0 else np.reshape(values, shape)
    rows = array.reshape(shape[0], -1)
    spread = rows.max(axis=1) - rows.min(axis=1)
    return rows[:, 0].copy() if np.all(spread <= UNIFORM * np.abs(rows).max(axis=1)) else None


def beside(rows: np.ndarray | float, array: np.ndarray) -> np.ndarray:
    """`rows` reshaped to broadcast along the first axis of `array`.

    Args:
        rows: one value for each row, or one for all.
        array: the array that it is combined with.
    """
    return np.reshape(rows, (-1, *(1 for _ in array.shape[1:])))


def _one_value(array: np.ndarray) -> bool:
    return bool(np.all(array == array.flat[0]))


def _broadcast(given: Shape, shape: Shape) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(given, shape)
    except ValueError:
        return None

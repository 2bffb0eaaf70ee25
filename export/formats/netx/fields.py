"""Reads fields of a .net file from a `Tree`, as netx interprets them. Other values are refused by name.

Common arguments: `group` is the group of a layer, `key` the name of the field, and `where` the file and layer for error
messages.
"""

from __future__ import annotations

import math

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.safe_hdf5 import Leaf, Tree, text_of
from spikeport.values import Shape

NO_NETWORK = "this HDF5 file is not a netx network"


def group_at(parent: Tree, key: str) -> Tree | None:
    """The group `key` of `parent`; None if there is none.

    Args:
        parent: the group that contains it.
        key: its name.
    """
    member = parent.members.get(key)
    return member if isinstance(member, Tree) else None


def text_at(group: Tree, key: str, where: str) -> str:
    """A text field.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.

    Raises:
        UserError: the field is missing or not text.
    """
    value = group.members.get(key)
    text = None if isinstance(value, Tree) else text_of(value)
    if text is None:
        raise UserError(f"has no {key}", where=where, cause=NO_NETWORK)
    return text


def integers_at(group: Tree, key: str, where: str) -> np.ndarray:
    """A numeric field as integers.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.

    Returns:
        int64 of the stored shape.

    Raises:
        UserError: the field is missing, or netx would truncate or overflow its values.
    """
    values = group.members.get(key)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufb":
        raise UserError(f"has no numeric {key}", where=where, cause="netx needs it")
    return as_integers(values, key, where)


def as_integers(values: np.ndarray, key: str, where: str) -> np.ndarray:
    """Converts values to int64.

    Args:
        values: numbers.
        key: name of the field, for the error.
        where: layer or file, for the error.

    Raises:
        UserError: a value is not a 32-bit integer.
    """
    if values.dtype.kind == "f" and not np.all(np.isfinite(values) & (values == np.trunc(values))):
        raise UserError(f"{key} holds values that are not integers", where=where,
                        cause="netx would truncate them toward zero", hint="quantize the network first")  # fmt: skip
    if values.size and (values.max() >= 2**31 or values.min() < -(2**31)):
        raise UserError(f"{key} holds values beyond 32 bits", where=where)
    return values.astype(np.int64)


def sizes_at(group: Tree, key: str, where: str) -> tuple[int, ...]:
    """A shape: one to four positive sizes with a product of at most 2^31.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.

    Raises:
        UserError: the field is missing, or has other values.
    """
    values = tuple(int(value) for value in integers_at(group, key, where).reshape(-1))
    if not values or min(values) < 1 or len(values) > 4 or math.prod(values) >= 2**31:
        raise UserError(f"{key} {values[:8]} must hold positive sizes, C, H, W or N", where=where)
    return values


def number_at(group: Tree, key: str, where: str) -> int:
    """One integer; an array with one element is accepted.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.

    Raises:
        UserError: the field is missing, or has several values.
    """
    values = integers_at(group, key, where).reshape(-1)
    if values.size != 1:
        raise UserError(f"{key} must be one number, it holds {values.size}", where=where)
    return int(values[0])


def pair_at(group: Tree, key: str, where: str) -> tuple[int, int]:
    """(height, width), from two integers or one for both.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.

    Raises:
        UserError: the field is missing, or has more than two values.
    """
    values = integers_at(group, key, where).reshape(-1)
    if values.size not in (1, 2):
        raise UserError(f"{key} must be one number or a pair (height, width)", where=where)
    return int(values[0]), int(values[-1])


def refuse_set(group: Tree, key: str, where: str, why: str, hint: str, *, harmless: int = 0) -> None:
    """Refuses a field that netx ignores.

    Args:
        group: the group of the layer.
        key: name of the field.
        where: layer or file, for the error.
        why: cause, for the error.
        hint: hint, for the error.
        harmless: a value that is accepted, as 0 is.

    Raises:
        UserError: the field is present with another value.
    """
    value = group.members.get(key)
    if value is None or (isinstance(value, np.ndarray) and value.dtype.kind in "iufb"
                         and not np.any((value != harmless) & (value != 0))):  # fmt: skip
        return
    raise UserError(f"sets {key}", where=where, cause=why, hint=hint)


def per_neuron(values: np.ndarray, shape: Shape, key: str, where: str) -> np.ndarray:
    """Values per neuron in the order (C, H, W) of `shape`, from netx's order (W, H, C), to which they broadcast.

    netx reverses shapes and kernels, but not decays, thresholds and biases.

    Args:
        values: the stored array.
        shape: shape of the layer's neurons, `(C, H, W)` or `(N,)`.
        key: name of the field.
        where: layer or file, for the error.

    Returns:
        An array of `shape`, or a scalar.

    Raises:
        UserError: the values do not broadcast to the neurons.
    """
    order = shape[::-1]
    if values.size == 1:
        return values.reshape(()) if key != "bias" else np.broadcast_to(values.reshape(()), shape)
    while values.ndim > len(order) and values.shape[0] == 1:
        values = values[0]
    try:
        spread = np.broadcast_to(values, order)
    except ValueError:
        raise UserError(f"{key} has shape {values.shape}, which netx cannot broadcast to {order}", where=where,
                        hint="one number, one a channel, or one a neuron in the order W, H, C") from None  # fmt: skip
    return spread.transpose()


def delay_at(group: Tree, shape: Shape, where: str) -> np.ndarray:
    """A delay as netx reads it: one value, one per row, one per column, or one per weight.

    A vector of a square matrix has one value per row.

    Args:
        group: the group of the layer.
        shape: shape of the weights.
        where: layer or file, for the error.

    Returns:
        int64 that broadcasts to `shape`, as small as possible.

    Raises:
        UserError: the delay has another shape.
    """
    delay = integers_at(group, "delay", where)
    if delay.size == 1:
        return delay.reshape(1, 1)
    if delay.ndim == 1 and delay.size in shape:
        return delay.reshape(-1, 1) if delay.size == shape[0] else delay.reshape(1, -1)
    if delay.shape != shape:
        raise UserError(f"delay has shape {delay.shape}, which does not fit weights {shape}", where=where,
                        hint="one number, one a neuron, one an input, or one a synapse")  # fmt: skip
    if np.all(delay == delay[:, :1]):
        return delay[:1, :1] if np.all(delay == delay[0, 0]) else delay[:, :1]
    return delay[:1] if np.all(delay == delay[:1]) else delay


def attribute_text(group: Tree, key: str, default: str, where: str) -> str:
    """A text attribute; `default` if it is absent.

    Args:
        group: the group of the layer.
        key: name of the attribute.
        default: the value if it is absent.
        where: layer or file, for the error.

    Raises:
        UserError: the attribute is not text of at most 1000 characters.
    """
    if key not in group.attributes:
        return default
    text = text_of(group.attributes[key])
    if text is None or len(text) > 1000:
        raise UserError(f"attribute {key} is not a text of at most 1000 characters", where=where)
    return text


def attribute_number(group: Tree, key: str, where: str) -> float | None:
    """An attribute with one finite number; None if it is absent.

    Args:
        group: the group of the layer.
        key: name of the attribute.
        where: layer or file, for the error.

    Raises:
        UserError: the attribute is not one finite number.
    """
    value: Leaf | None = group.attributes.get(key)
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.size != 1 or not np.isfinite(value):
        raise UserError(f"attribute {key} is not a finite number", where=where)
    return float(value.reshape(-1)[0])

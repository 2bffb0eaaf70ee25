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
    """The group `key` of `parent`; None if there is none."""
    member = parent.members.get(key)
    return member if isinstance(member, Tree) else None


def text_at(group: Tree, key: str, where: str) -> str:
    """A text field. Raises UserError if it is missing or not text."""
    value = group.members.get(key)
    text = None if isinstance(value, Tree) else text_of(value)
    if text is None:
        raise UserError(f"has no {key}", where=where, cause=NO_NETWORK)
    return text


def integers_at(group: Tree, key: str, where: str) -> np.ndarray:
    """A numeric field as int64 of the same shape. Raises UserError if netx would truncate or overflow values."""
    values = group.members.get(key)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufb":
        raise UserError(f"has no numeric {key}", where=where, cause="netx needs it")
    return as_integers(values, key, where)


def as_integers(values: np.ndarray, key: str, where: str) -> np.ndarray:
    """`values` as int64. Raises UserError with the name `key` if they are not 32-bit integers."""
    if not np.all(np.isfinite(values)) or (values.dtype.kind == "f" and np.any(values != np.trunc(values))):
        raise UserError(f"{key} holds values that are not integers", where=where,
                        cause="netx would truncate them toward zero", hint="quantize the network first")  # fmt: skip
    if values.size and (values.max() >= 2**31 or values.min() < -(2**31)):
        raise UserError(f"{key} holds values beyond 32 bits", where=where)
    return values.astype(np.int64)


def sizes_at(group: Tree, key: str, where: str) -> tuple[int, ...]:
    """A shape: one to four positive sizes with a product of at most 2^31."""
    values = tuple(int(value) for value in integers_at(group, key, where).reshape(-1))
    if not values or min(values) < 1 or len(values) > 4 or math.prod(values) >= 2**31:
        raise UserError(f"{key} {values[:8]} must hold positive sizes, C, H, W or N", where=where)
    return values


def number_at(group: Tree, key: str, where: str) -> int:
    """One integer; an array with one element is accepted."""
    values = integers_at(group, key, where).reshape(-1)
    if values.size != 1:
        raise UserError(f"{key} must be one number, it holds {values.size}", where=where)
    return int(values[0])


def pair_at(group: Tree, key: str, where: str) -> tuple[int, int]:
    """(height, width), from two integers or one for both."""
    values = integers_at(group, key, where).reshape(-1)
    if values.size not in (1, 2):
        raise UserError(f"{key} must be one number or a pair (height, width)", where=where)
    return int(values[0]), int(values[-1])


def refuse_set(group: Tree, key: str, where: str, why: str, hint: str, *, harmless: int = 0) -> None:
    """Raises UserError if a field that netx ignores is present with a value other than 0 or `harmless`."""
    value = group.members.get(key)
    if value is None or (isinstance(value, np.ndarray) and value.dtype.kind in "iufb"
                         and not np.any((value != harmless) & (value != 0))):  # fmt: skip
        return
    raise UserError(f"sets {key}", where=where, cause=why, hint=hint)


def per_neuron(values: np.ndarray, shape: Shape, key: str, where: str) -> np.ndarray:
    """Values per neuron in the order (C, H, W) of `shape`, from netx's order (W, H, C), to which they broadcast.

    netx reverses shapes and kernels, but not decays, thresholds and biases.
    """
    order = shape[::-1]
    if values.size == 1:
        return values.reshape(()) if key != "bias" else np.broadcast_to(values.reshape(()), shape)
    while values.ndim > len(order) and values.shape[0] == 1:
        values = values[0]
    try:
        spread = np.broadcast_to(values, order)
    except ValueError:
        raise UserError(f"{key} has shape {values.shape}, which netx cannot spread over {order}", where=where,
                        hint="one number, one a channel, or one a neuron in the order W, H, C") from None  # fmt: skip
    return spread.transpose()


def delay_at(group: Tree, shape: Shape, where: str) -> np.ndarray:
    """A delay as netx reads it: one value, one per row, one per column, or one per weight.

    A vector of a square matrix has one value per row.
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
    """A text attribute; `default` if it is absent."""
    if key not in group.attributes:
        return default
    text = text_of(group.attributes[key])
    if text is None or len(text) > 1000:
        raise UserError(f"attribute {key} is not a text of at most 1000 characters", where=where)
    return text


def attribute_number(group: Tree, key: str, where: str) -> float | None:
    """An attribute with one finite number; None if it is absent."""
    value: Leaf | None = group.attributes.get(key)
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.size != 1 or not np.isfinite(value):
        raise UserError(f"attribute {key} is not a finite number", where=where)
    return float(value.reshape(-1)[0])

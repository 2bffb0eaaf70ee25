"""Frames and labels that a caller gives, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikeport.errors import UserError
from spikeport.export.formats.frames_file import ONE_SAMPLE
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.values import Shape

if TYPE_CHECKING:
    import numpy as np


def refuse_labels(labels: object, frames: object) -> None:
    """Refuses labels that no array of frames goes with: a file of frames has its own.

    Args:
        labels: the labels, or None.
        frames: the file, or the name of the parameter that is missing.

    Raises:
        UserError: there are labels.
    """
    if labels is not None:
        raise UserError("labels are given without an array of frames", where=str(frames),
                        hint="give the frames as an array too, or keep the labels in the file")  # fmt: skip


def checked_frames(frames: Any, network: IntegerNetwork) -> np.ndarray:
    """Converts frames to an array and checks their shape and type.

    Args:
        frames: an array or nested lists, `[N, T, *input_shape]`.
        network: the network that takes them.

    Returns:
        Integers `[N, T, *input_shape]`.

    Raises:
        UserError: the shape does not fit, or the values are not integers.
    """
    return frames_array(frames, network.input_shape)


def frames_array(frames: Any, input_shape: Shape, where: str = "") -> np.ndarray:
    """Converts frames to an array and checks their shape and type.

    Args:
        frames: an array or nested lists, `[N, T, *input_shape]`.
        input_shape: shape of one time step, `(C, H, W)` or `(N,)`.
        where: name of the argument, for errors.

    Returns:
        Integers `[N, T, *input_shape]`.

    Raises:
        UserError: the shape does not fit, or the values are not integers.
    """
    import numpy as np

    array: np.ndarray = np.asarray(frames)
    if array.ndim != 2 + len(input_shape) or array.shape[2:] != tuple(input_shape):
        shape = ", ".join(map(str, input_shape))
        one = array.shape[1:] == tuple(input_shape)
        raise UserError(
            f"frames have shape {array.shape}, which is not [N, T, {shape}]",
            where=where,
            hint=ONE_SAMPLE if one else "give one row a sample, time steps second",
        )
    if array.dtype.kind not in "bui":
        raise UserError(f"frames are {array.dtype}, not whole numbers", where=where, hint="give uint8 counts of events")
    return array.astype(np.uint8) if array.dtype == bool else array

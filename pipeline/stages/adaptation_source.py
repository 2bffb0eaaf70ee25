"""What an adaptation starts from: a source and frames, as a user names them; and what the nearest network costs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.stages.given_frames import frames_array, refuse_labels
from spikeport.pipeline.stages.live_network import is_live
from spikeport.pipeline.stages.settings import PathLike
from spikeport.values import Shape

if TYPE_CHECKING:
    from torch import nn

    from spikeport.pipeline.adaptation.measure import Measured
    from spikeport.pipeline.adaptation.source import Source

Frames = PathLike | np.ndarray
Reset = Literal["zero", "subtract"]


def network_name(source: PathLike) -> str:
    """Name of the files of an adapted network: that of the factory or of the file.

    Args:
        source: `package.module:factory`, or a file.
    """
    return str(source).rpartition(":")[2] if is_live(source) else Path(source).stem


def default_folder(source: PathLike) -> Path:
    """The folder of an adaptation if none is named.

    Args:
        source: `package.module:factory`, or a file.
    """
    return Path(f"{network_name(source)}-adapted")


def source_of(
    source: PathLike | nn.Module,
    dt_s: float | None,
    reset: Reset | None,
    if_gain: str | None,
    input_shape: Shape | None,
    readout: str | None,
    framework: str | None,
) -> Source:
    """The source that a user names.

    Args:
        source: a .nir file, `package.module:factory`, or a network.
        dt_s, reset, if_gain, input_shape, readout, framework: as for `adapt`.

    Raises:
        UserError: an option is missing, or a node has no neighbor on the chip.
    """
    from torch import nn

    from spikeport.export.graph.frameworks import framework_of
    from spikeport.export.graph.spiking_graph import load_graph
    from spikeport.pipeline.adaptation.source import source_of_graph, source_of_modules
    from spikeport.pipeline.stages.live_network import checked_options, made_network

    per: Any = if_gain.replace("-", "_") if if_gain else None
    if isinstance(source, nn.Module) or is_live(source):
        name = type(source).__name__ if isinstance(source, nn.Module) else str(source)
        step, shape = checked_options(name, dt_s, input_shape, framework)
        model = source if isinstance(source, nn.Module) else made_network(str(source))
        return source_of_modules(model, shape, step, readout=readout or "")
    trained: Any = reset
    if framework is not None and reset in (None, framework_of(framework).reset):
        trained = framework_of(framework).reset_of
    graph = load_graph(
        source, dt_s=dt_s, reset=None if trained is None else "zero", if_gain=per, input_shape=input_shape,
        readout=readout, framework=framework,
    )  # fmt: skip
    return source_of_graph(graph, trained or "zero")


def frames_of(
    frames: Frames, labels: Any, source: Source, message_bits: int, *, where: str = "frames"
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Frames in memory, their labels, and notes.

    Args:
        frames: file or array of frames `[N, T, *input_shape]`, integers of 0 to 255.
        labels: classes `[N]` of an array, or None.
        source: the network that they are for.
        message_bits: bits of input counts; 0: counts become 1.
        where: name of the argument, for errors.

    Returns:
        uint8 `[N, T, *input_shape]` of at most 2^message_bits - 1, classes int64 `[N]` or None, and notes.

    Raises:
        UserError: they do not fit the network, or there are none.
    """
    from spikeport.export.formats.frame_labels import checked_labels
    from spikeport.export.formats.frames_file import open_frames

    shape = source.nearest.input_shape
    if isinstance(frames, (str, os.PathLike)):
        refuse_labels(labels, frames)
        reader, labels = open_frames(frames, shape, limit=255, outputs=source.outputs)
        array = reader[:]
    else:
        array = frames_array(frames, shape, where)
        if not array.size:
            raise UserError(f"frames have shape {array.shape}", where=where, hint="give recordings")
        if array.min() < 0 or array.max() > 255:
            raise UserError(f"frames have values of {array.min()} to {array.max()}", where=where,
                            hint="give counts of events, 0 to 255")  # fmt: skip
        array = array.astype(np.uint8)
        labels = None if labels is None else checked_labels(labels, len(array), where, source.outputs)
    most = (1 << message_bits) - 1 if message_bits else 1
    larger = int(np.count_nonzero(array > most))
    notes = (f"{larger:,} input counts were cut to {most}",) if larger else ()
    return np.minimum(array, np.uint8(most)), labels, notes


def compare_nearest(source: Source, frames: Frames) -> tuple[Measured, ...]:
    """A source beside its nearest legal network, in float and rounded, without training.

    Args:
        source: the source.
        frames: file or array of frames.

    Raises:
        UserError: the frames do not fit, the forward of a network is another network than its modules, or no output
            neuron fires.
    """
    from spikeport.pipeline.adaptation.adapt import measured_nearest
    from spikeport.pipeline.adaptation.own_forward import check_forward
    from spikeport.pipeline.adaptation.student import student_of

    given, labels, _ = frames_of(frames, None, source, 0)
    if source.own is not None:
        check_forward(source.own, given)
    return tuple(measured_nearest(source, student_of(source.nearest, []), given, labels)[1])

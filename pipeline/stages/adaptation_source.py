"""What an adaptation starts from: a source and frames, as a user names them; and what the nearest network costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.stages.given_frames import refuse_labels
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
    frames: Frames, labels: np.ndarray | None, source: Source, message_bits: int
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Frames in memory, their labels, and notes.

    Args:
        frames: file or array of frames.
        labels: classes of an array.
        source: the network that they are for.
        message_bits: bits of input counts; 0: counts become 1.

    Raises:
        UserError: they do not fit the network, or there are none.
    """
    from spikeport.export.formats.frames_file import open_frames

    shape = source.nearest.input_shape
    if isinstance(frames, np.ndarray):
        if frames.ndim < 3 or tuple(frames.shape[2:]) != shape:
            raise UserError(f"frames have shape {frames.shape}", where="frames",
                            hint=f"give [N, T, {', '.join(map(str, shape))}]")  # fmt: skip
        array = frames.astype(np.uint8)
    else:
        refuse_labels(labels, frames)
        reader, stored = open_frames(frames, shape, limit=255)
        array, labels = reader[:], stored
    if not len(array) or not array.shape[1]:
        raise UserError("there are no frames", where=str(frames)[:80], hint="give recordings that the source knows")
    most = (1 << message_bits) - 1 if message_bits else 1
    larger = int(np.count_nonzero(array > most))
    notes = (f"{larger:,} input counts were cut to {most}",) if larger else ()
    return np.minimum(array, np.uint8(most)), labels, notes


def compare_nearest(source: Source, frames: Frames) -> tuple[Measured, ...]:
    """A source beside its nearest legal network, in float and rounded, without training.

    Args:
        source: the source.
        frames: file or array of frames.
    """
    from spikeport.pipeline.adaptation.adapt import measured_nearest
    from spikeport.pipeline.adaptation.student import student_of

    given, labels, _ = frames_of(frames, None, source, 0)
    return tuple(measured_nearest(source, student_of(source.nearest, []), given, labels)[1])

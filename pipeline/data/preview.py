"""Draws a preview of a data set: frames over time beside the paired image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from spikeport.export.network.sampling import draw, words
from spikeport.files import atomic_path
from spikeport.pipeline.data.dataset import Dataset, EventSplit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOFTWARE = "spikeport data preview"  # in the file: so that a preview is known for one
MOST_STEPS = 12  # most frames in a row; more would be too small to read
LEGEND = "orange: brighter (ON), blue: darker (OFF), white: both"
RASTER_LEGEND = "time to the right, channels downward; orange: a spike"
PALETTE = np.array([[0.09, 0.09, 0.11], [0.25, 0.55, 0.95], [1.0, 0.6, 0.15], [1.0, 1.0, 1.0]])  # none, OFF, ON, both


def preview(dataset: Dataset, path: str | os.PathLike[str], count: int = 6) -> None:
    """Writes a PNG with one recording in each row.

    Rows are training recordings, or test recordings if there are none for training. They are drawn by class with a
    seed, which the title names. The first column is the paired image, or an image of the same class. The other columns
    are frames: ON is orange, OFF is blue, both is white. Of many time steps, evenly spaced ones are shown. Recordings
    of a one-dimensional input are rasters: time steps to the right, channels downward.

    Args:
        dataset: the data set.
        path: the PNG file.
        count: number of recordings.
    """
    part = dataset.train if len(dataset.train.keys) else dataset.test
    drawn = draw(count, len(part.labels), part.labels)
    rows = drawn.rows[np.argsort(part.labels[drawn.rows], kind="stable")]
    if part.frames.ndim == 3:
        figure, legend = _rasters(dataset, part, rows), RASTER_LEGEND
    else:
        figure, legend = _frames(dataset, part, rows), LEGEND
    origin = "simulated events" if dataset.simulated else "recorded events"
    title = f"{dataset.name}: {origin} in frames of {dataset.dt_s * 1e3:g} ms; {legend}"
    figure.suptitle(f"{title}\n{words(drawn.as_dict())}", fontsize=9)
    save_picture(figure, path)


def _frames(dataset: Dataset, part: EventSplit, rows: np.ndarray) -> Figure:
    """Frames of these recordings, one recording in each row."""
    steps = part.frames.shape[1]
    picked = np.unique(np.linspace(0, steps - 1, min(steps, MOST_STEPS)).round().astype(int))
    height, width = part.frames.shape[-2:]
    size = (1.1 * (len(picked) + 1) + 0.6, 1.1 * height / width * len(rows) + 0.9)
    figure, axes = picture_grid(len(rows), len(picked) + 1, size)
    axes[0, 0].set_title("image" if part.paired_images is not None else "same class", fontsize=8)
    for axis, step in zip(axes[0, 1:], picked, strict=True):
        axis.set_title(f"from {step * dataset.dt_s * 1e3:g} ms", fontsize=8)
    for line, row in zip(axes, rows, strict=True):
        line[0].imshow(_image_of(dataset, part, int(row)), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        line[0].set_ylabel(f"class {dataset.classes[part.labels[row]]}", fontsize=8)
        for axis, step in zip(line[1:], picked, strict=True):
            axis.imshow(_color(part.frames[row, step]), interpolation="nearest")
    return figure


def _rasters(dataset: Dataset, part: EventSplit, rows: np.ndarray) -> Figure:
    """Rasters of these recordings, one recording in each row."""
    figure, axes = picture_grid(len(rows), 1, (10, 1.6 * len(rows) + 0.9))
    for (axis,), row in zip(axes, rows, strict=True):
        axis.set_ylabel(f"class {dataset.classes[part.labels[row]]}", fontsize=8)
        axis.imshow(PALETTE[2 * (part.frames[int(row)].T > 0)], interpolation="nearest", aspect="auto")
    return figure


def picture_grid(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure of pictures without ticks.

    Args:
        rows: pictures in a column.
        columns: pictures in a row.
        size: width and height in inches.

    Returns:
        The figure, and its axes `[rows, columns]`.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=size, dpi=120, layout=tight)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_color("0.75")
    return figure, axes


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as a PNG that names its software.

    Args:
        figure: the figure.
        path: the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": SOFTWARE})


def _image_of(dataset: Dataset, part: EventSplit, row: int) -> np.ndarray:
    """The paired image of a recording, or one of its class; `[h, w]` or `[h, w, 3]`."""
    if part.paired_images is not None:
        image = part.paired_images.images[row]
    else:
        same = np.flatnonzero(dataset.static.labels == part.labels[row])
        image = dataset.static.images[same[0]] if len(same) else np.zeros((1, 1, 1), np.uint8)
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def _color(frame: np.ndarray) -> np.ndarray:
    """`[2, H, W]` of events as RGB `[H, W, 3]` in 0..1: black, blue for OFF, orange for ON, white for both."""
    off, on = frame > 0
    return PALETTE[off + 2 * on]

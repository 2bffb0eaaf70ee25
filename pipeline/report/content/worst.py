"""The mistakes of a network that are furthest from the right answer, with small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.pipeline.report.content.pictures import png_text

MOST = 12
SIDE = 64  # most pixels on a side of a picture of events
IMAGE_SIDE = 96  # most pixels on a side of a paired image
ON, OFF = (147, 162, 255), (120, 120, 120)  # on black
HEADS = ("Recording", "Class", "Predicted", "Margin, spikes")
EMPTY = "no recording was assigned to another class"
NOTE = (
    "Margin: output spikes of the predicted class minus those of the true class. Events of all steps: the brighter, "
    "the more steps with an event; ON in color, OFF in gray."
)
RASTER_NOTE = NOTE.split(". ", maxsplit=1)[0] + ". Input spikes: time to the right, inputs downward."


class MistakeJson(TypedDict):
    """One mistake: the classes, the margin in output spikes, and pictures as PNG in base64."""

    key: str
    label: str
    predicted: str
    margin: int
    events_png: str
    image_png: str | None


@dataclass(frozen=True, kw_only=True)
class WrongSample:
    """A recording that was assigned to another class.

    Attributes:
        key: key of the recording.
        label: number of its class.
        predicted: number of the predicted class.
        margin: output spikes of the predicted class minus those of the true class.
        frames: `[T, C, H, W]` or `[T, N]`, of 0 and 1.
        image: its paired image, uint8 `[1 or 3, h, w]`; None where there is none.
    """

    key: str
    label: int
    predicted: int
    margin: int
    frames: np.ndarray
    image: np.ndarray | None = None


def worst_rows(labels: np.ndarray, predicted: np.ndarray, spikes: np.ndarray) -> list[tuple[int, int]]:
    """The mistakes with the largest margins, at most MOST, largest first; equal ones in the order of the recordings.

    Recordings without a label or without an answer are left out.

    Args:
        labels: int `[N]`, UNLABELED where unknown.
        predicted: int `[N]`, SILENT where there is no answer.
        spikes: output spikes `[N, T, K]`, one output for each class.

    Returns:
        Row and margin of each.
    """
    rows = np.flatnonzero((labels != UNLABELED) & (predicted != SILENT) & (labels != predicted))
    counts = spikes[rows].sum(axis=1, dtype=np.int64)
    each = np.arange(len(rows))
    margins = counts[each, predicted[rows]] - counts[each, labels[rows]]
    order = np.argsort(-margins, kind="stable")[:MOST]
    return [(int(rows[index]), int(margins[index])) for index in order]


def describe_mistake(wrong: WrongSample, classes: tuple[str, ...]) -> MistakeJson:
    """Converts a mistake to JSON.

    Args:
        wrong: the recording.
        classes: names of the K classes.
    """
    return {
        "key": wrong.key,
        "label": classes[wrong.label],
        "predicted": classes[wrong.predicted],
        "margin": wrong.margin,
        "events_png": png_text(events_picture(wrong.frames)),
        "image_png": None if wrong.image is None else png_text(wrong.image, IMAGE_SIDE),
    }


def events_picture(frames: np.ndarray) -> np.ndarray:
    """All events of a recording as one picture on black; squares of pixels are summed for large sensors.

    Args:
        frames: `[T, C, H, W]` of 0 and 1; or `[T, N]`, drawn as a raster of N inputs downward and T steps to the right.

    Returns:
        uint8 `[3, h, w]`. With two channels OFF is gray and ON has a color, else all channels are white.
    """
    present = np.asarray(frames) != 0
    counts = present.T[None].astype(np.int64) if present.ndim == 2 else present.sum(axis=0, dtype=np.int64)
    height, width = counts.shape[1:]
    down, right = (-(-size // SIDE) for size in ((height, width) if present.ndim == 2 else [max(height, width)] * 2))
    padded = np.pad(counts, ((0, 0), (0, -height % down), (0, -width % right)))
    summed = padded.reshape(len(counts), padded.shape[1] // down, down, padded.shape[2] // right, right).sum((2, 4))
    colors = np.array([OFF, ON] if len(counts) == 2 else [(255, 255, 255)] * len(counts), dtype=np.float64)
    light = summed / max(1, int(summed.max()))
    return np.rint(np.clip(np.einsum("chw,cr->rhw", light, colors), 0, 255)).astype(np.uint8)

"""Test recordings in a report: the image, the event frames, and the output spikes."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.export.network.sampling import SEED, draw
from spikeport.pipeline.report.content.pictures import base64_text, png_text
from spikeport.pipeline.report.content.report_json import PackedFrames, SampleJson


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A test recording and the output of the network.

    Attributes:
        key: key of the recording.
        label: number of its class.
        predicted: number of the predicted class; SILENT where there is no answer.
        frames: `[T, C, H, W]` of 0 and 1, the input of the network (channel 0 OFF, channel 1 ON).
        output_spikes: `[T, K]` of 0 and 1.
        image: its paired image, uint8 `[1 or 3, h, w]`; None where there is none.
    """

    key: str
    label: int
    predicted: int
    frames: np.ndarray
    output_spikes: np.ndarray
    image: np.ndarray | None = None


def choose_samples(labels: np.ndarray, predicted: np.ndarray, *, seed: int = SEED) -> list[int]:
    """Draws the recordings to show: one classified correctly and one not, where there are such recordings.

    Args:
        labels: int `[N]`; recordings without a label (UNLABELED) are not drawn.
        predicted: int `[N]`.
        seed: seed of the draw.

    Returns:
        Indices of at most two recordings.
    """
    known, same = np.asarray(labels) != UNLABELED, np.asarray(labels) == np.asarray(predicted)
    parts = [np.flatnonzero(rows) for rows in (known & same, known & ~same) if rows.any()]
    return [int(part[draw(1, len(part), seed=seed).rows[0]]) for part in parts]


def describe(sample: Sample, classes: tuple[str, ...]) -> SampleJson:
    """Converts a sample to JSON.

    Args:
        sample: the recording.
        classes: names of the K classes.

    Returns:
        Frames as packed bits and the image as PNG, both in base64, and the time steps of the spikes by class.
    """
    frames, spikes = np.asarray(sample.frames), np.asarray(sample.output_spikes)
    return {
        "key": sample.key,
        "label": classes[sample.label],
        "predicted": None if sample.predicted == SILENT else classes[sample.predicted],
        "correct": sample.label == sample.predicted,
        "steps": int(frames.shape[0]),
        "events_per_step": np.count_nonzero(frames.reshape(frames.shape[0], -1), axis=1).tolist(),
        "frames": {"shape": list(frames.shape), "packed_bits": base64_text(np.packbits(frames != 0).tobytes())},
        "output": {name: np.flatnonzero(spikes[:, k]).tolist() for k, name in enumerate(classes)},
        "image_png": None if sample.image is None else png_text(sample.image),
    }


def unpack_frames(frames: PackedFrames) -> np.ndarray:
    """Unpacks the frames of a sample.

    Args:
        frames: the packed frames in report.json.

    Returns:
        bool `[T, C, H, W]`, or `[T, N]` of one-dimensional inputs.
    """
    bits = np.unpackbits(np.frombuffer(base64.b64decode(frames["packed_bits"]), dtype=np.uint8))
    shape = tuple(frames["shape"])
    return bits[: int(np.prod(shape))].reshape(shape).astype(bool)

"""The embedded data set: scikit-learn's 8 x 8 digits in front of a simulated event camera that makes three saccades."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import cast

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.event_synthesis.event_camera import EventCamera
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import read_one
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

VERSION = 1  # change it whenever the scene below changes, so that cached frames are made again
CAMERA = EventCamera(threshold=0.3, mismatch=0.1, noise_hz=0.5)
BACKGROUND = 0.1  # black ink's intensity beside white's 1: paper is never without light
SACCADE_US, SAMPLE_US = 100_000, 5_000
DIGIT_SHARE, REACH_SHARE = 24 / 34, 0.1  # of the sensor's shorter side, much as in N-MNIST
SUB = 64  # positions and weights are whole 64ths of a digit's pixel, so that every machine renders the same
BATCH = 128  # scenes that fit the processor's cache


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The 1,797 digits as recordings of 300 ms on `data.height` x `data.width` pixels, and as images.

    Args:
        data: `[data]` of the recipe.
        progress: not called.

    Raises:
        UserError: the sensor is too small for the digits.
    """
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    found = cast(Bunch, load_digits())
    gray = found.images.astype(np.uint8)  # [N, 8, 8], 0..16
    labels = found.target.astype(np.int64)
    size = round(DIGIT_SHARE * min(data.height, data.width))
    if size < 8:
        raise UserError(
            f"a sensor of {data.height} x {data.width} pixels is too small for the digits",
            where="data.height, data.width",
            hint="use 12 or more",
        )
    keys = tuple(f"{label}/{index:04d}" for index, label in enumerate(labels))
    sensor = (data.height, data.width)
    parts = (VERSION, CAMERA, BACKGROUND, SACCADE_US, SAMPLE_US, sensor, keys)
    content = hashlib.sha256(repr(parts).encode() + gray.tobytes()).hexdigest()

    def read() -> Iterator[Recording]:
        for start in range(0, len(keys), BATCH):
            rows = slice(start, start + BATCH)
            scenes = CAMERA.watch(log_intensities(gray[rows], sensor, size, keys[rows]), SAMPLE_US, keys[rows])
            for events, key, label in zip(scenes, keys[rows], labels[rows], strict=True):
                yield Recording(events=events, sensor=sensor, label=int(label), key=key)

    return RawDataset(
        name="digits",
        description="1,797 handwritten digits of scikit-learn; the events are simulated: an event camera with log "
        "intensity thresholds, pixel mismatch and noise makes three saccades before each digit",
        classes=tuple(str(digit) for digit in range(10)),
        keys=keys,
        labels=labels,
        content_hash=lambda: content,
        read=read,
        images=StaticImages(images=_still(gray, size), labels=labels, keys=keys),
        paired=True,
        simulated=True,
    )


def log_intensities(
    gray: np.ndarray, sensor: tuple[int, int], size: int, keys: tuple[str, ...]
) -> Iterator[np.ndarray]:
    """Log intensities of scenes every SAMPLE_US, while the gaze moves along a triangle.

    Args:
        gray: digits `[B, 8, 8]`, 0 to 16.
        sensor: height and width of the sensor.
        size: side of a digit on the sensor in pixels.
        keys: keys of the digits, which set the start of the gaze.

    Yields:
        float32 `[B, H, W]`.
    """
    log_table = np.log(np.arange(16 * SUB * SUB + 1) / (16 * SUB * SUB) + BACKGROUND).round(6).astype(np.float32)
    height, width = sensor
    reach = REACH_SHARE * min(sensor)
    corners = reach * np.array([[-0.5, -0.5], [0.5, 0.0], [-0.5, 0.5], [-0.5, -0.5]])  # y, x
    start = np.array([_jitter(key) for key in keys])  # [B, 2] pixels
    ink = gray.astype(np.float32)
    for now in range(0, 3 * SACCADE_US + 1, SAMPLE_US):
        saccade = min(now // SACCADE_US, 2)
        done = 0.5 - 0.5 * np.cos(np.pi * (now - saccade * SACCADE_US) / SACCADE_US)  # eased: fast in the middle
        gaze = corners[saccade] * (1 - done) + corners[saccade + 1] * done + start
        rows = _weights(height, size, gaze[:, 0])
        columns = _weights(width, size, gaze[:, 1])
        # Whole numbers below 2^24: float32 products and sums are exact in any order.
        light = np.matmul(np.matmul(rows, ink), columns.transpose(0, 2, 1))
        yield log_table[light.astype(np.int32)]


def _weights(pixels: int, size: int, gaze: np.ndarray) -> np.ndarray:
    """Bilinear weights `[B, pixels, 8]` in 64ths of a digit's 8 rows for each sensor row, `gaze` pixels away."""
    center = (np.arange(pixels) + 0.5 - pixels / 2 + gaze[:, None]) * 8 / size + 3.5
    place = np.rint(center * SUB)
    return np.maximum(0, SUB - np.abs(place[..., None] - SUB * np.arange(8))).astype(np.float32)


def _still(gray: np.ndarray, size: int) -> np.ndarray:
    """The digits as a resting camera sees them: uint8 `[N, 1, size, size]`."""
    weights = _weights(size, size, np.zeros(1))
    light = weights @ gray.astype(np.float32) @ weights.transpose(0, 2, 1)
    return np.rint(light * (255 / (16 * SUB * SUB))).astype(np.uint8)[:, None]


def _jitter(key: str) -> np.ndarray:
    """Start of the gaze, up to half a pixel from the center, by key."""
    digest = hashlib.sha256(f"gaze:{key}".encode()).digest()
    return np.frombuffer(digest[:4], "<u2").astype(float) / 65535 - 0.5


SOURCE = Source(
    name="digits",
    load=load,
    read_file=lambda data, file: read_one(file, (data.height, data.width)),
    about="1,797 handwritten digits of scikit-learn, seen by a simulated event camera making three saccades",
    needs="nothing: the digits come with scikit-learn",
)

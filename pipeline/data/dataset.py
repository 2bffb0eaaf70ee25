"""What the data stage hands on: frames, the static side, and which is paired with which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.events import check_events
from spikeport.pipeline.data.frames.packed import PackedFrames


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Events of one recording: structured `events` with `t` (us, int64), `x`, `y`, `p`; its class and key.

    Refuses to exist (UserError) unless events are sorted by time from 0 on, lie on the sensor and have polarity
    0 or 1. `origin`: the file it came from, for messages. `late_us`: the largest step back in time before its events
    were sorted on request.
    """

    events: np.ndarray
    sensor: tuple[int, int]  # height, width
    label: int
    key: str
    origin: str = ""
    late_us: int = 0

    def __post_init__(self) -> None:
        check_events(self.events, *self.sensor, where=self.origin or f"recording {self.key}")


@dataclass(frozen=True, kw_only=True)
class StaticImages:
    """Static images `[M, C, h, w]` uint8 (C is 1 or 3), their classes `[M]` int64 and their keys.

    A key is shared with the recording that was made from the image, where there is one.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EventSplit:
    """Binned recordings: `frames` `[N, T, 2, H, W]` uint8 of 0 and 1, which a training part may keep as bits and unpack
    batch by batch; `labels` `[N]` int64, keys.

    `twins` are the static images the recordings were made from (row i belongs to recording i), or None.
    `events` `[N]` int64: how many events each recording had before binning, or None where nobody counted.
    `facts` `[N]` FACTS: what is known of each from before it was binned, or None.
    """

    frames: np.ndarray | PackedFrames
    labels: np.ndarray
    keys: tuple[str, ...]
    paired_images: StaticImages | None
    events: np.ndarray | None = None
    facts: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set ready for training. `static` is the only static side that teacher and student may train on:
    it holds no twin of a validation or test recording.

    `dt_s`: one frame's time in seconds. `fingerprint`: sha256 over frames, labels and keys. `simulated`: True
    where no real sensor made the events. `description`: one sentence for the report.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    train: EventSplit
    validation: EventSplit
    test: EventSplit
    static: StaticImages
    dt_s: float
    simulated: bool
    fingerprint: str

"""A loaded data set: binned recordings by part, static images, and which image belongs to which recording.

The parts are map-style data sets as in torch: `len(part)` and `part[i]`, so a `torch.utils.data.DataLoader` takes them.
torch is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.events import check_events
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.tables import text_of

Sample = tuple[np.ndarray, int] | tuple[np.ndarray, int, np.ndarray]  # frames, label, and the image if there is one


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Events of one recording.

    Attributes:
        events: structured array `[N]` with `t` (microseconds, int64), `x`, `y`, `p`; x is the channel of a
            one-dimensional input, whose y and p are 0.
        sensor: height and width of the sensor in pixels; 1 and the number of channels of a one-dimensional input.
        label: number of its class.
        key: name that is unique in its data set.
        origin: the file it was read from, for error messages.
        late_us: largest step back in time before the events were sorted on request, in microseconds.
        start_us: time at which the first frame begins; None: that of the first event.

    Raises:
        UserError: events are not sorted by time from 0 on, lie outside the sensor, or have a wrong polarity.
    """

    events: np.ndarray
    sensor: tuple[int, int]
    label: int
    key: str
    origin: str = ""
    late_us: int = 0
    start_us: int | None = None

    def __post_init__(self) -> None:
        check_events(self.events, *self.sensor, where=self.origin or f"recording {self.key}")

    def __repr__(self) -> str:
        return f"Recording({self.key}: {len(self.events):,} events, class {self.label})"


@dataclass(frozen=True, kw_only=True)
class StaticImages:
    """Static images with their classes.

    Attributes:
        images: uint8 `[M, C, h, w]`, C is 1 or 3.
        labels: int64 `[M]`.
        keys: `M` texts; an image shares its key with the recording that was made from it.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"StaticImages({len(self):,} images of {' x '.join(map(str, self.images.shape[1:]))})"


@dataclass(frozen=True, kw_only=True)
class EventSplit:
    """Binned recordings of one part; a map-style data set of (frames, label) or (frames, label, image).

    Attributes:
        frames: uint8 `[N, T, 2, H, W]` or `[N, T, channels]` of 0 and 1, which a training part keeps as bits, or
            counts.
        labels: int64 `[N]`.
        keys: `N` texts.
        paired_images: the images that the recordings were made from, in the same order, or None.
        events: int64 `[N]`, events of each recording before binning, or None if unknown.
        facts: FACTS `[N]`, properties of each recording before binning, or None if unknown.
        windows: number of windows of each recording; they follow each other, as "<recording>#1", "<recording>#2", ...
        groups: int64 `[N]`, the group of each recording (person, scene, session), or None if unknown.
    """

    frames: np.ndarray | PackedFrames
    labels: np.ndarray
    keys: tuple[str, ...]
    paired_images: StaticImages | None
    events: np.ndarray | None = None
    facts: np.ndarray | None = None
    windows: int = 1
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        """Frames uint8 `[T, 2, H, W]` or `[T, N]`, the label, and the image uint8 `[C, h, w]` of paired images."""
        if not -len(self) <= index < len(self):  # ends a loop over a data set
            raise IndexError(f"{index} is not in a part of {len(self)} recordings")
        frames, label = self.frames[index], int(self.labels[index])
        if self.paired_images is None:
            return frames, label
        return frames, label, self.paired_images.images[index]

    def __repr__(self) -> str:
        paired = "" if self.paired_images is None else ", with images"
        rows = "recordings" if self.windows == 1 else f"windows of {len(self) // self.windows:,} recordings"
        return f"EventSplit({len(self):,} {rows} of {' x '.join(map(str, self.frames.shape[1:]))}{paired})"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set ready for training.

    Attributes:
        name: name of the data set.
        description: one sentence, for the report.
        classes: names of the classes, in order of label.
        train: training part.
        validation: part that selects the epoch.
        test: test part.
        static: the only images that teacher and student may train on; no image of a validation or test recording.
        dt_s: duration of a time step in seconds.
        simulated: whether no real sensor recorded the events.
        fingerprint: sha256 of frames, labels and keys of all parts.
        ready_frames: whether recordings are stored as frames, which state no times.
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
    ready_frames: bool = False

    def __repr__(self) -> str:
        return text_of(
            (
                f"Dataset({self.name}: {len(self.classes)} classes, {1e3 * self.dt_s:g} ms a time step",
                *(f"  {part:<11}{getattr(self, part)!r}" for part in ("train", "validation", "test", "static")),
                ")",
            )
        )

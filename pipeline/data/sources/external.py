"""Data sets from outside the package: `data.source = "package.module:factory"`.

`factory(data)` is called with the recipe's section [data] and returns a map-style data set as in torch and tonic
(`len(dataset)`, `dataset[i]`), a dictionary with the parts "train" and "test", or a `RawDataset`. An item is a tuple of

- events: a structured array with fields for t (microseconds), x, y and p, or frames `[T, 2, H, W]`,
- label: a number, or a text,
- optionally the static image that the recording was made from: uint8 `[1 or 3, h, w]`, or `[h, w]`.

Attributes that the adapter reads where a data set has them: `classes` (names, in order of label), `sensor_size`
((width, height, polarities), as in tonic; events of a larger sensor are scaled down to the frames).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spikeport.errors import UserError
from spikeport.factory import call_factory
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.readers.event_columns import EventFileError, from_columns
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

HINT = "factory(data) returns a data set of items (events, label), (frames, label) or either with an image"
WHERE = "data.source"


class MapStyleDataset(Protocol):
    """A data set of torch or tonic that is indexed from 0 to its length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One item: EVENT_DTYPE events or frames `[T, 2, H, W]`, its label, its image `[C, h, w]` or None."""

    key: str
    values: np.ndarray
    label: str
    image: np.ndarray | None


def load_external(name: str, data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The data set that the factory of this name returns.

    Args:
        name: `package.module:factory`.
        data: the recipe's section [data], which the factory is called with.
        progress: called while items are read.

    Raises:
        UserError: there is no such factory, it fails, or an item is not a recording.
    """
    made = call_factory(name, WHERE, data, hint=HINT)
    if isinstance(made, RawDataset):
        return made
    parts: Mapping[str, MapStyleDataset] = made if isinstance(made, Mapping) else {"": made}
    if not set(parts) <= {"", "train", "test"}:
        raise UserError(f"parts {sorted(parts)} are not train and test", where=WHERE, hint=HINT)
    for part in parts.values():
        if not (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
            raise UserError(f"{name} returned a {type(part).__name__}", where=WHERE, hint=HINT)
    return from_map_style(name, parts, data, progress)


def from_map_style(
    name: str, parts: Mapping[str, MapStyleDataset], data: Data, progress: NamedProgress | None = None
) -> RawDataset:
    """Map-style data sets as one `RawDataset`; every item is read once, and kept in memory until it is binned.

    Args:
        name: name of the data set, for the report.
        parts: one data set under the key "", or the parts "train" and "test".
        data: the recipe's section [data]: size and number of frames.
        progress: called while items are read.

    Raises:
        UserError: an item is not a recording, or labels are not classes.
    """
    total, items = sum(len(dataset) for dataset in parts.values()), list[_Item]()
    for part, dataset in parts.items():
        for index in range(len(dataset)):
            items.append(_item(f"{part}/{index:06d}" if part else f"{index:06d}", dataset[index], dataset, data))
            if progress:
                progress(len(items), total, "reading items")
    if not items:
        raise UserError(f"{name} is empty", where=WHERE, hint=HINT)
    classes = _classes(items, next(iter(parts.values())))
    number = {str(label): row for row, label in enumerate(classes)} | {
        str(row): row for row in range(len(classes)) if str(row) not in classes
    }
    labels = np.array([number[item.label] for item in items], np.int64)
    keys = tuple(item.key for item in items)
    framed = items[0].values.dtype != EVENT_DTYPE
    return RawDataset(
        name=name,
        description=f"{len(items):,} recordings in {len(classes)} classes from {name}",
        classes=classes,
        keys=keys,
        labels=labels,
        content_hash=lambda: _hash(items),
        read=lambda: _recordings(items, labels, data),
        bin=_bin_frames(items) if framed else None,
        images=_images(items, labels),
        paired=items[0].image is not None,
        simulated=False,
        official_test=np.array([key.startswith("test/") for key in keys]) if "test" in parts else None,
    )


def _item(key: str, found: Any, dataset: MapStyleDataset, data: Data) -> _Item:
    if not isinstance(found, Sequence) or len(found) not in (2, 3):
        raise UserError(f"item {key} is not a tuple of two or three values", where=WHERE, hint=HINT)
    values, label = np.asarray(found[0]), np.asarray(found[1])
    if label.ndim and label.size != 1:
        raise UserError(f"the label of item {key} is not one value", where=WHERE, hint=HINT)
    if values.dtype.names:
        try:
            values = _fit(from_columns(values), dataset, data, key)
        except EventFileError as error:
            raise UserError(
                f"the events of item {key} cannot be used", where=WHERE, cause=str(error), hint=error.hint
            ) from error
    elif values.shape != (data.steps, 2, data.height, data.width):
        raise UserError(
            f"item {key} of shape {list(values.shape)} is neither events nor frames of this recipe",
            where=WHERE,
            cause=f"frames have the shape [T, 2, H, W] = {[data.steps, 2, data.height, data.width]}",
            hint="correct data.steps, data.height and data.width, or return a structured array of events",
        )
    image = np.asarray(found[2]) if len(found) == 3 else None
    if image is not None:
        image = image[None] if image.ndim == 2 else image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
            raise UserError(
                f"the image of item {key} is not uint8 [1 or 3, h, w]",
                where=WHERE,
                cause=f"it is {image.dtype} {list(image.shape)}",
                hint=HINT,
            )
    return _Item(key=key, values=values, label=str(label.reshape(-1)[0]), image=image)


def _fit(events: np.ndarray, dataset: MapStyleDataset, data: Data, key: str) -> np.ndarray:
    """Events of a sensor that is larger than the frames, scaled down to them."""
    size = getattr(dataset, "sensor_size", None)
    if not isinstance(size, Sequence) or len(size) < 2 or (size[1], size[0]) == (data.height, data.width):
        return events
    return resizing.shrink(events, key, sensor=(int(size[1]), int(size[0])), target=(data.height, data.width))


def _classes(items: list[_Item], dataset: MapStyleDataset) -> tuple[str, ...]:
    """Names of the classes: the data set's own where they cover all labels, else the labels in order."""
    labels = {item.label for item in items}
    named = getattr(dataset, "classes", None)
    if isinstance(named, Sequence) and labels <= {str(name) for name in named} | {str(n) for n in range(len(named))}:
        return tuple(str(name) for name in named)
    return tuple(sorted(labels, key=lambda label: (0, int(label), "") if label.isdecimal() else (1, 0, label)))


def _recordings(items: list[_Item], labels: np.ndarray, data: Data) -> Iterator[Recording]:
    for item, label in zip(items, labels, strict=True):
        yield Recording(events=item.values, sensor=(data.height, data.width), label=int(label), key=item.key)


def _bin_frames(items: list[_Item]) -> Callable[[Binning, NamedProgress | None], Frames]:
    """Ready frames as bits, where what is not 0 is 1, or as counts up to the limit of the recipe."""

    def pack(binning: Binning, progress: NamedProgress | None) -> Frames:
        facts = np.zeros(len(items), FACTS)  # times before binning are not known: no recording has counted events
        if not binning.counts:
            return Frames(frames=PackedFrames.pack(np.stack([item.values != 0 for item in items])), facts=facts)
        for item in items:
            if item.values.dtype.kind not in "iub" or item.values.min() < 0:
                raise UserError(
                    f"the frames of item {item.key} are not counts", where="data.counts",
                    cause=f"they are {item.values.dtype} from {item.values.min()} to {item.values.max()}",
                    hint="return whole numbers from 0, or leave data.counts out",
                )  # fmt: skip
        counts = np.stack([np.minimum(item.values, binning.counts) for item in items])
        return Frames(frames=counts.astype(np.uint8), facts=facts)

    return pack


def _images(items: list[_Item], labels: np.ndarray) -> StaticImages:
    images = [item.image for item in items if item.image is not None]
    if not images:
        return StaticImages(images=np.zeros((0, 1, 1, 1), np.uint8), labels=np.zeros(0, np.int64), keys=())
    if len(images) < len(items) or len({image.shape for image in images}) > 1:
        raise UserError("not all items have an image of one shape", where=WHERE, hint=HINT)
    return StaticImages(images=np.stack(images), labels=labels, keys=tuple(item.key for item in items))


def _hash(items: list[_Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr((item.key, item.label, item.values.dtype.descr, item.values.shape)).encode())
        digest.update(np.ascontiguousarray(item.values).tobytes())
    return digest.hexdigest()

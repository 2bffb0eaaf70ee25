"""Data sets from outside the package: `data.source = "package.module:factory"`.

`factory(data)` is called with the recipe's section [data] and returns a map-style data set as in torch and tonic
(`len(dataset)`, `dataset[i]`), a dictionary with the parts "train" and "test", or a `RawDataset`. An item is a tuple of

- events: a structured array with fields for t (microseconds), x, y and p, or frames `[T, 2, H, W]` (or one channel);
  with `data.channels` fields for t and x, the channel, or frames `[T, channels]`,
- label: a number, a text, or a vector of 0 with one 1,
- optionally the static image that the recording was made from: uint8 `[1 or 3, h, w]`, or `[h, w]`.

Attributes that the adapter reads where a data set has them: `classes` (names, in order of label), `sensor_size`
((width, height, polarities), as in tonic; events of a larger sensor are scaled down to the frames). They are found
behind `torch.utils.data.Subset` and other wrappers, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from spikeport.errors import UserError
from spikeport.factory import call_factory
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.sources.external_items import (
    HINT,
    WHERE,
    Item,
    MapStyleDataset,
    attribute_of,
    check_map_style,
    frames_of,
    read_item,
)
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


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
        check_map_style(part, name)
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
    total, items = sum(len(dataset) for dataset in parts.values()), list[Item]()
    for part, dataset in parts.items():
        for index in range(len(dataset)):
            items.append(read_item(f"{part}/{index:06d}" if part else f"{index:06d}", dataset, index, data))
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
    framed = items[0].is_frames
    if other := next((item for item in items if item.is_frames != framed), None):
        kinds = ("frames", "events") if framed else ("events", "frames")
        raise UserError(f"item {items[0].key} holds {kinds[0]}, item {other.key} {kinds[1]}", where=WHERE, hint=HINT)
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


def _classes(items: list[Item], dataset: MapStyleDataset) -> tuple[str, ...]:
    """Names of the classes: the data set's own where they cover all labels, else the labels in order."""
    labels = {item.label for item in items}
    named = attribute_of(dataset, "classes")
    if isinstance(named, Sequence) and labels <= {str(name) for name in named} | {str(n) for n in range(len(named))}:
        return tuple(str(name) for name in named)
    return tuple(sorted(labels, key=lambda label: (0, int(label), "") if label.isdecimal() else (1, 0, label)))


def _recordings(items: list[Item], labels: np.ndarray, data: Data) -> Iterator[Recording]:
    for item, label in zip(items, labels, strict=True):
        yield Recording(events=item.values, sensor=data.frame_size, label=int(label), key=item.key)


def _bin_frames(items: list[Item]) -> Callable[[Binning, NamedProgress | None], Frames]:
    """Ready frames as bits, where what is not 0 is 1, or as counts up to the limit of the recipe."""

    def pack(binning: Binning, progress: NamedProgress | None) -> Frames:
        facts = np.zeros(len(items), FACTS)  # times before binning are not known: no recording has counted events
        if not binning.counts:
            return Frames(frames=PackedFrames.pack(np.stack([frames_of(item) for item in items])), facts=facts)
        return Frames(frames=np.stack([frames_of(item, binning.counts) for item in items]), facts=facts)

    return pack


def _images(items: list[Item], labels: np.ndarray) -> StaticImages:
    images = [item.image for item in items if item.image is not None]
    if not images:
        return StaticImages(images=np.zeros((0, 1, 1, 1), np.uint8), labels=np.zeros(0, np.int64), keys=())
    if len(images) < len(items) or len({image.shape for image in images}) > 1:
        raise UserError("not all items have an image of one shape", where=WHERE, hint=HINT)
    return StaticImages(images=np.stack(images), labels=labels, keys=tuple(item.key for item in items))


def _hash(items: list[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr((item.key, item.label, item.values.dtype.descr, item.values.shape)).encode())
        digest.update(np.ascontiguousarray(item.values).tobytes())
    return digest.hexdigest()

"""Items of data sets from outside the package: events or frames, a label, and perhaps an image."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.events import EVENT_DTYPE, in_order
from spikeport.pipeline.data.readers.event_columns import ALIASES, EventFileError, from_columns
from spikeport.pipeline.data.readers.frame_files import NotCountsError, two_channel_counts, two_channels
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.run.sections.data import Data

HINT = "factory(data) returns a data set of items (events, label), (frames, label) or either with an image"
WHERE = "data.source"
POLARITY = ALIASES["p"]
_WRAPPERS = 8  # data sets inside data sets that are looked through


class MapStyleDataset(Protocol):
    """A data set of torch or tonic that is indexed from 0 to its length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item.

    Attributes:
        key: its key.
        values: EVENT_DTYPE events, or frames as the data set has them.
        label: its label, as text.
        image: uint8 `[C, h, w]`, or None.
    """

    key: str
    values: np.ndarray
    label: str
    image: np.ndarray | None

    @property
    def is_frames(self) -> bool:
        """Whether it holds frames."""
        return self.values.dtype != EVENT_DTYPE


def check_map_style(dataset: Any, name: str) -> None:
    """Checks that a data set has a length and is indexed.

    Args:
        dataset: what the factory returned.
        name: the factory, for errors.

    Raises:
        UserError: it is a loader, an iterable or a pair of data sets, or no data set at all.
    """
    hint = ""
    if isinstance(dataset, tuple | list) and dataset and all(_is_dataset(part) for part in dataset):
        hint = 'for a test part, return {"train": ..., "test": ...}'
    elif hasattr(dataset, "batch_size") and hasattr(dataset, "dataset"):
        hint = "return the data set of the loader, loader.dataset"
    elif hasattr(dataset, "__iter__") and not _is_indexed(dataset):
        hint = "recordings are read by number, to split them: return list(dataset), or a data set with an index"
    elif not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        hint = HINT
    if hint:
        raise UserError(f"{name} returned a {type(dataset).__name__}", where=WHERE, hint=hint)


def read_item(key: str, dataset: MapStyleDataset, index: int, data: Data) -> Item:
    """Reads one item.

    Args:
        key: its key.
        dataset: the data set.
        index: its number.
        data: the recipe's section [data]: size and number of frames.

    Raises:
        UserError: the data set fails, or the item is not a recording with a label.
    """
    try:
        found = dataset[index]
    except UserError:
        raise
    except Exception as error:  # the code of a user raises whatever it likes
        raise UserError(
            f"item {key} cannot be read", where=WHERE, cause=f"{type(error).__name__}: {error}"[:300],
            hint=f"dataset[{index}] of your data set must return it",
        ) from error  # fmt: skip
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) not in (2, 3):
        kind = (
            f"a dictionary with {', '.join(map(str, found))[:60]}" if isinstance(found, dict) else type(found).__name__
        )
        raise UserError(
            f"item {key} is not a tuple of two or three values", where=WHERE, cause=f"it is {kind}", hint=HINT
        )
    values, label = _array(found[0], f"item {key}"), _label(found[1], key)
    if values.dtype.names:
        try:
            values = from_columns(values if data.channels is None else _of_channels(values))
        except EventFileError as error:
            raise _unusable("events", key, error) from error
        if late := in_order(values)[1]:
            raise UserError(
                f"the events of item {key} are not sorted by time", where=WHERE, cause=f"by up to {late} us",
                hint='return events[numpy.argsort(events["t"], kind="stable")]',
            )  # fmt: skip
        values = _fit(values, dataset, data, key)
    else:
        _check_shape(values, key, data)
    image = None if len(found) == 2 else _image(_array(found[2], f"the image of item {key}"), key)
    return Item(key=key, values=values, label=label, image=image)


def frames_of(item: Item, counts: int = 0) -> np.ndarray:
    """The frames of an item as 0 and 1, bool `[T, 2, H, W]` or `[T, channels]`, or as counts, uint8.

    Args:
        item: an item with frames.
        counts: largest count; 0: frames are 0 and 1.

    Raises:
        UserError: what its values mean is not known, or they are no counts.
    """
    flat = item.values.ndim == 2  # channels are a plane of one row
    values = item.values[:, None, None] if flat else item.values
    try:
        found = two_channel_counts(values, counts) if counts else two_channels(values)
        return found.max(axis=1)[:, 0] if flat else found
    except NotCountsError as error:
        message = f"the frames of item {item.key} are not counts"
        raise UserError(message, where="data.counts", cause=str(error), hint=error.hint) from error
    except EventFileError as error:
        raise _unusable("frames", item.key, error) from error


def attribute_of(dataset: Any, name: str) -> Any:
    """An attribute of a data set, or of the one that it wraps (Subset, ConcatDataset, tonic's caches); else None.

    Args:
        dataset: the data set.
        name: name of the attribute.
    """
    for _ in range(_WRAPPERS):
        if (found := getattr(dataset, name, None)) is not None:
            return found
        inner = getattr(dataset, "dataset", None)
        many = getattr(dataset, "datasets", None)
        dataset = many[0] if inner is None and isinstance(many, Sequence) and many else inner
        if dataset is None:
            break
    return None


def _is_dataset(part: Any) -> bool:
    plain = isinstance(part, Sequence | Mapping) or hasattr(part, "dtype")
    return hasattr(part, "__len__") and hasattr(part, "__getitem__") and not plain


def _is_indexed(dataset: Any) -> bool:
    """Whether an index leads to an item: torch's IterableDataset inherits one that only raises."""
    torch = sys.modules.get("torch.utils.data")
    iterable = torch is not None and isinstance(dataset, torch.IterableDataset)
    return not iterable and hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")


def _array(found: Any, what: str) -> np.ndarray:
    """A value as an array; tensors may be sparse, on a device, or part of a graph."""
    try:
        if getattr(found, "is_sparse", False):
            found = found.to_dense()
        if hasattr(found, "detach"):
            found = found.detach().cpu()
        array = np.asarray(found)
    except Exception as error:  # as of read_item
        cause = f"{type(error).__name__}: {error}"[:300]
        raise UserError(f"{what} is no array", where=WHERE, cause=cause, hint=HINT) from error
    if array.dtype.kind not in "iufbV" or (array.dtype.kind == "V" and not array.dtype.names):
        raise UserError(f"{what} is no array of numbers", where=WHERE, cause=f"it is {array.dtype}", hint=HINT)
    return array


def _label(found: Any, key: str) -> str:
    """The label as text: a whole number, a text, or the place of the one 1 in a vector of 0."""
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    label = found if isinstance(found, str) else np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)
    if isinstance(label, str):
        return label
    if label.size > 1:
        if label.ndim == 1 and label.dtype.kind in "iufb" and (label == 1).sum() == 1 and (label != 0).sum() == 1:
            return str(int(np.argmax(label)))
        raise UserError(
            f"the label of item {key} is not one value", where=WHERE,
            cause=f"it is {label.dtype} {list(label.shape)}, " + np.array2string(label.reshape(-1)[:6]),
            hint="return the number or the name of its class, or a vector of 0 with one 1",
        )  # fmt: skip
    if label.size == 0 or label.dtype.kind not in "iufbUS":
        hint = "return the number or the name of its class"
        raise UserError(
            f"the label of item {key} is not a class", where=WHERE, cause=f"it is {found!r}"[:120], hint=hint
        )
    value = label.reshape(-1)[0]
    if label.dtype.kind == "f":
        if not float(value).is_integer():
            hint = "return the number or the name of its class; values that are measured are no classes"
            raise UserError(f"the label of item {key} is {value:g}", where=WHERE, hint=hint)
        value = int(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fit(events: np.ndarray, dataset: MapStyleDataset, data: Data, key: str) -> np.ndarray:
    """Events of a sensor that is larger than the frames, scaled down to them."""
    size = attribute_of(dataset, "sensor_size")
    if not isinstance(size, Sequence) or len(size) < 2 or (size[1], size[0]) == data.frame_size:
        return events
    return resizing.shrink(events, key, sensor=(int(size[1]), int(size[0])), target=data.frame_size)


def _of_channels(events: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of events of a one-dimensional input; they need no y, and polarity is not used."""
    none = np.zeros(len(events), np.int8)
    return {"y": none, **{name: events[name] for name in events.dtype.names or () if name not in POLARITY}, "p": none}


def _check_shape(values: np.ndarray, key: str, data: Data) -> None:
    """Refuses frames of another number or size than those of the recipe."""
    height, width = data.frame_size
    allowed: list[tuple[int, ...]] = [
        (data.steps, 2, height, width), (data.steps, 1, height, width), (data.steps, height, width),
    ]  # fmt: skip
    axes, sizes = "T, 2, H, W", "data.height and data.width"
    if data.channels is not None:
        allowed, axes, sizes = [(data.steps, data.channels)], "T, N", "data.channels"
    if values.shape in allowed:
        return
    hint = f"correct data.steps, {sizes}, or return a structured array of events"
    if values.ndim in (3, 4) and values.shape[1:] in [shape[1:] for shape in allowed]:
        hint = f"set data.steps = {values.shape[0]}, or bin all recordings into {data.steps} frames, as tonic's "
        hint += "ToFrame(sensor_size, n_time_bins=...) does"
    elif values.ndim == 4 and values.shape[3] in (1, 2) and values.shape[1] not in (1, 2):
        hint = "the channel seems to be the last axis: return numpy.moveaxis(frames, 3, 1)"
    raise UserError(
        f"item {key} of shape {list(values.shape)} is neither events nor frames of this recipe", where=WHERE,
        cause=f"frames have the shape [{axes}] = {list(allowed[0])}", hint=hint,
    )  # fmt: skip


def _image(image: np.ndarray, key: str) -> np.ndarray:
    image = image[None] if image.ndim == 2 else image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise UserError(
            f"the image of item {key} is not uint8 [1 or 3, h, w]", where=WHERE,
            cause=f"it is {image.dtype} {list(image.shape)}", hint=HINT,
        )  # fmt: skip
    return image


def _unusable(what: str, key: str, error: EventFileError) -> UserError:
    return UserError(f"the {what} of item {key} cannot be used", where=WHERE, cause=str(error), hint=error.hint)

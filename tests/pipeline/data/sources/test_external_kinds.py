"""Data sets of torch and tonic as people have them: wrapped, transformed, with labels of many kinds; or refused."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tonic
import torch
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.run.sections.data import Data

STEPS, HEIGHT, WIDTH, COUNT = 3, 4, 6, 12
EVENTS = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
Load = Callable[..., Dataset]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Loads what a factory returns."""

    def loaded(made: Any, **changes: Any) -> Dataset:
        module = ModuleType("kinds")
        module.make = lambda data: made  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "kinds", module)
        values = {
            "source": "kinds:make", "height": HEIGHT, "width": WIDTH, "steps": STEPS, "step_us": 100, "train": 8,
            "validation": 2, "test": 2, **changes,
        }  # fmt: skip
        return load_dataset(Data.model_validate(values), cache=tmp_path / "cache")

    return loaded


def events(index: int) -> np.ndarray:
    """One event for each step, on a sensor of twice the size: row 3 and column 2 c + 1; OFF in even recordings."""
    return np.array([(2 * (index % 6) + 1, 3, 100 * step, index % 2) for step in range(STEPS)], EVENTS)


def expected(index: int) -> np.ndarray:
    frames = np.zeros((STEPS, 2, HEIGHT, WIDTH), np.uint8)
    frames[:, index % 2, 1, index % 6] = 1
    return frames


class Camera(tonic.Dataset):
    """tonic's base class, with its transforms."""

    sensor_size = (12, 8, 2)
    classes = ("ant", "bee")

    def __init__(self, transform: Any = None, label: Callable[[int], Any] = lambda index: index % 2) -> None:
        super().__init__("unused", transform=transform)
        self.label = label

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < COUNT:
            raise IndexError(index)
        found = events(index)
        return (found if self.transform is None else self.transform(found)), self.label(index)


def check(dataset: Dataset, order: Callable[[int], int] = int) -> None:
    """All parts have the frames and labels of their recordings."""
    seen = 0
    for part in (dataset.train, dataset.validation, dataset.test):
        for key, (frames, label) in zip(part.keys, part, strict=True):
            index = order(int(key))
            np.testing.assert_array_equal(frames, expected(index), err_msg=key)
            assert dataset.classes[label] == ("ant", "bee")[index % 2]
            seen += 1
    assert seen == COUNT


to_frames = tonic.transforms.Compose(
    [tonic.transforms.Downsample(spatial_factor=0.5), tonic.transforms.ToFrame((6, 4, 2), event_count=1)]
)
WRAPPED: dict[str, tuple[Any, Callable[[int], int]]] = {
    "tonic": (Camera(), int),
    "tonic to frames": (Camera(to_frames), int),
    "Subset": (Subset(Camera(), list(range(COUNT))[::-1]), lambda index: COUNT - 1 - index),
    "Subset of a Subset": (Subset(Subset(Camera(), range(COUNT)), range(COUNT)), int),
    "ConcatDataset": (ConcatDataset([Subset(Camera(), range(5)), Subset(Camera(), range(5, COUNT))]), int),
    "tonic's memory cache": (tonic.MemoryCachedDataset(Camera()), int),
    "list": (list(Camera()), int),
}


@pytest.mark.parametrize("name", [name for name in WRAPPED if name != "list"])
def test_wrapped_data_sets_keep_sensor_and_classes(load: Load, name: str) -> None:
    made, order = WRAPPED[name]
    check(load(made), order)


def test_a_list_has_no_sensor_and_says_what_is_outside(load: Load) -> None:
    with pytest.raises(UserError, match=r"recording 00000\d: an event lies outside the sensor"):
        load(WRAPPED["list"][0])
    dataset = load(WRAPPED["list"][0], height=8, width=12)
    assert dataset.classes == ("0", "1")
    assert dataset.train.frames[0].sum() == STEPS


LABELS: dict[str, Callable[[int], Any]] = {
    "number": lambda index: index % 2,
    "NumPy's number": lambda index: np.int64(index % 2),
    "text": lambda index: ("ant", "bee")[index % 2],
    "NumPy's text": lambda index: np.str_(("ant", "bee")[index % 2]),
    "bytes": lambda index: (b"ant", b"bee")[index % 2],
    "tensor": lambda index: torch.tensor(index % 2),
    "tensor of one axis": lambda index: torch.tensor([index % 2]),
    "floating point": lambda index: torch.tensor(float(index % 2)),
    "one-hot tensor": lambda index: torch.nn.functional.one_hot(torch.tensor(index % 2), 2),
    "one-hot array": lambda index: np.eye(2, dtype=np.float32)[index % 2],
    "one-hot list": lambda index: [1 - index % 2, index % 2],
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind_name_the_class(load: Load, name: str) -> None:
    check(load(Camera(label=LABELS[name])))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (np.array([0.7, 0.3]), r"not one value.*float64 \[2\].*a vector of 0 with one 1"),
        (np.array([1, 1]), "not one value"),
        (np.eye(2), r"not one value.*float64 \[2, 2\]"),
        (0.5, "the label of item 000000 is 0.5.*measured are no classes"),
        (None, "the label of item 000000 is not a class.*None"),
        ({"label": 1}, "the label of item 000000 is not a class"),
    ],
)
def test_labels_that_are_no_class_are_refused(load: Load, label: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(Camera(label=lambda index: label))


def tensors(change: Callable[[torch.Tensor], torch.Tensor] = lambda frames: frames) -> TensorDataset:
    frames = torch.tensor(np.stack([expected(index) for index in range(COUNT)]))
    return TensorDataset(change(frames), torch.arange(COUNT) % 2)


FRAMES: dict[str, tuple[Any, bool]] = {
    "uint8": (tensors(), False),
    "float": (tensors(lambda frames: frames.float() * 2.5), False),
    "with gradient": (tensors(lambda frames: frames.float().requires_grad_()), False),
    "bool": (tensors(lambda frames: frames.bool()), False),
    "signed, one channel": (tensors(lambda frames: (frames[:, :, 1].int() - frames[:, :, 0].int())[:, :, None]), False),
    "signed, no channel": (tensors(lambda frames: frames[:, :, 1].int() - frames[:, :, 0].int()), False),
    "one channel": (tensors(lambda frames: frames.amax(dim=2, keepdim=True)), True),
    "sparse": ([(frames.to_sparse(), label) for frames, label in tensors()], False),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_tensors(load: Load, name: str) -> None:
    made, on_only = FRAMES[name]
    dataset = load(made)
    assert dataset.classes == ("0", "1")
    for part in (dataset.train, dataset.validation, dataset.test):
        for key, (frames, label) in zip(part.keys, part, strict=True):
            one = expected(int(key))
            if on_only:
                one = np.stack([np.zeros_like(one[:, 0]), one.max(axis=1)], axis=1)
            np.testing.assert_array_equal(frames, one)
            assert label == int(key) % 2


def test_counts_of_tensors_are_kept_where_the_recipe_asks_for_them(load: Load) -> None:
    dataset = load(tensors(lambda frames: 5 * (frames[:, :, 1].int() - frames[:, :, 0].int())), counts=4)
    for key, (frames, _) in zip(dataset.test.keys, dataset.test, strict=True):
        np.testing.assert_array_equal(frames, 4 * expected(int(key)))


class Stream(IterableDataset):
    """Items one after the other."""

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        return iter([(events(index), index % 2) for index in range(COUNT)])


class LongStream(Stream):
    """With a length, as torch allows."""

    def __len__(self) -> int:
        return COUNT


class Broken(Camera):
    """Fails at an item."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index == 3:
            raise OSError("no such recording")
        return super().__getitem__(index)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "IterableDataset": (Stream(), {}, r"returned a Stream.*read by number.*return list\(dataset\)"),
    "IterableDataset with a length": (LongStream(), {}, r"returned a LongStream.*return list\(dataset\)"),
    "generator": (iter(Camera()), {}, r"returned a .*return list\(dataset\)"),
    "DataLoader": (DataLoader(tensors()), {}, "returned a DataLoader.*return the data set of the loader"),
    "pair": ((Camera(), Camera()), {}, r'returned a tuple.*return \{"train": ..., "test": ...\}'),
    "failing": (Broken(), {}, r"item 000003 cannot be read: OSError: no such recording.*dataset\[3\]"),
    "dictionaries": ([{"frames": 1, "label": 2}] * 3, {}, "item 000000 is not a tuple.*dictionary with frames, label"),
    "no labels": (TensorDataset(torch.zeros(5, STEPS, 2, HEIGHT, WIDTH)), {}, "item 000000 is not a tuple of two"),
    "text": ([("ab", 0), ("cd", 1)], {}, "item 000000 is no array of numbers"),
    "not sorted": (Camera(lambda found: found[::-1]), {}, "item 000000 are not sorted.*by up to 100 us.*argsort"),
    "other steps": (tensors(lambda frames: frames[:, :2]), {}, r"set data\.steps = 2.*ToFrame"),
    "varying steps": (Camera(tonic.transforms.ToFrame((12, 8, 2), time_window=50)), {"height": 8, "width": 12},
                      r"set data\.steps = 4, or bin all"),
    "other size": (tensors(lambda frames: frames[..., :3]), {}, r"\[3, 2, 4, 3\] is neither.*\[3, 2, 4, 6\]"),
    "channels last": (tensors(lambda frames: frames.movedim(2, -1)), {}, r"numpy\.moveaxis\(frames, 3, 1\)"),
    "gray film": (tensors(lambda frames: frames[:, :, 0].float() + 0.5), {},
        "100% of its pixels are not 0.*store 0 where"),
    "negative": (tensors(lambda frames: -frames.int()), {}, "two channels with negative values"),
    "not finite": (tensors(lambda frames: frames.float() / 0), {}, "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_of_recordings_is_refused_with_the_way_out(load: Load, name: str) -> None:
    made, changes, words = REFUSED[name]
    with pytest.raises(UserError, match=words) as caught:
        load(made, **changes)
    assert "Hint: " in str(caught.value)


def test_frames_beside_events_are_refused(load: Load) -> None:
    one = np.array([(0, 0, 5, 1)], EVENTS)
    made = [(expected(index) if index == 4 else one, index % 2) for index in range(COUNT)]
    with pytest.raises(UserError, match="item 000000 holds events, item 000004 frames"):
        load(made)


def test_tonics_own_cards_are_read_through_it(load: Load, shared_data: Path, tmp_path: Path, monkeypatch) -> None:
    """48 real recordings of tonic.datasets.POKERDVS: frames of events equal those that tonic's ToFrame makes."""
    shutil.copytree(shared_data / "POKERDVS/npy/train", tmp_path / "POKERDVS/pips_train")
    monkeypatch.setattr(tonic.datasets.POKERDVS, "_check_exists", lambda self: True)
    binned = tonic.transforms.ToFrame(tonic.datasets.POKERDVS.sensor_size, time_window=2_000, include_incomplete=True)
    steps = {"steps": 5, "step_us": 2_000, "height": 35, "width": 35, "train": 0, "validation": 4, "test": 8}
    as_events = load(tonic.datasets.POKERDVS(str(tmp_path)), **steps)
    first = tonic.transforms.Compose([binned, lambda frames: np.resize(frames[:5], (5, 2, 35, 35))])
    long = [len(binned(events)) >= 5 for events, _ in tonic.datasets.POKERDVS(str(tmp_path))]
    assert np.mean(long) > 0.9
    as_frames = load(tonic.datasets.POKERDVS(str(tmp_path), transform=first), **steps)
    assert as_events.classes == as_frames.classes == ("cl", "he", "di", "sp")
    assert as_events.test.keys == as_frames.test.keys
    for key, one, other in zip(as_events.test.keys, as_events.test.frames, as_frames.test.frames, strict=True):
        if long[int(key)]:
            np.testing.assert_array_equal(one, other, err_msg=key)

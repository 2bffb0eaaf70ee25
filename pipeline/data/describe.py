"""Facts that `spikeport data list` and `spikeport data info` print."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.data.windows import window_of


def list_sources() -> list[dict[str, str]]:
    """`name`, `about` and `needs` of every data source."""
    return [{"name": name, "about": source.about, "needs": source.needs} for name, source in SOURCES.items()]


def describe(dataset: Dataset) -> dict[str, Any]:
    """Facts of a loaded data set as JSON: sizes, classes of each part, events, activity, time step, and the window.

    Args:
        dataset: the data set.
    """
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    shape = dataset.train.frames.shape[1:]
    names = ("steps", "channels", "height", "width")[: len(shape)]
    return {
        "name": dataset.name,
        "description": dataset.description,
        "simulated": dataset.simulated,
        "classes": list(dataset.classes),
        "frames": dict(zip(names, shape, strict=True)),
        "dt_s": dataset.dt_s,
        "splits": {name: _split(part, len(dataset.classes)) for name, part in splits.items()},
        "static": {
            "images": len(dataset.static.keys),
            "shape": list(dataset.static.images.shape[1:]),
            "by_class": _by_class(dataset.static.labels, len(dataset.classes)),
        },
        "window": window_of(dataset),
        "paired": dataset.train.paired_images is not None,
        "fingerprint": dataset.fingerprint,
    }


def _split(part: EventSplit, classes: int) -> dict[str, object]:
    counts = None if part.events is None else part.events[:: part.windows]
    return {
        "recordings": len(part) // part.windows,
        **({"windows": len(part)} if part.windows > 1 else {}),
        "by_class": _by_class(part.labels[:: part.windows], classes),
        "events_per_recording": None
        if counts is None or not len(counts)
        else {"mean": float(counts.mean()), "min": int(counts.min()), "max": int(counts.max())},
        # of all pixels or channels, both polarities, all steps
        "active_share": float((np.asarray(part.frames) > 0).mean()) if len(part.frames) else None,
    }


def _by_class(labels: np.ndarray, classes: int) -> list[int]:
    return np.bincount(labels, minlength=classes).tolist()

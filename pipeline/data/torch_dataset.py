"""Parts of a data set as torch Datasets. This file imports torch; `dataset.py` does not, for commands without torch."""

from __future__ import annotations

from dataclasses import fields, replace

import torch.utils.data

from spikeport.pipeline.data.dataset import Dataset, EventSplit, Sample


class TorchEventSplit(EventSplit, torch.utils.data.Dataset[Sample]):
    """One part, with the same attributes and items as `EventSplit`."""


def with_torch_parts(dataset: Dataset) -> Dataset:
    """The same data set; `train`, `validation` and `test` are instances of `torch.utils.data.Dataset`.

    Args:
        dataset: the data set.
    """
    return replace(
        dataset, train=_as_torch(dataset.train), validation=_as_torch(dataset.validation), test=_as_torch(dataset.test)
    )


def _as_torch(part: EventSplit) -> TorchEventSplit:
    return TorchEventSplit(**{field.name: getattr(part, field.name) for field in fields(EventSplit)})

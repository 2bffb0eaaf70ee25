"""The parts that `sp.load_dataset` returns are torch Datasets with the same items as the parts that a run uses."""

import numpy as np
import torch
from torch.utils.data import DataLoader

import spikeport as sp
from spikeport.pipeline.data.load import load_dataset


def test_parts_are_torch_datasets_with_the_items_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path))
    recipe = sp.load_recipe("digits", {"data.train": 70, "data.validation": 3, "data.test": 5, "data.steps": 4})
    dataset, plain = sp.load_dataset(recipe), load_dataset(recipe, cache=tmp_path)
    assert dataset.fingerprint == plain.fingerprint
    for name, count in (("train", 70), ("validation", 3), ("test", 5)):
        part, expected = getattr(dataset, name), getattr(plain, name)
        assert isinstance(part, torch.utils.data.Dataset)
        assert not isinstance(expected, torch.utils.data.Dataset)
        assert len(part) == count
        frames, label, image = part[1]
        assert frames.shape == (4, 2, 28, 28)
        np.testing.assert_array_equal(frames, expected[1][0])
        assert (label, image.shape) == (expected[1][1], expected[1][2].shape)
    frames, labels, images = next(iter(DataLoader(dataset.test, batch_size=3)))
    assert (frames.shape, labels.shape, len(images)) == ((3, 4, 2, 28, 28), (3,), 3)

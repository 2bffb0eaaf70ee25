"""Checkpoints that cannot be resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
from learning_data import tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.training.checkpoints import CHECKPOINT
from spikeport.pipeline.training.train import train_student


@pytest.mark.parametrize("content", [b"", b"no tensors here", b"\x80\x04pickle."])
def test_an_unreadable_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(UserError, match=rf"{CHECKPOINT}: cannot be read as a checkpoint.*delete it"):
        train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path)


def test_another_recipes_checkpoint_is_refused(tmp_path: Path) -> None:
    train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path)
    with pytest.raises(UserError, match=r"belongs to another recipe.*Hint"):
        train_student(tiny_recipe(training={"lr": 0.5}), tiny_dataset(), None, "baseline", tmp_path)
    with pytest.raises(UserError, match="belongs to another recipe"):
        train_student(tiny_recipe(), tiny_dataset(train=24), None, "baseline", tmp_path)

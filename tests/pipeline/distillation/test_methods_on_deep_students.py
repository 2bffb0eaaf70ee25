"""Every method takes a training step with the published deep students, VGG-SNN and a spiking ResNet, made narrow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import Bright, tiny_dataset, tiny_recipe
from torch import nn

from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.distillation.objective import uses_teacher
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.training.train import initial_student, train_student

HEIGHT, WIDTH = 16, 32
DEEP = {"vgg-snn": ("vgg11", 0.06), "resnet18-snn": ("resnet18", 0.06)}  # student, teacher, width of both


def dataset() -> Dataset:
    """Nine recordings, one batch, of frames that halve four times."""

    def wide(split: EventSplit) -> EventSplit:
        _, _, _, height, width = split.frames.shape
        margins = [(0, 0)] * 3 + [(0, HEIGHT - height), (0, WIDTH - width)]
        return replace(split, frames=np.pad(split.frames, margins))

    data = tiny_dataset(train=9, paired_images=True)
    return replace(data, train=wide(data.train), validation=wide(data.validation), test=wide(data.test))


@pytest.mark.parametrize("network", DEEP)
@pytest.mark.parametrize("method", METHODS)
def test_a_training_step(method: str, network: str, tmp_path: Path) -> None:
    """One step without weight decay: every convolution of the student has moved, and is finite."""
    teacher_network, width = DEEP[network]
    recipe = tiny_recipe(
        data={"height": HEIGHT, "width": WIDTH},
        distillation={"method": method},
        student={"network": network, "width": width, "beta": 0.5, "v_threshold": 0.3},
        teacher={"network": teacher_network, "width": width},
        training={"epochs": 1, "batch": 9, "warmup_epochs": 0, "weight_decay": 0.0, "ema_decay": 0.0},
        synthesis={"kind": "simulator"},
    )
    data, spec = dataset(), method_spec(recipe.distillation)
    torch.manual_seed(0)
    teacher = build_teacher(recipe.teacher, (3, HEIGHT, WIDTH), 3) if uses_teacher(spec) else None
    start = initial_student(recipe, data)
    student = train_student(recipe, data, teacher, method, tmp_path, synthesizer=Bright())
    pairs = [
        (name, before.weight, after.weight)
        for (name, before), after in zip(start.named_modules(), student.modules(), strict=True)
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.Conv2d)
    ]
    assert len(pairs) == {"vgg-snn": 8, "resnet18-snn": 20}[network]
    assert all(torch.isfinite(after).all() for _, _, after in pairs)
    assert [name for name, before, after in pairs if torch.equal(before, after)] == []

"""A small network that needs adapt, and recordings whose classes it can tell apart."""

from __future__ import annotations

import numpy as np
import snntorch
import torch
from torch import nn

SHAPE, CLASSES, DT = (2, 8, 9), 3, 1e-3
SETTINGS = {"dt_s": DT, "input_shape": SHAPE, "epochs": 3, "batch": 9, "threads": 1, "seed": 3}


def source() -> nn.Sequential:
    """A network of snnTorch's defaults: subtraction, pools of currents; its classes differ by place of the events."""
    torch.manual_seed(4)

    def lif(**more) -> snntorch.Leaky:
        return snntorch.Leaky(beta=0.6, init_hidden=True, threshold=0.25, **more)

    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), lif(), nn.Flatten(), nn.Linear(4 * 3 * 3, CLASSES), lif(output=True)
    )


def columns() -> tuple[np.ndarray, np.ndarray]:
    """Events that are dense in a third of the columns, by class: 30 frames of 6 steps, and their labels."""
    rng = np.random.default_rng(5)
    labels = np.arange(30) % CLASSES
    density = np.full((30, 1, 1, 1, 9), 0.1)
    for row, label in enumerate(labels):
        density[row, ..., 3 * label : 3 * label + 3] = 0.6
    return (rng.random((30, 6, *SHAPE)) < density).astype(np.uint8), labels

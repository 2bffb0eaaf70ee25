"""Networks as people write them, with snnTorch neurons."""

from __future__ import annotations

import snntorch
import torch
from torch import nn
from torch.nn import functional


def leaky(**settings) -> snntorch.Leaky:
    return snntorch.Leaky(beta=0.5, reset_mechanism="zero", **settings)


class ByHand(nn.Module):
    """Membranes passed by hand in a loop over time, as in snnTorch's tutorial 5; a static input."""

    def __init__(self, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 5), leaky(), nn.Linear(5, 3), leaky()

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class OverTime(nn.Module):
    """A loop over a recording `[T, B, ...]`, nested blocks, and functions between the modules."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout2d(0.5))
        self.lif1, self.lif2 = leaky(), leaky()
        self.fc = nn.Linear(3 * 3 * 4, 5)

    def forward(self, recording):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        out = []
        for step in range(recording.size(0)):
            spk1, mem1 = self.lif1(self.block(recording[step]), mem1)
            pooled = functional.max_pool2d(spk1, 2)
            spk2, mem2 = self.lif2(
                self.fc(functional.dropout(pooled.view(pooled.size(0), -1), 0.2, self.training)), mem2
            )
            out.append(spk2)
        return torch.stack(out)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.short = nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(2, 3, 1, 2)
        self.lif1, self.lif2 = leaky(init_hidden=True), leaky(init_hidden=True, output=True)

    def forward(self, x):
        return self.lif2(self.conv2(self.lif1(self.conv1(x))) + self.short(x))

"""Live torch modules for several tests."""

from __future__ import annotations

import numpy as np
import snntorch
import torch
from torch import nn

DT = 1e-3


def on_grid(module: nn.Module, seed: int, largest: int = 40) -> nn.Module:
    """Sets weights to even integers and biases to integers, over 64."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(2 * rng.integers(-largest, largest, module.weight.shape) / 64))
        if module.bias is not None:
            module.bias.copy_(torch.tensor(rng.integers(-9, 9, module.bias.shape) / 64))
    return module


def settled(net: nn.Module, seed: int) -> nn.Module:
    """Weights on the grid of 64ths, norms as after training. float32 holds the states exactly for 12 steps."""
    torch.manual_seed(seed)
    for number, module in enumerate(net.modules()):
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            on_grid(module, seed + number)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


def leaky(taken: int, threshold: float, **settings) -> snntorch.Leaky:
    """A Leaky whose membrane loses `taken` 4096ths in each step."""
    settings = {"reset_mechanism": "zero", **settings}
    return snntorch.Leaky(beta=1 - taken / 4096, threshold=threshold, **settings)


def live_spikes(modules: list[tuple[str, nn.Module]], frames: np.ndarray) -> np.ndarray:
    """Spikes of the modules for one sample `[T, ...]`, step by step in snnTorch."""
    states: dict[str, tuple] = {}
    for _, module in modules:
        module.double()
        if hasattr(module, "reset_mem"):
            module.reset_mem()  # cells keep their state from call to call
    fired = []
    with torch.no_grad():
        for frame in frames:
            x = torch.tensor(frame, dtype=torch.float64)[None]
            for name, module in modules:
                if isinstance(module, snntorch.RLeaky):
                    x, membrane = module(x, *states.get(name, ()))
                    x = x.double()
                    states[name] = (x, membrane)
                elif isinstance(module, snntorch.SpikingNeuron):
                    x, *states[name] = module(x, *states.get(name, ()))
                    x = x.double()  # snnTorch's surrogates give float32 spikes
                else:
                    x = module(x)
            fired.append(x[0].numpy())
    return np.array(fired)

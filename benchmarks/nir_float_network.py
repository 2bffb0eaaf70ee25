"""A NIR chain executed in float by a plain loop, which shares no code with the exporter."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import torch
from torch.nn import functional

RESETS = ("zero", "subtract", "sinabs")


class FloatNetwork:
    """A chain of NIR nodes as NIR defines each of them, with dt = 1 step and r per step.

    Args:
        path: `.nir` file of IF, Conv2d, SumPool2d, Flatten and Affine nodes.
        reset: "zero", "subtract", or "sinabs" (several spikes a step, subtraction, v at least -1).
        dtype: of all numbers.
    """

    def __init__(self, path: Path, reset: str, dtype: torch.dtype = torch.float32) -> None:
        graph = nir.read(path)
        after = dict(graph.edges)
        self.nodes, name = [], "input"
        while not isinstance(node := graph.nodes[name := after[name]], nir.Output):
            self.nodes.append(node)
        self.reset, self.dtype = reset, dtype

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Spikes [N, T, 10] for frames [N, T, 2, 34, 34]; every state starts at zero."""
        samples, steps = frames.shape[:2]
        x = torch.as_tensor(frames, dtype=self.dtype).flatten(0, 1)
        with torch.inference_mode():
            for node in self.nodes:
                if isinstance(node, nir.IF):
                    x = self._integrate_and_fire(node, x.unflatten(0, (samples, steps))).flatten(0, 1)
                elif isinstance(node, nir.Conv2d):
                    weight, bias = (torch.as_tensor(a, dtype=self.dtype) for a in (node.weight, node.bias))
                    pairs = [tuple(int(n) for n in a) for a in (node.stride, node.padding, node.dilation)]
                    x = functional.conv2d(x, weight, bias, *pairs, int(node.groups))
                elif isinstance(node, nir.SumPool2d):
                    kernel = tuple(int(n) for n in node.kernel_size)
                    x = functional.avg_pool2d(x, kernel, tuple(int(n) for n in node.stride)) * (kernel[0] * kernel[1])
                elif isinstance(node, nir.Flatten):
                    x = x.flatten(1)
                elif isinstance(node, nir.Affine):
                    weight, bias = (torch.as_tensor(a, dtype=self.dtype) for a in (node.weight, node.bias))
                    x = functional.linear(x, weight, bias)
                else:
                    raise TypeError(f"{type(node).__name__} is not in this network")
        return x.reshape(samples, steps, -1).numpy().astype(np.uint8)

    def _integrate_and_fire(self, node: nir.IF, current: torch.Tensor) -> torch.Tensor:
        threshold, r = (torch.as_tensor(a, dtype=self.dtype) for a in (node.v_threshold, node.r))
        v = torch.zeros_like(current[:, 0])
        spikes = torch.empty_like(current)
        for step in range(current.shape[1]):
            v = v + r * current[:, step]
            if self.reset == "sinabs":
                fired = (v > 0) * torch.trunc(v / threshold)
                v = (v - fired * threshold).clamp(min=-1.0)
            else:
                fired = (v > threshold).to(self.dtype)
                v = v - fired * threshold if self.reset == "subtract" else v * (1 - fired)
            spikes[:, step] = fired
        return spikes

"""Random torch networks of snnTorch style: sequences, modules with functions between, loops over time with membranes
passed by hand; with parts that the chip has and, on request, parts that it refuses.

Weights, biases, thresholds, decays and gains of norms are dyadic and small, so that float32, NIR's Euler steps in
float64 and folded weights agree exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch
import torch
from torch import nn
from torch.nn import functional

DT = 2.0**-10
STEPS = 6
REFUSED = (
    "subtract", "none", "inhibition", "graded", "relu", "functional relu", "max of currents", "layer norm",
    "no statistics", "circular", "hook", "exp", "twice",
)  # fmt: skip
NAMELESS = {"exp", "twice"}  # end the trace, so that other faults are not looked for
Operation = Callable[["Drawn", torch.Tensor], torch.Tensor]


class Drawn(nn.Module):
    """A network that runs operations one after the other; `forward` takes one step, or a recording `[T, B, ...]`."""

    def __init__(self, loops: bool) -> None:
        super().__init__()
        self.loops, self.operations, self.states = loops, list[Operation](), dict[str, Any]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.loops:
            return self._step(x)
        self.states = {}
        return torch.stack([self._step(frame) for frame in x])

    def _step(self, x: torch.Tensor) -> torch.Tensor:
        for operation in self.operations:
            x = operation(self, x)
        return x

    def fired(self, name: str, x: torch.Tensor) -> torch.Tensor:
        neuron = self.get_submodule(name)
        if not self.loops:
            return neuron(x)
        found, *state = neuron(x, *self.states.get(name, ()))
        self.states[name] = (found, *state) if isinstance(neuron, snntorch.RLeaky) else state
        return found


class RandomModule:
    """Draws one network.

    Attributes:
        model: the network, an `nn.Sequential` or a `Drawn`.
        shape: shape of a frame.
        frames: uint8 `[STEPS, *shape]`.
        refused: by name of a part that the chip refuses, the word of `REFUSED`.
    """

    def __init__(self, rng: np.random.Generator, *, refuse: bool) -> None:
        self.rng = rng
        self.sequential = rng.random() < 0.3
        self.drawn = Drawn(loops=not self.sequential and rng.random() < 0.5)
        self.refused: dict[str, str] = {}
        self.wanted: list[str] = []
        if refuse:
            words = [w for w in REFUSED if not (self.sequential and w in ("functional relu", "exp", "twice", "none"))]
            self.wanted = [str(word) for word in rng.choice(words, int(rng.integers(1, 4)), replace=False)]
        self.count = 0
        self.named: list[tuple[str, nn.Module]] = []
        self.last_neuron = ""
        grid = rng.random() < 0.75
        self.shape: tuple[int, ...] = (
            (int(rng.integers(1, 4)), int(rng.integers(6, 10)), int(rng.integers(6, 10)))
            if grid
            else (int(rng.integers(3, 9)),)
        )
        now = self.shape
        if grid:
            for _ in range(int(rng.integers(1, 4))):
                now = self._grid_stage(now)
            now = self._flatten(now)
        for number in range(stages := int(rng.integers(1, 3))):
            now = self._flat_stage(now, last=number == stages - 1)
        self.frames = (rng.random((STEPS, *self.shape)) < 0.4).astype(np.uint8)
        self.model: nn.Module = nn.Sequential(dict_of(self.named)) if self.sequential else self.drawn
        self.model.eval()

    def spikes(self) -> np.ndarray:
        """What the network itself fires, `[STEPS, ...]`."""
        recording = torch.tensor(self.frames, dtype=torch.float32)[:, None]
        for module in self.model.modules():
            if isinstance(module, snntorch.SpikingNeuron):
                module.reset_mem()
        with torch.no_grad():
            found = (
                self.model(recording) if self.drawn.loops else torch.stack([self.model(frame) for frame in recording])
            )
        return found[:, 0].numpy()

    def _take(self, *words: str) -> str:
        """The first of these words that is still to be put into the network; "" for none."""
        for word in words:
            if word in self.wanted:
                self.wanted.remove(word)
                return word
        return ""

    def _add(self, kind: str, module: nn.Module, run: Operation | None = None) -> str:
        self.count += 1
        name = f"{kind}{self.count}"
        self.named.append((name, module))
        self.drawn.add_module(name, module)
        self.drawn.operations.append(run or (lambda net, x: net.get_submodule(name)(x)))
        return name

    def _call(self, function: Operation) -> None:
        self.drawn.operations.append(function)

    def _dyadic(self, *shape: int, low: int = -5, high: int = 9) -> torch.Tensor:
        return torch.tensor(self.rng.integers(low, high, shape) / 8, dtype=torch.float32)

    def _set(self, module: nn.Module) -> nn.Module:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(self._dyadic(*parameter.shape))
        return module

    def _conv(self, entering: tuple[int, ...], channels: int, *, keep: bool = False) -> tuple[nn.Module, tuple]:
        kernel = int(self.rng.integers(1, 4))
        stride, padding = (1, kernel // 2) if keep else (int(self.rng.integers(1, 3)), int(self.rng.integers(0, 2)))
        kernel = kernel if kernel % 2 or not keep else 3
        padding = kernel // 2 if keep else min(padding, kernel - 1)
        circular = bool(padding) and bool(self._take("circular"))
        made = self._set(
            nn.Conv2d(entering[0], channels, kernel, stride, padding, bias=self.rng.random() < 0.7,
                      padding_mode="circular" if circular else "zeros")
        )  # fmt: skip
        behind = tuple((size + 2 * padding - kernel) // stride + 1 for size in entering[1:])
        return made, (channels, *behind), circular  # type: ignore[return-value]

    def _norm(self, kind: Any, features: int) -> None:
        if word := self._take("no statistics"):
            self.refused[self._add("norm", kind(features, track_running_stats=False))] = word
            return
        norm = self._set(kind(features, eps=0.0))
        norm.running_mean.copy_(self._dyadic(features, low=-2, high=3))
        norm.running_var.copy_(torch.tensor(4.0 ** self.rng.integers(-1, 2, features)))
        self._add("norm", norm)

    def _neuron(self, shape: tuple[int, ...], *, last: bool = False) -> str:
        word = self._take("subtract", "inhibition", "graded") or ("" if last else self._take("none"))
        reset = word if word in ("subtract", "none") else "zero"
        settings = {
            "threshold": float(self.rng.integers(3, 12) / 8), "reset_mechanism": reset,
            "init_hidden": not self.drawn.loops, "inhibition": word == "inhibition",
        }  # fmt: skip
        beta = float(self.rng.choice([0.0, 0.5, 0.75, 1.0]))
        drawn = self.rng.random()
        if word == "graded":
            neuron: nn.Module = snntorch.Leaky(beta=beta, graded_spikes_factor=2.0, **settings)
        elif drawn < 0.1 and len(shape) == 1 and reset == "zero":
            neuron = snntorch.RLeaky(
                beta=beta, linear_features=shape[0], reset_delay=False, all_to_all=True, **settings
            )
            self._set(neuron.recurrent)
        elif drawn < 0.2 and beta < 1:
            neuron = snntorch.Synaptic(alpha=0.5, beta=beta, reset_delay=False, **settings)
        else:
            neuron = snntorch.Leaky(beta=beta, **settings)
        self.count += 1
        name = f"lif{self.count}"
        self.count -= 1
        self._add("lif", neuron, lambda net, x: net.fired(name, x))
        if word:
            self.refused[name] = word
        if not last and self._take("twice"):
            self._call(lambda net, x: net.fired(name, x))
            self.refused[name] = "twice"
        self.last_neuron = name
        return name

    def _currents(self, features: int, norm: Any) -> None:
        """What may stand between weights and neurons."""
        before = self.named[-1][0]
        if self.rng.random() < 0.4:
            self._norm(norm, features)
        if self.rng.random() < 0.2:
            self._add("drop", nn.Dropout(0.5))
        if word := self._take("relu"):
            self.refused[self._add("relu", nn.ReLU())] = word
        elif word := self._take("functional relu"):
            self._call(lambda net, x: torch.relu(x))
            self.refused["relu"] = word
        if word := self._take("layer norm"):
            self.refused[self._add("layernorm", nn.LayerNorm(1, elementwise_affine=False))] = word
        if word := self._take("hook"):
            self.drawn.get_submodule(before).register_forward_hook(lambda module, entering, result: 2 * result)
            self.refused[before] = word

    def _grid_stage(self, entering: tuple[int, ...]) -> tuple[int, ...]:
        channels = int(self.rng.integers(1, 4))
        residual = not self.sequential and self.rng.random() < 0.35
        if residual:
            self._call(lambda net, x: net.states.__setitem__("kept", x) or x)
        made, behind, circular = self._conv(entering, entering[0] if residual else channels, keep=residual)
        if min(behind[1:]) < 1:
            made, behind, circular = self._conv(entering, channels, keep=True)
        name = self._add("conv", made)
        if circular:
            self.refused[name] = "circular"
        self._currents(behind[0], nn.BatchNorm2d)
        if residual:
            self._call(lambda net, x: x + net.states.pop("kept"))
        if min(behind[1:]) >= 4 and (word := self._take("max of currents")):
            self.refused[self._add("max", nn.MaxPool2d(2))] = word
            behind = (behind[0], behind[1] // 2, behind[2] // 2)
        self._neuron(behind)
        if self._take("exp"):
            self._call(lambda net, x: torch.exp(x))
            self.refused["exp"] = "exp"
        return self._pool(behind) if min(behind[1:]) >= 4 and self.rng.random() < 0.6 else behind

    def _pool(self, entering: tuple[int, ...]) -> tuple[int, ...]:
        """Pools of spikes, as modules and as functions; averages where they halve evenly."""
        average = not any(size % 2 for size in entering[1:]) and self.rng.random() < 0.5
        if not self.sequential and self.rng.random() < 0.5:
            pool = functional.avg_pool2d if average else functional.max_pool2d
            self._call(lambda net, x: pool(x, 2))
        else:
            self._add("pool", nn.AvgPool2d(2) if average else nn.MaxPool2d(2))
        return (entering[0], entering[1] // 2, entering[2] // 2)

    def _flatten(self, entering: tuple[int, ...]) -> tuple[int, ...]:
        drawn = self.rng.random()
        if self.sequential or drawn < 0.4:
            self._add("flat", nn.Flatten())
        elif drawn < 0.7:
            self._call(lambda net, x: x.flatten(1))
        else:
            self._call(lambda net, x: x.view(x.size(0), -1))
        return (math.prod(entering),)

    def _flat_stage(self, entering: tuple[int, ...], *, last: bool) -> tuple[int, ...]:
        size = int(self.rng.integers(2, 6))
        self._add("fc", self._set(nn.Linear(entering[0], size, bias=self.rng.random() < 0.7)))
        self._currents(size, nn.BatchNorm1d)
        self._neuron((size,), last=last)
        return (size,)


def dict_of(named: list[tuple[str, nn.Module]]) -> Any:
    """An ordered dictionary, as nn.Sequential takes it."""
    from collections import OrderedDict

    return OrderedDict(named)

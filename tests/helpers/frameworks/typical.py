"""Typical networks of each framework: what the first command does with them, and the second where one is needed."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import snntorch
import torch
from frameworks.outcomes import FILES, outcome_of
from torch import nn

import spikeport as sp

FRAMEWORKS = ("norse", "sinabs", "spikingjelly", "rockpool", "spyx", "nengo")
DT = 1e-4


class TutorialNet(nn.Module):
    """A fully connected network with membranes passed by hand in a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 16), snntorch.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(16, 4), snntorch.Leaky(beta=0.95)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(5):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


def conv_net() -> nn.Module:
    """A convolutional network in a Sequential, with pools of currents and hidden membranes."""
    hidden: dict[str, Any] = {"beta": 0.5, "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), snntorch.Leaky(**hidden), nn.Flatten(), nn.Linear(64, 5),
        snntorch.Leaky(**hidden, output=True),
    )  # fmt: skip


MODULES: dict[str, tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = {
    "snntorch_mlp": ("a module with Linear, Leaky twice, membranes by hand in a loop", TutorialNet, (20,)),
    "snntorch_cnn": (
        "Sequential(Conv2d, MaxPool2d, Leaky, Flatten, Linear, Leaky(output=True))",
        conv_net,
        (2, 10, 10),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Typical:
    """One network: `first` is what `spikeport export NET --from X` does; `second` is what adapt does; "" if not needed.

    `goes`: after the first command; `adapted`: after the second.
    """

    construct: str
    framework: str
    first: str
    second: str = ""
    goes: bool = False
    adapted: bool = False


def cases() -> dict[str, dict[str, Any]]:
    """The recorded networks by name."""
    entries = [json.loads((FILES / f"typical_{name}.json").read_text()) for name in FRAMEWORKS]
    return {case["name"]: case for entry in entries for case in entry["cases"]}


def names() -> list[str]:
    """All typical networks."""
    return [*MODULES, *cases()]


@functools.cache
def result(name: str) -> Typical:
    """Runs the first command, and the second where the first refuses."""
    if name in MODULES:
        return _of_module(name)
    case = cases()[name]
    found = outcome_of(case)
    framework = case["metadata"]["framework"]
    if found.result != "needs adapt":
        words = {"exact": "**exact**", "rounding": f"**within rounding**, {100 * found.both:.2g} % of places"}
        return Typical(construct=case["construct"], framework=framework, goes=found.result in words,
                       first=words.get(found.result, f"{found.result}: {found.cause}"))  # fmt: skip
    with adaptable(name) as (source, options, _):
        frames = np.load(FILES / f"{name}.npz")["frames"]
        made = sp.adapt(source, frames, epochs=0, holdout=0.5, **options)
    return Typical(construct=case["construct"], framework=framework, first="needs adapt", second=_words(made),
                   adapted=made.equal)  # fmt: skip


@contextlib.contextmanager
def adaptable(name: str) -> Iterator[tuple[Path | nn.Module, dict[str, Any], tuple[int, ...]]]:
    """What `sp.adapt` gets of a network: the source, options, and the shape of a frame."""
    if name in MODULES:
        shape = MODULES[name][2]
        yield _module(name), {"dt_s": DT, "input_shape": shape}, shape
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        path.write_bytes(gzip.decompress((FILES / f"{name}.nir.gz").read_bytes()))
        shape = np.load(FILES / f"{name}.npz")["frames"].shape[2:]
        yield path, {"framework": cases()[name]["metadata"]["framework"]}, shape


def _module(name: str) -> nn.Module:
    torch.manual_seed(6)
    model = MODULES[name][1]()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                layer.weight *= 4  # so that untrained weights let the output fire
    return model


def _of_module(name: str) -> Typical:
    construct, _, shape = MODULES[name]
    model = _module(name)
    try:
        sp.quantize(sp.convert(model, shape, DT))
    except sp.UserError as refused:
        first = "needs adapt" if "subtract" in str(refused) else str(refused)
    else:
        return Typical(construct=construct, framework="snntorch", first="**exact**", goes=True)
    frames = (np.random.default_rng(7).random((6, 10, *shape)) < 0.3).astype(np.uint8)
    made = sp.adapt(model, frames, dt_s=DT, input_shape=shape, epochs=0, holdout=0.5)
    return Typical(construct=construct, framework="snntorch", first=first, second=_words(made), adapted=made.equal)


def _words(made: Any) -> str:
    return "**goes**; trained network = reference" if made.equal else "the trained network and the reference differ"

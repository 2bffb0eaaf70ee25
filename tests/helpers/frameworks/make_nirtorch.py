"""Nested graphs as nirtorch writes them from a module map of one's own: python make_nirtorch.py FOLDER. See common.py.

Each cell of the module becomes a NIRGraph inside the graph, a recurrent one with its loop.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nir
import nirtorch
import numpy as np
import torch
from common import Cases, grid, odd, spikes
from torch import nn

DT = 1e-3
DECAY = 0.5


class Cell(nn.Module):
    """Weights, a leaky neuron that resets to zero, and recurrent weights where given; one step a call."""

    def __init__(self, weight: np.ndarray, threshold: float, recurrent: np.ndarray | None = None) -> None:
        super().__init__()
        self.weight, self.threshold, self.recurrent = torch.tensor(weight), threshold, recurrent
        self.reset()

    def reset(self) -> None:
        self.v = self.s = torch.zeros(len(self.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        current = self.weight @ x
        if self.recurrent is not None:
            current = current + torch.tensor(self.recurrent) @ self.s
        v = (1 - DECAY) * self.v + current
        self.s = (v > self.threshold).float()
        self.v = v * (1 - self.s)
        return self.s


def as_graph(cell: Cell) -> nir.NIRGraph:
    """The cell as a graph of its own: input -> w_in -> neuron -> output, and neuron -> w_rec -> neuron."""
    size = len(cell.weight)
    full = lambda value: np.full(size, value)  # noqa: E731
    tau = DT / DECAY
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([cell.weight.shape[1]])),
        "w_in": nir.Linear(cell.weight.numpy()),
        "neuron": nir.LIF(tau=full(tau), r=full(tau / DT), v_leak=full(0.0), v_threshold=full(cell.threshold)),
        "output": nir.Output(np.array([size])),
    }
    edges = [("input", "w_in"), ("w_in", "neuron"), ("neuron", "output")]
    if cell.recurrent is not None:
        nodes["w_rec"] = nir.Linear(cell.recurrent)
        edges += [("neuron", "w_rec"), ("w_rec", "neuron")]
    return nir.NIRGraph(nodes, edges)


def run(net: nn.Sequential, frames: np.ndarray) -> np.ndarray:
    rows = []
    for sample in torch.tensor(frames, dtype=torch.float32):
        for module in net.modules():
            if isinstance(module, Cell):
                module.reset()
        rows.append(torch.stack([net(step) for step in sample]))
    return torch.stack(rows).numpy()


def main(folder: Path) -> None:
    cases = Cases("nirtorch", folder, ("nirtorch", "nir", "torch"))
    rng = np.random.default_rng(6)
    frames = spikes(rng, 3, 24, 5, density=0.5)

    def add(name: str, construct: str, net: nn.Module) -> None:
        def export() -> nir.NIRGraph:
            return nirtorch.torch_to_nir(net, {Cell: as_graph})

        cases.add(name, construct, export, frames=frames, made=run(net, frames), dt_s=DT)

    add("nested", "two cells, each a graph inside the graph",
        nn.Sequential(Cell(grid(rng, 7, 5), odd(261)), Cell(grid(rng, 3, 7), odd(301))))  # fmt: skip
    add("nested_recurrent", "a recurrent cell as a graph inside the graph", nn.Sequential(
        Cell(grid(rng, 6, 5), odd(361), grid(rng, 6, 6, low=-70, high=40)), Cell(grid(rng, 3, 6), odd(201))
    ))  # fmt: skip
    cases.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

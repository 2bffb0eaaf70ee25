"""Random NIR graphs of all supported nodes on the integer grid, so that float64 and integers must agree.

Weights are even integers over the layer's scale, decays remove all or nothing, delays are whole steps, and gains and
Scale factors are powers of two.
"""

from __future__ import annotations

import itertools

import nir
import numpy as np

from spikeport.export.graph.spiking_graph import SpikingGraph

DT = 1e-3


def even(rng: np.random.Generator, *shape: int, largest: int = 40) -> np.ndarray:
    """Even integers of both signs; the largest is no power of two, so that netx keeps all of them."""
    weight = 2.0 * rng.integers(-largest, largest, shape)
    weight.flat[0] = 2 * largest + 2
    weight.flat[-1] = -2 * largest - 2
    return weight


def random_graph(rng: np.random.Generator, *, slow: bool = False) -> tuple[SpikingGraph, np.ndarray]:
    """A graph of one to three weight layers, and frames `[T, *input_shape]` for it.

    `slow`: currents and voltages keep 1/2 and 3/4 a step, which the chip would truncate, and biases always act.
    """
    return _Builder(rng, slow).build()


def random_nested(rng: np.random.Generator) -> tuple[nir.NIRGraph, SpikingGraph, np.ndarray]:
    """The same, and before it the graph as it was before its subgraphs were put in place."""
    builder = _Builder(rng, False)
    graph, frames = builder.build()
    return builder.raw, graph, frames


class _Builder:
    def __init__(self, rng: np.random.Generator, slow: bool) -> None:
        self.rng, self.slow = rng, slow
        three = (int(rng.integers(1, 3)), int(rng.integers(4, 8)), int(rng.integers(4, 8)))
        self.first: tuple[int, ...] = three if rng.random() < 0.5 else (int(rng.integers(1, 7)),)
        self.shape = self.first
        self.nodes: list[nir.NIRNode] = []
        self.scales: dict[str, float] = {}
        self.recurrences: dict[str, nir.NIRNode] = {}
        self.scale_now = 1.0

    def coin(self, chance: float = 0.5) -> bool:
        return bool(self.rng.random() < chance)

    def graph(self) -> SpikingGraph:
        named = {"input": nir.Input({"input": np.array(self.first)})}
        named |= {f"n{index}": node for index, node in enumerate(self.nodes)}
        named["output"] = nir.Output({"output": None})
        edges = list(itertools.pairwise(named))
        for name, recurrence in self.recurrences.items():
            if self.coin():  # nested, as snnTorch has it
                inner = {
                    "in": nir.Input({"input": None}),
                    "lif": named[name],
                    "w_rec": recurrence,
                    "out": nir.Output(None),
                }
                inner_edges = [("in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "out")]
                named[name] = nir.NIRGraph(inner, inner_edges, type_check=False)
            else:
                named[f"{name}_back"] = recurrence
                edges += [(name, f"{name}_back"), (f"{name}_back", name)]
        self.rng.shuffle(edges)
        edges = [(str(before), str(behind)) for before, behind in edges]
        self.raw = nir.NIRGraph(named, edges, type_check=False)
        return SpikingGraph(
            nir_graph=self.raw, dt_s=DT, input_shape=self.first, scales=self.scales,
            bias="neuron" if self.slow else "refuse",
        )  # fmt: skip

    def add(self, node: nir.NIRNode) -> None:
        self.nodes.append(node)
        recurrences, self.recurrences = self.recurrences, {}
        scales, self.scales = self.scales, {}
        self.shape = self.graph().chain()[-1].output_shape
        self.recurrences, self.scales = recurrences, scales

    def build(self) -> tuple[SpikingGraph, np.ndarray]:
        for _ in range(int(self.rng.integers(1, 4))):
            if len(self.shape) == 3 and min(self.shape[1:]) >= 2 and self.coin(0.7):
                self.convolution()
            else:
                self.dense(2.0 ** self.rng.integers(2, 7))
                self.recurrent_layer()
        ending = self.rng.choice(["spikes", "spikes", "voltages", "host"])
        if ending == "voltages":
            self.dense(4.0)
            self.add(nir.I(r=np.ones(self.shape) / DT))
        elif ending == "host":
            self.flatten()
            self.add(nir.Affine(self.rng.normal(size=(3, self.shape[0])), self.rng.normal(size=3)))
        density = self.rng.choice([0.1, 0.4, 0.8])
        return self.graph(), (self.rng.random((14, *self.first)) < density).astype(np.uint8)

    def neuron(self, scale: float) -> nir.NIRNode:
        """Gains and thresholds that differ from row to row now and then, as exact powers of two."""
        rows = self.shape[:1] + (1,) * (len(self.shape) - 1)
        full = np.ones(self.shape) if self.coin() else np.ones(rows)
        gain = full * 2.0 ** self.rng.integers(-1, 2, rows if self.coin(0.2) else ())
        theta = (
            full
            * int(self.rng.integers(1, 90))
            / scale
            * 2.0 ** self.rng.integers(0, 2, rows if self.coin(0.2) else ())
        )
        kind = self.rng.choice(["lif", "if", "cuba"])
        if self.slow:
            return nir.CubaLIF(2 * DT * full, 4 * DT * full, 4 * gain, 0 * full, theta, w_in=2 * full)
        if kind == "lif":
            return nir.LIF(DT * full, gain, 0 * full, v_threshold=theta)
        if kind == "if":
            return nir.IF(r=gain / DT, v_threshold=theta)
        return nir.CubaLIF(DT * full, DT * full, gain, 0 * full, theta)

    def flatten(self) -> None:
        if len(self.shape) == 3:
            self.add(nir.Flatten({"input": None}, 0, -1))

    def scale(self, *forms: tuple[int, ...]) -> None:
        if self.coin(0.4):
            self.add(nir.Scale(2.0 ** self.rng.integers(-1, 2, forms[int(self.rng.integers(len(forms)))])))

    def dense(self, scale: float) -> None:
        overlap = False
        if len(self.shape) == 3 and min(self.shape[1:]) >= 3 and self.coin():
            stride, padding = int(self.rng.integers(1, 3)), int(self.rng.integers(0, 2))
            overlap = stride == 1
            kind = nir.AvgPool2d if self.coin() else nir.SumPool2d
            self.add(kind(np.array([1, 2]), np.array([1, stride]), np.array([0, padding])))
        self.flatten()
        if self.coin(0.4):
            self.add(nir.Delay(DT * self.rng.integers(0, 4, self.shape if self.coin() and not overlap else ())))
        self.scale((), self.shape)
        outputs = int(self.rng.integers(1, 6))
        self.scales[f"n{len(self.nodes)}"] = scale
        weight = 4 * even(self.rng, outputs, self.shape[0], largest=6) / scale
        bias = 4 * self.rng.integers(-9, 9, outputs) / scale
        self.add(nir.Affine(weight, bias) if self.coin() else nir.Linear(weight))
        self.scale((), self.shape)
        if self.coin(0.2) and not any(isinstance(node, nir.Affine) for node in self.nodes[-2:]):
            self.add(nir.Delay(DT * self.rng.integers(0, 4, self.shape)))  # behind a bias it would be refused
        self.scale_now = scale

    def recurrent_layer(self) -> None:
        node = self.neuron(self.scale_now)
        size = self.shape[0]
        since = max((int(name[1:]) for name in self.scales), default=0)
        around = [self.nodes[k] for k in (*range(max(0, since - 2), since), *range(since, len(self.nodes)))]
        delayed = any(isinstance(each, nir.Delay) and np.any(each.delay) for each in around)
        if not delayed and self.coin(0.6):
            back = 4 * even(self.rng, size, size, largest=6) / self.scale_now
            recurrences = [
                nir.Linear(back),
                nir.Affine(back, 4 * np.ones(size) / self.scale_now),
                nir.Scale(np.array(12 / self.scale_now)),
            ]
            self.recurrences[f"n{len(self.nodes)}"] = recurrences[int(self.rng.integers(3))]
        self.nodes.append(node)

    def convolution(self) -> None:
        scale = 2.0 ** self.rng.integers(2, 7)
        if min(self.shape[1:]) >= 4 and self.coin():
            self.add(nir.AvgPool2d(*np.array([[1, 2], [1, 2], [0, 0]])))
        self.scale((self.shape[0], 1, 1), ())
        self.scales[f"n{len(self.nodes)}"] = scale
        kernel = [(1, 2), (2, 2), (2, 1)][int(self.rng.integers(3))]
        groups = self.shape[0] if self.coin(0.3) else 1
        weight = 4 * even(self.rng, 2 * groups, self.shape[0] // groups, *kernel, largest=6) / scale
        padding = ["same", "valid", 1][int(self.rng.integers(3))]
        self.add(nir.Conv2d(None, weight, 1, padding, 1, groups, 4 * self.rng.integers(-9, 9, 2 * groups) / scale))
        if self.shape[1] >= 2 and self.coin(0.4):
            self.add(nir.SumPool2d(*np.array([[2, 1], [1, 1], [0, 0]])))
        self.add(self.neuron(scale))

"""Random NIR graphs with branches that join: shortcuts with and without stride, sums of spikes before a synapse,
concatenations, several inputs and outputs, recurrent populations. All weights are whole numbers and decays are 0 or 1,
so that float64 and integers agree.
"""

from __future__ import annotations

import math

import nir
import numpy as np

from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.one_chain import LaidOut

KINDS = {
    "sum of currents", "sum of spikes", "shortcut", "strided", "several inputs", "several outputs", "recurrence"
}  # fmt: skip
DT = 1e-3
SCALE = 2.0  # of every weight: the chip's weights are even


def inputs_of(graph: nir.NIRGraph, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Each Input of a graph by name, from frames whose channels follow each other by the names of the inputs."""
    found, first = {}, 0
    for name, node in sorted(graph.nodes.items()):
        if isinstance(node, nir.Input):
            channels = int(node.input_type["input"][0])
            found[name] = frames[:, first : first + channels]
            first += channels
    return found


def spikes_of(name: str, laid: LaidOut, layers: list[np.ndarray], size: int) -> np.ndarray:
    """Spikes `[T, size]` of a population of the graph, whole or in parts, from those of every layer `[T, ...]`."""
    found = np.full((len(layers[0]), size), 2.0)
    for each in laid.parts.get(name, (None,)):
        layer, places = laid.places[name if each is None else each.name]
        neurons = np.arange(size) if each is None else each.neurons.ravel()
        found[:, neurons] = layers[layer].reshape(len(found), -1)[:, places.ravel()]
    return found


class RandomBranches:
    """Draws one graph; `graph` and `frames` `[T, *input_shape]` are the result, and `kinds` of `KINDS` that it has.

    `slow`: voltages keep 1/2 or 3/4 a step, inputs have gains, currents constant parts, thresholds differ between
    channels; all are dyadic, so that float64 is exact, and integers are not.
    `own`: voltages keep 0, 1/4, 1/2 or 3/4 a step, which differs between channels or neurons, as whole thresholds do.
    Recurrent weights connect neurons of one decay. Integers round, but in the same way in one layer or in several.
    """

    def __init__(self, rng: np.random.Generator, *, slow: bool = False, own: bool = False) -> None:
        self.rng, self.slow, self.own = rng, slow, own
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}  # of populations
        self.read: set[str] = set()
        self.kinds: set[str] = set()  # of branches that it has
        self.decay = int(rng.integers(0, 2))
        grid = int(rng.integers(4, 8)), int(rng.integers(4, 8))
        for number in range(1 + (rng.random() < 0.3)):
            shape = (int(rng.integers(1, 3)), *grid)
            self.nodes[f"in{number}"] = nir.Input({"input": np.array(shape)})
            self.shapes[f"in{number}"] = shape
        for number in range(int(rng.integers(2, 5))):
            self._grid_population(f"g{number}")
        for number in range(int(rng.integers(0, 3))):
            self._flat_population(f"f{number}")
        loose = [name for name in self.shapes if name not in self.read]
        for name in [each for each in loose if each.startswith("in")]:
            self._flat_population(f"rest-{name}", [name])
        loose = [name for name in self.shapes if name not in self.read]
        for number, name in enumerate(loose):
            self.nodes[f"out{number}"] = nir.Output({"output": np.array(self.shapes[name])})
            self.edges.append((name, f"out{number}"))
        self.kinds |= {"several outputs"} if len(loose) > 1 else set()
        raw = nir.NIRGraph(self.nodes, self.edges, type_check=False)
        inputs = [self.shapes[name] for name in self.shapes if name.startswith("in")]
        self.kinds |= {"several inputs"} if len(inputs) > 1 else set()
        shape = (sum(each[0] for each in inputs), *inputs[0][1:])
        scales = {name: SCALE for name, node in self.nodes.items()
                  if isinstance(node, (nir.Conv2d, nir.Linear, nir.Affine)) and not name.endswith("rec")}  # fmt: skip
        self.graph = SpikingGraph(
            nir_graph=raw, dt_s=DT, input_shape=shape, scales={} if slow else scales, allow_vector=slow
        )
        self.frames = (rng.random((int(rng.integers(4, 9)), *shape)) < 0.35).astype(np.uint8)

    def _weight(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-6, 10, shape).astype(np.float64)

    def _neuron(self, shape: tuple[int, ...], level: float) -> nir.NIRNode:
        """Whole thresholds that differ between channels or not."""
        rows = int(level) * np.ones((shape[0], *[1] * (len(shape) - 1)))
        threshold = np.broadcast_to(rows, shape).copy()
        if self.own:
            keeps = self._own((0.0, 0.25, 0.5, 0.75), shape)
            tau = DT / (1 - keeps)
            threshold += self._own((0, 1, 2), shape)
            return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=threshold, v_reset=0 * tau)
        if self.slow:
            keeps = 0.5 if self.rng.random() < 0.6 else 0.75
            gain = 2.0 ** self.rng.integers(-1, 2, (shape[0], *[1] * (len(shape) - 1))) * np.ones(shape)
            threshold *= 2.0 ** self.rng.integers(-1, 2, (shape[0], *[1] * (len(shape) - 1)))
            tau = np.full(shape, DT / (1 - keeps))
            leak = self.rng.integers(0, 3, (shape[0], *[1] * (len(shape) - 1))) * np.ones(shape)
            return nir.LIF(tau=tau, r=gain / (1 - keeps), v_leak=leak, v_threshold=threshold, v_reset=np.zeros(shape))
        decay = self.decay if self.rng.random() < 0.7 else 1 - self.decay
        if decay:  # nothing of the voltage stays
            one = np.full(shape, DT)
            return nir.LIF(tau=one, r=np.ones(shape), v_leak=0 * one, v_threshold=threshold, v_reset=0 * one)
        return nir.IF(r=np.full(shape, 1 / DT), v_threshold=threshold, v_reset=np.zeros(shape))

    def _own(self, values: tuple[float, ...], shape: tuple[int, ...]) -> np.ndarray:
        """One value, one for each channel, or, on a small grid, one for each neuron."""
        kind = self.rng.choice(3, p=[0.2, 0.65, 0.15]) if math.prod(shape) < 60 else self.rng.choice(2, p=[0.25, 0.75])
        drawn = self.rng.choice(values, [(1,) * len(shape), (shape[0], *[1] * (len(shape) - 1)), shape][kind])
        return np.broadcast_to(drawn, shape).astype(np.float64)

    def _sources(self, most: int) -> list[str]:
        names = list(self.shapes)
        late = names[-3:]
        count = int(self.rng.integers(1, most + 1))
        picked = list(self.rng.choice(late, min(count, len(late)), replace=False))
        if self.rng.random() < 0.4:
            picked.append(str(self.rng.choice(names)))
        return list(dict.fromkeys(map(str, picked)))

    def _grid_population(self, name: str) -> None:
        sources = [each for each in self._sources(2) if len(self.shapes[each]) == 3]
        if not sources:
            sources = ["in0"]
        channels = int(self.rng.integers(1, 4))
        target: tuple[int, int] | None = None
        entering = 0.0
        for source in sources:
            height, width = self.shapes[source][1:]
            options = [(k, s, p) for k in (1, 2, 3, 4) for s in (1, 2, 3) for p in range(k)]
            if target is None:
                options = [o for o in options if o[0] <= 3 and o[1] <= 2]
            self.rng.shuffle(options)
            for kernel, stride, padding in options:
                extent = tuple((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
                if min(extent) >= 2 and min(height, width) + 2 * padding >= kernel and target in (None, extent):
                    break
            else:
                continue
            self.kinds |= {"sum of currents"} if target is not None else set()
            self.kinds |= {"strided"} if stride > 1 else set()
            target = extent
            weight = self._weight(channels, self.shapes[source][0], kernel, kernel)
            key = f"{name}-{source}"
            self.nodes[key] = nir.Conv2d(
                input_shape=(height, width), weight=weight, stride=(stride, stride), padding=(padding, padding),
                dilation=(1, 1), groups=1, bias=self.rng.integers(-1, 2, channels).astype(np.float64),
            )  # fmt: skip
            self.edges += [(source, key), (key, name)]
            self.read.add(source)
            entering += float(np.abs(weight).sum(axis=(1, 2, 3)).max())
            self._add_spikes(source, key)
        assert target is not None
        shape = (channels, *target)
        same = [each for each in self.shapes if self.shapes[each] == shape]
        if same and self.rng.random() < 0.5:  # a shortcut without weights
            self.kinds.add("shortcut")
            source = str(self.rng.choice(same))
            self.edges.append((source, name))
            self.read.add(source)
        self.nodes[name] = self._neuron(shape, max(2.0, entering / 6))
        self.shapes[name] = shape

    def _add_spikes(self, source: str, entered: str) -> None:
        """Adds the spikes of another population to those that enter a synapse, once in a while."""
        same = [each for each in self.shapes if self.shapes[each] == self.shapes[source] and each != source]
        if same and self.rng.random() < 0.4:
            other = str(self.rng.choice(same))
            self.edges.append((other, entered))
            self.read.add(other)
            self.kinds.add("sum of spikes")

    def _flat_population(self, name: str, sources: list[str] | None = None) -> None:
        size = int(self.rng.integers(2, 6))
        for source in sources or self._sources(3):
            shape = self.shapes[source]
            key, before = f"{name}-{source}", source
            if len(shape) == 3:
                self.nodes[f"{key}-flat"] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
                self.edges.append((source, f"{key}-flat"))
                before = f"{key}-flat"
            self.nodes[key] = nir.Affine(
                self._weight(size, math.prod(shape)), self.rng.integers(-1, 2, size).astype(np.float64)
            )
            self.edges += [(before, key), (key, name)]
            self.read.add(source)
            self._add_spikes(source, key if before == source else before)
        self.nodes[name] = self._neuron((size,), float(self.rng.integers(6, 20)))
        self.shapes[name] = (size,)
        if self.rng.random() < 0.4:
            self.kinds.add("recurrence")
            weight = self._weight(size, size)
            if self.own:
                tau = self.nodes[name].tau
                threshold = self.nodes[name].v_threshold
                weight *= (tau[:, None] == tau) & (threshold[:, None] == threshold)
            self.nodes[f"{name}-rec"] = nir.Linear(weight)
            self.edges += [(name, f"{name}-rec"), (f"{name}-rec", name)]

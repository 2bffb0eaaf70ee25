"""An independent execution of a NIR graph in floating point, from NIR's equations and not from the code under test.

One Euler step per dt in the order decay, add, fire, reset; convolution and pooling are torch's. Any graph: a node's
input is the sum over its edges; where edges form a loop, a neuron that is being stepped gives the step before.
Subgraphs are walked as they stand, and a neuron's state begins at its v_reset.
"""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np
import torch
from torch.nn import functional

Reset = str | Callable[[nir.NIRNode], str]
NEURONS = (nir.IF, nir.LIF, nir.CubaLIF, nir.I, nir.LI, nir.CubaLI)


def run_nir(graph: nir.NIRGraph, dt_s: float, frames: np.ndarray, reset: Reset = "zero") -> np.ndarray:
    """What reaches the Output node, `[T, ...]`, for `frames` `[T, ...]`: Euler steps of dt_s in float64.

    Reset to v_reset ("zero"), or by subtracting the threshold: in the step of the spike ("subtract"), in the next
    ("subtract-late"), or as often as v holds it, each a spike ("subtract-many"). A function gives that of a node.
    """
    return _Run(graph, dt_s, reset).frames(frames)


def run_nodes(
    graph: nir.NIRGraph, dt_s: float, frames: np.ndarray | dict[str, np.ndarray], reset: Reset = "zero"
) -> dict[str, np.ndarray]:
    """The same, every node's signal `[T, ...]` by its path joined with dots. `frames` of several inputs by name."""
    run = _Run(graph, dt_s, reset)
    run.frames(frames)
    return {".".join(path): np.array(signal) for path, signal in run.reported.items()}


def run_integers(
    graph: nir.NIRGraph, dt_s: float, frames: np.ndarray | dict[str, np.ndarray], scale: float
) -> dict[str, np.ndarray]:
    """`run_nodes` with the integers of Loihi's CUBA neurons for LIF and IF: weights and thresholds times `scale`, 64
    voltage units a weight unit, decays in 1/4096 that truncate toward zero."""
    run = _IntegerRun(graph, dt_s, "zero")
    run.scale = scale
    run.frames(frames)
    return {".".join(path): np.array(signal) for path, signal in run.reported.items()}


class _Run:
    def __init__(self, graph: nir.NIRGraph, dt_s: float, reset: Reset) -> None:
        self.graph, self.dt_s, self.reset = graph, dt_s, reset
        self.states: dict[tuple, tuple] = {}
        self.reported: dict[tuple, list] = {}
        self.now: dict[tuple, np.ndarray] = {}
        self.open: set[tuple] = set()
        self.shapes: dict[tuple, tuple] = {}

    def frames(self, frames: np.ndarray | dict[str, np.ndarray]) -> np.ndarray:
        if isinstance(frames, dict):
            steps = [dict(zip(frames, step, strict=True)) for step in zip(*frames.values(), strict=True)]
            return self.frames(steps)  # type: ignore[arg-type]
        leave = next((key,) for key, node in self.graph.nodes.items() if isinstance(node, nir.Output))
        result = []
        for frame in frames:
            self.now, self.frame = {}, frame
            result.append(self.value(leave))
            for path in self.node_paths(self.graph, ()):  # those that only loops lead to are stepped as well
                self.reported.setdefault(path, []).append(self.value(path))
        return np.array(result)

    def node_paths(self, graph: nir.NIRGraph, path: tuple) -> list[tuple]:
        paths = []
        for name, node in graph.nodes.items():
            inner = isinstance(node, nir.NIRGraph)
            paths += self.node_paths(node, (*path, name)) if inner else [(*path, name)]
        return paths

    def parent(self, path: tuple) -> nir.NIRGraph:
        graph = self.graph
        for name in path[:-1]:
            graph = graph.nodes[name]
        return graph

    def sources(self, path: tuple) -> list[tuple]:
        """The nodes whose signals add up to this one's input."""
        graph = self.parent(path)
        if isinstance(graph.nodes[path[-1]], nir.Input) and len(path) > 1:
            return self.sources(path[:-1])
        found = []
        for name in {before for before, behind in graph.edges if behind == path[-1]}:
            before, node = (*path[:-1], name), graph.nodes[name]
            while isinstance(node, nir.NIRGraph):
                name, node = next((k, n) for k, n in node.nodes.items() if isinstance(n, nir.Output))
                before = (*before, name)
            found.append(before)
        return found

    def value(self, path: tuple) -> np.ndarray:
        if path in self.now:
            return self.now[path]
        node = self.parent(path).nodes[path[-1]]
        if path in self.open:  # a loop: the spikes of the step before, none before the first
            return self.reported[path][-1] if self.reported.get(path) else np.zeros(self.shapes[path])
        if isinstance(node, nir.Input) and len(path) == 1:
            return np.float64(self.frame[path[0]] if isinstance(self.frame, dict) else self.frame)
        self.open |= {path} if isinstance(node, NEURONS) else set()
        try:
            self.now[path] = self.passed(path, node, self.arriving(path))
        finally:
            self.open -= {path}
        return self.now[path]

    def arriving(self, path: tuple) -> np.ndarray:
        """The sum over edges; those of loops last, since before the first step they need the shape of the others."""
        total, later = np.zeros(()), []
        for before in sorted(self.sources(path), key=str):
            try:
                total = total + self.value(before)
            except KeyError:
                later.append(before)
        self.shapes[path] = total.shape
        return total + sum((self.value(before) for before in later), np.zeros(()))

    def passed(self, path: tuple, node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
        if isinstance(node, NEURONS):
            return self.stepped(path, node, x)
        if isinstance(node, nir.Delay):
            past = self.states.setdefault(path, [])
            past.append(x)
            waits = np.broadcast_to(np.rint(np.float64(node.delay) / self.dt_s).astype(int), x.shape)
            history = np.array([np.zeros_like(x)] * (1 + waits.max()) + past)
            return np.take_along_axis(history, (len(history) - 1 - waits)[None], axis=0)[0]
        if isinstance(node, (nir.Input, nir.Output)):
            return x
        return apply_node(node, self.dt_s, x[None])[0]

    def stepped(self, path: tuple, node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
        dt = self.dt_s
        fires = isinstance(node, (nir.IF, nir.LIF, nir.CubaLIF))
        rest = np.broadcast_to(node.v_reset if fires else 0.0, x.shape)
        current, voltage, before = self.states.get(path, (np.zeros(x.shape), rest, np.zeros(x.shape)))
        reset = self.reset if isinstance(self.reset, str) else self.reset(node)
        if isinstance(node, (nir.IF, nir.I)):
            voltage = voltage + dt * node.r * x
        elif isinstance(node, (nir.LIF, nir.LI)):
            voltage = voltage + dt / node.tau * (node.v_leak - voltage + node.r * x)
        else:
            current = current + dt / node.tau_syn * (node.w_in * x - current)
            voltage = voltage + dt / node.tau_mem * (node.v_leak - voltage + node.r * current)
        if not fires:
            self.states[path] = current, voltage, before
            return voltage
        if reset == "subtract-late":
            voltage = voltage - before * node.v_threshold
        spikes = (voltage > node.v_threshold).astype(np.float64)
        if reset == "subtract-many":
            spikes *= np.maximum(np.floor(voltage / node.v_threshold), 1)
        if reset in ("subtract", "subtract-many"):
            voltage = voltage - spikes * node.v_threshold
        elif reset == "zero":
            voltage = np.where(spikes > 0, rest, voltage)
        self.states[path] = current, voltage, spikes
        return spikes


class _IntegerRun(_Run):
    scale: float

    def stepped(self, path: tuple, node: nir.NIRNode, x: np.ndarray) -> np.ndarray:
        assert isinstance(node, (nir.IF, nir.LIF))
        leaks = isinstance(node, nir.LIF)
        taken = np.rint(4096 * self.dt_s / node.tau).astype(np.int64) if leaks else np.int64(0)
        drive = self.scale * (self.dt_s / node.tau * node.r if leaks else self.dt_s * node.r) * x
        (voltage,) = self.states.get(path, (np.zeros(x.shape, dtype=np.int64),))
        voltage = np.sign(voltage) * ((np.abs(voltage) * (4096 - taken)) >> 12) + 64 * np.rint(drive).astype(np.int64)
        fires = voltage > 64 * np.rint(self.scale * node.v_threshold).astype(np.int64)
        self.states[path] = (np.where(fires, 0, voltage),)
        return fires.astype(np.float64)


def apply_node(node: nir.NIRNode, dt_s: float, x: np.ndarray) -> np.ndarray:
    """What one node without state makes of a signal `[T, ...]`."""

    def two(value: object) -> tuple[int, int]:
        numbers = np.broadcast_to(np.asarray(value), (2,))
        return int(numbers[0]), int(numbers[1])

    if isinstance(node, nir.Linear):
        return x @ np.float64(node.weight).T
    if isinstance(node, nir.Affine):
        return x @ np.float64(node.weight).T + node.bias
    if isinstance(node, nir.Conv2d):
        weight, bias = (torch.tensor(np.float64(array)) for array in (node.weight, node.bias))
        padding = node.padding if isinstance(node.padding, str) else two(node.padding)
        return functional.conv2d(
            torch.tensor(x), weight, bias, two(node.stride), padding, two(node.dilation), int(node.groups)
        ).numpy()
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        divisor = 1 if isinstance(node, nir.SumPool2d) else None
        return functional.avg_pool2d(
            torch.tensor(x), two(node.kernel_size), two(node.stride), two(node.padding), divisor_override=divisor
        ).numpy()
    if isinstance(node, nir.Flatten):
        return x.reshape(len(x), -1)
    assert isinstance(node, nir.Scale)
    return x * node.scale

"""Every NIR node under each condition of the compiler's table: a small graph of it, and what becomes of that node."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from nir_oracle import run_nir

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.quantization.explain import explain
from spikeport.export.quantization.quantize import quantize

DT = 2.0**-10
TRUNCATED = 16  # a voltage may be off by this many of its smallest units: one a step, decays of 1/4 and more
GRID = 128  # weights m / 128 with max |m| = 127 become even integers 2 m


@dataclass(frozen=True)
class Row:
    """`node` under `condition`: `graph` builds it, the node in question is named "it"."""

    node: str
    condition: str
    graph: Callable[[], SpikingGraph]


@dataclass(frozen=True)
class Result:
    """`rewrite`: what became of the node, "" where it was refused for the reason `why`. `differing` of `places` outputs
    of the integer network differ from the graph executed in float64."""

    rewrite: str = ""
    cause: str = ""
    differing: int = 0
    places: int = 0
    fired: int = 0


@functools.cache
def result(row: Row) -> Result:
    """Compiles one row's graph and runs it on random frames."""
    try:
        graph = row.graph()
        network, rows = quantize(graph)
    except UserError as refused:
        return Result(cause=str(refused))
    record = next(r for r in explain(graph, network, rows) if r.node == "it" or r.node.startswith("it."))
    rng = np.random.default_rng(7)
    frames = (rng.random((3, 24, *network.input_shape)) < 0.5).astype(np.uint8)
    floats = np.stack([run_nir(graph.nir_graph, graph.dt_s, sample) for sample in frames])
    trace = simulate(network, frames)
    if network.readout.kind == "spikes":
        ours, wanted = trace.spikes, floats.reshape(trace.spikes.shape)
    elif network.readout.kind == "membrane":
        assert trace.membrane is not None
        unit = 64 * rows[-1].scale * rows[-1].divisor
        ours = trace.membrane / unit
        wanted = np.where(np.isclose(ours, floats, rtol=0, atol=TRUNCATED / unit), ours, floats)
    else:
        assert network.readout.weight is not None
        ours = trace.spikes.sum(axis=1) @ network.readout.weight.T
        wanted = floats.sum(axis=1)
        wanted = np.where(np.isclose(ours, wanted), ours, wanted)
    return Result(
        rewrite="; ".join((record.rewrite, *record.notes)),
        differing=int(np.count_nonzero(ours != wanted)),
        places=wanted.size,
        fired=int(trace.spikes.sum()),
    )


def grid(seed: int, *shape: int) -> np.ndarray:
    """Weights m / 128, -90 <= m < 127, the first 127 / 128."""
    values = np.random.default_rng(seed).integers(-90, 127, shape) / GRID
    values.reshape(-1)[0] = 127 / GRID
    return values


def linear(out: int, into: int, seed: int = 1) -> nir.Linear:
    return nir.Linear(grid(seed, out, into))


def affine(out: int, into: int, bias: float = 4 / GRID) -> nir.Affine:
    return nir.Affine(grid(2, out, into), np.full(out, bias))


def conv(out: int = 3, into: int = 2, kernel: tuple[int, int] = (3, 2), **options: Any) -> nir.Conv2d:
    fixed = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, **options}
    weight = grid(3, out, into // fixed["groups"], *kernel)
    return nir.Conv2d(input_shape=None, weight=weight, bias=np.zeros(out), **fixed)


def iaf(threshold: float = 149 / 256) -> nir.IF:
    """Integrate and fire with gain 1 a step; the threshold is an odd number of half weight steps."""
    return nir.IF(r=np.array([1 / DT]), v_threshold=np.array([threshold]))


def lif(decay: Any = 0.5, threshold: float = 149 / 256, **options: Any) -> nir.LIF:
    """A leaky neuron that loses `decay` a step, gain 1."""
    tau = DT / np.atleast_1d(np.asarray(decay, dtype=np.float64))
    full = {"v_leak": 0.0, "v_reset": 0.0, "r": tau / DT, "v_threshold": threshold, **options}
    return nir.LIF(tau=tau, **{key: np.array(np.broadcast_to(value, tau.shape)) for key, value in full.items()})


def cuba(syn: float = 0.5, mem: float = 0.25) -> nir.CubaLIF:
    syn_s, mem_s = np.array([DT / syn]), np.array([DT / mem])
    return nir.CubaLIF(tau_syn=syn_s, tau_mem=mem_s, r=mem_s / DT, w_in=syn_s / DT, v_leak=np.zeros(1),
                       v_threshold=np.array([801 / 256]))  # fmt: skip


def pool(kind: type, kernel: tuple[int, int], stride: tuple[int, int] | None = None, padding: tuple[int, int] = (0, 0)):
    return kind(*(np.array(each) for each in (kernel, stride or kernel, padding)))


def flatten(start: int = 0, end: int = -1) -> nir.Flatten:
    return nir.Flatten({"input": None}, start_dim=start, end_dim=end)


def chain(shape: tuple[int, ...], *nodes: tuple[str, nir.NIRNode] | nir.NIRNode, **metadata: Any):
    """A builder of the chain Input -> nodes -> Output; the node given as a pair keeps that name."""

    def build() -> SpikingGraph:
        named: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(shape)})}
        for index, node in enumerate(nodes):
            name, node = node if isinstance(node, tuple) else (f"n{index}", node)
            named[name] = node
        named["output"] = nir.Output({"output": None})
        return wired(named, list(itertools.pairwise(named)), shape, metadata)

    return build


def wired(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], shape: tuple[int, ...], metadata: dict):
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    return SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=shape, **metadata)


def with_recurrence(neuron: nir.NIRNode, back: nir.NIRNode, nested: bool = False, **metadata: Any):
    """Linear -> neuron with `back` around it -> Output; `nested`: neuron and loop in a graph of their own."""

    def build() -> SpikingGraph:
        ends = {"input": nir.Input({"input": np.array([5])}), "output": nir.Output({"output": np.array([6])})}
        if not nested:
            nodes = {"input": ends["input"], "w": linear(6, 5), "neuron": neuron, "it": back, "output": ends["output"]}
            edges = [("input", "w"), ("w", "neuron"), ("neuron", "it"), ("it", "neuron"), ("neuron", "output")]
            return wired(nodes, edges, (5,), metadata)
        inner = {"input": nir.Input({"input": np.array([6])}), "neuron": neuron, "rec": back,
                 "output": nir.Output({"output": np.array([6])})}  # fmt: skip
        recurrence = [("input", "neuron"), ("neuron", "rec"), ("rec", "neuron"), ("neuron", "output")]
        subgraph = nir.NIRGraph(inner, recurrence, type_check=False)
        nodes = {"input": ends["input"], "w": linear(6, 5), "it": subgraph, "output": ends["output"]}
        return wired(nodes, [("input", "w"), ("w", "it"), ("it", "output")], (5,), metadata)

    return build


def branched() -> SpikingGraph:
    nodes = {"input": nir.Input({"input": np.array([5])}), "a": linear(5, 5), "n": iaf(), "it": linear(5, 5, 4),
             "m": iaf(), "output": nir.Output({"output": np.array([5])})}  # fmt: skip
    edges = [("input", "a"), ("a", "n"), ("n", "it"), ("it", "m"), ("n", "m"), ("m", "output")]
    return wired(nodes, edges, (5,), {})


VECTOR = np.array([0.5, 0.25, 1.0, 0.125, 0.5, 1.0])
IMAGE = (2, 7, 5)
ROWS = (
    Row("Linear", "", chain((5,), ("it", linear(6, 5)), iaf())),
    Row("Affine", "before a neuron without synaptic current", chain((5,), ("it", affine(6, 5)), lif())),
    Row("Affine", "with a bias, before a CubaLIF", chain((5,), ("it", affine(6, 5)), cuba())),
    Row("Affine", "the same, bias=neuron", chain((5,), ("it", affine(6, 5)), cuba(), bias="neuron")),
    Row("Affine", "two in a row", chain((5,), affine(6, 5), ("it", affine(4, 6)), iaf())),
    Row("Conv2d", "kernel 3x2, stride 2x1, padding 1x0",
        chain(IMAGE, ("it", conv(stride=(2, 1), padding=(1, 0))), iaf())),
    Row("Conv2d", "dilation 1x2, groups 2", chain(IMAGE, ("it", conv(4, 2, dilation=(1, 2), groups=2)), iaf())),
    Row("Conv2d", "padding 'same', odd kernel", chain(IMAGE, ("it", conv(kernel=(3, 3), padding="same")), iaf())),
    Row("Conv2d", "padding 'same', even kernel", chain(IMAGE, ("it", conv(padding="same")), iaf())),
    Row("Conv2d", "padding 'valid'", chain(IMAGE, ("it", conv(padding="valid")), iaf())),
    Row("SumPool2d", "before Conv2d",
        chain((2, 8, 6), ("it", pool(nir.SumPool2d, (2, 3))), conv(kernel=(2, 2)), iaf())),
    Row("AvgPool2d", "before Conv2d",
        chain((2, 8, 6), ("it", pool(nir.AvgPool2d, (2, 2))), conv(kernel=(2, 2)), iaf(249 / 1024))),
    Row("AvgPool2d", "before Conv2d, padding would read the dropped remainder",
        chain((2, 15, 15), ("it", pool(nir.AvgPool2d, (2, 2))), conv(kernel=(5, 5), padding=(2, 2)), iaf())),
    Row("SumPool2d", "behind Conv2d",
        chain((2, 8, 6), conv(kernel=(3, 3)), ("it", pool(nir.SumPool2d, (2, 2))), iaf(1.37))),
    Row("SumPool2d", "before Flatten and Linear",
        chain((2, 8, 6), ("it", pool(nir.SumPool2d, (2, 3))), flatten(), linear(6, 16), iaf())),
    Row("SumPool2d", "directly before a neuron", chain((2, 8, 6), ("it", pool(nir.SumPool2d, (2, 3))), iaf(2.5))),
    Row("AvgPool2d", "stride other than kernel",
        chain(IMAGE, ("it", pool(nir.AvgPool2d, (2, 2), (1, 1))), iaf(0.6))),
    Row("AvgPool2d", "with padding", chain(IMAGE, ("it", pool(nir.AvgPool2d, (2, 2), None, (1, 1))), iaf(0.6))),
    Row("Flatten", "of all axes, before Linear",
        chain(IMAGE, conv(), iaf(), ("it", flatten()), linear(6, 60), iaf())),
    Row("Flatten", "of some axes", chain(IMAGE, conv(), iaf(), ("it", flatten(1)), linear(6, 60), iaf())),
    Row("Scale", "one factor, before Linear", chain((5,), ("it", nir.Scale(np.array([0.5]))), linear(6, 5), iaf())),
    Row("Scale", "a factor for each input of a Linear",
        chain((5,), ("it", nir.Scale(2.0 ** -np.arange(5))), linear(6, 5), iaf())),
    Row("Scale", "a factor for each neuron, behind Linear",
        chain((5,), linear(6, 5), ("it", nir.Scale(np.array([1.0, 0.5, 1.0, 0.25, 1.0, 0.5]))), iaf())),
    Row("Scale", "a factor for each pixel, before Conv2d",
        chain(IMAGE, ("it", nir.Scale(np.linspace(0.5, 1, 70).reshape(IMAGE))), conv(), iaf())),
    Row("Delay", "whole steps, before Linear",
        chain((5,), ("it", nir.Delay(np.array([0, 1, 2, 3, 5]) * DT)), linear(6, 5), iaf())),
    Row("Delay", "not a whole number of steps",
        chain((5,), ("it", nir.Delay(np.full(5, 1.5 * DT))), linear(6, 5), iaf())),
    Row("Delay", "more than 62 steps", chain((5,), ("it", nir.Delay(np.full(5, 63 * DT))), linear(6, 5), iaf())),
    Row("Delay", "before Conv2d", chain(IMAGE, ("it", nir.Delay(np.full(IMAGE, DT))), conv(), iaf())),
    Row("IF", "", chain((5,), linear(6, 5), ("it", iaf()))),
    Row("LIF", "decays on the 12-bit grid", chain((5,), linear(6, 5), ("it", lif()))),
    Row("LIF", "v_leak = v_reset, not 0",
        chain((5,), linear(6, 5), ("it", lif(v_leak=np.array([-0.5]), v_reset=np.array([-0.5]), threshold=21 / 256)))),
    Row("LIF", "v_leak, v_reset 0",
        chain((5,), linear(6, 5), ("it", lif(v_leak=np.array([1 / 16]))))),
    Row("LIF", "v_reset neither 0 nor v_leak", chain((5,), linear(6, 5), ("it", lif(v_reset=np.array([-0.5]))))),
    Row("LIF", "tau differs between neurons", chain((5,), linear(6, 5), ("it", lif(VECTOR)))),
    Row("LIF", "the same, allow_vector", chain((5,), linear(6, 5), ("it", lif(VECTOR)), allow_vector=True)),
    Row("LIF", "r differs between neurons",
        chain((5,), linear(6, 5), ("it", lif(np.full(6, 0.5), r=np.array([2.0, 1.0, 2.0, 0.5, 1.0, 2.0]))))),
    Row("LIF", "tau shorter than dt", chain((5,), linear(6, 5), ("it", lif(1.5)))),
    Row("LIF", "no weights before it", chain((5,), ("it", lif()))),
    Row("CubaLIF", "decays on the 12-bit grid", chain((5,), linear(6, 5), ("it", cuba()))),
    Row("LI", "as the read-out", chain((5,), linear(6, 5), iaf(), linear(3, 6), ("it", nir.LI(
        tau=np.array([4 * DT]), r=np.array([4.0]), v_leak=np.zeros(1))))),
    Row("I", "as the read-out", chain((5,), linear(6, 5), iaf(), linear(3, 6), ("it", nir.I(r=np.array([1 / DT]))))),
    Row("CubaLI", "as the read-out", chain((5,), linear(6, 5), iaf(), linear(3, 6), ("it", nir.CubaLI(
        tau_syn=np.array([2 * DT]), tau_mem=np.array([4 * DT]), r=np.array([4.0]), v_leak=np.zeros(1),
        w_in=np.array([2.0]))))),
    Row("LI", "before other layers", chain((5,), linear(6, 5), ("it", nir.LI(
        tau=np.array([4 * DT]), r=np.array([4.0]), v_leak=np.zeros(1))), linear(3, 6), iaf())),
    Row("Linear", "as the read-out, behind the last neuron", chain((5,), linear(6, 5), iaf(), ("it", linear(3, 6)))),
    Row("Linear", "around a neuron", with_recurrence(iaf(), linear(6, 6, 9))),
    Row("Affine", "with a bias, around a neuron", with_recurrence(lif(), affine(6, 6))),
    Row("Conv2d", "around a neuron", with_recurrence(iaf(), conv(6, 6))),
    Row("NIRGraph", "a neuron and its loop as a subgraph", with_recurrence(iaf(), linear(6, 6, 9), nested=True)),
    Row("Threshold", "", chain((5,), linear(6, 5), ("it", nir.Threshold(np.array([0.5]))))),
    Row("Conv1d", "", chain((2, 9), ("it", nir.Conv1d(
        input_shape=9, weight=grid(5, 3, 2, 3), stride=1, padding=0, dilation=1, groups=1, bias=np.zeros(3))), iaf())),
    Row("any", "branches and merges (a residual edge)", branched),
)  # fmt: skip

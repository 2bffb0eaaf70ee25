"""Writes a graph as its framework ran it: NIR nodes whose Euler step of dt is the framework's own step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from spikeport.export.graph.flatten import flat
from spikeport.export.graph.frameworks import Framework, Gain
from spikeport.export.graph.structure import edges_of

NO_DECAY = 2.0**-40  # fraction that stands for no decay, since NIR's gain r dt / tau needs a finite tau


def step_of(graph: nir.NIRGraph, framework: Framework) -> float:
    """The time step that a framework's file implies, in seconds; else the framework's own.

    Args:
        graph: the graph of the file, flat.
        framework: the framework that wrote it.
    """
    with np.errstate(all="ignore"):
        implied = framework.step_of(graph)
    if implied is None or (framework.steps and implied == 1):  # in steps
        return framework.dt_s
    return implied


def as_run(graph: nir.NIRGraph, framework: Framework, dt_s: float) -> nir.NIRGraph:
    """The graph with nodes whose Euler step is what the framework computed.

    A decay of d a step becomes tau = dt / d, and an input gain g becomes r = g / d, since NIR's Euler step loses
    dt / tau and has the gain r dt / tau.

    Args:
        graph: the graph of the file, flat.
        framework: the framework that wrote it.
        dt_s: time step in seconds.
    """
    with np.errstate(all="ignore"):
        implied = framework.step_of(graph)
        unit = (1.0 if implied is None else implied) if framework.steps else dt_s  # one step in the unit of tau
        nodes = {name: _node(node, framework, dt_s, unit) for name, node in graph.nodes.items()}
    edges = list(graph.edges)
    if framework.spike_height == "1/dt":
        nodes, edges = _with_heights(nodes, edges_of(graph), dt_s)
    if framework.time_axis:
        nodes = _without_time(nodes)
    if framework.channels_last:
        nodes = _channels_first(nodes, edges_of(graph))
    if framework.input_at_recurrence:
        edges = _input_at_neurons(nodes, edges_of(graph))
    return flat(nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False))


def _node(node: Any, framework: Framework, dt_s: float, unit: float) -> Any:
    kind = type(node).__name__
    gain: Gain = framework.gains.get(kind, "file")
    if isinstance(node, (nir.IF, nir.I)):
        return replace(node, r=_float64(node.r) / dt_s) if framework.if_gain == "per_step" else node
    if isinstance(node, (nir.LIF, nir.LI)):
        lost = _lost(node.tau, framework, unit)
        entering = _entering(gain, lost, _gain(node.r, lost))
        if isinstance(node, nir.LIF) and np.all(lost == NO_DECAY):
            return nir.IF(r=entering / dt_s, v_threshold=node.v_threshold, v_reset=node.v_reset, metadata=node.metadata)
        return replace(node, tau=dt_s / lost, r=entering / lost)
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        current, lost = _lost(node.tau_syn, framework, unit), _lost(node.tau_mem, framework, unit)
        w_in, r = _float64(node.w_in), _gain(node.r, lost)
        w_in = np.broadcast_to(w_in, np.broadcast_shapes(w_in.shape, current.shape))
        if gain == "file" or (gain == "jump" and not np.all(w_in == 1)):  # the user has set w_in
            jump = _gain(w_in, current)
        else:
            jump = 1 - current if gain == "kept" else np.ones(current.shape)
        r = np.ones(lost.shape) if gain in ("one", "kept") else r
        return replace(node, tau_syn=dt_s / current, tau_mem=dt_s / lost, w_in=jump / current, r=r / lost)
    return node


def _lost(tau: Any, framework: Framework, unit: float) -> np.ndarray:
    """Fraction that a state loses in a step."""
    share = unit / _float64(tau)
    lost = -np.expm1(-share) if framework.decay == "exponential" else share
    return np.where(lost == 0, NO_DECAY, lost)


def _gain(factor: Any, lost: np.ndarray) -> np.ndarray:
    """Gain of NIR's equation; 1 where a decay of 0 made the exporter write an infinite factor."""
    factor = np.broadcast_to(_float64(factor), np.broadcast_shapes(np.shape(factor), lost.shape))
    return np.where(np.isinf(factor), 1.0, factor * lost)


def _entering(gain: Gain, lost: np.ndarray, stated: np.ndarray) -> np.ndarray:
    return {"one": np.ones(lost.shape), "kept": 1 - lost}.get(gain, stated)


def _with_heights(
    nodes: dict[str, Any], edges: list[tuple[str, str]], dt_s: float
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Multiplies spikes by 1 / dt on their way to other nodes; those that leave the graph stay 0 and 1."""
    heights: dict[str, Any] = {}
    moved = []
    for before, behind in edges:
        node = nodes.get(before)
        if isinstance(node, (nir.IF, nir.LIF, nir.CubaLIF)) and not isinstance(nodes.get(behind), nir.Output):
            name = f"{before}.height"
            heights[name] = nir.Scale(np.full(np.shape(node.v_threshold), 1 / dt_s))
            moved += [(before, name), (name, behind)]
        else:
            moved.append((before, behind))
    return {**nodes, **heights}, list(dict.fromkeys(moved))


def _without_time(nodes: dict[str, Any]) -> dict[str, Any]:
    """Drops the first axis of inputs and outputs of two or four axes, which counts time steps."""
    changed = dict(nodes)
    for name, node in nodes.items():
        kind, key = (nir.Input, "input") if isinstance(node, nir.Input) else (nir.Output, "output")
        stated = getattr(node, f"{key}_type")[key] if isinstance(node, kind) else None
        sizes: list[int] = [] if stated is None else np.ravel(stated).tolist()
        if len(sizes) in (2, 4) and sizes[0] != 1:  # 1 is a batch, which `without_batch_axis` drops and reports
            changed[name] = kind({key: np.asarray(sizes[1:])}, metadata=node.metadata)
    return changed


def _channels_first(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> dict[str, Any]:
    """Sorts the columns of weights behind a Flatten of `(C, H, W)` from the order H, W, C to C, H, W."""
    changed = dict(nodes)
    for before, behind in edges:
        flatten, synapse = nodes.get(before), nodes.get(behind)
        if not isinstance(flatten, nir.Flatten) or not isinstance(synapse, (nir.Linear, nir.Affine)):
            continue
        sizes = np.ravel(flatten.input_type["input"]).tolist()
        weight = np.asarray(synapse.weight)
        if len(sizes) == 3 and weight.shape[1] == np.prod(sizes):
            channels, height, width = sizes
            columns = weight.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
            changed[behind] = replace(synapse, weight=columns.reshape(weight.shape))
    return changed


def _input_at_neurons(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leads what enters the recurrent weights of a neuron to the neuron itself."""
    returns = {before: behind for before, behind in edges if isinstance(nodes.get(before), (nir.Linear, nir.Affine))
               and (behind, before) in edges}  # fmt: skip
    return [(before, returns[behind]) if behind in returns and before != returns[behind] else (before, behind)
            for before, behind in edges]  # fmt: skip


def _float64(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)

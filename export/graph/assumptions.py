"""Properties that a .nir file may not state: time step, gain of IF nodes, input shape."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import nir
import numpy as np

from spikeport.errors import UnstatedError, UserError
from spikeport.export.graph.chain import single, with_input_shape
from spikeport.values import Shape

NO_IF_NODES = "the unit of r in IF nodes was given, and there are none"


def with_given_shape(path: str | os.PathLike[str], graph: nir.NIRGraph, given: Shape) -> nir.NIRGraph:
    """Sets the input shape of a graph.

    Args:
        path: the file, for error messages.
        graph: the graph.
        given: `(C, H, W)` or `(N,)`.

    Raises:
        UserError: the file states another valid shape.
    """
    stated = graph.nodes[single(graph, nir.Input)].input_type["input"]
    sizes = () if stated is None else tuple(int(size) for size in np.atleast_1d(stated))
    if len(sizes) in (1, 3) and min(sizes) >= 1 and sizes != given:
        raise UserError(f"input shape {given} contradicts the file's {sizes}", where=str(path),
                        hint="leave the option out")  # fmt: skip
    return with_input_shape(graph, given)


def without_batch_axis(graph: nir.NIRGraph) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """Removes the batch axis of input shapes `(1, N)` or `(1, C, H, W)`, which some exporters write.

    In such a file the axes of a Flatten count the batch too if its own input shape has it.

    Args:
        graph: the NIR graph.

    Returns:
        (graph, notes on the change).
    """
    nodes, notes = dict(graph.nodes), []
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Input):
            continue
        stated = node.input_type["input"]
        sizes = tuple(int(size) for size in np.atleast_1d([] if stated is None else stated))
        if len(sizes) in (2, 4) and sizes[0] == 1:
            nodes[name] = nir.Input({"input": np.array(sizes[1:])}, metadata=node.metadata)
            notes.append(f"input shape {sizes} was read without its first axis, a batch of 1")
    if not notes:
        return graph, ()
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Flatten) and (axes := _axes_without_batch(node)) is not None:
            start, end = axes
            inner = {"input": np.ravel(node.input_type["input"])[1:]}
            nodes[name] = nir.Flatten(inner, start_dim=start, end_dim=end, metadata=node.metadata)
            notes.append(f"{name}: axes {node.start_dim} to {node.end_dim} count the batch, which was dropped")
    return nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False), tuple(notes)


def _axes_without_batch(node: nir.Flatten) -> tuple[int, int] | None:
    """First and last axis of a Flatten whose input shape begins with a batch of 1; None where it does not."""
    stated = None if node.input_type is None else node.input_type.get("input")
    sizes = [] if stated is None else np.ravel(stated).tolist()
    start, end = int(node.start_dim), int(node.end_dim)
    if len(sizes) not in (2, 4) or sizes[0] != 1 or start < 1:
        return None
    return start - 1, end - 1 if end > 0 else end


def infer_dt(path: str | os.PathLike[str], graph: nir.NIRGraph) -> tuple[float, str]:
    """Infers the time step as dt = tau / r, which holds if the exporter gave inputs gain 1.

    Args:
        path: the file, for error messages.
        graph: the graph.

    Returns:
        (dt in seconds, note on the assumption).

    Raises:
        UserError: there is no leaky node, or tau / r is not the same for all of them.
    """
    how = "say which step the network was trained with, in seconds: --dt 1e-3"
    with np.errstate(all="ignore"):
        ratios = [np.ravel(n.tau / n.r) for n in graph.nodes.values() if isinstance(n, (nir.LIF, nir.LI))]
        for node in graph.nodes.values():
            if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
                ratios += [np.ravel(node.tau_mem / node.r), np.ravel(node.tau_syn / node.w_in)]
    steps = np.concatenate(ratios) if ratios else np.zeros(0)
    if steps.size == 0:
        raise UnstatedError("NIR does not state the time step, and no leaky node implies it", where=str(path), hint=how)
    low, high = float(steps.min()), float(steps.max())
    leaky = (nir.LIF, nir.LI, nir.CubaLIF, nir.CubaLI)
    gains = np.concatenate([np.ravel(n.r) for n in graph.nodes.values() if isinstance(n, leaky)])
    gain_one = gains.min() > 1 - 1e-5 and gains.max() > 1 + 1e-5
    if not (0 < low <= high < math.inf and high - low <= 1e-5 * high and gain_one):
        raise UnstatedError(
            "NIR does not state the time step, and tau/r does not imply it", where=str(path),
            cause=f"tau/r is {_span(steps)} s, and r must exceed 1 where an exporter wrote tau/dt", hint=how,
        )  # fmt: skip
    middle = float(np.median(steps))
    dt_s = float(f"{middle:.6g}")  # float32 rounding noise removed: decays would inherit it
    note = f"dt = {dt_s:g} s was inferred as tau/r, which holds if the exporter gave inputs gain 1"
    if not _is_round(dt_s):
        note += f"; it is not a round number, so that this is doubtful: {_of_rockpool(graph)}give --from or --dt"
    return dt_s, note


def _is_round(dt_s: float) -> bool:
    """Whether a time step has two significant digits at most, but for rounding errors of float32."""
    return math.isclose(dt_s, float(f"{dt_s:.2g}"), rel_tol=1e-4)


def _of_rockpool(graph: nir.NIRGraph) -> str:
    """Words for the time step by Rockpool's convention r = (tau / dt) exp(-dt / tau), where it is a round number.

    Then (dt / tau) exp(dt / tau) = 1 / r, so that dt = tau W(1 / r) with Lambert's W, which Newton's method gives.
    """
    for node in graph.nodes.values():
        if isinstance(node, nir.LIF):
            tau, target = float(np.ravel(node.tau)[0]), 1 / float(np.ravel(node.r)[0])
            w = target
            for _ in range(20):
                w -= (w * math.exp(w) - target) / (math.exp(w) * (1 + w))
            if _is_round(tau * w):
                return f"in a file of Rockpool it is {tau * w:.2g} s, which --from rockpool reads; "
    return ""


def with_if_gain(
    path: str | os.PathLike[str], graph: nir.NIRGraph, dt_s: float | None, if_gain: str | None
) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """Converts r of all IF nodes to r per second, the unit of NIR's equation.

    Args:
        path: the file, for error messages.
        graph: the graph.
        dt_s: time step in seconds; None if it is unknown.
        if_gain: unit of r in the file, "per_step" or "per_second"; None if it is unknown.

    Returns:
        (graph, notes on the change).

    Raises:
        UserError: `if_gain` is None and r dt is not known to be 1, so that the unit is ambiguous.
    """
    found = {name: node for name, node in graph.nodes.items() if isinstance(node, (nir.IF, nir.I))}
    names = list(found)
    if if_gain not in (None, "per_step", "per_second"):
        raise UserError(f"if_gain {if_gain!r} is unknown", hint="use per_step or per_second")
    if not names:
        return graph, () if if_gain is None else (NO_IF_NODES,)
    if if_gain == "per_second":
        return graph, ()
    if if_gain is None:
        gains = np.concatenate([np.ravel(node.r) for node in found.values()]) * (1 if dt_s is None else dt_s)
        if dt_s is not None and np.allclose(gains, 1.0, rtol=1e-6, atol=0):
            return graph, ()
        what = f"a gain r dt = {_span(gains)}" if dt_s is not None else f"r = {_span(gains)}, and a gain r dt"
        raise UnstatedError(
            f"IF nodes {', '.join(names)} have {what} by NIR's equation, while some frameworks (sinabs is one) mean r "
            "per step", where=str(path), hint="give --if-gain per-step or --if-gain per-second",
        )  # fmt: skip
    if dt_s is None:
        return graph, ()
    nodes = dict(graph.nodes)
    for name, node in found.items():
        nodes[name] = replace(node, r=np.asarray(node.r, dtype=np.float64) / dt_s)
    settled = nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False)
    return settled, (f"r of IF nodes {', '.join(names)} was read per step",)


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"

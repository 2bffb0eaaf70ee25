"""Small graphs for several tests."""

from __future__ import annotations

import itertools

import nir
import numpy as np

from spikeport.export.graph.spiking_graph import SpikingGraph

DT = 1e-3


def graph_of(*nodes: nir.NIRNode, shape: tuple[int, ...], dt_s: float = DT, scales=None) -> SpikingGraph:
    """A chain of the nodes, named n0, n1, ..., for inputs of `shape`."""
    named = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{index}": node for index, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    names = list(named)
    graph = nir.NIRGraph(named, list(itertools.pairwise(names)), type_check=False)
    return SpikingGraph(nir_graph=graph, dt_s=dt_s, input_shape=shape, scales=scales or {})


def lif(shape: tuple[int, ...], tau: float = 2e-3, r: float = 2.0, threshold: float = 1.0, leak=0.0, reset=0.0):
    """A LIF node; tau = 2 dt and r = 2 give a decay of 1/2 and a gain of 1."""
    one = np.ones(shape)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=leak * one, v_threshold=threshold * one, v_reset=reset * one)

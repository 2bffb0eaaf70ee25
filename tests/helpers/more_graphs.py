"""Recurrent graphs and graphs on the integer grid for several tests."""

from __future__ import annotations

import itertools

import nir
import numpy as np
from hypothesis import strategies as st
from random_graphs import random_graph

from spikeport.export.graph.spiking_graph import SpikingGraph

FLATTEN = nir.Flatten({"input": None}, start_dim=0, end_dim=-1)


def recurrent(graph: SpikingGraph, cell: str, *recurrence: nir.NIRNode, **changes) -> SpikingGraph:
    """The graph with a recurrence of the nodes r0, r1, ... around `cell`."""
    names = [f"r{index}" for index, _ in enumerate(recurrence)]
    nodes = {**graph.nir_graph.nodes, **dict(zip(names, recurrence, strict=True))}
    edges = [*graph.nir_graph.edges, *itertools.pairwise([cell, *names, cell])]
    settings = {"dt_s": graph.dt_s, "input_shape": graph.input_shape, "scales": graph.scales, **changes}
    return SpikingGraph(nir_graph=nir.NIRGraph(nodes, edges, type_check=False), **settings)


def grid_graphs() -> st.SearchStrategy:
    """Graphs of all supported nodes on the integer grid, with frames `[T, *input_shape]`."""
    return st.integers(0, 2**32 - 1).map(lambda seed: random_graph(np.random.default_rng(seed)))

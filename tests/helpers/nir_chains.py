"""Chains of LIF layers and small graphs as NIR files hold them."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np

from spikeport.export.graph.spiking_graph import SpikingGraph

DT = 1e-3


def lif(shape: tuple[int, ...] = (3,), tau: float = 4e-3, r: float = 4.0) -> nir.LIF:
    one = np.ones(shape)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=0 * one, v_threshold=0.7 * one, v_reset=0 * one)


def nir_chain(shape: tuple[int, ...], **nodes: nir.NIRNode) -> nir.NIRGraph:
    named = {"input": nir.Input({"input": np.array(shape)}), **nodes, "output": nir.Output({"output": None})}
    return nir.NIRGraph(named, list(itertools.pairwise(named)), type_check=False)


def conv_graph(**settings) -> SpikingGraph:
    """Asymmetric everywhere, a kernel that is not square, scalar-shaped neurons, all of which NIR itself gets wrong."""
    rng = np.random.default_rng(1)
    conv = nir.Conv2d(None, rng.normal(size=(4, 1, 3, 2)), (1, 2), (1, 0), (1, 1), 2, rng.normal(size=4))
    graph = nir_chain(
        (2, 6, 11),
        conv=conv,
        cell=lif((1,)),
        pool=nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0])),
        flatten=nir.Flatten({"input": None}, start_dim=0, end_dim=-1),
        fc=nir.Linear(rng.normal(size=(3, 4 * 3 * 5))),
        last=lif((3,)),
    )
    return SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2, 6, 11), **settings)


def dense_graph(**nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir_chain((2,), fc=nir.Linear(np.arange(6.0).reshape(3, 2)), **(nodes or {"cell": lif()}))


def written(path: Path, graph: nir.NIRGraph) -> Path:
    """A foreign file: what NIR itself writes, without metadata."""
    graph.nodes["output"] = nir.Output({"output": np.array([3])})
    nir.write(path, graph)
    return path

"""All faults of a graph in one answer: structure, shapes, neurons and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.node_kinds import NEURONS, SYNAPSES
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import is_chain, structure_faults
from spikeport.export.lowering.discretize import EulerStep, euler_step
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.values import Shape


def graph_faults(graph: SpikingGraph, *, dt_known: bool = True) -> list[UserError]:
    """Everything that is wrong with the nodes of a graph, for one error that lists it.

    Args:
        graph: the graph.
        dt_known: whether its time step is the network's. Otherwise it must be shorter than every time constant, and
            biases are named without the decay that they meet.
    """
    nodes = graph.nir_graph.nodes
    faults = structure_faults(graph.nir_graph)
    shapes: dict[str, Shape] = {}
    if not faults and is_chain(graph.nir_graph):
        try:
            shapes = {step.name: step.input_shape for step in graph.chain()}
        except UserError as fault:
            faults.append(fault)
    steps: dict[str, EulerStep] = {}
    for name, node in nodes.items():
        if isinstance(node, NEURONS):
            try:
                steps[name] = euler_step(name, node, graph.dt_s, shapes.get(name))
            except UserError as fault:
                faults.append(fault)
    return faults if graph.bias == "neuron" else [*faults, *_bias_faults(graph, steps, dt_known)]


def bias_fault(layer: str, neuron: str, slow: str) -> UserError:
    """The error for a bias before a synaptic current that decays slowly.

    Args:
        layer: name of the weights.
        neuron: name of the neuron.
        slow: how slowly it decays, for people.
    """
    return UserError(
        f"has a bias, and the current of {neuron} decays slowly ({slow})",
        where=layer, cause="NIR adds the bias to the current, the chip to the voltage",
        hint="--bias neuron makes it the weight of a neuron that always fires; or train without bias before this "
        "neuron, or with tau_syn = dt",
    )  # fmt: skip


def decay_words(i_decay: int) -> str:
    """The decay of a current in the chip's unit, for `bias_fault`.

    Args:
        i_decay: 0 to 4096.
    """
    return f"i_decay {i_decay} of {DECAY_ONE}"


def _bias_faults(graph: SpikingGraph, steps: dict[str, EulerStep], dt_known: bool) -> list[UserError]:
    nodes: dict[str, Any] = graph.nir_graph.nodes
    faults = []
    for before, behind in sorted(graph.nir_graph.edges):
        node = nodes.get(before)
        if isinstance(node, SYNAPSES) and behind in steps and np.any(getattr(node, "bias", 0)):
            slowest = int(np.rint(DECAY_ONE * np.min(steps[behind].i_decay)))
            if slowest != DECAY_ONE:
                slow = f"unless dt is its tau_syn, {np.max(nodes[behind].tau_syn):g} s"
                faults.append(bias_fault(before, behind, decay_words(slowest) if dt_known else slow))
    return faults

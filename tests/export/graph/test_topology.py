"""Graphs that are not a chain: loops, residual connections, subgraphs, loose ends and shapes that do not fit."""

from __future__ import annotations

import itertools
import re
import sys

import nir
import numpy as np
import pytest
from nir_chains import conv_graph, dense_graph, lif, nir_chain

from spikeport.errors import UserError
from spikeport.export.graph.chain import chain
from spikeport.export.graph.flatten import flat


def reason(graph: nir.NIRGraph) -> str:
    with pytest.raises(UserError) as refusal:
        chain(graph)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_residual_connection_is_refused_at_both_ends():
    graph = dense_graph(cell=lif(), fc2=nir.Linear(np.ones((3, 3))), cell2=lif())
    graph.edges.append(("fc", "cell2"))
    assert "fc: branches to cell, cell2" in reason(graph)
    assert "cell2: merges fc, fc2: netx has no add" in reason(graph)


def test_loops_that_netx_has_not_are_refused_with_their_path():
    def closed(*inner: nir.NIRNode, end: str = "cell") -> nir.NIRGraph:
        graph = dense_graph(cell=lif(), back=nir.Linear(np.ones((3, 3))), cell2=lif())
        names = [f"r{index}" for index, _ in enumerate(inner)]
        graph.nodes |= dict(zip(names, inner, strict=True))
        graph.edges += itertools.pairwise(["cell", *names, end])
        return graph

    square, conv = nir.Linear(np.ones((3, 3))), nir.Conv2d(None, np.ones((3, 3, 1, 1)), 1, 0, 1, 1, np.zeros(3))
    assert [step.recurrence and step.recurrence[0].name for step in chain(closed(square))] == [(), "r0", (), ()]
    assert reason(closed()).startswith("cell: is recurrent through itself: an edge from a neuron to itself")
    assert reason(closed(square, square)).startswith("cell: is recurrent through r0, r1: netx takes one weight")
    assert reason(closed(conv)).startswith("r0: weight (3, 3, 1, 1) with groups=1 does not fit its input (3,)")
    assert reason(closed(lif())).startswith("cell: is recurrent through r0: netx takes one weight")
    assert reason(closed(nir.Linear(np.ones((2, 3))))).startswith("r0: leads (3,) back as (2,)")
    assert reason(closed(nir.Linear(np.ones((2, 2))))).startswith("r0: weight (2, 2) does not fit its input (3,)")
    across = closed(square)
    across.edges.append(("cell2", "r0"))
    assert "cell: is recurrent through back, cell2, r0" in reason(across)
    empty = closed(square)
    empty.edges += [("fc", "x"), ("x", "fc")]
    empty.nodes["x"] = nir.Scale(np.ones(3))
    assert "fc: is recurrent through x: this loop contains no neuron" in reason(empty)


def test_a_loop_around_a_convolution_is_a_recurrence():
    graph = conv_graph().nir_graph
    graph.nodes["back"] = nir.Scale(np.ones(1))
    graph.edges += [("cell", "back"), ("back", "cell")]
    assert {step.name: [inner.name for inner in step.recurrence] for step in chain(graph)}["cell"] == ["back"]


def test_graphs_inside_the_graph_are_put_in_place_whatever_their_names():
    """As snnTorch nests RLeaky, and once more for no reason."""
    inner = nir_chain((3,), lif=lif())
    inner.nodes["w_rec"] = nir.Affine(np.eye(3), np.arange(3.0))
    inner.edges += [("lif", "w_rec"), ("w_rec", "lif")]
    nested = nir_chain((3,), **{"zelle ü": inner})
    graph = nir_chain((2,), fc=nir.Linear(np.ones((3, 2))), rec=nested, last=nir.Linear(np.ones((2, 3))), out=lif((2,)))
    steps = chain(graph)
    assert [step.name for step in steps] == ["fc", "rec.zelle ü.lif", "last", "out"]
    assert [inner.name for inner in steps[1].recurrence] == ["rec.zelle ü.w_rec"]
    nested.nodes["input2"] = nir.Input({"input": np.array([3])})
    assert reason(graph).startswith("rec: this graph inside the graph has 2 Input nodes")
    deep = nir_chain((3,), cell=lif())
    for _ in range(40):
        deep = nir_chain((3,), g=deep)
    assert "more than 32 graphs inside each other" in reason(deep)


def test_a_long_row_of_subgraphs_stays_a_chain():
    """Each of 600 holds a weight and a neuron between its own Input and Output; order and edges are known."""

    def part():
        cell = nir.LIF(*(np.full(2, value) for value in (2e-3, 2.0, 0.0, 0.5, 0.0)))
        nodes = {"i": nir.Input({"input": np.array([2])}), "w": nir.Linear(np.eye(2)), "n": cell,
                 "o": nir.Output({"output": np.array([2])})}  # fmt: skip
        return nir.NIRGraph(nodes, [("n", "o"), ("i", "w"), ("w", "n")], type_check=False)

    names = [f"g{index}" for index in range(600)]
    nodes = {"in": nir.Input({"input": np.array([2])}), **{name: part() for name in names}}
    nodes["out"] = nir.Output({"output": np.array([2])})
    flattened = flat(nir.NIRGraph(nodes, list(itertools.pairwise(nodes))[::-1], type_check=False))
    row = ["in", *(f"{name}.{inner}" for name in names for inner in "wn"), "out"]
    assert set(flattened.nodes) == set(row)
    assert sorted(flattened.edges) == sorted(itertools.pairwise(row))


def test_names_that_clash_when_subgraphs_are_put_in_place_stay_apart():
    inner = nir_chain((3,), b=lif())
    graph = nir_chain(
        (2,), fc=nir.Linear(np.ones((3, 2))), a=inner, **{"a.b": nir.Linear(np.ones((2, 3)))}, z=lif((2,))
    )
    assert [step.name for step in chain(graph)] == ["fc", "a.b_", "a.b", "z"]


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (nir.LI(tau=np.ones(3), r=np.ones(3), v_leak=np.zeros(3)), "odd: leads to cell, and it never fires"),
        (nir.I(r=np.ones(3)), "odd: leads to cell, and it never fires"),
        (nir.CubaLI(*[np.ones(3)] * 4), "odd: leads to cell, and it never fires"),
        (nir.Threshold(np.ones(3)), "odd: Threshold cannot go to netx: netx has no neuron without state"),
        (nir.NIRGraph({}, [], type_check=False), "odd: this graph inside the graph has 0 Input nodes"),
    ],
)
def test_nodes_that_netx_has_not_are_refused_by_name(node, words):
    assert re.match(words, reason(dense_graph(odd=node, cell=lif())))


def test_loose_ends_are_refused():
    two_inputs = dense_graph()
    two_inputs.nodes["input2"] = nir.Input({"input": np.array([2])})
    two_inputs.edges.append(("input2", "fc"))
    assert "the graph has 2 Input nodes" in reason(two_inputs)
    two_outputs = dense_graph()
    two_outputs.nodes["output2"] = nir.Output({"output": np.array([3])})
    two_outputs.edges.append(("cell", "output2"))
    assert "the graph has 2 Output nodes" in reason(two_outputs)
    alone = dense_graph()
    alone.nodes["alone"] = lif()
    assert "alone: is connected to nothing" in reason(alone)
    cut = dense_graph()
    cut.edges.remove(("fc", "cell"))
    assert "fc: leads nowhere" in reason(cut)
    assert "cell: is fed by nothing" in reason(cut)
    lost = dense_graph()
    lost.edges.append(("cell", "gone"))
    assert "edges name nodes that do not exist: gone" in reason(lost)
    misspelt = dense_graph()
    misspelt.edges.append(("cel", "output"))
    assert "do not exist: cel. Hint: cel is perhaps cell; correct the names" in reason(misspelt)
    doubled = dense_graph()
    doubled.edges.append(("fc", "cell"))
    assert [step.name for step in chain(doubled)] == ["fc", "cell"], "NIR's edges are a set"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"fc": nir.Linear(np.ones((3, 5))), "cell": lif()}, r"fc: weight .3, 5. does not fit its input .2, 6, 8."),
        ({"cell": lif((2, 6, 7))}, "cell: tau has shape .2, 6, 7., the layer before gives .2, 6, 8."),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 5, 1, 1)), 1, 0, 1, 1, np.zeros(3))},
            "conv: weight .3, 5, 1, 1. with groups=1 does not fit",
        ),
        ({"conv": nir.Conv2d(None, np.ones((3, 2, 9, 1)), 1, 0, 1, 1, np.zeros(3))}, "conv: kernel .9, 1. is larger"),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), 2, "same", 1, 1, np.zeros(3))},
            "conv: padding 'same' with stride .2, 2. has no meaning",
        ),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), np.ones(3), 0, 1, 1, np.zeros(3))},
            "conv: stride .* neither",
        ),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), 0, 0, 1, 1, np.zeros(3))},
            "conv: stride .0, 0. is too small",
        ),
        ({"flat": nir.Flatten({"input": None}, 1, -1)}, "flat: Flatten merges axes 1 to -1 of .2, 6, 8. only"),
        (
            {"pool": nir.SumPool2d(np.array([7, 1]), np.array([7, 1]), np.array([0, 0]))},
            "pool: pool .7, 1. is larger than its input",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused_where_they_break(nodes, words):
    with pytest.raises(UserError, match=words):
        chain(nir_chain((2, 6, 8), **nodes))


def test_an_output_that_claims_another_shape_is_refused():
    graph = dense_graph()
    graph.nodes["output"] = nir.Output({"output": np.array([7])})
    assert reason(graph).startswith("output: the file claims shape (7,), the layers give (3,)")


def test_a_huge_graph_is_sorted_or_refused():
    """5,000 nodes in a row, then as many on one circle, then loose; comparing all pairs would take minutes."""
    scale = nir.Scale(np.ones(1))
    nodes = {f"s{index}": scale for index in range(5_000)}
    assert len(chain(nir_chain((3,), **nodes))) == 5_000
    around = nir_chain((3,), **nodes)
    around.edges.append(("s4999", "s0"))
    assert " and 4979 more: this loop contains no neuron" in reason(around)
    loose = nir_chain((3,), cell=lif())
    loose.nodes |= nodes
    assert reason(loose).endswith("and 4980 more")


def test_twice_the_nodes_are_twice_the_work():
    """Counted in the lines that run, not in seconds: comparing all pairs would be four times the work."""
    scale = nir.Scale(np.ones(1))

    def lines_run(count):
        graph = nir_chain((3,), **{f"s{index}": scale for index in range(count)})
        lines = 0

        def trace(frame, event, argument):
            nonlocal lines
            lines += event == "line"
            return trace

        sys.settrace(trace)
        try:
            chain(graph)
        finally:
            sys.settrace(None)
        return lines

    assert lines_run(800) < 2.5 * lines_run(400)

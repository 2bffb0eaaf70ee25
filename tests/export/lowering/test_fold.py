"""Folding changes no number: shown in fractions, over random geometry, against each node evaluated by itself."""

from __future__ import annotations

import nir
import numpy as np
from fold_chains import (
    FLATTEN,
    by_definition,
    chain_output,
    conv,
    exact,
    folded,
    layer_output,
    neuron,
    pool,
    random_input,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.lowering import pool_folding


def some_pool(draw) -> nir.NIRNode:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.sampled_from([kernel, kernel, (1, 2), (2, 1), (2, 2)]))
    padding = tuple(draw(st.integers(0, (k - 1) // 2 if stride == kernel else k // 2)) for k in kernel)
    return pool(draw(st.sampled_from([nir.AvgPool2d, nir.SumPool2d])), kernel, stride, padding)


def some_scale(draw, rng, shape: tuple[int, ...]) -> nir.NIRNode:
    form = draw(st.sampled_from([(), (1,), (1, 1, 1), (shape[0], 1, 1), shape, (1, *shape)]))
    factors = rng.integers(1, 9, (shape[0], 1, 1)) / 4
    return nir.Scale(np.broadcast_to(factors if len(form) >= 3 and form[-3] > 1 else factors[0, 0, 0], form).copy())


def some_conv(draw, rng, shape: tuple[int, ...]) -> nir.NIRNode:
    two = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    kernel, dilation = draw(two), draw(two)
    padding = draw(st.one_of(st.tuples(*[st.integers(0, 2)] * 2), st.sampled_from(["same", "valid", 1])))
    stride = (1, 1) if padding == "same" else draw(two)
    return conv(rng, shape[0], groups * draw(st.integers(1, 2)), kernel, stride, padding, dilation, groups)


@st.composite
def random_parts(draw):
    """Pools and scales, perhaps with a convolution or a Flatten and a dense layer among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = shape = (draw(st.integers(1, 3)), draw(st.integers(5, 11)), draw(st.integers(5, 11)))
    nodes: list[nir.NIRNode] = []

    def add(node: nir.NIRNode) -> None:
        nonlocal shape
        grown = by_definition(exact(np.zeros(first)), nodes[0]) if nodes else exact(np.zeros(first))
        grown = chain_output(grown, *nodes[1:])
        kernel = np.broadcast_to(getattr(node, "kernel_size", (1, 1)), 2)
        padding = np.broadcast_to(getattr(node, "padding", 0), 2) if not isinstance(node, nir.Conv2d) else (0, 0)
        if len(shape) == 3 and all(s + 2 * p >= k for s, p, k in zip(shape[1:], padding, kernel, strict=True)):
            nodes.append(node)
            shape = by_definition(grown, node).shape

    def around() -> None:
        for _ in range(draw(st.integers(0, 2))):
            add(some_scale(draw, rng, shape) if draw(st.booleans()) else some_pool(draw))

    around()
    middle = draw(st.sampled_from(["conv", "conv", "conv", "dense", "nothing"]))
    if middle == "conv":
        node = some_conv(draw, rng, shape)
        reach = [d * (k - 1) for d, k in zip(node.dilation, node.weight.shape[2:], strict=True)]
        pads = [0, 0] if isinstance(node.padding, str) else np.broadcast_to(node.padding, 2).tolist()
        if node.padding == "same" or all(s + 2 * p > r for s, p, r in zip(shape[1:], pads, reach, strict=True)):
            add(node)
        around()
    elif middle == "dense":
        weight = rng.integers(-9, 10, (2, int(np.prod(shape)))).astype(np.float64)
        factors = rng.integers(1, 9, weight.shape[1]) / 8
        nodes += [FLATTEN, nir.Scale(factors), nir.Affine(weight, np.array([3.0, -2.0])), nir.Scale(np.array([0.5, 2]))]
    return first, nodes, random_input(rng, first)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_parts())
def test_whatever_folds_is_equal_in_rational_arithmetic(case):
    shape, nodes, x = case
    try:
        (layer,) = folded(shape, *nodes, neuron())
    except UserError as error:
        assert "cannot become one convolution" in str(error), error  # noqa: PT017
    else:
        expected = chain_output(x, *nodes)
        assert layer.output_shape == expected.shape or layer.output_shape == chain_output(x, *nodes[:-1]).shape
        assert_array_equal(layer_output(layer, x).ravel(), expected.ravel())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_parts())
def test_no_fold_is_refused_without_need(case):
    """Where folding is refused, the merged kernel gives another number for an input of ones (all weights positive)."""
    shape, nodes, _ = case
    kernels = [node for node in nodes if not isinstance(node, nir.Scale)]
    assume(len(kernels) == 2)  # a third could drop the very places that differ
    refused = False
    try:
        folded(shape, *nodes, neuron())
    except UserError:
        refused = True
    if refused:
        checked, pool_folding._check = pool_folding._check, lambda *_: None
        try:
            (layer,) = folded(shape, *nodes, neuron())
        finally:
            pool_folding._check = checked
        ones = exact(np.ones(shape))
        # The rule looks at one axis at a time: where the other reads padding alone, nothing reaches the output anyway.
        assume(np.any(chain_output(ones, *nodes) != chain_output(exact(np.zeros(shape)), *nodes)))
        assert np.any(layer_output(layer, ones).ravel() != chain_output(ones, *nodes).ravel())

"""Two executions are compared spike by spike, and the first divergence is named."""

import numpy as np
import pytest

from spikeport.export.backends.compare import compare_layers, merge

NAMES = ("conv", "fc")


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 2, (4, 5, 2, 3, 6), dtype=np.uint8), rng.integers(0, 2, (4, 5, 7), dtype=np.uint8)]


def test_equal_executions_have_no_divergence(layers):
    found = compare_layers(NAMES, layers, [layer.copy() for layer in layers])
    assert (found.mismatches, found.first_divergence) == (0, None)
    assert (found.samples, found.entries_compared) == (4, 4 * 5 * 36 + 4 * 5 * 7)
    assert found.spikes_compared == layers[0].sum() + layers[1].sum()


def test_the_first_divergence_is_where_the_cause_lies(layers):
    """In the first differing sample, an earlier layer comes before an earlier step."""
    other = [layer.copy() for layer in layers]
    for layer, place in [(0, (3, 0, 0, 0, 0)), (0, (2, 4, 1, 2, 5)), (0, (2, 4, 1, 2, 4)), (1, (2, 1, 3))]:
        other[layer][place] ^= 1
    found = compare_layers(NAMES, layers, other)
    assert found.mismatches == 4
    divergence = found.first_divergence
    assert (divergence.sample, divergence.layer, divergence.step, divergence.neuron) == (2, "conv", 4, (1, 2, 4))
    assert divergence.first == layers[0][2, 4, 1, 2, 4] != divergence.second


def test_unequal_shapes_are_no_comparison(layers):
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_layers(NAMES, layers, [layers[0], layers[1][:2]])


def test_chunks_merge_to_the_whole(layers):
    other = [layer.copy() for layer in layers]
    other[1][2, 3, 5] ^= 1
    other[0][3, 0, 1, 1, 1] ^= 1
    rows = (slice(0, 1), slice(1, 3), slice(3, 4))
    parts = [compare_layers(NAMES, [a[r] for a in layers], [b[r] for b in other]) for r in rows]
    assert merge(parts) == compare_layers(NAMES, layers, other)
    assert merge(parts).first_divergence.sample == 2

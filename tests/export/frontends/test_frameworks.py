"""Files as snnTorch, Norse, Sinabs, SpikingJelly, Rockpool and nirtorch write them, against what these ran."""

from __future__ import annotations

import re

import numpy as np
import pytest
from frameworks import nodes, outcomes, regenerate, table
from numpy.testing import assert_array_equal

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.quantization.quantize import quantize

EXACT, ROUNDING, OTHER = "exact", "rounding", "another network"
SUBTRACT = r"reset 'subtract' cannot go to the chip: Loihi resets v to zero"

# What becomes of each file: EXACT; (ROUNDING, largest share that may differ); (OTHER, what the file leaves out);
# ("refused", words of the reason); ("not exported", words of the framework's error).
EXPECTED: dict[str, object] = {
    "snntorch_leaky": EXACT,
    "snntorch_leaky_inferred": EXACT,
    "snntorch_leaky_batch": ("not exported", "type mismatch"),
    "snntorch_leaky_beta_1": ("refused", r"write a neuron without leak \(beta = 1\) as IF"),
    "snntorch_leaky_odd_beta": (ROUNDING, 0.002),
    "snntorch_conv_3x2": ("not exported", "type mismatch"),
    "snntorch_conv": EXACT,
    "snntorch_synaptic": EXACT,
    "snntorch_synaptic_bias": ("refused", r"has a bias, and the current of 1 decays slowly"),
    "snntorch_synaptic_bias_unit": EXACT,
    "snntorch_rleaky": EXACT,
    "snntorch_leaky_vector": EXACT,
    "snntorch_leaky_vector_allowed": EXACT,
    "snntorch_leaky_subtract": ("refused", SUBTRACT),
    "snntorch_leaky_scalar": ("not exported", "type mismatch"),
    "snntorch_maxpool": ("not exported", "NoneType"),
    "norse_lifbox": EXACT,
    "norse_lifbox_dt": ("refused", "tau = 2e-06 s is shorter than the time step"),
    "norse_lifbox_dt_1": EXACT,
    "norse_lifbox_batch": EXACT,
    "norse_lifbox_scalar": ("not exported", "Scalar datasets"),
    "norse_lifbox_odd_decay": (ROUNDING, 0.001),
    "norse_lif": (OTHER, "w_in"),
    "norse_lif_w_in": EXACT,
    "norse_iaf": EXACT,
    "norse_conv": ("not exported", "One of data, shape or dtype"),
    "norse_conv_shaped": EXACT,
    "norse_conv_no_bias": ("not exported", "NoneType"),
    "norse_flatten": ("not exported", "NoneType"),
    "norse_pool": ("not exported", "NoneType"),
    "norse_nested": EXACT,
    "norse_libox": (ROUNDING, 1e-4),
    "norse_recurrent": ("not exported", "NoneType"),
    "sinabs_conv_untyped": ("not exported", "One of data, shape or dtype"),
    "sinabs_conv": EXACT,
    "sinabs_conv_if_gain": ("refused", "some frameworks .sinabs is one. mean r per step"),
    "sinabs_conv_default": ("refused", SUBTRACT),
    "sinabs_from_model": EXACT,
    "sinabs_lif": EXACT,
    "sinabs_lif_dt_1": (OTHER, ""),
    "sinabs_lif_tau_syn": (OTHER, "tau_syn"),
    "sinabs_expleak": (ROUNDING, 1e-4),
    "sinabs_nested": EXACT,
    "sinabs_avgpool": ("not exported", "AvgPool2d'> not supported"),
    "sinabs_recurrent": ("not exported", "LIFRecurrent'> not supported"),
    "spikingjelly_if": EXACT,
    "spikingjelly_if_no_dt": ("refused", "does not state the time step"),
    "spikingjelly_lif": EXACT,
    "spikingjelly_lif_no_decay": EXACT,
    "spikingjelly_lif_odd_tau": (ROUNDING, 0.001),
    "spikingjelly_if_met": (OTHER, "v >= threshold"),
    "spikingjelly_plif": EXACT,
    "spikingjelly_cubalif": EXACT,
    "spikingjelly_conv": EXACT,
    "spikingjelly_conv_3x2": ("not exported", "type mismatch"),
    "spikingjelly_groups": ("not exported", "Grouped convolutions"),
    "spikingjelly_soft_reset": ("not exported", "soft reset"),
    "spikingjelly_v_reset": EXACT,
    "spikingjelly_nested": EXACT,
    "spikingjelly_recurrent": ("not exported", "TraceError"),
    "spikingjelly_maxpool": ("not exported", "only supported function is addition"),
    "rockpool_lif": ("refused", SUBTRACT),
    "rockpool_lif_zero": (OTHER, "gain"),
    "rockpool_lif_neuron": ("refused", SUBTRACT),
    "rockpool_lif_neuron_zero": (OTHER, ""),
    "rockpool_recurrent": ("refused", SUBTRACT),
    "rockpool_expsyn": ("not exported", "requires grad"),
    "spyx_lif": ("refused", SUBTRACT),
    "spyx_lif_dt": ("refused", SUBTRACT),
    "spyx_if": ("refused", SUBTRACT),
    "spyx_cubalif": ("refused", SUBTRACT),
    "spyx_rlif": ("refused", SUBTRACT),
    "spyx_conv": ("refused", SUBTRACT),
    "spyx_conv_no_bias": ("not exported", "type mismatch"),
    "spyx_li": ("refused", SUBTRACT),
    "nengo_lif": (ROUNDING, 0.02),
    "nengo_lif_floor": (OTHER, "min_voltage"),
    "nirtorch_nested": EXACT,
    "nirtorch_nested_recurrent": EXACT,
}

ADAPT = "needs adapt"
# The same read by `--from`, where that differs: ADAPT, and the largest share of places in which a float run of the file
# with the framework's own reset may differ from the framework: 0 where its conventions are all met.
BY_FRAMEWORK: dict[str, object] = {
    "snntorch_leaky_beta_1": EXACT,
    "snntorch_leaky_subtract": (ADAPT, 0),
    "norse_lif": EXACT,
    "sinabs_conv_default": (ADAPT, 0),
    "spikingjelly_if_met": EXACT,
    "rockpool_lif": (ADAPT, 0),
    "rockpool_lif_neuron": (ADAPT, 0),
    "rockpool_recurrent": (ADAPT, 0.2),  # recurrent weights are not in the file
    "spyx_lif": (ADAPT, 0),
    "spyx_lif_dt": (ADAPT, 0),
    "spyx_if": (ADAPT, 0),
    "spyx_cubalif": (ADAPT, 0),  # subtracts in the same step, and LIF in the next
    "spyx_rlif": (ADAPT, 0),
    "spyx_conv": (ADAPT, 0),
    "spyx_li": (ADAPT, 1),  # the read-out is not in the file
}

# Conditions whose graphs are refused, with words of the reason; every other row compiles.
REFUSED = {
    ("Affine", "with a bias, before a CubaLIF"): "NIR adds the bias to the current, the chip to the voltage",
    ("Affine", "two in a row"): "no neuron between them",
    ("Flatten", "of some axes"): "netx flattens all of them",
    ("Delay", "not a whole number of steps"): "the chip delays by whole steps",
    ("Delay", "more than 62 steps"): "outside 0..62",
    ("Delay", "before Conv2d"): "netx drops delays of convolutions",
    ("LIF", "v_reset neither 0 nor v_leak"): "the chip resets v to 0",
    ("LIF", "tau shorter than dt"): "shorter than the time step",
    ("LI", "before other layers"): "it never fires",
    ("Conv2d", "around a neuron"): "does not fit its input (6,)",
    ("Threshold", ""): "netx has no neuron without state",
}
LAVA = ("snntorch_rleaky", "snntorch_synaptic_bias_unit", "norse_conv_shaped", "sinabs_from_model", "spikingjelly_conv",
        "nirtorch_nested_recurrent")  # fmt: skip
ROUNDED = {
    ("Scale", "a factor for each pixel, before Conv2d"),
    ("SumPool2d", "behind Conv2d"),
    ("Scale", "a factor for each input of a Linear"),
}  # weights leave the grid


def test_each_case_has_its_expectation():
    assert set(EXPECTED) == set(outcomes.cases())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_a_framework(name):
    """The integer network fires as the framework did; or the file is refused, or could not be made, for a reason."""
    expected, case, found = EXPECTED[name], outcomes.cases()[name], outcomes.outcome(name)
    if expected == EXACT:
        assert (found.result, found.both) == (EXACT, 0.0)
        assert found.fired >= 8
        return
    result, more = expected
    assert found.result == result, found
    if result == ROUNDING:
        assert found.both <= more
        assert found.file <= outcomes.FLOAT32_NOISE
    elif result == OTHER:
        assert more in case["note"]
        assert found.chip <= 0.02  # the integer network is what the file says, which the framework did not run
    else:
        assert re.search(more, found.cause), found.cause


@pytest.mark.parametrize("name", [name for name, case in outcomes.cases().items() if outcomes.by_framework(case)])
def test_a_file_read_by_the_conventions_of_its_framework(name):
    """`--from` alone (and `--reset zero` where neurons were set to it) reads what the framework ran."""
    expected, found = BY_FRAMEWORK.get(name, EXPECTED[name]), outcomes.outcome_by_framework(name)
    if expected == EXACT:
        assert (found.result, found.both) == (EXACT, 0.0)
        assert found.fired >= 8
        return
    result, more = expected
    assert found.result == result, found
    if result == ADAPT:
        assert found.own <= more
        assert found.fired > 20 or more == 1
        assert "spikeport adapt" in found.cause
    elif result == ROUNDING:
        assert found.both <= more
        assert found.file <= outcomes.FLOAT32_NOISE


def test_rows_by_framework_are_those_of_files_that_exist():
    assert {name for name in BY_FRAMEWORK if outcomes.by_framework(outcomes.cases()[name])} == set(BY_FRAMEWORK)


def test_frames_are_not_symmetric_and_frameworks_fired():
    """An exact result over silent neurons, or over one sample or step, would prove nothing."""
    for name, case in outcomes.cases().items():
        if "exporter_error" in case:
            continue
        data = np.load(outcomes.FILES / f"{case.get('files', name)}.npz")
        samples, steps, *shape = data["frames"].shape
        assert samples >= 2
        assert steps >= 12
        assert data["output"].any()
        assert len(shape) == 1 or len(set(shape)) == 3, (name, shape)


def test_versions_are_those_that_regenerate_installs():
    for name, entry in outcomes.frameworks().items():
        for package in regenerate.PACKAGES[name]:
            wanted, number = package.split("==")
            assert entry["versions"].get(wanted, number) == number


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_lava_fires_as_the_frameworks_did():
    """From a framework's file to Lava: a convolution, a loop, a synapse with bias neuron, a graph in a graph."""
    with LavaWorker() as worker:
        for name in LAVA:
            assert EXPECTED[name] == EXACT
            case = outcomes.cases()[name]
            network, _ = quantize(outcomes.graph(case))
            data = np.load(outcomes.FILES / f"{case.get('files', name)}.npz")
            assert_array_equal(worker.simulate(network, data["frames"][:2]).spikes, data["output"][:2], err_msg=name)


@pytest.mark.parametrize("row", nodes.ROWS, ids=lambda row: f"{row.node} {row.condition}".strip())
def test_a_node_under_a_condition(row):
    """Each node is compiled to what NIR's equations say on grid weights, or refused for the reason in the table."""
    found, reason = nodes.result(row), REFUSED.get((row.node, row.condition))
    if reason:
        assert reason in found.cause
        return
    assert found.rewrite, found.cause
    if (row.node, row.condition) in ROUNDED:
        assert found.differing <= 0.02 * found.places
    else:
        assert found.differing == 0
    assert found.fired > 20 or row.condition == "as the read-out"


def test_the_page_is_what_the_generator_writes():
    """Whoever changes what is read changes docs/reference/compatibility.md: python tests/helpers/frameworks/table.py"""
    assert table.PAGE.read_text() == table.page()

"""Blocks of SLAYER in `.net` files: read and simulated as Lava runs them, or refused; the rows of the page's table."""

from __future__ import annotations

import numpy as np
import pytest
from frameworks import net_files

EXACT = {
    "cuba_dense": "spikes",
    "cuba_conv": "spikes",
    "cuba_delay": "spikes",
    "cuba_recurrent": "spikes",
    "cuba_input": "spikes",
    "cuba_pool": "spikes",
    "cuba_affine": "spikes",
    "cuba_no_neuron": "spikes",
    "sdnn_conv": "messages",
    "sdnn_groups": "messages",
    "sdnn_delay": "messages",
    "sdnn_messages": "messages",
}
REFUSED = {
    "cuba_average": "count spikes outside the network",
    "cuba_refractory": "netx has no refractory period",
    "alif_dense": "netx has no adaptive neuron",
    "rf_iz_dense": "neuron type 'RF_IZ' is not supported",
    "sdnn_tanh": "netx would run ReLU in its place",
    "sdnn_recurrent": "lava-dl no recurrent layer of them",
    "sdnn_and_cuba": "use neurons of one family",
}
NAMES = {row.name: row for row in net_files.ROWS}


def test_each_row_has_its_expectation():
    assert EXACT.keys() | REFUSED.keys() == NAMES.keys()


@pytest.mark.parametrize("name", EXACT)
def test_a_file_runs_as_in_lava(name):
    found = net_files.result(NAMES[name])
    assert (found.cause, found.sends, found.differing) == ("", EXACT[name], 0)
    assert 20 < found.sent < 0.9 * found.places
    assert found.operations > found.sent / net_files.SAMPLES  # each event reaches a synapse, or a read-out
    with np.load(net_files.RECORDED) as recorded:
        layers = [recorded[key] for key in recorded.files if key.startswith(f"{name}.")]
    assert all(layer.any() for layer in layers[:1] + layers[-1:])  # where the last layer is silent, its voltages


@pytest.mark.parametrize("name", REFUSED)
def test_what_netx_would_change_is_refused(name):
    assert REFUSED[name] in net_files.result(NAMES[name]).cause


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_lava_still_gives_what_was_recorded():
    with np.load(net_files.RECORDED) as recorded:
        seen = 0
        for name, outputs in net_files.in_lava():
            for index, output in enumerate(outputs):
                np.testing.assert_array_equal(output, recorded[f"{name}.{index}"], err_msg=name)
                seen += 1
        assert seen == len(recorded.files)

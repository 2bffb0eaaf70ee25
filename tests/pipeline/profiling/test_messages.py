"""Messages by destination core, and the time of cores that take them while they update neurons: worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import energy_row, known_activity, placed, write_profile
from layer_activity import one_layer

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy.latency import latency
from spikeport.pipeline.profiling.energy.messages import count_messages
from spikeport.pipeline.profiling.energy.placement import Placement, Reach, place
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies

LIMITS = "".join(
    f'[limits.{key}]\nvalue = {value}\nstatus = "vendor"\nsource = "a table"\n'
    for key, value in {"neurons_per_core": 2, "cores_per_chip": 8}.items()
)


def column_and_dense() -> IntegerNetwork:
    """A column of 4 pixels, a kernel of 3 over it, and 3 dense neurons; every input makes its neighbors fire."""
    conv = IntegerLayer(
        name="conv", kind="conv", weight=np.full((1, 1, 3, 1), 2), bias=None, i_decay=4096, v_decay=4096, vth_mant=1,
        input_shape=(1, 4, 1), padding=(1, 0),
    )  # fmt: skip
    dense = IntegerLayer(
        name="dense", kind="dense", weight=np.full((3, 4), 2), bias=None, i_decay=4096, v_decay=4096, vth_mant=5,
        input_shape=(1, 4, 1),
    )  # fmt: skip
    return IntegerNetwork(input_shape=(1, 4, 1), layers=(conv, dense))


def test_a_spike_is_one_message_to_each_core_with_a_target(tmp_path: Path) -> None:
    """Two neurons a core: rows 0, 1 and 2, 3 of the convolution, and neurons 0, 1 and 2 of the dense layer.

    Rows 0 and 3 reach one core, rows 1 and 2 two. Step 0: row 0 fires rows 0 and 1, the dense sum 4 is below 5. Step 1:
    row 1 fires rows 0, 1, 2, and all three dense neurons. So 2 events, 5 spikes to 2 cores each, and 3 that leave.
    """
    energies = {"synop": 1, "neuron_active": 1, "neuron_inactive": 1, "message_out": 100}
    profile = write_profile(tmp_path, energies, more=LIMITS)
    network = column_and_dense()
    trace = simulate(network, np.array([[[1, 0, 0, 0], [0, 1, 0, 0]]], np.uint8).reshape(1, 2, 1, 4, 1))
    activity = count_activity(network, trace)
    assert [layer.spikes.tolist() for layer in activity.layers] == [[5], [3]]
    placement = place(network, profile)
    assert placement is not None
    assert (placement.cores, placement.reach) == ((2, 2), (Reach(1, 1.5, 2), Reach(2, 2, 2)))
    assert placement.fullest == (1 / 2, 2 / 3)
    conv, dense = count_messages(activity, placement)
    assert (conv.received.tolist(), conv.leaving.tolist()) == ([[2], [3], [4]], [0])
    assert (dense.received.tolist(), dense.leaving.tolist()) == ([[10], [10], [10]], [3])
    result = sample_energies(profile, activity, placement=placement)
    assert [layer.routing_pj[:, 0].tolist() for layer in result.layers] == [[200, 300, 400], [1300, 1300, 1300]]
    (line,) = [line for line in energy_row(result)["assumptions"] if "a spike is one message to each core" in line]
    assert "conv (1 to 2 cores, 1.5 on average)" in line
    assert "dense (" not in line


def test_without_a_placement_an_event_is_one_message() -> None:
    activity = known_activity()
    hidden, output = count_messages(activity, None)
    assert (hidden.total.tolist(), output.total.tolist()) == ([[6]] * 3, [[5]] * 3)
    row = energy_row(sample_energies(load_profile("loihi1-sanafe"), activity))
    assert any(line.startswith("one message per event, as if") for line in row["assumptions"])


def time_ns(placement: Placement, active: int, kind: str = "dense", **counts: int) -> list[float]:
    layer = replace(one_layer(**counts).layers[0], kind=kind)
    activity = replace(one_layer(), layers=(layer,))
    found = latency(load_profile("loihi1-sanafe"), activity, [np.array([active])], placement).time_us
    assert found is not None
    return (found[:, 0] * 1e3).tolist()


def test_the_longer_of_updates_and_messages_counts() -> None:
    """3 active updates take 29.1 ns; 2 messages with 8 synapses 2 * 16 + 8 * 3.8 = 62.4 ns, of a convolution 56.8 ns.
    With 2 spikes to the host and no input: 2 * 9.7 + 6 + 2 * (30 + 5.1) = 95.6 ns. The barrier takes 600 ns."""
    taken = {"synops": 8, "events": 2, "messages": 2}
    assert time_ns(placed(1), 3, **taken)[1] == pytest.approx(662.4, rel=1e-12)
    assert time_ns(placed(1), 3, "conv", **taken)[1] == pytest.approx(656.8, rel=1e-12)
    assert time_ns(placed(1), 2, spikes=2, messages=2)[1] == pytest.approx(695.6, rel=1e-12)
    # Times 24.3 % below and above, the barrier above alone.
    assert time_ns(placed(1), 3, **taken) == pytest.approx([600 + 62.4 * 0.757, 662.4, 662.4 * 1.243], rel=1e-12)


def test_the_fullest_core_counts_and_each_core_takes_its_messages() -> None:
    """2 of 3 neurons on one of 2 cores, inputs that reach 1.5 cores: 2 * 1.5 * 16 / 2 + 2 / 3 * 8 * 3.8 ns."""
    on_two = replace(placed(2), reach=(Reach(1, 1.5, 2),), fullest=(2 / 3,))
    found = time_ns(on_two, 3, synops=8, events=2, messages=2)
    assert found[1] == pytest.approx(600 + 24 + 2 / 3 * 30.4, rel=1e-12)


@pytest.mark.parametrize(("tiles", "barrier"), [(1, 600), (2, 1000), (3, 1000), (4, 1400), (28, 1400), (32, 1800)])
def test_the_barrier_is_that_of_the_last_known_number_of_tiles(tiles: int, barrier: float) -> None:
    """SANA-FE's table is a staircase: with 3 tiles it takes the time of 2 (seen in its runs)."""
    assert time_ns(placed(1, tiles=tiles), 0)[1] == pytest.approx(barrier + 3 * 6.0, rel=1e-12)

"""One partition for energy, time and the report: cores, tiles and chips worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dense_layers import dense
from known_networks import conv_frames, conv_network, write_profile

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.mapping.limits import check_limits
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import HardwareProfile, load_profile
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy import placement
from spikeport.pipeline.profiling.energy.placement import Placement, place
from spikeport.pipeline.profiling.profile_trace import profile_trace, sample_energies_on
from spikeport.pipeline.report.content.energy_rows import device

LOIHI1 = load_profile("loihi1")


def network(*layers: IntegerLayer) -> IntegerNetwork:
    return IntegerNetwork(input_shape=layers[0].input_shape, layers=layers)


def placed_on(profile: HardwareProfile, *layers: IntegerLayer) -> Placement:
    found = place(network(*layers), profile)
    assert found is not None
    return found


def test_synapse_memory_and_axons_take_cores_that_neurons_alone_would_not() -> None:
    """As in test_limits: 5,000 neurons of 1,000 inputs fill 43 cores by synapse memory, so that the 1,000 before them
    fill 11 by output axons. 54 cores take 14 tiles of 4. By neurons alone they would be 5 and 1."""
    found = placed_on(LOIHI1, dense(1000, 8), dense(5000, 1000))
    assert (found.cores, found.filled_by) == ((11, 43), ("axons out", "synapse bits"))
    assert (found.tiles, found.chips, found.cores_per_chip, found.at_least) == (14, 1, 128, False)
    assert str(found) == ("placed by the public limits: 54 cores in 14 tiles on 1 chip, layers on cores of their own")


def test_the_two_profiles_of_one_chip_place_alike() -> None:
    layers = dense(1000, 8), dense(5000, 1000)
    mine, second = (placed_on(load_profile(name), *layers) for name in ("loihi1", "loihi1-sanafe"))
    assert replace(second, summary=mine.summary) == mine


def test_what_is_not_public_makes_a_lower_bound() -> None:
    """Loihi 2: 20,000 neurons at 8,192 a core. A device that publishes neurons alone: 2,050 at 1,000 a core, 3 + 1
    cores, 3 on a chip, so two chips."""
    found = placed_on(load_profile("loihi2"), dense(20000, 2))
    assert (found.cores, found.chips, found.at_least) == ((3,), 1, True)
    assert str(found).startswith("placed by the public limits: at least 3 cores on 1 chip")


@pytest.fixture
def little_known(tmp_path: Path) -> HardwareProfile:
    limits = "".join(
        f'[limits.{key}]\nvalue = {value}\nstatus = "vendor"\nsource = "a table"\n'
        for key, value in {"neurons_per_core": 1000, "cores_per_chip": 3}.items()
    )
    return write_profile(tmp_path, {"synop": 1}, more=limits)


def test_neurons_close_cores_where_nothing_else_is_known(little_known: HardwareProfile) -> None:
    """2,050 at 1,000 a core and 7: 3 + 1 cores; 3 cores a chip, so two chips; no tiles."""
    found = placed_on(little_known, dense(2050, 3), dense(7, 2050))
    assert (found.cores, found.tiles, found.chips, found.at_least) == ((3, 1), None, 2, True)
    assert str(found) == ("placed by the public limits: at least 4 cores on 2 chips, layers on cores of their own")


def test_a_limit_that_is_exceeded_is_said() -> None:
    """TrueNorth: 256 axons in. Of 300 inputs each neuron has more, so it takes a core of its own."""
    found = placed_on(load_profile("truenorth"), dense(5, 300))
    assert found.cores == (5,)
    assert ", though the network exceeds public limits: axons in per core" in str(found)


@pytest.mark.parametrize("name", ["cmos45-fp32", "spinnaker2", "speck"])
def test_a_device_without_cores_to_fill_has_no_placement(name: str) -> None:
    assert place(network(dense(5, 3)), load_profile(name)) is None


def test_the_report_has_one_number_of_cores_and_partitions_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row, assumption, note and latency of a network of 2 x 2: whatever names cores takes them from one partition."""
    calls = []

    def once(given: IntegerNetwork, profile: HardwareProfile):
        calls.append(profile.device.id)
        return check_limits(given, profile)

    monkeypatch.setattr(placement, "check_limits", once)
    row = profile_trace(conv_network(), simulate(conv_network(), conv_frames()), ("loihi1",)).to_json()["energy"][0]
    assert calls == ["loihi1"]  # not again for each constant that sensitivity varies
    expected = check_limits(conv_network(), LOIHI1)
    assert row["placement"]["cores"] == expected.cores == 2
    assert [each["cores"] for each in row["placement"]["layers"]] == [layer.cores for layer in expected.layers]
    assert [line for line in row["assumptions"] if "cores" in line and "placed" in line] == [
        "placed by the public limits: 2 cores in 1 tile on 1 chip, layers on cores of their own"
    ]
    assert device(row)["notes"]["Cores"].startswith("2 of 128 (1.6 % of a chip)")
    row["placement"]["at_least"] = True
    assert device(row)["notes"]["Cores"].startswith("at least 2 of 128")


def test_the_latency_is_that_of_the_partition() -> None:
    """By hand: 54 cores are 14 tiles, whose barrier lies on the line from 113 ns at 1 to 465 ns at 32; no event
    arrives, so the busiest core updates its share, 5,000 / 43 neurons, inactive, at 5.3 ns, in each step."""
    given, steps = network(dense(1000, 8), dense(5000, 1000)), 3
    activity = count_activity(given, simulate(given, np.zeros((1, steps, 8), dtype=np.uint8)))
    (found,) = sample_energies_on(given, activity, ("loihi1",))
    assert found.latency.time_us is not None
    step_ns = 5000 / 43 * 5.3 + 113 + 13 / 31 * (465 - 113)
    assert found.latency.time_us[1, 0] * 1e3 == pytest.approx(steps * step_ns, rel=1e-12)  # a few float64 products

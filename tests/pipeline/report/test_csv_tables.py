"""layers.csv and samples.csv: every number of a small known network, read back by Python's own reader."""

from __future__ import annotations

import csv
import io

import pytest
from known_networks import conv_activity, conv_frames, energy_row, known_activity, placed

from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.report.content.csv_tables import layers_csv, samples_csv


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_layer_s_row_by_hand() -> None:
    """Layer 1: 12 operations of 23.6 pJ, 6 active and 2 inactive updates; Loihi 2 has no published energy."""
    activity = known_activity()
    energy = [energy_row(sample_energies(load_profile(name), activity)) for name in ("loihi1", "loihi2")]
    first, _ = read(layers_csv({"layers": [layer.means() for layer in activity.layers], "energy": energy}))
    assert float(first["loihi1_synapse_uj"]) == 12 * 23.6 / 1e6
    assert float(first["loihi1_neuron_uj"]) == (6 * 81 + 2 * 52) / 1e6
    assert (first["shape"], first["synops_per_sample"], first["loihi2_synapse_uj"]) == ("2", "12.0", "")
    # The ends: 18.9 and 35.5 pJ a synaptic operation; all 8 updates inactive at 51.2 pJ, or all active at 81 pJ.
    assert float(first["loihi1_synapse_uj_low"]) == pytest.approx(12 * 18.9 / 1e6, rel=1e-12)
    assert float(first["loihi1_synapse_uj_high"]) == 12 * 35.5 / 1e6
    assert float(first["loihi1_neuron_uj_low"]) == pytest.approx(8 * 51.2 / 1e6, rel=1e-12)
    assert float(first["loihi1_neuron_uj_high"]) == 8 * 81 / 1e6
    assert first["loihi2_synapse_uj_high"] == ""


def test_a_device_that_prices_memory_has_columns_that_sum_to_its_energy() -> None:
    activity = known_activity()
    device = sample_energies(load_profile("cmos45-lemaire"), activity)
    rows = read(layers_csv({"layers": [layer.means() for layer in activity.layers], "energy": [energy_row(device)]}))
    terms = ("synapse", "neuron", "routing", "addressing", "memory")
    total = sum(float(row[f"cmos45-lemaire_{term}_uj"]) for row in rows for term in terms)
    assert device.dynamic_pj is not None
    assert total == pytest.approx(device.dynamic_pj[1, 0] / 1e6, rel=1e-12)  # summed in another order


def test_without_a_device_layers_have_their_counts() -> None:
    rows = read(layers_csv({"layers": [{"name": "conv", "shape": [3, 5, 2]}], "energy": {"reason": "none asked for"}}))
    assert rows == [{"name": "conv", "shape": "3x5x2"}]


def test_a_recording_s_row_sums_its_layers() -> None:
    frames = conv_frames(samples=3)
    activity = conv_activity(frames)
    energies = [sample_energies(load_profile(name), activity, placement=placed(1, 1)) for name in ("loihi1", "loihi2")]
    classes = {"label": ["one", "two", "three"], "lava": ["one", None, None]}
    rows = read(samples_csv(["a", "b", "c"], classes, activity, energies, frames))
    assert [row["key"] for row in rows] == ["a", "b", "c"]
    assert [int(row["synops"]) for row in rows] == sum(layer.synops for layer in activity.layers).tolist()
    assert [float(row["loihi1_total_uj"]) for row in rows] == (energies[0].total_pj[1] / 1e6).tolist()
    given = frames.sum(axis=(1, 2, 3, 4))
    assert [int(row["events"]) for row in rows] == given.tolist()  # those of the recording, not of all layers
    hidden = activity.layers[0].spikes  # what the second and last layer receives
    assert [int(row["events_received"]) for row in rows] == (given + hidden).tolist()
    assert [float(row["loihi1_latency_us"]) for row in rows] == energies[0].answer.time_us[1].tolist()
    assert {row["loihi2_latency_us"] for row in rows} == {""}
    assert [row["lava"] for row in rows] == ["one", "", ""]
    assert {row["loihi2_total_uj"] for row in rows} == {""}


def test_a_key_is_no_formula() -> None:
    frames = conv_frames(samples=2)
    rows = read(samples_csv(["=1+1", 'quote",comma'], {"label": ["-", "b"]}, conv_activity(frames), [], frames))
    assert [(row["key"], row["label"]) for row in rows] == [("'=1+1", "'-"), ('quote",comma', "b")]

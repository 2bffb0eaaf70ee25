"""Where two backends differ, the first divergence is named and a case is kept that reproduces it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.divergence_case import replay
from spikeport.export.backends.lava import driver
from spikeport.export.backends.reference import simulate as reference
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.network.spike_trace import load_trace

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("lava")]


@pytest.fixture
def network():
    rng = np.random.default_rng(5)
    common = {"bias": None, "i_decay": 4096, "v_decay": 300}
    kernel, matrix = 2 * rng.integers(-40, 60, (3, 2, 2, 3)), 2 * rng.integers(-40, 60, (4, 27))
    conv = IntegerLayer(name="conv 1", kind="conv", weight=kernel, vth_mant=120, input_shape=(2, 4, 5), **common)
    fc = IntegerLayer(name="fc", kind="dense", weight=matrix, vth_mant=300, input_shape=(3, 3, 3), **common)
    return IntegerNetwork(input_shape=(2, 4, 5), layers=(conv, fc))


@pytest.fixture
def frames():
    return (np.random.default_rng(6).random((4, 7, 2, 4, 5)) < 0.4).astype(np.uint8)


@pytest.fixture
def altered(monkeypatch):
    """A reference that is wrong on purpose: the threshold of the last layer is 40 higher."""
    right = reference.simulate

    def wrong(network, frames, **options):
        last = network.layers[-1]
        last = replace(last, vth_mant=last.vth_mant + 40)
        return right(replace(network, layers=(*network.layers[:-1], last)), frames, **options)

    monkeypatch.setattr(reference, "simulate", wrong)


def test_where_they_agree_there_is_no_case(network, frames, tmp_path):
    found = compare_backends(network, frames, case_folder=tmp_path)
    assert (found.comparison.mismatches, found.case, found.timeout) == (0, None, None)
    assert found.comparison.samples == 4
    np.testing.assert_array_equal(found.done, np.arange(4))
    np.testing.assert_array_equal(found.trace.spikes, reference.simulate(network, frames).spikes)
    assert list(tmp_path.iterdir()) == []


def test_a_divergence_is_kept_and_shows_itself_again(network, frames, tmp_path, altered, monkeypatch):
    found = compare_backends(network, frames, case_folder=tmp_path)
    place = found.comparison.first_divergence
    assert place.layer == "fc"
    assert found.case == tmp_path / f"divergence-fc-sample-{place.sample}"
    assert [file.name for file in tmp_path.iterdir()] == [found.case.name]
    sentence = found.comparison.describe()[1]
    assert f"layer fc, step {place.step}, neuron {place.neuron}, sample {place.sample}" in sentence
    assert "spikes 0 (integer reference) and 1 (Lava 0.10.0 fixed_pt)" in sentence

    again = replay(found.case)
    assert (again.first_reproduced, again.second_reproduced) == (True, True)
    assert again.divergence == place
    assert again.now.first_divergence == replace(place, sample=0)

    monkeypatch.undo()  # the reference is restored
    corrected = replay(found.case)
    assert (corrected.first_reproduced, corrected.second_reproduced) == (False, True)
    assert corrected.now.mismatches == 0
    json.dumps(corrected.to_json())


def test_a_case_holds_the_network_the_sample_both_sides_and_versions(network, frames, tmp_path, altered):
    found = compare_backends(network, frames, case_folder=tmp_path)
    place = found.comparison.first_divergence
    loaded = read_netx(found.case / "network.net")
    assert [layer.name for layer in loaded.layers] == ["conv 1", "fc"]
    with np.load(found.case / "case.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["frames"], frames[place.sample : place.sample + 1])
        np.testing.assert_array_equal(archive["second"][0], found.trace.spikes[place.sample])
        assert archive["first"][0, place.step, *place.neuron] == place.first == 0
    case = json.loads((found.case / "case.json").read_text())
    assert (case["divergence"]["sample"], case["first"], case["second"]) == (place.sample, "reference", "lava")
    assert case["versions"]["lava"] == "lava 0.10.0 fixed_pt"


def test_membranes_are_compared_too(network, frames, tmp_path, monkeypatch):
    """A reference whose voltages are off by one 64th where its spikes are right."""
    right = reference.simulate

    def wrong(network, frames, **options):
        trace = right(network, frames, **options)
        membrane = trace.membrane.copy()
        membrane[2, 3, 1] += 1
        return replace(trace, membrane=membrane)

    silent = replace(network, layers=(network.layers[0], replace(network.layers[1], vth_mant=131071)),
                     readout=Readout(kind="membrane"))  # fmt: skip
    monkeypatch.setattr(reference, "simulate", wrong)
    found = compare_backends(silent, frames, case_folder=tmp_path)
    place = found.comparison.first_divergence
    assert found.comparison.mismatches == 1
    assert (place.layer, place.sample, place.step, place.neuron) == ("fc membrane", 2, 3, (1,))
    assert place.first == place.second + 1
    assert "voltages" in found.comparison.describe()[1]
    monkeypatch.undo()
    again = replay(found.case)
    assert (again.first_reproduced, again.second_reproduced, again.now.mismatches) == (False, True, 0)


def test_what_is_done_in_time_is_compared(network, frames, monkeypatch):
    """Samples 0 and 3 were done when time was up; numbers of samples stay those of the whole set."""
    run = driver.simulate

    def late(network, frames, **options):
        raise driver.LavaTimeout(5.0, len(frames), run(network, frames[[0, 3]], **options), np.array([0, 3]))

    monkeypatch.setattr(driver, "simulate", late)
    found = compare_backends(network, frames)
    assert "did not finish within 5 s: 2 of 4 samples are done" in str(found.timeout)
    assert found.done.tolist() == [0, 3]
    np.testing.assert_array_equal(found.trace.spikes, reference.simulate(network, frames[[0, 3]]).spikes)
    assert (found.comparison.samples, found.comparison.mismatches) == (2, 0)


@pytest.mark.parametrize("backend", ["lava", "both"])
def test_what_is_done_in_time_is_shown_without_an_interval(network, frames, monkeypatch, tmp_path, spikeport, backend):
    """Nobody drew the samples that happened to be done; the exit code is no failed check's."""
    run = driver.simulate

    def late(network, frames, **options):
        frames = np.asarray(frames)
        raise driver.LavaTimeout(5.0, len(frames), run(network, frames[[0, 3]], **options), np.array([0, 3]))

    monkeypatch.setattr(driver, "simulate", late)
    write_netx(network, tmp_path / "n.net")
    write_frames(tmp_path / "f.npz", frames, np.array([0, 1, 2, 3]))
    words = ("simulate", "n.net", "--input", "f.npz", "--backend", backend, "--out", "t.npz", "-q")
    code, out, err = spikeport(*words)
    assert code == 2
    assert "of 2 given recordings that were done in time" in out
    assert "interval" not in out
    assert "lava 0.10.0 fixed_pt ran out of time: 2 samples are done. Hint: give a longer --timeout" in err
    np.testing.assert_array_equal(load_trace(tmp_path / "t.npz").rows, [0, 3])


def test_a_late_divergence_names_its_sample_in_the_whole_set(network, frames, monkeypatch, altered):
    run = driver.simulate
    first = compare_backends(network, frames[3:]).comparison.first_divergence
    assert first is not None

    def late(network, frames, **options):
        raise driver.LavaTimeout(5.0, len(frames), run(network, frames[[3]], **options), np.array([3]))

    monkeypatch.setattr(driver, "simulate", late)
    found = compare_backends(network, frames).comparison.first_divergence
    assert found == replace(first, sample=3)


def test_a_folder_that_is_no_case_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not a divergence case.*the folder that the check printed"):
        replay(tmp_path)

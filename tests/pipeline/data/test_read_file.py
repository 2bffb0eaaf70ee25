"""A new file is read as the recordings of its data set are: the same frames come of it."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from named_files import FILES
from set_folders import SETS
from spike_trains import write_trains

from spikeport.errors import UserError
from spikeport.pipeline.data.frames.binning import Binning, bin_recording
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.run.sections.data import Data


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def frames_of(data: Data, path: Path) -> np.ndarray:
    recording = SOURCES[data.source].read_file(data, EventFile(path=path, label=0, key=path.stem))
    return bin_recording(recording, Binning.of(data))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_named_set_becomes_the_frames_of_the_set(at, name):
    assert set(FILES) <= set(SETS)
    data = SETS[name](at)
    test = load_dataset(data).test
    for row, key in enumerate(test.keys):
        np.testing.assert_array_equal(frames_of(data, at / FILES[name](key)), test.frames[row], err_msg=key)


@pytest.mark.parametrize("name", ["shd", "ssc"])
def test_a_file_of_one_recording_becomes_the_frames_of_the_set(at, name):
    data = SETS[name](at)
    test = load_dataset(data).test
    with h5py.File(at / name.upper() / f"{name}_test.h5") as file:
        trains = list(zip(file["spikes/times"][()], file["spikes/units"][()], strict=True))
    for row, key in enumerate(test.keys):
        write_trains(at / "one.h5", [trains[int(key.split("/")[-1])]], [0], None)
        np.testing.assert_array_equal(frames_of(data, at / "one.h5"), test.frames[row], err_msg=key)
    write_trains(at / "two.h5", trains[:2], [0, 0], None)
    with pytest.raises(UserError, match=r"two\.h5: it holds 2 recordings\. Hint: write each recording into a file"):
        frames_of(data, at / "two.h5")
    with pytest.raises(UserError, match=r"recordings of Spiking \w+ \w+ are \.h5 files"):
        frames_of(data, at / "one.npy")


def test_a_recording_in_the_sensor_of_the_digits(at):
    data = Data(source="digits", height=14, width=17, test=3, train=10, validation=10)
    found = {recording.key: recording for recording in SOURCES["digits"].load(data, None).read()}
    test = load_dataset(data).test
    for row, key in enumerate(test.keys):
        np.save(at / "one.npy", found[key].events)
        np.testing.assert_array_equal(frames_of(data, at / "one.npy"), test.frames[row])


@pytest.mark.parametrize(("source", "name", "words"), [
    ("dvsgesture", "a.aedat", "recordings of DVS Gesture are .npy files"),
    ("digits", "a.bin", "do not fit|outside"),
    ("nmnist", "a.jpg", "no reader for .jpg"),
])  # fmt: skip
def test_a_file_that_is_not_of_the_set_is_refused(at, source, name, words):
    (at / name).write_bytes(bytes([200, 200, 0, 0, 9]))
    with pytest.raises(UserError, match=words):
        frames_of(Data(source=source), at / name)

"""Spike trains of many recordings in one file, against plain Python and tonic; wrong files are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from spike_trains import WORDS, tonics, write_part, write_trains

from spikeport.errors import UserError
from spikeport.export.formats import safe_hdf5
from spikeport.pipeline.data.readers.recordings import read_events
from spikeport.pipeline.data.readers.spike_trains import read_table, read_trains


def plain(path: Path, times: list[float], units: list[int], kind: type = np.float32) -> None:
    write_trains(path, [(np.array(times, kind), np.array(units, np.int32))], [0], [3])


def all_of(path: Path, channels: int = 700, *, sort: bool = False) -> list[tuple[np.ndarray, int]]:
    return list(read_trains(path, channels, sort=sort))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_seconds_become_whole_microseconds_downward(tmp_path: Path, kind: type) -> None:
    """Python multiplies the stored value in double precision; 0.3 is 300000 us only where it is stored as such."""
    times = [0.0, 0.0003, 0.1, 0.3, 0.3, 1.2501]
    plain(tmp_path / "a.h5", times, [5, 699, 0, 7, 7, 1], kind)
    ((events, late_us),) = all_of(tmp_path / "a.h5")
    assert events["t"].tolist() == [int(float(kind(time)) * 1e6) for time in times]
    assert events["x"].tolist() == [5, 699, 0, 7, 7, 1]
    assert not events["y"].any()
    assert not events["p"].any()
    assert late_us == 0


def test_every_recording_equals_tonics(tmp_path: Path) -> None:
    """More recordings than are read at a time."""
    count = write_part(tmp_path / "SHD" / "shd_train.h5", (0, 3, 7), 7)
    theirs = tonics(tmp_path, "train")
    path = tmp_path / "SHD" / "shd_train.h5"
    found, table = all_of(path), read_table(path, speakers=True)
    assert len(theirs) == len(found) == count == 84
    assert table.speakers is not None
    assert table.speakers.tolist() == theirs.speaker.tolist()
    assert table.classes == WORDS
    for (events, _), (own, label), number in zip(found, theirs, table.labels, strict=True):
        assert (events["t"].tolist(), events["x"].tolist()) == (own["t"].tolist(), own["x"].tolist())
        assert label == number


def test_a_recording_may_be_empty(tmp_path: Path) -> None:
    plain(tmp_path / "a.h5", [], [])
    assert [len(events) for events, _ in all_of(tmp_path / "a.h5")] == [0]


def test_spikes_are_sorted_on_request_with_the_largest_step_back(tmp_path: Path) -> None:
    plain(tmp_path / "a.h5", [0.25, 0.125, 0.5, 0.25, 0.75], [1, 2, 3, 4, 5])
    ((events, late_us),) = all_of(tmp_path / "a.h5", sort=True)
    assert events["x"].tolist() == [2, 1, 4, 3, 5]
    assert late_us == 250_000
    ((events, late_us),) = all_of(tmp_path / "a.h5")
    assert (events["x"].tolist(), late_us) == ([1, 2, 3, 4, 5], 0)  # the recording refuses it


@pytest.mark.parametrize(("times", "units", "words"), [
    ([0.1, float("nan")], [1, 2], "recording 0: a spike has no valid time: spike 1 is at nan s"),
    ([0.1, float("inf")], [1, 2], "spike 1 is at inf s"),
    ([-0.5, 0.1], [1, 2], "spike 0 is at -0.5 s, spikes/times has seconds from 0 on"),
    ([0.1, 0.2], [1, 700], "a spike lies outside the channels: spike 1 is in channel 700, the channels are 0 to 699"),
    ([0.1, 0.2], [-1, 3], "spike 0 is in channel -1"),
    ([0.1, 0.2], [65_541, 3], "spike 0 is in channel 65541"),
    ([0.1, 0.2, 0.3], [1, 2], "times and channels differ in number: spikes/times has 3, spikes/units 2"),
])  # fmt: skip
def test_wrong_spikes_are_named(tmp_path: Path, times: list[float], units: list[int], words: str) -> None:
    plain(tmp_path / "a.h5", times, units)
    with pytest.raises(UserError, match=words):
        all_of(tmp_path / "a.h5")


def replaced(name: str, values: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        if values is not None:
            file[name] = values

    return change


def ragged(name: str, kind: type, rows: int) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, (rows,), h5py.vlen_dtype(np.dtype(kind)))

    return change


@pytest.mark.parametrize(("change", "words"), [
    (replaced("spikes", None), "there is no spikes/times in it"),
    (replaced("spikes/units", None), "there is no spikes/units in it"),
    (replaced("labels", None), "there is no labels in it"),
    (replaced("extra", None), "there is no extra/speaker in it"),
    (replaced("extra/keys", None), "there is no extra/keys in it"),
    (replaced("spikes", 5), "there is no spikes/times in it"),
    (replaced("labels", np.zeros(11, np.uint16)), "spikes/times has 12 recordings, labels has 11"),
    (replaced("extra/speaker", np.zeros(13, np.uint16)), "spikes/times has 12 recordings, extra/speaker has 13"),
    (replaced("labels", np.zeros(12, np.float32)), r"labels is float32 \[12\], not a list of whole numbers"),
    (replaced("labels", np.full(12, 4)), "recording 0 has label 4, extra/keys names 4 classes"),
    (replaced("extra/keys", np.array([b"one", b"two", b"one", b"four"])), "two classes in extra/keys have one name"),
    (replaced("extra/keys", np.arange(4)), "not a list of names"),
    (replaced("spikes/times", np.zeros((12, 3), np.float32)), r"spikes/times is float32 \[12, 3\], not a ragged"),
    (ragged("spikes/times", np.int64, 12), r"is ragged int64 \[12\], not a ragged array of floating point"),
    (ragged("spikes/units", np.float32, 12), "not a ragged array of integers"),
    (ragged("spikes/units", np.uint16, 9), "spikes/times has 12 recordings, spikes/units has 9"),
    (replaced("labels", h5py.ExternalLink("other.h5", "/labels")), "a link in place of 'labels'"),
])  # fmt: skip
def test_wrong_layouts_are_named(tmp_path: Path, change: Callable[[h5py.File], None], words: str) -> None:
    path = tmp_path / "a.h5"
    write_part(path, (0,), 3)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(UserError, match=words) as caught:
        read_table(path, speakers=True)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("cut", [0, 40, 0.3, 0.9])
def test_damaged_files_are_named(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "a.h5"
    write_part(path, (0, 1), 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut if cut > 1 else cut * len(content))])
    with pytest.raises(UserError, match=r"a\.h5: is not a readable HDF5 file"):
        read_table(path, speakers=True)


@pytest.mark.parametrize("place", ["anywhere", "heap"])
def test_whatever_bytes_change_the_file_is_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """libhdf5 may crash or hang on such a file; then its process ends, and the error names the file."""
    monkeypatch.setattr(safe_hdf5, "TIMEOUT_S", 2.0)
    sound, path = tmp_path / "sound.h5", tmp_path / "damaged.h5"
    count = write_part(sound, (0, 1), 2)
    content = np.frombuffer(sound.read_bytes(), np.uint8)
    heaps = [m.start() for m in re.finditer(b"GCOL", content.tobytes())]
    assert heaps
    refusals = []
    for seed in range(30):
        generator = np.random.default_rng([seed, len(place)])
        changed = content.copy()
        many = int(generator.integers(1, 24))
        if place == "heap":  # the first bytes of ragged arrays' heaps: sizes, and the first object
            at = generator.choice(heaps, many) + generator.integers(4, 40, many)
        else:
            at = generator.integers(8, len(content), many)
        changed[at] = generator.integers(0, 256, many)
        path.write_bytes(changed.tobytes())
        try:
            labels = read_table(path, speakers=True).labels
            assert len(all_of(path, sort=True)) == len(labels) == count
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert all(words.startswith(str(path)) for words in refusals)
    assert len(all_of(sound)) == count


def test_as_an_event_file_it_names_the_sources(tmp_path: Path) -> None:
    """What `spikeport data look` prints."""
    write_part(tmp_path / "shd_test.h5", (0,), 1)
    with pytest.raises(UserError, match=r"found extra \(group.*are read with data\.source = .shd. or .ssc."):
        read_events(tmp_path / "shd_test.h5")

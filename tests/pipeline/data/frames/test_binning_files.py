"""Files become the frames that reading and binning them one by one gives, with the same refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tonic.io import read_mnist_file

from spikeport.errors import UserError
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, bin_recording, bin_recordings
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.readers.recordings import Reading, read_events, read_recording

SENSOR = (11, 6)  # height, width
BINNING = Binning(steps=4, step_us=50, height=11, width=6)


def write_bin(path: Path, rows: list[tuple[int, int, int, int]]) -> Path:
    """`rows`: (t, x, y, p) as N-MNIST's 40 bits: x 8, y 8, polarity 1, time 23."""
    path.write_bytes(b"".join((x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for t, x, y, p in rows))
    return path


def some(seed: int, number: int = 60) -> list[tuple[int, int, int, int]]:
    generator = np.random.default_rng(seed)
    times = np.sort(generator.integers(30, 300, number))
    return [(int(t), *(int(generator.integers(0, n)) for n in (6, 11, 2))) for t in times]


def plainly(path: Path, binning: Binning = BINNING, sensor: tuple[int, int] = SENSOR) -> np.ndarray:
    return bin_recording(read_recording(path, sensor, label=0, key=""), binning)


def test_the_compiled_way_equals_reading_and_binning(tmp_path: Path) -> None:
    wrapping = [(5, 1, 2, 1), (0, 0, 240, 0), (7, 3, 4, 0), (9, 2, 240, 1), (9, 5, 10, 1)]
    long = some(5, 250)
    long[100:100] = [(0, 0, 240, 0)]  # a mark before the last hundredth: times behind it are found by walking
    rows = [some(1), some(2, 1), some(3, 400), wrapping, long, [(2**23 - 1, 0, 0, 0)], [(0, 3, 240, 0), (3, 1, 1, 1)]]
    paths = [write_bin(tmp_path / f"{i}.bin", each) for i, each in enumerate(rows)]
    for step_us in (50, 1, 9000):
        for size in (SENSOR, (13, 9)):
            binning = Binning(steps=4, step_us=step_us, height=size[0], width=size[1])
            found = bin_files(paths, SENSOR, binning)
            expected = np.stack([plainly(path, binning) for path in paths])
            np.testing.assert_array_equal(found.frames, expected)
            read = (read_recording(path, SENSOR, label=0, key="") for path in paths)
            np.testing.assert_array_equal(found.facts, bin_recordings(read, len(paths), binning).facts)
    assert found.events.tolist() == [60, 1, 400, 3, 250, 1, 1]
    assert found.facts["core_us"][2] < found.facts["duration_us"][2]


@pytest.mark.parametrize("window", ["last", "centre", "whole"])
def test_another_window_is_read_the_plain_way(tmp_path: Path, window: str) -> None:
    """The compiled code knows the first window only."""
    paths = [write_bin(tmp_path / f"{i}.bin", some(i, 100)) for i in range(3)]
    binning = Binning(steps=4, step_us=20, height=11, width=6, window=window)
    found = np.asarray(bin_files(paths, SENSOR, binning).frames)
    np.testing.assert_array_equal(found, np.stack([plainly(path, binning) for path in paths]))
    first = bin_files(paths, SENSOR, Binning(steps=4, step_us=20, height=11, width=6)).frames
    assert not np.array_equal(found, first)


def test_the_decoder_equals_tonics(tmp_path: Path) -> None:
    rows = some(4, 50)
    rows[20:20] = [(0, 0, 240, 0)]
    rows[40:40] = [(0, 7, 240, 1), (0, 0, 240, 0)]
    path = write_bin(tmp_path / "a.bin", rows)
    expected = read_mnist_file(str(path), dtype=EVENT_DTYPE)
    np.testing.assert_array_equal(read_events(path), expected)
    assert expected["t"].max() > 3 * 2**13


def test_all_real_recordings_equal_the_plain_way(shared_data) -> None:
    binning = Binning(steps=10, step_us=30_000, height=34, width=34)
    paths = sorted((shared_data / "NMNIST" / "Train").glob("*/*.bin"))
    found = bin_files(paths, (34, 34), binning)
    read = (read_recording(path, (34, 34), label=0, key="") for path in paths)
    np.testing.assert_array_equal(found.facts, bin_recordings(read, len(paths), binning).facts)
    for row in range(0, 1000, 3):
        np.testing.assert_array_equal(found.frames[row], plainly(paths[row], binning, (34, 34)))
    assert found.events.tolist() == [path.stat().st_size // 5 for path in paths]


def test_turned_and_sorted_files_leave_the_compiled_way(tmp_path: Path) -> None:
    rows = some(6)
    path = write_bin(tmp_path / "a.bin", rows)
    turned = bin_files([path], SENSOR, BINNING, reading=Reading(orientation="mirror-y")).frames[0]
    np.testing.assert_array_equal(turned, plainly(path)[:, :, ::-1])
    late = write_bin(tmp_path / "b.bin", [*rows[:3], rows[9], *rows[3:9], *rows[10:]])
    with pytest.raises(UserError, match="time runs backwards"):
        bin_files([late], SENSOR, BINNING)
    found = bin_files([late], SENSOR, BINNING, reading=Reading(sort=True))
    np.testing.assert_array_equal(found.frames[0], plainly(path))
    assert found.facts["late_us"][0] == rows[9][0] - rows[3][0] > 0


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    paths = [write_bin(tmp_path / "a.BIN", some(1)), tmp_path / "b.npy", write_bin(tmp_path / "c.bin", some(2))]
    np.save(paths[1], read_events(write_bin(tmp_path / "other.bin", some(3))))
    calls: list[tuple[int, int, str]] = []
    found = bin_files(paths, SENSOR, BINNING, lambda *call: calls.append(call))
    np.testing.assert_array_equal(found.frames, np.stack([plainly(path) for path in paths]))
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, 1, 1, 1), (5, 6, 1, 0)], "event 1 is at x = 6, y = 1; the sensor is 6 wide and 11 high"),
        ([(1, 1, 11, 1)], "event 0 is at x = 1, y = 11"),
        ([(900, 1, 1, 1), (950, 1, 1, 1), (949, 1, 1, 1)], "event 2 is at 949 us, after one at 950 us"),
        ([(1, 1, 1, 1), (9999, 1, 1, 1), (9998, 1, 1, 1)], "event 2 is at 9998 us"),  # after the last frame
        ([(1, 1, 240, 1)], "it holds no event"),
    ],
)
def test_refusals_are_those_of_the_readers(tmp_path: Path, rows: list[tuple[int, int, int, int]], words: str) -> None:
    paths = [write_bin(tmp_path / "good.bin", some(1)), write_bin(tmp_path / "bad.bin", rows)]
    with pytest.raises(UserError) as caught:
        bin_files(paths, SENSOR, BINNING)
    with pytest.raises(UserError) as plain:
        plainly(paths[1])
    assert str(caught.value) == str(plain.value)
    assert words in str(caught.value)


def test_cut_empty_and_absent_files_are_named(tmp_path: Path) -> None:
    path = write_bin(tmp_path / "cut.bin", some(1))
    for content in (path.read_bytes()[:-1], b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"cut\.bin: this event file cannot be read"):
            bin_files([path], SENSOR, BINNING)
    with pytest.raises(UserError, match=r"gone\.bin"):
        bin_files([tmp_path / "gone.bin"], SENSOR, BINNING)
    with pytest.raises(UserError, match="does not fit frames of 4 x 6"):
        bin_files([write_bin(path, some(1))], SENSOR, Binning(steps=4, step_us=50, height=4, width=6))


def test_a_recording_longer_than_the_buffer(tmp_path: Path) -> None:
    """300,000 events, 1.5 MB; the last one is the only one of its place."""
    rows = np.zeros((300_000, 5), np.uint8)
    rows[-1] = 5, 9, 128, 0, 60
    path = tmp_path / "long.bin"
    path.write_bytes(rows.tobytes())
    found = bin_files([path], SENSOR, BINNING)
    assert found.events.tolist() == [300_000]
    assert np.argwhere(found.frames[0]).tolist() == [[0, 0, 0, 0], [1, 1, 9, 5]]

"""Each event format is read as written, and a damaged file is named in one line."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.readers.recordings import READERS, read_events, read_recording

T = np.array([3, 8, 8, 70_000], np.int64)
X = np.array([1, 6, 0, 5], np.int16)
Y = np.array([4, 0, 2, 3], np.int16)
P = np.array([1, 0, 0, 1], np.int8)


def events() -> np.ndarray:
    array = np.empty(4, EVENT_DTYPE)
    array["t"], array["x"], array["y"], array["p"] = T, X, Y, P
    return array


def nmnist_bytes(array: np.ndarray) -> bytes:
    """N-MNIST's 40 bits: x 8, y 8, polarity 1, time 23, most significant first."""
    words = [int(e["x"]) << 32 | int(e["y"]) << 24 | int(e["p"]) << 23 | int(e["t"]) for e in array]
    return b"".join(word.to_bytes(5, "big") for word in words)


def write(path: Path) -> None:
    """The four events in the format that the extension names, with the writer of that format."""
    array = events()
    match path.suffix:
        case ".bin":
            path.write_bytes(nmnist_bytes(array))
        case ".dat":
            from expelliarmus import Wizard

            fields = np.empty(4, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
            for name in fields.dtype.names:
                fields[name] = array[name]
            Wizard(encoding="dat").save(fpath=str(path), arr=fields)
        case ".raw":
            words = []
            for e in array:  # EVT 2.0: time from bit 6 on in a word of its own
                words += [0x8 << 28 | int(e["t"]) >> 6]
                words += [int(e["p"]) << 28 | (int(e["t"]) & 63) << 22 | int(e["x"]) << 11 | int(e["y"])]
            path.write_bytes(b"% evt 2.0\n" + b"".join(word.to_bytes(4, "little") for word in words))
        case ".aedat":
            words = [(int(e["y"]) << 8 | int(e["x"]) << 1 | 1 - int(e["p"]), int(e["t"])) for e in array]
            path.write_bytes(
                b"#!AER-DAT2.0\r\n# by hand\r\n" + b"".join(n.to_bytes(4, "big") for w in words for n in w)
            )
        case ".mat":
            from scipy.io import savemat

            savemat(path, {"ts": T[:, None].astype(float), "x": X[:, None], "y": Y[:, None], "p": 2.0 * P[:, None] - 1})
        case ".csv" | ".txt":
            mark = "," if path.suffix == ".csv" else " "
            rows = [("y", "x", "polarity", "ts"), *zip(Y, X, P, T, strict=True)]
            path.write_text("\n".join(mark.join(map(str, row)) for row in rows))
        case ".npy":
            np.save(path, array)
        case ".npz":
            np.savez(path, t=T, x=X, y=Y, p=P)
        case ".h5" | ".hdf5":
            with h5py.File(path, "w") as file:
                for name, column in (("ts", T), ("xs", X), ("ys", Y), ("ps", P)):
                    file[f"events/{name}"] = column


@pytest.mark.parametrize("extension", [e for e in READERS if e != ".aedat4"])
def test_each_format_gives_the_events_written(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"one{extension}"
    write(path)
    found = read_recording(path, (5, 7), label=2, key="k")
    assert (found.label, found.key, found.sensor) == (2, "k", (5, 7))
    np.testing.assert_array_equal(found.events, events())


TEXT = (".csv", ".txt")  # cut between two numbers, one is as whole as before: test_event_text


@pytest.mark.parametrize("extension", [e for e in READERS if e not in (".aedat4", *TEXT)])
def test_a_cut_or_empty_file_is_named(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"cut{extension}"
    write(path)
    content = path.read_bytes()
    for length in (0, 1, 13, (len(content) // 2 + 1) | 1, len(content) - 1):  # odd: no stream shows a cut between words
        path.write_bytes(content[:length])
        with pytest.raises(UserError) as caught:
            read_events(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: this event file cannot be read: ")
        assert "Hint: " in message
        assert "\n" not in message


def test_the_overflow_marks_of_nmnist_files_add_time(tmp_path: Path) -> None:
    """y = 240 marks 2^13 us that the 23-bit clock did not count; it is no event."""
    array = events()
    array["t"] = [3, 0, 5, 6]
    array["y"][1] = 240
    path = tmp_path / "long.bin"
    path.write_bytes(nmnist_bytes(array))
    found = read_recording(path, (5, 7), label=0, key="k").events
    assert found["t"].tolist() == [3, 8192 + 5, 8192 + 6]
    assert found["x"].tolist() == [1, 0, 5]


def test_an_aedat_file_is_read_as_stored_and_its_pulses_dropped(tmp_path: Path) -> None:
    """Address 0x2A07: y 42, x 3, bit 0 set, so OFF; then a pulse; then the first pixel, ON."""
    path = tmp_path / "one.aedat"
    body = bytes.fromhex("00002a07 00000005 00008000 00000006 00000000 00010000")
    path.write_bytes(b"#!AER-DAT2.0\n# comment\n" + body)
    found = read_events(path)
    assert [tuple(int(e[name]) for name in "txyp") for e in found] == [(5, 3, 42, 0), (65536, 0, 0, 1)]
    for header, why in ((b"#!AER-DAT3.0\n", "found AEDAT 3.0"), (b"", "no stated version"), (b"#!AER-DAT2.0", "cut")):
        path.write_bytes(header + (body if b"\n" in header or not header else b""))
        with pytest.raises(UserError, match=why):
            read_events(path)
    path.write_bytes(b"#!AER-DAT2.0\n" + bytes.fromhex("00410000 00000001"))
    with pytest.raises(UserError, match="not those of a DVS128"):
        read_events(path)


def test_time_that_wraps_without_a_mark_is_refused(tmp_path: Path) -> None:
    array = events()
    array["t"] = [5, 2**23 - 1, 3, 4]
    path = tmp_path / "wrapped.bin"
    path.write_bytes(nmnist_bytes(array))
    with pytest.raises(
        UserError, match=rf"wrapped\.bin: time runs backwards: event 2 is at 3 us, after one at {2**23 - 1} us"
    ):
        read_recording(path, (5, 7), label=0, key="k")


def test_an_event_outside_the_sensor_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wide.bin"
    write(path)
    with pytest.raises(UserError, match=r"wide\.bin: an event lies outside the sensor: event 1 is at x = 6, y = 0"):
        read_recording(path, (5, 6), label=0, key="k")


def test_other_tools_field_names_and_signs_are_understood(tmp_path: Path) -> None:
    fields = np.empty(4, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])  # as the AEDAT 4 decoder gives them
    fields["t"], fields["x"], fields["y"], fields["on"] = T, X, Y, P
    np.save(tmp_path / "on.npy", fields)
    np.savez(tmp_path / "signed.npz", timestamp=T, x=X, y=Y, polarity=2 * P - 1)
    for name in ("on.npy", "signed.npz"):
        np.testing.assert_array_equal(read_events(tmp_path / name), events())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"t": T, "x": X, "y": Y}, "found t (int64 [4]), x (int16 [4]), y (int16 [4]); supported are"),
        ({"t": T * 1e-6, "x": X, "y": Y, "p": P}, "t = 3e-06 at event 0, of type float64"),
        ({"t": T, "x": X.astype(np.int64) + 2**16, "y": Y, "p": P}, "x has values that do not fit int16"),
        ({"t": T, "x": X[:3], "y": Y, "p": P}, "t, x, y and p are not columns of one length"),
        ({"t": T[:0], "x": X[:0], "y": Y[:0], "p": P[:0]}, "it holds no event"),
    ],
)
def test_columns_that_are_no_events_are_refused(tmp_path: Path, columns: dict[str, np.ndarray], words: str) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **columns)
    with pytest.raises(UserError) as caught:
        read_events(path)
    assert words in str(caught.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "pickle.npy"
    np.save(path, np.array([{"t": 1}], object), allow_pickle=True)
    with pytest.raises(UserError, match="Python objects, which are never unpickled"):
        read_events(path)


def test_an_unknown_extension_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no reader for \.mp4.*\.bin, \.dat, \.raw, \.aedat4, \.npy"):
        read_events(tmp_path / "film.mp4")


def test_all_real_recordings_equal_an_independent_parser(shared_data) -> None:
    files = sorted((shared_data / "NMNIST" / "Train").glob("*/*.bin"))
    assert len(files) == 1000
    for path in files:
        raw = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
        found = read_recording(path, (34, 34), label=0, key=path.stem).events
        assert (raw[:, 1] < 34).all()  # no overflow marks in this set
        np.testing.assert_array_equal(found["x"], raw[:, 0])
        np.testing.assert_array_equal(found["y"], raw[:, 1])
        np.testing.assert_array_equal(found["p"], raw[:, 2] >> 7)
        np.testing.assert_array_equal(found["t"], (raw[:, 2] & 127) * 65536 + raw[:, 3] * 256 + raw[:, 4])

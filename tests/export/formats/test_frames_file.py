"""FRAMES.npz: read as it is meant, sample by sample, or refused."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.formats import frames_file
from spikeport.export.formats.frames_file import open_frames, read_frames, write_frames

SHAPE = (2, 3, 4)


def test_frames_and_labels_come_back(tmp_path):
    frames = np.random.default_rng(0).integers(0, 2, (5, 6, *SHAPE), dtype=np.uint8)
    write_frames(tmp_path / "f.npz", frames, np.arange(5))
    read, labels = read_frames(tmp_path / "f.npz", SHAPE)
    np.testing.assert_array_equal(read, frames)
    np.testing.assert_array_equal(labels, np.arange(5))


def test_flat_frames_are_shaped_to_the_network(tmp_path):
    frames = np.random.default_rng(0).integers(0, 2, (5, 6, 24), dtype=np.uint8)
    np.savez(tmp_path / "f.npz", frames=frames)
    np.testing.assert_array_equal(read_frames(tmp_path / "f.npz", SHAPE)[0], frames.reshape(5, 6, *SHAPE))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"frames": np.full((1, 2, *SHAPE), 3, dtype=np.uint8)}, "values from 3 to 3.*--clip"),
        ({"frames": np.zeros((1, 2, *SHAPE))}, "type float64, not integers"),
        ({"frames": np.zeros((1, 2, 4, 3, 2), dtype=np.uint8)}, "axes .*put the axes in the order C, H, W"),
        ({"frames": np.zeros((1, 2, 5), dtype=np.uint8)}, "the network takes"),
        ({"pictures": np.zeros(3)}, "not `frames`"),
        ({"frames": np.zeros((2, 2, *SHAPE), dtype=np.uint8), "labels": np.zeros(3, dtype=int)}, "labels have shape"),
    ],
)
def test_frames_that_do_not_fit_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(UserError, match=words):
        read_frames(tmp_path / "f.npz", SHAPE)


def test_a_pickle_is_never_opened(tmp_path):
    np.savez(tmp_path / "f.npz", frames=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="plain arrays"):
        read_frames(tmp_path / "f.npz", SHAPE)


def test_a_damaged_file_says_so(tmp_path):
    (tmp_path / "f.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(UserError, match=r"is not a \.npz file"):
        read_frames(tmp_path / "f.npz", SHAPE)
    with pytest.raises(UserError, match="no such file"):
        read_frames(tmp_path / "g.npz", SHAPE)


def saved(tmp_path, how, frames, labels):
    path = tmp_path / "f.npz"
    if how == "npy":
        np.save(tmp_path / "f.npy", frames)
        return tmp_path / "f.npy", None
    if how == "stored":
        np.savez(path, labels=labels, frames=frames)
    else:
        np.savez_compressed(path, labels=labels, frames=frames)
    return path, labels


@pytest.mark.parametrize("how", ["npy", "stored", "packed", "spooled"])
@pytest.mark.parametrize("kind", ["uint8", "bool", ">i4", "int8", "fortran"])
def test_samples_are_read_when_asked_for(tmp_path, monkeypatch, how, kind):
    """However it is kept, each way to index gives what NumPy gives."""
    if how == "spooled":
        monkeypatch.setattr(frames_file, "IN_MEMORY", 100)
    frames = np.random.default_rng(1).integers(0, 2, (7, 3, *SHAPE), dtype=np.uint8)
    stored = np.asfortranarray(frames) if kind == "fortran" else frames.astype(kind)
    path, labels = saved(tmp_path, how, stored, np.arange(7))
    reader, read = open_frames(path, SHAPE)
    assert (reader.shape, reader.dtype, reader.ndim, len(reader)) == (frames.shape, np.uint8, 5, 7)
    for key in (
        slice(2, 5),
        slice(None),
        slice(6, 1, -2),
        3,
        -1,
        [5, 0],
        np.array([True] * 3 + [False] * 4),
        slice(4, 4),
    ):
        got = reader[key]
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, frames[key])
    np.testing.assert_array_equal(reader[:, 1], frames[:, 1])
    np.testing.assert_array_equal(reader[2, 1:], frames[2, 1:])
    np.testing.assert_array_equal(np.asarray(reader), frames)
    if labels is None:
        assert read is None
    else:
        np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("how", ["npy", "stored", "spooled"])
def test_memory_is_taken_for_what_is_read_only(tmp_path, monkeypatch, how):
    monkeypatch.setattr(frames_file, "IN_MEMORY", 1 << 20)
    frames = np.zeros((64, 8, 2, 128, 256), dtype=np.uint8)  # 32 MiB
    path, _ = saved(tmp_path, how, frames, np.arange(64))
    del frames
    tracemalloc.start()
    reader, _ = open_frames(path, (2, 128, 256))
    for sample in range(64):
        reader[sample : sample + 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 << 20


def test_counts_up_to_a_limit(tmp_path):
    frames = np.zeros((4, 2, *SHAPE), dtype=np.int64)
    frames[2, 1, 0, 0, 0] = 9
    np.savez(tmp_path / "f.npz", frames=frames)
    np.testing.assert_array_equal(open_frames(tmp_path / "f.npz", SHAPE, limit=9)[0][:], frames)
    reader, _ = open_frames(tmp_path / "f.npz", SHAPE, limit=7)
    np.testing.assert_array_equal(reader[:2], frames[:2])
    with pytest.raises(UserError, match=r"frames of sample 2 hold values from 0 to 9: .*counts of 0 to 7.*clip"):
        reader[1:4]
    with pytest.raises(UserError, match=r"frames of sample 2 hold .*netx would silently make counts binary"):
        read_frames(tmp_path / "f.npz", SHAPE)
    frames[3, 0, 0, 0, 1] = -1
    np.savez(tmp_path / "f.npz", frames=frames)
    with pytest.raises(UserError, match="frames of sample 3 hold values from -1 to 0"):
        open_frames(tmp_path / "f.npz", SHAPE, limit=9)[0][3]


def test_a_changed_bit_is_noticed_although_the_array_is_mapped(tmp_path):
    np.savez(tmp_path / "f.npz", frames=np.zeros((3, 4, *SHAPE), dtype=np.uint8))
    data = bytearray((tmp_path / "f.npz").read_bytes())
    data[200] ^= 1  # within the array
    (tmp_path / "f.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"is not a \.npz file.*CRC"):
        open_frames(tmp_path / "f.npz", SHAPE)


def header(shape, descr="|u1"):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        header((2**40, 2, *SHAPE)) + bytes(48),  # claims more than there is
        header((0, 2**62, 2**62)),
        header((-1, 2, *SHAPE)) + bytes(48),
        header((1, 2, *SHAPE), "|O") + bytes(48),
        header((1, 2, *SHAPE), [("a", "|u1")]) + bytes(48),
        b"\x93NUMPY\x03\x00" + b"\xff" * 40,
        b"\x93NUMPY\x01\x00\xff\xff{'descr': [[[[",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_lie_are_refused(tmp_path, data, packed):
    path = tmp_path / "f.npz"
    if packed:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("frames.npy", data)
    else:
        path.write_bytes(data)
    with pytest.raises(UserError, match=r"is not a \.npz file|integers|records of a|frames have shape"):
        open_frames(path, SHAPE)


def test_names_that_stand_twice_and_other_packings_are_refused(tmp_path):
    for kind, times in ((zipfile.ZIP_STORED, 2), (zipfile.ZIP_BZIP2, 1), (zipfile.ZIP_LZMA, 1)):
        with pytest.warns(UserWarning, match="Duplicate") if times == 2 else zipfile.ZipFile(tmp_path / "z", "w"), \
                zipfile.ZipFile(tmp_path / "f.npz", "w", kind) as archive:  # fmt: skip
            for _ in range(times):
                archive.writestr("frames.npy", header((1, 2, *SHAPE)) + bytes(48))
        with pytest.raises(UserError, match=r"twice|packed"):
            open_frames(tmp_path / "f.npz", SHAPE)


def test_counts_are_clipped_where_asked_and_the_lost_events_counted(tmp_path):
    counts = np.array([[[0, 1, 5], [2, 1, 0]], [[1, 1, 1], [0, 0, 9]]], dtype=np.uint8)
    np.savez(tmp_path / "f.npz", frames=counts)
    reader, _ = open_frames(tmp_path / "f.npz", (3,), 2, clip=True)
    np.testing.assert_array_equal(reader[:], np.minimum(counts, 2))
    assert reader.clipped == 3 + 7

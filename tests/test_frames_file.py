"""FRAMES.npz: read as it is meant, or refused."""

import numpy as np
import pytest

from export.frames_file import open_frames, read_frames, write_frames
from hardware_profiles.errors import UserError

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
        ({"frames": np.zeros((1, 2, *SHAPE))}, "float64, not integers"),
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
    with pytest.raises(UserError, match=r"is no \.npz file"):
        read_frames(tmp_path / "f.npz", SHAPE)
    with pytest.raises(UserError, match="no such file"):
        read_frames(tmp_path / "g.npz", SHAPE)


def test_counts_are_clipped_where_asked_and_the_lost_events_counted(tmp_path):
    counts = np.array([[[0, 1, 5], [2, 1, 0]], [[1, 1, 1], [0, 0, 9]]], dtype=np.uint8)
    np.savez(tmp_path / "f.npz", frames=counts)
    reader, _ = open_frames(tmp_path / "f.npz", (3,), 2, clip=True)
    np.testing.assert_array_equal(reader[:], np.minimum(counts, 2))
    assert reader.clipped == 3 + 7

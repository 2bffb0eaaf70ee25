"""A .npz of frames is read whatever its size, the order of its members, and what else lies in it."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spikeport.errors import UserError
from spikeport.export.formats import frames_file
from spikeport.export.formats.frames_file import open_frames

SHAPE = (2, 16, 16)
# At these counts the second array began where the reader's buffer had been left, or right beside it.
EDGES = (1, 205, 206, 230, 256, 257, 300, 410, 500, 2000)
KINDS = ("uint8", "bool", ">i4", "<i8", "int8", "fortran")


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([count, seed])
    return (random.random((count, 5, *SHAPE)) < 0.3).astype(np.uint8), random.integers(0, 10, count)


def check(path: Path, frames: np.ndarray, labels: np.ndarray | None, *, mapped: bool) -> None:
    reader, read = open_frames(path, SHAPE)
    base = reader.stored
    while not isinstance(base, np.memmap) and isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap) == mapped
    np.testing.assert_array_equal(reader[:], frames)
    if labels is None:
        assert read is None
    else:
        np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("count", EDGES)
def test_labels_behind_frames_are_read_at_every_size(tmp_path, count):
    frames, labels = drawn(count, 0)
    np.savez(tmp_path / "f.npz", frames=frames, labels=labels)
    check(tmp_path / "f.npz", frames, labels, mapped=True)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 2000),
    order=st.permutations(["frames", "labels", "before", "x" * 60]),
    without=st.sets(st.sampled_from(["labels", "before", "x" * 60])),
    kind=st.sampled_from(KINDS),
    extra=st.integers(0, 9000),
    packed=st.booleans(),
)
@example(500, ["frames", "labels", "before", "x" * 60], {"before", "x" * 60}, "uint8", 0, False)
def test_any_size_any_order_any_neighbors(count, order, without, kind, extra, packed):
    frames, labels = drawn(count, extra)
    stored = np.asfortranarray(frames) if kind == "fortran" else frames.astype(kind)
    held = {"frames": stored, "labels": labels.astype(">i2"), "before": np.arange(extra), "x" * 60: np.arange(3.0)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.npz"
        save = np.savez_compressed if packed else np.savez
        save(path, **{name: held[name] for name in order if name not in without})
        check(path, frames, None if "labels" in without else labels, mapped=not packed)


def test_a_real_one_of_500_samples(cases):
    path = cases / "labelled-500.npz"
    with np.load(path) as archive:
        frames, labels = archive["frames"], archive["labels"]
    reader, read = open_frames(path, frames.shape[2:])
    assert len(reader) == 500
    np.testing.assert_array_equal(reader[:], frames)
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("error", [EOFError(), ValueError(), KeyError("a")])
def test_a_refusal_always_has_its_reason(tmp_path, monkeypatch, error):
    np.savez(tmp_path / "f.npz", frames=np.zeros((1, 2, *SHAPE), np.uint8))

    def broken(*_):
        raise error

    monkeypatch.setattr(frames_file, "_header", broken)
    with pytest.raises(UserError) as refused:
        open_frames(tmp_path / "f.npz", SHAPE)
    assert refused.value.cause

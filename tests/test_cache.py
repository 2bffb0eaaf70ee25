"""Cached frames come back equal, and nothing damaged or foreign is ever trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.data.cache import cached_frames
from pipeline.data.framing import Binning, Frames

BINNING = Binning(steps=3, step_us=10, height=5, width=7)  # 210 pixels: no whole number of bytes


class Builder:
    """Gives known frames and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        generator = np.random.default_rng(1)
        frames = generator.integers(0, 2, (4, *BINNING.shape), dtype=np.uint8)
        self.frames = Frames(frames=frames, events=np.array([9, 0, 300, 7]))

    def __call__(self) -> Frames:
        self.calls += 1
        return self.frames


@pytest.fixture
def build() -> Builder:
    return Builder()


def get(folder: Path, build: Builder, content: str = "abc", binning: Binning = BINNING) -> Frames:
    found = cached_frames(folder, content, 4, binning, build)
    np.testing.assert_array_equal(found.frames, build.frames.frames)
    np.testing.assert_array_equal(found.events, build.frames.events)
    assert found.frames.dtype == np.uint8
    return found


def test_the_second_read_builds_nothing_and_one_bit_is_one_pixel(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    get(tmp_path, build)
    assert build.calls == 1
    [file] = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as archive:
        assert archive["bits"].nbytes == 4 * -(-210 // 8)


def test_other_content_or_binning_is_another_file(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    get(tmp_path, build, content="abd")
    get(tmp_path, build, binning=Binning(steps=3, step_us=11, height=5, width=7))
    assert build.calls == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_every_damaged_byte_is_harmless(tmp_path: Path, build: Builder) -> None:
    """Whatever byte of the file is flipped, the right frames come back, rebuilt or read."""
    get(tmp_path, build)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    rebuilt = 0
    for place in range(0, len(whole), 5):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        before = build.calls
        get(tmp_path, build)
        rebuilt += build.calls - before
        file.write_bytes(whole)
    assert rebuilt > 50


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive at all"])
def test_cut_files_are_made_again(tmp_path: Path, build: Builder, content: bytes) -> None:
    get(tmp_path, build)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (content, whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        before = build.calls
        get(tmp_path, build)
        assert build.calls == before + 1
        get(tmp_path, build)
        assert build.calls == before + 1  # the file is whole again


def test_a_whole_file_with_other_frames_is_not_trusted(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    [file] = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as archive:
        stored = dict(archive)
    for name, other in [
        ("bits", stored["bits"] ^ 1),
        ("bits", stored["bits"][:3]),
        ("bits", stored["bits"].astype(np.int16)),
        ("events", stored["events"] + 1),
        ("checksum", stored["checksum"][:4]),
    ]:
        np.savez_compressed(file, **{**stored, name: other})
        before = build.calls
        get(tmp_path, build)
        assert build.calls == before + 1


def test_a_build_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> Frames:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cached_frames(tmp_path, "abc", 4, BINNING, fail)
    assert not list(tmp_path.iterdir())

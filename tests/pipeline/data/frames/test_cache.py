"""Cached frames come back equal, and nothing damaged or foreign is ever trusted."""

from __future__ import annotations

import contextlib
import time
from array import array
from pathlib import Path

import numpy as np
import pytest

from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.cache import cached_frames, known_content_hash, mtime_digest_of
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.frames.packed import PackedFrames

BINNING = Binning(steps=3, step_us=10, height=5, width=7)  # 210 pixels: no whole number of bytes


def facts_of(events: list[int]) -> np.ndarray:
    facts = np.zeros(len(events), FACTS)
    facts["events"], facts["y_max"] = events, [4, 3, 2, 1]
    return facts


class Builder:
    """Gives known frames and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        generator = np.random.default_rng(1)
        frames = generator.integers(0, 2, (4, *BINNING.shape), dtype=np.uint8)
        self.frames = Frames(frames=PackedFrames.pack(frames), facts=facts_of([9, 0, 300, 7]))

    def __call__(self) -> Frames:
        self.calls += 1
        return self.frames


@pytest.fixture
def build() -> Builder:
    return Builder()


def get(folder: Path, build: Builder, content: str = "abc", binning: Binning = BINNING) -> Frames:
    found = cached_frames(folder, content, 4, binning, build)
    np.testing.assert_array_equal(found.frames, build.frames.frames)
    np.testing.assert_array_equal(found.facts, build.frames.facts)
    assert found.events.tolist() == build.frames.facts["events"].tolist()
    assert found.frames.dtype == np.uint8
    return found


def test_the_second_read_builds_nothing_and_one_bit_is_one_pixel(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    get(tmp_path, build)
    assert build.calls == 1
    [file] = tmp_path.iterdir()
    assert file.stat().st_size == 64 + 4 * FACTS.itemsize + 4 * -(-210 // 8)  # head, facts, bits


def test_other_content_or_binning_is_another_file(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    get(tmp_path, build, content="abd")
    get(tmp_path, build, binning=Binning(steps=3, step_us=11, height=5, width=7))
    get(tmp_path, build, binning=Binning(steps=3, step_us=10, height=5, width=7, window="last"))
    assert build.calls == 4
    assert len(list(tmp_path.iterdir())) == 4


def test_every_damaged_byte_is_harmless(tmp_path: Path, build: Builder) -> None:
    """Whatever byte of the file is changed, by however little, it is noticed and the file made again."""
    get(tmp_path, build)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in [*range(64), *range(64, len(whole), 3)]:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        before = build.calls
        get(tmp_path, build)
        assert build.calls == before + 1
        assert file.read_bytes() == whole


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


def test_a_whole_file_of_another_key_is_not_trusted(tmp_path: Path, build: Builder) -> None:
    get(tmp_path, build)
    [file] = tmp_path.iterdir()
    other = Builder()
    other.frames = Frames(frames=PackedFrames.pack(1 - build.frames.frames[:]), facts=build.frames.facts)
    get(tmp_path / "other", other, content="other")
    [foreign] = (tmp_path / "other").iterdir()
    file.write_bytes(foreign.read_bytes())
    get(tmp_path, build)
    assert build.calls == 2
    file.write_bytes(file.read_bytes() + b"\0")
    get(tmp_path, build)
    assert build.calls == 3


def test_a_build_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> Frames:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cached_frames(tmp_path, "abc", 4, BINNING, fail)
    assert not list(tmp_path.iterdir())


def test_a_listing_that_was_read_is_not_read_again(tmp_path: Path) -> None:
    """The record holds for its time and size alone; verifying, or a damaged record, asks again."""
    calls = []

    def content() -> str:
        calls.append(1)
        return "abc"

    old = mtime_digest_of(["a.bin", "b.bin"], array("q", [5, 10, 11, 6, 12, 9]))
    assert old.startswith("12-")  # the newest time of both
    for _ in range(3):
        assert known_content_hash(tmp_path, old, content) == "abc"
    assert len(calls) == 1
    assert known_content_hash(tmp_path, old, content, verify=True) == "abc"
    assert len(calls) == 2
    [record] = tmp_path.iterdir()
    whole = record.read_text()
    for damaged in ("", "{}", "[]", whole[:-3], whole.replace('"abc"', '"abd"'), whole.replace('"abc"', "7")):
        record.write_text(damaged)
        before = len(calls)
        assert known_content_hash(tmp_path, old, content) == "abc"
        assert len(calls) == before + 1


def test_every_word_and_number_of_a_listing_counts() -> None:
    words, numbers = ["a", "bc"], [1, 2, 3, 4, 5, 6]
    mtime_digests = {mtime_digest_of(words, array("q", numbers))}
    mtime_digests |= {mtime_digest_of(other, array("q", numbers)) for other in (["ab", "c"], ["bc", "a"], ["a", "bd"])}
    for place in range(6):
        changed = [number + 10 * (place == at) for at, number in enumerate(numbers)]
        mtime_digests.add(mtime_digest_of(words, array("q", changed)))
    assert len(mtime_digests) == 1 + 3 + 6


def test_files_written_just_now_are_read_each_time(tmp_path: Path) -> None:
    """Within its clock's tick a file system gives two writings one time."""
    calls = []
    now = mtime_digest_of(["a.bin"], array("q", [5, time.time_ns(), 7]))
    for _ in range(2):
        known_content_hash(tmp_path, now, lambda: calls.append(1) or "abc")
    assert len(calls) == 2
    assert not list(tmp_path.iterdir())


def test_without_a_time_and_size_the_content_is_asked(tmp_path: Path) -> None:
    assert known_content_hash(tmp_path, "", lambda: "abc") == "abc"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["a file", "below a file", "read-only", "full"])
def test_a_cache_that_cannot_be_written_is_gone_without(spikeport, tmp_path, monkeypatch, how):
    """One line names the variable; what is said of the data is the same."""
    from data_folders import with_pictures
    from full_disk import fill, read_only, small_disk

    from spikeport.pipeline.run.recipe import Recipe

    recipe = Recipe.model_validate({"name": "a", "data": with_pictures(tmp_path)})
    (tmp_path / "a.toml").write_text(recipe.as_toml())
    words = ("data", "info", "a.toml", "--json")
    _, expected, before = spikeport(*words)
    assert "SPIKEPORT_CACHE" not in before
    with contextlib.ExitStack() as within:
        cache = tmp_path / "other"
        if how in ("read-only", "full"):
            within.enter_context(small_disk(cache, "256k"))
            fill(cache, 0)
            if how == "read-only":
                read_only(cache)
        else:
            cache.write_text("mine")
            cache = cache / "below" if how == "below a file" else cache
        monkeypatch.setenv("SPIKEPORT_CACHE", str(cache))
        code, out, err = spikeport(*words)
    assert (code, out) == (0, expected)
    reported = [line for line in err.splitlines() if "SPIKEPORT_CACHE" in line]
    assert len(reported) == 1
    assert str(cache) in reported[0]

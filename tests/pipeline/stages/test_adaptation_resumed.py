"""Adaptations that were stopped: they continue as they began and end in the same weights, or say what differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from column_network import SETTINGS, columns, source

import spikeport as sp
from spikeport.pipeline.stages.adaptation import adapt


class StoppedError(Exception):
    """What a progress callback of these tests raises."""


def stop(done: int, total: int, what: str) -> None:
    if done == total // 2 + 1:
        raise StoppedError


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return columns()[0]


def weights_of(network: sp.CompiledNetwork) -> list[np.ndarray]:
    return [layer.weight for layer in network.network.layers]


def stopped(frames: np.ndarray, folder: Path, **changed) -> Path:
    with pytest.raises(StoppedError):
        adapt(source(), frames, folder, progress=stop, **{**SETTINGS, **changed})
    assert (folder / "checkpoint.safetensors").exists()
    return folder


def test_a_stopped_adaptation_ends_in_the_same_weights(frames, tmp_path: Path) -> None:
    whole = adapt(source(), frames, tmp_path / "whole", **SETTINGS)
    stopped(frames, tmp_path / "cut")
    with pytest.raises(sp.UserError, match="holds a stopped adaptation"):
        adapt(source(), frames, tmp_path / "cut", **SETTINGS)
    resumed = adapt(source(), frames, tmp_path / "cut", resume=True, **{**SETTINGS, "threads": 2})
    again = adapt(source(), frames, tmp_path / "cut", **{**SETTINGS, "epochs": 1})  # a finished one is replaced
    assert [row.network for row in again.rows] == [row.network for row in resumed.rows]
    assert all(
        np.array_equal(a, b) for a, b in zip(weights_of(whole.network), weights_of(resumed.network), strict=True)
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"lr": 1e-2}, "lr was 0.002, now it is 0.01"),
     ({"epochs": 4, "shift": 0}, "epochs was 3, now it is 4; shift was 2"),
     ({"widen": 2}, "widen was 1, now it is 2")],
)  # fmt: skip
def test_another_setting_is_named(frames, tmp_path: Path, changed: dict, words: str) -> None:
    stopped(frames, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(sp.UserError, match=words):
        adapt(source(), frames, tmp_path, resume=True, **{**SETTINGS, **changed})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_other_frames_and_sources_are_named(frames, tmp_path: Path) -> None:
    """Also a source that differs in its reset alone, which no weight of it shows."""
    stopped(frames, tmp_path)
    with pytest.raises(sp.UserError, match=r"of another adaptation: the frames changed\."):
        adapt(source(), frames[::-1], tmp_path, resume=True, **SETTINGS)
    other = source()
    other[2].reset_mechanism = "zero"
    with pytest.raises(sp.UserError, match=r"of another adaptation: the source changed\."):
        adapt(other, frames, tmp_path, resume=True, **SETTINGS)


def test_a_damaged_checkpoint_says_what_to_do(frames, tmp_path: Path) -> None:
    file = stopped(frames, tmp_path) / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(sp.UserError, match=r"checkpoint\.safetensors.*remove this file, and the adaptation"):
        adapt(source(), frames, tmp_path, resume=True, **SETTINGS)


def test_one_that_replaces_another_is_resumed_too(frames, tmp_path: Path) -> None:
    """The files of the finished one are there until it is replaced."""
    adapt(source(), frames, tmp_path, **{**SETTINGS, "epochs": 1})
    finished = (tmp_path / "adaptation.json").read_bytes()
    stopped(frames, tmp_path)
    assert (tmp_path / "adaptation.json").read_bytes() == finished
    with pytest.raises(sp.UserError, match="holds a stopped adaptation"):
        adapt(source(), frames, tmp_path, **SETTINGS)
    seen: list[int] = []
    adapt(source(), frames, tmp_path, resume=True, progress=lambda done, *_: seen.append(done), **SETTINGS)
    assert seen[0] > 1  # it goes on
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3]
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_nothing_to_resume_starts_anew(frames, tmp_path: Path, capsys) -> None:
    adapt(source(), frames, tmp_path / "new", resume=True, **{**SETTINGS, "epochs": 0})
    assert "new holds no stopped adaptation, so a new one starts" in capsys.readouterr().err
    finished = {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()}
    with pytest.raises(sp.UserError, match="holds a finished adaptation"):
        adapt(source(), frames, tmp_path / "new", resume=True, **SETTINGS)
    assert {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()} == finished


def test_without_training_no_log_is_left(frames, tmp_path: Path) -> None:
    adapt(source(), frames, tmp_path, **{**SETTINGS, "epochs": 1})
    assert (tmp_path / "metrics.jsonl").exists()
    adapt(source(), frames, tmp_path, **{**SETTINGS, "epochs": 0})
    assert not (tmp_path / "metrics.jsonl").exists()

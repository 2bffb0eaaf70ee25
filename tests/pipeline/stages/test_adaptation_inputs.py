"""What users give to adapt: frames, labels, settings and networks that do not fit get words, and no file is written."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest
import torch
from column_network import DT, SETTINGS, SHAPE, columns, source
from torch import nn

import spikeport as sp
from spikeport.export.formats.frames_file import write_frames
from spikeport.pipeline.adaptation.settings import RANGES
from spikeport.pipeline.cli.adapt import adapt as command
from spikeport.pipeline.stages.adaptation import adapt

FRAMES, LABELS = columns()
QUICK = {**SETTINGS, "epochs": 0}


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (FRAMES[..., :-1], r"frames: frames have shape \(30, 6, 2, 8, 8\)"),
        (FRAMES[:, :, 0], "frames have shape"),
        (FRAMES[:, :0], r"frames have shape \(30, 0"),
        (FRAMES * 0.5, "frames are float64, not whole numbers"),
        (np.where(FRAMES, np.nan, 0), "frames are float64"),
        (FRAMES.astype(int) * 300, "values of 0 to 300"),
        (-FRAMES.astype(int), "values of -1 to 0"),
    ],
)
def test_frames_that_do_not_fit(frames: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(sp.UserError, match=words):
        adapt(source(), frames, tmp_path / "out", **QUICK)
    with pytest.raises(sp.UserError, match=words.replace("frames: ", "check: ")):
        adapt(source(), FRAMES, tmp_path / "out", check=frames, **QUICK)
    assert not (tmp_path / "out").exists()


def test_arrays_of_any_kind_are_frames() -> None:
    expected = adapt(source(), FRAMES, labels=LABELS, **QUICK)
    for frames in (FRAMES.astype(bool), FRAMES.astype(np.int64), torch.from_numpy(FRAMES), FRAMES.tolist()):
        assert adapt(source(), frames, labels=LABELS.tolist(), **QUICK).rows == expected.rows


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": LABELS[:7]}, r"frames: labels have shape \(7,\) for 30 samples"),
        ({"labels": LABELS * 1.0}, "labels are float64"),
        ({"labels": LABELS + 1}, "labels seem to start at 1"),
        ({"check_labels": LABELS}, "check: labels are given without an array of frames"),
        ({"check": FRAMES, "check_labels": LABELS[:-1]}, "check: labels have shape"),
    ],
)
def test_labels_that_do_not_fit(given: dict, words: str) -> None:
    with pytest.raises(sp.UserError, match=words):
        adapt(source(), FRAMES, **given, **QUICK)


def test_labels_of_a_file_are_in_it(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.npz", FRAMES, LABELS + 5)
    with pytest.raises(sp.UserError, match="the network has 3 outputs"):
        adapt(source(), tmp_path / "frames.npz", **QUICK)
    with pytest.raises(sp.UserError, match="labels are given without an array of frames"):
        adapt(source(), tmp_path / "frames.npz", labels=LABELS, **QUICK)


@pytest.mark.parametrize(
    ("key", "value", "legal"),
    [
        ("epochs", -1, "a whole number, 0 or more"), ("epochs", 1.5, "a whole number"), ("batch", 0, "1 or more"),
        ("lr", float("nan"), "0 or more"), ("lr", -1.0, "0 or more"), ("shift", -1, "0 or more"),
        ("rotation", 181.0, "0 to 180"), ("scale", 1.0, "0 to 0.9"), ("event_drop", 1.5, "0 to 1"),
        ("seed", -1, "0 or more"), ("message_bits", 9, "0 to 8"), ("widen", 0, "1 to 8"), ("threads", -1, "0 or more"),
        ("lava_samples", -1, "0 or more"),
    ],
)  # fmt: skip
def test_settings_out_of_range(key: str, value: float, legal: str) -> None:
    with pytest.raises(sp.UserError, match=rf"adapt: {key} = {value} is outside its range.*{legal}"):
        adapt(source(), FRAMES, **{**QUICK, key: value})


def test_the_command_has_the_same_ranges() -> None:
    """Python's settings and the options of the command are written in two places."""
    options = get_type_hints(command, include_extras=True)
    for key, (low, high) in RANGES.items():
        (option,) = options[key].__metadata__
        assert (option.min, inf if option.max is None else option.max) == (low, high), key


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(sp.UserError, match=r"not a folder|cannot write here"):
            adapt(source(), FRAMES, out, **QUICK)
    assert (tmp_path / "file").read_text() == "mine"


class Busy(nn.Module):
    """Runs its layers twice where few events come, which a run on one step does not show."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = source()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes, _ = self.layers(x)
        return spikes if x.numpy()[..., :3].mean() > 0.4 else self.layers(x)[0]


def test_a_forward_that_a_trace_does_not_show_is_refused(tmp_path: Path, monkeypatch, spikeport) -> None:
    """The source would be another network than the user's: adapt and check-network say so, and nothing is trained."""
    write_frames(tmp_path / "frames.npz", FRAMES)
    monkeypatch.setitem(sys.modules, "nets_of_test", SimpleNamespace(busy=Busy, agrees=source))
    words = ("--frames", tmp_path / "frames.npz", "--dt", DT, "--input-shape", ",".join(map(str, SHAPE)))
    for words_before in (("adapt", "--quiet", "--out", tmp_path / "out"), ("check-network",)):
        code, _, err = spikeport(words_before[0], "nets_of_test:busy", *words_before[1:], *words)
        assert code == 2
        assert "Busy: its forward gives other outputs than the modules" in err
    assert not (tmp_path / "out").exists()
    code, out, _ = spikeport("adapt", "nets_of_test:agrees", "--quiet", "--epochs", 0, *words)
    assert code == 0
    assert "note: on 8 samples, the forward of Sequential and the source give the same 144 outputs" in out


def test_a_network_on_another_device_is_refused() -> None:
    with pytest.raises(sp.UserError, match=r"Sequential: is on meta\. Hint: give network\.cpu\(\)"):
        adapt(source().to("meta"), FRAMES, **QUICK)


def test_a_network_in_double_is_a_source() -> None:
    """Its own forward runs where every step is in double; snnTorch's surrogates give float32."""

    class Double(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = source().double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x)
                x = (x[0] if isinstance(x, tuple) else x).double()
            return x

    found = adapt(Double(), FRAMES, **{**QUICK, "epochs": 1})
    expected = adapt(source(), FRAMES, **QUICK).rows[0].rates
    assert list(found.rows[0].rates.values()) == pytest.approx(list(expected.values()), rel=1e-3)
    assert "on 8 samples, the forward of Double and the source give the same 144 outputs" in found.notes
    assert found.mismatches == 0

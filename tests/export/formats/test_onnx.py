"""ONNX files compute what torch computes at batch sizes nobody exported, and say nothing while they are made."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from spikeport.errors import CheckFailedError, UserError
from spikeport.export.formats.onnx import export_onnx


def teacher() -> nn.Module:
    """A small classifier with statistics in its batch norm that are not the initial ones."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(90, 4),
    )
    model(torch.rand(7, 3, 10, 8) * 3)
    return model


def test_any_batch_size_gives_torchs_logits(tmp_path, capfd):
    """Tolerance: float32 sums in another order, a few ulps of numbers near 1."""
    model = teacher()
    assert model.training
    difference = export_onnx(model, torch.rand(1, 3, 10, 8), tmp_path / "teacher.onnx")
    assert 0 <= difference < 1e-4
    assert model.training, "the caller's module stays as it was"
    images = torch.rand(5, 3, 10, 8)
    session = onnxruntime.InferenceSession(str(tmp_path / "teacher.onnx"))
    (found,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(found, model.eval()(images).detach().numpy(), rtol=1e-5, atol=1e-5)
    onnx.checker.check_model(str(tmp_path / "teacher.onnx"))
    assert [file.name for file in tmp_path.iterdir()] == ["teacher.onnx"]
    assert capfd.readouterr() == ("", "")


def test_no_folder_or_source_line_is_in_the_file(tmp_path):
    """torch writes a stack trace of each node into the file."""
    export_onnx(teacher(), torch.rand(1, 3, 10, 8), tmp_path / "teacher.onnx")
    content = (tmp_path / "teacher.onnx").read_bytes()
    for part in (b"site-packages", b".py", b"line ", b"stack_trace"):
        assert part not in content


def test_a_module_that_differs_from_its_file_leaves_no_file(tmp_path):
    class Counts(nn.Module):
        calls = 0

        def forward(self, images):
            Counts.calls += 1
            return images.flatten(1) * Counts.calls

    with pytest.raises(CheckFailedError, match="onnxruntime differs from torch"):
        export_onnx(Counts(), torch.rand(2, 3), tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_cannot_be_exported_is_refused_in_one_line(tmp_path):
    class Branches(nn.Module):
        def forward(self, images):
            return images * 2 if float(images.sum()) > 0 else images

    with pytest.raises(UserError, match="torch cannot export Branches to ONNX") as refusal:
        export_onnx(Branches(), torch.rand(2, 3), tmp_path / "bad.onnx")
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []

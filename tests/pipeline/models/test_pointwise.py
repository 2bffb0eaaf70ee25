"""The 1 x 1 convolution by steps: torch's result and state, without the kernel that ends the process."""

from __future__ import annotations

import onnx
import pytest
import torch
from learning_data import tiny_recipe
from torch import nn

from spikeport.export.formats.onnx import export_onnx
from spikeport.pipeline.models.pointwise import Pointwise
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.build import build_teacher


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_result_state_and_gradients_are_those_of_the_convolution_with_steps(stride: int) -> None:
    """Channels first, where torch's own kernel with steps does not crash; odd sides, so that the last pixel counts."""
    torch.manual_seed(stride)
    ours, theirs = Pointwise(6, 10, stride), nn.Conv2d(6, 10, 1, stride=stride, bias=False)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    maps = torch.randn(5, 6, 9, 14)
    found, wanted = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    given, expected = ours(found), theirs(wanted)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
    pull = torch.randn(expected.shape)
    given.backward(pull)
    expected.backward(pull)
    torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("network", "width"), [("resnet18-snn", 0.125), ("resnet20-snn", 0.25)])
def test_narrow_spiking_resnets_take_a_training_step(network: str, width: float) -> None:
    """48 x 48 frames with channels last, few channels: here oneDNN's backward pass with steps ended the process."""
    recipe = tiny_recipe(student={"network": network, "width": width}).student
    student = build_student(recipe, (2, 48, 48), 3).train().to(memory_format=torch.channels_last)
    frames = torch.zeros(10, 8, 2, 48, 48)
    frames.bernoulli_(0.3, generator=torch.Generator().manual_seed(1))
    student(frames).logits.square().sum().backward()
    shortcuts = [module for module in student.modules() if isinstance(module, Pointwise) and module.stride == (2, 2)]
    assert len(shortcuts) >= 2
    assert all(module.weight.grad is not None for module in shortcuts)


def test_a_narrow_teacher_takes_one_too_and_exports_one_convolution(tmp_path) -> None:
    """The ONNX file of the baseline holds no Slice: a GPU would pay for it."""
    teacher = build_teacher(tiny_recipe(teacher={"network": "resnet18", "width": 0.0625}).teacher, (3, 48, 48), 3)
    teacher = teacher.train().to(memory_format=torch.channels_last)
    images = torch.rand(8, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    teacher(images).square().sum().backward()
    export_onnx(teacher, images, tmp_path / "teacher.onnx")
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "teacher.onnx")).graph.node]
    assert kinds.count("Conv") == 20
    assert "Slice" not in kinds

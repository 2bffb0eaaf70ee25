"""Teachers from outside the package: torch modules, ONNX files, and the student of another run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from learning_data import STEPS, tiny_recipe
from torch import nn

from spikeport.errors import UserError
from spikeport.export.formats.onnx import export_onnx
from spikeport.pipeline.models.sizes import teacher_sizes
from spikeport.pipeline.models.storage import export_teacher, load_teacher, save_student, save_teacher
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.build import build_teacher, check_teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import create


def images(batch: int = 3, height: int = 17, width: int = 26) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def teacher_recipe(network: str, **options: Any) -> Recipe:
    return tiny_recipe(teacher={"network": network, **options})


class OpenNetwork(nn.Module):
    """With the methods of timm's networks."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(shape[0], 6, 3), nn.Linear(6, classes)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return maps.mean((2, 3)) if pre_logits else self.fc(maps.mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(images))


def closed_network(shape: tuple[int, int, int], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def no_network(shape: tuple[int, int, int], classes: int) -> int:
    return 3


def test_any_torch_module_by_name() -> None:
    shape = (3, 17, 26)
    opened = build_teacher(teacher_recipe(f"{__name__}:OpenNetwork").teacher, shape, 5)
    seen = opened.predict(images())
    assert torch.equal(seen.logits, opened.network(images()))  # images as they come: 0 to 1
    assert seen.maps is not None
    assert seen.embedding is not None
    assert (seen.maps.shape, seen.embedding.shape) == ((3, 6, 15, 24), (3, 6))
    assert opened.head_weight is not None
    assert opened.classify is not None
    torch.testing.assert_close(opened.classify(seen.embedding), seen.logits)
    closed = build_teacher(teacher_recipe(f"{__name__}:closed_network", mean=[0.5, 0.5, 0.5]).teacher, shape, 5)
    seen = closed.predict(images())
    torch.testing.assert_close(seen.logits, closed.network(images() - 0.5))
    assert (seen.maps, seen.embedding, closed.classify, closed.head_weight) == (None, None, None, None)
    assert teacher_sizes(closed, shape).embedding is None


@pytest.mark.parametrize("channels", [1, 3])
def test_an_onnx_file(channels: int, tmp_path: Path) -> None:
    """The logits of the network it was made of, batches of any size, images resized to what it asks for."""
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 7, 5)).eval()
    file, shape = tmp_path / "t.onnx", (3, 8, 9)
    export_onnx(network, torch.rand(2, channels, 8, 9), file)
    recipe = teacher_recipe(f"onnx:{file}", epochs=0)
    built = build_teacher(recipe.teacher, shape, 5)
    given = images(7, 8, 9)
    expected = network(given if channels == 3 else given.mean(1, keepdim=True)).detach()
    torch.testing.assert_close(built.predict(given).logits, expected, atol=1e-5, rtol=1e-5)
    assert teacher_sizes(built, shape).maps is None
    assert build_teacher(recipe.teacher, (3, 17, 26), 5).predict(images()).logits.shape == (3, 5)
    save_teacher(built, tmp_path / "teacher.safetensors")
    loaded = load_teacher(recipe, shape, 5, tmp_path / "teacher.safetensors")
    assert torch.equal(loaded.predict(given).logits, built.predict(given).logits)
    assert export_teacher(loaded, shape, tmp_path / "copy.onnx") == ""
    assert (tmp_path / "copy.onnx").read_bytes() == file.read_bytes()
    with pytest.raises(UserError, match=r"gives \[1, 5\] for one image.*6 classes"):
        build_teacher(recipe.teacher, shape, 6)
    file.write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"t.onnx: onnxruntime cannot load"):
        build_teacher(recipe.teacher, shape, 5)


def test_a_factory_that_fails_is_named() -> None:
    with pytest.raises(UserError, match=r"os:getcwd\(\(3, 9, 11\), 4\) failed: TypeError: .*Hint: name a function"):
        build_teacher(teacher_recipe("os:getcwd").teacher, (3, 9, 11), 4)


def finished_run(folder: Path) -> tuple[Recipe, nn.Module]:
    recipe = tiny_recipe(student={"channels": [3, 4], "v_threshold": 0.2})
    torch.manual_seed(8)
    student = build_student(recipe.student, (2, 9, 11), 3)
    run = create(folder, recipe, resume=False, about={})
    save_student(student, run.file("student.safetensors"))
    return recipe, student.eval()


def test_the_student_of_another_run_is_a_teacher_on_events(tmp_path: Path) -> None:
    _, student = finished_run(tmp_path / "first")
    recipe = teacher_recipe(f"run:{tmp_path / 'first'}", epochs=0)
    check_teacher(recipe.teacher, (9, 11))
    built = build_teacher(recipe.teacher, (3, 9, 11), 3)
    assert (built.input_kind, built.trainable) == ("events", False)
    frames = (torch.rand(STEPS, 5, 2, 9, 11) < 0.4).float()
    seen, expected = built.train().predict(frames), student(frames)
    assert torch.equal(seen.logits, expected.logits)
    assert expected.logits[-1].max() > 0
    assert torch.equal(seen.maps, expected.maps)
    assert torch.equal(seen.embedding, expected.embedding)
    assert built.classify is not None
    torch.testing.assert_close(built.classify(seen.embedding), student.synapse("event")(expected.embedding))
    sizes = teacher_sizes(built, (3, 9, 11))
    assert (sizes.maps, sizes.embedding) == ((4, 3, 3), 36)
    save_teacher(built, tmp_path / "teacher.safetensors")
    loaded = load_teacher(recipe, (3, 9, 11), 3, tmp_path / "teacher.safetensors")
    assert torch.equal(loaded.predict(frames).logits, expected.logits)
    assert export_teacher(loaded, (3, 9, 11), tmp_path / "teacher.onnx") == "the teacher is a spiking network"
    assert not (tmp_path / "teacher.onnx").exists()
    with pytest.raises(UserError, match=r"is fed frames of 9 x 11, and these are 34 x 34"):
        build_teacher(recipe.teacher, (3, 34, 34), 3)
    with pytest.raises(UserError, match=r"another network.*\[3, 36\], not \[4, 36\]"):
        build_teacher(recipe.teacher, (3, 9, 11), 4)
    (tmp_path / "first" / "student.safetensors").unlink()
    with pytest.raises(UserError, match=r"first: its student is not trained yet"):
        build_teacher(recipe.teacher, (3, 9, 11), 3)
    shutil.rmtree(tmp_path / "first")
    with pytest.raises(UserError, match=r"first: no such file or folder"):
        check_teacher(recipe.teacher)


def test_a_factory_that_makes_no_network() -> None:
    with pytest.raises(UserError, match=r"returned a int, not a torch module"):
        build_teacher(teacher_recipe(f"{__name__}:no_network").teacher, (3, 9, 11), 3)

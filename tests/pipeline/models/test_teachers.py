"""Convolutional teachers: their parts, sizes and files, and that a prediction changes nothing in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from learning_data import tiny_recipe
from safetensors.torch import save_file
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.models.sizes import teacher_sizes
from spikeport.pipeline.models.storage import export_teacher, load_teacher, save_teacher
from spikeport.pipeline.models.teachers.base import Preparation, Teacher
from spikeport.pipeline.models.teachers.build import TEACHERS, build_teacher, check_teacher, list_teachers
from spikeport.pipeline.models.teachers.cnn import CnnTeacher
from spikeport.pipeline.run.recipe import Recipe

PARTS = {"cnn-small": (64, 384), "vgg11": (32, 32), "resnet18": (32, 32), "resnet19": (32, 16), "resnet20": (4, 4)}


def teacher(height: int = 17, width: int = 26, classes: int = 5) -> Teacher:
    torch.manual_seed(4)
    return build_teacher(tiny_recipe().teacher, (3, height, width), classes)


def images(batch: int = 3, height: int = 17, width: int = 26) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def test_the_three_parts_are_one_network() -> None:
    network = teacher().eval()
    seen = network.predict(images())
    assert seen.maps is not None
    assert seen.embedding is not None
    assert seen.maps.shape == (3, 64, 2, 3)
    assert torch.equal(seen.embedding, seen.maps.flatten(1))
    weight = network.head_weight
    assert weight is not None
    torch.testing.assert_close(seen.logits, seen.embedding @ weight.T + network.head.bias)
    assert torch.equal(seen.logits, network(images()))
    assert teacher_sizes(network, (3, 17, 26)) == teacher_sizes(teacher(), (3, 17, 26))
    assert teacher_sizes(network, (3, 17, 26)).maps == (64, 2, 3)
    assert teacher_sizes(network, (3, 17, 26)).embedding == 384


def test_predicting_changes_no_buffer_and_leaves_no_gradient() -> None:
    """Even of a teacher that someone left in training mode, where batch norm would move."""
    network = teacher().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seen = network.predict(images())
    assert network.training
    assert all(module.training for module in network.modules())
    assert not any(part.requires_grad for part in (seen.logits, seen.maps, seen.embedding))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(seen.logits, network.eval()(images()).detach())
    network.train()(images())
    assert not torch.equal(before["features.1.running_mean"], network.features[1].running_mean)


def test_the_frozen_head_passes_a_gradient_to_what_it_classifies_only() -> None:
    network = teacher()
    embedding = torch.rand(2, 4, 384, requires_grad=True)
    logits = network.classify(embedding)
    torch.testing.assert_close(logits, network.head(embedding))
    (logits * torch.arange(5.0)).sum().backward()
    expected = torch.arange(5.0) @ network.head_weight
    torch.testing.assert_close(embedding.grad, expected.expand(2, 4, 384))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_head_that_is_not_linear_has_no_weight() -> None:
    network = CnnTeacher(nn.Identity(), nn.Flatten(), nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 5)))
    assert network.head_weight is None
    assert network.classify(torch.rand(4, 12)).shape == (4, 5)


@pytest.mark.parametrize("network", TEACHERS)
def test_the_rest_behind_each_stage_gives_the_logits(network: str) -> None:
    """From the teacher's own maps exactly its logits, frozen: in training mode too no statistics move."""
    built = build_teacher(teacher_recipe(network, width=width_of(network)).teacher, (3, 32, 40), 5)
    built(torch.rand(6, 3, 32, 40))  # statistics that differ from those of a new network
    seen = built.predict(torch.rand(2, 3, 32, 40))
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    assert built.training
    assert built.tail is not None
    assert seen.stages is not None
    assert len(seen.stages) == {"cnn-small": 3, "vgg11": 5, "resnet18": 4, "resnet19": 3, "resnet20": 3}[network]
    assert torch.equal(seen.stages[-1], seen.maps)
    for stage, maps in enumerate(seen.stages):
        features = maps.clone().requires_grad_()
        logits = built.tail(stage, features)
        assert torch.equal(logits, seen.logits)
        logits[:, 0].sum().backward()
        assert features.grad is not None
        assert features.grad.any()
    assert all(parameter.grad is None for parameter in built.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in built.state_dict().items())
    assert all(module.training for module in built.modules())


def test_a_row_of_modules_without_stages_has_no_tail() -> None:
    network = CnnTeacher(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(5))
    assert network.tail is None
    assert network.predict(torch.rand(2, 3, 5, 4)).stages is None


def test_images_are_normalized_by_channel() -> None:
    network = CnnTeacher(
        nn.Identity(), nn.Flatten(), nn.Identity(), Preparation(None, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    )
    seen = network.predict(torch.full((1, 3, 1, 2), 0.6))
    torch.testing.assert_close(seen.logits, torch.tensor([[1.0, 1.0, 0.4, 0.4, 0.15, 0.15]]))


def teacher_recipe(network: str, **options: Any) -> Recipe:
    return tiny_recipe(teacher={"network": network, **options})


def width_of(network: str) -> float:
    return 1.0 if network == "cnn-small" else 1 / 16


@pytest.mark.parametrize("network", TEACHERS)
def test_every_teacher_takes_small_and_large_images(network: str) -> None:
    """28, 34 x 48, 65 (the first with a large stem) and 224 pixels: logits, maps and embedding of one image."""
    recipe = teacher_recipe(network, width=width_of(network)).teacher
    channels = {}
    for height, width in ((28, 28), (34, 48), (65, 65), (224, 224)):
        built = build_teacher(recipe, (3, height, width), 5)
        seen = built.predict(torch.rand(2, 3, height, width))
        assert seen.logits.shape == (2, 5)
        assert seen.maps is not None
        assert min(seen.maps.shape[2:]) >= 1
        channels[height] = seen.maps.shape[1]
    assert set(channels.values()) == {PARTS[network][0]}
    found = teacher_sizes(build_teacher(recipe, (3, 17, 26), 5), (3, 17, 26))
    assert found.maps is not None
    assert (found.maps[0], found.embedding) == PARTS[network]


@pytest.mark.parametrize(
    ("network", "weights"),
    [("resnet18", 11_173_962), ("resnet20", 272_474), ("vgg11", 9_228_362)],
)
def test_published_numbers_of_weights(network: str, weights: int) -> None:
    """For 10 classes and small images. ResNet-20: 0.27 M in its paper; here with 1 x 1 shortcuts, two of them: 272,474.
    ResNet-18: 11,173,962 with a 3 x 3 stem. VGG-11: the sum of its convolutions, two numbers a channel, one layer."""
    with torch.device("meta"):
        built = build_teacher(teacher_recipe(network).teacher, (3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in built.parameters()) == weights


def test_the_stem_of_large_images_is_the_published_one() -> None:
    """ResNet-18 on 224 pixels and 1000 classes has 11,689,512 weights, in torchvision's names."""
    with torch.device("meta"):
        built = build_teacher(teacher_recipe("resnet18").teacher, (3, 224, 224), 1000)
    assert sum(parameter.numel() for parameter in built.parameters()) == 11_689_512
    names = set(built.state_dict())
    assert {
        "features.conv1.weight",
        "features.layer4.1.bn2.running_var",
        "features.layer2.0.downsample.0.weight",
    } <= names


def test_a_teacher_survives_its_files(tmp_path: Path) -> None:
    """A ResNet. Its own file gives the same logits, frozen; and onnxruntime gives them too."""
    recipe, shape = teacher_recipe("resnet20", width=0.25, size=20), (3, 17, 26)
    built = build_teacher(recipe.teacher, shape, 5)
    built(images())  # batch norm statistics move
    save_teacher(built, tmp_path / "teacher.safetensors")
    loaded = load_teacher(recipe, shape, 5, tmp_path / "teacher.safetensors")
    expected = built.predict(images()).logits
    assert torch.equal(loaded.predict(images()).logits, expected)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert export_teacher(loaded, shape, tmp_path / "teacher.onnx") == ""
    session = onnxruntime.InferenceSession(str(tmp_path / "teacher.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images().numpy()})
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)  # float32 sums in another order


def test_images_of_another_size_are_resized() -> None:
    """A column of 1 2 to four rows, by hand for pixel centers: 1, 1.25, 1.75, 2."""
    prepare = Preparation((4, 1), (), ())
    column = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1).expand(1, 3, 2, 1)
    torch.testing.assert_close(prepare(column)[0, 2, :, 0], torch.tensor([1.0, 1.25, 1.75, 2.0]))


def torchvision_names(built: Teacher) -> dict[str, torch.Tensor]:
    own = {key: tensor.clone() for key, tensor in built.state_dict().items() if "num_batches" not in key}
    return {key.replace("features.", "").replace("head.", "fc."): tensor for key, tensor in own.items()}


def test_weights_of_the_same_network_from_elsewhere(tmp_path: Path) -> None:
    """In torchvision's names, without batch norm's counters; a head of other classes stays fresh if it is trained."""
    shape, file = (3, 17, 26), tmp_path / "weights.safetensors"
    source = build_teacher(teacher_recipe("resnet20", width=0.25).teacher, shape, 5)
    source(images())
    save_file(torchvision_names(source), file)
    same = build_teacher(teacher_recipe("resnet20", width=0.25, weights=str(file), epochs=0).teacher, shape, 5)
    assert torch.equal(same.predict(images()).logits, source.predict(images()).logits)
    other = build_teacher(teacher_recipe("resnet20", width=0.25, weights=str(file), epochs=1).teacher, shape, 7)
    assert torch.equal(other.predict(images()).maps, source.predict(images()).maps)
    assert other.predict(images()).logits.shape == (3, 7)
    with pytest.raises(UserError, match=r"another network: .*head.bias is \[5\], not \[7\].*teacher.epochs"):
        build_teacher(teacher_recipe("resnet20", width=0.25, weights=str(file), epochs=0).teacher, shape, 7)
    with pytest.raises(UserError, match=r"another network: .* and \d+ more"):
        build_teacher(teacher_recipe("resnet18", width=0.25, weights=str(file)).teacher, shape, 5)
    file.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"weights.safetensors: cannot be read as weights"):
        build_teacher(teacher_recipe("resnet20", weights=str(file)).teacher, shape, 5)


def test_a_run_keeps_its_teacher_when_the_weight_file_is_gone(tmp_path: Path) -> None:
    shape, file = (3, 17, 26), tmp_path / "weights.safetensors"
    save_teacher(teacher(), file)
    recipe = teacher_recipe("cnn-small", weights=str(file))
    same_classes = build_teacher(recipe.teacher, shape, 5)
    save_teacher(same_classes, tmp_path / "teacher.safetensors")
    file.unlink()
    loaded = load_teacher(recipe, shape, 5, tmp_path / "teacher.safetensors")
    assert torch.equal(loaded.predict(images()).logits, same_classes.predict(images()).logits)
    with pytest.raises(UserError, match=r"weights.safetensors: no such file"):
        check_teacher(recipe.teacher)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": "resnet50"}, r"'resnet50' is not a teacher network.*cnn-small, .*onnx:FILE, run:FOLDER"),
        ({"network": "onnx:no.onnx"}, r"not trained, and teacher.epochs is 2.*teacher.epochs = 0"),
        ({"network": "onnx:no.onnx", "epochs": 0}, r"no.onnx: no such file"),
        ({"network": "onnx:no.onnx", "epochs": 0, "weights": "a"}, r"brings its own weights"),
        ({"network": "no.such:thing"}, r"'no.such:thing' cannot be imported: No module named 'no'"),
        ({"network": "torch:nothing"}, r"'torch:nothing' cannot be imported.*nothing"),
        ({"network": "torch:float32"}, r"'torch:float32' is not callable"),
        ({"network": "vgg11", "size": 7}, r"7 x 7 is too small"),
        ({"network": "cnn-small", "size": 7}, r"7 x 7 are too small"),
        ({"network": "resnet18", "weights": "none.safetensors"}, r"none.safetensors: no such file"),
    ],
)
def test_what_is_wrong_with_a_teacher_is_said_before_training(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_teacher(tiny_recipe(teacher=options).teacher, (34, 34))


def test_the_list_of_teachers() -> None:
    rows = {row.name: row.trained for row in list_teachers()}
    assert list(rows)[: len(TEACHERS)] == list(TEACHERS)
    assert [name for name, trained in rows.items() if not trained] == ["onnx:FILE", "run:FOLDER"]
    for name in TEACHERS:
        check_teacher(teacher_recipe(name).teacher, (34, 34))

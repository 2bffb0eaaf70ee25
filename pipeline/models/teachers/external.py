"""Teachers from outside the package: a torch module that a factory makes, and an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.factory import call_factory, load_object
from spikeport.pipeline.models.teachers.base import WHERE, Preparation, Teacher, TeacherNetwork, TeacherOutput
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.values import ImageShape

HINT = "name a function of (input_shape, classes) that returns a torch module"


class TorchTeacher(Teacher):
    """Any module from images to logits.

    A module with timm's `forward_features`, `forward_head` and `get_classifier` also gives its maps and embedding.

    Args:
        network: the module.
        prepare: maps images `[B, 3, h, w]` in 0..1 to the input of the module.
    """

    prefixes = (("", "network."),)

    def __init__(self, network: nn.Module, prepare: nn.Module) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare
        names = ("forward_features", "forward_head", "get_classifier")
        self.has_parts = all(callable(getattr(network, name, None)) for name in names)

    def forward_features(self, images: Tensor) -> TeacherOutput:
        images = self.prepare(images)
        if not self.has_parts:
            return TeacherOutput(self.network(images))
        parts: Any = self.network
        maps = parts.forward_features(images)
        embedding = parts.forward_head(maps, pre_logits=True)
        return TeacherOutput(parts.get_classifier()(embedding), maps if maps.ndim == 4 else None, embedding)

    def classifier(self) -> nn.Module | None:
        network: Any = self.network
        return network.get_classifier() if self.has_parts else None


class TorchFactory(TeacherNetwork):
    """The teacher that "package.module:factory" makes: a torch module, or a `Teacher`."""

    summary = "the torch module that factory(input_shape, classes) returns"

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> Teacher:
        network = call_factory(recipe.network, WHERE, input_shape, classes, hint=HINT)
        if isinstance(network, Teacher):
            return network
        if not isinstance(network, nn.Module):
            raise UserError(f"{recipe.network} returned a {type(network).__name__}, not a torch module", where=WHERE)
        return TorchTeacher(network, Preparation(input_shape[1:], recipe.mean, recipe.std))

    def check(self, recipe: TeacherRecipe, input_shape: ImageShape | None) -> None:
        if not callable(load_object(recipe.network, WHERE)):
            raise UserError(f"{recipe.network!r} is not callable", where=WHERE, hint=HINT)


class OnnxTeacher(Teacher):
    """An ONNX file that onnxruntime runs on the CPU. It gives logits only, without a gradient.

    Args:
        path: the file.
        prepare: maps images `[B, 3, h, w]` in 0..1 to the input of the network.
        network: the session of onnxruntime.
    """

    trainable = False

    def __init__(self, path: str, prepare: Preparation, network: _Session) -> None:
        super().__init__()
        self.path, self.prepare, self.network = path, prepare, network

    def forward_features(self, images: Tensor) -> TeacherOutput:
        ready = self.prepare(images)
        if self.network.channels == 1:
            ready = ready.mean(1, keepdim=True)
        logits = self.network(ready.detach().cpu().numpy().astype(np.float32))
        return TeacherOutput(torch.from_numpy(logits).to(images.device))


class OnnxFile(TeacherNetwork):
    """The teacher of "onnx:FILE". Images are resized to the size that the file asks for."""

    summary = "an ONNX file from images to logits; its weights stay"
    trained = False

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> OnnxTeacher:
        path = recipe.network.partition(":")[2]
        session = _Session(path)
        sides = session.sides or input_shape[1:]
        teacher = OnnxTeacher(path, Preparation(sides, recipe.mean, recipe.std), session)
        found = tuple(teacher.predict(torch.zeros(1, *input_shape)).logits.shape)
        if found != (1, classes):
            raise UserError(
                f"gives {list(found)} for one image, and the data have {classes} classes",
                where=path,
                hint="use a network whose first output is logits [B, K] of these classes in this order",
            )
        return teacher

    def check(self, recipe: TeacherRecipe, input_shape: ImageShape | None) -> None:
        check_brings_weights(recipe)


def check_brings_weights(recipe: TeacherRecipe) -> None:
    """Checks the recipe of a teacher that has weights already.

    Args:
        recipe: `[teacher]`.

    Raises:
        UserError: the recipe trains it or loads other weights, or its file is missing.
    """
    if recipe.epochs:
        raise UserError(
            f"{recipe.network} is not trained, and teacher.epochs is {recipe.epochs}",
            where=WHERE,
            hint="set teacher.epochs = 0",
        )
    if recipe.weights:
        raise UserError(f"{recipe.network} brings its own weights", where=WHERE, hint="leave teacher.weights out")
    check_exists(recipe.network.partition(":")[2])


def check_exists(path: str) -> None:
    """Checks that a file or folder exists.

    Args:
        path: the file or folder.

    Raises:
        UserError: it does not exist.
    """
    if not Path(path).exists():
        raise UserError(
            "no such file or folder",
            where=path,
            hint="correct teacher.weights or teacher.network (a relative path counts from where the command runs)",
        )


class _Session:
    """An onnxruntime session that takes batches of any size, also where the file fixes the batch size."""

    def __init__(self, path: str) -> None:
        import onnxruntime

        if not os.path.isfile(path):
            raise UserError("no such ONNX file", where=path, hint="correct teacher.network")
        try:
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many kinds
            raise UserError(
                "onnxruntime cannot load this file", where=path, cause=str(error).splitlines()[0]
            ) from error
        first = self.session.get_inputs()[0]
        if len(first.shape) != 4 or first.type != "tensor(float)" or len(self.session.get_inputs()) != 1:
            raise UserError(
                f"takes {first.type} {first.shape}", where=path, hint="use a network of one float input [B, 3, H, W]"
            )
        batch, channels, height, width = (size if isinstance(size, int) else 0 for size in first.shape)
        self.name, self.batch, self.channels = first.name, batch, channels
        self.sides = (height, width) if height and width else None

    def __deepcopy__(self, memo: object) -> _Session:
        return self  # it has no state, and cannot be copied

    def __call__(self, images: np.ndarray) -> np.ndarray:
        step = self.batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            part = images[start : start + step]
            padded = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), part.dtype)])
            (found,) = cast("list[np.ndarray]", self.session.run(None, {self.name: padded})[:1])
            parts.append(found[: len(part)])
        return np.concatenate(parts)

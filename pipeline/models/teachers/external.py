"""Teachers from elsewhere: a torch module that a factory makes, and an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.pipeline.models.teachers.base import Preparation, Teacher, TeacherOutput
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe

WHERE = "teacher.network"
Shape = tuple[int, int, int]


class TorchTeacher(Teacher):
    """Any module from images to logits. One with timm's `forward_features`, `forward_head` and `get_classifier` shows
    its maps and its embedding too."""

    prefixes = (("", "network."),)

    def __init__(self, network: nn.Module, prepare: nn.Module) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare
        names = ("forward_features", "forward_head", "get_classifier")
        self.open = all(callable(getattr(network, name, None)) for name in names)

    def forward_features(self, images: Tensor) -> TeacherOutput:
        images = self.prepare(images)
        if not self.open:
            return TeacherOutput(self.network(images))
        parts: Any = self.network
        maps = parts.forward_features(images)
        embedding = parts.forward_head(maps, pre_logits=True)
        return TeacherOutput(parts.get_classifier()(embedding), maps if maps.ndim == 4 else None, embedding)

    def classifier(self) -> nn.Module | None:
        network: Any = self.network
        return network.get_classifier() if self.open else None


def torch_teacher(recipe: TeacherRecipe, input_shape: Shape, classes: int) -> Teacher:
    """What `factory(input_shape, classes)` of "package.module:factory" makes. Raises UserError where it cannot."""
    factory = find_factory(recipe.network)
    try:
        network = factory(input_shape, classes)
    except Exception as error:  # another's code: whatever it raises
        raise UserError(
            f"{recipe.network}({input_shape}, {classes}) failed",
            where=WHERE,
            cause=f"{type(error).__name__}: {error}",
            hint="name a function of (input_shape, classes) that gives a torch module",
        ) from error
    if isinstance(network, Teacher):
        return network
    if not isinstance(network, nn.Module):
        raise UserError(f"{recipe.network} made a {type(network).__name__}, no torch module", where=WHERE)
    return TorchTeacher(network, Preparation(input_shape[1:], recipe.mean, recipe.std))


def find_factory(name: str) -> Callable[[Shape, int], Any]:
    """What "package.module:factory" names. Raises UserError where there is no such thing."""
    module, _, attribute = name.partition(":")
    where = _file_of(module)
    if where:
        note(f"{WHERE} = {name!r} is code, which runs now: module {module} of {where}")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{name!r} cannot be imported",
            where=WHERE,
            cause=str(error),
            hint="write package.module:factory of an installed package, or put your file's folder on PYTHONPATH",
        ) from error
    if not callable(factory):
        raise UserError(f"{name!r} cannot be called", where=WHERE, hint="name a function of (input_shape, classes)")
    return factory


def _file_of(module: str) -> str:
    """Where a module's code lies, by the finders alone: neither it nor a package above it is run. Empty: not found."""
    first, *rest = module.split(".")
    try:
        spec = find_spec(first)
        for end in range(1, len(rest) + 1):
            inside = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([first, *rest[:end]]), inside) if inside is not None else None
    except (ImportError, ValueError):
        return ""
    return str(spec.origin or "several folders") if spec else ""


class OnnxTeacher(Teacher):
    """An ONNX file, run by onnxruntime on the CPU: logits alone, and nothing to train."""

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


def onnx_teacher(recipe: TeacherRecipe, input_shape: Shape, classes: int) -> OnnxTeacher:
    """The teacher of "onnx:FILE". Images are resized to what the file asks for. Raises UserError."""
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


class _Session:
    """An onnxruntime session with a batch of any size, even where the file fixes it."""

    def __init__(self, path: str) -> None:
        import onnxruntime

        if not os.path.isfile(path):
            raise UserError("there is no such ONNX file", where=path, hint="correct teacher.network")
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
            parts.append(self.session.run(None, {self.name: padded})[0][: len(part)])
        return np.concatenate(parts)

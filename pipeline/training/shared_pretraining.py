"""Pretrainings that several candidates of "auto" have in common, each done once.

Two pretrainings are the same if everything that they read is the same: weights, images, recordings, synthesizer,
teacher, losses and settings. Names of candidates and numbers of folds do not count.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikeport.pipeline.data.dataset import EventSplit, StaticImages
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.run.tensor_files import read_tree, write_tree
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.student_task import PretrainTask
from spikeport.pipeline.training.task import TrainingTask
from spikeport.pipeline.training.translator_task import TranslatorTask
from spikeport.progress import NamedProgress

WEIGHTS = "weights.safetensors"
# Keys of [distillation] that a pretraining reads through its losses and first weights only, or not at all.
_OF_METHOD = {
    "method", "options", "losses", "auto", "train_baseline", "static", "shared_head", "replacement_power",
    "replacement_unit", "initialize",
}  # fmt: skip
_OTHER_HEAD = "heads.static."  # of the hybrid stream, which no pretraining has


class SharedPretraining:
    """Trainings before the student sees recordings alone, kept in a folder by the identity of what they read.

    Args:
        folder: where they are kept; a training that was stopped is resumed from there.

    Attributes:
        reused: how many students were pretrained already when they were asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.reused = folder, 0

    def student(self, task: PretrainTask, progress: NamedProgress | None = None) -> Student:
        """The student that a task pretrains, on the CPU in eval mode.

        Args:
            task: the pretraining; its student has the first weights.
            progress: called as (steps done, steps in all, stage).
        """
        self.reused += self._trained(task, _digest(_read_by_student(task)), progress)
        return task.model

    def translator(self, task: TranslatorTask, progress: NamedProgress | None = None) -> Translator:
        """The translator that a task trains, on the CPU in eval mode.

        Args:
            task: the training; its translator has the first weights.
            progress: called as (steps done, steps in all, stage).
        """
        self._trained(task, _digest(_read_by_translator(task)), progress)
        return task.model

    def remove(self) -> None:
        """Deletes the folder."""
        if distributed.is_rank_zero():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _trained(self, task: TrainingTask, digest: str, progress: NamedProgress | None) -> bool:
        """Gives the model of a task its trained weights. Returns whether they were there already."""
        folder, training = self.folder / digest, _recipe_of(task).training
        if (folder / WEIGHTS).is_file():
            task.model.load_state_dict(task.model.state_dict() | read_tree(folder / WEIGHTS))
            task.model.to("cpu").eval()
            return True
        # The checkpoint of another candidate is as good as an own one, if the networks have the same heads.
        task.identity = {"pretraining": digest}
        task.epochs_key = ""
        checkpoints = folder / f"checkpoints-{_digest(iter([('weights', list(task.state_dict()))]))}"
        fit(task, checkpoints, training, progress=progress)
        if distributed.is_rank_zero():
            write_tree(_common(task.model.state_dict()), folder / WEIGHTS)
            shutil.rmtree(checkpoints, ignore_errors=True)
        distributed.barrier()  # or another process does not find the weights and trains
        return False


def _common(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the head that takes no part, and that not every candidate has."""
    return {name: tensor for name, tensor in weights.items() if not name.startswith(_OTHER_HEAD)}


def _recipe_of(task: TrainingTask) -> Recipe:
    assert isinstance(task, PretrainTask | TranslatorTask)
    return task.recipe


Reading = Iterator[tuple[str, object]]  # names and values: arrays, tensors, or what JSON can hold


def _read_by_student(task: PretrainTask) -> Reading:
    yield from _settings(task)
    streams, synthesizer, teacher = task.streams, task.streams.synthesizer, task.teacher
    yield "recordings of a batch", task.recordings
    yield from _weights("student", _common(task.model.state_dict()))
    yield "classes", list(streams.classes)
    yield "frames", [*streams.frames.shape[1:]]
    for recipe, loss in task.objective.on("synthetic"):
        yield "loss", recipe.model_dump(mode="json")
        yield from _weights("loss", loss.state_dict())
    if teacher is not None:
        yield "teacher", type(teacher).__name__
        yield from _weights("teacher", teacher.state_dict())
    views = synthesizer.content if isinstance(synthesizer, CachedViews) else synthesizer and synthesizer.identity
    yield "synthesizer", [type(synthesizer).__name__, views]
    yield from _images(streams.static)
    yield from _recordings("validation", task.validation)
    if task.recordings:
        yield from _recordings("training", task.training_recordings)


def _read_by_translator(task: TranslatorTask) -> Reading:
    yield from _settings(task)
    yield from _weights("translator", task.model.state_dict())
    yield from _recordings("training", task.train_split)
    yield from _recordings("validation", task.validation)
    if task.train_split.paired_images is None:
        yield from _images(task.static)


def _settings(task: TrainingTask) -> Reading:
    values = _recipe_of(task).model_dump(mode="json")
    values["training"] = {key: value for key, value in values["training"].items() if key not in PLACEMENT_KEYS}
    values["distillation"] = {key: value for key, value in values["distillation"].items() if key not in _OF_METHOD}
    yield "recipe", values
    yield "task", [type(task).__name__, task.stage, task.samples, task.batches, task.epochs, task.seed]
    yield "optimizer", [task.lr, task.weight_decay, task.warmup_epochs, task.ema is not None]


def _weights(name: str, weights: Mapping[str, Tensor]) -> Reading:
    for key, tensor in weights.items():
        yield f"{name} {key}", tensor


def _images(images: StaticImages) -> Reading:
    yield "images", images.images
    yield "classes of images", images.labels


def _recordings(name: str, part: EventSplit) -> Reading:
    yield name, part.frames.bits if isinstance(part.frames, PackedFrames) else part.frames
    yield f"{name}, classes", part.labels
    if part.paired_images is not None:
        yield from _images(part.paired_images)


def _digest(reading: Reading) -> str:
    found = hashlib.sha256()
    for name, value in reading:
        found.update(name.encode() + b"\0")
        if isinstance(value, Tensor):
            found.update(str(value.dtype).encode())
            value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().reshape(*value.shape, -1)
        if isinstance(value, np.ndarray):
            found.update(f"{value.dtype} {value.shape}\0".encode())
            found.update(np.ascontiguousarray(value).data)
        else:
            found.update(json.dumps(value, sort_keys=True).encode() + b"\0")
    return found.hexdigest()[:32]

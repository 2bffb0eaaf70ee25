"""Quantization-aware training (QAT): from a float student to one that is exact in Loihi's arithmetic.

Batch norm is folded (exact), and every layer is scaled so that its weights fill the 8-bit range (spikes do not change).
Then weights, biases and thresholds are rounded to integers times a scale, and the weights are trained further: the
forward pass computes in Loihi's arithmetic, the gradient passes straight through the rounding (Bengio et al. 2013,
arXiv 1308.3432).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spikeport.export.network.fixed_point import BIAS_LIMIT, WEIGHT_LIMIT
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.distillation.method_spec import baseline_spec, method_spec
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.students.base import DeployedNetwork, Student, WeightLayer
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.scaling import rescale
from spikeport.pipeline.training.student_task import QatTask, StudentTask
from spikeport.progress import NamedProgress

Network = TypeVar("Network", bound=DeployedNetwork)
QAT_IMAGES = 1_280  # images in an epoch of QAT on synthetic events


def quantize(student: Network) -> Network:
    """Rounds a student without further training.

    Args:
        student: a float student without batch norm.

    Returns:
        A rounded copy in Loihi numerics.
    """
    student = rescale(student)
    prepare_qat(student)
    return convert(student)


def qat_finetune(
    recipe: Recipe,
    dataset: Dataset,
    student: Student,
    folder: Path,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
    *,
    stage: str = "quantization",
    method: str | None = None,
    teacher: Teacher | None = None,
    synthesizer: EventSynthesizer | CachedViews | None = None,
) -> Student:
    """Quantizes a float student and trains it further in Loihi numerics.

    Its epoch is chosen by the accuracy on the validation recordings. Epoch 0, the rounded student, takes part, so that
    training cannot make it worse there.

    Args:
        recipe: the recipe.
        dataset: the data set.
        student: the float student, with its batch norm. It is not changed.
        folder: where the checkpoint is.
        progress: called as (steps done, steps in all, stage).
        metrics: file of the log; None: metrics.jsonl in `folder`.
        stage: name of the training.
        method: method whose losses train it; None: the baseline. A method with a hybrid stream trains with the losses
            of its pretraining, or without one with the baseline, since alignment and that stream have no use once
            batch norm is folded.
        teacher: the teacher; None for methods without one.
        synthesizer: renders events of static images. Methods that pretrain use them here too, 1,280 images an epoch.

    Returns:
        The quantized student, on the CPU in eval mode.
    """
    prepared = rescale(fold_batch_norm(student))
    prepare_qat(prepared)
    spec = baseline_spec(recipe.distillation) if method is None else method_spec(recipe.distillation, method)
    if "hybrid" in spec.streams:
        spec = spec.of_pretraining if spec.pretraining else baseline_spec(recipe.distillation)
    make = partial(
        QatTask if spec.pretrains else StudentTask,
        recipe,
        dataset,
        prepared,
        spec,
        teacher=teacher,
        synthesizer=synthesizer,
        stage=stage,
        epochs=recipe.quantization.epochs,
        lr=recipe.quantization.lr,
        weight_decay=0.0,
        warmup_epochs=0,
        sections=("student", "training", "augmentation", "distillation", "synthesis", "quantization"),
        epochs_key=EPOCHS_KEYS["quantized"],
    )
    task = make(samples=QAT_IMAGES, batch=recipe.synthesis.pretrain_batch) if spec.pretrains else make()
    if isinstance(task, QatTask):
        task.recordings = recipe.synthesis.pretrain_recordings
    fit(task, folder, recipe.training, progress=progress, metrics=metrics, score_start=True)
    return convert(prepared)


class FakeQuantize(nn.Module):
    """Parametrization of a weight: n / S with integers n.

    The gradient passes where |value| <= limit / S, and is zero elsewhere.

    Args:
        scale: S.
        step: n is a multiple of it.
        limit: largest |n|.
    """

    def __init__(self, scale: float, step: int, limit: int) -> None:
        super().__init__()
        self.scale, self.step, self.limit = scale, step, limit

    def forward(self, values: Tensor) -> Tensor:
        return _RoundToGrid.apply(values, self.scale, self.step, self.limit)


class _RoundToGrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float, step: int, limit: int) -> Tensor:
        ctx.save_for_backward(values.abs() <= limit / scale)
        integers = (values * (scale / step)).round_().mul_(step).clamp_(-limit, limit)
        return integers.div_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None


def prepare_qat(student: DeployedNetwork) -> None:
    """Sets up a rescaled student for QAT, in place.

    Weights and biases get a `FakeQuantize`, thresholds and decays are rounded, and the neurons compute in Loihi
    numerics.

    Args:
        student: the student; it is changed.
    """
    for layer in student.weight_layers():
        neurons, scale = layer.neurons, float(layer.neurons.scale)
        for module, name, grid in _grids(layer):
            parametrize.register_parametrization(module, name, grid)
        neurons.threshold.copy_((neurons.threshold * scale).round() / scale)
        neurons.round_decays()
        neurons.numerics = "loihi"


def convert(student: Network) -> Network:
    """Ends QAT in place: the rounded weights become the parameters.

    Args:
        student: a student after `prepare_qat`.

    Returns:
        The same student in eval mode.
    """
    for layer in student.weight_layers():
        for module, name, _ in _grids(layer):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return student.eval()


def _grids(layer: WeightLayer) -> list[tuple[nn.Module, str, FakeQuantize]]:
    """The quantized parameters of a layer: module, name and `FakeQuantize` of each."""
    scale = float(layer.neurons.scale)
    found: list[tuple[nn.Module, str, FakeQuantize]] = [
        (synapse, "weight", FakeQuantize(scale / layer.pooled, 2, layer.limit)) for _, synapse in layer.synapses
    ]
    if layer.bias is not None:
        found.append((layer.bias_owner, "bias", FakeQuantize(scale, 1, BIAS_LIMIT)))
    if layer.neurons.recurrent_synapse is not None:
        found.append((layer.neurons.recurrent_synapse, "weight", FakeQuantize(scale, 2, WEIGHT_LIMIT)))
    return found

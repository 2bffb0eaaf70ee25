"""From a float student to one that is exact in Loihi's arithmetic.

Batch norm is folded (exact), every layer is scaled so that its weights fill the 8-bit range (spikes do not
change), then weights, biases and thresholds move onto the integer grid and the weights are tuned there: the
forward pass is the chip's, the gradient passes straight through the rounding.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spikeport.export.network.fixed_point import BIAS_LIMIT, THRESHOLD_LIMIT, WEIGHT_LIMIT
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.distillation.method_spec import baseline_spec, method_spec
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.students.base import Student, WeightLayer, weight_layers
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.task import Progress
from spikeport.pipeline.training.tasks import QatTask, StudentTask

TUNING_IMAGES = 1_280  # images that an epoch of tuning on synthetic events sees


def rescale(student: Student) -> Student:
    """A copy of a folded student, each layer's weights, bias and threshold times one factor, so that 8 bits
    fit best.

    The layer's scale S (integer units per float unit) is the power of two nearest to 254 / max|W|, and the
    factor makes S max|W| exactly 254, less only where bias or threshold would leave their ranges. Spikes stay
    as they are.
    """
    student = copy.deepcopy(student)
    for layer in weight_layers(student):
        synapse, neurons, pooled = layer.synapse, layer.neurons, layer.pooled
        largest = float(synapse.weight.detach().abs().max())
        if (recurrence := neurons.recurrent_synapse) is not None:  # both have one scale
            largest = max(largest, float(recurrence.weight.detach().abs().max()) * pooled)
        bias = 0.0 if layer.bias is None else float(layer.bias.detach().abs().max()) * pooled
        threshold = float(neurons.threshold) * pooled
        units = min(WEIGHT_LIMIT / largest, THRESHOLD_LIMIT / threshold, BIAS_LIMIT / max(bias, 1e-30))
        scale = 2.0 ** round(math.log2(units))
        factor = units / scale
        with torch.no_grad():
            synapse.weight *= factor
            if layer.bias is not None:
                layer.bias.mul_(factor)
            neurons.rescale(factor)
            neurons.scale.fill_(scale * pooled)
    return student


def scales(student: Student) -> dict[str, float]:
    """S of each synapse by name: integer weights are S times the float ones."""
    return {layer.name: float(layer.neurons.scale) / layer.pooled for layer in weight_layers(student)}


def quantize(student: Student) -> Student:
    """A folded float student on the integer grid, in Loihi numerics, without fine-tuning."""
    student = rescale(student)
    prepare_qat(student)
    return convert(student)


def qat_finetune(
    recipe: Recipe,
    dataset: Dataset,
    student: Student,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
    *,
    stage: str = "quantization",
    method: str | None = None,
    teacher: Teacher | None = None,
    synthesizer: EventSynthesizer | CachedViews | None = None,
) -> Student:
    """The float `student` (as trained, batch norm and all) quantized and tuned in Loihi numerics, on the CPU.

    Tuned by `method`, None: with TET on the events alone, which is also for plans with a hybrid stream, since alignment
    and that stream have done their work when batch norm is folded. One that has first lessons over the
    bridge tunes on such lessons too, TUNING_IMAGES an epoch. The epoch is chosen on the validation recordings, epoch 0
    (as rounded) included, so that tuning cannot make it worse there. `folder`, `progress`, `metrics`: see
    `fitting.fit`.
    """
    prepared = rescale(fold_batch_norm(student))
    prepare_qat(prepared)
    spec = baseline_spec(recipe.distillation) if method is None else method_spec(recipe.distillation, method)
    if "hybrid" in spec.streams:
        spec = baseline_spec(recipe.distillation)
    options: dict[str, Any] = {
        "teacher": teacher,
        "synthesizer": synthesizer,
        "stage": stage,
        "epochs": recipe.quantization.epochs,
        "lr": recipe.quantization.lr,
        "weight_decay": 0.0,
        "warmup_epochs": 0,
        "sections": ("student", "training", "augmentation", "distillation", "synthesis", "quantization"),
    }
    task: StudentTask
    if spec.pretrains:
        lessons = QatTask(
            recipe, dataset, prepared, spec, samples=TUNING_IMAGES, batch=recipe.synthesis.pretrain_batch, **options
        )
        lessons.recordings = recipe.synthesis.pretrain_recordings
        task = lessons
    else:
        task = StudentTask(recipe, dataset, prepared, spec, **options)
    fit(
        task,
        folder,
        recipe.training,
        progress=progress,
        metrics=metrics,
        score_start=True,
    )
    return convert(prepared)


class FakeQuantize(nn.Module):
    """Parametrisation: values / S with integers that are multiples of `step` and at most `limit`."""

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


def prepare_qat(student: Student) -> None:
    """In place: weights and biases seen through the grid, thresholds and decays on it, cells in Loihi
    numerics."""
    for layer in weight_layers(student):
        neurons, scale = layer.neurons, float(layer.neurons.scale)
        for module, name, grid in _grids(layer):
            parametrize.register_parametrization(module, name, grid)
        neurons.threshold.copy_((neurons.threshold * scale).round() / scale)
        neurons.round_decays()
        neurons.numerics = "loihi"


def convert(student: Student) -> Student:
    """In place: the weights become what the grid made of them."""
    for layer in weight_layers(student):
        for module, name, _ in _grids(layer):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return student.eval()


def _grids(layer: WeightLayer) -> list[tuple[nn.Module, str, FakeQuantize]]:
    """The parameters of a layer that are quantized: module, name and grid of each."""
    scale = float(layer.neurons.scale)
    found: list[tuple[nn.Module, str, FakeQuantize]] = [
        (layer.synapse, "weight", FakeQuantize(scale / layer.pooled, 2, WEIGHT_LIMIT))
    ]
    if layer.bias is not None:
        found.append((layer.bias_owner, "bias", FakeQuantize(scale, 1, BIAS_LIMIT)))
    if layer.neurons.recurrent_synapse is not None:
        found.append((layer.neurons.recurrent_synapse, "weight", FakeQuantize(scale, 2, WEIGHT_LIMIT)))
    return found

"""From a float student to one that is exact in Loihi's arithmetic.

Batch norm is folded (exact), every layer is scaled so that its weights fill the 8-bit range (spikes do not
change), then weights, biases and thresholds move onto the integer grid and the weights are tuned there: the
forward pass is the chip's, the gradient passes straight through the rounding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, THRESHOLD_LIMIT, WEIGHT_LIMIT
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.distillation.methods import baseline_spec, method_spec
from spikeport.pipeline.models.neurons.leaky import LoihiNeuron
from spikeport.pipeline.models.neurons.recurrent import LoihiRecurrent
from spikeport.pipeline.models.neurons.synaptic import BatchRMSNorm, LoihiSynaptic
from spikeport.pipeline.models.students.base import POOL, Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.task import Progress
from spikeport.pipeline.training.tasks import QatTask, StudentTask

TUNING_IMAGES = 1_280  # images that an epoch of tuning on synthetic events sees


def fold_batch_norm(student: Student) -> Student:
    """A copy of the deployed path in which every layer has taken in the batch norm behind it; float,
    eval mode.

    Exact up to float32 rounding of the weights: w' = w g, b' = beta - mean g with g = gamma / sqrt(var +
    eps). A norm that does not shift leaves no bias: w' = w g. The static head is left out: it has done its work.
    """
    folded = copy.deepcopy(student).eval()
    layers: dict[str, nn.Module] = {}
    before: nn.Module | None = None
    for name, layer in folded.backbone.items():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _fold_into(before, layer)
        elif isinstance(layer, BatchRMSNorm) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _scale_rows(before, layer.gain(layer.mean_square.double()))
        else:
            layers[name] = layer
        before = layer
    heads = nn.ModuleDict({"event": folded.synapse("event")})
    return Student(nn.ModuleDict(layers), heads, folded.output_cell).eval()


def _fold_into(synapse: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # students' norms keep statistics
    assert variance is not None
    gain = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    bias = norm.bias.double() - mean.double() * gain
    if synapse.bias is not None:
        bias = bias + synapse.bias.double() * gain
    _scale_rows(synapse, gain)
    synapse.bias = nn.Parameter(bias.detach().to(synapse.weight.dtype))


def _scale_rows(synapse: nn.Conv2d | nn.Linear, gain: Tensor) -> None:
    weight = synapse.weight.double() * gain.view(-1, *[1] * (synapse.weight.ndim - 1))
    synapse.weight = nn.Parameter(weight.detach().to(synapse.weight.dtype))


def rescale(student: Student) -> Student:
    """A copy of a folded student, each layer's weights, bias and threshold times one factor, so that 8 bits
    fit best.

    The layer's scale S (integer units per float unit) is the power of two nearest to 254 / max|W|, and the
    factor makes S max|W| exactly 254, less only where bias or threshold would leave their ranges. Spikes stay
    as they are.
    """
    student = copy.deepcopy(student)
    for synapse, cell, pooled in _layers(student):
        recurrence = _recurrence(cell)
        largest = float(synapse.weight.detach().abs().max())
        if recurrence is not None:  # one scale for both, and no pool before the loop
            largest = max(largest, float(recurrence.weight.detach().abs().max()) * pooled)
        biases = _bias_owner(synapse, cell).bias
        assert biases is not None  # folding gave one to every layer
        bias = float(biases.detach().abs().max()) * pooled
        threshold = float(cell.threshold) * pooled
        units = min(WEIGHT_LIMIT / largest, THRESHOLD_LIMIT / threshold, BIAS_LIMIT / max(bias, 1e-30))
        scale = 2.0 ** round(math.log2(units))
        factor = units / scale
        with torch.no_grad():
            synapse.weight *= factor
            biases *= factor
            cell.threshold *= factor
            if recurrence is not None:
                recurrence.weight *= factor
            cell.scale.fill_(scale * pooled)
    return student


def scales(student: Student) -> dict[str, float]:
    """S of each synapse by name: integer weights are S times the float ones."""
    names = [name for name, layer in student.deployed() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return {name: float(cell.scale) / pooled for name, (_, cell, pooled) in zip(names, _layers(student), strict=True)}


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
    for synapse, cell, pooled in _layers(student):
        scale = float(cell.scale)
        parametrize.register_parametrization(synapse, "weight", FakeQuantize(scale / pooled, 2, WEIGHT_LIMIT))
        parametrize.register_parametrization(_bias_owner(synapse, cell), "bias", FakeQuantize(scale, 1, BIAS_LIMIT))
        if (recurrence := _recurrence(cell)) is not None:
            parametrize.register_parametrization(recurrence, "weight", FakeQuantize(scale, 2, WEIGHT_LIMIT))
        cell.threshold.copy_((cell.threshold * scale).round() / scale)
        cell.beta.copy_(1 - torch.tensor(cell.v_decay / DECAY_ONE))
        if isinstance(cell, LoihiSynaptic):
            cell.alpha.copy_(1 - torch.tensor(cell.i_decay / DECAY_ONE))
        cell.numerics = "loihi"


def convert(student: Student) -> Student:
    """In place: the weights become what the grid made of them."""
    for synapse, cell, _ in _layers(student):
        parametrize.remove_parametrizations(synapse, "weight", leave_parametrized=True)
        parametrize.remove_parametrizations(_bias_owner(synapse, cell), "bias", leave_parametrized=True)
        if (recurrence := _recurrence(cell)) is not None:
            parametrize.remove_parametrizations(recurrence, "weight", leave_parametrized=True)
    return student.eval()


def _recurrence(cell: LoihiNeuron) -> nn.Linear | None:
    """The weights from the cells' own spikes, where they have any."""
    return cell.recurrent if isinstance(cell, LoihiRecurrent) else None


def _bias_owner(synapse: nn.Conv2d | nn.Linear, cell: LoihiNeuron) -> nn.Conv2d | nn.Linear | LoihiSynaptic:
    """Whose bias is the layer's: before slow currents the cell's, see `networks.synaptic`."""
    return cell if isinstance(cell, LoihiSynaptic) else synapse


def _layers(student: Student) -> Iterator[tuple[nn.Conv2d | nn.Linear, LoihiNeuron, int]]:
    """Each synapse with its cells and the number of inputs that the average pool before it averages (or
    1)."""
    synapse: nn.Conv2d | nn.Linear | None = None
    pooled = 1
    for _, layer in student.deployed():
        if isinstance(layer, nn.AvgPool2d):
            pooled = POOL**2
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            synapse = layer
        elif isinstance(layer, LoihiNeuron):
            assert synapse is not None
            yield synapse, layer, pooled
            pooled = 1

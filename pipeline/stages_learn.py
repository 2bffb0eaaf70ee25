"""The stages that learn: data, teacher, student, quantised student. They read and write weights in the run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from export.readout import classify
from hardware_profiles.errors import UserError
from pipeline.checkpoints import load_weights, save_weights
from pipeline.data.describe import describe
from pipeline.networks.students import Student, build_student, predict_spikes
from pipeline.networks.teachers import build_teacher
from pipeline.quantisation import fine_tune, load_quantised_student
from pipeline.training import teacher_logits, train_student, train_teacher

if TYPE_CHECKING:
    from pipeline.stages import Context, Result

METRICS = "metrics.jsonl"


def data(context: Context) -> Result:
    """The data set's facts; its frames stay in the cache."""
    return describe(context.dataset), ()


def teacher(context: Context) -> Result:
    """teacher.safetensors, and which twins of the test recordings it recognises."""
    dataset = context.dataset
    trained = train_teacher(
        context.recipe, dataset, context.checkpoints("teacher"), context.progress, context.run.file(METRICS)
    )
    save_weights(trained, context.run.file("teacher.safetensors"))
    if dataset.test.twins is None:
        return {"predicted": None, "reason": "the test recordings have no static twins"}, ("teacher.safetensors",)
    logits = teacher_logits(trained, dataset.test.twins.images, dataset.test.frames.shape[3:])
    return {"predicted": logits.argmax(1).tolist()}, ("teacher.safetensors",)


def student(context: Context, method: str) -> Result:
    """The float student that `method` trained, and its classes for the test recordings."""
    name = weights_file("student", method, context)
    trained = train_student(
        context.recipe,
        context.dataset,
        load_teacher(context),
        method,
        context.checkpoints(f"student-{method}"),
        context.progress,
        context.run.file(METRICS),
    )
    save_weights(trained, context.run.file(name))
    return _tested(trained, context), (name,)


def quantised(context: Context, method: str) -> Result:
    """The same student folded and fine-tuned in Loihi arithmetic."""
    name = weights_file("quantised", method, context)
    tuned = fine_tune(
        context.recipe,
        context.dataset,
        load_student(context, method),
        context.checkpoints(f"quantised-{method}"),
        context.progress,
        context.run.file(METRICS),
    )
    save_weights(tuned, context.run.file(name))
    return _tested(tuned, context), (name,)


def weights_file(kind: str, method: str, context: Context) -> str:
    """`student.safetensors` for the run's own method, `student-none.safetensors` for the comparison."""
    own = method == context.recipe.distillation.method
    return f"{kind}.safetensors" if own else f"{kind}-{method}.safetensors"


def load_teacher(context: Context) -> nn.Module:
    """The run's teacher, on the CPU, in eval mode."""
    size = context.dataset.test.frames.shape[3:]
    network = build_teacher(context.recipe.teacher, (3, *size), len(context.dataset.classes))
    load_weights(network, context.run.file("teacher.safetensors"))
    return network.eval()


def load_student(context: Context, method: str) -> Student:
    """The run's float student."""
    network = build_student(
        context.recipe.student,
        context.dataset.test.frames.shape[2:],
        len(context.dataset.classes),
        shared_head=context.recipe.distillation.shared_head,
    )
    load_weights(network, context.run.file(weights_file("student", method, context)))
    return network.eval()


def load_quantised(context: Context, method: str) -> Student:
    """The run's quantised student, in Loihi numerics. Raises UserError where it is not trained yet."""
    file = context.run.file(weights_file("quantised", method, context))
    if not file.is_file():
        raise UserError(
            "there is no quantised student", where=str(file), mend="finish the run with spikeport run --resume"
        )
    shape, classes = context.dataset.test.frames.shape[2:], len(context.dataset.classes)
    return load_quantised_student(context.recipe, shape, classes, file)


def _tested(network: Student, context: Context) -> dict[str, Any]:
    spikes = predict_spikes(network, torch.from_numpy(context.dataset.test.frames)).numpy()
    predicted = classify(np.asarray(spikes))
    return {"predicted": predicted.tolist()}

"""The stages that learn: data, teacher, student, quantised student. They read and write weights in the run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from export.readout import classify
from hardware_profiles.errors import UserError
from pipeline.data.describe import describe
from pipeline.networks import storage
from pipeline.networks.students import Student, predict_spikes
from pipeline.quantisation import fine_tune
from pipeline.training import teacher_logits, train_student, train_teacher

if TYPE_CHECKING:
    from pipeline.stages import Context, Result

METRICS = "metrics.jsonl"


def data(context: Context) -> Result:
    """The data set's facts and the test recordings' classes; its frames stay in the cache."""
    return {**describe(context.dataset), "test_labels": context.dataset.test.labels.tolist()}, ()


def teacher(context: Context) -> Result:
    """teacher.safetensors, and which twins of the test recordings it recognises."""
    dataset = context.dataset
    trained = train_teacher(
        context.recipe, dataset, context.checkpoints("teacher"), context.progress, context.run.file(METRICS)
    )
    storage.save_teacher(trained, context.run.file("teacher.safetensors"))
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
    storage.save_student(trained, context.run.file(name))
    return _tested(trained, context), (name,)


def quantised(context: Context, method: str) -> Result:
    """The same student folded and fine-tuned in Loihi arithmetic."""
    name = weights_file("quantised", method, context)
    tuned = fine_tune(
        context.recipe,
        context.dataset,
        load_student(context, method, "float"),
        context.checkpoints(f"quantised-{method}"),
        context.progress,
        context.run.file(METRICS),
        stage=f"quantised-{method}",
    )
    storage.save_student(tuned, context.run.file(name))
    return _tested(tuned, context), (name,)


def weights_file(kind: str, method: str, context: Context) -> str:
    """`student.safetensors` for the run's own method, `student-none.safetensors` for the comparison."""
    own = method == context.recipe.distillation.method
    return f"{kind}.safetensors" if own else f"{kind}-{method}.safetensors"


def load_teacher(context: Context) -> nn.Module:
    """The run's teacher, on the CPU, in eval mode."""
    dataset = context.dataset
    input_shape = (3, *dataset.test.frames.shape[3:])
    return storage.load_teacher(
        context.recipe, input_shape, len(dataset.classes), context.run.file("teacher.safetensors")
    )


def load_student(context: Context, method: str, stage: storage.Stage) -> Student:
    """The run's student that `method` trained, in eval mode. Raises UserError where it is not trained yet."""
    file = context.run.file(weights_file("student" if stage == "float" else "quantised", method, context))
    if not file.is_file():
        raise UserError("is not trained yet", where=str(file), mend="finish the run with spikeport run --resume")
    dataset = context.dataset
    return storage.load_student(context.recipe, dataset.test.frames.shape[2:], len(dataset.classes), file, stage=stage)


def _tested(network: Student, context: Context) -> dict[str, Any]:
    return {"predicted": classify(predict_spikes(network, context.dataset.test.frames)).tolist()}

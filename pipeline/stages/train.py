"""Stages of the training: data, teacher, pretraining, student, quantized student, with weights in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.errors import UserError
from spikeport.export.network.readout import classify
from spikeport.pipeline.data.describe import describe
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.data.sources.table import may_have_images
from spikeport.pipeline.data.splits.leakage import check_leakage, held_out_keys, test_set_digest
from spikeport.pipeline.data.windows import check_window
from spikeport.pipeline.distillation.auto_candidates import why_no_choice
from spikeport.pipeline.distillation.method_spec import method_spec, pretraining_stages
from spikeport.pipeline.distillation.objective import uses_teacher
from spikeport.pipeline.models import storage
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.inference import run_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.spiking import run_of
from spikeport.pipeline.run import health
from spikeport.pipeline.run.gap import LayerGap
from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.stages.auto_students import (
    copied,
    needed_stages,
    not_needed,
    same_as_own,
    trained_in_choice,
)
from spikeport.pipeline.stages.checks import check_patience
from spikeport.pipeline.stages.first_weights import checked_start
from spikeport.pipeline.stages.results import (
    DataResult,
    Predictions,
    StageOutput,
    StudentResult,
    TeacherResult,
)
from spikeport.pipeline.stages.synthesis import gap_of, synthesizer_of, with_cached_views
from spikeport.pipeline.training.epoch_log import METRICS, last_row
from spikeport.pipeline.training.evaluate import spiking_teacher_classes, teacher_logits
from spikeport.pipeline.training.first_weights import teacher_origin
from spikeport.pipeline.training.pretraining import pretrain_student
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.teacher_task import teacher_images
from spikeport.pipeline.training.train import train_student, train_teacher
from spikeport.values import Missing

if TYPE_CHECKING:
    from spikeport.pipeline.data.dataset import EventSplit
    from spikeport.pipeline.run.recipe import Recipe
    from spikeport.pipeline.stages.context import Context

NO_IMAGES = "the data set has no static images, so there is no teacher"
SIMULATOR, PRETRAIN = "simulator.safetensors", "pretrain.safetensors"


def data(context: Context) -> StageOutput:
    """Describes the data set: its facts, the test labels, and the digest and keys of the held-out recordings."""
    dataset = context.dataset
    check_window(dataset)
    check_patience(context.recipe, len(dataset.validation.labels))
    facts = describe(dataset)
    if context.recipe.distillation.method == AUTO and (why := why_no_choice(context.recipe)):
        context.progress.log(f"  the method auto is the baseline, since {why}")
    for text in (facts["window"] or {}).get("warnings", []):
        context.progress.log(f"  warning: {text}")
    checked_start(context)
    result = DataResult(
        facts=facts,
        test_labels=tuple(dataset.test.labels.tolist()),
        test_set_digest=test_set_digest(dataset),
        held_out_keys=tuple(held_out_keys(dataset)),
    )
    return StageOutput(result=result)


def teacher(context: Context) -> StageOutput:
    """Trains the teacher into teacher.safetensors, and tests it: on the paired images of the test recordings, or, for
    a spiking teacher, on the test recordings."""
    dataset, test = context.dataset, context.dataset.test
    if not len(dataset.static.labels):
        if may_have_images(context.recipe.data):  # else this stage is not printed
            context.progress.log(f"  {NO_IMAGES}")
        return StageOutput(result=TeacherResult(predictions=Missing(NO_IMAGES)))
    own = context.recipe.teacher
    if (other := Path(own.weights).parent if own.weights else run_of(own)) is not None:
        check_leakage(other, dataset)
    origin = checked_start(context) and teacher_origin(context.recipe, dataset.classes)
    trained = train_teacher(
        context.recipe, dataset, context.checkpoints("teacher"), context.progress, context.run.file(METRICS)
    )
    storage.save_teacher(trained, context.run.file("teacher.safetensors"))
    predictions: Predictions | Missing
    if trained.input_kind == "events":
        predictions = Predictions.of(spiking_teacher_classes(trained, test.frames))
    elif test.paired_images is None:
        predictions = Missing("the test recordings have no paired images")
    else:
        logits = teacher_logits(trained, test.paired_images.images, _size(test))
        predictions = Predictions.of(logits.argmax(1).cpu().numpy())
    findings = _reported(context, "teacher", _teacher_findings(context, trained))
    result = TeacherResult(predictions=predictions, findings=findings)
    return StageOutput(result=result, files=("teacher.safetensors",), started_from=str(origin or ""))


def simulator(context: Context) -> StageOutput:
    """Pretrains the student on events of the simulated camera, into simulator.safetensors."""
    recipe = context.recipe_of(context.recipe.distillation.method)
    if "simulator" not in needed_stages(context):
        return not_needed(context)
    if recipe.synthesis.simulator_weights:
        check_leakage(Path(recipe.synthesis.simulator_weights).parent, context.dataset)
        trained = _student_from(Path(recipe.synthesis.simulator_weights), recipe, context)
    else:
        checked_start(context)
        trained = pretrain_student(
            recipe,
            context.dataset,
            load_teacher(context),
            with_cached_views(context, Simulator(recipe.data.steps, recipe.data.step_us)),
            context.checkpoints("simulator"),
            context.progress,
            context.run.file(METRICS),
            stage="simulator",
        )
    storage.save_student(trained, context.run.file(SIMULATOR))
    return StageOutput(result=_tested(trained, context, "simulator"), files=(SIMULATOR,))


def pretrain(context: Context) -> StageOutput:
    """Pretrains the student on synthetic events, into pretrain.safetensors."""
    recipe = context.recipe_of(context.recipe.distillation.method)
    if "pretrain" not in needed_stages(context):
        return not_needed(context)
    checked_start(context)
    synthesizer = synthesizer_of(context)
    assert synthesizer is not None  # only methods with a synthesizer have this stage
    trained = pretrain_student(
        recipe,
        context.dataset,
        load_teacher(context),
        synthesizer,
        context.checkpoints("pretrain"),
        context.progress,
        context.run.file(METRICS),
        student=_pretrained(context, recipe, SIMULATOR),
    )
    storage.save_student(trained, context.run.file(PRETRAIN))
    return StageOutput(result=_tested(trained, context, "pretrain"), files=(PRETRAIN,))


def student(context: Context, method: str) -> StageOutput:
    """Trains the float student with `method`, and predicts the classes of the test recordings."""
    if same_as_own(context, method):
        return copied(context, "student", method)
    recipe, losses, name = (
        context.recipe_of(method),
        context.losses_of(method),
        context.weights_file("student", method),
    )
    own = method == context.recipe.distillation.method
    started = checked_start(context)
    trained = trained_in_choice(context, method) or train_student(
        recipe,
        context.dataset,
        load_teacher(context),
        losses,
        context.checkpoints(f"student-{method}"),
        context.progress,
        context.run.file(METRICS),
        synthesizer=synthesizer_of(context) if own else None,
        pretrained=_pretrained(context, recipe, PRETRAIN, SIMULATOR) if own else None,
        stage=f"student-{method}",
    )
    storage.save_student(trained, context.run.file(name))
    gap = gap_of(context, trained) if own else ()
    with_teacher = own and uses_teacher(method_spec(recipe.distillation, losses))
    result = _tested(trained, context, f"student-{method}", with_teacher=with_teacher, gap=gap)
    return StageOutput(result=result, files=(name,), started_from=started)


def quantized(context: Context, method: str) -> StageOutput:
    """Folds the batch norms of the float student of `method` and fine-tunes it in Loihi arithmetic."""
    if same_as_own(context, method):
        return copied(context, "quantized", method)
    name = context.weights_file("quantized", method)
    recipe, own = context.recipe_of(method), method == context.recipe.distillation.method
    same = recipe.quantization.method == "same" or recipe.data.without_recordings  # images only
    tuned = qat_finetune(
        recipe,
        context.dataset,
        load_student(context, method, "float"),
        context.checkpoints(f"quantized-{method}"),
        context.progress,
        context.run.file(METRICS),
        stage=f"quantized-{method}",
        method=context.losses_of(method) if same else None,
        teacher=load_teacher(context),
        synthesizer=synthesizer_of(context) if own else None,
    )
    storage.save_student(tuned, context.run.file(name))
    before = StudentResult.from_json(context.run.result(f"student-{method}")).findings
    result = _tested(tuned, context, f"quantized-{method}", before=before)
    return StageOutput(result=result, files=(name,))


def _pretrained(context: Context, recipe: Recipe, *files: str) -> Student | None:
    """The student of the first of `files` that a pretraining stage of this run writes; None where there is none."""
    stages = {SIMULATOR: "simulator", PRETRAIN: "pretrain"}
    found = [name for name in files if stages[name] in pretraining_stages(recipe)]
    return _student_from(context.run.file(found[0]), recipe, context) if found else None


def _student_from(file: Path, recipe: Recipe, context: Context) -> Student:
    if not file.is_file():
        raise UserError("no such weights file", where=str(file), hint="correct synthesis.simulator_weights")
    dataset = context.dataset
    return storage.load_student(recipe, dataset.test.frames.shape[2:], len(dataset.classes), file)


def load_teacher(context: Context) -> Teacher | None:
    """The run's teacher, on the CPU, in eval mode; None where the data set has no images to train one."""
    dataset = context.dataset
    if not len(dataset.static.labels):
        return None
    height, width = dataset.test.frames.shape[3:]
    return storage.load_teacher(
        context.recipe, (3, height, width), len(dataset.classes), context.run.file("teacher.safetensors")
    )


def load_student(context: Context, method: str, stage: storage.Stage) -> Student:
    """The student of `method`, in eval mode. Raises UserError where it is not trained yet."""
    file = context.run.file(context.weights_file("student" if stage == "float" else "quantized", method))
    if not file.is_file():
        raise UserError("is not trained yet", where=str(file), hint="finish the run with spikeport run --resume")
    dataset, recipe = context.dataset, context.recipe_of(method)
    return storage.load_student(recipe, dataset.test.frames.shape[2:], len(dataset.classes), file, stage=stage)


def _tested(
    network: Student,
    context: Context,
    stage: str,
    *,
    with_teacher: bool = False,
    before: Sequence[health.Finding] | None = None,
    gap: tuple[LayerGap, ...] = (),
) -> StudentResult:
    """Classifies the test recordings and looks for faults of the network.

    Args:
        network: the student.
        context: the run.
        stage: name of the stage that trained it.
        with_teacher: whether it was trained with the run's teacher.
        before: findings of the float student, for a quantized student.
        gap: how far synthetic events are from recordings in its layers.
    """
    test = context.dataset.test
    seen = run_student(network, test.frames)
    predicted = classify(seen.spikes)
    found = [*health.of_rates(stage, seen.rates), *health.of_answers(stage, predicted, test.labels)]
    predictions = Predictions.of(predicted)
    teacher = TeacherResult.from_json(context.run.result("teacher")).predictions if with_teacher else Missing("")
    if isinstance(teacher, Predictions):
        correct = (each.correctness(test.labels).correct for each in (teacher, predictions))
        found += health.of_teacher_against(stage, *correct)
    found += health.of_gap(stage, gap)
    found = found if before is None else health.after_tuning(found, [finding.to_json() for finding in before])
    return StudentResult(predictions=predictions, findings=_reported(context, stage, found), gap=gap)


def _reported(context: Context, stage: str, found: list[health.Finding]) -> tuple[health.Finding, ...]:
    """Adds the findings of the last epoch to `found`, and prints each finding once."""
    row = last_row(context.run.file(METRICS), stage)
    found = [*(health.of_gradient(stage, row.learning()) if row else ()), *found]
    for finding in found:
        context.progress.log_once(health.line(finding), key=(finding.kind, stage))
    return tuple(found)


def _teacher_findings(context: Context, trained: Teacher) -> list[health.Finding]:
    """Findings of the teacher on validation images, or on validation recordings for a spiking teacher."""
    dataset = context.dataset
    if trained.input_kind == "events":
        held = dataset.validation
        return health.of_teacher(spiking_teacher_classes(trained, held.frames), held.labels, dataset.classes)
    _, images = teacher_images(dataset, context.recipe.seed)
    logits = teacher_logits(trained, images.images, _size(dataset.test))
    return health.of_teacher(logits.argmax(1).cpu().numpy(), images.labels, dataset.classes)


def _size(part: EventSplit) -> tuple[int, int]:
    height, width = part.frames.shape[3:]
    return int(height), int(width)

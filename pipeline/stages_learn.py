"""The stages that learn: data, teacher, student, quantised student. They read and write weights in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.answers import told
from export.readout import classify
from hardware_profiles.errors import UserError
from pipeline.bridge.bridges import load_bridge
from pipeline.bridge.camera import Camera
from pipeline.bridge.shown import Bridge, KeptViews
from pipeline.checkpoints import save_weights
from pipeline.data.describe import describe
from pipeline.data.windows import check_window
from pipeline.distillation import presets
from pipeline.lineage import HELD_OUT, TESTED_ON, check_lineage, held_out, which_tested
from pipeline.networks import storage
from pipeline.networks.spiking_teacher import run_of
from pipeline.networks.students import Student, predict_spikes
from pipeline.networks.teacher import Teacher
from pipeline.quantisation import fine_tune
from pipeline.stages import cache_folder
from pipeline.training import (
    spiking_teacher_classes,
    teacher_logits,
    train_bridge,
    train_start,
    train_student,
    train_teacher,
)

if TYPE_CHECKING:
    from pipeline.stages import Context, Result

NO_IMAGES = "the data set has no static images, so there is no teacher"
METRICS, BRIDGE = "metrics.jsonl", "bridge.safetensors"
CAMERA, START = "camera.safetensors", "start.safetensors"


def data(context: Context) -> Result:
    """The data set's facts, the test recordings' classes and which they are; its frames stay in the cache."""
    dataset = context.dataset
    check_window(dataset)
    facts = describe(dataset)
    for text in (facts["window"] or {}).get("warnings", []):
        context.progress.say(f"  warning: {text}")
    tested = {"test_labels": dataset.test.labels.tolist(), TESTED_ON: which_tested(dataset)}
    return {**facts, **tested, HELD_OUT: held_out(dataset)}, ()


def teacher(context: Context) -> Result:
    """teacher.safetensors, and which test items it recognises: twins of the recordings, or the recordings themselves
    where it is a spiking teacher."""
    dataset, test = context.dataset, context.dataset.test
    if not len(dataset.static.labels):
        return {"predicted": None, "reason": NO_IMAGES}, ()
    own = context.recipe.teacher
    if (other := Path(own.weights).parent if own.weights else run_of(own)) is not None:
        check_lineage(other, dataset)
    trained = train_teacher(
        context.recipe, dataset, context.checkpoints("teacher"), context.progress, context.run.file(METRICS)
    )
    storage.save_teacher(trained, context.run.file("teacher.safetensors"))
    files = ("teacher.safetensors",)
    if trained.sees == "events":
        return told(spiking_teacher_classes(trained, test.frames)), files
    if test.twins is None:
        return {"predicted": None, "reason": "the test recordings have no static twins"}, files
    height, width = test.frames.shape[3:]
    logits = teacher_logits(trained, test.twins.images, (int(height), int(width)))
    return told(logits.argmax(1).cpu().numpy()), files


def bridge(context: Context) -> Result:
    """bridge.safetensors: the translator fitted on the training pairs, and how well it foretells others."""
    trained = train_bridge(
        context.recipe,
        context.dataset,
        context.checkpoints("bridge"),
        context.progress,
        context.run.file(METRICS),
    )
    save_weights(trained, context.run.file(BRIDGE))
    return {"weights": sum(weight.numel() for weight in trained.parameters())}, (BRIDGE,)


def camera(context: Context) -> Result:
    """camera.safetensors: the student after its lessons on images before the simulated camera."""
    recipe = context.recipe
    if recipe.bridge.camera_weights:
        check_lineage(Path(recipe.bridge.camera_weights).parent, context.dataset)
        trained = _student_from(Path(recipe.bridge.camera_weights), context)
    else:
        trained = train_start(
            recipe,
            context.dataset,
            load_teacher(context),
            _shown(context, Camera(recipe.data.steps, recipe.data.step_us)),
            context.checkpoints("camera"),
            context.progress,
            context.run.file(METRICS),
            stage="camera",
        )
    storage.save_student(trained, context.run.file(CAMERA))
    return _tested(trained, context), (CAMERA,)


def start(context: Context) -> Result:
    """start.safetensors: the student after its lessons on images seen over the bridge."""
    bridge = _bridge(context)
    assert bridge is not None  # the stage is there because the method uses one
    trained = train_start(
        context.recipe,
        context.dataset,
        load_teacher(context),
        bridge,
        context.checkpoints("start"),
        context.progress,
        context.run.file(METRICS),
        student=_latest(context, CAMERA),
    )
    storage.save_student(trained, context.run.file(START))
    return _tested(trained, context), (START,)


def student(context: Context, method: str) -> Result:
    """The float student that `method` trained, and its classes for the test recordings."""
    name = weights_file("student", method, context)
    own = method == context.recipe.distillation.method
    trained = train_student(
        context.recipe,
        context.dataset,
        load_teacher(context),
        method,
        context.checkpoints(f"student-{method}"),
        context.progress,
        context.run.file(METRICS),
        bridge=_bridge(context) if own else None,
        start=_latest(context, START, CAMERA) if own else None,
    )
    storage.save_student(trained, context.run.file(name))
    return _tested(trained, context), (name,)


def quantised(context: Context, method: str) -> Result:
    """The same student folded and fine-tuned in Loihi arithmetic."""
    name = weights_file("quantised", method, context)
    recipe, own = context.recipe, method == context.recipe.distillation.method
    same = recipe.quantisation.method == "same" or recipe.data.without_recordings  # then images are all there is
    tuned = fine_tune(
        recipe,
        context.dataset,
        load_student(context, method, "float"),
        context.checkpoints(f"quantised-{method}"),
        context.progress,
        context.run.file(METRICS),
        stage=f"quantised-{method}",
        method=method if same else None,
        teacher=load_teacher(context),
        bridge=_bridge(context) if own else None,
    )
    storage.save_student(tuned, context.run.file(name))
    return _tested(tuned, context), (name,)


def _bridge(context: Context) -> Bridge | KeptViews | None:
    if not presets.uses_bridge(context.recipe.distillation):
        return None
    return _shown(context, load_bridge(context.recipe, context.run.file(BRIDGE)))


def _shown(context: Context, bridge: Bridge) -> Bridge | KeptViews:
    if not context.recipe.bridge.views:
        return bridge
    return KeptViews(bridge, context.dataset.static, context.recipe, cache_folder(), context.progress)


def _latest(context: Context, *files: str) -> Student | None:
    """The student of the first of `files` that a stage of this run has left, or None."""
    lessons = {CAMERA: "camera", START: "start"}
    found = [name for name in files if lessons[name] in presets.lessons(context.recipe)]
    return _student_from(context.run.file(found[0]), context) if found else None


def _student_from(file: Path, context: Context) -> Student:
    if not file.is_file():
        raise UserError("there is no such file of weights", where=str(file), mend="correct bridge.camera_weights")
    dataset = context.dataset
    return storage.load_student(context.recipe, dataset.test.frames.shape[2:], len(dataset.classes), file)


def weights_file(kind: str, method: str, context: Context) -> str:
    """`student.safetensors` for the run's own method, `student-none.safetensors` for the comparison."""
    own = method == context.recipe.distillation.method
    return f"{kind}.safetensors" if own else f"{kind}-{method}.safetensors"


def load_teacher(context: Context) -> Teacher | None:
    """The run's teacher, on the CPU, in eval mode; None where the data set has no images to train one on."""
    dataset = context.dataset
    if not len(dataset.static.labels):
        return None
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
    return told(classify(predict_spikes(network, context.dataset.test.frames)))

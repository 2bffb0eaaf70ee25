"""First weights from another run, `training.init_from`: those of its float student, and of its teacher if that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.pipeline.models.neurons.base import LoihiNeuron
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.build import teacher_network
from spikeport.pipeline.models.teachers.pretrained import NAMED, weight_faults
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder, open_run
from spikeport.pipeline.run.tensor_files import read_weights

WHERE = "training.init_from"
STUDENT, TEACHER = "student.safetensors", "teacher.safetensors"
TEACHER_NETWORK = ("network", "width", "size", "mean", "std")  # keys of [teacher] that its weights belong to


@dataclass(frozen=True)
class Origin:
    """The run that a network starts from.

    Attributes:
        run: the run.
        stage: its stage that wrote the weights.
        file: their file in its folder.
    """

    run: RunFolder
    stage: str
    file: str

    @property
    def path(self) -> Path:
        """The weights file."""
        return self.run.file(self.file)

    @property
    def sha256(self) -> str:
        """Digest of the weights file."""
        return str(self.run.manifest["stages"][self.stage]["files"][self.file])

    def __str__(self) -> str:
        return f"{self.file} of run {self.run.path.resolve().name} (recipe {self.run.recipe.name}, {self.sha256})"


def student_origin(recipe: Recipe) -> Origin | None:
    """The run whose student the student of a recipe starts from; None: it is initialized at random.

    Args:
        recipe: the recipe.

    Raises:
        UserError: there is no such run, its student is not trained, or another setting gives the first weights too.
    """
    if not recipe.training.init_from:
        return None
    for key, given in (
        ("distillation.initialize", recipe.distillation.initialize),
        ("synthesis.simulator_weights", recipe.synthesis.simulator_weights),
    ):
        if given:
            raise UserError(f"{key} gives the student's first weights too", where=WHERE, hint="leave one of them out")
    run = open_run(Path(recipe.training.init_from))
    stage = f"student-{run.recipe.distillation.method}"
    if fault := run.what_is_wrong(stage):
        raise UserError(
            f"the student of this run cannot be started from: its stage {stage} {fault}",
            where=str(run.path),
            hint="finish that run first, or put its file back",
        )
    return Origin(run, stage, STUDENT)


def start_student(student: Student, recipe: Recipe, classes: Sequence[str]) -> None:
    """Gives a new student the weights and batch norm statistics of the run in `training.init_from`, if there is one.

    Thresholds and decays are those of the recipe. A head of another shape, and all heads where the classes are others,
    stay as initialized, with a note.

    Args:
        student: the student.
        recipe: the recipe.
        classes: names of the classes.

    Raises:
        UserError: the student of that run is another network.
    """
    origin = student_origin(recipe)
    if origin is None:
        return
    own, found = student.state_dict(), read_weights(origin.path)
    fresh = _fresh_heads(own, found, origin, classes)
    # Of a head that is left: what is here. Of one that is only there: nothing.
    taken = {key: tensor for key, tensor in found.items() if key in own or not key.startswith("heads.")}
    taken |= {key: tensor for key, tensor in own.items() if _head(key) in fresh}
    faults = weight_faults(own, taken)
    if faults:
        raise UserError(
            f"the student of this run is another network than {recipe.student.network} here",
            where=str(origin.run.path),
            cause=", ".join(faults[:NAMED]) + (f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""),
            hint="give both recipes the same [student]; only the last layer may differ",
        )
    if fresh:
        note(f"{WHERE}: {' and '.join(fresh)} of the student left as initialized: its classes or shape are others")
    settings = _settings_of_neurons(student)
    student.load_state_dict(
        {key: own[key] if key in settings else tensor for key, tensor in taken.items()}, strict=False
    )


def started_student(student: Student, recipe: Recipe, classes: Sequence[str]) -> str:
    """In words, what a student is started from; "" if it is initialized at random.

    Args:
        student: a student of the recipe, before or after its training.
        recipe: the recipe.
        classes: names of the classes.
    """
    origin = student_origin(recipe)
    if origin is None:
        return ""
    fresh = _fresh_heads(student.state_dict(), read_weights(origin.path), origin, classes)
    return f"{origin} without {' and '.join(fresh)}" if fresh else str(origin)


def teacher_origin(recipe: Recipe, classes: Sequence[str]) -> Origin | None:
    """The run whose teacher the teacher of a recipe starts from; None: that of `[teacher]`, with a note that says why.

    Args:
        recipe: the recipe.
        classes: names of the classes.

    Raises:
        UserError: the teacher is not to be trained, and that of the run knows other classes.
    """
    origin, own = student_origin(recipe), recipe.teacher
    if origin is None or not teacher_network(own.network).trained:
        return None
    if own.weights:
        note(f"the teacher starts from teacher.weights, and only the student from {WHERE}")
        return None
    run = origin.run
    if TEACHER not in run.manifest["stages"].get("teacher", {}).get("files", ()):
        note(f"the teacher is initialized: {run.path} has none")
        return None
    other = [key for key in TEACHER_NETWORK if getattr(own, key) != getattr(run.recipe.teacher, key)]
    if other:
        note(f"the teacher is initialized: {', '.join(f'teacher.{key}' for key in other)} differ in {run.path}")
        return None
    if fault := run.what_is_wrong("teacher"):
        raise UserError(
            f"the teacher of this run cannot be started from: {fault}",
            where=str(run.path),
            hint="finish that run first, or put its file back",
        )
    if not own.epochs and run.result("data")["classes"] != list(classes):
        raise UserError(
            "the teacher of this run knows other classes", where=str(run.path), hint="set teacher.epochs to 1 or more"
        )
    return Origin(run, "teacher", TEACHER)


def _fresh_heads(own: dict[str, Tensor], found: dict[str, Tensor], origin: Origin, classes: Sequence[str]) -> list[str]:
    """Heads of a student that are not taken from `found`, in order."""
    other = origin.run.result("data")["classes"] != list(classes)
    differ = {_head(key) for key in own if other or key not in found or found[key].shape != own[key].shape}
    return sorted(differ - {""})


def _head(key: str) -> str:
    """The head that a weight belongs to; "" for others."""
    return ".".join(key.split(".")[:2]) if key.startswith("heads.") else ""


def _settings_of_neurons(student: Student) -> set[str]:
    """Keys of thresholds, decays and scales, which are the recipe's."""
    return {
        f"{name}.{key}"
        for name, layer in student.named_modules()
        if isinstance(layer, LoihiNeuron)
        for key, _ in layer.named_buffers(recurse=False)
    }

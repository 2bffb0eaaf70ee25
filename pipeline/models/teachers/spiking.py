"""A finished run's student as the teacher of the next: it sees events, and says more at every step."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.base import Teacher, TeacherOutput
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe

WEIGHTS = "student.safetensors"
RUN = "run:"  # before a run's folder, in teacher.network


class SpikingTeacher(Teacher):
    """A spiking network that shows frames `[T, B, C, H, W]` as logits `[T, B, K]` (spikes of each output so far), maps
    `[T, B, C', H', W']` and embedding `[T, B, D]`. Its classifier gives the outputs' currents, one step's."""

    input_kind = "events"
    trainable = False

    def __init__(self, student: Student, weights: Path) -> None:
        super().__init__()
        self.student, self.weights = student, weights

    def forward_features(self, images: Tensor) -> TeacherOutput:
        """`images`: frames as the student sees them."""
        output = self.student(images)
        return TeacherOutput(output.logits, output.maps, output.embedding)

    def classifier(self) -> nn.Module:
        return self.student.synapse("event")


def run_of(recipe: TeacherRecipe) -> Path | None:
    """The folder of the run whose student teaches, or None for any other teacher."""
    return Path(recipe.network.removeprefix(RUN)) if recipe.network.startswith(RUN) else None


def spiking_teacher(recipe: TeacherRecipe, input_shape: tuple[int, ...], classes: int) -> SpikingTeacher:
    """The float student of "run:FOLDER", fresh weights. `input_shape`: (C, H, W) of a frame. Raises UserError."""
    folder = run_of(recipe)
    assert folder is not None  # asked for by name
    run = open_run(folder)
    data = run.recipe.data
    if (data.height, data.width) != tuple(input_shape[1:]):
        raise UserError(
            f"its student sees frames of {data.height} x {data.width}, and these are "
            f"{input_shape[1]} x {input_shape[2]}",
            where=str(folder),
            hint="give both recipes the same data.height and data.width",
        )
    if not run.file(WEIGHTS).is_file():
        raise UserError("its student is not trained yet", where=str(folder), hint="finish the run first")
    student = build_student(run.recipe.student, input_shape, classes, shared_head=run.recipe.distillation.shared_head)
    return SpikingTeacher(student, run.file(WEIGHTS))

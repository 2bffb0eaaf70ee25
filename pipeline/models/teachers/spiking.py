"""The student of a finished run as the teacher of another run, which is fed events instead of images."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.base import Teacher, TeacherNetwork, TeacherOutput
from spikeport.pipeline.models.teachers.external import check_brings_weights
from spikeport.pipeline.run.auto_method import trained_recipe
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.values import ImageShape

WEIGHTS = "student.safetensors"
RUN = "run:"  # before a run's folder, in teacher.network
EVENT_CHANNELS = 2  # polarities


class SpikingTeacher(Teacher):
    """A trained student as a teacher on events.

    From frames `[T, B, C, H, W]` it computes logits `[T, B, K]` (spikes of each output so far), maps and stages
    `[T, B, C', H', W']` and embedding `[T, B, D]`. Its classifier maps the embedding of one step to the input currents
    of the outputs.

    Args:
        student: the student.
        weights: its weights file.
    """

    input_kind = "events"
    trainable = False

    def __init__(self, student: Student, weights: Path) -> None:
        super().__init__()
        self.student, self.weights = student, weights

    def forward_features(self, images: Tensor) -> TeacherOutput:
        """Computes logits, maps, embedding and stages of each step.

        Args:
            images: frames `[T, B, C, H, W]`.
        """
        output = self.student(images)
        return TeacherOutput(output.logits, output.maps, output.embedding, output.stages)

    def classifier(self) -> nn.Module:
        return self.student.synapse("event")


def run_of(recipe: TeacherRecipe) -> Path | None:
    """Folder of the run whose student is the teacher, None for any other teacher.

    Args:
        recipe: `[teacher]`.
    """
    return Path(recipe.network.removeprefix(RUN)) if recipe.network.startswith(RUN) else None


class RunStudent(TeacherNetwork):
    """The teacher of "run:FOLDER": the float student of another run, with its weights."""

    summary = "the spiking student of another run, which is fed events; its weights stay"
    trained = False

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> SpikingTeacher:
        folder = run_of(recipe)
        assert folder is not None  # asked for by name
        run = open_run(folder)
        data = run.recipe.data
        if (data.height, data.width) != input_shape[1:]:
            raise UserError(
                f"its student is fed frames of {data.height} x {data.width}, and these are "
                f"{input_shape[1]} x {input_shape[2]}",
                where=str(folder),
                hint="give both recipes the same data.height and data.width",
            )
        if not run.file(WEIGHTS).is_file():
            raise UserError("its student is not trained yet", where=str(folder), hint="finish the run first")
        shape, shared_head = (EVENT_CHANNELS, *input_shape[1:]), trained_recipe(run).distillation.shared_head
        student = build_student(run.recipe.student, shape, classes, shared_head=shared_head)
        return SpikingTeacher(student, run.file(WEIGHTS))

    def image_shape(self, recipe: TeacherRecipe, frame: ImageShape) -> ImageShape:
        return frame

    def check(self, recipe: TeacherRecipe, input_shape: ImageShape | None) -> None:
        check_brings_weights(recipe)

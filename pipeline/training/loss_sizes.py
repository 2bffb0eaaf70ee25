"""Sizes of data and networks that losses are built for."""

from __future__ import annotations

from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.distillation.initialize import layer_pairs
from spikeport.pipeline.distillation.losses.base import Sizes
from spikeport.pipeline.models.sizes import student_sizes, teacher_sizes
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe


def loss_sizes(recipe: Recipe, dataset: Dataset, student: Student, teacher: Teacher | None) -> Sizes:
    """Sizes of data and networks, as losses are built for them.

    Args:
        recipe: the recipe.
        dataset: the data set.
        student: the student.
        teacher: the teacher; None if there is none.
    """
    steps, *shape = dataset.test.frames.shape[1:]
    student_size, teacher_size = student_sizes(student, tuple(shape)), None
    if teacher is not None:
        teacher_size = teacher_sizes(teacher, (3 if teacher.input_kind == "images" else shape[0], shape[1], shape[2]))
    return Sizes(
        steps=steps,
        classes=len(dataset.classes),
        v_threshold=recipe.student.v_threshold,
        student_map=student_size.maps,
        student_embedding=student_size.embedding,
        teacher_map=teacher_size.maps if teacher_size else None,
        teacher_embedding=teacher_size.embedding if teacher_size else None,
        student_stages=student_size.stages,
        teacher_stages=teacher_size.stages if teacher_size else None,
        teacher_weight_pairs=len(layer_pairs(student, teacher)) or None if teacher is not None else None,
        teacher_tail=True if teacher is not None and teacher.tail is not None else None,
    )

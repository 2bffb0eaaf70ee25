"""The tables of teachers, and building one by name: a CNN, a torch module, an ONNX file, another run's student."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.errors import UserError
from spikeport.pipeline.models.teachers.base import WHERE, Teacher, TeacherNetwork
from spikeport.pipeline.models.teachers.cnn import ResNet, SmallCnn, Vgg11
from spikeport.pipeline.models.teachers.external import OnnxFile, TorchFactory, check_exists
from spikeport.pipeline.models.teachers.pretrained import load_pretrained
from spikeport.pipeline.models.teachers.spiking import RunStudent, SpikingTeacher
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.values import ImageShape

TEACHERS: dict[str, TeacherNetwork] = {
    "cnn-small": SmallCnn(),
    "vgg11": Vgg11(),
    "resnet18": ResNet("resnet18", "four stages of two residual blocks"),
    "resnet19": ResNet("resnet19", "three wide stages of residual blocks, two dense layers"),
    "resnet20": ResNet("resnet20", "three narrow stages of three residual blocks"),
}

# Names of these forms. A name with another word before the colon is a factory.
EXTERNAL_TEACHERS: dict[str, TeacherNetwork] = {
    "onnx:FILE": OnnxFile(),
    "run:FOLDER": RunStudent(),
    "package.module:factory": TorchFactory(),
}


@dataclass(frozen=True)
class TeacherRow:
    """A line of the tables of teachers, for a listing.

    Attributes:
        name: for `teacher.network`.
        summary: what the network is.
        trained: whether it is trained here.
    """

    name: str
    summary: str
    trained: bool


def teacher_network(name: str) -> TeacherNetwork:
    """The network of `teacher.network`.

    Args:
        name: a key of `TEACHERS` or `EXTERNAL_TEACHERS`, or a name with the prefix of an external teacher.

    Raises:
        UserError: the name is unknown.
    """
    if name in TEACHERS:
        return TEACHERS[name]
    word, colon, _ = name.partition(":")
    if not colon:
        choices = ", ".join([*TEACHERS, *EXTERNAL_TEACHERS])
        raise UserError(f"{name!r} is not a teacher network", where=WHERE, hint=f"use one of {choices}")
    forms = {form.partition(":")[0]: network for form, network in EXTERNAL_TEACHERS.items()}
    return forms.get(word, EXTERNAL_TEACHERS["package.module:factory"])


def build_teacher(
    recipe: TeacherRecipe, input_shape: ImageShape, classes: int, *, with_weights: bool = True
) -> Teacher:
    """The teacher that `recipe.network` names, with fresh weights from torch's global generator or `recipe.weights`.

    Args:
        recipe: `[teacher]`.
        input_shape: `(3, H, W)` with height and width of the frames.
        classes: number of classes.
        with_weights: False reads no weight file, because others are loaded next.

    Raises:
        UserError: the name is unknown, the images or weights do not fit.
    """
    network = teacher_network(recipe.network)
    teacher = network.build(recipe, network.image_shape(recipe, input_shape), classes)
    if not with_weights:
        return teacher
    if isinstance(teacher, SpikingTeacher):
        load_pretrained(teacher.student, teacher.weights)
    elif recipe.weights and network.trained:
        load_pretrained(teacher, recipe.weights, prefixes=teacher.prefixes, fresh_head=recipe.epochs > 0)
    return teacher


def check_teacher(recipe: TeacherRecipe, frame: tuple[int, int] | None = None) -> None:
    """Checks a teacher before training starts.

    Args:
        recipe: `[teacher]`.
        frame: height and width of the frames, None if they are not known yet.

    Raises:
        UserError: the name is unknown, a file is missing, epochs are given to a teacher that is not trained, or the
            network does not fit the images.
    """
    network = teacher_network(recipe.network)
    if recipe.weights and network.trained:
        check_exists(recipe.weights)
    network.check(recipe, None if frame is None else network.image_shape(recipe, (3, *frame)))


def list_teachers() -> list[TeacherRow]:
    """The tables as rows."""
    both = {**TEACHERS, **EXTERNAL_TEACHERS}
    return [TeacherRow(name, network.summary, network.trained) for name, network in both.items()]

"""The table of students, and building one by name."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.errors import UserError
from spikeport.factory import is_factory
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.conv import Conv, VggSnn
from spikeport.pipeline.models.students.dense import ConvMlp, Mlp
from spikeport.pipeline.models.students.external import ExternalStudent
from spikeport.pipeline.models.students.network import WHERE, StudentNetwork
from spikeport.pipeline.models.students.residual import SpikingResNet
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape

STUDENTS: dict[str, StudentNetwork] = {
    "conv": Conv(),
    "vgg-snn": VggSnn(),
    "mlp": Mlp(),
    "conv-mlp": ConvMlp(),
    "resnet18-snn": SpikingResNet("resnet18", "four stages of two residual blocks"),
    "resnet19-snn": SpikingResNet("resnet19", "three stages of residual blocks, two dense layers"),
    "resnet20-snn": SpikingResNet("resnet20", "three narrow stages of three residual blocks"),
}


@dataclass(frozen=True)
class StudentRow:
    """A line of the table of students, for a listing.

    Attributes:
        name: for `student.network`.
        summary: what the network is.
        options: fields of `[student]` that it reads.
        why_not_netx: why it cannot go to the chip, empty if it can.
    """

    name: str
    summary: str
    options: tuple[str, ...]
    why_not_netx: str


def student_network(name: str) -> StudentNetwork:
    """The network of `student.network`.

    Args:
        name: a key of `STUDENTS`, or "package.module:factory".

    Raises:
        UserError: the name is unknown.
    """
    if name in STUDENTS:
        return STUDENTS[name]
    if is_factory(name):
        return ExternalStudent(name)
    choices = ", ".join([*STUDENTS, "package.module:factory"])
    raise UserError(f"{name!r} is not a student network", where=WHERE, hint=f"use one of {choices}")


def build_student(
    recipe: StudentRecipe,
    input_shape: Shape,
    classes: int,
    *,
    shared_head: bool = False,
    norm: bool = True,
) -> Student:
    """The student that `recipe.network` names, with fresh weights from torch's global generator.

    Args:
        recipe: `[student]`.
        input_shape: `(C, H, W)`, or `(N,)`, of a frame.
        classes: number of outputs.
        shared_head: whether events and static images use one head.
        norm: False builds it as it is after batch norm was folded.

    Raises:
        UserError: the name is unknown, or the network cannot have these frames or neurons.
    """
    network = student_network(recipe.network)
    network.check_neuron(recipe)
    network.check_norm(recipe)
    return network.build(recipe, input_shape, classes, shared_head=shared_head, norm=norm)


def check_student(recipe: StudentRecipe, input_shape: Shape, *, for_netx: bool) -> bool:
    """Checks a student before training starts.

    Args:
        recipe: `[student]`.
        input_shape: `(C, H, W)`, or `(N,)`, of a frame.
        for_netx: whether it must be able to go to the chip.

    Returns:
        Whether it can go to the chip.

    Raises:
        UserError: the name is unknown, the frames do not fit, it needs too much memory, or it cannot go to the chip.
    """
    network = student_network(recipe.network)
    network.check_neuron(recipe)
    network.check_norm(recipe)
    key, why = network.why_not_netx(recipe)
    if for_netx and why:
        deployable = ", ".join(name for name, other in STUDENTS.items() if other.for_netx)
        raise UserError(
            f"a {recipe.network} is not for netx" if key == WHERE else f"{key} = {recipe.norm_steps} is not for netx",
            where=key,
            cause=why,
            hint="train it in float with spikeport train, or "
            + (f"use one of {deployable}" if key == WHERE else f"set {key} = 0"),
        )
    network.check(recipe, input_shape, for_netx=for_netx)
    return not why


def list_students() -> list[StudentRow]:
    """The table as rows."""
    return [
        StudentRow(name, network.summary, network.options, network.not_for_netx) for name, network in STUDENTS.items()
    ]

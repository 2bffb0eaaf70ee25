"""What the table of students consists of: networks that are built from a recipe.

How to add a student: write a module in this folder with a subclass of `StudentNetwork`, and add one line to `STUDENTS`
in `pipeline.models.students.build`. `build` returns a `Student`: named layers (Conv2d, Linear, batch norm, AvgPool2d,
Flatten) with `make_neurons` behind every convolution and dense layer, and `with_heads` at the end. Settings that
`[student]` of the recipe does not have yet go into `pipeline.run.recipe`.

A student from outside the package needs no line: `student.network = "package.module:factory"` names a function of
(input_shape, classes) that returns an `nn.Sequential` in snnTorch's style, see `pipeline.models.students.external`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.models.neurons.base import Place
from spikeport.pipeline.models.neurons.table import LEAKY, make_neurons, needs_bias, neuron_model
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.weight_memory import check_weights_fit
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import ImageShape, Shape

WHERE = "student.network"
PROBE_CLASSES = 2  # of a network that is built to see whether it can be


class StudentNetwork(ABC):
    """An entry of `STUDENTS`.

    Attributes:
        summary: one line for the table of students.
        options: fields of `[student]` that it reads, besides those of its neurons.
        not_for_netx: why the chip's file format cannot hold it, empty if it can.
    """

    summary: str
    options: tuple[str, ...]
    not_for_netx: str = ""

    @property
    def for_netx(self) -> bool:
        """Whether it can go to the chip."""
        return not self.not_for_netx

    @abstractmethod
    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        """The kinds of layers whose neurons `student.neuron` chooses; empty if all neurons are leaky.

        Args:
            recipe: `[student]`.
        """

    @abstractmethod
    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        """The student with fresh weights from torch's global generator.

        Args:
            recipe: `[student]`.
            input_shape: `(C, H, W)`, or `(N,)`, of a frame.
            classes: number of outputs.
            shared_head: whether events and static images use one head.
            norm: False builds it as it is after batch norm was folded.

        Raises:
            UserError: the frames do not fit the network.
        """

    def check(self, recipe: StudentRecipe, input_shape: Shape, *, for_netx: bool) -> None:
        """Checks a recipe without allocating weights.

        Args:
            recipe: `[student]`.
            input_shape: `(C, H, W)`, or `(N,)`, of a frame.
            for_netx: whether the student will be exported.

        Raises:
            UserError: the student cannot be built, does not fit this machine's memory, or cannot be exported.
        """
        with torch.device("meta"):
            student = self.build(recipe, input_shape, PROBE_CLASSES, shared_head=True)
        check_weights_fit(student, "student", "lower student.channels, layers, hidden, kernel or width")

    def why_not_netx(self, recipe: StudentRecipe) -> tuple[str, str]:
        """The key of the recipe that keeps the student from the chip, and why; both empty if nothing does.

        Args:
            recipe: `[student]`.
        """
        if recipe.norm_steps > 1:
            return "student.norm_steps", "weights on the chip do not change from step to step, as the gains of BNTT do"
        return (WHERE, self.not_for_netx) if self.not_for_netx else ("", "")

    def check_norm(self, recipe: StudentRecipe) -> None:
        """Checks `student.norm_steps`.

        Args:
            recipe: `[student]`.

        Raises:
            UserError: the network cannot have a norm of each step.
        """
        if recipe.norm_steps and "norm_steps" not in self.options:
            raise UserError(
                f"a {recipe.network} has no batch norm through time",
                where="student.norm_steps",
                cause="residual blocks need the shift of a norm, which BNTT lacks, and own students bring their norms",
                hint="set it to 0, or use student.network = conv, vgg-snn, mlp or conv-mlp",
            )

    def check_neuron(self, recipe: StudentRecipe) -> None:
        """Checks `student.neuron`.

        Args:
            recipe: `[student]`.

        Raises:
            UserError: the model is unknown, or the network has no layer of such neurons.
        """
        model = neuron_model(recipe.neuron)
        if model is not LEAKY and not model.places & self.places(recipe):
            raise UserError(
                f"a {recipe.network} has no layers of {recipe.neuron} neurons",
                where="student.neuron",
                cause=f"they are for {', '.join(sorted(model.places))} layers of chains",
                hint='set student.neuron = "leaky", or use another student.network, such as conv-mlp',
            )


def plane_of(input_shape: Shape) -> ImageShape:
    """Channels, height and width of a frame.

    Args:
        input_shape: shape of a frame.

    Raises:
        UserError: it is one-dimensional.
    """
    if len(input_shape) != 3:
        raise UserError(
            f"a one-dimensional input of {input_shape[0]} channels has no height and width for convolutions",
            where=WHERE,
            hint='set student.network = "mlp"; its dense layers may be recurrent (student.neuron = "recurrent")',
        )
    channels, height, width = input_shape
    return channels, height, width


def with_heads(
    layers: dict[str, nn.Module], width: int, classes: int, recipe: StudentRecipe, *, shared: bool
) -> Student:
    """A student of these layers and its heads.

    Args:
        layers: the backbone in order, by name.
        width: number of inputs of a head.
        classes: number of outputs.
        recipe: `[student]`.
        shared: whether events and static images use one head.
    """
    streams = ("event",) if shared else ("event", "static")
    heads = {name: nn.Linear(width, classes, bias=needs_bias(recipe, "output")) for name in streams}
    return Student(nn.ModuleDict(layers), nn.ModuleDict(heads), make_neurons(recipe, classes, "output"))

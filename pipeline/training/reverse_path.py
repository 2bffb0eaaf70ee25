"""The reverse path of distillation: a copy of the teacher that learns from the student, in turns with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import StepInputs
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import uses_teacher
from spikeport.pipeline.distillation.streams import Clip
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.build import teacher_network
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe

WHERE = "distillation.reverse_lr"
TAU = 2.0  # temperature of the student's logits


def check_reverse_path(recipe: Recipe, spec: MethodSpec) -> None:
    """Checks that the teacher of a recipe can learn from the student, if it is to.

    Args:
        recipe: the recipe.
        spec: losses of its method.

    Raises:
        UserError: there is no teacher, it is not trained here, or batches are computed in parts.
    """
    if not recipe.distillation.reverse_lr:
        return
    if not uses_teacher(spec):
        raise UserError(
            f"{recipe.distillation.method} has no teacher that could learn", where=WHERE, hint="set it to 0"
        )
    if not teacher_network(recipe.teacher.network).trained:
        raise _not_trained(recipe.teacher.network)
    if recipe.training.accumulate * distributed.world_size(recipe.training) > 1:
        raise UserError(
            "the teacher takes a step for each whole batch, and these are computed in parts",
            where=WHERE,
            hint="set training.accumulate, training.devices and training.nodes to 1",
        )


class ReversePath:
    """A copy of a teacher that takes a step of gradient descent after each step of the student.

    The loss of the step is CE(teacher, labels) + tau^2 KL(student || teacher) with tau 2, on the images of each stream
    that the teacher was asked about, and the student's mean logits over time. Batch norm keeps its statistics.

    Args:
        teacher: the teacher, which is not changed.
        lr: learning rate.

    Raises:
        UserError: it cannot be trained.

    Attributes:
        teacher: the copy, in eval mode.
    """

    def __init__(self, teacher: Teacher, lr: float) -> None:
        if not teacher.trainable:
            raise _not_trained(f"this {type(teacher).__name__}")
        self.teacher = copy.deepcopy(teacher).requires_grad_().eval()
        self._optimizer = torch.optim.SGD(self.teacher.parameters(), lr=lr)  # without momentum it has no state
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def see(self, clips: Mapping[str, Clip], step: StepInputs) -> None:
        """Keeps what the next step learns from.

        Args:
            clips: the clips of a batch.
            step: what student and teacher gave for them.
        """
        self._seen = []
        for name, stream in step.streams.items():
            images = clips[name].images
            if stream.teacher is not None and images is not None:
                self._seen.append((images, stream.labels, stream.logits.detach().float().mean(0)))

    def learn(self) -> Tensor:
        """Takes the step.

        Returns:
            The loss before it, the mean over streams; 0 where the teacher was not asked.
        """
        if not self._seen:
            return torch.zeros(())
        with torch.enable_grad():
            losses = []
            for images, labels, student in self._seen:
                logits = self.teacher(images)
                kd = logit_kd(logits, student, tau=TAU, mode="mean")  # KL(second || first)
                losses.append(nn.functional.cross_entropy(logits, labels) + kd)
            loss = torch.stack(losses).mean()
            self._optimizer.zero_grad()
            loss.backward()
        self._optimizer.step()
        self._seen = []
        return loss.detach().cpu()

    def to_tree(self) -> dict[str, Tensor]:
        """The weights for a checkpoint."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.teacher.state_dict().items()}

    def load_tree(self, tree: Mapping[str, Tensor]) -> None:
        """Restores the weights that `to_tree` returned.

        Args:
            tree: the weights.
        """
        self.teacher.load_state_dict(dict(tree))


def _not_trained(what: str) -> UserError:
    return UserError(
        f"{what} cannot learn from the student",
        where=WHERE,
        hint="use a named teacher network or a factory, or set it to 0",
    )

"""Self-distillation over depth: the student's final output guides a weak classifier on one of its stages (TSSD).

A reconstruction: the idea is published, the form of the classifier was not recovered.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    Labels,
    Sizes,
    StudentLogits,
    StudentStages,
)
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd


class StageSelfKd(DistillationLoss):
    """c CE(w, y) + tau^2 KL(softmax(z / tau) || softmax(w / tau)), averaged over the batch.

    w is a dense layer, trained along, on the firing rate of each channel of a stage; z are the student's logits of the
    last step, which get no gradient. So the stage and the layers before it are trained, and nothing behind it.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        label_weight: c, weight of the cross entropy of the weak classifier.
        stage: number of the stage, the first is 0; None: the one in the middle, the earlier of two.

    Raises:
        UserError: the student has no maps, or no such stage.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 3.0,
        label_weight: Annotated[float, Field(ge=0)] = 1.0,
        stage: Annotated[int, Field(ge=0)] | None = None,
    ) -> None:
        super().__init__(sizes)
        self.tau, self.label_weight = tau, label_weight
        stages = sizes.student_stages
        if stages is None:
            raise UserError(
                "the loss 'stage_self_kd' reads a stage of the student, and this student has no maps",
                where=WHERE,
                hint="use a student with convolutions, or remove the loss",
            )
        self.stage = (len(stages) - 1) // 2 if stage is None else stage
        if self.stage >= len(stages):
            raise UserError(
                f"the loss 'stage_self_kd' reads stage {stage}, and the student has {len(stages)}",
                where=WHERE,
                hint=f"set its stage to a number from 0 to {len(stages) - 1}, or leave it out",
            )
        self.classifier = nn.Linear(stages[self.stage][0], sizes.classes)

    def forward(self, stages: StudentStages, logits: StudentLogits, labels: Labels) -> Tensor:
        weak = self.classifier(stages[self.stage].float().mean((0, 3, 4)))
        entropy = functional.cross_entropy(weak, labels)
        return self.label_weight * entropy + logit_kd(weak, logits[-1], tau=self.tau)

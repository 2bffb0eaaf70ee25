"""What a mixed clip is made of, as an auxiliary task: which frames are events, and which share of them.

Reconstructions of TMKT's two objectives (arXiv 2509.12959, 2511.12150): the source of every frame, and the mix ratio of
the whole sequence. Their formulas were not recovered.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    ReplacedFrames,
    Sizes,
    StudentEmbedding,
)
from spikeport.pipeline.distillation.losses.precision import at_least_float32


class _MixedFrames(DistillationLoss):
    """A linear head on the embedding, trained along and dropped afterwards.

    Args:
        sizes: sizes of data and networks.

    Raises:
        UserError: the student has no embedding.
    """

    streams = ("hybrid",)

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        if sizes.student_embedding is None:
            raise UserError(
                "the source of frames is predicted from the student's embedding, and it has none",
                where=WHERE,
                hint="use another student network, or remove the loss",
            )
        self.head = nn.Linear(sizes.student_embedding, 1)

    def scores(self, embedding: Tensor) -> Tensor:
        """The head's output without its last axis.

        Args:
            embedding: `[..., D]`.

        Returns:
            `[...]`.
        """
        wide = at_least_float32(embedding)
        return functional.linear(wide, self.head.weight.to(wide), self.head.bias.to(wide)).squeeze(-1)


class FrameSource(_MixedFrames):
    """Binary cross entropy of the source of each frame, image or events, averaged over steps and samples.

    L = mean_tb BCE(sigmoid(w e_tb + c), m_tb), with the embedding e at step t and m = 1 where the frame is events.

    Args:
        sizes: sizes of data and networks.
    """

    def forward(self, embedding: StudentEmbedding, replaced: ReplacedFrames) -> Tensor:
        scores = self.scores(embedding)
        return functional.binary_cross_entropy_with_logits(scores, replaced.to(scores))


class MixRatio(_MixedFrames):
    """Squared error of the share of frames that are events, predicted from the embedding's mean over time.

    L = mean_b (sigmoid(w mean_t e_tb + c) - mean_t m_tb)^2, with m = 1 where the frame is events.

    Args:
        sizes: sizes of data and networks.
    """

    def forward(self, embedding: StudentEmbedding, replaced: ReplacedFrames) -> Tensor:
        found = self.scores(embedding.mean(0)).sigmoid()
        return (found - replaced.to(found).mean(0)).square().mean()

"""The training of an adaptation: the source runs in float beside the adapted network, on moved frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.adaptation.objective import AdaptationLoss, scores
from spikeport.pipeline.adaptation.student import AdaptedNetwork
from spikeport.pipeline.data.augmentation.augment import augment
from spikeport.pipeline.run.sections.training import Augmentation
from spikeport.pipeline.training.task import TRAINING_AGREEMENT, TrainingTask

STAGE = "adaptation"


class AdaptationTask(TrainingTask):
    """Trains the adapted network towards the source. The weights of the last epoch are kept.

    Args:
        network: the network that is trained.
        source: the source.
        frames: `[N, T, *input_shape]`, read by rows.
        loss: the loss.
        augmentation: how frames are moved in each batch; they need no labels, since the source answers them too.
        batch: frames of a batch.
        epochs: number of epochs.
        lr: learning rate.
        seed: seed of all random numbers.
        ema_decay: decay of the moving average of the weights, which is the result; 0: the last weights are.
        identity: what a checkpoint is tied to.
    """

    model: AdaptedNetwork

    def __init__(
        self,
        network: AdaptedNetwork,
        source: ModuleNetwork,
        frames: Any,
        loss: AdaptationLoss,
        *,
        augmentation: Augmentation,
        batch: int,
        epochs: int,
        lr: float,
        seed: int,
        ema_decay: float,
        identity: Mapping[str, object],
    ) -> None:
        super().__init__(
            network,
            stage=STAGE,
            samples=len(frames),
            batch=batch,
            epochs=epochs,
            lr=lr,
            weight_decay=0.0,
            warmup_epochs=1 if epochs > 1 else 0,
            seed=seed,
            identity=identity,
            ema_decay=ema_decay,
        )
        self.frames, self.objective, self.augmentation = frames, loss, augmentation
        self._source = (source.eval(),)  # in a tuple, so that Lightning neither trains nor saves it

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TrainingTask.loss`."""
        frames = batch_of(self.frames, rows.numpy(), self.device)
        if frames.ndim == 5:
            frames = augment(frames, self.augmentation, self.generator("augmentation", self.current_epoch, index))
        source = self._source[0].to(self.device)
        with torch.no_grad():
            expected = source(frames)
        found = self.model(frames)
        parts = self.objective(expected, found)
        same = scores(expected.output).argmax(-1) == scores(found.output.detach()).argmax(-1)
        values = {name: part.detach() for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum(), {**values, TRAINING_AGREEMENT: same.float().mean()}

    def score(self, model: torch.nn.Module) -> float | None:
        """None: no frames are kept aside to choose an epoch, so that the last one is kept."""
        return None


def batch_of(frames: Any, rows: np.ndarray | slice, device: torch.device | str = "cpu") -> Tensor:
    """Frames as a batch, float32 `[T, B, *input_shape]`.

    Args:
        frames: `[N, T, *input_shape]`.
        rows: which samples.
        device: where the batch is.
    """
    return torch.from_numpy(np.asarray(frames[rows])).to(device).transpose(0, 1).float()

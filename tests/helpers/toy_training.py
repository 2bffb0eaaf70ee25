"""A least squares training that ten lines of NumPy reproduce step by step."""

from __future__ import annotations

import math

import numpy as np
import torch

from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.task import TrainingTask

SAMPLES, INPUTS, BATCH, LR, DECAY, WARMUP = 23, 3, 8, 0.05, 0.1, 1
X = np.random.default_rng(3).normal(size=(SAMPLES, INPUTS))
Y = X @ [1.0, -2.0, 0.5] + 0.3


class LeastSquares(TrainingTask):
    """Maps rows of X to Y; validation scores come from a list (None without one)."""

    def __init__(self, epochs: int = 3, scores: list[float] | None = None, ema_decay: float = 0.0) -> None:
        model = torch.nn.Linear(INPUTS, 1, bias=False)
        torch.nn.init.constant_(model.weight, 0.2)
        super().__init__(
            model, stage="toy", samples=SAMPLES, batch=BATCH, epochs=epochs, lr=LR, weight_decay=DECAY,
            warmup_epochs=WARMUP, seed=1, identity={}, ema_decay=ema_decay,
        )  # fmt: skip
        self.script = scores
        self.inputs, self.targets = torch.from_numpy(X).float(), torch.from_numpy(Y).float()

    def loss(self, rows, index):
        return (self.model(self.inputs[rows])[:, 0] - self.targets[rows]).square().mean(), {}

    def score(self, model):
        return self.script[self.current_epoch] if self.script else None


def by_hand(settings, epochs: int = 3, plans: list[int] | None = None) -> np.ndarray:
    """The final weights in plain NumPy: whole batches, one step each.

    With `plans` the training was planned with that many epochs, then continued with the next larger number, and so on.
    """
    plans = plans or [epochs]
    weights, momentum, square = np.full(INPUTS, 0.2), np.zeros(INPUTS), np.zeros(INPUTS)
    batches, step = round(SAMPLES / BATCH), 0
    for epoch in range(plans[-1]):
        planned = next(plan for plan in plans if epoch < plan)
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(derived_seed(1, "shuffle", epoch)))
        for rows in np.array_split(order.numpy(), batches):
            gradient = 2 / len(rows) * X[rows].T @ (X[rows] @ weights - Y[rows])
            if settings.gradient_clip_norm:
                gradient *= min(1, settings.gradient_clip_norm / np.linalg.norm(gradient))
            rise = settings.warmup_start_factor + (1 - settings.warmup_start_factor) * min(
                1, (step + 1) / (WARMUP * batches)
            )
            cosine = (1 + math.cos(math.pi * step / (planned * batches))) / 2
            fall = (
                settings.min_lr_factor + (1 - settings.min_lr_factor) * cosine if settings.schedule == "cosine" else 1
            )
            lr, step = LR * rise * fall, step + 1
            if settings.optimizer == "sgd":
                momentum = 0.9 * momentum + gradient + DECAY * weights
                weights = weights - lr * momentum
            else:
                momentum, square = 0.9 * momentum + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
                scaled = momentum / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
                weights = weights * (1 - lr * DECAY) - lr * scaled
    return weights

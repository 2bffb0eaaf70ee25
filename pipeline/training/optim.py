"""Optimizers and their learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from spikeport.pipeline.run.sections.training import Training

MOMENTUM = 0.9


def build_optimizer(
    settings: Training, weights: Iterable[nn.Parameter], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimizer that a recipe asks for.

    AdamW has decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101); SGD has momentum 0.9 and adds weight
    decay to the gradient.

    Args:
        settings: the section [training].
        weights: the parameters.
        lr: learning rate.
        weight_decay: weight decay.
    """
    if settings.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=lr, momentum=MOMENTUM, weight_decay=weight_decay, foreach=True)
    return torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay, foreach=True)


def lr_lambda(settings: Training, *, steps: int, warm_steps: int) -> Callable[[int], float]:
    """The factor of the learning rate at step s, from 0: rise(s) fall(s).

    rise = a + (1 - a) min(1, (s + 1) / warm_steps) with a = warmup_start_factor;
    fall = b + (1 - b) (1 + cos(pi s / steps)) / 2 with b = min_lr_factor, or 1 where the schedule is constant
    (Loshchilov and Hutter, arXiv 1608.03983).

    Args:
        settings: the section [training].
        steps: optimizer steps of the whole training.
        warm_steps: steps of the warm-up; 0: none.

    Returns:
        The function of s.
    """

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / warm_steps) if warm_steps else 1.0
        rise = settings.warmup_start_factor + (1 - settings.warmup_start_factor) * rise
        if settings.schedule == "constant":
            return rise
        fall = (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
        return rise * (settings.min_lr_factor + (1 - settings.min_lr_factor) * fall)

    return factor


def set_lr_of_step(schedule: object) -> None:
    """Sets the learning rates to those of the schedule's present step.

    After a resume they are those of the checkpoint, whose schedule may have been made for fewer epochs.

    Args:
        schedule: a LambdaLR.
    """
    assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
    groups = schedule.optimizer.param_groups
    for group, lr, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
        group["lr"] = lr * factor(schedule.last_epoch)

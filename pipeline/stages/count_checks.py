"""Checks of a recipe whose frames are counts (`data.counts`): graded input of the network."""

from __future__ import annotations

import torch

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import WEIGHT_LIMIT
from spikeport.pipeline.data.augmentation.augment import OF_SPIKES
from spikeport.pipeline.distillation.methods import METHODS, MethodSpec
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.run.recipe import Recipe

EXACT = 1 << 24  # float32 holds every whole number up to here


def check_counts(recipe: Recipe, spec: MethodSpec) -> None:
    """Checks that all parts of a recipe can take counts.

    Args:
        recipe: a recipe with `data.counts`.
        spec: its distillation method.

    Raises:
        UserError: a method or an augmentation makes or moves single events, or the sums of the first layer could
            exceed what float32 holds exactly, so that the student would not equal the chip.
    """
    counts = recipe.data.counts
    if _makes_frames(spec):
        raise UserError(
            f"the method {recipe.distillation.method} does not take frames of counts",
            where="data.counts",
            cause="it makes frames of images, and they are 0 and 1",
            hint=f"use {', '.join(name for name in METHODS if not _makes_frames(METHODS[name]()))}; or no data.counts",
        )
    if on := [name for name in OF_SPIKES if getattr(recipe.augmentation, name)]:
        raise UserError(
            f"{' and '.join(f'augmentation.{name}' for name in on)} moves or adds single events, not counts",
            where="data.counts",
            hint=f"set {' and '.join(on)} to 0, or leave data.counts out",
        )
    with torch.random.fork_rng(devices=[]):
        student = build_student(recipe.student, recipe.data.frame_shape, 2, norm=False)
    inputs = next(iter(student.weight_layers())).synapse.weight[0].numel()
    if (largest := inputs * WEIGHT_LIMIT * counts) > EXACT:
        raise UserError(
            f"counts up to {counts} are too large for {inputs:,} inputs of a neuron",
            where="data.counts",
            cause=f"sums of the first layer may reach {largest:,}, and float32 is exact up to {EXACT:,}: the student "
            "could differ from the chip",
            hint=f"set data.counts to at most {EXACT // (inputs * WEIGHT_LIMIT)}, or use a convolution as first layer",
        )


def _makes_frames(spec: MethodSpec) -> bool:
    """Whether a method trains on frames that no sensor recorded."""
    return spec.pretrains or spec.streams != {"event"}

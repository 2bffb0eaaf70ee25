"""The stage that prepares synthetic events, and what makes them in later stages."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from spikeport.errors import UserError
from spikeport.files import write_text
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.event_synthesis.table import load_synthesizer
from spikeport.pipeline.data.frames.cache import cache_folder
from spikeport.pipeline.distillation.method_spec import uses_synthesis
from spikeport.pipeline.distillation.streams import Streams
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.run.gap import LayerGap, gap_line
from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.run.tensor_files import save_weights
from spikeport.pipeline.stages.choice_result import NotNeeded
from spikeport.pipeline.stages.results import StageOutput, SynthesisResult
from spikeport.pipeline.training.choice_folds import held_out
from spikeport.pipeline.training.domain_gap import FEWEST, domain_gap
from spikeport.pipeline.training.epoch_log import METRICS
from spikeport.pipeline.training.train import fit_motion, train_translator

if TYPE_CHECKING:
    from spikeport.pipeline.stages.context import Context

SYNTHESIS, MOTION = "synthesis.safetensors", "motion.json"
RENDERED = 20  # images that are rendered at once
COMPARED = (8, 200)  # least and most recordings that a domain gap is measured on


def synthesis(context: Context) -> StageOutput:
    """Trains the translator from images to events, into synthesis.safetensors, or fits the motion, into motion.json.

    Where neither is possible, or no candidate can compete, "auto" goes on without.
    """
    if context.recipe.distillation.method == AUTO and (obstacle := held_out(context.dataset, context.recipe).obstacle):
        context.progress.log(f"  not needed: {obstacle}")
        return StageOutput(result=NotNeeded(reason=obstacle))
    try:
        return _fitted(context)
    except UserError as error:
        if context.recipe.distillation.method != AUTO:
            raise
        context.progress.log(f"  not possible: {error.message}")
        return StageOutput(result=NotNeeded(reason=error.message))


def _fitted(context: Context) -> StageOutput:
    recipe, folder = context.recipe, context.checkpoints("synthesis")
    if recipe.synthesis.kind == "motion":
        motion, distances = fit_motion(recipe, context.dataset, folder, context.progress)
        write_text(context.run.file(MOTION), motion.to_text())
        groups = ", ".join(f"{name} {value:.2f}" for name, value in distances.items())
        context.progress.log(f"  distance of synthetic events from the recordings: {groups}")
        result = SynthesisResult(weights=len(fields(motion)), distances=distances)
        return StageOutput(result=result, files=(MOTION,))
    trained = train_translator(recipe, context.dataset, folder, context.progress, context.run.file(METRICS))
    save_weights(trained, context.run.file(SYNTHESIS))
    weights = sum(weight.numel() for weight in trained.parameters())
    return StageOutput(result=SynthesisResult(weights=weights), files=(SYNTHESIS,))


def synthesizer_of(context: Context) -> EventSynthesizer | CachedViews | None:
    """What makes synthetic events in a run; None where its method needs none."""
    if not uses_synthesis(context.recipe_of(context.recipe.distillation.method).distillation):
        return None
    file = MOTION if context.recipe.synthesis.kind == "motion" else SYNTHESIS
    return with_cached_views(context, load_synthesizer(context.recipe, context.run.file(file)))


def gap_of(context: Context, student: Student) -> tuple[LayerGap, ...]:
    """How far the run's synthetic events are from recordings in the layers of a student. Prints it.

    The recordings are those of the validation part, or, where there are few, of the training part; with fewer than four
    there is no gap. No label is used.
    """
    dataset, synthesizer = context.dataset, synthesizer_of(context)
    if synthesizer is None:
        return ()
    held = len(dataset.validation.labels) >= COMPARED[0]
    part = dataset.validation if held else dataset.train
    count = min(COMPARED[1], len(part.labels))
    if count < FEWEST:
        return ()
    streams = Streams(context.recipe, dataset, synthesizer)

    def draws(first: int, what: str) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(context.recipe.seed, f"domain gap, {what}", first))

    rows = torch.randint(len(dataset.static.labels), (count,), generator=draws(0, "images"))
    device = next(student.parameters()).device
    made = []
    for at in range(0, count, RENDERED):  # frames of large sensors take much memory while they are rendered
        clip = streams.synthetic(rows[at : at + RENDERED], partial(draws, at), device)
        made.append(clip.frames.transpose(0, 1).to(torch.uint8).cpu().numpy())
    gap = domain_gap(student, part.frames[np.arange(count)], np.concatenate(made))
    if gap:
        context.progress.log(f"  {gap_line(gap)}")
    return gap


def with_cached_views(context: Context, synthesizer: EventSynthesizer) -> EventSynthesizer | CachedViews:
    """The synthesizer, or its renderings on disk where the recipe keeps some."""
    if not context.recipe.synthesis.cached_views:
        return synthesizer
    return CachedViews(synthesizer, context.dataset.static, context.recipe, cache_folder(), context.progress)

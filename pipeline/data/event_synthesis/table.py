"""The synthesizer that a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from spikeport.pipeline.data.event_synthesis.cached_views import EventSynthesizer
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.tensor_files import load_weights, read_weights


def load_synthesizer(recipe: Recipe, path: Path) -> EventSynthesizer:
    """The event synthesizer of a recipe.

    Args:
        recipe: the recipe.
        path: weights of the translator, or the fitted motion; not read for the simulator.

    Raises:
        UserError: the file is not what its stage wrote.
    """
    if recipe.synthesis.kind == "motion":
        return MotionCamera(recipe.data.steps, Motion.from_text(path.read_text("utf-8"), str(path)))
    if recipe.synthesis.kind == "simulator":
        return Simulator(recipe.data.steps, recipe.data.step_us)
    first = read_weights(path).get("layers.0.weight")  # one channel of light and those of noise
    noise = first.shape[1] - 1 if first is not None and first.ndim > 1 else 0
    translator = Translator(recipe.data.steps, recipe.synthesis.width, recipe.synthesis.kernel, max(0, noise))
    load_weights(translator, path)
    return translator.eval()

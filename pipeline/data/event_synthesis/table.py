"""Which bridge a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from spikeport.pipeline.data.event_synthesis.cached_views import Bridge
from spikeport.pipeline.data.event_synthesis.simulator import Camera
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.tensor_files import load_weights


def load_bridge(recipe: Recipe, path: Path) -> Bridge:
    """The recipe's bridge, a fitted one from `path`."""
    if recipe.bridge.kind == "camera":
        return Camera(recipe.data.steps, recipe.data.step_us)
    translator = Translator(recipe.data.steps, recipe.bridge.width, recipe.bridge.kernel)
    load_weights(translator, path)
    return translator.eval()

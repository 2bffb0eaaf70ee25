"""Which bridge a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from pipeline.bridge.camera import Camera
from pipeline.bridge.shown import Bridge
from pipeline.bridge.translator import Translator
from pipeline.checkpoints import load_weights
from pipeline.recipe import Recipe


def load_bridge(recipe: Recipe, path: Path) -> Bridge:
    """The recipe's bridge, a fitted one from `path`."""
    if recipe.bridge.kind == "camera":
        return Camera(recipe.data.steps, recipe.data.step_us)
    translator = Translator(recipe.data.steps, recipe.bridge.width, recipe.bridge.kernel)
    load_weights(translator, path)
    return translator.eval()

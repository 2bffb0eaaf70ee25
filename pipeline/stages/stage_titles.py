"""What stages do, in words, under a recipe that leaves out a part of their work."""

from __future__ import annotations

from spikeport.pipeline.run.recipe import Recipe


def title_under(recipe: Recipe, stage: str, title: str) -> str:
    """The title of a stage as it is printed; "" where the stage has nothing to do.

    Args:
        recipe: the recipe, which was checked.
        stage: name of the stage.
        title: its title where it does all its work.
    """
    kind, _, method = stage.partition("-")
    if kind == "quantized" and not recipe.quantization.epochs:
        return f"rounding it to Loihi's integers ({method})"
    if kind == "check":
        *others, last = ["the student", "the reference", *map(_in_words, recipe.check.backends)]
        return f"comparing {', '.join(others)} and {last} spike by spike"
    if kind not in ("teacher", "export"):
        return title
    from spikeport.pipeline.data.sources.table import may_have_images
    from spikeport.pipeline.models.teachers.build import teacher_network

    if not may_have_images(recipe.data):
        return "" if kind == "teacher" else "exporting to NIR and netx"
    if kind == "teacher" and not (recipe.teacher.epochs and teacher_network(recipe.teacher.network).trained):
        return "testing the teacher, which is not trained"
    return title


def _in_words(backend: str) -> str:
    return backend if ":" in backend else backend.capitalize()

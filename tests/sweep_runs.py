"""Run folders as training would leave them, made in a moment: for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.recipe import load_recipe
from pipeline.run_folder import create

LABELS = [0, 2, 1, 1, 2]


def finished_run(
    recipe: Path,
    changes: Sequence[str],
    folder: Path,
    *,
    right: tuple[str, str] = ("11010", "10010"),
    last: bool = True,
) -> None:
    """A run that got these of five recordings right (float, quantised). `last` False: killed before its last stage."""
    run = create(folder, load_recipe(recipe, list(changes)), resume=True, about={})
    method = run.recipe.arms[0]
    run.file("teacher.safetensors").write_text(str(folder))
    run.record("data", {"test_labels": LABELS}, (), 100.0)
    run.record("teacher", {"predicted": None}, ("teacher.safetensors",), 0.5)
    run.record(f"student-{method}", {"predicted": _predicted(right[0])}, (), 2.0)
    if last:
        run.record(f"quantised-{method}", {"predicted": _predicted(right[1])}, (), 0.25)


def _predicted(right: str) -> list[int]:
    return [label if hit == "1" else label + 1 for label, hit in zip(LABELS, right, strict=True)]

"""The command `sweep`: trains a recipe over settings, seeds and folds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Changes, Json, Quiet, RecipeWord
from spikeport.tables import text_table

Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over", metavar="A.B=X,Y,Z", help="Values of one setting. Repeatable: all combinations are trained."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for the sweep. [default: runs/sweep-<name of the recipe>]"),
]


def sweep(
    recipe: RecipeWord,
    over: Over = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Number of seeds, which count up from the seed of the recipe.")
    ] = 1,
    folds: Annotated[
        int, typer.Option("--folds", min=0, help="Number of cross-validation folds. 0: the split of the recipe.")
    ] = 0,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Number of trials that run at the same time and share the cores.")
    ] = 1,
    out: Out = None,
    changes: Changes = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped sweep in the same folder.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Trains a recipe with every combination of values, seeds and folds, and prints a table of paired differences.

    The other combinations are compared with the first one. Writes a run folder for each trial. The exit code is 2 if a
    trial failed, and 3 if all failed because something is missing, such as the data.

    Example: `spikeport sweep nmnist-small --over distillation.method=baseline,ckd --seeds 5 --jobs 2`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.sweep.sweep import PAGE, sweep_recipe
    from spikeport.pipeline.sweep.table import notes, table

    with ProgressPrinter(quiet=quiet) as progress:
        found = sweep_recipe(
            recipe,
            over or (),
            out=out,
            changes=changes,
            seeds=seeds,
            folds=folds,
            jobs=jobs,
            resume=resume,
            log=progress.log,
        )
    lines = [*text_table(*table(found.content["rows"])), *notes(found.content), str(found.folder / PAGE)]
    show(found.content, json, lines)
    if found.failed:
        name, why = next(iter(found.failed.items()))
        count = f"{len(found.failed)} of {len(found.failed) + len(found.content['trials'])} trials failed"
        sys.stdout.flush()
        raise UserError(
            f"{count}; the first: {why}",
            hint=f"see {found.folder / name}.log; the same command with --resume continues",
        )

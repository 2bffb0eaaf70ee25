"""The commands `data check` and `data look`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import fail, show
from spikeport.pipeline.cli.options import Changes, Json, Quiet


def add_to(data: typer.Typer) -> None:
    """Adds the commands to the group `data`."""
    data.command("check")(data_check)
    data.command("look")(data_look)


def data_check(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Recordings as FOLDER/<class>/<id>.<ext>, or train/ and test/.")
    ],
    recipe: Annotated[
        Path | None,
        typer.Option("--write-recipe", metavar="FILE.toml", help="Write a recipe that reads the recordings."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=0, help="Most recordings that are read, drawn by class. 0: all.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Finds what your recordings are and what a recipe must set: formats, unit of time, sensor, faults.

    Names files that cannot be read, coordinates from 1, codes of polarity, unsorted files, duplicates and small
    classes. The exit code is 1 if a file cannot be read; the others are checked, and the recipe is written.

    Example: `spikeport data check recordings --write-recipe mine.toml`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.own_data import check_data

    with ProgressPrinter(quiet=quiet) as progress:
        found = check_data(folder, write_recipe=recipe, samples=samples, seed=seed, progress=progress)
    next_step = [] if recipe is None else ["", f"{recipe}: spikeport data info {recipe}, then spikeport train {recipe}"]
    written = {} if recipe is None else {"recipe": str(recipe)}
    show(found.to_json() | written, json, [*found.lines(), *next_step])
    if found.unreadable:
        count = len(found.unreadable)
        fail(f"{count} file{'s' * (count > 1)} cannot be read", "see above; repair what is listed, or move it away")


def data_look(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An event file of any format that is read.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PICTURE.png", help="Write a picture of six windows.")
    ] = None,
    gif: Annotated[Path | None, typer.Option("--gif", metavar="FILE.gif", help="Write an animation.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="RECIPE", help="Show the file as this recipe reads it: turned and scaled."),
    ] = None,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Describes one recording: events, duration, sensor, polarity, order, and what is not known.

    With --recipe, the events are those of the frames that the recipe makes.

    Example: `spikeport data look recordings/circle/1.npy --out look.png --gif look.gif`
    """
    from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe
    from spikeport.pipeline.stages.own_data import describe_recording

    if changes and recipe is None:
        raise UserError("--set changes a recipe, and there is none", where="data look", hint="add --recipe RECIPE")
    read = None if recipe is None else load_recipe(find_recipe(recipe), changes)
    found = describe_recording(file, recipe=read, picture=out, gif=gif)
    written = {name: str(path) for name, path in (("picture", out), ("gif", gif)) if path is not None}
    show(found.to_json() | written, json, [*found.lines(), *written.values()])

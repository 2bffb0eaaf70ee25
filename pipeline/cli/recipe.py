"""The commands `recipe show`, `recipe new` and `recipe schema`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Json

recipe = typer.Typer(help="Lists the keys of recipes, and starts a new recipe.", no_args_is_help=True)


@recipe.command("show")
def recipe_show(
    name: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A recipe, whose values are printed. [default: none]")
    ] = None,
    section: Annotated[
        str | None, typer.Option("--section", metavar="NAME", help="Only this section, such as data.")
    ] = None,
    json: Json = False,
) -> None:
    """Prints every key of a recipe: value, type, default where the value differs, and one line of meaning.

    The options of the recipe's distillation method are listed too. Each key is printed as TOML.

    Example: `spikeport recipe show digits --section training`
    """
    from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe
    from spikeport.pipeline.stages.recipe_keys import recipe_sections

    sections = recipe_sections(None if name is None else load_recipe(find_recipe(name)), section)
    lines = [line for part in sections for line in (*part.lines(), "")]
    show([key for part in sections for key in part.to_json()], json, lines[:-1])


@recipe.command("new")
def recipe_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the recipe and of its runs.")],
    events: Annotated[
        Path, typer.Option("--events", metavar="DIR", help="Folder of your recordings: DIR/<class>/<id>.<ext>.")
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Folder of their images, by class; needed for a teacher."),
    ] = None,
    height: Annotated[int | None, typer.Option("--height", help="Rows of a frame: those of your sensor.")] = None,
    width: Annotated[int | None, typer.Option("--width", help="Columns of a frame: those of your sensor.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Time steps of a recording.")] = None,
    step_us: Annotated[int | None, typer.Option("--step-us", help="Duration of one step in microseconds.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.toml", help="File for the recipe. [default: NAME.toml]")
    ] = None,
    json: Json = False,
) -> None:
    """Writes a recipe for your own recordings in class folders, with a comment on each key.

    An existing file is not replaced. No recording is read: `spikeport data info` on the recipe does that next.

    Example: `spikeport recipe new shapes --events recordings --images pictures --height 48 --width 64`
    """
    from spikeport.notes import note
    from spikeport.pipeline.stages.new_recipe import new_recipe

    frame = {"height": height, "width": width, "steps": steps, "step_us": step_us}
    given = {key: size for key, size in frame.items() if size is not None}
    file = new_recipe(name, events, images=images, frame=given, out=out)
    if height is None or width is None:
        note("data.height and data.width must be the size of your sensor; spikeport data info shows where events lie")
    show({"recipe": str(file)}, json, [str(file)])


@recipe.command("schema")
def recipe_schema(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.json", help="File for the schema. [default: standard output]")
    ] = None,
    json: Json = False,
) -> None:
    """Writes the JSON Schema of recipes, with which editors complete and check keys.

    Write `#:schema ./recipe.schema.json` as the first line of a recipe for taplo and for VS Code's Even Better TOML.

    Example: `spikeport recipe schema --out recipe.schema.json`
    """
    from spikeport.files import write_json
    from spikeport.pipeline.stages.outputs import check_file
    from spikeport.pipeline.stages.recipe_keys import is_schema, recipe_schema

    schema = recipe_schema()
    if out is None:
        print(json_format.dumps(schema, indent=2))
        return
    check_file(out, "schema of recipes", is_schema)
    write_json(out, schema)
    show({"schema": str(out)}, json, [str(out)])

"""The commands `recipe show` and `recipe schema`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Json

recipe = typer.Typer(help="Describes the keys of recipes.", no_args_is_help=True)


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

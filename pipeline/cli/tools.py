"""The verbs `hardware`, `data`, `lava` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.notes import warning
from spikeport.pipeline.cli.console import Changes, Json, RecipeWord, fail, show
from spikeport.pipeline.stages.outputs import check_file, is_picture
from spikeport.tables import text_table

hardware = typer.Typer(help="Devices, and what is known of them.", no_args_is_help=True)
data = typer.Typer(help="Recordings and images.", no_args_is_help=True)
lava = typer.Typer(help="Lava, in an environment of its own.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command."""
    app.add_typer(hardware, name="hardware")
    app.add_typer(data, name="data")
    app.add_typer(lava, name="lava")
    app.command()(doctor)


@hardware.command("list")
def hardware_list(json: Json = False) -> None:
    """The devices that reports can price."""
    from spikeport.pipeline.stages.machine import list_hardware

    rows = list_hardware()
    cells = [(r["id"], r["name"], r["kind"], r["scope"], ", ".join(r["unknown_terms"]) or "-") for r in rows]
    show(rows, json, text_table(("id", "name", "kind", "scope", "unknown"), cells))


@hardware.command("show")
def hardware_show(
    profile: Annotated[str, typer.Argument(metavar="ID", help="A device's id, or a profile file.")], json: Json = False
) -> None:
    """Every constant of a device with its source and grade.

    Example: `spikeport hardware show loihi1`
    """
    from spikeport.pipeline.stages.machine import show_hardware

    rows = show_hardware(profile)
    keys = ("key", "value", "low", "high", "unit", "status", "bound", "source", "locator")
    show(rows, json, text_table(keys, [tuple(row[key] for key in keys) for row in rows]))


@hardware.command("validate")
def hardware_validate(json: Json = False) -> None:
    """Estimates beside published measurements, from the profiles. Leaves with 1 where one is out of its band."""
    from spikeport.hardware_profiles.validation import OUTSIDE, PublishedCheck, summary
    from spikeport.pipeline.stages.machine import validate_hardware

    rows = validate_hardware()
    keys = ("hardware", "quantity", "unit", "published", "low", "high", "result", "workload")
    show(
        rows,
        json,
        [
            *text_table(keys, [tuple(row[key] for key in keys) for row in rows]),
            "",
            *summary([PublishedCheck.from_json(row) for row in rows]),
        ],
    )
    if any(row["result"] == OUTSIDE for row in rows):
        fail("an estimate is outside its published band", "look at the profile's sources")


@data.command("list")
def data_list(json: Json = False) -> None:
    """The sources of recordings that a recipe can name."""
    from spikeport.pipeline.stages.machine import list_datasets

    rows = list_datasets()
    show(rows, json, text_table(tuple(rows[0]), [tuple(row.values()) for row in rows]))


@data.command("info")
def data_info(recipe: RecipeWord, changes: Changes = None, json: Json = False) -> None:
    """Sizes, classes, events and splits of a recipe's data set, how long its recordings are and what the frames hold of
    them. What does not seem right is a warning.

    Example: `spikeport data info recipes/digits.toml`
    """
    from spikeport.pipeline.data.describe import describe

    result = describe(_dataset(recipe, changes))
    show(result, json, [f"{key}: {value}" for key, value in _flat(result)])
    for text in (result["window"] or {}).get("warnings", []):
        warning(text)


@data.command("download")
def data_download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A named set: nmnist, ncaltech101, ...")],
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Where to place it; a recipe's data.root.")],
    json: Json = False,
) -> None:
    """Fetches a named set from its hosts. What is complete is not fetched again; leaves with 3 where a host is gone.

    Example: `spikeport data download nmnist --root data`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.machine import download_dataset

    with ProgressPrinter() as progress:
        rows = download_dataset(name, root, progress=progress, log=progress.say)
    show(rows, json, text_table(("part", "state"), [tuple(row.values()) for row in rows]))


@data.command("preview")
def data_preview(
    recipe: RecipeWord,
    out: Annotated[Path, typer.Option("--out", metavar="PICTURE.png")] = Path("preview.png"),
    count: Annotated[int, typer.Option("--count", min=1, max=20, help="How many recordings.")] = 6,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """A picture of binned frames beside the paired image.

    Example: `spikeport data preview digits --out digits.png`
    """
    from spikeport.pipeline.data.preview import preview
    from spikeport.pipeline.run.recipe_file import find_recipe

    check_file(out, "preview", is_picture, reads=(find_recipe(recipe),))
    preview(_dataset(recipe, changes), out, count)
    show({"picture": str(out)}, json, [str(out)])


@lava.command("install")
def lava_install(json: Json = False) -> None:
    """Makes Lava's environment (about 500 MB) and asks it a question whose answer is known."""
    from spikeport.export.backends.lava.driver import known_answer
    from spikeport.export.backends.lava.environment import install
    from spikeport.pipeline.run.progress import ProgressPrinter

    python = install(log=ProgressPrinter().say)
    answered = known_answer()
    show({"python": str(python), "known_answer": answered}, json, [f"Lava answers as worked out by hand: {python}"])
    if not answered:
        fail("Lava gives a wrong answer to the known question", "remove its folder and install it again")


@lava.command("info")
def lava_info(json: Json = False) -> None:
    """Which Lava is used, and where it is. Leaves with 3 where there is none."""
    from spikeport.export.backends.lava.environment import LAVA_DL, LAVA_NC, interpreter

    result = {"python": str(interpreter()), "lava-nc": LAVA_NC, "lava-dl": LAVA_DL}
    show(result, json, [f"{key}: {value}" for key, value in result.items()])


def doctor(json: Json = False) -> None:
    """Says what works here and what is missing; runs a known-answer network through Lava.

    Leaves with 3 where a part is missing, 1 where one gives a wrong answer.
    """
    from spikeport.pipeline.stages.doctor import doctor as examine

    rows = examine()
    show(rows, json, text_table(("part", "state", "detail"), [(r["part"], r["state"], r["detail"]) for r in rows]))
    if any(row["state"] == "wrong" for row in rows):
        fail("a part gives wrong answers", "see above")
    if any(row["state"] == "missing" for row in rows):
        raise typer.Exit(3)


def _dataset(recipe: str, changes: list[str] | None) -> Any:
    from spikeport.pipeline.data.load import load_dataset
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe

    with ProgressPrinter() as progress:
        return load_dataset(load_recipe(find_recipe(recipe), changes), progress=progress)


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, entry in value.items():
        rows += _flat(entry, f"{prefix}{key}.") if isinstance(entry, dict) else [(f"{prefix}{key}", entry)]
    return rows

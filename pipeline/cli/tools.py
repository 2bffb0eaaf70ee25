"""The commands `hardware`, `data`, `frames`, `lava` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from spikeport.notes import warning
from spikeport.pipeline.cli import own_data
from spikeport.pipeline.cli.console import fail, show
from spikeport.pipeline.cli.options import Changes, Json, Quiet, RecipeWord
from spikeport.pipeline.stages.outputs import check_file, is_picture
from spikeport.tables import text_table

if TYPE_CHECKING:
    from spikeport.pipeline.report.content.elsewhere import PointJson

hardware = typer.Typer(help="Lists hardware profiles, their constants and sources.", no_args_is_help=True)
data = typer.Typer(help="Checks, downloads, describes and previews data sets.", no_args_is_help=True)
lava = typer.Typer(help="Installs Lava in a separate Python environment.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    app.add_typer(hardware, name="hardware")
    own_data.add_to(data)
    app.add_typer(data, name="data")
    app.command()(frames)
    app.add_typer(lava, name="lava")
    app.command()(doctor)


@hardware.command("list")
def hardware_list(json: Json = False) -> None:
    """Lists the hardware profiles and the terms that are unknown in each."""
    from spikeport.pipeline.stages.machine import list_hardware

    rows = list_hardware()
    cells = [(r["id"], r["name"], r["kind"], r["scope"], ", ".join(r["unknown_terms"]) or "-") for r in rows]
    show(rows, json, text_table(("id", "name", "kind", "scope", "unknown"), cells))


@hardware.command("show")
def hardware_show(
    profile: Annotated[str, typer.Argument(metavar="ID", help="Id of a hardware profile, or a profile file.")],
    json: Json = False,
) -> None:
    """Prints every constant of a device with its unit, status and source.

    Example: `spikeport hardware show loihi1`
    """
    from spikeport.pipeline.stages.machine import show_hardware

    rows = show_hardware(profile)
    keys = ("key", "value", "low", "high", "unit", "status", "bound", "source", "locator")
    show(rows, json, text_table(keys, [tuple(row[key] for key in keys) for row in rows]))


@hardware.command("validate")
def hardware_validate(json: Json = False) -> None:
    """Compares estimates with published measurements. The exit code is 1 if an estimate is outside its band."""
    from spikeport.hardware_profiles.validation import OUTSIDE, PublishedCheck
    from spikeport.hardware_profiles.validation_text import summary
    from spikeport.pipeline.stages.machine import validate_hardware

    rows = validate_hardware()
    numbers = ("published", "low", "high", "board_low", "board_high")
    keys = ("hardware", "quantity", "unit", *numbers, "result", "role", "workload")
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


@hardware.command("elsewhere")
def hardware_elsewhere(json: Json = False) -> None:
    """Lists energies of one inference that others measured on other networks, with their sources.

    The grade is `read` where the publication or its logs were read, and `secondary` where only a survey, an abstract or
    a note was. No row can be compared with an estimate: each is of another network.
    """
    from spikeport.pipeline.report.content.elsewhere import HEADS, cells
    from spikeport.pipeline.stages.machine import measured_elsewhere

    rows = measured_elsewhere()
    show(rows, json, text_table(HEADS, [cells(cast("PointJson", row)) for row in rows]))


@data.command("list")
def data_list(json: Json = False) -> None:
    """Lists the data sets that a recipe can name as `data.source`."""
    from spikeport.pipeline.stages.machine import list_datasets

    rows = list_datasets()
    show(rows, json, text_table(tuple(rows[0]), [tuple(row.values()) for row in rows]))


@data.command("info")
def data_info(recipe: RecipeWord, changes: Changes = None, json: Json = False) -> None:
    """Describes the data set of a recipe: sizes, classes, splits, events and durations of the recordings.

    Also prints the part of the events that the frames contain. Durations that do not fit the time window give a
    warning.

    Example: `spikeport data info recipes/digits.toml`
    """
    from spikeport.pipeline.data.describe import describe

    result = describe(_dataset(recipe, changes))
    show(result, json, [f"{key}: {value}" for key, value in _flat(result)])
    for text in (result["window"] or {}).get("warnings", []):
        warning(text)


def frames(
    recipe: RecipeWord,
    out: Annotated[Path, typer.Option("--out", metavar="FRAMES.npz", help="File for frames and labels.")] = Path(
        "frames.npz"
    ),
    part: Annotated[
        Literal["train", "validation", "test"], typer.Option("--part", help="Part of the data set.")
    ] = "test",
    count: Annotated[
        int, typer.Option("--count", min=0, help="Recordings, drawn at random by class. 0: all of the part.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
    changes: Changes = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Writes binned frames of a recipe's recordings: what simulate, profile, export and adapt read as FRAMES.npz.

    Example: `spikeport frames mine.toml --part train --count 200 --out frames.npz`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.frames import save_frames
    from spikeport.pipeline.stages.settings import load_recipe

    with ProgressPrinter(quiet=quiet) as progress:
        keys = save_frames(load_recipe(recipe, changes), out, part=part, count=count, seed=seed, progress=progress)
    show({"frames": str(out), "recordings": keys.tolist()}, json, [f"{out}: {len(keys):,} recordings"])


@data.command("download")
def data_download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set: nmnist, ncaltech101, ...")],
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Folder for the data set: data.root of the recipe.")
    ],
    json: Json = False,
) -> None:
    """Downloads a data set. Complete parts are not downloaded again. The exit code is 3 if a host cannot be reached.

    Example: `spikeport data download nmnist --root data`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.machine import download_dataset

    with ProgressPrinter() as progress:
        rows = download_dataset(name, root, progress=progress, log=progress.log)
    show(rows, json, text_table(("part", "state"), [tuple(row.values()) for row in rows]))


@data.command("preview")
def data_preview(
    recipe: RecipeWord,
    out: Annotated[Path, typer.Option("--out", metavar="PICTURE.png", help="File for the picture.")] = Path(
        "preview.png"
    ),
    count: Annotated[int, typer.Option("--count", min=1, max=20, help="Number of recordings.")] = 6,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Writes a picture of binned frames beside their paired images.

    Example: `spikeport data preview digits --out digits.png`
    """
    from spikeport.pipeline.data.preview import preview
    from spikeport.pipeline.run.recipe_file import find_recipe

    check_file(out, "preview", is_picture, reads=(find_recipe(recipe),))
    preview(_dataset(recipe, changes), out, count)
    show({"picture": str(out)}, json, [str(out)])


@lava.command("install")
def lava_install(json: Json = False) -> None:
    """Creates the Python environment of Lava (about 500 MB) and tests it with a network of known output."""
    from spikeport.export.backends.lava.driver import known_answer
    from spikeport.export.backends.lava.environment import install
    from spikeport.pipeline.run.progress import ProgressPrinter

    python = install(log=ProgressPrinter().log)
    answered = known_answer()
    show({"python": str(python), "known_answer": answered}, json, [f"Lava gives the known output: {python}"])
    if not answered:
        fail("Lava gives a wrong output for the test network", "remove its folder and install it again")


@lava.command("info")
def lava_info(json: Json = False) -> None:
    """Prints the Python interpreter and the versions of Lava. The exit code is 3 if Lava is not installed."""
    from spikeport.export.backends.lava.environment import LAVA_DL, LAVA_NC, interpreter

    result = {"python": str(interpreter()), "lava-nc": LAVA_NC, "lava-dl": LAVA_DL}
    show(result, json, [f"{key}: {value}" for key, value in result.items()])


def doctor(json: Json = False) -> None:
    """Tests the installation: packages, backends, GPU and energy counters.

    Each backend simulates a network of known output. The exit code is 3 if a part is missing, and 1 if a part gives a
    wrong output.
    """
    from spikeport.pipeline.stages.doctor import doctor as examine

    rows = examine()
    show(rows, json, text_table(("part", "state", "detail"), [(r["part"], r["state"], r["detail"]) for r in rows]))
    if any(row["state"] == "wrong" for row in rows):
        fail("a part gives a wrong output", "see the table above")
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

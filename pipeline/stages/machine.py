"""Functions around a run: hardware profiles, data sets, and the installation of Lava."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.pipeline.stages.reporting import Log, ProgressLike, progress_of
from spikeport.pipeline.stages.settings import load_dataset
from spikeport.tables import Table

if TYPE_CHECKING:
    from spikeport.pipeline.data.dataset import Dataset
    from spikeport.pipeline.run.recipe import Recipe


def list_hardware() -> Table:
    """Lists the hardware profiles: id, name, kind, scope and unknown terms."""
    from spikeport.hardware_profiles.catalogue import list_rows

    return Table(row.to_json() for row in list_rows())


def show_hardware(hardware: str | os.PathLike[str]) -> Table:
    """Lists every constant of a device with its source and grade. An unknown constant has the value None.

    Args:
        hardware: id of a profile, or a profile file.

    Raises:
        UserError: the profile does not exist or is not valid.
    """
    from spikeport.hardware_profiles.catalogue import show_rows
    from spikeport.hardware_profiles.profile import load_profile

    return Table(row.to_json() for row in show_rows(load_profile(hardware)))


def validate_hardware() -> Table:
    """Compares energy estimates with published measurements, in a row for each measurement."""
    from spikeport.hardware_profiles.validation import validate_rows

    return Table(row.to_json() for row in validate_rows())


def measured_elsewhere() -> Table:
    """Lists energies that others measured on other networks, with source and grade."""
    from spikeport.hardware_profiles.measured_elsewhere import measured_elsewhere

    return Table(point.model_dump() for point in measured_elsewhere())


def list_datasets() -> Table:
    """Lists the data sets that a recipe can name, and the files that each needs."""
    from spikeport.pipeline.data.describe import list_sources

    return Table(list_sources())


def describe_dataset(recipe: Recipe | str | os.PathLike[str] | Dataset, *, progress: ProgressLike = None) -> Table:
    """Sizes, classes, events and splits of a data set, and how its recordings fit the time window.

    Args:
        recipe: a recipe, its file or name, or a data set that is loaded.
        progress: called with (parts done, parts in all, what is done).

    Returns:
        A row for each fact, with `fact` as a dotted key and `value`.
    """
    from spikeport.pipeline.data.describe import describe

    return Table({"fact": key, "value": value} for key, value in _facts(describe(_dataset(recipe, progress)), ""))


def preview_dataset(
    recipe: Recipe | str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str],
    *,
    count: int = 6,
    progress: ProgressLike = None,
) -> Path:
    """Writes a picture of binned frames beside the paired images.

    Args:
        recipe: a recipe, its file or name, or a data set that is loaded.
        out: the PNG file.
        count: number of recordings.
        progress: called with (parts done, parts in all, what is done).

    Returns:
        The path of the picture.
    """
    from spikeport.pipeline.data.preview import preview
    from spikeport.pipeline.stages.outputs import check_file, is_picture

    check_file(Path(out), "preview", is_picture)
    preview(_dataset(recipe, progress), out, count)
    return Path(out)


def download_dataset(
    name: str,
    root: str | os.PathLike[str],
    *,
    progress: ProgressLike = None,
    log: Log | None = None,
) -> Table:
    """Downloads a data set. Complete parts are not downloaded again.

    Args:
        name: name of the data set, such as "nmnist".
        root: folder for it; `data.root` of the recipe.
        progress: called with (bytes done, bytes in all, what is done).
        log: called with lines of text.

    Returns:
        A row for each part with its state, "here" or "fetched".

    Raises:
        UserError: the name is unknown.
        MissingDependencyError: no host has a part. The message says which file to place where.
    """
    from spikeport.pipeline.data.downloads.download import download

    display = progress_of(progress, log)
    return Table(download(name, Path(root), display.log, display))


def install_lava(*, log: Log | None = None) -> Path:
    """Creates the Python environment of Lava (about 500 MB), unless it exists.

    Args:
        log: called with lines of text.

    Returns:
        The interpreter of the environment.

    Raises:
        UserError: the environment cannot be created.
    """
    from spikeport.export.backends.lava.environment import install

    return install(log=log or (lambda _: None))


def lava_info() -> Table:
    """Interpreter and versions of Lava.

    Raises:
        MissingDependencyError: Lava is not installed.
    """
    from spikeport.export.backends.lava.environment import LAVA_DL, LAVA_NC, interpreter

    found = {"python": str(interpreter()), "lava-nc": LAVA_NC, "lava-dl": LAVA_DL}
    return Table({"part": part, "value": value} for part, value in found.items())


def _dataset(recipe: Recipe | str | os.PathLike[str] | Dataset, progress: ProgressLike) -> Dataset:
    from spikeport.pipeline.data.dataset import Dataset as Loaded

    return recipe if isinstance(recipe, Loaded) else load_dataset(recipe, progress=progress)


def _facts(value: object, prefix: str) -> list[tuple[str, object]]:
    """Nested facts as (dotted key, value)."""
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [row for key, entry in value.items() for row in _facts(entry, f"{prefix}.{key}" if prefix else str(key))]

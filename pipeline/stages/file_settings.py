"""Settings of `[data]` that say how event files are read, changed for new files that differ from the data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from spikeport.errors import UserError
from spikeport.pipeline.run.sections.data import Data
from spikeport.pydantic_errors import explain, short, tuples

FILE_SETTINGS = ("columns", "time_unit", "sensor", "crop", "orientation", "sort")


def with_file_settings(data: Data, settings: Mapping[str, Any] | None) -> Data:
    """`[data]` of a run with other settings of the reading.

    Args:
        data: `[data]` of the run.
        settings: values by name, of FILE_SETTINGS; None for no change.

    Returns:
        `[data]` with which the new files are read.

    Raises:
        UserError: a name is unknown, a value is not allowed, the setting has no meaning for the data set of the run, or
            the crop of the run would be taken from another sensor.
    """
    given = {name: tuples(value) for name, value in (settings or {}).items()}
    for name in given:
        if name not in FILE_SETTINGS:
            raise UserError(
                f"{short(name)} says nothing of event files", where="reading",
                hint=f"give {', '.join(FILE_SETTINGS)}",
            )  # fmt: skip
    _check_meaning(data, tuple(given))
    if "sensor" in given and data.crop and "crop" not in given:
        raise UserError(
            f"the run uses the part {list(data.crop)} of its sensor, and --sensor states another", where="--crop",
            hint="give --crop too: X,Y,WIDTH,HEIGHT of the part of the new sensor that is used",
        )  # fmt: skip
    values = data.model_dump() | given
    try:
        return Data.model_validate(values)
    except ValidationError as error:
        options = " and ".join("--" + name.replace("_", "-") for name in given)
        raise UserError(explain(error, values), where=options, hint="correct the value") from None


def _check_meaning(data: Data, names: tuple[str, ...]) -> None:
    """Raises UserError for the first setting that the files of the data set have no use for."""
    for name in names:
        if data.source != "class-folders" and not (name == "sort" and data.channels is not None):
            why = f"{data.source} reads its files as they are"
        elif data.recordings == "frames" and name not in ("sensor", "crop"):
            why = "the recordings of this run are ready frames, which have no times and no columns"
        else:
            continue
        option = "--" + name.replace("_", "-")
        raise UserError(f"{option} has no meaning for this run", cause=why, hint=f"leave {option} out")

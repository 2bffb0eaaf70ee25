"""The command `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spikeport.errors import UserError
from spikeport.notes import warning
from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Json, Quiet


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with student.net.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE_OR_FOLDER...", help="Event files, or folders of which all event files are used."),
    ],
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="OUT.csv", help="File for the predictions, one row a recording.")
    ] = None,
    window_step: Annotated[
        float | None,
        typer.Option(
            "--window-step",
            metavar="MS",
            help="Cut each recording into windows as long as those of the run, which begin every MS milliseconds.",
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="reference, lava or package.module:factory.")
    ] = "reference",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Classifies new event files with the network of a run. They are read and binned as the data of the run.

    Prints for each recording its class, the output spikes of each class, the margin to the next class, and its events
    inside the time window. Prints the accuracy too if the files lie in folders with the names of the classes. The exit
    code is 2 if a file cannot be read; the other files are classified. With --window-step, a row is a window.

    Example: `spikeport predict runs/mine new-recordings --csv predictions.csv`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.outputs import check_file, is_predictions
    from spikeport.pipeline.stages.predict import predict as classify

    if csv is not None:
        check_file(csv, "table of predictions", is_predictions, reads=files)
    with ProgressPrinter(quiet=quiet) as progress:
        found = classify(
            run,
            files,
            window_step_us=None if window_step is None else round(window_step * 1000),
            backend=backend,
            progress=progress,
        )
    for file in found.unread:
        warning(str(file))
    if csv is not None:
        found.save_csv(csv)
    show(found.to_json(), json, [*found.lines(), *([] if csv is None else [str(csv)])])
    if found.unread:
        sys.stdout.flush()
        bad, total = len(found.unread), len(found.unread) + len(found)
        raise UserError(f"{bad:,} of {total:,} files could not be read", hint="the warnings above say why")

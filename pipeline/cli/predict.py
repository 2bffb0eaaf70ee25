"""The command `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.options import Json, Quiet, whole_numbers
from spikeport.pipeline.run.sections.data import Orientation

READING = "For files that differ from the data of the run"


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with student.net.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER...",
            help="Event files (ready frames if the run has them), or folders; - for lines of events on standard input.",
        ),
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
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Watch the folders: classify each event file once, as soon as it is whole, until Ctrl-C."
        ),
    ] = False,
    until_idle: Annotated[
        float | None,
        typer.Option(
            "--until-idle", metavar="SECONDS", min=0, help="With --follow: end after so long without a new file."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="TXYP",
            help="Order of the columns of files without names, as data.columns.",
            rich_help_panel=READING,
        ),
    ] = None,
    time_unit: Annotated[
        Literal["us", "ms", "ns", "s"] | None,
        typer.Option(
            "--time-unit",
            help="Unit of the times of files that state none, as data.time_unit.",
            rich_help_panel=READING,
        ),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(
            "--sensor",
            metavar="W,H",
            help="Width and height of the upright sensor, whose events are scaled, as data.sensor.",
            rich_help_panel=READING,
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            "--crop",
            metavar="X,Y,W,H",
            help="Part of the sensor that is used, as data.crop.",
            rich_help_panel=READING,
        ),
    ] = None,
    orientation: Annotated[
        Orientation | None,
        typer.Option("--orientation", help="How the sensor was mounted, as data.orientation.", rich_help_panel=READING),
    ] = None,
    sort: Annotated[
        bool | None,
        typer.Option(
            "--sort/--no-sort",
            help="Sort events by time where a file is out of order, as data.sort.",
            rich_help_panel=READING,
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="reference, lava or package.module:factory.")
    ] = "reference",
    json: Json = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print each row as a line of JSON, as soon as it is known.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Classifies new recordings with the network of a run. They are read and binned as the data of the run.

    Prints for each recording, as soon as they are known, its class, the output spikes of each class, the margin to the
    next class, and its events inside the time window. Prints the accuracy too if the files lie in folders with the
    names of the classes. The exit code is 2 if a file cannot be read; the other files are classified. With
    --window-step, a row is a window. With - as file, events are read as text lines from standard input, and cut into
    windows one after the other. With --follow, folders are watched for new files. --columns, --time-unit, --sensor,
    --crop, --orientation and --sort replace these settings of the run's [data].

    Example: `spikeport predict runs/mine new-recordings --csv predictions.csv`

    Example: `camera | spikeport predict runs/mine - --columns txyp --jsonl`
    """
    from spikeport.pipeline.cli.prediction_output import print_predictions
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.event_stream import ByteStream
    from spikeport.pipeline.stages.outputs import check_file, is_predictions
    from spikeport.pipeline.stages.predict import predict_stream

    if json and jsonl:
        raise UserError("--json and --jsonl are given together", hint="--jsonl prints rows as they are known")
    stdin = Path("-") in files
    if stdin and len(files) > 1:
        raise UserError("- is standard input, and files are named too", hint="give one of them")
    if csv is not None:
        check_file(csv, "table of predictions", is_predictions, reads=() if stdin else files)
    reading: dict[str, Any] = {
        "columns": columns,
        "time_unit": time_unit,
        "sensor": whole_numbers(sensor, "--sensor", "W,H"),
        "crop": whole_numbers(crop, "--crop", "X,Y,W,H"),
        "orientation": orientation,
        "sort": sort,
    }
    with ProgressPrinter(quiet=quiet or stdin or follow or (not json and sys.stdout.isatty())) as progress:
        stream = predict_stream(
            run,
            cast(ByteStream, sys.stdin.buffer) if stdin else files,
            window_step_us=None if window_step is None else round(window_step * 1000),
            follow=follow,
            until_idle_s=until_idle,
            reading={name: value for name, value in reading.items() if value is not None},
            backend=backend,
            progress=progress,
        )
        print_predictions(stream, json=json, jsonl=jsonl, csv=csv, endless=stdin or follow)

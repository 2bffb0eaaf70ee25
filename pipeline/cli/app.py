"""The command `spikeport`: parses arguments, shows progress and prints results. `pipeline.stages` does the work.

Heavy imports are inside the commands, so that the help text appears without delay.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikeport import exits
from spikeport.pipeline.cli import adapt as cli_adapt
from spikeport.pipeline.cli import check_network as cli_check_network
from spikeport.pipeline.cli import compare as cli_compare
from spikeport.pipeline.cli import export as cli_export
from spikeport.pipeline.cli import paths as cli_paths
from spikeport.pipeline.cli import predict as cli_predict
from spikeport.pipeline.cli import profile as cli_profile
from spikeport.pipeline.cli import recipe as cli_recipe
from spikeport.pipeline.cli import simulate as cli_simulate
from spikeport.pipeline.cli import sweep as cli_sweep
from spikeport.pipeline.cli import tools as cli_tools
from spikeport.pipeline.cli.console import fail, show
from spikeport.pipeline.cli.options import Changes, Epochs, InitFrom, Json, Method, Quiet, RecipeWord, changes_of

if TYPE_CHECKING:
    from spikeport.pipeline.stages.run_value import Run

# This must be set before torch is loaded. Otherwise its waiting threads use CPU time that other processes need; see
# docs/reference/training.md.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # a few microseconds, since the next work comes soon

exits.limit_blas_threads()

app = typer.Typer(
    name="spikeport",
    cls=cli_paths.Verbs,
    help="Distills an image classifier into a spiking network, quantizes it, exports it for a neuromorphic chip, "
    "simulates it and estimates its energy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as `run` or `train` writes it.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for the run. [default: runs/<name of the recipe>]")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue a stopped run in the same folder. Finished stages are kept. "
        "Settings that no finished stage has read may change, and epochs may be added.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Continue the run in the same folder, and repeat this stage and what builds on it from the beginning. "
        "Settings that only these stages read may change, for example training.lr with --from student.",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print("spikeport", version("spikeport"))
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    exits.set_verb(context.invoked_subcommand or "")


@app.command()
def run(
    recipe: RecipeWord,
    out: Out = None,
    changes: Changes = None,
    method: Method = None,
    epochs: Epochs = None,
    init_from: InitFrom = None,
    resume: Resume = False,
    again_from: From = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Runs all stages of a recipe: training, quantization, export, simulation, check, profile and report.

    Reads the recipe and its data set. Writes the networks, the spike trace and report.html into the run folder. The
    exit code is 1 if the spikes of two simulations differ.

    Example: `spikeport run digits --epochs 10 --set data.train=500 --out runs/short`
    """
    words, added = changes_of(changes, method=method, epochs=epochs, init_from=init_from)
    _run(recipe, out, words, added, resume, again_from, json, quiet, only_training=False)


@app.command()
def train(
    recipe: RecipeWord,
    out: Out = None,
    changes: Changes = None,
    method: Method = None,
    epochs: Epochs = None,
    init_from: InitFrom = None,
    resume: Resume = False,
    again_from: From = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Trains the teacher, the student and the quantized student of a recipe.

    Reads the recipe and its data set. Writes the weights into the run folder. `spikeport run --resume` on the same
    folder runs the remaining stages.

    Example: `spikeport train nmnist-small --method baseline --out runs/baseline`
    """
    words, added = changes_of(changes, method=method, epochs=epochs, init_from=init_from)
    _run(recipe, out, words, added, resume, again_from, json, quiet, only_training=True)


@app.command()
def check(
    run: RunArgument,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Recordings that the backends simulate.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the draw. [default: the recipe's]")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compares quantized student, integer reference and Lava, spike by spike. The exit code is 1 if a spike differs.

    The recipe's `check.backends` lists the backends that are compared with the reference.

    Example: `spikeport check runs/digits --samples 50`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.runs import check as compare_spikes

    with ProgressPrinter(quiet=quiet) as progress:
        result = compare_spikes(run, samples=samples, seed=seed, progress=progress)
    show(result.to_json()["comparisons"], json, result.lines())
    if result.mismatches:
        fail("spikes differ", "report this: it is a bug in Spikeport or in the backend, or Lava is not version 0.10.0")


@app.command()
def report(
    run: RunArgument,
    baseline: Annotated[
        list[Path] | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="baseline.json of a run on another machine, whose measurements are added to the report. Repeatable. "
            "Later reports of the run keep them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the report; the run is not changed. [default: RUN]"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open report.html in a browser.")] = False,
    json: Json = False,
) -> None:
    """Writes the report of a run again from the stored results.

    Writes report.html, report.md, report.json and the CSV tables. No other stage runs. The exit code is 2 if a stage
    has not run, or one of its files is missing or changed.

    Example: `spikeport report runs/digits --baseline runs/on-a-gpu/baseline.json --open`
    """
    from spikeport.pipeline.stages.runs import report as write_report

    page = write_report(run, baselines=baseline or (), out=out)
    show({"report": str(page)}, json, [str(page)])
    if open_it:
        typer.launch(str(page))


app.command()(cli_compare.compare)
app.command()(cli_sweep.sweep)
app.command()(cli_export.export)
app.command()(cli_adapt.adapt)
app.command("check-network")(cli_check_network.check_network)
app.command()(cli_profile.profile)
app.command()(cli_predict.predict)
cli_simulate.add_to(app)
app.add_typer(cli_recipe.recipe, name="recipe")
cli_tools.add_to(app)


def main() -> None:
    """Runs the command and exits the process. A user error is printed as one line on standard error."""
    sys.exit(exits.exit_code_of(app))


def _run(
    recipe: str,
    out: Path | None,
    changes: list[str],
    added: int | None,
    resume: bool,
    again_from: str | None,
    json: bool,
    quiet: bool,
    *,
    only_training: bool,
) -> None:
    from spikeport.pipeline.run.health import line
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.check_result import CheckResult
    from spikeport.pipeline.stages.report import warnings_of
    from spikeport.pipeline.stages.runs import folder_of
    from spikeport.pipeline.stages.runs import run as do_run
    from spikeport.pipeline.stages.settings import load_recipe
    from spikeport.pipeline.stages.training_table import training_lines

    with ProgressPrinter(quiet=quiet) as progress:
        read = load_recipe(recipe, changes)
        made = do_run(
            read,
            out or folder_of(recipe, read),
            resume=resume,
            more_epochs=added,
            from_stage=again_from,
            only_training=only_training,
            progress=progress,
        )
    if made.is_worker:
        return
    warnings, trainings = warnings_of(made.folder), training_lines(made.folder)
    if only_training:
        show({"run": str(made.path), "warnings": warnings}, json, [*trainings, *map(line, warnings), str(made.path)])
        _refuse_silence(made)
        return
    page = made.path / "report.html"
    check = CheckResult.from_json(made.folder.result("check"))
    result = {"run": str(made.path), "report": str(page), **made.folder.result("report"), "warnings": warnings}
    show(result, json, [made.summary, *trainings, *map(line, warnings), *check.lines(), str(page)])
    if check.mismatches:
        fail("spikes differ", f"see the first divergence in {page}")
    _refuse_silence(made)


def _refuse_silence(run: Run) -> None:
    """Fails where more recordings than `check.silent_max` end without an output spike."""
    from spikeport.pipeline.stages.silence import silent_share

    most, share = run.folder.recipe.check.silent_max, silent_share(run.folder)
    if share > most:
        fail(f"no output fires in {100 * share:.1f} % of the test recordings, and check.silent_max is {most:g}",
             "lower student.v_threshold, train longer, or raise check.silent_max")  # fmt: skip


if __name__ == "__main__":
    main()

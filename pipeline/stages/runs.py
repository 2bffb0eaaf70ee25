"""Functions for the commands of a run: run, train, check, report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikeport.errors import CannotWriteError, UserError
from spikeport.paths import expanded
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST, RECIPE
from spikeport.pipeline.run.run_folder import RunFolder, locked
from spikeport.pipeline.run.run_folder import open_run as open_folder
from spikeport.pipeline.stages.check_result import CheckResult
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.reporting import Log, ProgressLike, progress_of
from spikeport.pipeline.stages.run_value import Run, as_run
from spikeport.pipeline.stages.settings import PathLike, as_recipe


def run(
    recipe: Recipe | PathLike,
    out: PathLike | None = None,
    *,
    resume: bool = False,
    from_stage: str | None = None,
    init_from: PathLike | None = None,
    more_epochs: int | None = None,
    only_training: bool = False,
    progress: ProgressLike = None,
    log: Log | None = None,
) -> Run:
    """Runs all stages of a recipe: training, quantization, export, simulation, check, profile and report.

    Args:
        recipe: a recipe, a TOML file, a run folder, or the name of a shipped recipe.
        out: the run folder; None: the run folder that `recipe` names, or runs/<name of the recipe>.
        resume: whether to continue a stopped run in the same folder.
        from_stage: a stage to repeat, with the stages that build on it.
        init_from: a finished run whose float student, and teacher if it fits, this run starts from; None: as
            `training.init_from` of the recipe says.
        more_epochs: epochs of the student that are added to those of the run in `out`, which goes on from its last
            checkpoint; needs `resume`. None: as many epochs as the recipe says.
        only_training: whether to stop after the quantized student.
        progress: called with (parts done, parts in all, what is done).
        log: called with a line for each stage, epoch and warning.

    Returns:
        The run.

    Raises:
        UserError: the recipe or the folder cannot be used.
        MissingDependencyError: the data set or Lava is not on this machine.
    """
    from spikeport.files import discard_writes
    from spikeport.pipeline.stages.added_epochs import with_more_epochs
    from spikeport.pipeline.stages.checks import check_recipe
    from spikeport.pipeline.stages.resuming import begin
    from spikeport.pipeline.stages.runner import run_stages
    from spikeport.versions import about_this_run

    read = as_recipe(recipe)
    if init_from is not None:
        training = read.training.model_copy(update={"init_from": expanded(str(init_from))})
        read = read.model_copy(update={"training": training})
    folder = Path(out) if out is not None else folder_of(recipe, read)
    if read.training.init_from and Path(read.training.init_from).resolve() == folder.resolve():
        raise UserError("a run cannot start from itself", where="training.init_from", hint="name another --out")
    check_recipe(read, for_netx=not only_training)
    if distributed.is_worker(read.training):
        with distributed.process_group(read.training), discard_writes(folder):
            run_stages(Context(open_folder(folder), progress_of(None)), only_training=True)
        return Run(folder=open_folder(folder))
    display = progress_of(progress, log)
    if more_epochs is not None:
        read = with_more_epochs(read, _run_to_continue(folder, resume), more_epochs)
    with locked(folder):
        made = begin(
            folder,
            read,
            about=about_this_run(),
            resume=resume,
            again_from=from_stage,
            only_training=only_training,
            log=display.log,
        )
        with distributed.process_group(read.training):
            run_stages(Context(made, display), only_training=only_training)
    return Run(folder=made)


def folder_of(source: Recipe | PathLike, recipe: Recipe) -> Path:
    """The run folder where none is named: that which a recipe comes from, or runs/<name of the recipe>.

    Args:
        source: what was given as recipe.
        recipe: the recipe.
    """
    if not isinstance(source, Recipe):
        folder = Path(expanded(os.fspath(source)))
        if (folder / RECIPE).is_file() and (folder / MANIFEST).is_file():
            return folder
    return Path("runs") / recipe.name


def _run_to_continue(folder: Path, resume: bool) -> RunFolder:
    """The run that gets more epochs."""
    if not resume:
        raise UserError(
            "epochs can be added to a run that goes on, and to no new one", where="--epochs +N", hint="add --resume"
        )
    return open_folder(folder)


def train(recipe: Recipe | PathLike, out: PathLike | None = None, **options: Any) -> Run:
    """Trains teacher, student and quantized student. `run` with `resume` runs the remaining stages.

    Args:
        recipe: a recipe, a TOML file, a run folder, or the name of a shipped recipe.
        out: the run folder; None: as for `run`.
        **options: as for `run`.
    """
    return run(recipe, out, only_training=True, **options)


def check(
    run: Run | PathLike,
    *,
    samples: int | None = None,
    seed: int | None = None,
    progress: ProgressLike = None,
    log: Log | None = None,
) -> CheckResult:
    """Compares the quantized student, the integer reference and the backends of the recipe again, spike by spike.

    Args:
        run: a run, or its folder; it is not changed.
        samples: number of recordings that the backends simulate, drawn by class; None: that of the recipe.
        seed: seed of the draw; None: that of the recipe.
        progress: called with (parts done, parts in all, what is done).
        log: called with lines of text, such as the folder of a divergence.

    Returns:
        All comparisons; `.mismatches` counts the entries that differ.

    Raises:
        UserError: the run was trained only, and has no .net file.
        MissingDependencyError: a backend is not installed.
    """
    from spikeport.pipeline.stages.checks import require_exported
    from spikeport.pipeline.stages.deploy import check as compare_spikes

    opened = as_run(run)
    require_exported(opened.folder)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(CannotWriteError):  # no process writes into a read-only folder
            stack.enter_context(locked(opened.path))
        context = Context(opened.folder, progress_of(progress, log))
        output = compare_spikes(context, samples=samples, seed=seed)
    assert isinstance(output.result, CheckResult)
    return output.result


def report(run: Run | PathLike, *, baselines: Sequence[PathLike] = (), out: PathLike | None = None) -> Path:
    """Writes report.html, report.md, report.json and their tables again from the stored results.

    Args:
        run: a run, or its folder.
        baselines: baseline.json files of other machines, added to the report and to later reports of the run.
        out: another folder for the report; the run is then not changed. None: the run folder.

    Returns:
        The path of report.html.

    Raises:
        UserError: a stage has not run, or one of its files is missing or changed.
    """
    from spikeport.pipeline.profiling.baseline.baseline_file import read_baseline
    from spikeport.pipeline.stages.report import BASELINES, report_elsewhere
    from spikeport.pipeline.stages.runner import do_again

    opened = as_run(run)
    measured = [row for file in baselines for row in read_baseline(Path(file))]
    context = Context(opened.folder, progress_of(None))
    if out is not None:
        report_elsewhere(context, Path(out), measured)
        return Path(out) / "report.html"
    keep = (lambda: opened.folder.keep(BASELINES, measured)) if measured else None
    do_again(context, "report", first=keep)
    return opened.path / "report.html"

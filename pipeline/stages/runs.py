"""The verbs of a run as functions: run, train, check, report."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikeport.errors import CannotWriteError
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import locked
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
    only_training: bool = False,
    progress: ProgressLike = None,
    log: Log | None = None,
) -> Run:
    """Does all stages of a recipe: train, quantize, export, simulate, check, profile, report.

    Args:
        recipe: a recipe, a TOML file, or the name of a shipped recipe.
        out: the run's folder; None: runs/<the recipe's name>.
        resume: whether to go on where a stopped run in the same folder stopped.
        from_stage: a stage to do again, with all after it.
        only_training: whether to stop after the quantized student.
        progress: called with (parts done, parts in all, what is done).
        log: called with a line for each stage and each warning.

    Returns:
        The run.

    Raises:
        UserError: the recipe or the folder cannot be used.
        MissingDependencyError: the data set or Lava is not on this machine.
    """
    from spikeport.files import discard_writes
    from spikeport.pipeline.stages.checks import check_recipe
    from spikeport.pipeline.stages.resuming import begin
    from spikeport.pipeline.stages.runner import run_stages
    from spikeport.versions import about_this_run

    read = as_recipe(recipe)
    check_recipe(read, for_netx=not only_training)
    folder = Path("runs") / read.name if out is None else Path(out)
    if distributed.is_worker(read.training):
        with distributed.process_group(read.training), discard_writes(folder):
            run_stages(Context(open_folder(folder), progress_of(None)), only_training=True)
        return Run(folder=open_folder(folder))
    display = progress_of(progress, log)
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


def train(recipe: Recipe | PathLike, out: PathLike | None = None, **options: Any) -> Run:
    """Trains teacher, student and quantized student; `run` with `resume` does the rest. Arguments as for `run`."""
    return run(recipe, out, only_training=True, **options)


def check(
    run: Run | PathLike,
    *,
    samples: int | None = None,
    seed: int | None = None,
    progress: ProgressLike = None,
    log: Log | None = None,
) -> CheckResult:
    """Compares quantized student, integer reference and the recipe's backends again, spike by spike; records nothing.

    Args:
        run: a run, or its folder.
        samples: recordings that the backends simulate, drawn by class; None: as many as the recipe says.
        seed: of the draw; None: the recipe's.
        progress: called with (parts done, parts in all, what is done).
        log: called with lines for people, such as where a divergence is kept.

    Returns:
        All comparisons; `.mismatches` counts the entries that differ.
    """
    from spikeport.pipeline.stages.deploy import check as compare_spikes

    opened = as_run(run)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(CannotWriteError):  # in a folder that is read-only nobody else writes either
            stack.enter_context(locked(opened.path))
        context = Context(opened.folder, progress_of(progress, log))
        output = compare_spikes(context, samples=samples, seed=seed)
    assert isinstance(output.result, CheckResult)
    return output.result


def report(run: Run | PathLike, *, baselines: Sequence[PathLike] = (), out: PathLike | None = None) -> Path:
    """Writes report.html, report.md, report.json and their tables again from what the run found.

    Args:
        run: a run, or its folder.
        baselines: baseline.json files of other machines, shown beside the run's own and kept for later reports.
        out: another folder for the report; the run is left as it is. None: the run's folder.

    Returns:
        The path of report.html.

    Raises:
        UserError: a stage has not run, or a file of it is missing or changed.
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

"""Runs a sweep in one folder: recipe.toml, the run folders of the trials, sweep.json and sweep.md."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import write_json, write_text
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST, RECIPE, find_recipe, load_recipe
from spikeport.pipeline.run.run_folder import differences, is_text, locked
from spikeport.pipeline.stages.settings import setting_words, toml_value
from spikeport.pipeline.sweep.engine import JOURNAL, run_trials
from spikeport.pipeline.sweep.plan import Setting, Trial, parse_over, plan_trials
from spikeport.pipeline.sweep.sweep_json import SweepJson, TrialRow
from spikeport.pipeline.sweep.table import markdown, notes, rows_of, table
from spikeport.pipeline.sweep.trial import TrialResult
from spikeport.tables import html_table, text_of, text_table
from spikeport.versions import about_this_run

SCHEMA = "spikeport-sweep/1"
RESULT, PAGE = "sweep.json", "sweep.md"


def sweep(
    source: Path,
    overrides: Sequence[str],
    settings: Sequence[Setting],
    out: Path,
    *,
    seeds: int,
    folds: int = 0,
    jobs: int = 1,
    resume: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> SweepJson:
    """Trains every setting with every seed and fold, each as `spikeport train` in its own folder.

    sweep.json and sweep.md are written again after every trial.

    Args:
        source: the recipe's file.
        overrides: words `key=value`, settings of all trials.
        settings: the settings to compare; the first is the one that the others are compared with.
        out: the sweep's folder.
        seeds: number of seeds, counted up from the recipe's.
        folds: number of folds; 0 for the recipe's own split.
        jobs: trials at a time.
        resume: whether to resume a sweep in `out`. Finished trials are read and not run again. Settings, seeds and
            folds may be added; the recipe may not change.
        log: called with a line for each trial that ends.

    Returns:
        The content of sweep.json: `rows` (see `rows_of`), `trials` with the correct recordings of each, and `failed`
        with the reasons.

    Raises:
        UserError: before anything runs, for a combination that is not a recipe or a folder that holds something else.
        MissingDependencyError: all trials lacked something, such as the data.
    """
    recipe, trials = plan_trials(source, overrides, settings, seeds=seeds, folds=folds)
    if len(trials) == 1:
        log("note: one setting, one seed and no folds: nothing is compared; add --over, --seeds or --folds")
    with locked(out):
        _claim(out, recipe, resume)
        results = _TrialLog(recipe, settings, trials, out, jobs, log, seeds, folds)
        run_trials(out / RECIPE, trials, out, jobs=jobs, done=results.done)
        result = results.write()
    if results.missing and len(results.missing) == len(trials):
        raise MissingDependencyError("no trial could run", where=str(out), cause=results.failed[trials[0].name])
    return result


def sweep_recipe(
    recipe: str | os.PathLike[str],
    over: Mapping[str, Sequence[Any]] | Sequence[str] = (),
    *,
    out: str | os.PathLike[str] | None = None,
    changes: Mapping[str, Any] | Sequence[str] | None = None,
    seeds: int = 1,
    folds: int = 0,
    jobs: int = 1,
    resume: bool = False,
    log: Callable[[str], None] | None = None,
) -> SweepResult:
    """Trains a recipe with every combination of values, seeds and folds, each in a process of its own.

    Args:
        recipe: a TOML file, or the name of a shipped recipe.
        over: values by dotted key, such as `{"distillation.method": ["baseline", "ckd"]}`, or words `key=a,b,c`. The
            first combination is the one that the others are compared with.
        out: the sweep's folder; None: runs/sweep-<the recipe's name>.
        changes: settings of all trials, as for `load_recipe`.
        seeds: number of seeds, counted up from the recipe's.
        folds: number of folds of the recordings; 0: the recipe's own split.
        jobs: trials at a time.
        resume: whether to go on with a stopped sweep in the same folder.
        log: called with a line for each trial that ends.

    Raises:
        UserError: a combination is not a recipe, or the folder holds something else.
        MissingDependencyError: all trials lacked something, such as the data.
    """
    source = find_recipe(os.fspath(recipe))
    words = setting_words(changes)
    folder = Path("runs") / f"sweep-{load_recipe(source, words).name}" if out is None else Path(out)
    if isinstance(over, Mapping):
        over = [f"{key}={','.join(map(toml_value, values))}" for key, values in over.items()]
    settings = parse_over(over)
    content = sweep(
        source, words, settings, folder, seeds=seeds, folds=folds, jobs=jobs, resume=resume, log=log or (lambda _: None)
    )
    return SweepResult(folder=folder, content=content)


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The result of a sweep. Its text form is a table.

    Attributes:
        folder: the sweep's folder with sweep.json, sweep.md and the trials' run folders.
        content: sweep.json: a row for each setting with means and paired differences, all trials, and the failures.
    """

    folder: Path
    content: SweepJson

    @property
    def failed(self) -> dict[str, str]:
        """Reasons of failed trials, by name of the trial."""
        return dict(self.content["failed"])

    def __repr__(self) -> str:
        lines = [f"Sweep in {self.folder}", *text_table(*table(self.content["rows"])), *notes(self.content)]
        return text_of([*lines, *(f"failed: {name}: {why}" for name, why in self.failed.items())])

    def _repr_html_(self) -> str:
        return html_table(*table(self.content["rows"]), f"Sweep in {self.folder}")


class _TrialLog:
    """Collects the results of trials and keeps sweep.json and sweep.md up to date."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Sequence[Setting],
        trials: Sequence[Trial],
        out: Path,
        jobs: int,
        log: Callable[[str], None],
        seeds: int,
        folds: int,
    ) -> None:
        self.recipe, self.settings, self.trials, self.out = recipe, settings, trials, out
        self.jobs, self.log, self.seeds, self.folds = jobs, log, seeds, folds
        self.results: dict[str, TrialResult] = {}
        self.failed: dict[str, str] = {}
        self.missing: set[str] = set()
        self.about = about_this_run()
        self.ran, self.began = 0, time.monotonic()

    def done(self, trial: Trial, found: TrialResult | UserError) -> None:
        if isinstance(found, TrialResult):
            self.results[trial.name] = found
            text = f"{100 * found.accuracy_float:.2f} % float, {100 * found.accuracy_quantized:.2f} % quantized"
        else:
            self.failed[trial.name] = text = str(found)
            self.missing |= {trial.name} if isinstance(found, MissingDependencyError) else set()
        count = len(self.results) + len(self.failed)
        # Trials that were finished before are reported at once; they do not count for the estimate.
        self.ran += time.monotonic() - self.began > 1
        self.log(f"[{count}/{len(self.trials)}] {trial.name}: {text}{self._estimate(len(self.trials) - count)}")
        self.write()

    def write(self) -> SweepJson:
        result: SweepJson = {
            "schema": SCHEMA,
            "name": self.recipe.name,
            "about": self.about,
            "seeds": self.seeds,
            "folds": self.folds,
            "rows": rows_of(self.settings, self.trials, self.results),
            "trials": [self._row(trial) for trial in self.trials if trial.name in self.results],
            "failed": self.failed,
        }
        write_json(self.out / RESULT, result)
        write_text(self.out / PAGE, markdown(result))
        return result

    def _row(self, trial: Trial) -> TrialRow:
        return {
            "run": trial.name,
            "setting": trial.setting.label,
            "changes": list(trial.changes),
            "seed": trial.seed,
            "fold": trial.fold,
            **self.results[trial.name].row(),
        }

    def _estimate(self, left: int) -> str:
        if not self.ran or not left:
            return ""
        minutes = (time.monotonic() - self.began) / self.ran * left / 60
        return f"; about {minutes:.0f} min left" if minutes >= 1 else "; less than a minute left"


def _claim(out: Path, recipe: Recipe, resume: bool) -> None:
    """Writes the recipe into an empty `out`; in a sweep's folder, checks that the recipe is the same."""
    if (out / JOURNAL).is_file() or (out / RESULT).is_file():
        if not resume:
            raise UserError(
                "this folder already holds a sweep", where=str(out), hint="go on with --resume, or name another --out"
            )
        changed = differences(load_recipe(out / RECIPE).model_dump(), recipe.model_dump())
        if changed:
            raise UserError(
                f"the sweep there was made with other settings of {', '.join(changed)}",
                where=str(out),
                hint="resume with the same recipe, or name another --out",
            )
        return
    left = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")}
    if MANIFEST in left or left - ({RECIPE} if is_text(out / RECIPE, recipe.as_toml()) else set()):
        raise UserError(
            "this folder holds files that are not a sweep", where=str(out), hint="name an empty --out folder"
        )
    write_text(out / RECIPE, recipe.as_toml())

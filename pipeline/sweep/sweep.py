"""A whole sweep in one folder: recipe.toml, the trials' run folders, sweep.json and sweep.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import write_json, write_text
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.run_folder import MANIFEST, RECIPE, differences, is_text, locked
from spikeport.pipeline.sweep.engine import JOURNAL, run_trials
from spikeport.pipeline.sweep.plan import Setting, Trial, plan_trials
from spikeport.pipeline.sweep.table import markdown, rows_of
from spikeport.pipeline.sweep.trial import TrialResult
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
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs every setting with every seed and fold, each as `spikeport train` in a folder of its own, and compares.

    Gives what sweep.json holds: `rows` (see `rows_of`), `trials` with what each got right, and why others `failed`.
    sweep.json and sweep.md are written anew after every trial. With `resume`, finished trials are read and not run;
    settings, seeds and folds may be added, the recipe may not change. Raises UserError before anything runs for a
    combination that is no recipe, and for a folder that holds something else; MissingDependencyError where all trials
    lacked something, such as the data.
    """
    recipe, trials = plan_trials(source, overrides, settings, seeds=seeds, folds=folds)
    with locked(out):
        _claim(out, recipe, resume)
        log = _Log(recipe, settings, trials, out, jobs, say, {"seeds": seeds, "folds": folds})
        run_trials(out / RECIPE, trials, out, jobs=jobs, done=log.done)
        result = log.write()
    if log.missing and len(log.missing) == len(trials):
        raise MissingDependencyError("no trial could run", where=str(out), cause=log.failed[trials[0].name])
    return result


class _Log:
    """Collects outcomes and keeps the result's files up to date."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Sequence[Setting],
        trials: Sequence[Trial],
        out: Path,
        jobs: int,
        say: Callable[[str], None],
        asked: dict[str, int],
    ) -> None:
        self.recipe, self.settings, self.trials, self.out = recipe, settings, trials, out
        self.jobs, self.say, self.asked = jobs, say, asked
        self.results: dict[str, TrialResult] = {}
        self.failed: dict[str, str] = {}
        self.missing: set[str] = set()
        self.about = about_this_run()
        self.ran, self.began = 0, time.monotonic()

    def done(self, trial: Trial, found: TrialResult | UserError) -> None:
        if isinstance(found, TrialResult):
            self.results[trial.name] = found
            said = f"{100 * found.accuracy_float:.2f} % float, {100 * found.accuracy_quantized:.2f} % quantized"
        else:
            self.failed[trial.name] = said = str(found)
            self.missing |= {trial.name} if isinstance(found, MissingDependencyError) else set()
        count = len(self.results) + len(self.failed)
        # Trials that were finished before are told of within a moment; they say nothing about time.
        self.ran += time.monotonic() - self.began > 1
        self.say(f"[{count}/{len(self.trials)}] {trial.name}: {said}{self._estimate(len(self.trials) - count)}")
        self.write()

    def write(self) -> dict[str, Any]:
        result = {
            "schema": SCHEMA,
            "name": self.recipe.name,
            "about": self.about,
            **self.asked,
            "rows": rows_of(self.settings, self.trials, self.results),
            "trials": [self._row(trial) for trial in self.trials if trial.name in self.results],
            "failed": self.failed,
        }
        write_json(self.out / RESULT, result)
        write_text(self.out / PAGE, markdown(result))
        return result

    def _row(self, trial: Trial) -> dict[str, Any]:
        facts = {"run": trial.name, "setting": trial.setting.label, "changes": list(trial.changes)}
        return {**facts, "seed": trial.seed, "fold": trial.fold, **self.results[trial.name].row()}

    def _estimate(self, left: int) -> str:
        if not self.ran or not left:
            return ""
        minutes = (time.monotonic() - self.began) / self.ran * left / 60
        return f"; about {minutes:.0f} min left" if minutes >= 1 else "; less than a minute left"


def _claim(out: Path, recipe: Recipe, resume: bool) -> None:
    """Makes `out` this sweep's folder, or makes sure that it is."""
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
        raise UserError("this folder holds files that are no sweep", where=str(out), hint="name an empty --out folder")
    write_text(out / RECIPE, recipe.as_toml())

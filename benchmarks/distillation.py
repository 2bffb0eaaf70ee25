"""Study of distillation on real recordings: every method, a learning curve, an ablation, the targets.

    python benchmarks/distillation.py methods curve ablation [--seeds N] [--jobs N]
        [--recipe recipes/nmnist-small.toml] [--set data.root=../shared/data] [--only REGEX] [--folds N]
        [--draw] [--list] [--again] [--write-recipe FILE]

Each run is a process with a folder under runs/distillation/, and is added to docs/results/distillation.json when it
ends; a stopped study continues with the same command. docs/results/distillation.md is generated from that file alone
(`--draw` does nothing else). The study takes hours on 2 cores; `--list` prints what would run. `--again` leaves both
files as they are: it does recorded runs again with today's code, and adds how they compare to nmnist_today.txt, .json.
`--write-recipe` writes the recipe of the first of the runs, which `spikeport run` and `spikeport sweep` take.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import distillation_again
import distillation_page
from distillation_parts import PARTS, Part, Variant

from spikeport import exits
from spikeport.errors import UserError
from spikeport.files import write_json, write_text
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe, parse_recipe
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages.checks import check_recipe
from spikeport.pipeline.sweep.engine import run_trials
from spikeport.pipeline.sweep.plan import Setting, Trial
from spikeport.pipeline.sweep.trial import TrialResult
from spikeport.versions import about_this_run

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "spikeport-distillation/1"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--recipe", default="nmnist-small")
    parser.add_argument("--set", dest="changes", metavar="A.B=VALUE", action="append", default=[])
    parser.add_argument("--seeds", type=int, help="instead of the part's own number")
    parser.add_argument("--only", metavar="REGEX", help="variants whose `group, label` it is found in")
    parser.add_argument("--folds", type=int, metavar="N", help="only the first N of the part's folds")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "distillation")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results")
    parser.add_argument("--draw", action="store_true", help="draw the document and leave")
    parser.add_argument("--list", action="store_true", help="say what would run and leave")
    parser.add_argument("--again", action="store_true", help="compare recorded runs with today's code")
    parser.add_argument("--write-recipe", type=Path, metavar="FILE", help="write the first run's recipe and leave")
    options = parser.parse_args(words)
    options.words = sys.argv[1:] if words is None else words
    study = Study(options.results, options.runs)
    failed = 0
    try:
        if options.write_recipe:
            _, trial = trials_of(options.parts[0], PARTS[options.parts[0]], *_asked(options))[0]
            recipe = load_recipe(find_recipe(options.recipe), [*options.changes, *trial.changes])
            write_text(options.write_recipe, recipe.as_toml())
            return 0
        if options.again:
            return study.again(options)
        for name in [] if options.draw else options.parts:
            failed += study.run(name, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("the same command goes on from here", file=sys.stderr)
        raise
    if not options.list:
        study.draw()
    return 1 if failed else 0


class Study:
    """The file of finished runs, and what adds to it."""

    def __init__(self, results: Path, runs: Path) -> None:
        self.file, self.page, self.runs = results / "distillation.json", results / "distillation.md", runs

    def read(self) -> dict[str, Any]:
        if not self.file.is_file():
            return {"schema": SCHEMA, "parts": {}}
        return json.loads(self.file.read_text(encoding="utf-8"))

    def draw(self) -> None:
        titles = {name: (part.title, part.about) for name, part in PARTS.items()}
        write_text(self.page, distillation_page.page(self.read(), titles))

    def run(self, name: str, options: argparse.Namespace) -> int:
        """Runs what is missing of a part; gives how many runs failed."""
        part, source = PARTS[name], find_recipe(options.recipe)
        recipe = load_recipe(source, options.changes)
        digest = hashlib.sha256(recipe.as_toml().encode()).hexdigest()
        trials = trials_of(name, part, *_asked(options))
        for _, trial in trials:
            check_recipe(
                load_recipe(source, [*options.changes, *trial.changes]), for_netx=False
            )  # a mistake is said before hours of work
        variants = part.variants(recipe)
        head = {"recipe": source.name, "set": options.changes, "digest": digest, "resolved": recipe.as_toml()}
        known = self._known(name, recipe)
        missing = [trial for _, trial in trials if known.get(trial.name) != list(trial.changes)]
        variant_of = {trial.name: variant for variant, trial in trials}
        elsewhere = self._elsewhere(recipe)
        taken = [trial for trial in missing if trial.changes in elsewhere]
        missing = [trial for trial in missing if trial.changes not in elsewhere]
        print(f"{name}: {len(trials)} runs, {len(missing)} to do, {len(taken)} as in another part", flush=True)
        if options.list:
            print("\n".join(f"  {trial.name}: {' '.join(trial.changes)}" for trial in missing))
            return 0
        for trial in taken:
            self._add(
                name, head, recipe, variants, elsewhere[trial.changes] | _place(variant_of[trial.name], variants, trial)
            )
        out = self.runs / f"{name}-{digest[:8]}"
        write_text(out / "recipe.toml", recipe.as_toml())
        failed = []

        def done(trial: Trial, found: TrialResult | UserError) -> None:
            if isinstance(found, TrialResult):
                self._add(name, head, recipe, variants, _row(variant_of[trial.name], variants, trial, found, out))
                message = f"{100 * found.accuracy_float:.2f} % float, {100 * found.accuracy_quantized:.2f} % quantized"
            else:
                failed.append(trial.name)
                message = f"{found} (see {out / trial.name}.log)"
            print(f"{name} {trial.name}: {message}", flush=True)

        run_trials(out / "recipe.toml", missing, out, jobs=options.jobs, done=done, verb=part.verb)
        return len(failed)

    def again(self, options: argparse.Namespace) -> int:
        """Does recorded runs again and writes the comparison; gives how many failed.

        Settings of `--set` are given to the runs and not compared: where the data are, and the number of threads.
        """
        pairs, failed = [], []
        recipe = load_recipe(find_recipe(options.recipe), options.changes)
        for name in options.parts:
            part, known = PARTS[name], {run["run"]: run for run in self.read()["parts"][name]["runs"]}
            trials = [
                trial
                for _, trial in trials_of(name, part, *_asked(options))
                if known.get(trial.name, {}).get("changes") == list(trial.changes)
            ]

            def done(trial: Trial, found: TrialResult | UserError, name: str = name, known: Any = known) -> None:
                print(f"{name} {trial.name}: {found if isinstance(found, UserError) else 'done'}", flush=True)
                if isinstance(found, UserError):
                    failed.append(trial.name)
                else:
                    pairs.append((name, known[trial.name], found.row()))

            out = self.runs / f"again-{name}"
            write_text(out / "recipe.toml", recipe.as_toml())
            run_trials(out / "recipe.toml", trials, out, jobs=options.jobs, done=done, verb=part.verb)
        about = {key: value for key, value in about_this_run().items() if key != "command"}
        command = shlex.join(["python", "benchmarks/distillation.py", *options.words])
        again = [
            {key: recorded[key] for key in ("run", "seed", "fold")}
            | {"part": name, "command": command, "about": about, **today}
            for name, recorded, today in pairs
        ]
        file = self.file.with_name("nmnist_today.json")
        before = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.is_file() else []
        runs = distillation_again.merged(before, again)
        lines = distillation_again.page(runs, self.read()["parts"])
        write_text(file.with_suffix(".txt"), "\n".join([*lines, ""]))
        write_json(file, {"runs": runs})
        print("\n".join(lines))
        return len(failed)

    def _known(self, name: str, recipe: Recipe) -> dict[str, list[str]]:
        part = self.read()["parts"].get(name)
        return {run["run"]: run["changes"] for run in part["runs"]} if part and _of_recipe(part, recipe) else {}

    def _elsewhere(self, recipe: Recipe) -> dict[tuple[str, ...], dict[str, Any]]:
        """Runs of any part by what they change: the same change, seed and fold are the same run."""
        parts = [part for part in self.read()["parts"].values() if _of_recipe(part, recipe)]
        return {tuple(run["changes"]): run for part in parts for run in part["runs"]}

    def _add(
        self, name: str, head: dict[str, Any], recipe: Recipe, variants: tuple[Variant, ...], row: dict[str, Any]
    ) -> None:
        """Adds a run to its part, in the order of variants, and drops runs of other recipes and variants."""
        places = {(variant.group, variant.label): place for place, variant in enumerate(variants)}
        with _one_at_a_time(self.runs):
            study = self.read()
            part = study["parts"].get(name)
            old = part["runs"] if part and _of_recipe(part, recipe) else []
            unchanged = [run for run in old if (run["group"], run["variant"]) in places and _same(run) != _same(row)]
            runs = sorted(
                [*unchanged, row], key=lambda run: (places[run["group"], run["variant"]], run["seed"], run["fold"] or 0)
            )
            study["parts"][name] = {**head, "runs": runs}
            write_json(self.file, study)


def _of_recipe(part: dict[str, Any], recipe: Recipe) -> bool:
    """Whether a part's runs are of this recipe. Settings that came after them count as the defaults, which is what they
    did without."""
    with contextlib.suppress(UserError):  # a setting that is gone
        return parse_recipe(tomllib.loads(part["resolved"]), where="earlier runs") == recipe
    return False


def _same(run: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(run[key] for key in ("group", "variant", "seed", "fold"))


def _asked(options: argparse.Namespace) -> tuple[Recipe, int | None, str | None, int | None]:
    """Recipe, seeds, variants and folds that the command asks for, as `trials_of` takes them."""
    return load_recipe(find_recipe(options.recipe), options.changes), options.seeds, options.only, options.folds


def trials_of(
    name: str, part: Part, recipe: Recipe, seeds: int | None, only: str | None, folds: int | None = None
) -> list[tuple[Variant, Trial]]:
    """The part's runs: seed by seed, fold by fold, variant by variant, so that pairs are complete early.

    `seeds`: of every variant, instead of its own number and the part's. `folds`: only the first so many.
    """
    variants = [
        variant
        for variant in part.variants(recipe)
        if not only or re.search(only, ", ".join(filter(None, (variant.group, variant.label))))
    ]
    trials = []
    wanted = {variant: seeds or max(variant.seeds, part.seeds) for variant in variants}
    for seed in range(recipe.seed, recipe.seed + max(wanted.values(), default=0)):
        for fold in range(part.folds)[:folds] if part.folds else (None,):
            for variant in (variant for variant in variants if seed - recipe.seed < wanted[variant]):
                changes = [*variant.changes, f"seed={seed}", "distillation.train_baseline=false"]
                changes += (
                    [f"data.split_seed={seed}"] if fold is None else [f"data.folds={part.folds}", f"data.fold={fold}"]
                )
                place = re.sub(r"[^\w.-]+", "-", f"{variant.group} {variant.label}".strip())
                folder = f"{place}/seed{seed}" + ("" if fold is None else f"-fold{fold}")
                trials.append(
                    (variant, Trial(folder, Setting(variant.label, variant.changes), seed, fold, tuple(changes)))
                )
    return trials


def _place(variant: Variant, variants: tuple[Variant, ...], trial: Trial) -> dict[str, Any]:
    """Where a run stands in its part."""
    return {
        "run": trial.name,
        "group": variant.group,
        "variant": variant.label,
        "reference": next(other.label for other in variants if other.group == variant.group),
    }


def _row(
    variant: Variant, variants: tuple[Variant, ...], trial: Trial, found: TrialResult, out: Path
) -> dict[str, Any]:
    run = open_run(out / trial.name)
    about, check = run.manifest["about"], run.manifest["stages"].get("check")
    compared = check["result"]["comparisons"]["quantized_vs_reference"] if check else {}
    if not isinstance(compared, dict):  # a sentence that says why there was no comparison
        compared = {}
    return {
        **_place(variant, variants, trial),
        "changes": list(trial.changes),
        "seed": trial.seed,
        "fold": trial.fold,
        "created_utc": about["created_utc"],
        "cores": about["cores"],
        "versions": {name: about["versions"][name] for name in ("python", "spikeport", "torch", "snntorch", "numpy")},
        "mismatches": compared.get("mismatches"),
        "spikes_compared": compared.get("spikes_compared"),
        **found.row(),
    }


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two parts that run at once write the same file one after the other."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".results-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(exits.exit_code_of(lambda: sys.exit(main())))  # signals stop the trials too, as in `spikeport sweep`

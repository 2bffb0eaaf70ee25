"""Rows of the results pages of four worlds, trained again by `spikeport sweep` and compared.

    python benchmarks/sweeps.py [WORLD ...] [--work FOLDER] [--write]

A benchmark writes the recipe of a row (`--write-recipe`), `spikeport sweep` trains it, and the quantized accuracies
stand beside the recorded ones; where the page has a JSON file, the answers of all test recordings are compared too. A
stopped sweep continues with the same command. `--write` writes docs/results/sweeps.txt.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion import right_of

from spikeport.files import write_text
from spikeport.tables import text_table
from spikeport.versions import about_this_run

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
NOTE = """quantized: accuracy in per cent of the test recordings. other answers: recordings that only one of the two
trainings classifies correctly; empty where the page has accuracies alone, which are compared as it rounds them."""


@dataclass(frozen=True)
class Recorded:
    """A quantized accuracy on a results page.

    Attributes:
        accuracy: per cent, as text.
        right: `1` for each test recording that is classified correctly, else `0`; "" where the page has none.
    """

    accuracy: str
    right: str = ""


@dataclass(frozen=True)
class World:
    """A row of a results page, and how a sweep trains it.

    Attributes:
        page: the page, from the repository's root.
        recorded: reads the accuracies, in the order of the sweep's settings.
        sweep: words of `spikeport sweep`; {recipe} is the file that the benchmark writes.
        benchmark: words that make the recipe; none for one that is shipped.
    """

    page: str
    recorded: Callable[[], list[Recorded]]
    sweep: str
    benchmark: str = ""


def nmnist() -> list[Recorded]:
    """The baseline with 20 recordings, seed 1."""
    content = json.loads((RESULTS / "nmnist_today.json").read_text(encoding="utf-8"))
    runs = {run["run"]: run for run in content["runs"]}
    run = runs["20-recordings-baseline/seed1"]
    return [Recorded(f"{100 * run['accuracy_quantized']:.2f}", run["correct_quantized"])]


def cards() -> list[Recorded]:
    """The baseline's first two draws."""
    page = (RESULTS / "poker_cards.txt").read_text(encoding="utf-8")
    return [Recorded(draw) for draw in draws_of("baseline", page)[:2]]


def draws_of(training: str, page: str) -> list[str]:
    """The accuracies of a training's draws on the page of the playing cards, at the first number of recordings.

    Args:
        training: name of the training.
        page: the text.
    """
    row = next(line for line in page.splitlines() if line.startswith(f"{training}  "))
    return re.split(r"  +", row.strip())[3].split()


def fashion() -> list[Recorded]:
    """The baseline with 50 recordings."""
    run = json.loads((RESULTS / "fashion.json").read_text(encoding="utf-8"))["runs"]["50/0/baseline"]
    return [Recorded(f"{run['quantized']:.2f}", "".join(map(str, right_of(run).astype(int))))]


def digits() -> list[Recorded]:
    """The demo's baseline and student."""
    found = re.search(
        r"demo: digits.*?\| ([\d.]+) % of \d+ \(baseline ([\d.]+) %\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert found, "README.md has no row of the demo"
    return [Recorded(found[2]), Recorded(found[1])]


WORLDS = {
    "nmnist": World(
        page="docs/results/nmnist_today.txt",
        recorded=nmnist,
        benchmark="distillation.py curve --only '^20 recordings, baseline' --set training.threads=1",
        sweep="{recipe}",
    ),
    "cards": World(
        page="docs/results/poker_cards.txt",
        recorded=cards,
        benchmark="poker_cards.py --recordings 20 --trained baseline",
        sweep="{recipe} --over data.splits=20-0.csv,20-1.csv",
    ),
    "fashion": World(
        page="docs/results/fashion.txt",
        recorded=fashion,
        benchmark="fashion.py --recordings 50 --trained baseline",
        sweep="{recipe}",
    ),
    "digits": World(
        page="README.md",
        recorded=digits,
        sweep="digits --over distillation.method=baseline,ckd-events",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"{', '.join(WORLDS)}; all without one")
    parser.add_argument("--work", type=Path, default=Path("runs") / "sweeps")
    parser.add_argument("--write", action="store_true", help="write docs/results/sweeps.txt")
    options = parser.parse_args()
    if unknown := set(options.worlds) - set(WORLDS):
        parser.error(f"no world {', '.join(sorted(unknown))}; there are {', '.join(WORLDS)}")
    about = {key: value for key, value in about_this_run().items() if key != "command"}
    lines = [shlex.join(["python", "benchmarks/sweeps.py", *sys.argv[1:]]), json.dumps(about), ""]
    for name in options.worlds or WORLDS:
        world, recipe, out = WORLDS[name], options.work / f"{name}.toml", options.work / name
        words = f"{world.sweep.format(recipe=shlex.quote(str(recipe)))} --out {shlex.quote(str(out))}"
        lines += [f"{name}: a row of {world.page}", ""]
        if world.benchmark:
            benchmark = f"benchmarks/{world.benchmark} --write-recipe {shlex.quote(str(recipe))}"
            recipe.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, *shlex.split(benchmark)], cwd=ROOT, check=True)
            lines += [f"    python {benchmark}"]
        command = [sys.executable, "-P", "-m", "spikeport", "sweep", *shlex.split(words), "--resume"]
        subprocess.run(command, cwd=ROOT, check=True)
        lines += [f"    spikeport sweep {words}", ""]
        trials = json.loads((ROOT / out / "sweep.json").read_text(encoding="utf-8"))["trials"]
        lines += [
            *text_table(("setting", "recorded", "sweep", "other answers", ""), rows(world.recorded(), trials)),
            "",
        ]
        page = "\n".join([*lines, *NOTE.splitlines(), ""])
        if options.write:  # after each world: a sweep takes minutes
            write_text(RESULTS / "sweeps.txt", page)
    print(page)


def rows(recorded: Sequence[Recorded], trials: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row for each setting: both accuracies, how many answers differ, and whether all is equal.

    Args:
        recorded: of the page, in the order of the sweep's settings.
        trials: of sweep.json.
    """
    found = []
    for page, trial in zip(recorded, trials, strict=True):
        places = len(page.accuracy.partition(".")[2])
        accuracy = f"{100 * trial['accuracy_quantized']:.{places}f}"
        apart = ""
        if page.right:
            apart = str(sum(one != two for one, two in zip(page.right, trial["correct_quantized"], strict=True)))
        equal = accuracy == page.accuracy and apart in ("", "0")
        found.append((trial["setting"], page.accuracy, accuracy, apart, "equal" if equal else "differs"))
    return found


if __name__ == "__main__":
    main()

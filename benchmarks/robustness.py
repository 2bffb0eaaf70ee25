"""Hostile and damaged inputs, kills and full disks against the command: no traceback, no hang, nothing lost.

    python benchmarks/robustness.py [--only SECTION]... [--part I/N] [--seed 1] [--keep FOLDER] [--write]
    python benchmarks/robustness.py --case "recordings: .npy objects"    one input, made and tried again

Each input is given to the command `spikeport` in a process of its own, forked from one that has imported it. Allowed
are exit codes 0, 2 and 3, at most 20 s without the time of waiting for a CPU, at most 1 GiB of memory, and files where
the command was asked to write. Output to a terminal is printable, and a refusal is one line. Everything else is a
violation: it is listed, its input is saved in FOLDER, and the exit code is 1. `--write` puts the tables of all sections
that were run so far with this seed into docs/results/robustness.txt.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from hostile_inputs import (
    archives,
    frames,
    full_disks,
    kills,
    mutants,
    pictures,
    recipes,
    recordings,
    run_folders,
    small_run,
    warm,
)
from hostile_inputs.cases import Case, share

RESULT = Path(__file__).resolve().parent.parent / "docs" / "results" / "robustness.txt"


@dataclass
class Totals:
    """Numbers of outcomes of the inputs of a section."""

    inputs: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    tracebacks: int = 0
    hangs: int = 0
    over_memory: int = 0
    others: int = 0
    slowest_s: float = 0.0
    peak_mib: int = 0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, name: str, outcome: warm.ProcessResult, found: list[str]) -> None:
        """Adds one input."""
        self.inputs += 1
        self.codes[str(outcome.code)] += 1
        heads = {words.split(":")[0] for words in found}
        self.tracebacks += "traceback" in heads
        self.hangs += "hang" in heads
        self.over_memory += "memory" in heads
        self.others += bool(heads - {"traceback", "hang", "memory"})
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.peak_mib = max(self.peak_mib, outcome.peak_mib)
        if found:
            self.violations.append(f"{name}: {'; '.join(found)}")

    def count_loudly(self, name: str, outcome: warm.ProcessResult, found: list[str]) -> None:
        """Adds one process of a slow section, and prints it."""
        self.count(name, outcome, found)
        log(f"{name}: {outcome.code}, {outcome.seconds:.1f} s" + "".join(f"; VIOLATION {words}" for words in found))

    def add(self, other: dict[str, Any]) -> None:
        """Adds the saved totals of another part."""
        for key, value in other.items():
            mine = getattr(self, key)
            if key in ("slowest_s", "peak_mib"):
                setattr(self, key, max(mine, value))
            elif key == "codes":
                mine.update(value)
            else:
                setattr(self, key, mine + value)


def hostile(cases: list[Case]) -> Callable[[argparse.Namespace, Totals], None]:
    """The section that tries these inputs."""

    def run(args: argparse.Namespace, totals: Totals) -> None:
        place = args.keep / "now"
        chosen = list(share(cases, *args.part))[:: args.every]
        for number, case in enumerate(chosen, 1):
            outcome, found = warm.try_case(case, args.seed, place)
            totals.count(f"{case.kind}: {case.name}", outcome, found)
            if found:
                log(f"VIOLATION {totals.violations[-1]}")
                keep(place, args.keep / f"{case.kind}-{number}")
            log(f"{number} {case.kind}: {case.name} -> {outcome.code}", passing=True)
        shutil.rmtree(place, ignore_errors=True)

    return run


def damaged(args: argparse.Namespace, totals: Totals) -> None:
    """The section of damaged event files: every tenth is given to the whole command, the others to its reader."""
    whole = [number for number in range(args.files) if number // len(mutants.EXTENSIONS) % 10 == 0]
    few = set(whole)
    cases = [(mutants.whole_command if n in few else mutants.only_read)(n, args.seed) for n in range(args.files)]
    hostile(cases)(args, totals)
    if args.part == (1, 1) and args.every == 1:
        totals.notes.append(
            f"{len(mutants.EXTENSIONS)} extensions; {len(whole)} before `data info`, the others read alone"
        )


def killed(args: argparse.Namespace, totals: Totals) -> None:
    """The section of kills."""
    whole = small_run.undisturbed(args.keep)
    part, parts = args.part
    number = len(range(part - 1, args.kills, parts))
    met = kills.killed(args.keep / f"kills-{part}", whole, number, 1000 * args.seed + part, totals.count_loudly)
    totals.notes.append(f"{met.total()} kills: " + ", ".join(f"{name} {met[name]}" for name in small_run.stages(whole)))


def starved(args: argparse.Namespace, totals: Totals) -> None:
    """The section of full disks; the first part runs all of it."""
    if args.part[0] == 1:
        whole = small_run.undisturbed(args.keep)
        totals.notes.append(full_disks.starved(args.keep / "disks", whole, totals.count_loudly))


def all_cases(keep: Path) -> list[Case]:
    """Every hostile input of every kind. `keep`: where a sound run is made for the kinds that damage one."""
    plain = [case for home in (recordings, pictures, archives, frames, recipes) for case in home.cases()]
    return plain + run_folders.cases(lambda: small_run.undisturbed(keep, lava=False))


def sections(keep: Path) -> dict[str, Callable[[argparse.Namespace, Totals], None]]:
    """The sections by name, in order."""
    kinds: dict[str, list[Case]] = {}
    for case in all_cases(keep):
        kinds.setdefault(case.kind, []).append(case)
    return {kind: hostile(cases) for kind, cases in kinds.items()} | {
        "mutants": damaged, "kills": killed, "disks": starved
    }  # fmt: skip


def table(all_totals: dict[str, Totals]) -> list[str]:
    """A line for each section, followed by its notes and violations."""
    head = f"{'section':12}{'inputs':>8}{'tracebacks':>12}{'hangs':>7}{'over 1 GiB':>12}{'other':>7}{'slowest':>10}{'peak MiB':>10}  exit codes"  # fmt: skip  # noqa: E501
    rows = [
        f"{name:12}{t.inputs:8,}{t.tracebacks:12}{t.hangs:7}{t.over_memory:12}{t.others:7}{t.slowest_s:8.1f} s{t.peak_mib:10}  "  # noqa: E501
        + ", ".join(f"{code}: {count:,}" for code, count in sorted(t.codes.items()))
        for name, t in all_totals.items()
    ]
    notes = [f"{name}: {note}" for name, t in all_totals.items() for note in t.notes]
    return [head, *rows, "", *notes, *(f"VIOLATION {line}" for t in all_totals.values() for line in t.violations)]


def keep(found: Path, at: Path) -> None:
    """Saves a violation's folder, which the next input would overwrite."""
    shutil.rmtree(at, ignore_errors=True)
    found.rename(at)


def log(text: str, *, passing: bool = False) -> None:
    """Prints a line on standard error; with `passing` only on a terminal."""
    if not passing:
        print(text, file=sys.stderr, flush=True)
    elif sys.stderr.isatty():
        print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)


def _part(text: str) -> tuple[int, int]:
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError(text)
    return part, parts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="SECTION")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="I/N")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th hostile input")
    parser.add_argument("--files", type=int, default=5000, help="damaged event files")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "spikeport-robustness")
    parser.add_argument("--write", action="store_true", help="docs/results/robustness.txt, from all sections kept")
    parser.add_argument("--kept", action="store_true", help="run nothing: the table of what was kept in FOLDER")
    parser.add_argument("--case", metavar="KIND: NAME")
    return parser.parse_args()


def _one(args: argparse.Namespace) -> int:
    case = next((case for case in all_cases(args.keep) if f"{case.kind}: {case.name}" == args.case), None)
    if case is None:
        sys.exit(f"there is no input {args.case!r}")
    outcome, found = warm.try_case(case, args.seed, args.keep / "case")
    print(f"{args.keep / 'case'}\nexit code {outcome.code}, {outcome.seconds:.1f} s, {outcome.peak_mib} MiB")
    print(outcome.out.decode(errors="replace"), outcome.err.decode(errors="replace"), *found, sep="\n")
    return int(bool(found))


def main() -> int:
    args = _arguments()
    if args.kept:
        args.only = []
    warm.load(training=args.only is None or bool({"recipes", "runs", "kills", "disks"} & set(args.only)))
    args.keep.mkdir(parents=True, exist_ok=True)
    if args.case:
        return _one(args)
    known = sections(args.keep)
    if unknown := set(args.only or ()) - set(known):
        sys.exit(f"no section {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    all_totals = {}
    for name in known if args.only is None else args.only:
        began, totals = time.monotonic(), Totals()
        known[name](args, totals)
        all_totals[name] = totals
        _keep(args, name, totals)
        log(f"{name}: {totals.inputs} inputs in {time.monotonic() - began:.0f} s, {len(totals.violations)} violations")
    if args.write or args.kept:
        all_totals = {name: totals for name in known if (totals := _kept(args, name)).inputs}
    if args.write:
        _write(args, all_totals)
    print("\n".join(table(all_totals)))
    return int(any(totals.violations for totals in all_totals.values()))


def _keep(args: argparse.Namespace, name: str, totals: Totals) -> None:
    """Saves the totals of a part, and removes those of other divisions into parts."""
    folder = args.keep / "tallies"
    folder.mkdir(exist_ok=True)
    for file in folder.glob(f"{name}-{args.seed}-*.json"):
        if not file.name.endswith(f"-of-{args.part[1]}.json"):
            file.unlink()
    (folder / f"{name}-{args.seed}-{args.part[0]}-of-{args.part[1]}.json").write_text(json.dumps(vars(totals)))


def _kept(args: argparse.Namespace, name: str) -> Totals:
    totals = Totals()
    for file in sorted((args.keep / "tallies").glob(f"{name}-{args.seed}-*.json")):
        totals.add(json.loads(file.read_text()))
    return totals


def _write(args: argparse.Namespace, all_totals: dict[str, Totals]) -> None:
    from run_all import _header

    from spikeport.files import write_text

    total = sum(totals.inputs for totals in all_totals.values())
    wrong = sum(len(totals.violations) for totals in all_totals.values())
    first = f"seed {args.seed}; {total:,} inputs, {wrong} violations"
    command = f"python benchmarks/robustness.py --seed {args.seed} --write"
    write_text(RESULT, "\n".join([_header(command), first, "", *table(all_totals), ""]))


if __name__ == "__main__":
    sys.exit(main())

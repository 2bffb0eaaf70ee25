"""Damaged files and random networks: each gives a legal value or raises UserError, in bounded time.

    python benchmarks/fuzz.py [--files 20000] [--seed 1] [--keep FOLDER] [--replay KIND:INDEX] [--data ../shared/data]

Kinds: damaged .net files (sigma-delta networks among them), .nir files, metadata and frames; .nir files read with
`--from`; and random networks: live modules, graphs with branches, and sources of `adapt`, some with parts that the chip
refuses. File `index` of a kind and seed is the same on every machine. A loaded value is legal if it can be written and
equals what is read back; a network that converts must fire the spikes of an independent execution. Everything else is
a violation: another exception, more than ten seconds of CPU time, a crash or hang of the process, many warnings. Its
file is saved in FOLDER. The exit code is 1 if there was a violation.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
from fuzz_checks import CHECKS, SUFFIX, check_framework
from fuzz_files import bases, mutant
from fuzz_networks import check_adapt, check_branches, check_module, write_seed

from spikeport.errors import UserError

KINDS = ("net", "nir", "metadata", "frames")
DRAWN = {"modules": check_module, "branches": check_branches, "adapt": check_adapt}
JUDGES = {**CHECKS, "framework": check_framework, **DRAWN}
CYCLE = (*(*KINDS, "framework") * 8, *DRAWN)  # kind of each file in turn; networks take longer
SLOW_S = 10.0
STUCK_S = 600.0
WARNINGS = 5
LIBRARY = ("libhdf5 crashed", "libhdf5 does not come to an end", "libhdf5 hangs")
MEMORY = 8 << 30  # address space of a worker


def judge(kind: str, index: int, seed: int, folder: Path, files: dict[str, list[Path]]) -> tuple[str, str, Path]:
    """Result of one damaged file ("loads", "refused" or "violation"), the message, and the file."""
    written = "nir" if kind == "framework" else kind
    path = folder / f"{kind}-{index}{SUFFIX.get(written, '.json')}"
    if kind in DRAWN:
        write_seed(path, seed, index)
    else:
        mutant(written, index, seed, files, path)
    started = time.process_time()  # of a busy machine the wall clock says nothing
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            JUDGES[kind](path)
            outcome, message = "loads", ""
        except UserError as error:
            outcome, message = "refused", str(error)
            if len(message) > 2000 or "\n" in message or not message.isprintable():
                outcome, message = "violation", f"message of {len(message)} characters: {message[:200]!r}"
        except Exception as error:
            outcome, message = "violation", f"{type(error).__name__}: {str(error)[:300]}"
    seconds = time.process_time() - started
    if seconds > SLOW_S:
        outcome, message = "violation", f"took {seconds:.1f} s of the processor ({outcome}) {message[:200]}"
    if len(caught) > WARNINGS:
        outcome, message = "violation", f"{len(caught)} warnings, the first: {caught[0].message}"
    return outcome, message, path


def work(seed: int, indices: range, data: Path, keep: Path) -> None:
    """Judges files one by one and prints a line of JSON for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with tempfile.TemporaryDirectory(prefix="spikeport-fuzz-") as name:
        folder = Path(name)
        files = bases(folder / "bases", data)
        for index in indices:
            kind = CYCLE[index % len(CYCLE)]
            print(json.dumps({"started": index}), flush=True)
            began = time.process_time()
            outcome, message, path = judge(kind, index, seed, folder, files)
            seconds = time.process_time() - began
            if outcome == "violation":
                keep.mkdir(parents=True, exist_ok=True)
                path.rename(keep / path.name)
            for rest in folder.glob(f"{kind}-{index}*"):
                rest.unlink()
            reported = {"index": index, "outcome": outcome, "message": message, "seconds": seconds}
            print(json.dumps(reported), flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_mib": peak // 1024}), flush=True)


class Supervisor:
    """Runs worker processes one after the other over a share of the files; a crash or a timeout is a violation."""

    def __init__(self, args: argparse.Namespace, indices: range) -> None:
        self.args, self.indices = args, indices
        self.counts: Counter[tuple[str, str]] = Counter()
        self.violations: list[tuple[int, str]] = []
        self.peak_mib = 0
        self.slowest_s = 0.0
        self.hdf5_faults: Counter[str] = Counter()  # what libhdf5 did in its process
        self.done = 0

    def run(self) -> None:
        rest = self.indices
        while rest:
            last = self._one(rest)
            if last is None:
                return
            rest = range(last + rest.step, rest.stop, rest.step)

    def _one(self, indices: range) -> int | None:
        """Runs a worker. Returns the file at which it crashed, None if it finished."""
        share = [indices.start, indices.stop, indices.step]
        process = subprocess.Popen(
            [sys.executable, __file__, "--share", json.dumps(share), "--seed", str(self.args.seed), "--data",
             str(self.args.data), "--keep", str(self.args.keep)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started, ended, silent = indices.start, False, False
        watch = [time.monotonic()]

        def guard() -> None:
            nonlocal silent
            while process.poll() is None:
                if time.monotonic() - watch[0] > STUCK_S:
                    silent = True
                    process.kill()
                time.sleep(1)

        threading.Thread(target=guard, daemon=True).start()
        assert process.stdout
        for line in process.stdout:
            watch[0] = time.monotonic()
            reported = json.loads(line)
            started = reported.get("started", started)
            if "peak_mib" in reported:
                ended, self.peak_mib = True, max(self.peak_mib, reported["peak_mib"])
            if "outcome" in reported:
                self.done += 1
                self.slowest_s = max(self.slowest_s, reported["seconds"])
                self.hdf5_faults.update(words for words in LIBRARY if words in reported["message"])
                self.counts[CYCLE[reported["index"] % len(CYCLE)], reported["outcome"]] += 1
                if reported["outcome"] == "violation":
                    self.violations.append((reported["index"], reported["message"]))
        process.wait()
        if ended:
            return None
        why = f"no answer in {STUCK_S:.0f} s" if silent else f"the process died with code {process.returncode}"
        self.counts[CYCLE[started % len(CYCLE)], "violation"] += 1
        self.violations.append((started, why))
        self.done += 1
        return started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "spikeport-fuzz-violations")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parent.parent.parent / "shared" / "data")
    parser.add_argument("--replay", help="KIND:INDEX, prints and saves the file and its outcome")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.share:
        work(args.seed, range(*json.loads(args.share)), args.data, args.keep)
        return 0
    if args.replay:
        kind, index = args.replay.split(":")
        args.keep.mkdir(parents=True, exist_ok=True)
        outcome, message, path = judge(kind, int(index), args.seed, args.keep, bases(args.keep / "bases", args.data))
        print(f"{path}\n{outcome} {message}")
        return int(outcome == "violation")
    started = time.perf_counter()
    supervisors = [Supervisor(args, range(first, args.files, 2)) for first in range(2)]
    threads = [threading.Thread(target=supervisor.run) for supervisor in supervisors]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        if sys.stderr.isatty():
            print(f"\r{sum(s.done for s in supervisors)} of {args.files}", end="", file=sys.stderr, flush=True)
    counts: Counter[tuple[str, str]] = sum((s.counts for s in supervisors), Counter())
    violations = sorted(found for s in supervisors for found in s.violations)
    seconds = time.perf_counter() - started
    print(f"{sum(counts.values())} damaged files and random networks, seed {args.seed}, {seconds:.0f} s, "
          f"2 worker processes; the slowest {max(s.slowest_s for s in supervisors):.1f} s of the processor; "
          f"largest memory of a worker {max(s.peak_mib for s in supervisors)} MiB")  # fmt: skip
    hdf5_faults = sum((s.hdf5_faults for s in supervisors), Counter())
    print(
        "refused because, in its own process, " + ", ".join(f"{words} {hdf5_faults[words]} times" for words in LIBRARY)
    )
    for kind in JUDGES:
        found = {outcome: counts[kind, outcome] for outcome in ("loads", "refused", "violation")}
        print(f"{kind:9} {found['loads']:6} give a legal value  {found['refused']:6} refused with a clear error  "
              f"{found['violation']:4} violations")  # fmt: skip
    for index, message in violations:
        print(f"VIOLATION {CYCLE[index % len(CYCLE)]}:{index} {message}")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())

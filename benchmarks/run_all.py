"""Runs every benchmark and saves its output in docs/results/, with its command, versions and machine.

python benchmarks/run_all.py [NAME ...]
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

from spikeport.files import write_text
from spikeport.versions import versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
BENCHMARKS = {  # result -> what is run; distillation is a study: run it by itself
    "reference": "reference.py",
    "report": "report.py",
    "student_step": "student_step.py",
    "student_step_nmnist-small": "student_step.py --recipe recipes/nmnist-small.toml --compile",
    "framing": "framing.py",
    "augmentation": "augmentation.py",
    "lava_equality": "lava_equality.py",
    "branches": "branches.py",
    "sdnn": "sdnn.py",
    "fuzz": "fuzz.py",
    "typical_networks": "typical_networks.py",
    "import_time": "import_time.py",
    "big_sensors": "big_sensors.py",
}
EXTRA = {
    "neurobench": "neurobench_counts.py",
    "sanafe": "sanafe.py --run runs/digits",
    "clones": "clones.py",
    "residual_students": "residual_students.py",
    "poker_cards": "poker_cards.py",
    "fashion": "fashion.py",
}  # by name only: they need what Spikeport does not bring


def main() -> None:
    names = sys.argv[1:] or BENCHMARKS
    known = BENCHMARKS | EXTRA
    if unknown := set(names) - set(known):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in names:
        words = known[name].split()
        command = f"python benchmarks/{' '.join(words)}"
        print(f"== {command}", flush=True)
        result = subprocess.run(
            [sys.executable, f"benchmarks/{words[0]}", *words[1:]],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(result.stdout, flush=True)
        if result.returncode:
            sys.exit(f"{command} failed; its old result stays")
        write_text(RESULTS / f"{name}.txt", f"{_header(command)}\n{result.stdout}")


def _header(command: str) -> str:
    found = versions()
    displayed = ", ".join(
        f"{package} {found[package]}" for package in ("python", "torch", "snntorch", "numpy", "tonic")
    )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{command}\n{now}; {os.cpu_count()} cores, {platform.system()} {platform.machine()}; {displayed}\n"


if __name__ == "__main__":
    main()

"""Deep students: what distillation brings to a residual network and to a VGG-SNN, in the demo's world.

    python benchmarks/deep_students.py [NETWORK ...] [--work FOLDER] [--write]

`spikeport sweep` trains the demo's recipe with each network and method: 60 simulated recordings, 1,237 static images,
400 recordings to test. A stopped sweep continues with the same command. `--write` writes all sweeps that the working
folder holds into docs/results/deep_students.txt.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.files import write_text
from spikeport.pipeline.run.intervals import paired_difference
from spikeport.tables import text_table
from spikeport.versions import about_this_run

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("baseline", "ckd", "ckd-events", "synthetic-events")
NETWORKS = {  # name -> settings of the student
    "resnet18-snn": ("student.network=resnet18-snn", "student.width=0.125"),
    "vgg-snn": ("student.network=vgg-snn", "student.width=0.125"),
}
HEAD = ("trained with", "float", "quantized", "over baseline", "seconds")
NOTE = """float, quantized: accuracy in per cent, one seed. over baseline: quantized, in points, paired by recording,
with 95 % interval. ckd-events: with pretraining, as the recipe has it. seconds: of training, beside other work."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(NETWORKS)}; all without one")
    parser.add_argument("--work", type=Path, default=Path("runs") / "deep")
    parser.add_argument("--write", action="store_true", help="write docs/results/deep_students.txt")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    for name in options.networks or NETWORKS:
        command = [sys.executable, "-P", "-m", "spikeport", *shlex.split(words_of(name, options.work)), "--resume"]
        subprocess.run(command, cwd=ROOT, check=True)
    about = {key: value for key, value in about_this_run().items() if key != "command"}
    lines = [shlex.join(["python", "benchmarks/deep_students.py", *sys.argv[1:]]), json.dumps(about), ""]
    for name in NETWORKS:
        file = ROOT / options.work / name / "sweep.json"
        if file.is_file():
            lines += [f"spikeport {words_of(name, options.work)}", ""]
            lines += [*text_table(HEAD, rows(json.loads(file.read_text(encoding="utf-8")))), ""]
    page = "\n".join([*lines, *NOTE.splitlines(), ""])
    if options.write:
        write_text(ROOT / "docs" / "results" / "deep_students.txt", page)
    print(page)


def words_of(network: str, work: Path) -> str:
    """The sweep of a network, as a command line."""
    words = ["sweep", "digits"]
    for setting in (*NETWORKS[network], "training.threads=1"):
        words += ["--set", setting]
    return shlex.join([*words, "--over", f"distillation.method={','.join(METHODS)}", "--out", str(work / network)])


def rows(sweep: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each training of a sweep; the first is the one that the others are compared with.

    Args:
        sweep: content of sweep.json.
    """
    trials = sweep["trials"]
    right = [np.array([sign == "1" for sign in trial["correct_quantized"]]) for trial in trials]
    found = []
    for place, trial in enumerate(trials):
        text = ""
        if place:
            over = paired_difference(right[place], right[0])
            value, low, high = (100 * over[key] for key in ("value", "low", "high"))
            text = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
        shares = (f"{100 * trial[f'accuracy_{kind}']:.1f}" for kind in ("float", "quantized"))
        found.append((trial["setting"].partition("=")[2], *shares, text, f"{trial['seconds']:.0f}"))
    return found


if __name__ == "__main__":
    main()

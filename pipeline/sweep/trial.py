"""One trial: a training run in a process and a folder of its own, and what it found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport import exits
from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.pipeline.run.run_folder import MANIFEST, open_run
from spikeport.pipeline.stages.runner import TRAINING

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class TrialResult:
    """Which test recordings a finished run got right (`1`) or wrong (`0`), in test order, and how long training took.

    `silent_float`, `silent_quantized`: how many wrong ones had no answer (None: not counted). `seconds`: all that
    was trained, without the reading of data, which a cache may spare.
    """

    correct_float: str
    correct_quantized: str
    seconds: float
    silent_float: int | None = None
    silent_quantized: int | None = None

    @property
    def recordings(self) -> int:
        """How many were tested."""
        return len(self.correct_float)

    @property
    def accuracy_float(self) -> float:
        """Share of right ones, student in float."""
        return self.correct_float.count("1") / len(self.correct_float)

    @property
    def accuracy_quantized(self) -> float:
        """Share of right ones, student in Loihi arithmetic."""
        return self.correct_quantized.count("1") / len(self.correct_quantized)

    def row(self) -> dict[str, Any]:
        """As JSON, accuracies included."""
        shares = {"accuracy_float": self.accuracy_float, "accuracy_quantized": self.accuracy_quantized}
        return {"recordings": self.recordings, **shares, **asdict(self)}


def trial_result(folder: Path, verb: str = "train") -> TrialResult | None:
    """What the run in `folder` found; None where it is not there, or not finished (for "run": up to its report)."""
    if not (folder / MANIFEST).is_file():
        return None
    run = open_run(folder)
    method = run.recipe.methods[0]
    students = (f"student-{method}", f"quantized-{method}")
    learnt = [stage for stage in run.manifest["stages"] if stage.split("-")[0] in TRAINING]
    if not {"data", *students} <= set(learnt) or not all(run.is_done(stage) for stage in learnt):
        return None
    if verb == "run" and not run.is_done("report"):
        return None
    labels = np.array(run.result("data")["test_labels"])
    found = [run.result(stage) for stage in students]
    answers = [compare_with_labels(labels, result["predicted"], silent_known="silent" in result) for result in found]
    right = ["".join(map(str, each.correct.astype(int).tolist())) for each in answers]
    seconds = sum(run.manifest["stages"][stage]["seconds"] for stage in learnt if stage != "data")
    return TrialResult(
        correct_float=right[0],
        correct_quantized=right[1],
        seconds=round(seconds, 3),
        silent_float=answers[0].silent_count,
        silent_quantized=answers[1].silent_count,
    )


def start_trial(
    recipe: Path, changes: Sequence[str], folder: Path, *, threads: int, verb: str = "train"
) -> subprocess.Popen:
    """Starts `spikeport <verb>` of `recipe` with `changes` in `folder`, or goes on there; at most `threads` threads.

    What it says is kept beside the folder, in <folder>.log.
    """
    # -P: the folder where a sweep runs is not searched for modules, whatever its files are called.
    command = [sys.executable, "-P", "-m", "spikeport", verb, str(recipe), "--out", str(folder), "--resume"]
    for change in changes:
        command += ["--set", change]
    folder.parent.mkdir(parents=True, exist_ok=True)
    limits = {name: str(threads) for name in THREADS}
    with open(_log(folder), "wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **limits, **exits.started_by_this()},
        )


def finish_trial(process: subprocess.Popen, folder: Path, verb: str = "train") -> TrialResult:
    """Waits for a trial. Raises UserError with the trial's own last words where it failed, MissingDependencyError
    where it lacked something."""
    code = process.wait()
    result = trial_result(folder, verb) if code == 0 else None
    if result is None:
        said = _log(folder).read_text(encoding="utf-8", errors="replace").splitlines()
        kind = MissingDependencyError if code == MissingDependencyError.exit_code else UserError
        raise kind(exits.left_with(code), cause=exits.last_words(said))
    return result


def _log(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")

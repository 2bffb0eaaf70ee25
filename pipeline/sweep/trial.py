"""One trial of a sweep: a training run in its own process and folder, and its result."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport import exits
from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.own_modules import for_processes
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages.runner import TRAINING
from spikeport.pipeline.sweep.sweep_json import TrialScores

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class TrialResult:
    """Predictions of a finished training run on its test recordings.

    Attributes:
        correct_float: `1` for each recording that the float student classified correctly, else `0`, in test order.
        correct_quantized: the same for the student in Loihi arithmetic.
        seconds: duration of all training stages in s, without reading the data, since that may be cached.
        silent_float: number of recordings without an output spike; None where it was not counted.
        silent_quantized: the same for the student in Loihi arithmetic.
    """

    correct_float: str
    correct_quantized: str
    seconds: float
    silent_float: int | None = None
    silent_quantized: int | None = None

    @property
    def recordings(self) -> int:
        """Number of test recordings."""
        return len(self.correct_float)

    @property
    def accuracy_float(self) -> float:
        """Test accuracy of the float student, 0 to 1."""
        return self.correct_float.count("1") / len(self.correct_float)

    @property
    def accuracy_quantized(self) -> float:
        """Test accuracy of the student in Loihi arithmetic, 0 to 1."""
        return self.correct_quantized.count("1") / len(self.correct_quantized)

    def row(self) -> TrialScores:
        """All values and both accuracies, for JSON."""
        return {
            "recordings": self.recordings,
            "accuracy_float": self.accuracy_float,
            "accuracy_quantized": self.accuracy_quantized,
            "correct_float": self.correct_float,
            "correct_quantized": self.correct_quantized,
            "seconds": self.seconds,
            "silent_float": self.silent_float,
            "silent_quantized": self.silent_quantized,
        }


def trial_result(folder: Path, verb: str = "train") -> TrialResult | None:
    """Reads the result of a run.

    Args:
        folder: the run folder.
        verb: `train`, or `run` for a run up to its report.

    Returns:
        The result; None where the run is missing or not finished.
    """
    if not (folder / MANIFEST).is_file():
        return None
    run = open_run(folder)
    method = run.recipe.methods[0]
    students = (f"student-{method}", f"quantized-{method}")
    trained = [stage for stage in run.manifest["stages"] if stage.split("-")[0] in TRAINING]
    if not {"data", *students} <= set(trained) or not all(run.is_done(stage) for stage in trained):
        return None
    if verb == "run" and not run.is_done("report"):
        return None
    labels = np.array(run.result("data")["test_labels"])
    found = [run.result(stage) for stage in students]
    answers = [compare_with_labels(labels, result["predicted"], silent_known="silent" in result) for result in found]
    right = ["".join(map(str, each.correct.astype(int).tolist())) for each in answers]
    seconds = sum(run.manifest["stages"][stage]["seconds"] for stage in trained if stage != "data")
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
    """Starts or resumes a trial. Its output goes to <folder>.log, beside its folder.

    Args:
        recipe: the recipe's file.
        changes: words `key=value` of the trial.
        folder: folder of the trial.
        threads: most threads of the process.
        verb: `train` or `run`.

    Returns:
        The process.
    """
    # -P: Python does not search the current folder for modules.
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
            env={**os.environ, **limits, **for_processes(), **exits.child_environment()},
        )


def finish_trial(process: subprocess.Popen, folder: Path, verb: str = "train") -> TrialResult:
    """Waits for a trial and reads its result.

    Args:
        process: the process of `start_trial`.
        folder: folder of the trial.
        verb: `train` or `run`.

    Raises:
        UserError: the trial failed; the message contains the last line of its output.
        MissingDependencyError: a dependency of the trial is missing.
    """
    code = process.wait()
    result = trial_result(folder, verb) if code == 0 else None
    if result is None:
        output = _log(folder).read_text(encoding="utf-8", errors="replace").splitlines()
        kind = MissingDependencyError if code == MissingDependencyError.exit_code else UserError
        raise kind(exits.describe_exit(code), cause=exits.last_error(output))
    return result


def _log(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")

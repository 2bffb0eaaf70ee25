"""Kills trainings at random moments and resumes them; test_kills.py runs it in a process of its own.

Trainings run in forks of this process, so that torch is loaded once and has started no threads before a fork.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from toy_training import LeastSquares

from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.fit import fit

EPOCHS = 12
SCORES = [0.1, 0.3, 0.2, 0.4, 0.4, 0.9, 0.1, 0.2, 0.4, 0.3, 0.2, 0.1]


def training(folder: Path) -> int:
    """Starts or resumes a training in `folder`, in another process. Returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        fit(LeastSquares(EPOCHS, SCORES, ema_decay=0.8), folder, Training(accelerator="cpu", accumulate=2))
        os._exit(0)
    finally:
        os._exit(1)


def epochs_of(folder: Path) -> int:
    """Number of epochs that the training in `folder` has recorded."""
    lines = folder / "metrics.jsonl"
    return len(lines.read_text().splitlines()) if lines.exists() else 0


def wait_for(folder: Path, *, epochs: int, child: int) -> None:
    """Returns after that many epochs, or at the end of the training."""
    while epochs_of(folder) < epochs and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.001)


def main(folder: Path, tries: int, seed: int) -> None:
    began = time.monotonic()
    assert os.waitpid(training(folder / "unbroken"), 0)[1] == 0
    whole_s, rng, done = time.monotonic() - began, random.Random(seed), 0
    while done < tries:
        child = training(folder / str(done))
        wait_for(folder / str(done), epochs=rng.randrange(EPOCHS - 1), child=child)
        time.sleep(rng.uniform(0, whole_s / EPOCHS))
        os.kill(child, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            continue  # it was done before; the same folder again, which is only read
        epochs = epochs_of(folder / str(done))
        half_written = len(list((folder / str(done)).glob(".*")))
        assert os.waitpid(training(folder / str(done)), 0)[1] == 0
        print(json.dumps({"epochs": epochs, "half_written": half_written}), flush=True)
        done += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""A training that is killed anywhere, while it writes too, ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import CHECKPOINT

HELPERS = Path(__file__).parents[2] / "helpers"
TRIES = 20


def without_seconds(tree: dict) -> dict:
    return {**tree, "history": [{**row, "seconds": 0} for row in tree["history"]]}


def alike(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b


def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Weights, their average, the optimizer, the best weights, scores and metrics: equal to the last bit."""
    result = subprocess.run(
        [sys.executable, str(HELPERS / "killed_trainings.py"), str(tmp_path), str(TRIES), "7"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), str(HELPERS.parent)])},
    )
    assert result.returncode == 0, result.stderr
    kills = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(kills) == TRIES
    assert len({kill["epochs"] for kill in kills}) >= 3  # at the start, in the middle, near the end
    whole = without_seconds(read_tree(tmp_path / "unbroken" / CHECKPOINT))
    assert whole["best"]["epoch"] == 6
    for number in range(TRIES):
        folder = tmp_path / str(number)
        assert alike(without_seconds(read_tree(folder / CHECKPOINT)), whole), kills[number]
        found = (folder / "metrics.jsonl").read_text().splitlines()
        assert without_seconds({"history": list(map(json.loads, found))}) == {"history": whole["history"]}

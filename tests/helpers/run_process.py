"""Runs of the command on a small recipe, each in a process of its own."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

RECIPE = """
name = "small"
[data]
source = "digits"
height = 24
width = 28
steps = 7
train = 200
validation = 40
test = 50
[teacher]
epochs = 1
[student]
channels = [4, 6, 9]
[training]
epochs = 3
threads = 1
[quantization]
epochs = 2
[check]
samples = 4
[profile]
baseline_seconds = 0.1
"""


def start(recipe: Path, out: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "spikeport", "run", str(recipe), "--out", str(out), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, preexec_fn=hear_ctrl_c, **pipes)


def hear_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def reached(folder: Path, at: str) -> bool:
    if at == "export":
        return "quantized-baseline" in stages_done(folder)
    metrics = folder / "metrics.jsonl"
    return metrics.is_file() and '"student-ckd"' in metrics.read_text()


def stages_done(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / "manifest.json").read_text())["stages"])
    except FileNotFoundError:
        return set()


def wait_for(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + 3600
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)

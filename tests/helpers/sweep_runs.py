"""Run folders as training leaves them, with invented numbers, for tests of what reads them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from spikeport.pipeline.distillation.method_spec import pretraining_stages
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.run_folder import create
from spikeport.pipeline.sweep import engine
from spikeport.versions import about_this_run

LABELS = [0, 2, 1, 1, 2]


def finished_run(
    recipe: Path,
    changes: Sequence[str],
    folder: Path,
    *,
    right: tuple[str, str] = ("11010", "10010"),
    last: bool = True,
) -> None:
    """A run with these of five recordings correct (float, quantized). `last` False: killed before its last stage."""
    run = create(folder, load_recipe(recipe, list(changes)), resume=True, about=about_this_run())
    method = run.recipe.methods[0]
    run.file("teacher.safetensors").write_text(str(folder))
    run.record("data", {"test_labels": LABELS}, (), 100.0)
    run.record("teacher", {"predicted": None}, ("teacher.safetensors",), 0.5)
    for stage in pretraining_stages(run.recipe):
        run.file(f"{stage}.safetensors").write_text(f"{stage} of {folder}")
        run.record(stage, {}, (f"{stage}.safetensors",), 1.5)
    run.record(f"student-{method}", {"predicted": _predicted(right[0])}, (), 2.0)
    if last:
        run.record(f"quantized-{method}", {"predicted": _predicted(right[1])}, (), 0.25)


def _predicted(right: str) -> list[int]:
    return [label if hit == "1" else label + 1 for label, hit in zip(LABELS, right, strict=True)]


SAID = "reading\nerror: data: too few. Hint: add\n"


class FakeTrials:
    """Replaces the start of trials: leaves a finished run folder and a process that ends with `code`.

    With `hold` a process lives until it is ended, or until `release`; `then` is called when so many of them live.
    """

    def __init__(self, monkeypatch):
        self.started, self.code, self.last = [], 0, True
        self.processes, self.most = [], 0
        self.hold, self.then = 0, self.release
        monkeypatch.setattr(engine, "start_trial", self.start)

    def start(self, recipe, changes, folder, *, threads, verb):
        self.started.append(f"{folder.parent.name}/{folder.name}")
        self.threads = threads
        folder.parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / f"{folder.name}.log").write_text("" if not self.code else SAID)
        if not self.code:
            finished_run(recipe, changes, folder, last=self.last)
        command = ["cat"] if self.hold and not self.code else ["sh", "-c", f"exit {self.code}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.processes.append(process)
        living = sum(process.poll() is None for process in self.processes)
        self.most = max(self.most, living)
        if 0 < living == self.hold:
            self.hold = -1  # two threads may see so many at once; it happens once
            self.then()
        return process

    def release(self):
        """Ends the living processes, and later ones at once."""
        self.hold = 0
        for process in self.processes:
            process.stdin.close()

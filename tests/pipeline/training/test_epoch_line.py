"""The line of each epoch and the table of a run's trainings: by hand, in a pipe, and in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
import torch
from digit_recipes import DIGITS
from json_lines import lines
from learning_data import tiny_dataset, tiny_recipe
from toy_training import LeastSquares

from spikeport.export.network.readout import classify
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.run_folder import create
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.stages.training_table import training_lines
from spikeport.pipeline.training.epoch_line import epoch_line
from spikeport.pipeline.training.epoch_log import METRICS, write_metrics
from spikeport.pipeline.training.evaluate import correct_share, student_answers
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.results import EpochRow
from spikeport.pipeline.training.train import train_student, train_teacher, train_translator

ROW = EpochRow(
    stage="student-ckd",
    epoch=7,
    losses={"loss": 0.4123, "event.tet": 0.312, "event.logit_kd": 0.1, "event.logit_kd.weight": 0.5, "notes": [1, 2]},
    training_accuracy=0.8249,
    validation_accuracy=0.781,
    validation_count=40,
    validation_silent=1,
    kept_epoch=5,
    kept_validation=0.794,
    rates={"conv1": 0.026, "conv2": 0.021, "output": 0.0081},
    seconds=9.0,
)
RECIPE = f"""{DIGITS}[student]
channels = [3, 4]
[training]
epochs = 2
threads = 1
accelerator = "cpu"
[quantization]
epochs = 1
[distillation]
train_baseline = false
"""


def row(**values: object) -> EpochRow:
    return EpochRow(**{**vars(ROW), **values})


# The text of a line


def test_a_line_shows_what_the_row_holds() -> None:
    earlier = [row(epoch=number, seconds=1.0) for number in range(1, 7)]
    # 23 epochs of (1 + 1 + 1 + 1 + 9) / 5 s: the mean of the last five
    assert epoch_line([*earlier, ROW], 30) == (
        "student-ckd epoch 7/30  loss 0.412 (tet 0.312, logit_kd 0.1)  training 82.5 %  "
        "validation 78.1 % (kept 79.4 % at 5)  silent 2.5 %  rates 2.6/2.1/0.8 %  1:00 left"
    )


def test_what_is_not_measured_has_no_place() -> None:
    assert epoch_line([EpochRow(stage="toy", epoch=3, losses={"loss": 2.0})], 3) == "toy epoch 3/3  loss 2"
    plain = row(losses={"loss": 0.5, "event.tet": 0.5}, rates=None, validation_silent=None, training_accuracy=None)
    assert epoch_line([plain], 7) == "student-ckd epoch 7/7  loss 0.5  validation 78.1 % (kept 79.4 % at 5)"


@pytest.mark.parametrize(
    ("values", "epochs", "shown"),
    [
        ({"kept_epoch": 7, "kept_validation": 0.781}, 7, "validation 78.1 % (kept)  silent"),
        ({"kept_epoch": 0}, 7, "(kept 79.4 % at 0)"),
        ({"validation_silent": 0}, 7, "silent 0 %"),
        ({"rates": {str(n): n / 100 for n in range(1, 8)}}, 7, "rates 1.0 to 7.0 % in 7 layers"),
        ({"seconds": 3601.0}, 9, "2:00:02 left"),
        ({"training_agreement": 0.5}, 7, "agreement 50.0 %"),
        ({"planned_epochs": 30}, 30, "rates 2.6/2.1/0.8 %  stopped early, of 30"),
        (
            {"validation_accuracy": None, "validation_loss": 0.06251, "kept_validation": 0.06124},
            7,
            "validation loss 0.0625 (kept 0.0612 at 5)",
        ),
    ],
)
def test_other_rows(values: dict, epochs: int, shown: str) -> None:
    assert shown in epoch_line([row(**values)], epochs)


# The numbers behind it


def test_the_training_accuracy_is_that_of_the_read_out() -> None:
    """Ties in counts included: `classify` in NumPy on the same spikes."""
    rng = np.random.default_rng(4)
    spikes = (rng.random((5, 300, 3)) < 0.2).astype(np.float32)
    spikes[:, :40] = 0
    labels = rng.integers(0, 3, 300)
    predicted = classify(spikes.transpose(1, 0, 2))
    counts = np.sort(spikes.sum(0), axis=1)
    assert np.count_nonzero((counts[:, 1] == counts[:, 2]) & (counts[:, 2] > 0)) > 30
    share = correct_share(torch.from_numpy(spikes).cumsum(0), torch.from_numpy(labels))
    assert float(share) == pytest.approx(np.mean(predicted == labels), rel=1e-6)


def test_a_teacher_counts_its_training_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the logits and labels that its loss gets, in NumPy: the mean of three batches of 11 images."""
    shares = []

    def record(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shares.append(np.mean(logits.detach().numpy().argmax(1) == labels.numpy()))
        return cross_entropy(logits, labels)

    cross_entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", record)
    train_teacher(tiny_recipe(teacher={"epochs": 1, "batch": 11}), tiny_dataset(paired_images=True), tmp_path)
    (found,) = lines(tmp_path / METRICS)
    assert len(shares) == 3
    assert 0 < found["training_accuracy"] < 1
    assert found["training_accuracy"] == pytest.approx(np.mean(shares), abs=1e-6)
    assert found["validation_count"] == 15


def test_a_student_counts_its_training_answers(tmp_path: Path) -> None:
    """No augmentation and almost no learning: as the student in training mode answers the training recordings."""
    recipe = tiny_recipe(
        training={"epochs": 1, "lr": 1e-30, "weight_decay": 0.0, "ema_decay": 0.0, "batch": 30},
        augmentation={"shift": 0, "event_drop": 0.0},
    )
    data = tiny_dataset()
    student = train_student(recipe, data, None, "baseline", tmp_path)
    (found,) = lines(tmp_path / METRICS)
    with torch.no_grad():
        spikes = student.train()(torch.from_numpy(data.train.frames).transpose(0, 1).float()).spikes
    right = np.mean(classify(spikes.transpose(0, 1).numpy()) == data.train.labels)
    assert found["training_accuracy"] == pytest.approx(right, abs=1e-6)
    assert found["validation_count"] == 15
    assert found["validation_accuracy"] == np.mean(student_answers(student.eval(), data.validation).correct)


def test_each_row_names_the_epoch_that_is_kept_so_far(tmp_path: Path) -> None:
    """Means of the scores so far: 0.2, 0.5, 0.4, 0.375; the kept accuracy is that of the epoch, not the mean."""
    fit(LeastSquares(4, [0.2, 0.8, 0.2, 0.3]), tmp_path, Training(accelerator="cpu"))
    rows = lines(tmp_path / METRICS)
    assert [(each["kept_epoch"], each["kept_validation"]) for each in rows] == [(1, 0.2), (2, 0.8), (2, 0.8), (2, 0.8)]


def test_the_start_can_be_kept(tmp_path: Path) -> None:
    class Falls(LeastSquares):
        def score(self, model: torch.nn.Module) -> float:
            return 0.75 - 0.25 * (self.current_epoch + bool(self.history) + (self.global_step > 0))

    fit(Falls(3), tmp_path, Training(accelerator="cpu"), score_start=True)
    assert [(each["kept_epoch"], each["kept_validation"]) for each in lines(tmp_path / METRICS)] == [(0, 0.75)] * 3


def test_a_translator_has_a_validation_loss_and_no_accuracy(tmp_path: Path) -> None:
    recipe = tiny_recipe(distillation={"method": "synthetic-events"}, synthesis={"updates": 8})
    heard = Heard()
    train_translator(recipe, tiny_dataset(paired_images=True), tmp_path, heard)
    rows = lines(tmp_path / METRICS)
    assert all(each["validation_loss"] > 0 and each["validation_accuracy"] is None for each in rows)
    best = rows[-1]["kept_epoch"]
    assert rows[-1]["kept_validation"] == rows[best - 1]["validation_loss"]
    assert len(heard.epochs) == len(rows)
    assert re.search(r"^synthesis epoch 1/\d+  loss 0\.\d+  validation loss 0\.\d+ \(kept\)", heard.epochs[0])


class Heard(ProgressPrinter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.epochs: list[str] = []

    def log_epoch(self, text: str) -> None:
        self.epochs.append(text)


# The table at the end


def test_the_table_has_the_kept_epoch_of_each_training(tmp_path: Path) -> None:
    run = create(tmp_path / "run", tiny_recipe(), resume=False, about={})
    assert training_lines(run) == []
    students = [row(epoch=5, training_accuracy=0.9), row(epoch=6, training_accuracy=1.0)]
    write_metrics(run.file(METRICS), "student-ckd", students)
    start = row(stage="quantized-ckd", epoch=1, kept_epoch=0, kept_validation=0.5)
    write_metrics(run.file(METRICS), "quantized-ckd", [start])
    loss = {"training_accuracy": None, "validation_accuracy": None, "validation_loss": 0.25, "kept_validation": 0.125}
    write_metrics(run.file(METRICS), "synthesis", [row(stage="synthesis", **loss)])
    with open(run.file(METRICS), "a") as file:
        file.write('[]\n7\n{"stage": "x"}\n{"stage": "y", "epoch": 1, "kept_validation": "high"}\n\x00\n')
    assert training_lines(run) == [
        "training       kept epoch  training accuracy  validation accuracy",
        "-------------  ----------  -----------------  -------------------",
        "student-ckd    5 of 6      90.0 %             79.4 %",
        "quantized-ckd  0 of 1      -                  50.0 %",
        "synthesis      5 of 7      -                  loss 0.125",
        "Epoch 0: the weights before the training.",
    ]


# In a pipe and in a terminal, on real digits

EPOCH = re.compile(
    r"^  (?P<stage>\S+) epoch (?P<epoch>\d+)/\d+  loss [\d.]+(?: \([^)]+\))?  training [\d.]+ %  "
    r"validation [\d.]+ % \(kept[^)]*\)(?:  silent [\d.]+ %  rates [\d./]+ %)?(?:  [\d:]+ left)?$"
)
STAGES = [("teacher", "1"), ("student-ckd", "1"), ("student-ckd", "2"), ("quantized-ckd", "1")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "lines.toml"
    path.write_text(RECIPE)
    return path


def command(recipe: Path, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "spikeport", "train", str(recipe), "--out", str(out), *words]


def epochs_in(text: str) -> list[tuple[str, str]]:
    found = [EPOCH.match(line) for line in text.splitlines()]
    return [(match["stage"], match["epoch"]) for match in found if match]


def test_a_pipe_gets_a_line_an_epoch_and_a_table(recipe: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(recipe, tmp_path / "run"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert epochs_in(done.stderr) == STAGES
    assert done.stderr.count(" epoch ") == len(STAGES)
    printed = done.stdout.splitlines()
    assert printed[0].split("  ")[0] == "training"
    assert [line.split()[0] for line in printed[2:5]] == ["teacher", "student-ckd", "quantized-ckd"]
    assert printed[-1] == str(tmp_path / "run")
    rows = lines(tmp_path / "run" / METRICS)
    last = next(each for each in rows if (each["stage"], each["epoch"]) == ("student-ckd", 2))
    assert printed[3].split()[1:4] == [str(last["kept_epoch"]), "of", "2"]
    assert printed[3].endswith(f"{100 * last['kept_validation']:.1f} %")
    again = subprocess.run(
        command(recipe, tmp_path / "run", "--resume", "--json", "-q"), capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert set(json.loads(again.stdout)) == {"run", "warnings"}


def test_a_training_that_stops_early_says_so(recipe: Path, tmp_path: Path) -> None:
    """A learning rate of almost 0 changes no spike: no epoch is better than the first."""
    words = ("--epochs", "9", "--set", "training.patience=2", "--set", "training.lr=1e-12")
    done = subprocess.run(command(recipe, tmp_path / "run", *words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "student-ckd epoch 3/9" in line]
    assert line.endswith("  stopped early, of 9")
    assert "student-ckd epoch 4/9" not in done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("student-ckd ")]
    assert "3 of 3 (stopped early, of 9)" in row
    written = [each for each in lines(tmp_path / "run" / METRICS) if each["stage"] == "student-ckd"]
    assert [each.get("planned_epochs") for each in written] == [None, None, 9]


def test_a_terminal_gets_the_same_lines_above_its_bar(recipe: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        command(recipe, tmp_path / "run"), stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    text = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        text += part
    os.close(leader)
    assert process.wait() == 0, text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", text.decode())
    assert epochs_in(plain) == STAGES
    assert "━" in plain  # the bar


def test_quiet_prints_no_epoch(recipe: Path, tmp_path: Path) -> None:
    words = ("-q", "--set", "training.epochs=1", "--set", "quantization.epochs=0")
    done = subprocess.run(command(recipe, tmp_path / "run", *words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " epoch " not in done.stderr

"""Loggers and callbacks of a recipe: real short trainings, with files of the user that the tests write."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from json_lines import lines
from learning_data import tiny_recipe
from toy_training import LeastSquares

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.stages.checks import check_recipe
from spikeport.pipeline.training.epoch_log import METRICS
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.plugins import check_plugins
from spikeport.pipeline.training.results import EpochRow

SCORES = [0.25, 0.5, 0.125]
OWN = """
import json
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger

class Lines(Logger):
    def __init__(self, folder, stage):
        self.path = folder / f"{stage}.lines"

    name = version = property(lambda self: "lines")

    def log_hyperparams(self, params, *args):
        pass

    def log_metrics(self, metrics, step=None):
        with open(self.path, "a") as file:
            file.write(json.dumps([step, metrics]) + "\\n")

    def finalize(self, status):
        with open(self.path, "a") as file:
            file.write(json.dumps(status) + "\\n")

class Broken(Lines):
    def log_metrics(self, metrics, step=None):
        raise RuntimeError(f"no room for\\nepoch {step}")

def nothing(folder, stage):
    return None

class Reads(Callback):
    seen = []
    starts = 0
    def on_train_start(self, trainer, task):
        Reads.starts += 1
    def on_train_epoch_end(self, trainer, task):
        self.seen.append(float(trainer.callback_metrics["validation_accuracy"]))

class Fails(Callback):
    def on_train_batch_end(self, trainer, task, outputs, batch, index):
        raise KeyError("loss")

class Unsaved(Callback):
    def state_dict(self):
        return {"file": object()}

class Counts(Callback):
    def __init__(self):
        self.epochs = 0
    def on_train_epoch_end(self, trainer, task):
        self.epochs += 1
        print("epochs", self.epochs)
    def state_dict(self):
        return {"epochs": self.epochs}
    def load_state_dict(self, state):
        self.epochs = state["epochs"]

class Stops(Callback):
    def on_train_epoch_end(self, trainer, task):
        trainer.should_stop = trainer.current_epoch == 1

class Needs(Callback):
    def __init__(self, much):
        pass

def early():
    return EarlyStopping("validation_accuracy", mode="max", patience=1)
"""


class Stopped(LeastSquares):
    """Stops in its third epoch."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 2:
            raise UserError("stopped")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module with loggers and callbacks."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def settings(**values: object) -> Training:
    return tiny_recipe(training={"epochs": 3, "ema_decay": 0.0, **values}).training


def test_the_numbers_of_a_row_have_a_name_each() -> None:
    row = EpochRow(
        stage="s", epoch=2, losses={"loss": 0.5, "event_weights": [0.25, 0.75]}, rates={"conv1": 0.125}, lr=0.1
    )
    assert row.numbers() == {
        "loss": 0.5, "event_weights/0": 0.25, "event_weights/1": 0.75, "rates/conv1": 0.125, "lr": 0.1, "seconds": 0.0,
    }  # fmt: skip


def test_no_logger_writes_no_file_but_todays(tmp_path: Path) -> None:
    fit(LeastSquares(3, SCORES), tmp_path, settings())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint.safetensors", METRICS]


def test_a_csv_file_says_what_the_metrics_say_also_after_a_stop(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stopped"):
        fit(Stopped(3, SCORES), tmp_path, settings(logger="csv"))
    fit(LeastSquares(3, SCORES), tmp_path, settings(logger="csv"))
    with open(tmp_path / "csv" / "toy" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    for row, line in zip(rows, lines(tmp_path / METRICS), strict=True):
        for name in ("loss", "validation_accuracy", "lr", "kept_epoch"):
            assert float(row[name]) == line[name]


def test_event_files_say_what_the_metrics_say(tmp_path: Path) -> None:
    """Read back as TFRecords: a length, its checksum, an Event, its checksum."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    toy = LeastSquares(3, SCORES)
    fit(toy, tmp_path, settings(logger="tensorboard"))
    (file,) = (tmp_path / "tensorboard" / "toy").glob("events*")
    data, scalars = file.read_bytes(), {}
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = proto.Event.FromString(data[12 : 12 + length])
        scalars |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        data = data[16 + length :]
    assert {step for _, step in scalars} == {1, 2, 3}
    for row in toy.history:
        for name in ("loss", "validation_accuracy", "lr"):
            assert scalars[name, row.epoch] == np.float32(row.to_json()[name])


def test_an_own_logger_gets_every_epoch_and_the_end(tmp_path: Path, own: str) -> None:
    fit(LeastSquares(3, SCORES), tmp_path, settings(logger=f"{own}:Lines"))
    *epochs, end = lines(tmp_path / "toy.lines")
    rows = lines(tmp_path / METRICS)
    assert [step for step, _ in epochs] == [1, 2, 3]
    assert [values["loss"] for _, values in epochs] == [row["loss"] for row in rows]
    assert [values["validation_accuracy"] for _, values in epochs] == SCORES
    assert end == "success"


def test_loggers_and_callbacks_change_no_weight(tmp_path: Path, own: str) -> None:
    weights = []
    for name, more in (("plain", {}), ("more", {"logger": f"{own}:Lines", "callbacks": (f"{own}:Reads",)})):
        toy = LeastSquares(3, SCORES)
        fit(toy, tmp_path / name, settings(**more))
        weights.append(toy.model.weight.detach().numpy())
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(("name", "package"), [("tensorboard", r"'spikeport\[tensorboard\]'"), ("wandb", "wandb")])
def test_a_missing_package_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    for module in ("tensorboard", "tensorboardX", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    message = rf"training.logger: the package of the logger '{name}' is not installed. Hint: pip install {package}"
    with pytest.raises(MissingDependencyError, match=message):
        check_recipe(tiny_recipe(training={"logger": name}), for_netx=True)
    with pytest.raises(MissingDependencyError, match=message):
        fit(LeastSquares(), tmp_path, settings(logger=name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"logger": "xml"}, r"training.logger: 'xml' is not a logger. Hint: use one of none, csv, tensorboard, wandb"),
        ({"logger": "OWN:missing"}, r"training.logger: 'OWN:missing' cannot be imported"),
        ({"callbacks": ("EarlyStopping",)}, r"training.callbacks: 'EarlyStopping' is not of the form"),
        ({"callbacks": ("OWN:Missing",)}, r"training.callbacks: 'OWN:Missing' cannot be imported"),
        ({"callbacks": ("OWN:json",)}, r"training.callbacks: 'OWN:json' is not callable"),
    ],
)
def test_wrong_names_are_refused_at_the_start(own: str, values: dict, message: str) -> None:
    here = json.loads(json.dumps(values).replace("OWN", own))
    with pytest.raises(UserError, match=message.replace("OWN", own)):
        check_plugins(Training(**{key: tuple(value) if key == "callbacks" else value for key, value in here.items()}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"logger": "OWN:nothing"}, r"training.logger: OWN:nothing returned 'NoneType'. Hint: write factory\("),
        (
            {"logger": "OWN:Broken"},
            r"training.logger: OWN:Broken failed in log_metrics: RuntimeError: no room for epoch 1. Hint: correct it",
        ),
        (
            {"callbacks": ("OWN:Reads", "OWN:Fails")},
            r"training.callbacks: OWN:Fails failed in on_train_batch_end: KeyError: 'loss'. Hint: .*callbacks = \[\]",
        ),
        (
            {"callbacks": ("OWN:Unsaved",)},
            r"OWN:Unsaved failed in state_dict: TypeError: a checkpoint cannot hold object",
        ),
        ({"callbacks": ("OWN:Needs",)}, r"training.callbacks: OWN:Needs\(\) failed: TypeError"),
        ({"callbacks": ("OWN:nothing",)}, r"training.callbacks: OWN:nothing\(\) failed: TypeError"),
        (
            {"callbacks": ("pytorch_lightning.callbacks:ModelCheckpoint",)},
            r"training: Lightning refuses these settings: .*found `ModelCheckpoint` in callbacks list",
        ),
        ({"callbacks": ("builtins:dict",)}, r"training.callbacks: builtins:dict returned 'dict'. Hint: name a class"),
    ],
)
def test_errors_of_own_code_are_one_line_with_its_name(tmp_path: Path, own: str, values: dict, message: str) -> None:
    here = json.loads(json.dumps(values).replace("OWN", own))
    with pytest.raises(UserError, match=message.replace("OWN", own)) as found:
        fit(LeastSquares(), tmp_path / "run", settings(**here))
    assert "\n" not in str(found.value)


def test_a_callback_sees_the_epoch_that_ends(tmp_path: Path, own: str) -> None:
    fit(LeastSquares(3, SCORES), tmp_path, settings(callbacks=(f"{own}:Reads",)))
    reads = sys.modules[own].Reads
    assert (reads.seen, reads.starts) == (SCORES, 1)


@pytest.mark.parametrize(
    ("callback", "scores", "epochs"), [("Stops", [0.1, 0.2, 0.3, 0.4], 2), ("early", [0.5, 0.2, 0.7, 0.8], 2)]
)
def test_a_callback_can_end_a_training(
    tmp_path: Path, own: str, callback: str, scores: list[float], epochs: int
) -> None:
    """Lightning's EarlyStopping reads the score of the epoch that has just ended."""
    toy = LeastSquares(4, scores)
    fit(toy, tmp_path, settings(callbacks=(f"{own}:{callback}",)))
    assert len(toy.history) == epochs


def test_the_state_of_a_callback_survives_a_stop(tmp_path: Path, own: str, capsys: pytest.CaptureFixture) -> None:
    callbacks = (f"{own}:Counts",)
    with pytest.raises(UserError, match="stopped"):
        fit(Stopped(3, SCORES), tmp_path, settings(callbacks=callbacks))
    fit(LeastSquares(3, SCORES), tmp_path, settings(callbacks=callbacks))
    assert capsys.readouterr().out.split() == ["epochs", "1", "epochs", "2", "epochs", "3"]

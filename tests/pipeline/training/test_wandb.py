"""The logger of Weights & Biases: a run for each training, read back from the files that the package writes offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from json_lines import lines
from toy_training import LeastSquares

from spikeport.errors import UserError
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.epoch_log import METRICS
from spikeport.pipeline.training.fit import fit

SCORES = [0.25, 0.5, 0.125]
WANDB = {
    "wandb-0.19.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: wandb\nVersion: 0.19.0\n",
    "wandb/sdk/__init__.py": "",
    "wandb/sdk/lib.py": "class RunDisabled: pass\n",
    "wandb/wandb_run.py": """
        class Run:
            def __init__(self, options): print("init", options["name"], options["project"], options["group"])
            def define_metric(self, *args, **options): pass
            config = type("Config", (), {"update": lambda self, values, **options: print("config", values)})()
            def log(self, values, **options): print("log", values["trainer/global_step"], values["loss"])
    """,
    "wandb/__init__.py": """
        from wandb.wandb_run import Run
        run = None
        def init(**options):
            global run
            run = Run(options)
            return run
        def finish(exit_code):
            global run
            run = None
            print("finish", exit_code)
    """,
}


def test_each_training_is_a_run_of_its_own_for_wandb(tmp_path: Path) -> None:
    """Where W&B is not installed: a stand-in with the calls that Lightning makes."""
    for name, text in WANDB.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    program = f"""
from pathlib import Path
from toy_training import LeastSquares
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.fit import fit
for stage in ("one", "two"):
    toy = LeastSquares(2)
    toy.stage = stage
    fit(toy, Path({str(tmp_path / "run")!r}) / stage, Training(accelerator="cpu", logger="wandb"),
        metrics=Path({str(tmp_path / "run" / METRICS)!r}))
"""
    helpers = Path(__file__).parents[2] / "helpers"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(helpers)])}
    environment.pop("WANDB_PROJECT", None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    losses = [row["loss"] for row in lines(tmp_path / "run" / METRICS)]
    assert done.stdout.splitlines() == [
        "init run one spikeport run", "config {'stage': 'one', 'dataset': ''}",
        f"log 1 {losses[0]}", f"log 2 {losses[1]}", "finish 0",
        "init run two spikeport run", "config {'stage': 'two', 'dataset': ''}",
        f"log 1 {losses[2]}", f"log 2 {losses[3]}", "finish 0",
    ]  # fmt: skip


def wandb_records(data: bytes) -> Iterator[bytes]:
    """The records of a file of W&B: a log of LevelDB, in blocks of 32 KiB, after a header of 7 bytes."""
    assert data.startswith(b":W&B")
    at, parts = 7, []
    while at + 7 < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


@pytest.mark.parametrize("ended", ["", "UserError('no')", "KeyboardInterrupt"])
def test_wandb_writes_what_the_metrics_say(tmp_path: Path, ended: str) -> None:
    """The package itself, offline: configuration, numbers, steps and how each run ended."""
    pytest.importorskip("wandb.proto.wandb_internal_pb2")
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportMissingImports]  # not a dependency

    program = f"""
import sys
from pathlib import Path
from toy_training import LeastSquares
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.training.fit import fit
toy = LeastSquares(3, {SCORES})
toy.identity |= {{"recipe": {{"seed": 7, "teacher": {{"lr": 0.5}}}}, "data": "abc"}}
start = toy.on_train_epoch_start
def stops():
    from spikeport.errors import UserError
    start()
    if toy.current_epoch == 2 and {bool(ended)}:
        raise {ended or None}
toy.on_train_epoch_start = stops
fit(toy, Path("run"), Training(accelerator="cpu", logger="wandb"))
"""
    helpers = Path(__file__).parents[2] / "helpers"
    environment = {**os.environ, "PYTHONPATH": str(helpers), "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environment.pop("WANDB_PROJECT", None)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (not ended), done.stderr
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    config, history, code = {}, [], None
    for data in wandb_records(file.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "run":
            assert (record.run.display_name, record.run.project, record.run.run_group) == (
                "run toy",
                "spikeport",
                "run",
            )
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        config |= {item.key: json.loads(item.value_json) for item in record.config.update}
        if items := record.history.item:
            history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        if record.WhichOneof("record_type") == "exit":
            code = record.exit.exit_code
    assert code == {"": 0, "KeyboardInterrupt": 255}.get(ended, 1)
    assert (config["stage"], config["seed"], config["teacher"], config["dataset"]) == ("toy", 7, {"lr": 0.5}, "abc")
    rows = lines(tmp_path / "run" / METRICS)
    assert [row["trainer/global_step"] for row in history] == [row["epoch"] for row in rows] == [1, 2, 3][: len(rows)]
    assert len(rows) == (2 if ended else 3)
    for logged, row in zip(history, rows, strict=True):
        names = {name for name in logged if not name.startswith(("_", "trainer/"))}
        assert names == {name for name, value in row.items() if value is not None} - {"stage", "epoch"}
        assert {name: logged[name] for name in names} == {name: row[name] for name in names}


def test_wandb_without_a_login_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb.proto.wandb_internal_pb2")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    message = r"training.logger: W&B does not start a run: UsageError: .*Hint: run wandb login first, or set the env"
    with pytest.raises(UserError, match=message):
        fit(LeastSquares(3, SCORES), tmp_path / "run", Training(logger="wandb", accelerator="cpu"))

"""Two processes that train together end where one ends, however they were started, and only one writes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from toy_training import by_hand

from spikeport.errors import UserError
from spikeport.files import discard_writes, write_text
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.stages.checks import check_recipe

HELPERS = Path(__file__).parents[2] / "helpers"
RECIPE = """
name = "small"
[data]
source = "digits"
height = 12
width = 14
steps = 4
train = 45
validation = 12
test = 15
[teacher]
epochs = 1
lr = 0.005
[student]
channels = [4, 6]
[training]
epochs = 2
batch = 9
optimizer = "sgd"
lr = 0.01
threads = 1
accelerator = "cpu"
[augmentation]
shift = 0
event_drop = 0.0
[distillation]
method = "baseline"
[quantization]
epochs = 1
"""
ALONE = [sys.executable, "-m", "spikeport"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "spikeport"]
STARTS = {"the command": ALONE, "torchrun": TORCHRUN}

# Rank 1 is started by Lightning, which calls this script again.
SCRIPT = """
import sys
from pathlib import Path
from toy_training import LeastSquares
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.run.sections.training import Training

toy = LeastSquares()
fit(toy, Path(sys.argv[1]), Training(epochs=3, devices=2, accelerator="cpu", threads=1))
print(toy.model.weight.tolist()[0], flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    (folder / "small.toml").write_text(RECIPE)
    return folder


def train(folder: Path, name: str, start: list[str], *words: str) -> subprocess.CompletedProcess:
    command = [*start, "train", str(folder / "small.toml"), "--out", str(folder / name), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(folder))


def environment(folder: Path) -> dict[str, str]:
    taken = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    variables = {name: value for name, value in os.environ.items() if name not in taken}
    paths = os.pathsep.join([str(HELPERS), str(HELPERS.parent)])
    return {**variables, "PYTHONPATH": paths, "SPIKEPORT_CACHE": str(folder / "cache")}


@pytest.fixture(scope="module")
def alone(folder) -> Path:
    result = train(folder, "alone", ALONE)
    assert result.returncode == 0, result.stderr
    return folder / "alone"


@pytest.mark.parametrize("start", STARTS)
def test_two_processes_end_in_the_weights_of_one(folder, alone, start) -> None:
    """Batches of 9, so that the shares of 5 and 4 differ; batch norm and the mean loss see all nine."""
    result = train(folder, start, STARTS[start], "--set", "training.devices=2")
    assert result.returncode == 0, result.stderr
    *warnings, message = result.stdout.splitlines()
    assert message == str(folder / start)
    assert len(set(warnings)) == len(warnings)  # one speaks
    one, two = load_file(alone / "student.safetensors"), load_file(folder / start / "student.safetensors")
    for key in one:
        np.testing.assert_allclose(two[key], one[key], rtol=0, atol=1e-5, err_msg=key)  # float32 in another order
    rows = [[json.loads(line) for line in (path / "metrics.jsonl").open()] for path in (alone, folder / start)]
    for one, two in zip(*rows, strict=True):
        assert (one["stage"], one["epoch"]) == (two["stage"], two["epoch"])
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-4)  # the teacher's max pools turn roundings into more
    stages = open_run(folder / start).manifest["stages"]
    assert set(stages) == {"data", "teacher", "student-baseline", "quantized-baseline"}
    left = sorted(str(file.relative_to(folder / start)) for file in (folder / start / "checkpoints").rglob("*.*"))
    assert left == [f"checkpoints/{name}/checkpoint.safetensors" for name in sorted(set(stages) - {"data"})]


SYNTHETIC = [
    "training.devices=2", "distillation.method=synthetic-events", "synthesis.kind=translator", "synthesis.width=4",
    "synthesis.updates=12",
    "synthesis.pretrain_epochs=3", "synthesis.pretrain_batch=45", "synthesis.finetune_epochs=1",
    "quantization.method=same",
    "synthesis.cached_views=1",
]  # fmt: skip


def test_two_killed_processes_go_on_where_they_were(folder) -> None:
    """Translator, pretraining, later ones and tuning in two processes, killed together amid the pretraining: the
    resumed run ends in the very files of the unbroken one."""
    words = [word for change in SYNTHETIC for word in ("--set", change)]
    whole = train(folder, "whole", ALONE, *words)
    assert whole.returncode == 0, whole.stderr
    command = [*ALONE, "train", str(folder / "small.toml"), "--out", str(folder / "broken"), *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment(folder), start_new_session=True, **quiet)
    checkpoint = folder / "broken" / "checkpoints" / "pretrain" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "pretrain" not in open_run(folder / "broken").manifest["stages"]
    resumed = train(folder, "broken", ALONE, "--resume", *words)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("synthesis", "pretrain", "student", "quantized"):
        file = f"{name}.safetensors"
        assert (folder / "broken" / file).read_bytes() == (folder / "whole" / file).read_bytes(), name


def test_lightnings_launcher_starts_the_other_from_a_script(tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "run")],
        capture_output=True, text=True, check=False, env=environment(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    ranks = [json.loads(line) for line in result.stdout.splitlines()]
    settings = parse_recipe({}, where="test").training
    assert len(ranks) == 2
    np.testing.assert_allclose(ranks, [by_hand(settings)] * 2, rtol=2e-5)  # float32 against float64


def test_another_number_of_processes_is_refused(folder, alone, tmp_path) -> None:
    """Also where rank 0, which prints the reason, comes later than rank 1: torchrun ends all with the first."""
    late = 'import os, time\nif os.environ.get("RANK") == "0":\n    time.sleep(4)\n'
    (tmp_path / "sitecustomize.py").write_text(late)
    around = environment(folder)
    around["PYTHONPATH"] = os.pathsep.join([str(tmp_path), around["PYTHONPATH"]])
    command = [*TORCHRUN, "train", str(folder / "small.toml"), "--out", str(folder / "wrong")]
    result = subprocess.run(
        [*command, "--set", "training.devices=3"], capture_output=True, text=True, check=False, env=around
    )
    assert result.returncode != 0
    assert "2 processes were started for a training of 3. Hint: start devices x nodes processes" in result.stderr
    result = train(folder, "far", ALONE, "--set", "training.nodes=2")
    assert result.returncode == 2
    assert "training on several machines needs a launcher. Hint: see docs/reference/training.md" in result.stderr


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("os._exit(7)", "left with 7: no word"),
        ("print('no such device', file=sys.stderr); os._exit(0)", "left with 0: no such device"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL: no word"),
    ],
)
def test_a_process_that_dies_at_its_start_ends_the_training_with_its_reason(tmp_path, does, message) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "here").mkdir()
    site = f"import os, signal, sys\nif os.environ.get('RANK') == '1':\n    {does}\n"
    (tmp_path / "here" / "sitecustomize.py").write_text(site)
    around = environment(tmp_path)
    around["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "here"), around["PYTHONPATH"]])
    command = [*ALONE, "train", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [*command, "--set", "training.devices=2"], capture_output=True, text=True, check=False, env=around
    )
    assert result.returncode == 2, result.stderr
    assert f"error: training.devices: process 1 of those that train together {message}. Hint" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_process_that_is_lost_in_training_ends_it_with_its_reason(folder) -> None:
    words = ["--set", "training.devices=2", "--set", "training.epochs=1000"]
    command = [*ALONE, "train", str(folder / "small.toml"), "--out", str(folder / "lost"), *words]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(folder), **pipes)
    checkpoint = folder / "lost" / "checkpoints" / "student-baseline" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (other,) = [pid for pid in children if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
    os.kill(int(other), signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 2, err
    assert "process 1 of those that train together was killed by SIGKILL" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_batch_script_of_slurms_is_one_process_whatever_it_says_of_tasks(folder, monkeypatch) -> None:
    """srun, which starts the tasks, gives each of them the number of its step as well."""
    batch = {"SLURM_JOB_ID": "9", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    batch |= {"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "localhost"}
    for name, value in batch.items():
        monkeypatch.setenv(name, value)
    words = ["--set", "training.devices=2", "--set", "training.epochs=1", "--set", "quantization.epochs=0"]
    result = train(folder, "batch", ALONE, *words)
    assert result.returncode == 0, result.stderr
    result = train(folder, "nodes", ALONE, *words, "--set", "training.nodes=2")
    assert (result.returncode, "needs a launcher" in result.stderr) == (2, True)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert distributed.is_worker(Training(devices=2))
    monkeypatch.delenv("SLURM_STEP_ID")
    assert not distributed.is_worker(Training(devices=2))


@pytest.mark.parametrize(
    ("there", "asked", "reported"),
    [
        (2, {"devices": 4}, "training.devices: torch finds 2 GPUs, not 4. Hint: ask for fewer"),
        (1, {"devices": 2, "accelerator": "gpu"}, "torch finds 1 GPU, not 2"),
        (0, {"accelerator": "gpu"}, "training.accelerator: torch finds no GPU"),
        (0, {"devices": 2}, None),
        (2, {"devices": 2}, None),
        (2, {"devices": 4, "accelerator": "cpu"}, None),
    ],
)
def test_gpus_that_are_not_there_are_said_before_anything_starts(monkeypatch, there, asked, reported) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    recipe = Recipe.model_validate({"training": asked})
    with contextlib.nullcontext() if reported is None else pytest.raises(UserError, match=re.escape(reported)):
        check_recipe(recipe, for_netx=True)


def test_a_folder_left_alone_stays_as_it_is(tmp_path) -> None:
    write_text(tmp_path / "run" / "a", "first")
    with discard_writes(tmp_path / "run"):
        write_text(tmp_path / "run" / "a", "second")
        write_text(tmp_path / "run" / "deep" / "b", "new")
        write_text(tmp_path / "elsewhere", "new")
    write_text(tmp_path / "run" / "c", "third")
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"run/a": "first", "run/c": "third", "elsewhere": "new"}

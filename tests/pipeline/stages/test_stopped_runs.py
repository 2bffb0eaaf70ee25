"""A run that is stopped, or whose student fits no chip, says how to go on."""

import os
import signal

import pytest
from run_process import RECIPE, reached, start, wait_for

from spikeport.pipeline.models.students.build import STUDENTS
from spikeport.pipeline.run.run_folder import open_run

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("run")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_training_that_is_stopped_says_how_to_go_on(recipe, tmp_path, number):
    process = start(recipe, tmp_path / "run", "--set", "training.epochs=100", "--set", "check.backends=[]")
    wait_for(lambda: reached(tmp_path / "run", "training"), process)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=3600)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; " in err
    assert "--resume continues from here" in err
    assert "Traceback" not in err


def test_a_student_that_no_chip_holds_is_refused_before_training_and_may_train(
    recipe, tmp_path, spikeport, monkeypatch
):
    """`run` names it at once; `train` trains it in float and leaves quantization out."""
    monkeypatch.setattr(STUDENTS["resnet20-snn"], "not_for_netx", "of a reason")
    changes = ["--set", "student.network=resnet20-snn", "--set", "student.width=0.25", "--set", "data.height=28"]
    changes += ["--set", "distillation.method=baseline", "--set", "training.epochs=1", "--set", "data.train=20"]
    code, _, err = spikeport("run", recipe, "--out", tmp_path / "refused", *changes)
    assert code == 2
    assert "a resnet20-snn is not for netx" in err
    assert "spikeport train" in err
    code, _, err = spikeport("train", recipe, "--out", tmp_path / "trained", *changes)
    assert (code, err.count("error")) == (0, 0)
    stages = set(open_run(tmp_path / "trained").manifest["stages"])
    assert "student-baseline" in stages
    assert "quantized-baseline" not in stages

"""Weights of another run that may have trained on what is tested here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_data import tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.data.splits import leakage
from spikeport.pipeline.data.splits.leakage import check_leakage, held_out_keys
from spikeport.pipeline.run.run_folder import create

DATA = [
    "--set", "data.train=30", "--set", "data.static_limit=40", "--set", "training.threads=1",
    "--set", "teacher.epochs=1", "--set", "training.epochs=1", "--set", "quantization.epochs=0",
    "--set", "distillation={method = 'synthetic-events', train_baseline = false}", "--set", "synthesis.kind=simulator",
]  # fmt: skip
FIRST, SECOND = (["--set", "data.folds=5", "--set", "data.validation=0", "--set", f"data.fold={n}"] for n in (0, 1))


def test_what_the_other_held_out_is_safe_and_nothing_else(tmp_path: Path) -> None:
    here = tiny_dataset()
    run = create(tmp_path / "other", tiny_recipe(), resume=False, about={})
    with pytest.raises(UserError, match=r"stage 'data' has not run"):
        check_leakage(run.path, here)
    run.record("data", {"name": "tiny", "held_out_keys": held_out_keys(here)}, (), 0.0)
    check_leakage(run.path, here)
    fewer = replace(here, test=replace(here.test, keys=here.test.keys[2:]))
    check_leakage(run.path, fewer)
    run.record("data", {"name": "tiny", "held_out_keys": held_out_keys(fewer)}, (), 0.0)
    with pytest.raises(UserError, match=r"may have trained on 2 of the recordings that are held out.*split the data"):
        check_leakage(run.path, here)
    run.record("data", {"name": "tiny"}, (), 0.0)  # it does not say
    with pytest.raises(UserError, match=r"does not state its held-out recordings.*make it again"):
        check_leakage(run.path, here)
    run.record("data", {"name": "another set"}, (), 0.0)
    check_leakage(run.path, here)
    check_leakage(tmp_path, here)  # no run


def test_the_tested_recordings_are_known_however_they_are_binned() -> None:
    """Other frames or other training recordings change nothing; another order, class or recording does."""
    here = tiny_dataset()
    test = replace(here.test, events=np.full(len(here.test.keys), 70))
    here = replace(here, test=test)
    assert leakage.test_set_digest(
        replace(here, test=replace(test, frames=test.frames[:, ::2]))
    ) == leakage.test_set_digest(here)
    assert leakage.test_set_digest(
        replace(here, train=here.validation, fingerprint="other")
    ) == leakage.test_set_digest(here)
    for other in (
        replace(test, keys=test.keys[::-1]),
        replace(test, labels=(test.labels + 1) % 2),
        replace(test, events=np.arange(len(test.keys))),
    ):
        assert leakage.test_set_digest(replace(here, test=other)) != leakage.test_set_digest(here)
    assert leakage.test_set_digest(replace(here, name="another set")) != leakage.test_set_digest(here)


def test_a_run_of_another_fold_is_neither_teacher_nor_start(tmp_path: Path, spikeport) -> None:
    code, _, err = spikeport(
        "train", "digits", *DATA, *FIRST, "--set", "synthesis.pretrain_epochs=0",
        "--set", "synthesis.simulator_pretrain_epochs=1",
        "--out", "first",
    )  # fmt: skip
    assert code == 0, err
    begin = [
        "--set",
        "synthesis.pretrain_epochs=0",
        "--set",
        f"synthesis.simulator_weights={tmp_path / 'first/simulator.safetensors'}",
    ]
    learn = [
        "--set", "distillation={method = 'tser', train_baseline = false}",
        "--set", f"teacher.network=run:{tmp_path / 'first'}"
    ]  # fmt: skip
    learn += ["--set", "teacher.epochs=0"]
    taught = ["--set", f"teacher.weights={tmp_path / 'first/teacher.safetensors'}"]
    for number, words in enumerate((begin, learn, taught)):
        code, _, err = spikeport("train", "digits", *DATA, *SECOND, *words, "--out", f"other{number}")
        assert code == 2
        assert "this run may have trained on" in err
        assert "first" in err
        code, _, err = spikeport("train", "digits", *DATA, *FIRST, *words, "--out", f"same{number}")
        assert code == 0, err
